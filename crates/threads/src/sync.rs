//! The primitives of the gang's protocol: locks and atomics of the standard library, and threads of the system.
//!
//! Under `--cfg convlow_loom` they are those of loom. Loom tries the orders in which threads may take their steps,
//! and the values that each thread may see from the others.

use std::ffi::c_void;

#[cfg(not(convlow_loom))]
pub(crate) use std::sync::{
    Condvar, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
};

#[cfg(convlow_loom)]
pub(crate) use loom::sync::{
    Condvar, Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
};
#[cfg(convlow_loom)]
pub(crate) use std::sync::PoisonError;

/// What a mutex held, nobody having it any more.
pub(crate) fn into_inner<T>(mutex: Mutex<T>) -> T {
    mutex.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// What a lock guards: plain values that stay consistent whatever panics, so that poison means nothing.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a lock guards once the variable has been signalled, or without a reason.
pub(crate) fn wait<'a, T>(variable: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
    variable.wait(guard).unwrap_or_else(PoisonError::into_inner)
}

/// What a thread does from its start to its end, with what it shares with others.
pub(crate) trait Life: Sync {
    /// All of it.
    fn live(&self);
}

extern "C" fn live<T: Life>(shared: *mut c_void) -> *mut c_void {
    // SAFETY: `Thread::start` passes a `T`, which its caller keeps until the thread has been joined, and to which all of them
    // have no more than a shared reference.
    unsafe { &*shared.cast_const().cast::<T>() }.live();
    std::ptr::null_mut()
}

/// A thread that was started, to be joined.
#[cfg(not(convlow_loom))]
pub(crate) struct Thread(libc::pthread_t);

// SAFETY: any thread may join it. What names a thread is a pointer in musl, an integer elsewhere.
#[cfg(not(convlow_loom))]
unsafe impl Send for Thread {}
// SAFETY: a reference to it does nothing.
#[cfg(not(convlow_loom))]
unsafe impl Sync for Thread {}

#[cfg(not(convlow_loom))]
impl Thread {
    /// Starts one that takes no signals, or gives the number of the system's error.
    ///
    /// # Safety
    /// `shared` is a `T` that lives until the thread has been joined, and is not borrowed mutably before.
    pub unsafe fn start<T: Life>(shared: *const T) -> Result<Self, i32> {
        use std::mem::MaybeUninit;

        /// Bytes of its stack: those of `std::thread`.
        const STACK: usize = 2 << 20;
        let shared = shared.cast_mut().cast();
        let mut thread = MaybeUninit::uninit();
        // SAFETY: the attributes are initialised before they are used, and so are the sets of signals. A new thread begins
        // with the signals that its maker blocks, here all of them: they are meant for the host's threads.
        unsafe {
            let mut attributes = MaybeUninit::uninit();
            match libc::pthread_attr_init(attributes.as_mut_ptr()) {
                0 => {}
                error => return Err(error),
            }
            libc::pthread_attr_setstacksize(attributes.as_mut_ptr(), STACK);
            let (mut all, mut before) = (MaybeUninit::uninit(), MaybeUninit::uninit());
            libc::sigfillset(all.as_mut_ptr());
            libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr());
            let error = libc::pthread_create(thread.as_mut_ptr(), attributes.as_ptr(), live::<T>, shared);
            libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), std::ptr::null_mut());
            libc::pthread_attr_destroy(attributes.as_mut_ptr());
            if error == 0 { Ok(Self(thread.assume_init())) } else { Err(error) }
        }
    }

    /// Waits for its end, which says nothing: it catches every panic.
    pub fn join(self) {
        // SAFETY: `start` made the thread, and it is joined once.
        unsafe { libc::pthread_join(self.0, std::ptr::null_mut()) };
    }
}

/// One of loom's.
#[cfg(convlow_loom)]
pub(crate) struct Thread(loom::thread::JoinHandle<()>);

#[cfg(convlow_loom)]
impl Thread {
    /// As that of the system's threads.
    ///
    /// # Safety
    /// The same.
    pub unsafe fn start<T: Life>(shared: *const T) -> Result<Self, i32> {
        let shared = shared.expose_provenance();
        Ok(Self(loom::thread::spawn(move || {
            live::<T>(std::ptr::with_exposed_provenance_mut(shared));
        })))
    }

    pub fn join(self) {
        _ = self.0.join();
    }
}
