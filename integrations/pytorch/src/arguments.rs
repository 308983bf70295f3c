//! The arguments of PyTorch's two operators, taken off the dispatcher's stack, and the calls of PyTorch's own kernels.

use std::ptr;

use crate::geometry::Geometry;
use crate::tensor::Tensor;
use crate::torch::{Handle, torch};

/// Most numbers in a list that is kept; longer ones are refused.
const LONGEST: usize = 8;

/// A list of numbers as it was given.
#[derive(Clone, Copy, Default)]
struct List {
    values: [i64; LONGEST],
    len: usize,
}

/// The arguments that both operators have.
pub struct Common {
    lists: [List; 4],
    transposed: bool,
    groups: i64,
}

/// The arguments of `aten::convolution`.
pub struct Forward {
    pub input: Tensor,
    pub weights: Tensor,
    pub bias: Option<Tensor>,
    pub common: Common,
}

/// The arguments of `aten::convolution_backward`.
pub struct Backward {
    pub grad_output: Tensor,
    pub input: Tensor,
    pub weights: Tensor,
    bias_sizes: Option<List>,
    pub common: Common,
    /// Which of the gradients of input, weights and bias are asked for.
    pub mask: [bool; 3],
}

/// Reads a list and frees it.
///
/// # Safety
/// The value is a list's that belongs to the caller, who gives it away.
unsafe fn take_list(value: u64) -> List {
    let (handle, mut list) = (value as Handle, List::default());
    // SAFETY: the handle is a list's, and nobody else frees it.
    unsafe {
        (torch().list_size)(handle, &mut list.len);
        for at in 0..list.len.min(LONGEST) {
            let mut item = 0;
            (torch().list_item)(handle, at, &mut item);
            list.values[at] = item as i64;
        }
        (torch().list_delete)(handle);
    }
    list
}

/// What stands behind an optional argument.
///
/// # Safety
/// The value is an optional argument's that belongs to the caller, who gives it away.
unsafe fn take_optional(value: u64) -> Option<u64> {
    let place = value as *mut u64;
    if place.is_null() {
        return None;
    }
    // SAFETY: the place has the value, and nobody else frees it.
    unsafe {
        let value = *place;
        (torch().delete_optional)(place);
        Some(value)
    }
}

impl List {
    /// One value for each axis; PyTorch lets a single one stand for all.
    fn for_axes(&self, axes: usize) -> Option<[i64; 3]> {
        let mut values = [0; 3];
        for (at, value) in values[..axes].iter_mut().enumerate() {
            *value = self.values[if self.len == 1 { 0 } else { at }];
        }
        (self.len == 1 || self.len == axes).then_some(values)
    }
}

impl Common {
    /// # Safety
    /// The six values are lists, a truth and a number as the operators have them; they belong to the caller.
    unsafe fn take(stack: &[u64]) -> Self {
        let [stride, padding, dilation, transposed, output_padding, groups] = stack else {
            unreachable!("both operators end so")
        };
        // SAFETY: the caller's promise.
        let lists = [stride, padding, dilation, output_padding].map(|&list| unsafe { take_list(list) });
        Self { lists, transposed: *transposed as u8 != 0, groups: *groups as i64 }
    }

    /// For so many axes of space, where the lists fit.
    pub fn geometry(&self, axes: usize) -> Option<Geometry> {
        if !(1..=3).contains(&axes) {
            return None;
        }
        let [stride, padding, dilation, output_padding] =
            self.lists.each_ref().map(|list| list.for_axes(axes));
        Some(Geometry {
            axes,
            stride: stride?,
            padding: padding?,
            dilation: dilation?,
            output_padding: output_padding?,
            transposed: self.transposed,
            groups: self.groups,
        })
    }

    /// Whether the lists are kept whole.
    fn is_whole(&self) -> bool {
        self.lists.iter().all(|list| list.len <= LONGEST)
    }
}

impl Forward {
    /// # Safety
    /// The stack has the operator's nine arguments, which belong to the caller, who gives them away.
    pub unsafe fn take(stack: &[u64]) -> Self {
        // SAFETY: the caller's promise.
        unsafe {
            Self {
                input: Tensor::own(stack[0] as Handle),
                weights: Tensor::own(stack[1] as Handle),
                bias: take_optional(stack[2])
                    .map(|handle| Tensor::own(handle as Handle))
                    // In gradients of gradients there may be an argument without a tensor.
                    .filter(Tensor::is_defined),
                common: Common::take(&stack[3..9]),
            }
        }
    }

    /// What PyTorch itself computes; none if it throws.
    pub fn by_torch(&self) -> Option<Tensor> {
        let Common { lists: [stride, padding, dilation, output_padding], transposed, groups } = &self.common;
        let mut result = ptr::null_mut();
        let bias = self.bias.as_ref().map(Tensor::handle);
        if !self.common.is_whole() {
            return None;
        }
        // SAFETY: the handles are valid, the lists have their lengths, and the result has a place.
        let status = unsafe {
            (torch().convolution)(
                self.input.handle(),
                self.weights.handle(),
                bias.as_ref().map_or(ptr::null(), ptr::from_ref),
                stride.values.as_ptr(),
                stride.len as i64,
                padding.values.as_ptr(),
                padding.len as i64,
                dilation.values.as_ptr(),
                dilation.len as i64,
                i32::from(*transposed),
                output_padding.values.as_ptr(),
                output_padding.len as i64,
                *groups,
                &mut result,
            )
        };
        // SAFETY: a result is ours.
        (status == 0).then(|| unsafe { Tensor::own(result) })
    }
}

impl Backward {
    /// # Safety
    /// The stack has the operator's eleven arguments, which belong to the caller, who gives them away.
    pub unsafe fn take(stack: &[u64]) -> Self {
        // SAFETY: the caller's promise.
        unsafe {
            let mask = take_list(stack[10]).values;
            Self {
                grad_output: Tensor::own(stack[0] as Handle),
                input: Tensor::own(stack[1] as Handle),
                weights: Tensor::own(stack[2] as Handle),
                bias_sizes: take_optional(stack[3]).map(|list| take_list(list)),
                common: Common::take(&stack[4..10]),
                mask: [0, 1, 2].map(|at| mask[at] as u8 != 0),
            }
        }
    }

    /// Whether the bias, if there is one, is of so many channels.
    pub fn bias_is_of(&self, channels: i64) -> bool {
        self.bias_sizes.is_none_or(|sizes| sizes.len == 1 && sizes.values[0] == channels)
    }

    /// What PyTorch itself computes; none if it throws.
    pub fn by_torch(&self) -> Option<[Tensor; 3]> {
        let Common { lists: [stride, padding, dilation, output_padding], transposed, groups } = &self.common;
        let mut results = [ptr::null_mut(); 3];
        let [of_input, of_weights, of_bias] = &mut results;
        let mask = self.mask.map(i32::from);
        let bias_sizes = self.bias_sizes.as_ref().map(|list| list.values.as_ptr());
        if !self.common.is_whole() {
            return None;
        }
        // SAFETY: the handles are valid, the lists have their lengths, and the results have places.
        let status = unsafe {
            (torch().convolution_backward)(
                self.grad_output.handle(),
                self.input.handle(),
                self.weights.handle(),
                bias_sizes.as_ref().map_or(ptr::null(), ptr::from_ref),
                self.bias_sizes.map_or(0, |list| list.len as i64),
                stride.values.as_ptr(),
                stride.len as i64,
                padding.values.as_ptr(),
                padding.len as i64,
                dilation.values.as_ptr(),
                dilation.len as i64,
                i32::from(*transposed),
                output_padding.values.as_ptr(),
                output_padding.len as i64,
                *groups,
                mask.as_ptr(),
                3,
                of_input,
                of_weights,
                of_bias,
            )
        };
        // SAFETY: the results are ours.
        (status == 0).then(|| results.map(|handle| unsafe { Tensor::own(handle) }))
    }
}
