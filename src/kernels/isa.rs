//! Which vector instructions serve.

use pulp::{Arch, WithSimd};

/// Runs `f` compiled for the instructions of this machine.
#[inline]
pub fn dispatch<F: WithSimd>(f: F) -> F::Output {
    Arch::new().dispatch(f)
}
