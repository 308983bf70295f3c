//! [`Plan`]: a problem, the algorithm chosen for it, and everything that execution needs to know.

use convlow_threads::Pool;

use crate::algorithms::{Declined, Element, Entry, Limits, Products, Ready, Reason, Unit};
use crate::error::{Error, Result, invalid, text};
use crate::gemm::Backend;
use crate::lowering::image::image_of;
use crate::lowering::weights::Packing;
use crate::matrix::MatrixMut;
use crate::memory;
use crate::panics;
use crate::problem::{Activation, DataType, Layout, Problem, product};
use crate::tiles::{self, Grid, Matrices, Tiles};

/// Multiplications under which a unit is too short to be divided among threads: then whole units run side by side, each
/// with scratch of its own.
const SMALL_UNIT_MACS: usize = 1 << 22;

/// An algorithm made ready for a problem, and how its units use threads and scratch.
pub(crate) struct Schedule {
    /// What computes one unit.
    pub prepared: Box<dyn Ready>,
    /// Units that run side by side, each on one thread; 1 means one after the other, each on all threads.
    pub units_at_once: usize,
}

impl Schedule {
    /// The schedule within `max_bytes` where the algorithm can adapt.
    ///
    /// # Errors
    /// Why the algorithm does not compute the problem.
    pub fn new(
        problem: &Problem,
        entry: &Entry,
        threads: usize,
        max_bytes: usize,
    ) -> std::result::Result<Self, Declined> {
        let elements = problem.elements(max_bytes);
        let whole =
            Self { prepared: entry.prepare(problem, Limits { threads, elements })?, units_at_once: 1 };
        let units = whole.units(problem);
        if threads.min(units) > 1 && problem.macs() / units < SMALL_UNIT_MACS {
            let alone = entry.prepare(problem, Limits { threads: 1, elements })?;
            let fitting = elements.checked_div(alone.scratch().all()).unwrap_or(usize::MAX);
            let units_at_once = threads.min(units).min(fitting);
            if units_at_once > 1 {
                return Ok(Self { prepared: alone, units_at_once });
            }
        }
        Ok(whole)
    }

    /// Units of the problem.
    pub fn units(&self, problem: &Problem) -> usize {
        problem.batch * (problem.groups / self.prepared.groups_at_once())
    }

    /// Bytes of scratch in all; `None` if they overflow.
    pub fn bytes(&self, problem: &Problem) -> Option<usize> {
        product(&[self.prepared.scratch().all(), self.units_at_once, problem.data_type.bytes()])
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
    /// The word for what computes the products: a GEMM's, or `kernels` for the library's own; none for plain loops.
    pub fn gemm_name(&self) -> Option<&'static str> {
        match self.entry.products {
            Products::Gemm => self.backend.map(Backend::name),
            Products::Kernels | Products::Either => Some(self.backend.map_or("kernels", Backend::name)),
            Products::Direct => None,
        }
    }
}

/// What one execute computes with.
pub struct Arguments<'a, T = f32> {
    /// The whole input in the problem's layout.
    pub src: &'a [T],
    /// From [`Plan::pack_weights`], aligned as an element.
    pub packed: &'a [u8],
    /// One value an output channel.
    pub bias: Option<&'a [T]>,
    /// PRELU's slopes, one an output channel; others read none.
    pub slopes: Option<&'a [T]>,
    /// What is added before the activation, laid out as dst; none: what dst holds. Only where the problem accumulates.
    pub residual: Option<&'a [T]>,
    /// The whole output in the problem's layout.
    pub dst: &'a mut [T],
    /// At least `workspace_bytes` of any content.
    pub workspace: &'a mut [T],
    /// Threads of this call in place of the plan's, and as many.
    pub pool: Option<Pool>,
}

/// [`Arguments`] whose tensors may take turns in memory.
pub(crate) struct Tensors<'a, T> {
    pub src: *const T,
    pub packed: &'a [u8],
    pub bias: Option<&'a [T]>,
    pub slopes: Option<&'a [T]>,
    pub residual: Option<*const T>,
    pub dst: *mut T,
    pub workspace: &'a mut [T],
    pub pool: Option<Pool>,
}

/// A src that all threads of an execute read.
#[derive(Clone, Copy)]
struct Shared<T>(*const T);

impl<T> Shared<T> {
    fn first(&self) -> *const T {
        self.0
    }
}

// SAFETY: nobody writes what is read through it, as `Plan::execute_raw` is promised.
unsafe impl<T: Sync> Sync for Shared<T> {}

/// A convolution ready to run. It never changes, so any number of threads may execute it at once.
pub struct Plan {
    problem: Problem,
    info: Info,
    packing: Packing,
    schedule: Schedule,
    pool: Pool,
}

impl Plan {
    /// The plan for one algorithm that was found feasible.
    pub(crate) fn of(problem: &Problem, info: Info, schedule: Schedule, pool: &Pool) -> Self {
        let packing = schedule.prepared.packing(problem);
        Self { problem: *problem, info, packing, schedule, pool: pool.clone() }
    }

    /// The same plan on other threads, of which there are as many.
    pub(crate) fn on(self, pool: &Pool) -> Self {
        Self { pool: pool.clone(), ..self }
    }

    /// The problem.
    pub fn problem(&self) -> &Problem {
        &self.problem
    }

    /// What was chosen.
    pub fn info(&self) -> &Info {
        &self.info
    }

    /// A number that plans have in common that read the same packed weights.
    pub fn packing_id(&self) -> u64 {
        self.packing.id()
    }

    /// Its threads, in a pool whose context is another one for a call.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if the pool is not of the caller's threads.
    ///
    /// # Safety
    /// The context is one that [`Pool::external`] would take with the pool's function.
    pub(crate) unsafe fn pool_with_context(&self, context: *mut std::ffi::c_void) -> Result<Pool> {
        // SAFETY: the caller promises it.
        unsafe { self.pool.with_context(context) }
    }

    /// How the weights are packed.
    pub(crate) fn packing(&self) -> &Packing {
        &self.packing
    }

    /// Packs weights in the problem's layout into `packed`, which has `packed_weights_bytes` bytes, aligned
    /// as an element.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if a length differs, or the plan's elements are of another type.
    pub fn pack_weights<T: Element>(&self, weights: &[T], packed: &mut [u8]) -> Result<()> {
        self.check_type::<T>()?;
        check_len("weights", weights.len(), self.problem.weights_len())?;
        check_len("packed_weights", packed.len(), self.info.packed_weights_bytes)?;
        self.packing.pack(weights, packed);
        Ok(())
    }

    /// Computes dst. `src`, `bias` and `dst` are whole tensors in the problem's layouts; `packed` comes from
    /// [`Plan::pack_weights`] (aligned as an element), `workspace` has at least `workspace_bytes` of any content.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if a length differs or the plan's elements are of another type, [`Error::WorkspaceLimit`] if the workspace is too
    /// short, [`Error::WeightsMismatch`] if `packed` is not of this packing. dst is then untouched. [`Error::OutOfMemory`] if
    /// the embedded GEMM cannot have what it packs a factor into; dst then holds anything.
    pub fn execute<T: Element>(
        &self,
        src: &[T],
        packed: &[u8],
        bias: Option<&[T]>,
        dst: &mut [T],
        workspace: &mut [T],
    ) -> Result<()> {
        self.execute_with(Arguments {
            src,
            packed,
            bias,
            slopes: None,
            residual: None,
            dst,
            workspace,
            pool: None,
        })
    }

    /// [`Plan::execute`] with what not every call has.
    ///
    /// # Errors
    /// As [`Plan::execute`]; [`Error::InvalidArgument`] for a residual without `accumulate`.
    pub fn execute_with<T: Element>(&self, arguments: Arguments<'_, T>) -> Result<()> {
        let Arguments { src, packed, bias, slopes, residual, dst, workspace, pool } = arguments;
        let problem = &self.problem;
        check_len("src", src.len(), problem.src_len())?;
        check_len("dst", dst.len(), problem.dst_len())?;
        if let Some(residual) = residual {
            check_len("residual", residual.len(), problem.dst_len())?;
        }
        let tensors = Tensors {
            src: src.as_ptr(),
            packed,
            bias,
            slopes,
            residual: residual.map(<[T]>::as_ptr),
            dst: dst.as_mut_ptr(),
            workspace,
            pool,
        };
        // SAFETY: the borrows are those of whole tensors, as just checked, and dst's is exclusive.
        unsafe { self.execute_raw(tensors) }
    }

    /// [`Plan::execute_with`] on tensors that may be slices which take turns in memory.
    ///
    /// # Errors
    /// As [`Plan::execute_with`].
    ///
    /// # Safety
    /// The pointers are to tensors of the problem's layouts and strides. Nobody writes an element of src or of the residual
    /// during the call, and nobody else uses one of dst; what lies between them may be somebody else's.
    pub(crate) unsafe fn execute_raw<T: Element>(&self, tensors: Tensors<'_, T>) -> Result<()> {
        self.check_type::<T>()?;
        let Tensors { src, packed, bias, slopes, residual, dst, workspace, pool } = tensors;
        let problem = &self.problem;
        if let Some(bias) = bias {
            check_len("bias", bias.len(), problem.out_channels)?;
        }
        match slopes {
            Some(slopes) => check_len("slopes", slopes.len(), problem.out_channels)?,
            None if problem.activation == Activation::Prelu => {
                return invalid!("slopes is None, but the activation of the plan's problem is PRELU");
            }
            None => {}
        }
        if residual.is_some() && !problem.accumulate {
            return invalid!("residual is given, but accumulate = 0 in the plan's descriptor");
        }
        check_len("packed_weights", packed.len(), self.info.packed_weights_bytes)?;
        let header = packed.first_chunk().expect("a blob is longer than its header");
        self.packing.check_header(header)?;
        let weights = self.packing.unpack(packed)?;
        let elements = problem.elements(self.info.workspace_bytes);
        let given_bytes = size_of_val(workspace);
        let Some(workspace) = workspace.get_mut(..elements) else {
            return Err(workspace_too_small(given_bytes, self.info.workspace_bytes));
        };
        let pool = pool.as_ref().unwrap_or(&self.pool);
        let _one_thread = self.info.backend.map(Backend::on_one_thread);
        // SAFETY: the caller's promise.
        panics::catch_failure(|| unsafe {
            self.run(src, weights, (bias, slopes), (dst, residual), workspace, pool)
        })
    }

    /// `Err` unless the plan's elements are of this type.
    #[inline(always)]
    pub(crate) fn check_type<T: Element>(&self) -> Result<()> {
        // What the build does not have is known when this is compiled: nothing behind it is.
        if !DataType::BUILT.contains(&T::TYPE) || T::TYPE != self.problem.data_type {
            return invalid!(
                "type = {} in the plan's descriptor, but the call is of {}",
                self.problem.data_type,
                T::TYPE
            );
        }
        Ok(())
    }

    /// # Safety
    /// As [`Plan::execute_raw`].
    unsafe fn run<T: Element>(
        &self,
        src: *const T,
        weights: &[T],
        (bias, slopes): (Option<&[T]>, Option<&[T]>),
        (dst, residual): (*mut T, Option<*const T>),
        scratch: &mut [T],
        all_threads: &Pool,
    ) {
        let (problem, src) = (&self.problem, Shared(src));
        let Schedule { prepared, units_at_once } = &self.schedule;
        let (pixels, group_out) = (problem.out_pixels(), problem.group_out());
        let ([_, ld], [_, image_step]) = (problem.channel_strides(), problem.batch_strides());
        // dst as a matrix for each image, whose tiles are the units.
        let of_unit = prepared.groups_at_once() * group_out;
        let (rows, cols, units) = match problem.dst_layout {
            Layout::Nchw => {
                let channels = problem.out_channels;
                (channels, pixels, Grid::new(channels, pixels, of_unit, pixels))
            }
            Layout::Nhwc => {
                let channels = problem.out_channels;
                (pixels, channels, Grid::new(pixels, channels, pixels, of_unit))
            }
        };
        let images = Matrices { count: problem.batch, step: image_step, rows, cols, ld };
        let run_unit = |index: usize, mut dst: MatrixMut<'_, T>, pool: &Pool, scratch: &mut [T]| {
            // Units are counted image by image, group by group.
            let (image, unit_of_image) = (index / units.tiles(), index % units.tiles());
            let group = unit_of_image * prepared.groups_at_once();
            let groups = group..group + prepared.groups_at_once();
            let channels = groups.start * group_out..groups.end * group_out;
            let packed_groups = prepared.groups_at_once() / prepared.groups_packed_together();
            let weights_len = packed_groups * self.packing.group_len();
            let unit = Unit {
                problem,
                // SAFETY: the caller's promise.
                src: unsafe { image_of(problem, src.first(), image, &groups) },
                weights: &weights[unit_of_image * weights_len..],
                bias: bias.map(|bias| &bias[channels.clone()]),
                slopes: slopes.map(|slopes| &slopes[channels]),
                gemm: self.info.backend.map(Backend::gemm),
                pool,
            };
            if problem.accumulate && !prepared.takes_addend() {
                dst.fill_with_addend();
            }
            T::run(&**prepared, &unit, dst, scratch);
        };
        // SAFETY: the caller's promise; the images lie in dst as the problem's strides say.
        let tiles = unsafe { Tiles::of_images(dst, residual, images, units) };
        if *units_at_once == 1 {
            for index in 0..tiles.len() {
                // SAFETY: each index once, and its view is dropped before the next.
                let (_, dst) = unsafe { tiles.take(index) };
                run_unit(index, dst, all_threads, scratch);
            }
        } else {
            let serial = Pool::SERIAL;
            tiles::for_each_of(all_threads, &tiles, scratch, *units_at_once, |index, _, view, scratch| {
                run_unit(index, view, &serial, scratch);
            });
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

/// A line of the cache.
#[derive(Debug, Clone, Copy, bytemuck::Zeroable, bytemuck::Pod)]
#[repr(C, align(64))]
struct Line([u8; 64]);

/// Zeroed memory that begins with a line of the cache, as engines have theirs: on some machines tensors that begin
/// elsewhere take longer.
#[derive(Debug, Clone, Default)]
pub struct Buffer {
    lines: Vec<Line>,
    bytes: usize,
}

impl Buffer {
    pub(crate) const EMPTY: Self = Self { lines: Vec::new(), bytes: 0 };

    /// Memory of exactly this many bytes.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] if the system has no more.
    pub fn new(bytes: usize) -> Result<Self> {
        let count = bytes.div_ceil(size_of::<Line>());
        let mut lines = memory::vec(count)?;
        lines.resize(count, bytemuck::Zeroable::zeroed());
        Ok(Self { lines, bytes })
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.lines)[..self.bytes]
    }

    /// The bytes, to be written.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut bytemuck::cast_slice_mut(&mut self.lines)[..self.bytes]
    }

    /// The whole elements.
    pub fn elements<T: Element>(&self) -> &[T] {
        &bytemuck::cast_slice(&self.lines)[..self.bytes / size_of::<T>()]
    }

    /// The whole elements, to be written.
    pub fn elements_mut<T: Element>(&mut self) -> &mut [T] {
        &mut bytemuck::cast_slice_mut(&mut self.lines)[..self.bytes / size_of::<T>()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::algorithms::{Cost, Prepared};
    use crate::lowering::weights::{MCIJ, WeightOrder};
    use crate::problem::Axis;

    /// A depthwise 1×1 convolution, some groups at once: dst[n, m, p] = weights[m] · src[n, m, p] + bias[m].
    struct Scaling {
        problem: Problem,
        groups: usize,
    }

    impl Prepared for Scaling {
        fn groups_at_once(&self) -> usize {
            self.groups
        }

        fn weight_order(&self) -> WeightOrder {
            MCIJ
        }

        fn cost(&self) -> Cost {
            Cost::default()
        }

        fn run<T: Element>(&self, unit: &Unit<'_, T>, mut dst: MatrixMut<'_, T>, _: &mut [T]) {
            assert!(unit.weights.len() >= self.groups && unit.bias.map(<[T]>::len) == Some(self.groups));
            let by_channels = self.problem.dst_layout == Layout::Nchw;
            dst.for_each_row(|row, values| {
                for (col, value) in values.iter_mut().enumerate() {
                    let (m, pixel) = if by_channels { (row, col) } else { (col, row) };
                    let src = unit.src.at(m, 0, pixel).value(0);
                    *value = unit.weights[m] * src + unit.bias.unwrap_or_default()[m];
                }
            });
        }
    }

    #[test]
    fn units_of_any_groups_cover_the_problem() {
        let axis = |input| Axis { output: input, ..Axis::dense(input, 1) };
        for (src_layout, dst_layout) in Layout::PAIRS {
            let problem = Problem {
                batch: 5,
                in_channels: 6,
                out_channels: 6,
                groups: 6,
                rows: axis(2),
                cols: axis(3),
                src_layout,
                dst_layout,
                ..Problem::UNIT
            };
            let values = |len: usize| -> Vec<f32> { (0..len).map(|index| index as f32).collect() };
            let (src, weights, bias) = (values(problem.src_len()), values(6), values(6));
            let place = |layout: Layout, [n, m, p]: [usize; 3]| match layout {
                Layout::Nchw => (n * 6 + m) * 6 + p,
                Layout::Nhwc => (n * 6 + p) * 6 + m,
            };
            for groups in [1, 2, 6] {
                for units_at_once in [1, 3] {
                    let entry = Entry::by_name(c"direct-sum2d").expect("registered");
                    let info = Info {
                        counts: Cost::default().counts(0),
                        entry,
                        applicable: true,
                        backend: None,
                        workspace_bytes: 0,
                        packed_weights_bytes: Packing::new(&problem, MCIJ, 1).bytes().expect("a few bytes"),
                        gemm_calls: 0,
                        estimated_seconds: 0.0,
                        measured_seconds: 0.0,
                        reason: None,
                    };
                    let schedule =
                        Schedule { prepared: Box::new(Scaling { problem, groups }), units_at_once };
                    let pool = Pool::new(3).expect("three threads");
                    let plan = Plan::of(&problem, info, schedule, &pool);
                    let mut packed = Buffer::new(info.packed_weights_bytes).expect("a few bytes");
                    plan.pack_weights(&weights, packed.bytes_mut()).expect("the lengths agree");
                    let mut dst = vec![f32::NAN; problem.dst_len()];
                    plan.execute(&src, packed.bytes(), Some(&bias), &mut dst, &mut []).expect("a valid call");
                    for [n, m, p] in (0..5 * 36).map(|at| [at / 36, at / 6 % 6, at % 6]) {
                        let expected = weights[m] * src[place(src_layout, [n, m, p])] + bias[m];
                        assert_eq!(
                            dst[place(dst_layout, [n, m, p])],
                            expected,
                            "{groups} groups, {units_at_once}"
                        );
                    }
                }
            }
        }
    }
}
