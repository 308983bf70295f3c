//! A tensor that is there: its type, sizes and elements.

use std::ffi::c_void;
use std::marker::PhantomData;

use ort_sys::{OrtTensorTypeAndShapeInfo, OrtValue};

use super::failure::{Failure, Result};
use super::handle::Handle;

/// An element of tensors.
///
/// # Safety
/// Elements of ONNX's type of this number lie in memory as this type does, whatever their bits.
pub unsafe trait Listed: Copy {
    /// The number of ONNX's element type.
    const ELEMENT: i32;
}

// SAFETY: `ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT`.
unsafe impl Listed for f32 {
    const ELEMENT: i32 = 1;
}

// SAFETY: `ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64`.
unsafe impl Listed for i64 {
    const ELEMENT: i32 = 7;
}

// SAFETY: `ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE`.
unsafe impl Listed for f64 {
    const ELEMENT: i32 = 11;
}

/// A tensor that is there.
#[derive(Clone)]
pub struct Tensor<'a> {
    /// The number of ONNX's element type.
    pub element: i32,
    pub sizes: Vec<usize>,
    data: *const c_void,
    value: PhantomData<&'a OrtValue>,
}

impl<'a> Tensor<'a> {
    pub(super) fn new(value: Handle<'a, OrtValue>) -> Result<Self> {
        let (element, sizes) = type_of(value)?;
        let data = value.get(value.host().data_of_tensor())?;
        Ok(Self { element, sizes, data, value: PhantomData })
    }

    pub fn len(&self) -> usize {
        self.sizes.iter().product()
    }

    /// The elements, which must be of this type.
    ///
    /// # Errors
    /// If they are of another, or lie where none of this type may.
    pub fn elements<T: Listed>(&self) -> Result<&[T]> {
        let data = self.data.cast::<T>();
        check_place(data, self.element, self.len())?;
        if self.len() == 0 {
            return Ok(&[]);
        }
        // SAFETY: `Tensor` is made of a live value of the host's, which nobody writes while a view of it is there; it has as
        // many elements as its sizes say, of the type and at the place that were checked.
        Ok(unsafe { std::slice::from_raw_parts(data, self.len()) })
    }
}

/// Checks that so many elements of a type may lie at a place, being of the host's type of this number.
///
/// # Errors
/// If not.
pub(super) fn check_place<T: Listed>(data: *const T, element: i32, len: usize) -> Result<()> {
    if element != T::ELEMENT {
        return Err(Failure(format!("a tensor has elements of type {element}, not {}", T::ELEMENT)));
    }
    if len > 0 && (data.is_null() || !data.is_aligned()) {
        return Err(Failure(format!("a tensor's elements lie at {data:p}, where none of their type may")));
    }
    Ok(())
}

/// The type of a tensor's elements, and its sizes.
pub(super) fn type_of(value: Handle<'_, OrtValue>) -> Result<(i32, Vec<usize>)> {
    let host = value.host();
    let shape = value.made(host.shape_of_tensor(), host.release_shape())?;
    let sizes = sizes_of(shape.handle())?.into_iter().map(usize::try_from);
    Ok((element_of(shape.handle())?, sizes.collect::<std::result::Result<_, _>>()?))
}

/// Sizes, negative where they are not known.
pub(super) fn sizes_of(shape: Handle<'_, OrtTensorTypeAndShapeInfo>) -> Result<Vec<i64>> {
    let host = shape.host();
    shape.list(host.dimensions_of_shape(), host.sizes_of_shape())
}

/// The number of an element type.
pub(super) fn element_of(shape: Handle<'_, OrtTensorTypeAndShapeInfo>) -> Result<i32> {
    shape.number(shape.host().element_of_shape())
}
