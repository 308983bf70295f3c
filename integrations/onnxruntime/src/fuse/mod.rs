//! Recognises the nodes behind a convolution that its end can do.
//!
//! [`Chain`] collects these nodes. A [`line`](mod@line) is multiplied into the weights and the bias where they have the
//! [`headroom`]; a residual is added.
//! Behind that, [`tail`] reads the nodes that work on each output alone, as [`term`]s, and [`formula`] finds the
//! [`Activation`](convlow::Activation) that the terms spell: one value, whichever operators a model uses. Arithmetic
//! behind an activation remains as [`step`]s; [`ending`] holds both. All of them read their operands by [`constants`]. Weights
//! and bias may be [`fixed`] by nodes of constants alone, which are then part of the chain.

mod chain;
mod constants;
mod ending;
mod fixed;
mod formula;
mod headroom;
mod line;
mod step;
mod tail;
mod term;

pub use chain::{Chain, Origin};
pub use constants::{Channeled, bounds};
pub use line::Line;
pub use step::{Step, Steps};
