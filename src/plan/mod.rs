//! [`Plan`]: a problem, the algorithm that was chosen for it, and all values that an execute needs.

mod arguments;
#[cfg(feature = "training")]
mod gradient;
mod info;
mod part;
mod schedule;
mod task;
#[cfg(test)]
mod tests;
mod work;

use convlow_base::error::{Error, Result, invalid, text};
use convlow_base::panics;
use convlow_kernels::end::End;
use convlow_threads::Pool;

pub use self::arguments::Arguments;
#[cfg(feature = "training")]
pub use self::arguments::GradientArguments;
pub(crate) use self::arguments::RawArguments;
#[cfg(feature = "training")]
pub(crate) use self::gradient::{Gradient, GradientTensors};
pub use self::info::Info;
pub(crate) use self::part::Part;
use self::part::{Tensors, images_of};
#[cfg(test)]
pub(crate) use self::schedule::Schedule;
pub(crate) use self::task::Task;
use self::work::Weights;
pub(crate) use self::work::Work;
use crate::algorithms::Element;
use crate::computed::Computed;
use crate::gemm::Backend;
use crate::lowering::weights::Packing;
use crate::problem::{Activation, DataType, Problem, Propagation};
use crate::tiles::Tiles;

/// A convolution ready to run. It never changes, so any number of threads may execute it at once.
pub struct Plan {
    problem: Problem,
    /// The forward convolution by which it is computed: what an execute reads is its src, and what it writes its dst.
    computed: Problem,
    info: Info,
    task: Task,
    pool: Pool,
}

impl Plan {
    /// The plan for one algorithm that was found feasible.
    pub(crate) fn of(problem: &Problem, info: Info, task: Task, pool: &Pool) -> Self {
        let Computed { problem: computed, .. } = Computed::new(problem);
        Self { problem: *problem, computed, info, task, pool: pool.clone() }
    }

    /// The same plan on other threads, of which there are as many.
    pub(crate) fn on(self, pool: &Pool) -> Self {
        Self { pool: pool.clone(), ..self }
    }

    /// The problem.
    pub fn problem(&self) -> &Problem {
        &self.problem
    }

    /// Whether it computes a gradient.
    pub(crate) fn is_gradient(&self) -> bool {
        self.problem.propagation != Propagation::Forward
    }

    /// The forward convolution by which it is computed: what an execute reads is its src, and what it writes its dst.
    pub(crate) fn computed(&self) -> &Problem {
        &self.computed
    }

    /// What was chosen.
    pub fn info(&self) -> &Info {
        &self.info
    }

    /// A number that plans have in common that read the same packed weights; 0 of plans that read plain weights.
    pub fn packing_id(&self) -> u64 {
        self.packing().map_or(0, Packing::id)
    }

    /// Whether it reads plain weights: it was made with [`WeightsFrom::Plain`](crate::WeightsFrom::Plain).
    pub fn reads_plain_weights(&self) -> bool {
        self.task.is_plain()
    }

    /// Bytes of the weights that an execute reads, packed or plain.
    pub(crate) fn weights_bytes(&self) -> usize {
        self.info.weights_bytes(&self.problem)
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

    /// How the weights are packed; none of plans that read plain weights.
    pub(crate) fn packing(&self) -> Option<&Packing> {
        self.task.packing()
    }

    /// How the caller is to pack the weights.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if the plan reads plain weights.
    pub(crate) fn packing_of_caller(&self) -> Result<&Packing> {
        match self.packing() {
            Some(packing) => Ok(packing),
            None if !self.reads_plain_weights() => {
                invalid!(
                    "the plan computes the gradient of the weights: it reads none, and there is nothing to pack"
                )
            }
            None => invalid!(
                "the plan was made with packing = CONVLOW_PACKING_NONE: pass its weights to each execute, there is nothing to pack"
            ),
        }
    }

    /// Packs weights in the problem's layout into `packed`, which has `packed_weights_bytes` bytes, aligned
    /// as an element.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if a length differs, the plan's elements are of another type, or the plan reads plain
    /// weights.
    pub fn pack_weights<T: Element>(&self, weights: &[T], packed: &mut [u8]) -> Result<()> {
        self.check_type::<T>()?;
        let packing = self.packing_of_caller()?;
        check_len("weights", weights.len(), self.problem.weights_len())?;
        check_len("packed_weights", packed.len(), self.info.packed_weights_bytes)?;
        packing.pack(weights, packed);
        Ok(())
    }

    /// Computes dst. A plan of a gradient of the data reads the gradient of dst as `src`, writes that of src as `dst`, and
    /// takes no bias. `src`, `bias` and `dst` are whole tensors in the problem's layouts; `packed` comes from
    /// [`Plan::pack_weights`] (aligned as an element) or, where the plan reads plain weights, is these weights' bytes;
    /// `workspace` has at least `workspace_bytes` of any content.
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
            weights: None,
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
        let Arguments { src, packed, weights, bias, slopes, residual, dst, workspace, pool } = arguments;
        let problem = &self.computed;
        check_len("src", src.len(), problem.src_len())?;
        check_len("dst", dst.len(), problem.dst_len())?;
        if let Some(residual) = residual {
            check_len("residual", residual.len(), problem.dst_len())?;
        }
        let tensors = RawArguments::<T> {
            src: src.as_ptr(),
            weights: weights.filter(|_| self.reads_plain_weights()).map_or(packed, bytemuck::cast_slice),
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
        let RawArguments { src, weights, bias, slopes, residual, dst, workspace, pool } = tensors;
        let work = self.work()?;
        let problem = &self.computed;
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
        if self.is_gradient() && bias.is_some() {
            return invalid!("bias is given, but the plan computes a gradient");
        }
        if residual.is_some() && !problem.accumulate {
            return invalid!("residual is given, but accumulate = 0 in the plan's descriptor");
        }
        let weights = self.weights_of(weights)?;
        let workspace = self.workspace_of(workspace)?;
        let pool = pool.as_ref().unwrap_or(&self.pool);
        let _one_thread = self.info.backend.map(Backend::on_one_thread);
        // SAFETY: the caller's promise.
        panics::catch_failure(|| unsafe {
            if problem.sums_nothing() {
                return self.end_nothing((bias, slopes), (dst, residual));
            }
            let tensors = Tensors { src, bias, slopes, dst, residual };
            work.run(weights, tensors, self.info.backend, workspace, pool);
        })
    }

    /// As much of a workspace as the plan needs.
    fn workspace_of<'a, T: Element>(&self, workspace: &'a mut [T]) -> Result<&'a mut [T]> {
        let (given, needed) = (size_of_val(workspace), self.info.workspace_bytes);
        workspace.get_mut(..self.problem.elements(needed)).ok_or_else(|| workspace_too_small(given, needed))
    }

    /// What computes a convolution or the gradient of its data.
    fn work(&self) -> Result<&Work> {
        match self.task.work() {
            Some(work) => Ok(work),
            None => invalid!("the plan computes the gradient of the weights: it writes no dst"),
        }
    }

    /// The weights of an execute, checked.
    fn weights_of<'a, T: Element>(&self, weights: &'a [u8]) -> Result<Weights<'a, T>> {
        let what = if self.reads_plain_weights() { "weights" } else { "packed_weights" };
        check_len(what, weights.len(), self.weights_bytes())?;
        let Some(packing) = self.packing() else {
            return match bytemuck::try_cast_slice(weights) {
                Ok(weights) => Ok(Weights::Plain(weights)),
                Err(_) => invalid!("weights = {:p} is not aligned as an element", weights.as_ptr()),
            };
        };
        packing.check_header(weights.first_chunk().expect("a blob is longer than its header"))?;
        packing.unpack(weights).map(Weights::Packed)
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
        let Problem { accumulate, activation, out_channels, dst_layout, .. } = self.computed;
        if self.computed.dst_len() == 0 {
            return;
        }
        let end = End { bias, accumulate: false, activation, slopes };
        let (images, units) = images_of(&self.computed, out_channels);
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
}

/// The gradients of the weights and of the bias.
#[cfg(feature = "training")]
impl Plan {
    /// Computes the gradients of the weights and of the bias, or adds them to what is there where the problem accumulates. Each
    /// is optional, but not both.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if a length differs, the plan's elements are of another type, or it computes something else;
    /// [`Error::WorkspaceLimit`] if the workspace is too short. Nothing is written then.
    ///
    /// [`Error::InvalidArgument`]: crate::Error::InvalidArgument
    /// [`Error::WorkspaceLimit`]: crate::Error::WorkspaceLimit
    pub fn execute_gradient<T: Element>(&self, arguments: GradientArguments<'_, T>) -> Result<()> {
        let GradientArguments { src, diff_dst, diff_weights, diff_bias, workspace, pool } = arguments;
        check_len("src", src.len(), self.problem().src_len())?;
        check_len("diff_dst", diff_dst.len(), self.problem().dst_len())?;
        let (src, diff_dst) = (src.as_ptr(), diff_dst.as_ptr());
        let tensors = GradientTensors { src, diff_dst, diff_weights, diff_bias };
        // SAFETY: the borrows are those of whole tensors, as just checked.
        unsafe { self.execute_gradient_raw(tensors, workspace, pool) }
    }

    /// [`Plan::execute_gradient`] on tensors that may be slices of wider ones.
    ///
    /// # Errors
    /// As [`Plan::execute_gradient`].
    ///
    /// # Safety
    /// The pointers are to tensors of the problem's layouts and strides, whose elements nobody writes during the call.
    pub(crate) unsafe fn execute_gradient_raw<T: Element>(
        &self,
        tensors: GradientTensors<'_, T>,
        workspace: &mut [T],
        pool: Option<Pool>,
    ) -> Result<()> {
        self.check_type::<T>()?;
        let Task::Gradient(gradient) = &self.task else {
            return invalid!("the plan does not compute the gradient of the weights");
        };
        if tensors.diff_weights.is_none() && tensors.diff_bias.is_none() {
            return invalid!("neither the gradient of the weights nor that of the bias is asked for");
        }
        if let Some(weights) = &tensors.diff_weights {
            check_len("diff_weights", weights.len(), self.problem().weights_len())?;
        }
        if let Some(bias) = &tensors.diff_bias {
            check_len("diff_bias", bias.len(), self.problem().out_channels)?;
        }
        let workspace = self.workspace_of(workspace)?;
        let pool = pool.as_ref().unwrap_or(&self.pool);
        let backend = self.info.backend;
        let _one_thread = backend.map(Backend::on_one_thread);
        // SAFETY: the caller's promise.
        panics::catch_failure(|| unsafe { gradient.run(tensors, backend, workspace, pool) })
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
