//! What the end of a convolution can do of what follows it in a graph.
//!
//! [`Chain`] collects the nodes behind a convolution as long as it may. What [`line`] finds is multiplied into the weights and
//! the bias; a residual is added. Behind that, [`tail`] reads what is done with each output alone, as [`term`]s, and
//! [`formula`] finds the [`Activation`](activation::Activation) that they spell: one value, whichever operators a model says it with. What follows an
//! activation remains as [`step`]s. All of them read their operands by [`constants`].

mod activation;
mod chain;
mod constants;
mod ending;
mod formula;
mod line;
mod step;
mod tail;
mod term;

pub use chain::Chain;
pub use constants::{Channeled, bounds};
pub use line::Line;
pub use step::{Step, Steps};
