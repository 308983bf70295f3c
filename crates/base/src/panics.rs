//! Panics become values here. They never print a line on the stderr of the host.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, resume_unwind};
use std::sync::OnceLock;

use crate::error::Result;

thread_local! {
    static CATCHING: Cell<bool> = const { Cell::new(false) };
}

/// Runs `f`; a panic of it is returned instead of printed, once [`silence`] has been called.
pub fn catch_quietly<R>(f: impl FnOnce() -> R) -> std::thread::Result<R> {
    let before = CATCHING.replace(true);
    let result = catch_unwind(AssertUnwindSafe(f));
    CATCHING.set(before);
    result
}

/// Leaves a computation that cannot report an error with one, for [`catch_failure`] to return.
pub fn fail(error: crate::error::Error) -> ! {
    resume_unwind(Box::new(error))
}

/// Runs `f`; what [`fail`] has left it with is returned, from whichever thread of a pool it came.
pub fn catch_failure<R>(f: impl FnOnce() -> R) -> Result<R> {
    catch_quietly(f).or_else(|payload| match payload.downcast() {
        Ok(error) => Err(*error),
        Err(payload) => resume_unwind(payload),
    })
}

/// Makes the panic hook pass over panics that [`catch_quietly`] returns. The C surface calls this, because
/// a library prints nothing unasked; a Rust host keeps the hook it has.
pub fn silence() {
    type Hook = Box<dyn Fn(&PanicHookInfo<'_>) + Sync + Send>;
    static OTHERS: OnceLock<Hook> = OnceLock::new();
    OTHERS.get_or_init(|| {
        let others = std::panic::take_hook();
        // A closure that holds nothing takes no memory on the heap, which there may be none of.
        std::panic::set_hook(Box::new(|info| {
            if let Some(others) = OTHERS.get().filter(|_| !CATCHING.get()) {
                others(info);
            }
        }));
        others
    });
}

/// The text a panic carries.
pub fn text(payload: &(dyn Any + Send)) -> &str {
    payload
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| payload.downcast_ref::<&str>().copied())
        .unwrap_or("a panic without a text")
}
