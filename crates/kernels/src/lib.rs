//! convlow's inner loops, and their parts.
//!
//! # Map
//! - A convolution: [`data_type`], [`axis`], [`class`] and [`geometry`].
//! - Tensors in memory: [`matrix`], [`tiles`] and [`image`].
//! - Arithmetic: [`vectors`] are the instructions that kernels use, [`number`] the elements, [`scheme`] the four
//!   types of a convolution. [`isa`] chooses the instructions of this process.
//! - The last step of a sum: [`end`], with [`activation`]; [`finish`] does the rest of it in memory.
//! - Kernels: [`pixel_tile`] for convolutions; [`depthwise_tile`] and [`flat_tile`] for channels that each have an
//!   input of their own; [`plane_tile`] for patches that lie as planes; [`packed_product`] for [`winograd`] and for
//!   [`spread_tile`], which serves few output channels; `gradient` for the weights' gradient.
//! - Moves of data: [`moves`], [`phases`] and [`copies`].
//! - [`register`]: the number of channels of a register tile.
//!
//! Callers reach all kernels through [`Tiles`] and [`Element`]. Their functions are not generic: they are compiled in
//! this package, once, for all packages that call them.

pub mod activation;
mod ahead;
pub mod axis;
pub mod class;
pub mod copies;
mod counts;
pub mod data_type;
pub mod depthwise_tile;
pub mod element;
pub mod end;
pub mod finish;
pub mod flat_tile;
pub mod geometry;
pub mod gradient;
pub mod image;
pub mod isa;
pub mod lanes;
pub mod matrix;
pub mod moved;
pub mod moves;
pub mod number;
#[cfg(test)]
mod other_registers;
pub mod packed_product;
pub mod phases;
pub mod pixel_tile;
mod places;
pub mod plane_tile;
pub mod register;
pub mod scheme;
mod spread;
pub mod spread_tile;
mod sums;
pub mod tiles;
pub mod vectors;
pub mod view;
mod width;
#[cfg(feature = "winograd")]
pub mod winograd;
mod word;

pub use element::{Element, Tiles};
pub use sums::BEHIND_WEIGHTS;
