//! The parts that every package of convlow needs: failures ([`error`]), allocations that may fail ([`memory`]), and
//! panics that become values ([`panics`]).

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
