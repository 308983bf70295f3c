//! The kernels that PyTorch's dispatcher calls.

use std::cell::RefCell;
use std::ffi::CStr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::slice;

use convlow::{DataType, WeightsFrom};

use crate::arguments::{Backward, Common, Forward};
use crate::backward::BackwardPlan;
use crate::forward::{ForwardPlan, Shapes};
use crate::geometry::Geometry;
use crate::packed;
use crate::plans::{self, Key, Lies, Made, Pass};
use crate::settings::Settings;
use crate::tensor::{Shape, Tensor};
use crate::torch::torch;

thread_local! {
    /// The text of an exception on its way: the thread keeps it, as nothing is freed where one is thrown.
    static TEXT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// `aten::convolution`.
///
/// # Safety
/// PyTorch's dispatcher calls it with the operator's arguments.
pub unsafe extern "C-unwind" fn convolution(stack: *mut u64, _: u64, _: u64) {
    // SAFETY: the operator has nine arguments, which belong to the kernel.
    let result = catch_unwind(|| unsafe { forward(stack) });
    if !matches!(result, Ok(true)) {
        throw();
    }
}

/// `aten::convolution_backward`.
///
/// # Safety
/// PyTorch's dispatcher calls it with the operator's arguments.
pub unsafe extern "C-unwind" fn convolution_backward(stack: *mut u64, _: u64, _: u64) {
    // SAFETY: the operator has eleven arguments, which belong to the kernel.
    let result = catch_unwind(|| unsafe { backward(stack) });
    if !matches!(result, Ok(true)) {
        throw();
    }
}

/// Throws the exception that PyTorch's own kernel has thrown, with its text. Nothing in this frame or in the kernel's is to be
/// freed, so that it passes them as it would pass C's.
fn throw() {
    let text = TEXT.with(|text| text.borrow().as_ptr());
    let (function, file) = (c"convolution", c"convlow");
    // SAFETY: the text ends with a zero and stays in the thread.
    unsafe { (torch().check)(false, function.as_ptr(), file.as_ptr(), 0, text.cast()) };
}

/// Keeps the text of the exception that PyTorch's own kernel has just thrown.
fn keep_text() {
    // SAFETY: PyTorch's text ends with a zero, and is there until the next exception of the thread.
    let text = unsafe { CStr::from_ptr((torch().last_error)()) };
    TEXT.with(|kept| *kept.borrow_mut() = text.to_bytes_with_nul().to_vec());
}

/// # Safety
/// As [`convolution`].
unsafe fn forward(stack: *mut u64) -> bool {
    // SAFETY: the caller's promise.
    let call = unsafe { Forward::take(slice::from_raw_parts(stack, 9)) };
    let served = catch_unwind(AssertUnwindSafe(|| serve_forward(&call))).unwrap_or(None);
    let Some(output) = served.or_else(|| call.by_torch()) else {
        keep_text();
        return false;
    };
    // SAFETY: the result's place is that of the first argument.
    unsafe { *stack = output.into_handle() as u64 };
    true
}

/// # Safety
/// As [`convolution_backward`].
unsafe fn backward(stack: *mut u64) -> bool {
    // SAFETY: the caller's promise.
    let call = unsafe { Backward::take(slice::from_raw_parts(stack, 11)) };
    let served = catch_unwind(AssertUnwindSafe(|| serve_backward(&call))).unwrap_or(None);
    let Some(results) = served.or_else(|| call.by_torch()) else {
        keep_text();
        return false;
    };
    for (at, result) in results.into_iter().enumerate() {
        // SAFETY: the results' places are those of the first arguments.
        unsafe { *stack.add(at) = result.into_handle() as u64 };
    }
    true
}

/// What convlow knows of a call.
struct Known {
    key: Key,
    shapes: [Shape; 3],
}

impl Known {
    /// Of the tensors, the third of which gradients have alone.
    fn of(tensors: [Option<&Tensor>; 3], common: &Common, pass: Pass) -> Self {
        let mut objection = None;
        let mut shapes = [Shape::default(); 3];
        let dtype = tensors[0].map_or(-1, Tensor::dtype);
        for (shape, tensor) in shapes.iter_mut().zip(tensors) {
            let Some(tensor) = tensor else { continue };
            if !tensor.is_plain() {
                objection = Some("a tensor that is not strided, or not on the CPU");
                continue;
            }
            if tensor.dtype() != dtype {
                objection = Some("tensors of different types");
            }
            match tensor.shape() {
                Some(found) if found.axes >= 3 => *shape = found,
                _ => objection = Some("a number of axes that does not fit"),
            }
        }
        let geometry = common.geometry(shapes[0].axes.wrapping_sub(2));
        if geometry.is_none() {
            objection = objection.or(Some("a list of strides, paddings or dilations that does not fit"));
        }
        if data_type(dtype).is_none() {
            objection = Some("another type than float32 and float64");
        }
        let lies =
            shapes.each_ref().map(|shape| if shape.axes < 3 { Lies::default() } else { Lies::of(shape) });
        let (settings, geometry) = (Settings::now(), geometry.unwrap_or_default());
        Self { key: Key { settings, pass, dtype, bias: false, tensors: lies, geometry, objection }, shapes }
    }

    fn shapes(&self) -> Shapes {
        let [input, weights, _] = self.shapes;
        let data_type = data_type(self.key.dtype).unwrap_or(DataType::F32);
        Shapes { input, weights, geometry: self.key.geometry, data_type }
    }
}

fn data_type(dtype: i32) -> Option<DataType> {
    // SAFETY: these functions return constants.
    let [float32, float64] = unsafe { [(torch().float32)(), (torch().float64)()] };
    match dtype {
        _ if dtype == float32 => Some(DataType::F32),
        _ if dtype == float64 => Some(DataType::F64),
        _ => None,
    }
}

/// Whether the bias has one packed value a channel, of the type of the others.
fn bias_fits(bias: &Tensor, geometry: &Geometry, weights: &Shape, dtype: i32) -> bool {
    let channels = if geometry.transposed { weights.sizes[1] * geometry.groups } else { weights.sizes[0] };
    let fits = |shape: Shape| shape.sizes() == [channels] && shape.is_packed(false);
    bias.is_plain() && bias.dtype() == dtype && bias.shape().is_some_and(fits)
}

/// The output, unless PyTorch is to compute it.
fn serve_forward(call: &Forward) -> Option<Tensor> {
    let mut known = Known::of(
        [Some(&call.input), Some(&call.weights), None],
        &call.common,
        Pass::Forward { packed: false },
    );
    let Known { key, shapes } = &mut known;
    if let Some(bias) = &call.bias {
        key.bias = true;
        if key.objection.is_none() && !bias_fits(bias, &key.geometry, &shapes[1], key.dtype) {
            key.objection = Some("a bias that does not fit");
        }
    }
    if key.objection.is_none() && packed::may_keep(&call.weights) {
        key.pass = Pass::Forward { packed: true };
    }
    let (key, from) = (
        known.key,
        match known.key.pass {
            Pass::Forward { packed: true } => WeightsFrom::Packed,
            _ => WeightsFrom::Plain,
        },
    );
    let entry = plans::entry(&key, || match key.objection {
        Some(objection) => Made::Declined(objection.to_owned()),
        None => ForwardPlan::new(&known.shapes(), &key.settings, from)
            .map_or_else(Made::Declined, |plan| Made::Forward(Box::new(plan))),
    });
    let Made::Forward(plan) = &entry.made else { return None };
    match (data_type(key.dtype)?, from) {
        (DataType::F32, WeightsFrom::Plain) => plan.run::<f32>(call, key.dtype, None),
        (_, WeightsFrom::Plain) => plan.run::<f64>(call, key.dtype, None),
        (DataType::F32, _) => {
            let packed = packed::of::<f32>(plan, call, key.dtype)?;
            plan.run::<f32>(call, key.dtype, Some(packed.bytes()))
        }
        (_, _) => {
            let packed = packed::of::<f64>(plan, call, key.dtype)?;
            plan.run::<f64>(call, key.dtype, Some(packed.bytes()))
        }
    }
}

/// The gradients, unless PyTorch is to compute them.
fn serve_backward(call: &Backward) -> Option<[Tensor; 3]> {
    let tensors = [Some(&call.input), Some(&call.weights), Some(&call.grad_output)];
    let mut known = Known::of(tensors, &call.common, Pass::Backward { mask: call.mask });
    let Known { key, shapes } = &mut known;
    // Without a bias PyTorch tells the sizes of an empty one.
    if key.objection.is_none() && call.mask[2] && !call.bias_is_of(shapes[2].sizes[1]) {
        key.objection = Some("a bias that does not fit");
    }
    let key = known.key;
    let entry = plans::entry(&key, || match key.objection {
        Some(objection) => Made::Declined(objection.to_owned()),
        None => BackwardPlan::new(&known.shapes(), &known.shapes[2], call.mask, &key.settings)
            .map_or_else(Made::Declined, |plan| Made::Backward(Box::new(plan))),
    });
    let Made::Backward(plan) = &entry.made else { return None };
    match data_type(key.dtype)? {
        DataType::F32 => plan.run::<f32>(call, key.dtype),
        _ => plan.run::<f64>(call, key.dtype),
    }
}
