//! The host, ONNX Runtime: its functions with results in place of statuses, and views of its graphs, nodes and tensors that
//! live no longer than the call that showed them.
//!
//! # Where the unsafe code is
//! [`table`] has the functions as the host hands them over. [`handle`] calls those that read an object; everything else of
//! the host that this crate touches is a [`Handle`], so that its file states the invariants once and in
//! types. The rest stands beside its use: attributes in [`node`], elements in [`tensor`], outputs and threads in [`call`].

mod call;
mod failure;
mod graph;
mod handle;
mod node;
mod shown;
mod support;
mod table;
mod tensor;
mod value;

pub use call::{Call, Lent, Output, begin};
pub use failure::{Failure, Result};
pub use graph::Graph;
pub use handle::Handle;
pub use node::Node;
pub use shown::Shown;
pub use support::{Log, Support, config_entries};
pub use table::{Host, OK};
pub use tensor::{Listed, Tensor};
pub use value::{Shape, Size, Value};
