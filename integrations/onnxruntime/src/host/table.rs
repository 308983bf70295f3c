//! The host's functions as it hands them over, and how results become its statuses and back.

use std::ffi::{CStr, CString, c_char};
use std::panic::{AssertUnwindSafe, catch_unwind};

use ort_sys::{OrtApi, OrtApiBase, OrtErrorCode, OrtStatusPtr};

use super::failure::{Failure, Result};
use crate::reserve;
use crate::sys::{API_VERSION, EpApi};

/// The host's functions. Both tables are the host's own and live as long as its library, which outlives this one.
#[derive(Clone, Copy)]
pub struct Host {
    pub(super) api: &'static OrtApi,
    pub(super) ep: &'static EpApi,
}

/// No error.
pub const OK: OrtStatusPtr = OrtStatusPtr(std::ptr::null_mut());

/// The version of the API with which execution provider libraries came.
const FIRST_VERSION_OF_LIBRARIES: u32 = 22;

impl Host {
    /// The functions behind a base.
    ///
    /// # Errors
    /// A status of the host that says that it is too old; none if it is too old to say so.
    ///
    /// # Safety
    /// The base is the host's.
    pub unsafe fn new(base: *const OrtApiBase) -> std::result::Result<Self, OrtStatusPtr> {
        // SAFETY: the caller's promise.
        let base = unsafe { &*base };
        // SAFETY: the base's function takes any number; a version that the host does not know is null.
        let api: Option<&'static OrtApi> = unsafe { (base.GetApi)(API_VERSION).as_ref() };
        let Some(api) = api else { return Err(Self::too_old(base)) };
        // SAFETY: an API of this version has the table of functions for providers, which begins as `EpApi`.
        let ep = unsafe { &*(api.GetEpApi)().cast::<EpApi>() };
        Ok(Self { api, ep })
    }

    /// A status of a host that does not know the version that this crate is written for.
    fn too_old(base: &OrtApiBase) -> OrtStatusPtr {
        // SAFETY: the base is the host's, whose texts live as long as its library.
        let version = unsafe { text_of((base.GetVersionString)()) };
        let text = format!("convlow needs ONNX Runtime 1.{API_VERSION} or newer, but this is {version}");
        // SAFETY: as in `new`.
        let old = unsafe { (base.GetApi)(FIRST_VERSION_OF_LIBRARIES) };
        if old.is_null() {
            return OK;
        }
        // SAFETY: the struct of an older version is shorter, but begins alike; nothing behind this field is read.
        let create = unsafe { std::ptr::addr_of!((*old).CreateStatus).read() };
        // SAFETY: the text ends with a zero, and the host copies it.
        unsafe { create(OrtErrorCode::ORT_NOT_IMPLEMENTED, c_string(&text).as_ptr()) }
    }

    /// A status of a text, which the host copies.
    fn status(self, text: &CStr) -> OrtStatusPtr {
        // SAFETY: a `CStr` ends with a zero.
        unsafe { (self.api.CreateStatus)(OrtErrorCode::ORT_EP_FAIL, text.as_ptr()) }
    }

    /// Runs the body of a function that the host has called. Nothing unwinds into the host.
    pub fn guard(self, f: impl FnOnce() -> Result<()>) -> OrtStatusPtr {
        if !reserve::is_intact() {
            return self.status(c"convlow has no memory left");
        }
        match catch_unwind(AssertUnwindSafe(f)) {
            Ok(Ok(())) => OK,
            Ok(Err(Failure(text))) => self.status(&c_string(&text)),
            Err(_) => self.status(c"convlow has a defect: a panic"),
        }
    }

    /// `Err` with the status's text unless it is none.
    pub(super) fn check(self, status: OrtStatusPtr) -> Result<()> {
        if status.0.is_null() {
            return Ok(());
        }
        // SAFETY: only the host makes statuses that are not null, and the text lives as long as the status.
        let text = unsafe { text_of((self.api.GetErrorMessage)(status.0)) };
        // SAFETY: `OrtStatusPtr` is moved in here, and nobody has another one of this status.
        unsafe { (self.api.ReleaseStatus)(status.0) };
        Err(Failure(text))
    }
}

/// A text of the host's, or none.
///
/// # Safety
/// It is null or ends with a zero.
pub(super) unsafe fn text_of(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

/// A text for the host, up to the first zero.
pub(super) fn c_string(text: &str) -> CString {
    let text = text.split('\0').next().unwrap_or_default();
    CString::new(text).unwrap_or_default()
}
