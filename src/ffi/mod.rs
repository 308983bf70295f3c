//! The C surface: thin functions that turn pointers into slices, once, and call the Rust surface.
//!
//! cbindgen writes `include/convlow.h` from the modules here, in the order that build.rs names.
//!
//! Rules: every pointer is checked for NULL and alignment; outputs are written only on success; a panic
//! becomes [`status::CONVLOW_ERROR_INTERNAL`].

#![allow(clippy::missing_safety_doc)] // The C documentation of each function states its contract.

mod arguments;
mod checked;
mod fixed_text;
pub mod info;
pub mod plan;
pub mod pool;
pub mod problem;
pub mod status;
pub mod types;
mod versioned;
pub mod wisdom;
