//! [`Plan`]: a problem, the algorithm chosen for it, and everything that execution needs to know.

use crate::algorithms::{Algorithm, Entry, Limits, Reason, Unit, Workspace};
use crate::error::{Error, Result, invalid, text};
use crate::gemm::Backend;
use crate::lowering::image::Image;
use crate::lowering::weights::Packing;
use crate::matrix::{Grid, MatrixMut};
use crate::memory;
use crate::parallel::Pool;
use crate::planner::{self, Options};
use crate::problem::{Layout, Problem, product};

/// Multiplications under which a unit (one group of one image) is too short to be divided among threads:
/// then whole units run side by side, each with scratch of its own.
const SMALL_UNIT_MACS: usize = 1 << 22;

/// How the units of a problem use threads and scratch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Schedule {
    /// The scratch of one unit.
    pub unit: Workspace,
    /// Units that run side by side, each on one thread; 1 means one after the other, each on all threads.
    pub units_at_once: usize,
}

impl Schedule {
    /// The schedule within `max_bytes` where the algorithm can adapt; `None` if a size overflows.
    pub fn new(
        problem: &Problem,
        algorithm: &dyn Algorithm,
        threads: usize,
        max_bytes: usize,
    ) -> Option<Self> {
        let floats = max_bytes / size_of::<f32>();
        let units = problem.batch * problem.groups;
        let one = algorithm.workspace(problem, Limits { threads: 1, floats })?;
        let fitting = floats.checked_div(one.floats).unwrap_or(usize::MAX);
        let units_at_once = threads.min(units).min(fitting);
        if problem.macs() / units < SMALL_UNIT_MACS && units_at_once > 1 {
            return Some(Self { unit: one, units_at_once });
        }
        Some(Self { unit: algorithm.workspace(problem, Limits { threads, floats })?, units_at_once: 1 })
    }

    /// Bytes of scratch in all; `None` if they overflow.
    pub fn bytes(&self) -> Option<usize> {
        product(&[self.unit.floats, self.units_at_once, size_of::<f32>()])
            .filter(|&bytes| bytes <= isize::MAX as usize)
    }
}

/// What the planner knows of one algorithm for one problem.
#[derive(Debug, Clone, Copy)]
pub struct Info {
    /// The algorithm.
    pub entry: &'static Entry,
    /// Whether it can compute the problem at all.
    pub applicable: bool,
    /// The GEMM it calls; none for algorithms without one.
    pub backend: Option<Backend>,
    /// Exact bytes of workspace, all threads included.
    pub workspace_bytes: usize,
    /// Exact bytes of packed weights.
    pub packed_weights_bytes: usize,
    /// GEMM calls of one execute.
    pub gemm_calls: usize,
    /// What the cost model says; 0 if not applicable.
    pub estimated_seconds: f64,
    /// What was measured for this problem, backend and number of threads; 0 if nothing was.
    pub measured_seconds: f64,
    /// Why it is not applicable or not chosen; `None` for the chosen one.
    pub reason: Option<Reason>,
}

/// A convolution ready to run. It never changes, so any number of threads may execute it at once.
#[derive(Clone)]
pub struct Plan {
    problem: Problem,
    info: Info,
    packing: Packing,
    schedule: Schedule,
    pool: Pool,
}

impl Plan {
    /// Chooses an algorithm for the problem.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the requested algorithm or backend cannot serve the problem,
    /// [`Error::WorkspaceLimit`] if it needs more than the limit, [`Error::Overflow`] if a size of it does
    /// not fit, [`Error::InvalidArgument`] for options that make no sense.
    pub fn new(problem: &Problem, options: &Options) -> Result<Self> {
        planner::plan(problem, options)
    }

    /// The plan for one algorithm that the planner found feasible.
    pub(crate) fn for_algorithm(problem: &Problem, info: Info, schedule: Schedule, pool: &Pool) -> Self {
        let packing = Packing::new(problem, info.entry.algorithm.weight_order(problem));
        Self { problem: *problem, info, packing, schedule, pool: pool.clone() }
    }

    /// The problem.
    pub fn problem(&self) -> &Problem {
        &self.problem
    }

    /// What was chosen.
    pub fn info(&self) -> &Info {
        &self.info
    }

    /// How the weights are packed.
    pub(crate) fn packing(&self) -> &Packing {
        &self.packing
    }

    /// Packs weights in the problem's layout into `packed`, which has `packed_weights_bytes` bytes, 4-byte aligned.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if a length differs.
    pub fn pack_weights(&self, weights: &[f32], packed: &mut [u8]) -> Result<()> {
        check_len("weights", weights.len(), self.problem.weights_len())?;
        check_len("packed_weights", packed.len(), self.info.packed_weights_bytes)?;
        self.packing.pack(weights, packed);
        Ok(())
    }

    /// Computes dst. `src`, `bias` and `dst` are whole tensors in the problem's layouts; `packed` comes from
    /// [`Plan::pack_weights`] (4-byte aligned), `workspace` has at least `workspace_bytes / 4` floats of any content.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if a length differs, [`Error::WorkspaceLimit`] if the workspace is too
    /// short, [`Error::WeightsMismatch`] if `packed` is not of this packing. dst is then untouched.
    pub fn execute(
        &self,
        src: &[f32],
        packed: &[u8],
        bias: Option<&[f32]>,
        dst: &mut [f32],
        workspace: &mut [f32],
    ) -> Result<()> {
        let problem = &self.problem;
        check_len("src", src.len(), problem.src_len())?;
        check_len("dst", dst.len(), problem.dst_len())?;
        if let Some(bias) = bias {
            check_len("bias", bias.len(), problem.out_channels)?;
        }
        check_len("packed_weights", packed.len(), self.info.packed_weights_bytes)?;
        let header = packed.first_chunk().expect("a blob is longer than its header");
        self.packing.check_header(header)?;
        let weights = self.packing.unpack(packed)?;
        let floats = self.info.workspace_bytes / size_of::<f32>();
        let given_bytes = size_of_val(workspace);
        let Some(workspace) = workspace.get_mut(..floats) else {
            return Err(workspace_too_small(given_bytes, self.info.workspace_bytes));
        };
        let _one_thread = self.info.backend.map(Backend::on_one_thread);
        self.run(src, weights, bias, dst, workspace);
        Ok(())
    }

    fn run(&self, src: &[f32], weights: &[f32], bias: Option<&[f32]>, dst: &mut [f32], scratch: &mut [f32]) {
        let problem = &self.problem;
        let algorithm = self.info.entry.algorithm;
        let (group_out, pixels) = (problem.group_out(), problem.out_pixels());
        // dst as a matrix whose tiles are the units.
        let (rows, cols, row_block, col_block) = match problem.dst_layout {
            Layout::Nchw => (problem.batch * problem.out_channels, pixels, group_out, pixels),
            Layout::Nhwc => (problem.batch * pixels, problem.out_channels, pixels, group_out),
        };
        let units = Grid::new(rows, cols, row_block, col_block);
        let run_unit = |index: usize, dst: MatrixMut<'_>, pool: &Pool, scratch: &mut [f32]| {
            // Both layouts count the units image by image, group by group.
            let (image, group) = (index / problem.groups, index % problem.groups);
            let unit = Unit {
                problem,
                src: Image::new(problem, src, image, group),
                weights: &weights[group * self.packing.group_len()..][..self.packing.group_len()],
                bias: bias.map(|bias| &bias[group * group_out..][..group_out]),
                gemm: self.info.backend.unwrap_or(Backend::Embedded).gemm(),
                pool,
            };
            algorithm.run(&unit, dst, &self.schedule.unit, scratch);
        };
        let mut dst = MatrixMut::new(dst, rows, cols, cols);
        if self.schedule.units_at_once == 1 {
            for index in 0..units.tiles() {
                let tile = units.tile(index);
                run_unit(index, dst.part(tile.rows, tile.cols), &self.pool, scratch);
            }
        } else {
            let serial = Pool::SERIAL;
            self.pool.for_each_tile(
                dst,
                units,
                scratch,
                self.schedule.units_at_once,
                |tile, view, scratch| {
                    let index =
                        tile.rows.start / row_block * (cols / col_block) + tile.cols.start / col_block;
                    run_unit(index, view, &serial, scratch);
                },
            );
        }
    }
}

fn check_len(what: &str, given: usize, needed: usize) -> Result<()> {
    if given != needed {
        return invalid!("{what} has a length of {given}, but the plan needs {needed}");
    }
    Ok(())
}

/// The error of a workspace shorter than the plan's figure.
pub(crate) fn workspace_too_small(given: usize, needed: usize) -> Error {
    Error::WorkspaceLimit(text!("workspace_bytes = {given} is less than the plan's {needed}"))
}

/// Zeroed memory with malloc's alignment, for workspaces and packed weights.
#[derive(Debug, Clone, Default)]
pub struct Buffer {
    words: Vec<u128>,
    bytes: usize,
}

impl Buffer {
    pub(crate) const EMPTY: Self = Self { words: Vec::new(), bytes: 0 };

    /// Memory of exactly this many bytes.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] if the system has no more.
    pub fn new(bytes: usize) -> Result<Self> {
        let count = bytes.div_ceil(size_of::<u128>());
        let mut words = memory::vec(count)?;
        words.resize(count, 0);
        Ok(Self { words, bytes })
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.words)[..self.bytes]
    }

    /// The bytes, to be written.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut bytemuck::cast_slice_mut(&mut self.words)[..self.bytes]
    }

    /// The whole floats.
    pub fn floats(&self) -> &[f32] {
        &bytemuck::cast_slice(&self.words)[..self.bytes / size_of::<f32>()]
    }

    /// The whole floats, to be written.
    pub fn floats_mut(&mut self) -> &mut [f32] {
        &mut bytemuck::cast_slice_mut(&mut self.words)[..self.bytes / size_of::<f32>()]
    }
}
