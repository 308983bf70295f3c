//! The C functions. Each one is thin: it turns pointers into slices, once, and calls the Rust functions.
//!
//! cbindgen writes `include/convlow.h` from these modules, in the order of the list in `tools/header/build.rs`.
//!
//! Rules:
//! - Every pointer is checked for NULL and alignment.
//! - A call that is refused writes no output.
//! - A panic becomes [`status::CONVLOW_ERROR_INTERNAL`].

#![allow(clippy::missing_safety_doc)] // The C documentation of each function states its contract.

mod arguments;
mod checked;
pub mod execute;
mod fixed_text;
#[cfg(feature = "training")]
mod gradient;
pub mod info;
pub mod plan;
pub mod pool;
pub mod problem;
pub mod status;
pub mod types;
mod versioned;
pub mod wisdom;
