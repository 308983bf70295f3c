//! What the gang's protocol is made of: the standard library's locks and atomics. Under `--cfg convlow_loom` they are loom's,
//! which tries the orders in which threads may take their steps, and what each may see of the others'.

#[cfg(not(convlow_loom))]
pub(super) use std::sync::{
    Condvar, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
};

#[cfg(convlow_loom)]
pub(super) use loom::sync::{
    Condvar, Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
};
#[cfg(convlow_loom)]
pub(super) use std::sync::PoisonError;

/// What a mutex held, nobody having it any more.
pub(super) fn into_inner<T>(mutex: Mutex<T>) -> T {
    mutex.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// What a lock guards: plain values that stay consistent whatever panics, so that poison means nothing.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a lock guards once the variable has been signalled, or without a reason.
pub(super) fn wait<'a, T>(variable: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
    variable.wait(guard).unwrap_or_else(PoisonError::into_inner)
}
