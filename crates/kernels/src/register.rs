//! The width of register tiles on this machine.

use crate::data_type::DataType;
use crate::isa;
use crate::number::Number;
use crate::sums::VECTORS;
use crate::vectors::{Kernel, Vectors};

/// Output channels of a register tile of this machine for elements of this type. Weights are packed in blocks of so many.
pub fn channels_of_register_tile(data_type: DataType) -> usize {
    struct Channels(DataType);
    impl Kernel for Channels {
        type Output = usize;
        #[inline(always)]
        fn run<S: Vectors>(self, _: S) -> usize {
            let lanes = match self.0 {
                DataType::F32 => f32::lanes::<S>(),
                DataType::F64 => f64::lanes::<S>(),
            };
            VECTORS * lanes
        }
    }
    isa::dispatch(Channels(data_type))
}
