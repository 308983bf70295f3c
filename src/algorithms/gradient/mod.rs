//! The gradient of the weights: what an algorithm for it decides and computes.
//!
//! dw\[m, c, i, j\] = Σ over n, y, x of dy\[n, m, y, x\] · x\[n, c, y·s + i·d − pad, x·s + j·d − pad\]. One of the two tensors
//! holds the factors of rows (a channel under a tap), the other those of lanes (a channel): see [`form`].

mod bias;
mod blocks;
mod form;
mod moved;
mod register;
mod strips;

#[cfg(feature = "gemm")]
pub use self::bias::bias;
#[cfg(feature = "gemm")]
pub use self::blocks::PIXELS_OF_PART;
#[cfg(feature = "gemm")]
pub use self::form::Form;
pub use self::form::GradientAlgorithm;
pub use self::register::GradientRegister;
