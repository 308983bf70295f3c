//! What stands in files is true: the documents, their examples and links, the promises, the list of the ABI, the manifests.

#[path = "../common/mod.rs"]
mod common;

mod excerpts;
// The table of algorithms has those that a GEMM multiplies for.
#[cfg(feature = "gemm")]
mod generated;
mod links;
mod package;
mod promises;
mod rust;
mod symbols;
mod written;
