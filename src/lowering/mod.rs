//! Data movement that the families share: views of the input, patches, shifted adds, the epilogue, the
//! packing of weights, and Winograd's transforms.

pub mod epilogue;
pub mod image;
pub mod lanes;
pub mod moves;
pub mod patches;
pub mod phases;
pub mod weights;
#[cfg(feature = "winograd")]
pub mod winograd;
