//! What the end of a convolution can do of what follows it in a graph.
//!
//! [`Chain`] collects the nodes behind a convolution as long as it may: what [`line`] finds is multiplied into the weights and
//! the bias, what [`tail`] finds is done to each output alone, as [`step`]s. All of them read their operands by [`constants`].

mod chain;
mod constants;
mod line;
mod step;
mod tail;

pub use chain::Chain;
pub use constants::{bounds, is_by_channel};
pub use line::Line;
pub use step::{Step, Steps};
