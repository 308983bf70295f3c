//! Operators that stand between convolutions and are computed where values lie channels last: pooling, concatenation, and
//! arithmetic that is the same for all pixels of a channel.
//!
//! ONNX Runtime would compute them channels first, and the convolutions before and behind would have to move their pixels
//! apart and together again. They are claimed where that is spared, and nowhere else.
//!
//! Each file reads one kind of operator, and computes it: an [`Operation`](operation::Operation). [`claimed`] finds which one
//! a node begins, [`ready`] runs it.

mod by_channel;
mod claimed;
mod enlarge;
mod join;
mod merge;
mod operation;
mod pair;
mod ready;
mod shuffle;
mod whole;
mod windows;

pub use claimed::Between;
pub use join::Join;
pub use ready::Ready;
