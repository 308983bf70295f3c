//! Claims, devices and lines of the log for the host, and a session's configuration from it.

use std::ptr::NonNull;

use ort_sys::{
    OrtEpDevice, OrtHardwareDevice, OrtHardwareDeviceType, OrtLogger, OrtLoggingLevel, OrtNode,
    OrtSessionOptions,
};

use super::failure::Result;
use super::handle::Handle;
use super::node::Node;
use super::table::{Host, c_string, text_of};
use crate::sys::{API_VERSION, EpFactory, GraphSupportInfo, NodeFusionOptions};

/// Where the claims of a graph go to.
pub struct Support<'a>(Handle<'a, GraphSupportInfo>);

impl<'a> Support<'a> {
    pub fn new(support: Handle<'a, GraphSupportInfo>) -> Self {
        Self(support)
    }

    /// Claims nodes of the graph to be computed as one. From them no path may leave and come back.
    ///
    /// # Errors
    /// The host's.
    pub fn fuse(&mut self, nodes: &[Node<'_>]) -> Result<()> {
        let host = self.0.host();
        let nodes: Vec<*const OrtNode> = nodes.iter().map(|node| node.as_ptr()).collect();
        let options = NodeFusionOptions { version: API_VERSION, drop_constant_initializers: true };
        let support = self.0.as_ptr().cast_mut();
        // SAFETY: `Handle` and `Node` hold live objects, of which there are as many as are told, and the host copies the
        // rest.
        host.check(unsafe { (host.ep.add_nodes_to_fuse)(support, nodes.as_ptr(), nodes.len(), &options) })
    }
}

/// The log of a session, if it has one.
pub struct Log {
    logger: Option<Handle<'static, OrtLogger>>,
    level: OrtLoggingLevel,
}

impl Log {
    /// A log whose lines are shown at the host's usual level, or at none but its level VERBOSE.
    ///
    /// # Safety
    /// The logger is this host's or null, and lives as long as the `Log`.
    pub unsafe fn new(host: Host, logger: *const OrtLogger, are_shown: bool) -> Self {
        let level = match are_shown {
            true => OrtLoggingLevel::ORT_LOGGING_LEVEL_WARNING,
            false => OrtLoggingLevel::ORT_LOGGING_LEVEL_VERBOSE,
        };
        // SAFETY: the caller's promise: the handle never leaves this type.
        Self { logger: unsafe { Handle::new(host, logger) }, level }
    }

    /// Writes a line. That one is lost fails nothing.
    pub fn line(&self, text: &str) {
        let Some(logger) = self.logger else { return };
        let (host, text) = (logger.host(), c_string(text));
        let (file, function) = (c"convlow".as_ptr(), c"convlow".as_ptr());
        // SAFETY: `Handle` holds a live logger, and all texts end with a zero.
        let status = unsafe {
            (host.api.Logger_LogMessage)(logger.as_ptr(), self.level, text.as_ptr(), file.cast(), 0, function)
        };
        let _ = host.check(status);
    }
}

/// All entries of a session's configuration.
///
/// # Errors
/// The host's.
pub fn config_entries(options: Handle<'_, OrtSessionOptions>) -> Result<Vec<(String, String)>> {
    let host = options.host();
    let pairs = options.made(host.config_of_options(), host.release_config())?;
    let (mut keys, mut values, mut count) = (std::ptr::null(), std::ptr::null(), 0);
    // SAFETY: `Owned` holds live pairs, and two pointers and a number are written.
    unsafe { (host.api.GetKeyValuePairs)(pairs.handle().as_ptr(), &mut keys, &mut values, &mut count) };
    // SAFETY: there are as many keys and values as the host says, texts that live as long as `pairs`.
    let entry = |at| unsafe { (text_of(*keys.add(at)), text_of(*values.add(at))) };
    Ok((0..count).map(entry).collect())
}

impl Host {
    /// Whether a device is a CPU.
    pub fn is_cpu(self, device: Handle<'_, OrtHardwareDevice>) -> bool {
        type TypeOf = unsafe extern "system" fn(*const OrtHardwareDevice) -> i32;
        // SAFETY: the enum that the function returns is an int of 32 bits, which may be a newer one than the enum has.
        let type_of: TypeOf = unsafe {
            std::mem::transmute::<
                unsafe extern "system" fn(*const OrtHardwareDevice) -> OrtHardwareDeviceType,
                TypeOf,
            >(self.api.HardwareDevice_Type)
        };
        // SAFETY: `Handle` holds a live device, which the function reads.
        let kind = unsafe { type_of(device.as_ptr()) };
        kind == OrtHardwareDeviceType::OrtHardwareDeviceType_CPU as i32
    }

    /// The host's object that lets a factory's providers compute on a device.
    ///
    /// # Errors
    /// The host's.
    pub fn device_of(
        self,
        factory: NonNull<EpFactory>,
        device: Handle<'_, OrtHardwareDevice>,
    ) -> Result<*mut OrtEpDevice> {
        let (mut made, none) = (std::ptr::null_mut(), std::ptr::null());
        // SAFETY: the host keeps the factory's address and reads none of it here; `Handle` holds a live device; nulls stand
        // for nothing to say, and one pointer is written.
        let status =
            unsafe { (self.ep.create_ep_device)(factory.as_ptr(), device.as_ptr(), none, none, &mut made) };
        self.check(status)?;
        Ok(made)
    }
}
