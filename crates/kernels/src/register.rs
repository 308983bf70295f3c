//! The width of vectors and of register tiles on this machine, in channels.

use std::marker::PhantomData;

use crate::data_type::{DataType, for_type};
use crate::isa::{self, Length};
use crate::scheme::Scheme;
use crate::sums::{VECTORS, most_vectors};
use crate::vectors::{Kernel, Vectors};

/// Channels of a vector of this machine for elements of this type.
pub fn channels_of_vector(data_type: DataType) -> usize {
    for_type!(data_type, T => channels_of::<T>()).of_vector
}

/// Channels of a register tile of this machine for elements of this type.
pub fn channels_of_register_tile(data_type: DataType) -> usize {
    VECTORS * channels_of_vector(data_type)
}

/// Output channels of a register tile of pixels.
pub fn channels_of_pixel_tile(data_type: DataType) -> usize {
    for_type!(data_type, T => channels_of::<T>()).of_pixels
}

/// Output channels of vectors and tiles of pixels.
pub(crate) struct Channels {
    /// Of a vector.
    pub of_vector: usize,
    /// Of a register tile of pixels.
    pub of_pixels: usize,
}

/// Those of this machine for tensors of this scheme.
pub(crate) fn channels_of<X: Scheme>() -> Channels {
    isa::dispatch(Widths::<X>(PhantomData))
}

/// The same for vectors of a length.
pub(crate) fn channels_with<X: Scheme>(length: Length) -> Channels {
    isa::dispatch_with(length, Widths::<X>(PhantomData))
}

pub(crate) struct Widths<X>(pub PhantomData<X>);

impl<X: Scheme> Kernel for Widths<X> {
    type Output = Channels;

    #[inline(always)]
    fn run<S: Vectors>(self, _: S) -> Channels {
        let of_vector = X::channels::<S>();
        Channels { of_vector, of_pixels: most_vectors::<S>() * of_vector }
    }
}
