//! The convolution algorithms: what each one is ([`Algorithm`]), the registry of all of them, and a file for each family.

mod algorithm;
mod conv1x1;
mod cost;
mod depthwise_register;
mod direct;
mod im2col;
mod im2col_register;
mod im2row;
mod kn2;
mod kn2row_aa;
mod kn2row_flat;
mod kn2row_fold;
mod kn2row_register;
mod kn2row_tiled;
#[cfg(feature = "mec")]
mod mec;
mod product;
mod registry;
#[cfg(test)]
mod sample;
mod taps;
mod tiling;
mod winograd;
mod wrapping;

pub use algorithm::{Algorithm, Declined, Element, Limits, Prepared, Ready, Reason, Scratch, Unit};
pub use cost::{Calls, Cost};
pub use registry::{Entry, Products, REGISTRY};
