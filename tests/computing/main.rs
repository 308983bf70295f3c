//! What plans compute: the definition, by every algorithm, on every instructions, pool and part of a build.

#[path = "../common/mod.rs"]
mod common;

#[cfg(feature = "openblas")]
mod blas;
mod conformance;
mod depthwise;
#[cfg(feature = "training")]
#[path = "../common/gradients.rs"]
mod gradients;
mod isa;
mod parts;
mod plain_weights;
mod propagation;
#[cfg(feature = "rayon")]
mod rayon;
mod register_tile;
mod slices;
mod threads;
#[cfg(feature = "training")]
mod weight_gradients;
#[cfg(feature = "winograd")]
mod winograd;
