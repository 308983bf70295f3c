//! [`Plan`]: a problem, the algorithm that was chosen for it, and all values that an execute needs.

mod arguments;
mod info;
mod schedule;
#[cfg(test)]
mod tests;

use convlow_base::error::{Error, Result, invalid, text};
use convlow_base::panics;
use convlow_kernels::end::End;
use convlow_kernels::matrix::MatrixMut;
use convlow_threads::Pool;

pub use self::arguments::Arguments;
pub(crate) use self::arguments::RawArguments;
pub use self::info::Info;
pub(crate) use self::schedule::Schedule;
use crate::algorithms::{Element, Unit};
use crate::gemm::Backend;
use crate::lowering::image::image_of;
use crate::lowering::weights::Packing;
use crate::problem::{Activation, DataType, Layout, Problem};
use crate::tiles::{self, Grid, Matrices, Tiles};

/// A src that all threads of an execute read.
#[derive(Clone, Copy)]
struct SharedSrc<T>(*const T);

impl<T> SharedSrc<T> {
    fn first(&self) -> *const T {
        self.0
    }
}

// SAFETY: nobody writes what is read through it, as `Plan::execute_raw` is promised.
unsafe impl<T: Sync> Sync for SharedSrc<T> {}

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
    /// [`Error::InvalidArgument`] if a length differs or the plan's elements are of another type,
    /// [`Error::WorkspaceLimit`] if the workspace is too short, [`Error::WeightsMismatch`] if `packed` is not of this
    /// packing. dst is then untouched. [`Error::OutOfMemory`] if the embedded GEMM cannot have what it packs a factor
    /// into; dst then holds anything.
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
        let tensors = RawArguments::<T> {
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
    /// The pointers are to tensors of the problem's layouts and strides. Nobody writes an element of src or of the
    /// residual during the call, and nobody else uses one of dst; what lies between them may be somebody else's.
    pub(crate) unsafe fn execute_raw<T: Element>(&self, tensors: RawArguments<'_, T>) -> Result<()> {
        self.check_type::<T>()?;
        let RawArguments { src, packed, bias, slopes, residual, dst, workspace, pool } = tensors;
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
            if problem.sums_nothing() {
                return self.end_nothing((bias, slopes), (dst, residual));
            }
            self.run(src, weights, (bias, slopes), (dst, residual), workspace, pool)
        })
    }

    /// dst ← activation(bias + addend): that of outputs, if there are any, which see no input.
    ///
    /// # Safety
    /// As [`Plan::execute_raw`].
    unsafe fn end_nothing<T: Element>(
        &self,
        (bias, slopes): (Option<&[T]>, Option<&[T]>),
        (dst, residual): (*mut T, Option<*const T>),
    ) {
        let Problem { accumulate, activation, out_channels, dst_layout, .. } = self.problem;
        if self.problem.dst_len() == 0 {
            return;
        }
        let end = End { bias, accumulate: false, activation, slopes };
        let (images, units) = images_of(&self.problem, out_channels);
        // SAFETY: the caller's promise; the images lie in dst as the problem's strides say.
        let tiles = unsafe { Tiles::of_images(dst, residual, images, units) };
        for index in 0..tiles.len() {
            // SAFETY: each index once, and its view is dropped before the next.
            let (_, mut image) = unsafe { tiles.take(index) };
            match accumulate {
                true => image.fill_with_addend(),
                false => image.for_each_row(|_, values| values.fill(T::ZERO)),
            }
            T::finish(&end, &mut image, dst_layout);
        }
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
        let (problem, src) = (&self.problem, SharedSrc(src));
        let Schedule { prepared, units_at_once } = &self.schedule;
        let group_out = problem.group_out();
        let (images, units) = images_of(problem, prepared.groups_at_once() * group_out);
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

/// dst as a matrix for each image, and the matrix's tiles: one for each unit, which computes so many channels.
fn images_of(problem: &Problem, of_unit: usize) -> (Matrices, Grid) {
    let (pixels, channels) = (problem.out_pixels(), problem.out_channels);
    let ([_, ld], [_, step]) = (problem.channel_strides(), problem.batch_strides());
    let (rows, cols, units) = match problem.dst_layout {
        Layout::Nchw => (channels, pixels, Grid::new(channels, pixels, of_unit, pixels)),
        Layout::Nhwc => (pixels, channels, Grid::new(pixels, channels, pixels, of_unit)),
    };
    (Matrices { count: problem.batch, step, rows, cols, ld }, units)
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
