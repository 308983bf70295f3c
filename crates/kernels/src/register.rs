//! The width of register tiles on this machine, in channels.

use std::marker::PhantomData;

use crate::data_type::{DataType, for_type};
use crate::isa;
use crate::scheme::Scheme;
use crate::sums::VECTORS;
use crate::vectors::{Kernel, Vectors};

/// Output channels of a register tile of this machine for elements of this type. Weights are packed in blocks of so
/// many.
pub fn channels_of_register_tile(data_type: DataType) -> usize {
    for_type!(data_type, T => channels_of::<T>())
}

/// The same for tensors of this scheme.
pub(crate) fn channels_of<X: Scheme>() -> usize {
    struct Channels<X>(PhantomData<X>);
    impl<X: Scheme> Kernel for Channels<X> {
        type Output = usize;
        #[inline(always)]
        fn run<S: Vectors>(self, _: S) -> usize {
            VECTORS * X::channels::<S>()
        }
    }
    isa::dispatch(Channels::<X>(PhantomData))
}
