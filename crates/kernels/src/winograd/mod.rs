//! Winograd's minimal filtering F(m×m, r×r): the transforms of tiles. [`matrices`] has those of lines and kernels.
//!
//! An output tile of m×m pixels is Aᵀ·[(G·g·Gᵀ) ⊙ (Bᵀ·d·B)]·A, for the r×r kernel g and the α×α input tile d, with
//! α = m + r − 1 (Lavin and Gray, arXiv 1509.09308).
//!
//! The transforms hold one channel in each lane of a vector, and take one cache line of channels at a time. Otherwise
//! the lines of the α² positions evict each other from the cache if the positions lie a multiple of 4 KiB apart. `A`
//! is α and `R` is r in all names.

mod input;
mod lines;
pub mod matrices;
mod output;
mod strip;
mod transform;
mod weights;

pub use self::input::InputTransform;
pub use self::output::OutputTransform;
pub use self::strip::{Filtering, Strip};
pub use self::weights::WeightsTransform;
