//! A plug-in execution provider for ONNX Runtime 1.23 and newer: its convolutions are computed by convlow.
//!
//! # Map
//! `sys` declares the structs that a provider implements; `host` wraps ONNX Runtime's functions into results and views. A
//! `factory` makes a `provider` for each session by its `options`. The provider claims each convolution with the nodes
//! behind it that its end can do, which `fuse` recognises, and makes a `layer` of them: weights packed once by its
//! `geometry`, plans for the sizes that are seen. Operations `between` convolutions are claimed where that spares a
//! change of layout, which `layouts` finds out. Layers share a `session`. Where memory is short there is a `reserve`.

mod between;
mod factory;
mod fuse;
mod geometry;
mod host;
mod layer;
mod layouts;
mod moves;
mod number;
mod options;
mod provider;
mod reserve;
mod session;
mod sys;

use std::ffi::{CStr, c_char};

use ort_sys::{OrtApiBase, OrtLogger, OrtStatusPtr};

use factory::Factory;
use host::{Host, OK, Shown};
use session::Session;
use sys::{CreateEpFactories, EpFactory, ReleaseEpFactory};

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
    // SAFETY: the host passes a place for the number.
    unsafe { *num_factories = 0 };
    // SAFETY: the host passes its base.
    let host = match unsafe { Host::new(api) } {
        Ok(host) => host,
        Err(status) => return status,
    };
    if max_factories > 0 {
        // SAFETY: the host passes places for so many factories and their number.
        unsafe {
            *factories = Factory::new(host).show();
            *num_factories = 1;
        }
    }
    OK
}

/// Frees the factory.
///
/// # Safety
/// Called by ONNX Runtime, as its header declares.
#[unsafe(no_mangle)]
#[allow(non_snake_case)]
pub unsafe extern "C" fn ReleaseEpFactory(factory: *mut EpFactory) -> OrtStatusPtr {
    // SAFETY: the host passes a `Factory` that `CreateEpFactories` showed, when nothing uses it any more.
    unsafe { Factory::take_back(factory) };
    OK
}

const _: CreateEpFactories = CreateEpFactories;
const _: ReleaseEpFactory = ReleaseEpFactory;

/// Writes the report of the session of this id (its option `id`), up to `len` bytes with a zero at the end, and returns how
/// many bytes there are without the zero; 0 if no session of this id is open. A line for each Conv and ConvTranspose, with
/// tabs between: name, fused nodes, algorithm, the input's sizes that the figures are for (behind `~` if some are assumed,
/// because no run has told them yet), bytes of workspace and of packed weights, and the reason if it is left to ONNX
/// Runtime. If several sessions of this id are open, their reports follow one another, each begun by a form feed.
///
/// # Safety
/// `id` ends with a zero, and there are `len` bytes at `to`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn convlow_onnxruntime_report(id: *const c_char, to: *mut c_char, len: usize) -> usize {
    // SAFETY: the caller's promise.
    let id = unsafe { CStr::from_ptr(id) }.to_string_lossy();
    let reports: Vec<String> = Session::named(&id).iter().map(|session| session.report()).collect();
    let report = match reports.as_slice() {
        [one] => one.clone(),
        several => several.iter().map(|report| format!("\x0c{report}")).collect(),
    };
    if len > 0 {
        let count = report.len().min(len - 1);
        // SAFETY: so many bytes and a zero have room, and the report is no memory of the caller's.
        unsafe {
            std::ptr::copy_nonoverlapping(report.as_ptr().cast(), to, count);
            *to.add(count) = 0;
        }
    }
    report.len()
}
