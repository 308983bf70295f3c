//! Problems as text, in the syntax of oneDNN's benchdnn:
//! `ic64ih56oc64oh56kh3ph1n"name"`.
//!
//! Keys, with their defaults in parentheses: `mb` batch (1), `g` groups (1), `ic` and `oc` channels, `id`/`ih`/`iw`
//! input sizes, `od`/`oh`/`ow` output sizes, `kd`/`kh`/`kw` kernel sizes, `sd`/`sh`/`sw` strides (1), `dd`/`dh`/`dw`
//! dilations minus one (0), `pd`/`ph`/`pw` padding at the front, above and to the left (0), `n` a name, to the end of
//! the entry.
//!
//! - A missing `w` copies its `h`. A missing `h` copies its `w`, with one exception: if there is no height at all,
//!   the problem has one dimension, and rows of 1.
//! - Any key of depth makes the problem three-dimensional. A missing depth copies its `h`. If only a depth is
//!   given, `h` and `w` copy it.
//! - Padding behind the input follows from the output size. Without an output size it equals the padding before.
//!
//! convlow adds these keys: `pk`, `pb` and `pr` for other padding at the back, below and to the right; `tr1` for a
//! transposed convolution, whose output size also determines its output padding; `sc`, `sb`, `dc` and `db` for the
//! channel and batch strides of src and dst. `*count`, behind or inside the name, is the number of such layers in a
//! network.

mod list;
mod mistake;
mod numbers;
mod printed;
mod sizes;
#[cfg(test)]
mod tests;

pub use list::{Entry, ListError, parse, parse_list};
pub(crate) use printed::parse_printed;
