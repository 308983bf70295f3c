//! The part of ONNX Runtime's C API that execution providers implement, which `ort-sys` does not have: structs of functions,
//! as `onnxruntime_ep_c_api.h` declares them up to API version 23. A host reads no members of a struct that are younger than
//! the version in it.

use std::ffi::{c_char, c_void};

use ort_sys::{
    OrtAllocator, OrtApiBase, OrtEpDevice, OrtGraph, OrtHardwareDevice, OrtKernelContext, OrtKeyValuePairs,
    OrtLogger, OrtMemoryInfo, OrtNode, OrtSessionOptions, OrtStatusPtr,
};

/// The API version that everything here is written for: ONNX Runtime 1.23.
pub const API_VERSION: u32 = 23;

/// Types of which only the host knows the inside.
macro_rules! opaque {
    ($($name:ident),*) => {$(
        #[repr(C)]
        pub struct $name {
            _inside: [u8; 0],
        }
    )*};
}

opaque!(GraphSupportInfo, MemoryDevice, NodeComputeContext, DataTransfer, SyncStream);

/// A function that a provider may leave out, and that this one does: the host never calls it, so that its type does not
/// matter.
pub type LeftOut = Option<unsafe extern "system" fn()>;

/// `OrtEpFactory`: creates an execution provider for each session. Members since version 22, and from `get_vendor_id` on
/// since 23.
#[repr(C)]
pub struct EpFactory {
    pub version: u32,
    pub get_name: unsafe extern "system" fn(this: *const EpFactory) -> *const c_char,
    pub get_vendor: unsafe extern "system" fn(this: *const EpFactory) -> *const c_char,
    pub get_supported_devices: unsafe extern "system" fn(
        this: *mut EpFactory,
        devices: *const *const OrtHardwareDevice,
        num_devices: usize,
        ep_devices: *mut *mut OrtEpDevice,
        max_ep_devices: usize,
        num_ep_devices: *mut usize,
    ) -> OrtStatusPtr,
    pub create_ep: unsafe extern "system" fn(
        this: *mut EpFactory,
        devices: *const *const OrtHardwareDevice,
        metadata: *const *const OrtKeyValuePairs,
        num_devices: usize,
        session_options: *const OrtSessionOptions,
        logger: *const OrtLogger,
        ep: *mut *mut Ep,
    ) -> OrtStatusPtr,
    pub release_ep: unsafe extern "system" fn(this: *mut EpFactory, ep: *mut Ep),
    pub get_vendor_id: unsafe extern "system" fn(this: *const EpFactory) -> u32,
    pub get_version: unsafe extern "system" fn(this: *const EpFactory) -> *const c_char,
    pub validate_compiled_model_compatibility_info: LeftOut,
    pub create_allocator: unsafe extern "system" fn(
        this: *mut EpFactory,
        memory: *const OrtMemoryInfo,
        options: *const OrtKeyValuePairs,
        allocator: *mut *mut OrtAllocator,
    ) -> OrtStatusPtr,
    pub release_allocator: unsafe extern "system" fn(this: *mut EpFactory, allocator: *mut OrtAllocator),
    pub create_data_transfer:
        unsafe extern "system" fn(this: *mut EpFactory, transfer: *mut *mut DataTransfer) -> OrtStatusPtr,
    pub is_stream_aware: unsafe extern "system" fn(this: *const EpFactory) -> bool,
    pub create_sync_stream_for_device: unsafe extern "system" fn(
        this: *mut EpFactory,
        device: *const MemoryDevice,
        options: *const OrtKeyValuePairs,
        stream: *mut *mut SyncStream,
    ) -> OrtStatusPtr,
}

/// `OrtEp`: the execution provider of a session. `get_name` since version 22, everything else since 23.
#[repr(C)]
pub struct Ep {
    pub version: u32,
    pub get_name: unsafe extern "system" fn(this: *const Ep) -> *const c_char,
    pub get_capability: unsafe extern "system" fn(
        this: *mut Ep,
        graph: *const OrtGraph,
        support: *mut GraphSupportInfo,
    ) -> OrtStatusPtr,
    pub compile: unsafe extern "system" fn(
        this: *mut Ep,
        graphs: *mut *const OrtGraph,
        fused_nodes: *mut *const OrtNode,
        count: usize,
        compute_infos: *mut *mut NodeComputeInfo,
        context_nodes: *mut *mut OrtNode,
    ) -> OrtStatusPtr,
    pub release_node_compute_infos:
        unsafe extern "system" fn(this: *mut Ep, compute_infos: *mut *mut NodeComputeInfo, count: usize),
    pub get_preferred_data_layout: LeftOut,
    pub should_convert_data_layout_for_op: LeftOut,
    pub set_dynamic_options: LeftOut,
    pub on_run_start: LeftOut,
    pub on_run_end: LeftOut,
    pub create_allocator: LeftOut,
    pub create_sync_stream_for_device: LeftOut,
    pub get_compiled_model_compatibility_info: LeftOut,
}

/// `OrtNodeComputeInfo`: the functions of a fused node. Since version 23.
#[repr(C)]
pub struct NodeComputeInfo {
    pub version: u32,
    pub create_state: unsafe extern "system" fn(
        this: *mut NodeComputeInfo,
        context: *mut NodeComputeContext,
        state: *mut *mut c_void,
    ) -> OrtStatusPtr,
    pub compute: unsafe extern "system" fn(
        this: *mut NodeComputeInfo,
        state: *mut c_void,
        context: *mut OrtKernelContext,
    ) -> OrtStatusPtr,
    pub release_state: unsafe extern "system" fn(this: *mut NodeComputeInfo, state: *mut c_void),
}

/// `OrtNodeFusionOptions`. Since version 23.
#[repr(C)]
pub struct NodeFusionOptions {
    pub version: u32,
    pub drop_constant_initializers: bool,
}

/// The front of `OrtEpApi`: the host's functions for execution providers. The first two functions since version 22, the third
/// since 23.
#[repr(C)]
pub struct EpApi {
    pub create_ep_device: unsafe extern "system" fn(
        factory: *mut EpFactory,
        device: *const OrtHardwareDevice,
        metadata: *const OrtKeyValuePairs,
        options: *const OrtKeyValuePairs,
        ep_device: *mut *mut OrtEpDevice,
    ) -> OrtStatusPtr,
    pub release_ep_device: unsafe extern "system" fn(ep_device: *mut OrtEpDevice),
    pub add_nodes_to_fuse: unsafe extern "system" fn(
        support: *mut GraphSupportInfo,
        nodes: *const *const OrtNode,
        num_nodes: usize,
        options: *const NodeFusionOptions,
    ) -> OrtStatusPtr,
}

/// `CreateEpApiFactoriesFn` and `ReleaseEpApiFactoryFn`: the signatures of the functions that the library exports.
pub type CreateEpFactories = unsafe extern "C" fn(
    registered_name: *const c_char,
    api: *const OrtApiBase,
    logger: *const OrtLogger,
    factories: *mut *mut EpFactory,
    max_factories: usize,
    num_factories: *mut usize,
) -> OrtStatusPtr;
pub type ReleaseEpFactory = unsafe extern "C" fn(factory: *mut EpFactory) -> OrtStatusPtr;

#[cfg(test)]
mod header;
