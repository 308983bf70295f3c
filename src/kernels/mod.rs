//! The inner loops that are convolution's own, each written once and generic over the vector instructions.

mod register_tile;

pub use self::register_tile::{PixelTile, channels_of_block};
