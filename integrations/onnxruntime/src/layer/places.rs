//! The layers that ONNX Runtime runs, and the places of their tensors.

use convlow::Layout;

use crate::host::{Call, Node, Output, Result};

/// Pixels of a piece that a thread takes at once.
pub const PIECE: usize = 64;

/// The computation of a fused node.
pub trait Layer: Send + Sync {
    /// Computes the output of a call.
    ///
    /// # Errors
    /// If the inputs do not fit, or there is no memory.
    fn run(&self, call: Call<'_>, output: Output<'_>) -> Result<()>;
}

/// An input of the fused node, and how it lies.
#[derive(Debug, Clone, Copy)]
pub struct Input {
    pub index: usize,
    pub layout: Layout,
}

/// Where a layer's tensors are, and how they lie.
#[derive(Debug, Clone, Copy)]
pub struct Places {
    pub src: Input,
    pub residual: Option<Input>,
    /// Where weights are that are computed in the run.
    pub weights: Option<usize>,
    /// Where a bias is that is computed in the run.
    pub bias: Option<usize>,
    pub dst: Layout,
}

impl Places {
    /// How the input and the output lie.
    pub fn layouts(&self) -> [Layout; 2] {
        [self.src.layout, self.dst]
    }
}

/// A node in messages: its name, or that of its output if it has none.
pub fn shown(node: Node<'_>) -> Result<String> {
    let name = node.name()?;
    if !name.is_empty() {
        return Ok(name);
    }
    Ok(format!("the {} that writes {}", node.operator()?, output_of(node)?))
}

/// The name of a node's first output.
pub fn output_of(node: Node<'_>) -> Result<String> {
    match node.outputs()?.first().copied().flatten() {
        Some(output) => output.name(),
        None => Ok(String::new()),
    }
}
