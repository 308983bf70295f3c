//! Kernels of the gradient of the weights.
//!
//! It is a sum of products over pixels: of a factor for each row and a factor for each lane. A *row* is an input channel
//! under one tap, a *lane* an output channel. [`ProductSums`] adds the products of some pixels to sums that lie as rows ×
//! lanes, and [`WeightsMut`] takes finished sums to the caller's weights.

mod product_sums;
mod weights_mut;

pub use product_sums::{LanePlaces, ProductSums, Rows, Run, lanes_of_tile, lanes_of_vector};
pub use weights_mut::{Block, BlockMut, Extent, Partition, WeightsMut};
