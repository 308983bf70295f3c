//! The workspace of a call: each thread that calls keeps one, of at most the limit that the user sets.

use std::cell::Cell;

use convlow::{Buffer, Element, Result};

thread_local! {
    static WORKSPACE: Cell<Buffer> = Cell::new(Buffer::default());
}

/// Calls with so many bytes; says whether there was memory and the call succeeded.
pub fn with_workspace<T: Element>(bytes: usize, call: impl FnOnce(&mut [T]) -> Result<()>) -> bool {
    if bytes == 0 {
        return call(&mut []).is_ok();
    }
    let mut buffer = WORKSPACE.take();
    if buffer.bytes().len() < bytes {
        // The old one goes first, so that both are never there at once.
        drop(buffer);
        let Ok(longer) = Buffer::new(bytes) else { return false };
        buffer = longer;
    }
    let done = call(buffer.elements_mut()).is_ok();
    WORKSPACE.set(buffer);
    done
}

/// Frees this thread's workspace.
pub fn forget() {
    WORKSPACE.take();
}
