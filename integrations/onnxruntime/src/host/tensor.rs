//! A tensor that is there: its type, sizes and elements.

use std::ffi::c_void;
use std::marker::PhantomData;
use std::sync::Arc;

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

// SAFETY: `ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8`.
unsafe impl Listed for u8 {
    const ELEMENT: i32 = 2;
}

// SAFETY: `ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8`.
unsafe impl Listed for i8 {
    const ELEMENT: i32 = 3;
}

// SAFETY: `ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32`.
unsafe impl Listed for i32 {
    const ELEMENT: i32 = 6;
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
    data: Data<'a>,
}

/// Where a tensor's elements lie.
#[derive(Clone)]
enum Data<'a> {
    /// In a value of the host's.
    Host(*const c_void, PhantomData<&'a OrtValue>),
    /// In memory of convlow's own, where every type may lie.
    Own(Arc<[u64]>),
}

impl<'a> Tensor<'a> {
    pub(super) fn new(value: Handle<'a, OrtValue>) -> Result<Self> {
        let (element, sizes) = type_of(value)?;
        let data = value.get(value.host().data_of_tensor())?;
        Ok(Self { element, sizes, data: Data::Host(data, PhantomData) })
    }

    /// A tensor of convlow's own, of as many elements as the sizes say.
    ///
    /// # Errors
    /// If there is no memory for it.
    pub fn made<T: Listed>(sizes: Vec<usize>, elements: impl ExactSizeIterator<Item = T>) -> Result<Self> {
        let count = sizes.iter().product::<usize>();
        assert_eq!(elements.len(), count, "there are as many elements as the sizes say");
        let no_memory =
            |_| Failure(format!("a constant of {count} elements could not be made: there is no memory"));
        let mut words: Vec<u64> = Vec::new();
        words.try_reserve_exact((count * size_of::<T>()).div_ceil(size_of::<u64>())).map_err(no_memory)?;
        words.resize((count * size_of::<T>()).div_ceil(size_of::<u64>()), 0);
        let first = words.as_mut_ptr().cast::<T>();
        for (at, element) in elements.enumerate().take(count) {
            // SAFETY: the words have room for `count` elements, and lie where each `Listed` type may.
            unsafe { first.add(at).write(element) };
        }
        Ok(Self { element: T::ELEMENT, sizes, data: Data::Own(words.into()) })
    }

    /// The same floats in memory of convlow's own; none for elements of other types.
    ///
    /// # Errors
    /// If there is no memory for them.
    pub fn kept(&self) -> Result<Option<Tensor<'static>>> {
        let Self { element, ref sizes, ref data } = *self;
        match (data, element) {
            (Data::Own(words), _) => {
                Ok(Some(Tensor { element, sizes: sizes.clone(), data: Data::Own(words.clone()) }))
            }
            (_, f32::ELEMENT) => {
                Tensor::made(sizes.clone(), self.elements::<f32>()?.iter().copied()).map(Some)
            }
            (_, f64::ELEMENT) => {
                Tensor::made(sizes.clone(), self.elements::<f64>()?.iter().copied()).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// The same elements under other sizes; none if these are of another number.
    pub fn with_sizes(self, sizes: Vec<usize>) -> Option<Self> {
        (sizes.iter().product::<usize>() == self.len()).then_some(Self { sizes, ..self })
    }

    pub fn len(&self) -> usize {
        self.sizes.iter().product()
    }

    /// The elements, which must be of this type.
    ///
    /// # Errors
    /// If they are of another, or lie where none of this type may.
    pub fn elements<T: Listed>(&self) -> Result<&[T]> {
        let data = match &self.data {
            Data::Host(data, _) => data.cast::<T>(),
            Data::Own(words) => words.as_ptr().cast(),
        };
        check_place(data, self.element, self.len())?;
        if self.len() == 0 {
            return Ok(&[]);
        }
        // SAFETY: a `Tensor` is made of a live value of the host's, which nobody writes while a view of it is there, or has
        // memory of its own; there are as many elements as its sizes say, of the type and at the place that were checked.
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
