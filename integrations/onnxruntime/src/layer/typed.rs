//! A layer of elements of one type.

use std::sync::Arc;

use convlow::{Activation, Axis, Buffer, Layout, Math, Plan, Strides};

use super::activate::Sums;
use super::behind::Behind;
use super::execute::{Constants, Tensors, execute};
use super::folded::{folded_bias, folded_weights};
use super::packed::packed;
use super::places::{Layer, Places, shown};
use super::plans::{Asked, Key, Plans, new_plan};
use super::problem::{geometry, usual_problem, weights_from};
use crate::fuse::{Chain, Origin};
use crate::geometry::{Form, Geometry};
use crate::host::{Call, Failure, Output, Result, Tensor};
use crate::moves::{Placed, broadcast, combine, transpose};
use crate::number::Number;
use crate::session::{Session, Threads};

/// A layer of elements of one type.
pub struct Typed<T> {
    session: Arc<Session>,
    /// The name of the convolution's own output.
    output: String,
    /// The convolution in messages.
    name: String,
    asked: Asked,
    /// The weights' sizes.
    weights: Vec<usize>,
    geometry: Geometry,
    /// The library's own end.
    activation: Activation,
    places: Places,
    constants: Constants<T>,
    behind: Behind<T>,
    plans: Plans,
}

impl<T: Number> Typed<T> {
    /// # Errors
    /// The reason why convlow does not compute the chain.
    pub fn new(
        chain: &Chain<'_>,
        places: Places,
        output: String,
        session: &Arc<Session>,
        math: Math,
    ) -> Result<Self> {
        let problem = usual_problem(chain, places.layouts())?;
        let asked = Asked::first(math, weights_from(chain));
        let plan = new_plan(&problem, session, asked)?;
        let packed = match &chain.weights.origin {
            Origin::Constant(weights) => packed(&plan, &folded_weights::<T>(chain, weights)?)?,
            Origin::Computed(_) => Arc::new(Buffer::new(0)?),
        };
        let slopes = chain.slopes.as_ref().map(|slopes| Ok::<_, Failure>(slopes.elements::<T>()?.to_vec()));
        let (slopes, last) = match slopes.transpose()? {
            Some(slopes) if chain.ending.has_slopes_last => (None, Some(slopes)),
            slopes => (slopes, None),
        };
        let layer = Self {
            session: session.clone(),
            name: shown(chain.nodes[0])?,
            output,
            // One packing serves all sizes.
            asked: Asked { packing_id: plan.packing_id(), ..asked },
            weights: chain.weights.sizes.clone(),
            geometry: geometry(chain)?,
            activation: chain.ending.activation,
            places,
            constants: Constants { packed, bias: folded_bias(chain), slopes },
            behind: Behind::of(chain, last),
            plans: Plans::default(),
        };
        let known = chain.src.shape()?.and_then(|shape| shape.known());
        layer.tell(&plan, known.is_none_or(|sizes| sizes.is_empty() || sizes.contains(&0)));
        Ok(layer)
    }

    /// Notes a plan in the report. Its sizes are assumed before a run tells them.
    fn tell(&self, plan: &Plan, is_assumed: bool) {
        let (info, channels) = (plan.info(), plan.problem().in_channels);
        let input = sizes_of(plan, self.geometry.dimensions(), channels, |axis| axis.input);
        self.session.correct(&self.output, |told| {
            told.input = input;
            told.is_assumed = is_assumed;
            told.algorithm = info.entry.name.to_string_lossy().into_owned();
            told.workspace_bytes = info.workspace_bytes;
            told.packed_bytes = info.packed_weights_bytes;
        });
    }

    /// The plan for an input of these sizes, which ends with a residual and the activation unless it is alone.
    fn plan(&self, sizes: &[usize], is_alone: bool, dst_strides: Strides) -> Result<Arc<Plan>> {
        let key = Key { sizes: sizes.to_vec(), is_alone, dst_strides };
        if let Some(plan) = self.plans.known(&key) {
            return Ok(plan);
        }
        let form = Form {
            data_type: T::TYPE,
            layouts: self.places.layouts(),
            dst_strides,
            activation: if is_alone { Activation::None } else { self.activation },
            accumulate: self.places.residual.is_some() && !is_alone,
        };
        let problem = self.geometry.problem(sizes, form)?;
        let plan = Arc::new(new_plan(&problem, &self.session, self.asked)?);
        self.tell(&plan, false);
        self.plans.keep(key, plan.clone());
        Ok(plan)
    }
}

impl<T: Number> Layer for Typed<T> {
    fn run(&self, call: Call<'_>, output: Output<'_>) -> Result<()> {
        self.session.begin();
        self.compute(call, output).map_err(|failure| self.named(failure))
    }
}

impl<T: Number> Typed<T> {
    /// The input.
    ///
    /// # Errors
    /// The host's.
    pub fn src<'a>(&self, call: Call<'a>) -> Result<Tensor<'a>> {
        call.input(self.places.src.index)
    }

    /// Output channels.
    pub fn channels(&self) -> usize {
        self.geometry.out_channels()
    }

    /// Begins to compute an input, of which the output is a part of so many channels.
    ///
    /// # Errors
    /// If it does not fit.
    pub fn begin<'r>(
        &'r self,
        src: &'r Tensor<'_>,
        channels: usize,
        threads: &'r Threads<'r>,
    ) -> Result<Run<'r, T>> {
        let dst_strides = Strides { channel: channels, ..Strides::PACKED };
        Run::new(self, src, [None; 2], dst_strides, threads).map_err(|failure| self.named(failure))
    }

    fn named(&self, Failure(reason): Failure) -> Failure {
        Failure(format!("{}: {reason}", self.name))
    }

    fn compute(&self, call: Call<'_>, output: Output<'_>) -> Result<()> {
        let threads = self.session.threads_of(&call)?;
        let src = self.src(call)?;
        let residual =
            self.places.residual.map(|input| Ok::<_, Failure>((call.input(input.index)?, input.layout)));
        let residual = residual.transpose()?;
        let computed = |index: Option<usize>| index.map(|index| call.input(index)).transpose();
        let (weights, bias) = (computed(self.places.weights)?, computed(self.places.bias)?);
        let bias = bias.as_ref().map(|bias| bias.elements::<T>()).transpose()?;
        if let Some(Tensor { sizes, .. }) = weights.as_ref().filter(|weights| weights.sizes != self.weights) {
            return Err(Failure(format!(
                "the weights are of sizes {sizes:?}, but were to be of {:?}",
                self.weights
            )));
        }
        let weights = weights.as_ref().map(|weights| weights.elements::<T>()).transpose()?;
        let run = Run::new(self, &src, [weights, bias], Strides::PACKED, &threads)?;
        let (dst, sizes) = match &residual {
            None => run.without_residual(output)?,
            Some((residual, layout)) => {
                let residual =
                    Placed { elements: residual.elements::<T>()?, sizes: &residual.sizes, layout: *layout };
                if residual.sizes == run.dst_sizes {
                    run.with_residual(residual, output)?
                } else {
                    run.with_broadcast(residual, output)?
                }
            }
        };
        self.behind.finish(dst, &sizes, self.places.dst, &threads);
        Ok(())
    }
}

/// One call of a layer. Its methods compute the output up to the library's end, and tell its sizes.
pub struct Run<'r, T> {
    layer: &'r Typed<T>,
    threads: &'r Threads<'r>,
    src: &'r [T],
    /// Weights and bias that are computed in the run.
    computed: [Option<&'r [T]>; 2],
    /// The input's sizes, but of one image at least: of no images the output's other sizes are those of one.
    sizes: Vec<usize>,
    plan: Arc<Plan>,
    dst_sizes: Vec<usize>,
}

impl<'r, T: Number> Run<'r, T> {
    fn new(
        layer: &'r Typed<T>,
        src: &'r Tensor<'_>,
        computed: [Option<&'r [T]>; 2],
        dst_strides: Strides,
        threads: &'r Threads<'r>,
    ) -> Result<Self> {
        let batch = src.sizes.first().copied().unwrap_or_default();
        let mut sizes = src.sizes.clone();
        if let Some(size) = sizes.first_mut() {
            *size = batch.max(1);
        }
        let plan = layer.plan(&sizes, false, dst_strides)?;
        let channels = plan.problem().out_channels;
        let mut dst_sizes = sizes_of(&plan, layer.geometry.dimensions(), channels, |axis| axis.output);
        dst_sizes[0] = batch;
        Ok(Self { layer, threads, src: src.elements::<T>()?, computed, sizes, plan, dst_sizes })
    }

    /// The output's sizes.
    pub fn dst_sizes(&self) -> &[usize] {
        &self.dst_sizes
    }

    /// Writes the output to a wider tensor, from one of its channels on.
    ///
    /// # Errors
    /// As [`execute`].
    pub fn write(&self, to: &mut [T], first: usize) -> Result<()> {
        let dst = &mut to[first..][..self.plan.problem().dst_len()];
        self.execute(&self.plan, None, dst).map_err(|failure| self.layer.named(failure))
    }

    fn execute(&self, plan: &Plan, residual: Option<&[T]>, dst: &mut [T]) -> Result<()> {
        let Typed { session, constants, .. } = self.layer;
        let [weights, bias] = self.computed;
        execute(
            session,
            plan,
            constants,
            Tensors { src: self.src, weights, bias, residual, dst },
            self.threads,
        )
    }

    fn without_residual<'o>(self, output: Output<'o>) -> Result<(&'o mut [T], Vec<usize>)> {
        let dst = output.of::<T>(&self.dst_sizes)?;
        if !dst.is_empty() {
            self.execute(&self.plan, None, dst)?;
        }
        Ok((dst, self.dst_sizes))
    }

    /// With a residual of the output's shape, which may lie otherwise.
    fn with_residual<'o>(
        self,
        residual: Placed<'_, T>,
        output: Output<'o>,
    ) -> Result<(&'o mut [T], Vec<usize>)> {
        let dst = output.of::<T>(&self.dst_sizes)?;
        if dst.is_empty() {
            return Ok((dst, self.dst_sizes));
        }
        let Placed { elements, layout, .. } = residual;
        if layout == self.layer.places.dst {
            self.execute(&self.plan, Some(elements), dst)?;
            return Ok((dst, self.dst_sizes));
        }
        self.layer.session.with_workspace(size_of_val(elements), |moved| {
            let moved = &mut moved.elements_mut()[..elements.len()];
            let (channels, pixels) = (self.dst_sizes[1], self.dst_sizes[2..].iter().product());
            match layout {
                Layout::Nchw => transpose(elements, moved, channels, pixels, self.threads),
                Layout::Nhwc => transpose(elements, moved, pixels, channels, self.threads),
            }
            self.execute(&self.plan, Some(moved), dst)
        })??;
        Ok((dst, self.dst_sizes))
    }

    /// With a residual of another shape: the convolution alone, the sum, then the activation.
    fn with_broadcast<'o>(
        self,
        residual: Placed<'_, T>,
        output: Output<'o>,
    ) -> Result<(&'o mut [T], Vec<usize>)> {
        let sum_sizes = broadcast(&self.dst_sizes, residual.sizes)?;
        let sum = output.of::<T>(&sum_sizes)?;
        if sum.is_empty() {
            return Ok((sum, sum_sizes));
        }
        let Typed { session, constants, places, activation, .. } = self.layer;
        let plan = self.layer.plan(&self.sizes, true, Strides::PACKED)?;
        let len = self.dst_sizes.iter().product::<usize>();
        session.with_workspace(len * size_of::<T>(), |alone| {
            let alone = &mut alone.elements_mut()[..len];
            self.execute(&plan, None, alone)?;
            let alone = Placed { elements: alone, sizes: &self.dst_sizes, layout: places.dst };
            // Rounded once more it is the sum in their own type.
            let add = |a: T, b: T| T::from_f64(a.into() + b.into());
            combine([alone, residual], sum, &sum_sizes, places.dst, add);
            Ok::<_, Failure>(())
        })??;
        let sums = Sums { sizes: &sum_sizes, layout: places.dst, slopes: constants.slopes.as_deref() };
        sums.activate(*activation, sum, session, self.threads)?;
        Ok((sum, sum_sizes))
    }
}

/// The sizes of a plan's input or output of so many channels.
fn sizes_of(plan: &Plan, dimensions: usize, channels: usize, of: impl Fn(&Axis) -> usize) -> Vec<usize> {
    let problem = plan.problem();
    let axes = [problem.planes, problem.rows, problem.cols];
    [problem.batch, channels].into_iter().chain(axes[axes.len() - dimensions..].iter().map(of)).collect()
}
