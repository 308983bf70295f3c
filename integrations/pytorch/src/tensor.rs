//! Tensors of PyTorch: what is asked of them, and who frees them.

use std::ffi::c_void;
use std::ptr;

use crate::torch::{Handle, torch};

/// Most axes of a tensor that is served: images, channels, and three of space.
pub const AXES: usize = 5;

/// A handle that is freed when this goes.
pub struct Tensor(Handle);

impl Drop for Tensor {
    fn drop(&mut self) {
        if !self.0.is_null() {
            // SAFETY: the handle is ours, and freed once.
            unsafe { (torch().tensor_delete)(self.0) };
        }
    }
}

/// Sizes and strides of a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Shape {
    /// How many axes there are.
    pub axes: usize,
    /// The sizes; 1 behind the last axis.
    pub sizes: [i64; AXES],
    /// The strides; 0 behind the last axis.
    pub strides: [i64; AXES],
}

impl Tensor {
    /// Takes over a handle.
    ///
    /// # Safety
    /// The handle is null or belongs to the caller, who gives it away.
    pub unsafe fn own(handle: Handle) -> Self {
        Self(handle)
    }

    /// A handle without a tensor.
    pub fn none() -> Option<Self> {
        let mut handle = ptr::null_mut();
        // SAFETY: the pointer is to a place of this function.
        let status = unsafe { (torch().tensor_none)(&mut handle) };
        (status == 0).then_some(Self(handle))
    }

    /// A tensor on the CPU with values of any kind.
    pub fn empty(shape: &Shape, dtype: i32) -> Option<Self> {
        let mut handle = ptr::null_mut();
        let (axes, sizes, strides) = (shape.axes as i64, shape.sizes.as_ptr(), shape.strides.as_ptr());
        // SAFETY: sizes and strides have as many values as there are axes.
        let status = unsafe { (torch().empty)(axes, sizes, strides, dtype, (torch().cpu)(), 0, &mut handle) };
        (status == 0).then_some(Self(handle))
    }

    /// The same values in other places.
    pub fn copied(&self, shape: &Shape, dtype: i32) -> Option<Self> {
        let copy = Self::empty(shape, dtype)?;
        // SAFETY: both are tensors of the same sizes.
        let status = unsafe { (torch().copy)(copy.0, self.0, 0) };
        (status == 0).then_some(copy)
    }

    /// The handle, which stays ours.
    pub fn handle(&self) -> Handle {
        self.0
    }

    /// The handle, which is the caller's now.
    pub fn into_handle(self) -> Handle {
        let handle = self.0;
        std::mem::forget(self);
        handle
    }

    /// Whether there is a tensor behind the handle.
    pub fn is_defined(&self) -> bool {
        let mut defined = false;
        // SAFETY: the handle is valid, and the pointer is to a place of this function.
        !self.0.is_null() && unsafe { (torch().is_defined)(self.0, &mut defined) == 0 && defined }
    }

    /// Whether it is a strided tensor on the CPU.
    pub fn is_plain(&self) -> bool {
        let (mut device, mut layout) = (-1, -1);
        if !self.is_defined() {
            return false;
        }
        // SAFETY: the handle is valid, and the pointers are to places of this function.
        unsafe {
            (torch().device_type)(self.0, &mut device) == 0
                && device == (torch().cpu)()
                && (torch().layout)(self.0, &mut layout) == 0
                && layout == (torch().strided)()
        }
    }

    /// The type of its elements, by PyTorch's number.
    pub fn dtype(&self) -> i32 {
        let mut dtype = -1;
        // SAFETY: the handle is valid, and the pointer is to a place of this function.
        unsafe { (torch().dtype)(self.0, &mut dtype) };
        dtype
    }

    /// Sizes and strides, of at most five axes.
    pub fn shape(&self) -> Option<Shape> {
        let (mut axes, mut sizes, mut strides) = (0, ptr::null(), ptr::null());
        // SAFETY: the handle is valid, and the pointers are to places of this function.
        let found = unsafe {
            (torch().dim)(self.0, &mut axes) == 0
                && (torch().sizes)(self.0, &mut sizes) == 0
                && (torch().strides)(self.0, &mut strides) == 0
        };
        let axes = usize::try_from(axes).ok().filter(|&axes| found && axes <= AXES)?;
        let mut shape = Shape { axes, sizes: [1; AXES], strides: [0; AXES] };
        for at in 0..axes {
            // SAFETY: the tensor has so many sizes and strides.
            (shape.sizes[at], shape.strides[at]) = unsafe { (*sizes.add(at), *strides.add(at)) };
        }
        Some(shape)
    }

    /// Where its first element lies.
    pub fn data(&self) -> *const c_void {
        let mut data = ptr::null();
        // SAFETY: the handle is valid, and the pointer is to a place of this function.
        unsafe { (torch().data)(self.0, &mut data) };
        data
    }

    /// Where its first element lies, to be written.
    pub fn data_mut(&self) -> *mut c_void {
        let mut data = ptr::null_mut();
        // SAFETY: the handle is valid, and the pointer is to a place of this function.
        unsafe { (torch().data_mut)(self.0, &mut data) };
        data
    }
}

impl Shape {
    /// The sizes packed in memory, with channels first or last.
    pub fn packed(sizes: &[i64], last: bool) -> Self {
        let axes = sizes.len();
        let mut shape = Self { axes, sizes: [1; AXES], strides: [0; AXES] };
        shape.sizes[..axes].copy_from_slice(sizes);
        let mut stride = 1;
        let mut place = |at: usize| {
            shape.strides[at] = stride;
            stride *= shape.sizes[at].max(1);
        };
        if last {
            place(1);
            (2..axes).rev().for_each(&mut place);
            place(0);
        } else {
            (0..axes).rev().for_each(&mut place);
        }
        shape
    }

    /// The sizes alone.
    pub fn sizes(&self) -> &[i64] {
        &self.sizes[..self.axes]
    }

    /// Whether its elements lie packed, with channels first or last. The stride of an axis of one position is of no matter.
    pub fn is_packed(&self, last: bool) -> bool {
        let packed = Self::packed(self.sizes(), last);
        (0..self.axes).all(|at| self.sizes[at] == 1 || self.strides[at] == packed.strides[at])
    }

    /// With an axis of one row before the columns, as PyTorch computes in one dimension.
    pub fn with_rows(&self) -> Self {
        let [images, channels, cols, ..] = self.sizes;
        let [of_image, of_channel, of_col, ..] = self.strides;
        Self {
            axes: 4,
            sizes: [images, channels, 1, cols, 1],
            strides: [of_image, of_channel, cols * of_col, of_col, 0],
        }
    }

    /// Whether PyTorch takes it for a tensor with channels last (`suggest_memory_format`), of four or five axes.
    pub fn suggests_last(&self) -> bool {
        let order: &[usize] = match self.axes {
            4 => &[1, 3, 2, 0],
            5 => &[1, 4, 3, 2, 0],
            _ => return false,
        };
        if self.strides[1] == 0 {
            return false;
        }
        let mut least = 0;
        for &at in order {
            // An image of one pixel and one channel is ambiguous: channels first.
            if self.sizes[at] == 0 || self.strides[at] < least || at == 0 && least == self.strides[1] {
                return false;
            }
            least = self.strides[at] * self.sizes[at].max(1);
        }
        true
    }
}
