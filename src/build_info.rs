//! [`build_info`]: a text about the parts of this build.

use std::fmt;

use crate::gemm;

/// Version, GEMM backends with their configuration, the kernels' instructions, and the optional algorithms of this
/// build.
pub fn build_info() -> String {
    let mut info = String::new();
    let _ = write_build_info(&mut info);
    info
}

pub(crate) fn write_build_info(to: &mut impl fmt::Write) -> fmt::Result {
    write!(to, "convlow {}; ", env!("CARGO_PKG_VERSION"))?;
    let backends = gemm::Backend::candidates(gemm::BackendChoice::Auto).unwrap_or_default();
    to.write_str(if backends.is_empty() { "no gemm; " } else { "gemm " })?;
    for backend in backends {
        write!(to, "{}: ", backend.name())?;
        backend.describe(to)?;
        to.write_str("; ")?;
    }
    convlow_kernels::isa::describe(to)?;
    to.write_str("; ")?;
    to.write_str(if cfg!(feature = "mec") { "with mec" } else { "without mec" })
}
