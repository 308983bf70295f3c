//! PyTorch's convolutions by convlow.
//!
//! The Python package `convlow_torch` calls the functions of this file, by ctypes. They register kernels for `aten::convolution`
//! and `aten::convolution_backward` at the dispatch key CPU, through the C ABI that PyTorch keeps for libraries. A call then
//! goes through these parts:
//! 1. `kernels` takes the `arguments` off PyTorch's stack, and looks up in `plans` what was made for such a call.
//! 2. Where nothing was, `forward` or `backward` makes plans: `geometry` checks the sizes, `formats` says where PyTorch
//!    would have channels last, and `settings` has what the user allows.
//! 3. The plan runs on PyTorch's own `threads`, with a `workspace` that the calling thread keeps, and with plain weights or
//!    those that are kept `packed`.
//! 4. What is not served goes to PyTorch's own kernel, which lies below the dispatcher.

mod arguments;
mod backward;
mod formats;
mod forward;
mod geometry;
mod kernels;
mod lock;
mod packed;
mod plans;
mod report;
mod settings;
mod tensor;
mod threads;
mod torch;
mod workspace;

use std::ffi::{CString, c_char, c_int, c_void};
use std::ptr;
use std::sync::Once;
use std::sync::atomic::{AtomicPtr, Ordering::AcqRel};

use crate::settings::Settings;

/// The version of PyTorch whose way of passing arguments the kernels know: 2.13, in PyTorch's numbering.
const PASSED_AS_IN: u64 = 2 << 56 | 13 << 48;

/// The registration, null where there is none.
static LIBRARY: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());

/// A text for Python, which frees it by [`convlow_torch_free`].
fn text(text: String) -> *mut c_char {
    CString::new(text).map_or(ptr::null_mut(), CString::into_raw)
}

/// Registers the kernels. Null, or a sentence that says why it cannot.
#[unsafe(no_mangle)]
pub extern "C" fn convlow_torch_enable() -> *mut c_char {
    let torch = match torch::load() {
        Ok(torch) => torch,
        Err(sentence) => return text(sentence),
    };
    static FORKS: Once = Once::new();
    // SAFETY: the functions stay in the process, as Python never closes the library.
    FORKS.call_once(|| unsafe {
        libc::pthread_atfork(Some(before_fork), Some(after_fork), Some(after_fork));
    });
    let mut library = ptr::null_mut();
    let (namespace, key, file) = (c"aten", c"CPU", c"convlow_torch");
    // SAFETY: the texts end with a zero, and the kernels are of the type that the registration calls.
    let status = unsafe {
        let status = (torch.library_init)(namespace.as_ptr(), key.as_ptr(), file.as_ptr(), 0, &mut library);
        if status != 0 {
            return text("PyTorch did not take the registration of convlow's kernels".to_owned());
        }
        (torch.library_impl)(library, c"convolution".as_ptr(), kernels::convolution, PASSED_AS_IN)
            | (torch.library_impl)(
                library,
                c"convolution_backward".as_ptr(),
                kernels::convolution_backward,
                PASSED_AS_IN,
            )
    };
    delete(LIBRARY.swap(library, AcqRel));
    if status != 0 {
        convlow_torch_disable();
        return text("PyTorch did not take convlow's kernels".to_owned());
    }
    ptr::null_mut()
}

fn delete(library: *mut c_void) {
    if !library.is_null() {
        // SAFETY: the registration is ours, and deleted once.
        unsafe { (torch::torch().library_delete)(library) };
    }
}

/// Undoes the registration.
#[unsafe(no_mangle)]
pub extern "C" fn convlow_torch_disable() {
    delete(LIBRARY.swap(ptr::null_mut(), AcqRel));
}

/// Sets what later calls depend on: whether Winograd's algorithms are allowed, most bytes of workspace, threads (0: PyTorch's),
/// most bytes of packed weights, and whom to ask whether a tensor's may be kept.
#[unsafe(no_mangle)]
pub extern "C" fn convlow_torch_set(
    fast: c_int,
    workspace: usize,
    threads: u32,
    packed: usize,
    ask: *mut c_void,
) {
    Settings::set(fast != 0, workspace, threads);
    packed::set(ask, packed);
}

/// What was computed, as JSON.
#[unsafe(no_mangle)]
pub extern "C" fn convlow_torch_report() -> *mut c_char {
    text(report::json())
}

/// Frees a text.
///
/// # Safety
/// It is null or comes from a function of this library, and is freed once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn convlow_torch_free(text: *mut c_char) {
    if !text.is_null() {
        // SAFETY: the caller's promise.
        drop(unsafe { CString::from_raw(text) });
    }
}

/// Drops packed weights, plans, and the workspace of the calling thread.
#[unsafe(no_mangle)]
pub extern "C" fn convlow_torch_forget() {
    packed::forget_all();
    plans::forget();
    workspace::forget();
}

/// Drops what is kept of a tensor that goes.
#[unsafe(no_mangle)]
pub extern "C" fn convlow_torch_forget_tensor(address: usize) {
    packed::forget(address);
}

extern "C" fn before_fork() {
    plans::before_fork();
    packed::before_fork();
}

extern "C" fn after_fork() {
    packed::after_fork();
    plans::after_fork();
}
