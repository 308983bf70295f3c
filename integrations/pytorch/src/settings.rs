//! What the user has asked for.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering::Relaxed};

use convlow::{AlgorithmChoice, Math, Options, Plan, Problem, Result, WeightsFrom};

use crate::threads;

static FAST: AtomicBool = AtomicBool::new(false);
static WORKSPACE: AtomicUsize = AtomicUsize::new(2 << 20);
static THREADS: AtomicU32 = AtomicU32::new(0);

/// What plans depend on beside their problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Settings {
    /// Whether Winograd's algorithms are allowed.
    pub fast: bool,
    /// Most bytes of workspace.
    pub max_workspace_bytes: usize,
    /// How many threads compute.
    pub threads: u32,
}

impl Settings {
    /// Those of this moment.
    pub fn now() -> Self {
        let threads = match THREADS.load(Relaxed) {
            0 => threads::of_torch(),
            threads => threads.min(threads::of_torch()),
        };
        let (fast, max_workspace_bytes) = (FAST.load(Relaxed), WORKSPACE.load(Relaxed));
        Self { fast, max_workspace_bytes, threads: threads.max(1) }
    }

    /// Those of all later calls; 0 threads are as many as PyTorch has.
    pub fn set(fast: bool, max_workspace_bytes: usize, threads: u32) {
        FAST.store(fast, Relaxed);
        WORKSPACE.store(max_workspace_bytes, Relaxed);
        THREADS.store(threads, Relaxed);
    }

    /// A plan of the algorithm that one thread would take, so that the bits are those of one thread; on as many threads as
    /// have their workspace within the limit.
    pub fn plan(&self, problem: &Problem, weights: WeightsFrom) -> Result<Plan> {
        let math = if self.fast { Math::Fast } else { Math::Exact };
        let max_workspace_bytes = self.max_workspace_bytes;
        let mut options = Options { math, max_workspace_bytes, weights, ..Options::default() };
        let alone = Plan::new(problem, &options)?;
        options.algorithm = AlgorithmChoice::One(alone.info().entry);
        let mut threads = self.threads as usize;
        while threads > 1 {
            options.pool = threads::pool(threads);
            if let Ok(plan) = Plan::new(problem, &options) {
                return Ok(plan);
            }
            threads /= 2;
        }
        Ok(alone)
    }
}
