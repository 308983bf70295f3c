//! [`Options`]: the caller's requests for a plan.

use convlow_threads::Pool;

use crate::algorithms::Entry;
use crate::gemm::BackendChoice;

/// Which algorithm a plan asks for.
#[derive(Debug, Clone, Copy, Default)]
pub enum AlgorithmChoice {
    /// The cheapest one.
    #[default]
    Auto,
    /// This one or none.
    One(&'static Entry),
}

/// Which arithmetic is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Math {
    /// Only algorithms that form every product of the definition.
    #[default]
    Exact,
    /// Winograd's too.
    Fast,
}

/// Where a plan has its weights from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WeightsFrom {
    /// The caller packs them once, by [`Plan::pack_weights`](crate::Plan::pack_weights).
    #[default]
    Packed,
    /// Each execute is given the caller's own, and packs some output channels at a time into its workspace.
    Plain,
}

/// How much a plan may cost to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Effort {
    /// No measuring: wisdom where there is some, else the cost model.
    #[default]
    Estimate,
    /// Time the candidates within the budget.
    Measure,
}

/// What a caller asks of a plan.
#[derive(Clone)]
pub struct Options {
    /// The algorithm.
    pub algorithm: AlgorithmChoice,
    /// The arithmetic.
    pub math: Math,
    /// How much planning may cost.
    pub effort: Effort,
    /// The GEMM.
    pub gemm: BackendChoice,
    /// Most bytes of workspace.
    pub max_workspace_bytes: usize,
    /// Most bytes of packed weights.
    pub max_packed_weights_bytes: usize,
    /// The [`Plan::packing_id`](crate::Plan::packing_id) of the packed weights that the plan is to read; 0: any.
    pub packing_id: u64,
    /// Where the weights come from.
    pub weights: WeightsFrom,
    /// Most seconds of measuring, for [`Effort::Measure`].
    pub measure_budget_seconds: f64,
    /// Most bytes of memory that measuring takes.
    pub measure_max_bytes: usize,
    /// Where tiles run.
    pub pool: Pool,
}

impl Options {
    /// Seconds of measuring where the caller names none.
    pub const DEFAULT_BUDGET_SECONDS: f64 = 1.0;
    /// Bytes for measuring where the caller names none: 256 MiB.
    pub const DEFAULT_MEASURE_BYTES: usize = 256 << 20;
}

impl Default for Options {
    fn default() -> Self {
        Self {
            algorithm: AlgorithmChoice::Auto,
            math: Math::Exact,
            effort: Effort::Estimate,
            gemm: BackendChoice::Auto,
            max_workspace_bytes: usize::MAX,
            max_packed_weights_bytes: usize::MAX,
            packing_id: 0,
            weights: WeightsFrom::Packed,
            measure_budget_seconds: Self::DEFAULT_BUDGET_SECONDS,
            measure_max_bytes: Self::DEFAULT_MEASURE_BYTES,
            pool: Pool::SERIAL,
        }
    }
}
