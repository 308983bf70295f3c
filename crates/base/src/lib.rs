//! What every package of convlow needs: [`error`] is all that can go wrong, [`memory`] may be refused, and [`panics`] become
//! values.

pub mod error;
pub mod memory;
pub mod panics;

/// `Err(InvalidArgument)` with a formatted message.
#[macro_export]
macro_rules! invalid {
    ($($text:tt)*) => { Err($crate::error::Error::InvalidArgument($crate::text!($($text)*))) };
}

/// A formatted message, or as much of it as there is memory for.
#[macro_export]
macro_rules! text {
    ($($text:tt)*) => { $crate::memory::text(format_args!($($text)*)) };
}
