//! The counts of an algorithm's work, which the planner turns into seconds.

use crate::problem::Problem;

/// GEMM calls of one shape.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Calls {
    /// Rows, columns and depth of the largest call.
    pub shape: [usize; 3],
    /// How many there are.
    pub count: usize,
    /// All multiplications of these calls together.
    pub macs: f64,
    /// Where the second factor is the image as it lies in planes: the elements of a plane. Else 0.
    pub plane: usize,
}

/// What one unit costs, counted rather than timed. Counts of work are floating-point, because what an algorithm would
/// do beyond the definition may exceed every integer.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Cost {
    /// The GEMM calls, if there are any.
    pub calls: Option<Calls>,
    /// The largest dimension or leading dimension of a call, which must fit the BLAS's integer.
    pub largest_size: usize,
    /// Tiles that threads share; 0 for as many as anyone could want.
    pub tiles: usize,
    /// Elements read or written in contiguous runs beside the GEMMs.
    pub streamed: f64,
    /// Elements read or written one by one.
    pub scattered: f64,
    /// Elements read or written in runs, on one side within the cache.
    pub cached: f64,
    /// Those runs.
    pub copies: f64,
    /// Elements moved from one layout to the other, on one side within the cache.
    pub moved: f64,
    /// Elements of Winograd tiles, before and behind the GEMMs.
    pub transformed: f64,
    /// Multiplications in register tiles.
    pub register_macs: f64,
    /// Outputs that register tiles finish.
    pub finished: f64,
    /// Multiplications outside any GEMM: how many runs, and elements a run.
    pub direct_runs: f64,
    /// Elements of one such run.
    pub direct_run_len: usize,
}

impl Cost {
    /// The counts of so many units, by name: what the model's constants are fitted to.
    pub fn counts(&self, units: usize) -> [(&'static str, f64); 8] {
        [
            ("register_macs", self.register_macs),
            ("finished", self.finished),
            ("tiles", self.tiles as f64),
            ("streamed", self.streamed),
            ("cached", self.cached),
            ("copies", self.copies),
            ("moved", self.moved),
            ("transformed", self.transformed),
        ]
        .map(|(name, count)| (name, count * units as f64))
    }
}

/// Bytes of a vector, as the model counts them: of AVX2, whose speed it is of.
pub const VECTOR_BYTES: usize = 32;

/// Bytes of weights that the second cache level keeps.
pub const CACHED_BYTES: usize = 1 << 20;

/// Elements of weights that `passes` over all of them bring from beyond the second cache level. They come at twice the
/// pace of other streams, being read in order and far ahead of their use.
pub fn weights_streamed(problem: &Problem, passes: usize) -> f64 {
    streamed_elements(problem, problem.group_out() * problem.depth(), passes)
}

/// [`weights_streamed`] for weights of so many elements.
pub fn streamed_elements(problem: &Problem, elements: usize, passes: usize) -> f64 {
    if elements > problem.elements(CACHED_BYTES) { work(&[elements, passes]) / 2.0 } else { 0.0 }
}

/// A product of sizes as a count of work.
pub fn work(sizes: &[usize]) -> f64 {
    sizes.iter().map(|&size| size as f64).product()
}
