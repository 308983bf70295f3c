//! Winograd's minimal filtering F(m×m, r×r): the transforms of tiles, and in [`matrices`] those of lines and kernels.
//!
//! An output tile of m×m pixels is Aᵀ·[(G·g·Gᵀ) ⊙ (Bᵀ·d·B)]·A for the r×r kernel g and the α×α input tile d,
//! α = m + r − 1 (Lavin and Gray, arXiv 1509.09308).
//!
//! The transforms hold one channel in each lane of a vector. They take a cache line of channels at a time, since the
//! lines of the α² positions evict each other where these lie a multiple of 4 KiB apart. `A` is α, `R` is r throughout.

mod input;
mod lines;
pub mod matrices;
mod output;
mod strip;
mod transform;

pub use self::input::InputTransform;
pub use self::output::OutputTransform;
pub use self::strip::{Filtering, Strip};
