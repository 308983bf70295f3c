//! Data movement that the families share: views of the input, patches, shifted adds, the epilogue, and the
//! packing of weights.

pub mod epilogue;
pub mod image;
pub mod moves;
pub mod patches;
pub mod shifted_add;
pub mod weights;
