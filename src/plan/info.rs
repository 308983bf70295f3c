//! [`Info`]: the planner's knowledge of one algorithm for one problem.

use convlow_kernels::isa::Isa;

use crate::algorithms::{Entry, Reason};
use crate::gemm::Backend;
use crate::problem::Problem;

/// What the planner knows of one algorithm for one problem.
#[derive(Debug, Clone, Copy)]
pub struct Info {
    /// The algorithm.
    pub entry: &'static Entry,
    /// Whether it can compute the problem at all.
    pub applicable: bool,
    /// The GEMM it calls; none for algorithms without one.
    pub backend: Option<Backend>,
    /// The vector instructions of the library's own kernels; none where a GEMM or plain loops compute.
    pub isa: Option<Isa>,
    /// Exact bytes of workspace, all threads included.
    pub workspace_bytes: usize,
    /// Exact bytes of packed weights.
    pub packed_weights_bytes: usize,
    /// GEMM calls of one execute.
    pub gemm_calls: usize,
    /// What one execute comes to, counted: what the cost model's seconds are made of.
    pub counts: [(&'static str, f64); 8],
    /// What the cost model says; 0 if not applicable.
    pub estimated_seconds: f64,
    /// What was measured for this problem, backend and number of threads; 0 if nothing was.
    pub measured_seconds: f64,
    /// Why it is not applicable or not chosen; `None` for the chosen one.
    pub reason: Option<Reason>,
}

impl Info {
    /// Bytes of the weights that an execute of the problem reads: packed or, where none are packed ahead, plain.
    pub(crate) fn weights_bytes(&self, problem: &Problem) -> usize {
        match self.packed_weights_bytes {
            0 => problem.weights_len() * problem.data_type.bytes(),
            packed => packed,
        }
    }

    /// The word for what computes the products: a GEMM's, or `kernels` for the library's own; none for plain loops.
    pub fn gemm_name(&self) -> Option<&'static str> {
        self.backend.map(Backend::name).or(self.isa.map(|_| "kernels"))
    }
}
