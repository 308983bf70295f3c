//! A lock that a fork does not leave locked in the child.

use std::cell::UnsafeCell;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A value behind a lock, and the lock itself while the process forks.
pub struct Lock<T: 'static> {
    value: Mutex<T>,
    held: UnsafeCell<Option<MutexGuard<'static, T>>>,
}

// SAFETY: `held` is written by the thread that forks alone, while it has the lock.
unsafe impl<T: Send> Sync for Lock<T> {}

impl<T> Lock<T> {
    /// An open lock.
    pub const fn new(value: T) -> Self {
        Self { value: Mutex::new(value), held: UnsafeCell::new(None) }
    }

    /// Calls with the value.
    pub fn with<R>(&'static self, call: impl FnOnce(&mut T) -> R) -> R {
        call(&mut self.value.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Locks until [`Lock::release`].
    pub fn hold(&'static self) {
        let guard = self.value.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: this thread has the lock.
        unsafe { *self.held.get() = Some(guard) };
    }

    /// Undoes [`Lock::hold`], on the same thread or its copy in a child.
    pub fn release(&'static self) {
        // SAFETY: this thread, or the one that it is a copy of, has the lock.
        drop(unsafe { (*self.held.get()).take() });
    }
}
