//! include/convlow.h as src/ffi says it: this package's test holds the committed one against it, or writes that anew. It is a
//! package of its own so that nobody who builds the library compiles cbindgen.

/// The header.
pub const GENERATED: &str = include_str!(concat!(env!("OUT_DIR"), "/convlow.h"));
