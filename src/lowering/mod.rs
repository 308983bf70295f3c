//! The moves of data that the families share: views of the input, patches, and the packing of weights.

pub mod image;
pub mod patches;
mod weight_order;
pub mod weights;
