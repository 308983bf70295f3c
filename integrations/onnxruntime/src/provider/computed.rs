//! A layer as ONNX Runtime holds it.

use std::ffi::c_void;

use ort_sys::{OrtKernelContext, OrtStatusPtr};

use crate::host::{Host, OK, Shown, begin};
use crate::layer::Layer;
use crate::sys::{API_VERSION, NodeComputeContext, NodeComputeInfo};

/// A layer. The host sees its first field.
#[repr(C)]
pub struct Computed {
    info: NodeComputeInfo,
    host: Host,
    layer: Box<dyn Layer>,
}

// SAFETY: it is `repr(C)` and begins with a `NodeComputeInfo`.
unsafe impl Shown for Computed {
    type Seen = NodeComputeInfo;
}

impl Computed {
    pub fn new(host: Host, layer: Box<dyn Layer>) -> Self {
        let info = NodeComputeInfo { version: API_VERSION, create_state, compute, release_state };
        Self { info, host, layer }
    }
}

unsafe extern "system" fn create_state(
    _: *mut NodeComputeInfo,
    _: *mut NodeComputeContext,
    state: *mut *mut c_void,
) -> OrtStatusPtr {
    // SAFETY: the host passes a place for it. A layer has no state.
    unsafe { *state = std::ptr::null_mut() };
    OK
}

unsafe extern "system" fn compute(
    this: *mut NodeComputeInfo,
    _: *mut c_void,
    context: *mut OrtKernelContext,
) -> OrtStatusPtr {
    // SAFETY: the host passes a shown `Computed`.
    let this = unsafe { Computed::whole(this) };
    this.host.guard(|| {
        // SAFETY: the host passes a context that lives as long as this call, and is of this call alone.
        let (call, output) = unsafe { begin(this.host, context) }?;
        this.layer.run(call, output)
    })
}

unsafe extern "system" fn release_state(_: *mut NodeComputeInfo, _: *mut c_void) {}
