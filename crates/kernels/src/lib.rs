//! convlow's inner loops, and what they are made of.
//!
//! # Map
//! [`data_type`], [`axis`], [`class`] and [`geometry`] say what a convolution is; [`matrix`], [`tiles`] and [`image`] where its
//! tensors lie. [`vectors`] are the instructions that kernels are written against, [`number`] the elements that they compute
//! with, [`scheme`] the four types of a convolution, and [`isa`] says which instructions serve this process. [`end`] is what
//! becomes of a sum, [`activation`] its last step, and [`finish`] does what is left for memory.
//! The kernels: [`pixel_tile`] for convolutions, [`depthwise_tile`] and [`flat_tile`] where each channel has its own input,
//! [`plane_tile`] for patches that lie as planes, [`winograd`] with [`packed_product`], and [`moves`], [`phases`] and [`copies`]
//! for what is moved. [`register`] says how many channels a register tile has.
//!
//! Callers reach all of them through [`Tiles`] and [`Element`], whose functions are not generic: they are compiled in
//! this package, once, however many packages call them.

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
pub mod image;
pub mod isa;
pub mod lanes;
pub mod matrix;
pub mod moved;
pub mod moves;
pub mod number;
#[cfg(feature = "winograd")]
pub mod packed_product;
pub mod phases;
pub mod pixel_tile;
mod places;
pub mod plane_tile;
pub mod register;
pub mod scheme;
mod spread;
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
