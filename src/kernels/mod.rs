//! The inner loops that are convolution's own, each written once for all vector instructions.

mod depthwise_tile;
mod flat_tile;
pub mod isa;
mod pixel_tile;
mod places;
mod plane_tile;
#[cfg(feature = "winograd")]
mod product;
mod sums;

pub use depthwise_tile::DepthwiseTile;
pub use flat_tile::{FlatRun, FlatTile};
pub use pixel_tile::{Blocks, KEPT_BYTES, MOST_TAPS, PixelTile, channels_of_block};
pub use plane_tile::{PlaneTile, channels_of_rows};
#[cfg(feature = "winograd")]
pub use product::Product;
