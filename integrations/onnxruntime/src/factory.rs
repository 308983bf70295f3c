//! The factory of providers: its name, its devices, and the objects that it creates.

use std::ffi::{CStr, c_char};
use std::ptr::NonNull;

use ort_sys::{
    OrtAllocator, OrtEpDevice, OrtHardwareDevice, OrtKeyValuePairs, OrtLogger, OrtMemoryInfo,
    OrtSessionOptions, OrtStatusPtr,
};

use crate::host::{Handle, Host, Log, OK, Shown, config_entries};
use crate::options::{NAME, Options};
use crate::provider::Provider;
use crate::session::Session;
use crate::sys::{API_VERSION, DataTransfer, Ep, EpFactory, MemoryDevice, SyncStream};

/// `CARGO_PKG_VERSION` for C.
const VERSION: &CStr = match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
    Ok(version) => version,
    Err(_) => panic!("a version has no zero in it"),
};

/// A factory. The host sees its first field.
#[repr(C)]
pub struct Factory {
    factory: EpFactory,
    host: Host,
}

// SAFETY: it is `repr(C)` and begins with an `EpFactory`.
unsafe impl Shown for Factory {
    type Seen = EpFactory;
}

impl Factory {
    pub fn new(host: Host) -> Self {
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
        Self { factory, host }
    }
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
    // SAFETY: the host passes a shown `Factory`.
    let host = unsafe { Factory::whole(this) }.host;
    // SAFETY: the host passes a place for the number.
    let count = unsafe { &mut *num_ep_devices };
    *count = 0;
    host.guard(|| {
        let this = NonNull::new(this).ok_or("ONNX Runtime has a defect: no factory")?;
        for at in 0..num_devices {
            // SAFETY: the host passes an array of so many devices, which live as long as this call.
            let Some(device) = (unsafe { Handle::new(host, *devices.add(at)) }) else { continue };
            if host.is_cpu(device) && *count < max_ep_devices {
                let made = host.device_of(this, device)?;
                // SAFETY: the host passes an array of `max_ep_devices` places.
                unsafe { *ep_devices.add(*count) = made };
                *count += 1;
            }
        }
        Ok(())
    })
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
    // SAFETY: the host passes a shown `Factory`.
    let host = unsafe { Factory::whole(this) }.host;
    // SAFETY: the host passes a place for the provider.
    let ep = unsafe { &mut *ep };
    *ep = std::ptr::null_mut();
    host.guard(|| {
        // SAFETY: the host passes options that live as long as this call, or none.
        let entries = match unsafe { Handle::new(host, session_options) } {
            Some(options) => config_entries(options)?,
            None => Vec::new(),
        };
        let options = Options::of(entries)?;
        // SAFETY: the host's logger is the session's, which outlives its providers.
        let log = unsafe { Log::new(host, logger, options.verbose) };
        *ep = Provider::new(host, log, Session::new(options)?).show();
        Ok(())
    })
}

unsafe extern "system" fn release_ep(_: *mut EpFactory, ep: *mut Ep) {
    // SAFETY: the host passes a `Provider` that `create_ep` showed, when nothing uses it any more.
    unsafe { Provider::take_back(ep) };
}

/// The host's own allocator.
unsafe extern "system" fn create_allocator(
    _: *mut EpFactory,
    _: *const OrtMemoryInfo,
    _: *const OrtKeyValuePairs,
    allocator: *mut *mut OrtAllocator,
) -> OrtStatusPtr {
    // SAFETY: the host passes a place for it.
    unsafe { *allocator = std::ptr::null_mut() };
    OK
}

unsafe extern "system" fn release_allocator(_: *mut EpFactory, _: *mut OrtAllocator) {}

unsafe extern "system" fn create_data_transfer(
    _: *mut EpFactory,
    transfer: *mut *mut DataTransfer,
) -> OrtStatusPtr {
    // SAFETY: the host passes a place for it.
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
    // SAFETY: the host passes a place for it.
    unsafe { *stream = std::ptr::null_mut() };
    OK
}
