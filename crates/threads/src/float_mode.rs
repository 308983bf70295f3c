//! The floating-point mode of a thread: its rounding, and whether tiny numbers count as zero.
//!
//! Every thread that works on an execute takes over the mode of the calling thread. So a result does not depend on
//! the thread that computed it. This works on x86-64 (MXCSR) and AArch64 (FPCR). On other machines each thread keeps
//! its own mode.
//!
//! # A bet
//! In Rust it is undefined behaviour to change the mode of a thread, or to compute in a changed mode: the compiler
//! may assume the default mode everywhere (`_mm_setcsr` in `core::arch` says so). This file changes the mode
//! nevertheless.
//!
//! C allows a host to change its mode. Such a host has made the same bet for its own thread before it calls the
//! library. Here it is made for the other threads, because otherwise a result would differ with the thread that
//! computed it.
//!
//! Two facts keep it safe in practice:
//! - The compiler itself computes only with constants. It does so in one mode, so the result is the same for all
//!   threads.
//! - All other arithmetic of a slot loads its numbers from memory and stores its results to memory. No load and no
//!   store crosses the instructions below, because these count as reads and writes of all memory (none is `nomem` or
//!   `readonly`). They are not removed or exchanged with each other (none is `pure`). So the arithmetic stays between
//!   the instruction that takes over the mode and the instruction that restores the thread's own.
//!
//! A test compares the results of threads with those of the caller alone, in every rounding:
//! `modes_reach_every_thread` in `c_tests/guests.c`.

/// The control bits of the mode.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct FloatMode(u64);

impl FloatMode {
    /// That of the calling thread.
    pub fn current() -> Self {
        Self(read())
    }

    /// Runs `f` in this mode.
    pub fn apply<R>(self, f: impl FnOnce() -> R) -> R {
        /// Puts the thread's own mode back, also behind a panic.
        struct Restore(FloatMode);
        impl Drop for Restore {
            fn drop(&mut self) {
                write(self.0.0);
            }
        }
        let before = Self::current();
        if before == self {
            return f();
        }
        write(self.0);
        let _restore = Restore(before);
        f()
    }
}

#[cfg(all(test, any(target_arch = "x86_64", target_arch = "aarch64"), not(miri)))]
impl FloatMode {
    /// The bits that choose a rounding: upwards.
    const UPWARD: u64 = if cfg!(target_arch = "x86_64") { 0x4000 } else { 0x40_0000 };

    /// The calling thread's, but that it rounds upwards.
    pub fn upward() -> Self {
        Self(Self::current().0 | Self::UPWARD)
    }
}

/// MXCSR's low six bits: what has happened on this thread, which is no mode.
#[cfg(all(target_arch = "x86_64", not(miri)))]
const EVENTS: u32 = 0x3f;

#[cfg(all(target_arch = "x86_64", not(miri)))]
fn mxcsr() -> u32 {
    let mut mxcsr = 0u32;
    // SAFETY: stores 4 bytes to the place given.
    unsafe { std::arch::asm!("stmxcsr [{}]", in(reg) &raw mut mxcsr, options(nostack, preserves_flags)) };
    mxcsr
}

#[cfg(all(target_arch = "x86_64", not(miri)))]
fn read() -> u64 {
    (mxcsr() & !EVENTS).into()
}

#[cfg(all(target_arch = "x86_64", not(miri)))]
fn write(mode: u64) {
    let mxcsr = mode as u32 | mxcsr() & EVENTS;
    // SAFETY: loads a mode that `read` has found in a thread's register, and this thread's own events: its flags stay.
    unsafe { std::arch::asm!("ldmxcsr [{}]", in(reg) &raw const mxcsr, options(nostack, preserves_flags)) };
}

#[cfg(all(target_arch = "aarch64", not(miri)))]
fn read() -> u64 {
    let fpcr: u64;
    // SAFETY: reads a register that every program may read.
    unsafe { std::arch::asm!("mrs {}, fpcr", out(reg) fpcr, options(nostack, preserves_flags)) };
    fpcr
}

#[cfg(all(target_arch = "aarch64", not(miri)))]
fn write(mode: u64) {
    // SAFETY: writes a value that `read` has found in a thread's register. The flags are in another one.
    unsafe { std::arch::asm!("msr fpcr, {}", in(reg) mode, options(nostack, preserves_flags)) };
}

#[cfg(not(all(any(target_arch = "x86_64", target_arch = "aarch64"), not(miri))))]
fn read() -> u64 {
    0
}

#[cfg(not(all(any(target_arch = "x86_64", target_arch = "aarch64"), not(miri))))]
fn write(_: u64) {}

#[cfg(all(test, any(target_arch = "x86_64", target_arch = "aarch64"), not(miri)))]
mod tests {
    use std::hint::black_box;

    use super::*;

    /// The nearest float lies below it.
    fn minus_a_third() -> f32 {
        black_box(-1.0) / black_box(3.0)
    }

    #[test]
    fn a_mode_holds_inside_and_the_own_one_behind_it_even_behind_a_panic() {
        let own = FloatMode::current();
        let upward = FloatMode::upward();
        let nearest = minus_a_third();
        let (is_upward, above) = upward.apply(|| (FloatMode::current() == upward, minus_a_third()));
        assert!(is_upward && above > nearest);
        assert!(FloatMode::current() == own && minus_a_third() == nearest);
        let panics = std::panic::catch_unwind(|| upward.apply(|| std::panic::resume_unwind(Box::new(()))));
        assert!(panics.is_err() && FloatMode::current() == own);
    }

    /// What has happened on a host's thread is the host's.
    #[cfg(target_arch = "x86_64")]
    #[test]
    fn a_change_of_mode_keeps_the_thread_s_exceptions() {
        const INEXACT: u32 = 0x20;
        black_box(minus_a_third());
        let before = mxcsr() & EVENTS;
        assert!(before & INEXACT != 0);
        FloatMode::upward().apply(|| assert_eq!(mxcsr() & EVENTS, before));
        assert_eq!(mxcsr() & EVENTS, before);
    }
}
