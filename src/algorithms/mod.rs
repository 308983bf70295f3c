//! The convolution algorithms: their traits ([`Algorithm`]), the registry of all of them, and one file for each
//! family. The folder `by_gemm` has those that need a GEMM.

mod algorithm;
#[cfg(feature = "gemm")]
mod by_gemm;
mod cost;
#[cfg(all(test, feature = "gemm"))]
mod cost_tests;
mod depthwise_register;
mod direct;
#[cfg(feature = "training")]
mod gradient;
mod im2col_register;
mod kn2col_register;
mod kn2row_register;
mod registry;
#[cfg(all(test, feature = "gemm"))]
mod sample;
mod tiling;
#[cfg(feature = "winograd")]
mod winograd;

pub use algorithm::{Algorithm, Declined, Element, Limits, Prepared, Ready, Reason, Scratch, Unit};
#[cfg(feature = "training")]
pub(crate) use algorithm::{GradientUnit, ReadyGradient, Roles};
pub use cost::{CACHED_BYTES, Calls, Cost};
pub use registry::{Entry, Products, REGISTRY};
