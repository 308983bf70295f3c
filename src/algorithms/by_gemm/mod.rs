//! The algorithms whose products a GEMM computes, and the parts that only they share. A build without the feature
//! `gemm` has none of them.

mod conv1x1;
#[cfg(feature = "training")]
mod gradient_kn2row;
#[cfg(feature = "training")]
mod gradient_patches;
mod im2col;
mod im2row;
mod kn2;
mod kn2row_aa;
mod kn2row_flat;
mod kn2row_fold;
mod kn2row_tiled;
#[cfg(feature = "mec")]
mod mec;
mod patches;
mod product;
mod shifted_add;
mod strips;
mod taps;
mod wrapping;

pub use conv1x1::Conv1x1;
#[cfg(feature = "training")]
pub use gradient_kn2row::GradientKn2row;
#[cfg(feature = "training")]
pub use gradient_patches::GradientPatches;
pub use im2col::Im2col;
pub use im2row::Im2row;
pub use kn2::Kn2;
pub use kn2row_aa::Kn2rowAa;
pub use kn2row_flat::Kn2rowFlat;
pub use kn2row_fold::Kn2rowFold;
pub use kn2row_tiled::Kn2rowTiled;
#[cfg(feature = "mec")]
pub use mec::Mec;
pub use patches::Fill;
pub use product::Form;
