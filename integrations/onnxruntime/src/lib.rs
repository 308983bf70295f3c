//! A plug-in execution provider for ONNX Runtime 1.23 and newer: its convolutions are computed by convlow.
//!
//! # Map
//! [`sys`] declares what a provider implements; [`host`] is what ONNX Runtime shows and does, behind results and views. A
//! factory, here, makes a [`provider`] for each session by its [`options`]. The provider claims each [`chain`] of a
//! convolution and what its end can do, and makes a [`layer`] of it: weights packed once by its [`geometry`], plans for the
//! sizes that are seen. Layers share a [`session`]. Where memory is short there is a [`reserve`].

mod between;
mod chain;
mod geometry;
mod host;
mod layer;
mod layouts;
mod line;
mod moves;
mod options;
mod provider;
mod reserve;
mod session;
mod sys;
mod tail;

use std::ffi::{CStr, c_char};

use ort_sys::{
    OrtAllocator, OrtApiBase, OrtEpDevice, OrtHardwareDevice, OrtKeyValuePairs, OrtLogger, OrtMemoryInfo,
    OrtSessionOptions, OrtStatusPtr,
};

use host::{Host, OK};
use options::Options;
use provider::Provider;
use session::Session;
use sys::{
    API_VERSION, CreateEpFactories, DataTransfer, Ep, EpFactory, MemoryDevice, ReleaseEpFactory, SyncStream,
};

/// The provider's name: options are entries `ep.convlow.*`.
const NAME: &CStr = c"convlow";
/// `CARGO_PKG_VERSION` for C.
const VERSION: &CStr = match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
    Ok(version) => version,
    Err(_) => panic!("a version has no zero in it"),
};

/// What the host sees of a factory comes first.
#[repr(C)]
struct Factory {
    factory: EpFactory,
    host: Host,
}

/// Makes the factory. ONNX Runtime calls it when the library is registered.
///
/// # Safety
/// Called by ONNX Runtime, as its header declares.
#[unsafe(no_mangle)]
#[allow(non_snake_case)]
pub unsafe extern "C" fn CreateEpFactories(
    _registered_name: *const c_char,
    api: *const OrtApiBase,
    _logger: *const OrtLogger,
    factories: *mut *mut EpFactory,
    max_factories: usize,
    num_factories: *mut usize,
) -> OrtStatusPtr {
    // SAFETY: the host's base, and places for so many factories.
    unsafe {
        *num_factories = 0;
        let host = match Host::new(api) {
            Ok(host) => host,
            Err(status) => return status,
        };
        if max_factories == 0 {
            return OK;
        }
        let factory = EpFactory {
            version: API_VERSION,
            get_name,
            get_vendor,
            get_supported_devices,
            create_ep,
            release_ep,
            get_vendor_id,
            get_version,
            validate_compiled_model_compatibility_info: None,
            create_allocator,
            release_allocator,
            create_data_transfer,
            is_stream_aware,
            create_sync_stream_for_device,
        };
        *factories = Box::into_raw(Box::new(Factory { factory, host })).cast();
        *num_factories = 1;
        OK
    }
}

/// Frees the factory.
///
/// # Safety
/// Called by ONNX Runtime, as its header declares.
#[unsafe(no_mangle)]
#[allow(non_snake_case)]
pub unsafe extern "C" fn ReleaseEpFactory(factory: *mut EpFactory) -> OrtStatusPtr {
    // SAFETY: one that `CreateEpFactories` made.
    drop(unsafe { Box::from_raw(factory.cast::<Factory>()) });
    OK
}

const _: CreateEpFactories = CreateEpFactories;
const _: ReleaseEpFactory = ReleaseEpFactory;

/// Writes what is told of the session of this id (its option `id`), up to `len` bytes with a zero at the end, and returns how
/// many bytes there are without the zero; 0 if no session of this id is open. A line for each Conv and ConvTranspose: name,
/// fused nodes, algorithm, bytes of workspace and of packed weights, and the reason if it is left to ONNX Runtime.
///
/// # Safety
/// `id` ends with a zero, and there are `len` bytes at `to`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn convlow_onnxruntime_report(id: *const c_char, to: *mut c_char, len: usize) -> usize {
    // SAFETY: the caller's promise.
    let id = unsafe { CStr::from_ptr(id) }.to_string_lossy();
    let Some(session) = Session::named(&id) else { return 0 };
    let report = session.report();
    if len > 0 {
        let count = report.len().min(len - 1);
        // SAFETY: so many bytes and a zero have room.
        unsafe {
            std::ptr::copy_nonoverlapping(report.as_ptr().cast(), to, count);
            *to.add(count) = 0;
        }
    }
    report.len()
}

unsafe extern "system" fn get_name(_: *const EpFactory) -> *const c_char {
    NAME.as_ptr()
}

unsafe extern "system" fn get_vendor(_: *const EpFactory) -> *const c_char {
    NAME.as_ptr()
}

unsafe extern "system" fn get_vendor_id(_: *const EpFactory) -> u32 {
    0
}

unsafe extern "system" fn get_version(_: *const EpFactory) -> *const c_char {
    VERSION.as_ptr()
}

/// The CPU.
unsafe extern "system" fn get_supported_devices(
    this: *mut EpFactory,
    devices: *const *const OrtHardwareDevice,
    num_devices: usize,
    ep_devices: *mut *mut OrtEpDevice,
    max_ep_devices: usize,
    num_ep_devices: *mut usize,
) -> OrtStatusPtr {
    // SAFETY: the host passes what `CreateEpFactories` made, and arrays of so many.
    unsafe {
        let host = (*this.cast::<Factory>()).host;
        *num_ep_devices = 0;
        host.guard(|| {
            for at in 0..num_devices {
                let device = *devices.add(at);
                if host.is_cpu(device) && *num_ep_devices < max_ep_devices {
                    let mut made = std::ptr::null_mut();
                    let none = std::ptr::null();
                    host.check((host.ep.create_ep_device)(this, device, none, none, &mut made))?;
                    *ep_devices.add(*num_ep_devices) = made;
                    *num_ep_devices += 1;
                }
            }
            Ok(())
        })
    }
}

unsafe extern "system" fn create_ep(
    this: *mut EpFactory,
    _: *const *const OrtHardwareDevice,
    _: *const *const OrtKeyValuePairs,
    _: usize,
    session_options: *const OrtSessionOptions,
    logger: *const OrtLogger,
    ep: *mut *mut Ep,
) -> OrtStatusPtr {
    // SAFETY: the host passes what `CreateEpFactories` made, its options and a place for the provider.
    unsafe {
        let host = (*this.cast::<Factory>()).host;
        *ep = std::ptr::null_mut();
        host.guard(|| {
            let options = Options::of(host.config_entries(session_options)?)?;
            *ep = Provider::create(host, logger, Session::new(options)?);
            Ok(())
        })
    }
}

unsafe extern "system" fn release_ep(_: *mut EpFactory, ep: *mut Ep) {
    // SAFETY: one that `create_ep` made.
    unsafe { Provider::release(ep) };
}

/// The host's own allocator.
unsafe extern "system" fn create_allocator(
    _: *mut EpFactory,
    _: *const OrtMemoryInfo,
    _: *const OrtKeyValuePairs,
    allocator: *mut *mut OrtAllocator,
) -> OrtStatusPtr {
    // SAFETY: the host's place for it.
    unsafe { *allocator = std::ptr::null_mut() };
    OK
}

unsafe extern "system" fn release_allocator(_: *mut EpFactory, _: *mut OrtAllocator) {}

unsafe extern "system" fn create_data_transfer(
    _: *mut EpFactory,
    transfer: *mut *mut DataTransfer,
) -> OrtStatusPtr {
    // SAFETY: the host's place for it.
    unsafe { *transfer = std::ptr::null_mut() };
    OK
}

unsafe extern "system" fn is_stream_aware(_: *const EpFactory) -> bool {
    false
}

unsafe extern "system" fn create_sync_stream_for_device(
    _: *mut EpFactory,
    _: *const MemoryDevice,
    _: *const OrtKeyValuePairs,
    stream: *mut *mut SyncStream,
) -> OrtStatusPtr {
    // SAFETY: the host's place for it.
    unsafe { *stream = std::ptr::null_mut() };
    OK
}
