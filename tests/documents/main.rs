//! What stands in files is true: the README, the promises, the list of the ABI, the manifests.

#[path = "../common/mod.rs"]
mod common;

mod package;
mod promises;
// The README's table has the algorithms that a GEMM multiplies for.
#[cfg(feature = "gemm")]
mod readme;
mod symbols;
