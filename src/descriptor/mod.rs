//! Problems as text, in the syntax that oneDNN's benchdnn made common:
//! `ic64ih56oc64oh56kh3ph1n"name"`.
//!
//! Keys: `mb` batch (1), `g` groups (1), `ic`, `oc`, `id`/`ih`/`iw`, `od`/`oh`/`ow`, `kd`/`kh`/`kw`, `sd`/`sh`/`sw` stride
//! (1), `dd`/`dh`/`dw` dilation minus one (0), `pd`/`ph`/`pw` front, top and left padding (0), `n` a name to the end of the
//! entry. A missing `w` copies its `h`, and the reverse unless there is no height at all: then the problem has one
//! dimension, and rows of 1. It has three if there is any key of depth; a missing one then copies its `h`, and sizes that
//! have only depth copy that. Padding behind the input follows from the output size; without that it equals the padding
//! before.
//!
//! convlow adds: `pk`, `pb` and `pr` for back, bottom and right padding that says otherwise; `tr1` for a transposed
//! convolution, whose output size then says its output padding, too; `sc`, `sb`, `dc`, `db` for the channel and batch strides
//! of src and dst. `*count` behind or inside the name says how often a network has it.

mod list;
mod mistake;
mod numbers;
mod printed;
mod sizes;
#[cfg(test)]
mod tests;

pub use list::{Entry, ListError, parse, parse_list};
pub(crate) use printed::parse_printed;
