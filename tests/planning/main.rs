//! Which plans there are: which one AUTO takes, what they need, and what is refused.

#[path = "../common/mod.rs"]
mod common;

// They try algorithms that a GEMM multiplies for.
#[cfg(feature = "gemm")]
mod formulas;
#[cfg(feature = "gemm")]
mod planner;
mod sizes;
#[cfg(feature = "gemm")]
mod workspace;
