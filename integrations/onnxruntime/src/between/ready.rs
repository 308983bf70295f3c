//! Something between convolutions, made ready.

use std::sync::Arc;

use super::claimed::Between;
use super::operation::{Operation, Target};
use crate::host::{Call, Output, Result};
use crate::layer::Layer;
use crate::session::Session;

/// Something between convolutions, made ready.
pub struct Ready {
    session: Arc<Session>,
    operation: Arc<dyn Operation>,
    /// Where its inputs are among the fused node's.
    inputs: Vec<usize>,
}

impl Ready {
    pub fn new(between: &Between<'_>, inputs: Vec<usize>, session: &Arc<Session>) -> Self {
        Self { session: session.clone(), operation: between.operation.clone(), inputs }
    }
}

impl Layer for Ready {
    fn run(&self, call: Call<'_>, output: Output<'_>) -> Result<()> {
        let inputs = self.inputs.iter().map(|&index| call.input(index)).collect::<Result<Vec<_>>>()?;
        let sizes = self.operation.sizes(&inputs)?;
        let to = output.of::<f32>(&sizes)?;
        if to.is_empty() {
            return Ok(());
        }
        let threads = self.session.threads_of(&call)?;
        self.operation.run(&inputs, Target { to, sizes: &sizes }, &threads)
    }
}
