//! A thread's floating-point mode: how it rounds, and whether tiny numbers count as zero.
//!
//! Every thread that works on an execute takes over the caller's, so that a result does not depend on which thread
//! computed it. Known for x86-64 (MXCSR) and AArch64 (FPCR); elsewhere each thread keeps its own.

/// The control bits of the mode.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct FloatMode(u64);

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

#[cfg(all(target_arch = "x86_64", not(miri)))]
fn read() -> u64 {
    let mut mxcsr = 0u32;
    // SAFETY: stores 4 bytes to the place given.
    unsafe { std::arch::asm!("stmxcsr [{}]", in(reg) &raw mut mxcsr, options(nostack, preserves_flags)) };
    // The low six bits say what has happened on this thread, which is no mode.
    (mxcsr & !0x3f).into()
}

#[cfg(all(target_arch = "x86_64", not(miri)))]
fn write(mode: u64) {
    let mxcsr = mode as u32;
    // SAFETY: loads a value that `read` has found in a thread's register.
    unsafe { std::arch::asm!("ldmxcsr [{}]", in(reg) &raw const mxcsr, options(nostack, preserves_flags)) };
}

#[cfg(all(target_arch = "aarch64", not(miri)))]
fn read() -> u64 {
    let fpcr: u64;
    // SAFETY: reads a register that every program may read.
    unsafe { std::arch::asm!("mrs {}, fpcr", out(reg) fpcr, options(nomem, nostack, preserves_flags)) };
    fpcr
}

#[cfg(all(target_arch = "aarch64", not(miri)))]
fn write(mode: u64) {
    // SAFETY: writes a value that `read` has found in a thread's register.
    unsafe { std::arch::asm!("msr fpcr, {}", in(reg) mode, options(nostack, preserves_flags)) };
}

#[cfg(not(all(any(target_arch = "x86_64", target_arch = "aarch64"), not(miri))))]
fn read() -> u64 {
    0
}

#[cfg(not(all(any(target_arch = "x86_64", target_arch = "aarch64"), not(miri))))]
fn write(_: u64) {}
