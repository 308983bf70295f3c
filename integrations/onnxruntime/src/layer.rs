//! A chain made ready: packed weights, and plans for the sizes of input that were seen.

use std::sync::{Arc, Mutex, PoisonError};

use convlow::{
    Activation, AlgorithmChoice, Arguments, Buffer, DataType, EachTile, Effort, Layout, Options, ParallelFor,
    Plan, Pool, Problem,
};

use crate::chain::Chain;
use crate::geometry::{End, Geometry};
use crate::host::{Call, Failure, Listed, Number, Result, Size};
use crate::moves::{Placed, broadcast, combine, transpose};
use crate::session::Session;
use crate::tail::{Step, Steps};

/// Sizes of input whose plans are kept.
const PLANS: usize = 16;
/// Pixels of a piece that a thread takes at once.
pub const PIECE: usize = 64;
/// Outputs of a piece of which each is computed alone.
const OUTPUTS: usize = 8192;
/// What stands for a size that is not known before the first run.
const USUAL: usize = 56;

/// What computes a chain.
pub trait Layer: Send + Sync {
    /// Computes the output of a call.
    ///
    /// # Errors
    /// If the input does not fit the weights, or there is no memory.
    fn run(&self, call: Call<'_>) -> Result<()>;
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
    pub dst: Layout,
}

impl Places {
    fn layouts(&self) -> [Layout; 2] {
        [self.src.layout, self.dst]
    }
}

/// The layer of a chain.
///
/// # Errors
/// The reason why convlow does not compute it.
pub fn layer(
    chain: &Chain<'_>,
    places: Places,
    output: String,
    session: &Arc<Session>,
) -> Result<Box<dyn Layer>> {
    match chain.weights.element {
        f32::ELEMENT => Ok(Box::new(Typed::<f32>::new(chain, places, output, session)?)),
        _ => Ok(Box::new(Typed::<f64>::new(chain, places, output, session)?)),
    }
}

/// The problem of a chain: of the sizes that are known before the first run, and usual ones in place of the others.
///
/// # Errors
/// The reason why convlow does not compute it.
pub fn usual_problem(chain: &Chain<'_>, layouts: [Layout; 2]) -> Result<Problem> {
    let geometry = geometry(chain)?;
    let channels = match chain.transposed {
        false => chain.weights.sizes[1] * chain.groups,
        true => chain.weights.sizes[0],
    };
    let mut sizes = vec![USUAL; 2 + geometry.dimensions()];
    (sizes[0], sizes[1]) = (1, channels);
    if let Some(shape) = chain.src.shape()? {
        if shape.element != chain.weights.element {
            return Err(Failure("input and weights have elements of two types".to_string()));
        }
        if shape.sizes.len() != sizes.len() {
            return Err(Failure(format!("its input has {} dimensions", shape.sizes.len())));
        }
        for (size, known) in sizes.iter_mut().zip(&shape.sizes) {
            match known {
                Size::Known(0) | Size::Named(_) | Size::Unknown => {}
                Size::Known(known) => *size = *known,
            }
        }
    }
    let data_type = match chain.weights.element {
        f32::ELEMENT => DataType::F32,
        _ => DataType::F64,
    };
    let end = End { data_type, layouts, activation: activation(chain), accumulate: chain.residual.is_some() };
    geometry.problem(&sizes, end)
}

fn geometry(chain: &Chain<'_>) -> Result<Geometry> {
    Geometry::new(chain.nodes[0], chain.transposed, chain.groups, &chain.weights.sizes)
}

fn activation(chain: &Chain<'_>) -> Activation {
    chain.clamp.map_or(Activation::None, |[min, max]| Activation::Clamp { min, max })
}

/// A layer of elements of one type.
struct Typed<T> {
    session: Arc<Session>,
    /// The name of the convolution's own output.
    output: String,
    geometry: Geometry,
    activation: Activation,
    places: Places,
    bias: Option<Vec<T>>,
    /// What is done with each output behind the clamp.
    steps: Vec<Step<T>>,
    /// What negative outputs of each channel are multiplied by then.
    slopes: Option<Vec<T>>,
    packed: Buffer,
    packing: u64,
    /// The algorithm whose packing it is.
    algorithm: &'static convlow::algorithms::Entry,
    plans: Mutex<Plans>,
}

/// Plans in the order of their last use.
#[derive(Default)]
struct Plans(Vec<(Vec<usize>, bool, Arc<Plan>)>);

impl<T: Number> Typed<T> {
    fn new(chain: &Chain<'_>, places: Places, output: String, session: &Arc<Session>) -> Result<Self> {
        let problem = usual_problem(chain, places.layouts())?;
        let plan = plan(&problem, session, AlgorithmChoice::Auto)?;
        let (weights, bias) = folded::<T>(chain)?;
        let mut packed = Buffer::new(plan.info().packed_weights_bytes)?;
        plan.pack_weights(&weights, packed.bytes_mut())?;
        let layer = Self {
            session: session.clone(),
            output,
            geometry: geometry(chain)?,
            activation: activation(chain),
            places,
            bias,
            steps: chain.steps.iter().map(|step| step.of_type()).collect(),
            slopes: chain
                .slopes
                .as_ref()
                .map(|slopes| Ok::<_, Failure>(slopes.elements::<T>()?.to_vec()))
                .transpose()?,
            packing: plan.packing_id(),
            algorithm: plan.info().entry,
            packed,
            plans: Mutex::default(),
        };
        layer.told(&plan);
        Ok(layer)
    }

    fn told(&self, plan: &Plan) {
        let info = plan.info();
        self.session.correct(&self.output, |told| {
            told.algorithm = info.entry.name.to_string_lossy().into_owned();
            told.workspace_bytes = info.workspace_bytes;
            told.packed_bytes = info.packed_weights_bytes;
        });
    }

    /// The plan for an input of these sizes, which ends with a residual and the clamp unless it is alone.
    fn plan(&self, sizes: &[usize], is_alone: bool) -> Result<Arc<Plan>> {
        let plans = || self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        {
            let Plans(known) = &mut *plans();
            if let Some(at) = known.iter().position(|(of, alone, _)| of == sizes && *alone == is_alone) {
                let last = known.len() - 1;
                known[at..].rotate_left(1);
                return Ok(known[last].2.clone());
            }
        }
        let end = End {
            data_type: T::TYPE,
            layouts: self.places.layouts(),
            activation: if is_alone { Activation::None } else { self.activation },
            accumulate: self.places.residual.is_some() && !is_alone,
        };
        let problem = self.geometry.problem(sizes, end)?;
        let mut plan = plan(&problem, &self.session, AlgorithmChoice::Auto)?;
        if plan.packing_id() != self.packing {
            // AUTO has an opinion of its own on maps of one pixel. The algorithm of usual ones computes them, too.
            plan = self::plan(&problem, &self.session, AlgorithmChoice::One(self.algorithm))?;
        }
        if plan.packing_id() != self.packing {
            return Err(Failure(format!("convlow has a defect: weights for {problem} are packed otherwise")));
        }
        let plan = Arc::new(plan);
        self.told(&plan);
        let Plans(known) = &mut *plans();
        if known.len() == PLANS {
            known.remove(0);
        }
        known.push((sizes.to_vec(), is_alone, plan.clone()));
        Ok(plan)
    }

    /// Computes a plan, with the residual as it lies there.
    fn execute(
        &self,
        call: Call<'_>,
        plan: &Plan,
        src: &[T],
        residual: Option<&[T]>,
        dst: &mut [T],
    ) -> Result<()> {
        let pool = match self.session.pool {
            Some(_) => None,
            None => Some(self.session.pool_of(&call)?),
        };
        self.session.with_workspace(plan.info().workspace_bytes, |workspace| {
            plan.execute_with(Arguments {
                src,
                packed: self.packed.bytes(),
                bias: self.bias.as_deref(),
                residual,
                dst,
                workspace: workspace.elements_mut(),
                pool,
            })
        })??;
        Ok(())
    }

    /// Does what the library's end does not.
    fn finish(&self, call: Call<'_>, dst: &mut [T], sizes: &[usize]) -> Result<()> {
        let Self { steps, slopes, .. } = self;
        if dst.is_empty() || (steps.is_empty() && slopes.is_none()) {
            return Ok(());
        }
        let pool = self.session.pool_of(&call)?;
        let vectors = pulp::Arch::new();
        let do_steps = |values: &mut [T]| vectors.dispatch(Steps { steps, values });
        match (slopes, self.places.dst) {
            (None, _) => pool.for_each_piece(dst, OUTPUTS, |_, values| do_steps(values)),
            (Some(slopes), Layout::Nchw) => {
                let pixels = sizes[2..].iter().product();
                pool.for_each_piece(dst, pixels, |plane, values| {
                    do_steps(values);
                    let slope = slopes[plane % slopes.len()];
                    vectors.dispatch(Steepen { values, slopes: &[slope] });
                });
            }
            (Some(slopes), Layout::Nhwc) => {
                let piece = slopes.len() * PIECE;
                pool.for_each_piece(dst, piece, |_, values| {
                    do_steps(values);
                    vectors.dispatch(Steepen { values, slopes });
                });
            }
        }
        Ok(())
    }
}

/// The sizes of a plan's output.
fn sizes_of_dst(plan: &Plan, dimensions: usize) -> Vec<usize> {
    let problem = plan.problem();
    let axes = [problem.planes, problem.rows, problem.cols];
    let outputs = axes[axes.len() - dimensions..].iter().map(|axis| axis.output);
    [problem.batch, problem.out_channels].into_iter().chain(outputs).collect()
}

impl<T: Number> Typed<T> {
    /// Computes the output of a call but for what comes behind the clamp; the output and its sizes.
    fn compute<'a>(&self, call: Call<'a>) -> Result<(&'a mut [T], Vec<usize>)> {
        let src = call.input(self.places.src.index)?;
        let residual = match self.places.residual {
            None => None,
            Some(input) => Some((call.input(input.index)?, input.layout)),
        };
        let batch = src.sizes.first().copied().unwrap_or_default();
        let mut sizes = src.sizes.clone();
        if let Some(size) = sizes.first_mut() {
            // Of no images the output's other sizes are those of one.
            *size = batch.max(1);
        }
        let plan = self.plan(&sizes, false)?;
        let mut dst_sizes = sizes_of_dst(&plan, self.geometry.dimensions());
        dst_sizes[0] = batch;
        let src = src.elements::<T>()?;
        let Some((residual, layout)) = residual else {
            let dst = call.output::<T>(&dst_sizes)?;
            if !dst.is_empty() {
                self.execute(call, &plan, src, None, dst)?;
            }
            return Ok((dst, dst_sizes));
        };
        let placed = Placed { elements: residual.elements::<T>()?, sizes: &residual.sizes, layout };
        if residual.sizes == dst_sizes {
            let dst = call.output::<T>(&dst_sizes)?;
            if dst.is_empty() {
                return Ok((dst, dst_sizes));
            }
            if layout == self.places.dst {
                self.execute(call, &plan, src, Some(placed.elements), dst)?;
                return Ok((dst, dst_sizes));
            }
            let bytes = size_of_val(placed.elements);
            self.session.with_workspace(bytes, |moved| {
                let moved = &mut moved.elements_mut()[..placed.elements.len()];
                let (channels, pixels) = (dst_sizes[1], dst_sizes[2..].iter().product());
                match layout {
                    Layout::Nchw => transpose(placed.elements, moved, channels, pixels),
                    Layout::Nhwc => transpose(placed.elements, moved, pixels, channels),
                }
                self.execute(call, &plan, src, Some(moved), dst)
            })??;
            return Ok((dst, dst_sizes));
        }
        let sum_sizes = broadcast(&dst_sizes, &residual.sizes)?;
        let sum = call.output::<T>(&sum_sizes)?;
        if sum.is_empty() {
            return Ok((sum, sum_sizes));
        }
        let plan = self.plan(&sizes, true)?;
        let len = dst_sizes.iter().product::<usize>();
        self.session.with_workspace(len * size_of::<T>(), |alone| {
            let alone = &mut alone.elements_mut()[..len];
            self.execute(call, &plan, src, None, alone)?;
            let alone = Placed { elements: alone, sizes: &dst_sizes, layout: self.places.dst };
            let bounds = match self.activation {
                Activation::None => None,
                Activation::Clamp { min, max } => Some([T::from_f64(min), T::from_f64(max)]),
            };
            combine([alone, placed], sum, &sum_sizes, self.places.dst, |a, b| {
                // Rounded once more it is what the addition in their own type gives.
                let sum = T::from_f64(a.into() + b.into());
                bounds.map_or(sum, |[min, max]| sum.clamped(min, max))
            });
            Ok::<_, Failure>(())
        })??;
        Ok((sum, sum_sizes))
    }
}

impl<T: Number> Layer for Typed<T> {
    fn run(&self, call: Call<'_>) -> Result<()> {
        self.session.begin();
        let (dst, sizes) = self.compute(call)?;
        self.finish(call, dst, &sizes)
    }
}

/// Values that are multiplied by slopes where they are negative: by the same one, or by turns. A closure would not be compiled
/// for the vectors that are there.
struct Steepen<'a, T> {
    values: &'a mut [T],
    slopes: &'a [T],
}

impl<T: Number> pulp::WithSimd for Steepen<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        let Self { values, slopes } = self;
        if let &[slope] = slopes {
            for value in values {
                *value = value.steepened(slope);
            }
            return;
        }
        for pixel in values.chunks_exact_mut(slopes.len()) {
            for (value, &slope) in pixel.iter_mut().zip(slopes) {
                *value = value.steepened(slope);
            }
        }
    }
}

/// The plan for a problem of a session.
fn plan(problem: &Problem, session: &Session, algorithm: AlgorithmChoice) -> Result<Plan> {
    let pool = match &session.pool {
        Some(pool) => pool.clone(),
        // SAFETY: calls have their own pool; in this one all jobs run at once on the calling thread.
        None => unsafe { Pool::external(one_by_one, std::ptr::null_mut(), session.threads) }?,
    };
    Ok(Plan::new(
        problem,
        &Options {
            algorithm,
            math: session.options.math(),
            effort: Effort::Estimate,
            max_workspace_bytes: session.options.max_workspace_bytes,
            pool,
            ..Options::default()
        },
    )?)
}

/// [`ParallelFor`] on the calling thread.
unsafe extern "C" fn one_by_one(
    _: *mut std::ffi::c_void,
    jobs: usize,
    job: unsafe extern "C" fn(*mut std::ffi::c_void, usize),
    argument: *mut std::ffi::c_void,
) {
    // SAFETY: the caller's promise.
    (0..jobs).for_each(|index| unsafe { job(argument, index) });
}

const _: ParallelFor = one_by_one;

/// The weights and biases of a chain, with what is done to each channel multiplied in.
fn folded<T: Number>(chain: &Chain<'_>) -> Result<(Vec<T>, Option<Vec<T>>)> {
    let given = chain.weights.elements::<T>()?;
    let mut weights = Vec::new();
    weights
        .try_reserve_exact(given.len())
        .map_err(|_| Failure(format!("{} weights could not be copied: there is no memory", given.len())))?;
    weights.extend_from_slice(given);
    let Some(line) = &chain.line else { return Ok((weights, None)) };
    if line.factors.iter().any(|&factor| factor != 1.0) {
        // Weights are M × C/groups × taps or, transposed, C × M/groups × taps.
        let taps: usize = chain.weights.sizes[2..].iter().product();
        let (second, of_group) = (chain.weights.sizes[1], chain.weights.sizes[0] / chain.groups);
        for (at, kernel) in weights.chunks_exact_mut(taps).enumerate() {
            let m = match chain.transposed {
                false => at / second,
                true => at / second / of_group * second + at % second,
            };
            let factor = line.factors[m];
            kernel.iter_mut().for_each(|weight| *weight = T::from_f64(Into::<f64>::into(*weight) * factor));
        }
    }
    Ok((weights, Some(line.shifts.iter().map(|&shift| T::from_f64(shift)).collect())))
}
