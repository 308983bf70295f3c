//! [`Data`]: what all candidates of a problem compute with.

use std::marker::PhantomData;
use std::time::Instant;

use convlow::{Buffer, Element, Layout, Problem, Propagation};

use super::select::Candidate;
use crate::execution::{self, Operands};
use crate::oracle::{Check, Oracle};
use crate::outcome::Outcome;
use crate::seeded::Seeded;

/// The tensors of a problem's executes. What its propagation does not read is empty.
pub(super) struct Data<T> {
    element: PhantomData<T>,
    src: Image,
    diff_dst: Image,
    bias: Buffer,
    written: Buffer,
    workspace: Buffer,
    packed: Vec<Buffer>,
    oracle: Option<Oracle>,
}

/// The same numbers in NCHW and NHWC; empty where no candidate takes them so.
#[derive(Default)]
struct Image([Buffer; 2]);

impl Image {
    fn new<T: Element>(numbers: Buffer, sizes: [usize; 3], also_nhwc: bool) -> Outcome<Self> {
        let pixels_first = if also_nhwc { nhwc::<T>(&numbers, sizes)? } else { Buffer::default() };
        Ok(Self([numbers, pixels_first]))
    }

    fn of<T: Element>(&self, layout: Layout) -> &[T] {
        match layout {
            Layout::Nchw => self.0[0].elements(),
            Layout::Nhwc => self.0[1].elements(),
        }
    }
}

impl<T: Element> Data<T> {
    /// `check`: whether first runs are compared with the definition. `bias_gradient`: whether that is computed with the gradient
    /// of the weights.
    pub(super) fn new(
        problem: &Problem,
        candidates: &[Candidate],
        (check, bias_gradient): (bool, bool),
        seeded: &mut Seeded,
    ) -> Outcome<Self> {
        let takes = |layout_of: fn(&Problem) -> Layout| {
            candidates.iter().any(|candidate| layout_of(candidate.plan.problem()) == Layout::Nhwc)
        };
        let src = match problem.propagation {
            Propagation::BackwardData => Image::default(),
            _ => Image::new::<T>(
                seeded.numbers::<T>(problem.src_len(), 1.0)?,
                [problem.batch, problem.in_channels, problem.in_pixels()],
                takes(|problem| problem.src_layout),
            )?,
        };
        let (weights, bias) = (seeded.weights::<T>(problem)?, seeded.bias::<T>(problem)?);
        let diff_dst = match problem.propagation {
            Propagation::Forward => Image::default(),
            _ => Image::new::<T>(
                seeded.numbers::<T>(problem.dst_len(), 1.0)?,
                [problem.batch, problem.out_channels, problem.out_pixels()],
                takes(|problem| problem.dst_layout),
            )?,
        };
        let infos = || candidates.iter().map(|candidate| candidate.plan.info());
        let workspace = infos().map(|info| info.workspace_bytes).max().unwrap_or(0);
        let packed = candidates.iter().map(|candidate| {
            let mut packed = Buffer::new(candidate.plan.info().packed_weights_bytes)?;
            if problem.propagation != Propagation::BackwardWeights {
                candidate.plan.pack_weights(weights.elements::<T>(), packed.bytes_mut())?;
            }
            Ok(packed)
        });
        let packed = packed.collect::<Outcome<_>>()?;
        let oracle = check.then(|| {
            let operands = Operands::<T> {
                src: src.of(problem.src_layout),
                diff_dst: diff_dst.of(problem.dst_layout),
                weights: weights.elements(),
                bias: bias.elements(),
            };
            Oracle::new(problem, &operands, bias_gradient, seeded)
        });
        let written = execution::written_len(problem, bias_gradient);
        Ok(Self {
            element: PhantomData,
            packed,
            src,
            diff_dst,
            bias,
            written: Buffer::new(written.saturating_mul(size_of::<T>()))?,
            workspace: Buffer::new(workspace)?,
            oracle,
        })
    }

    /// Seconds of a candidate's first run, and how right it is, if that is asked for.
    pub(super) fn first_run(&mut self, index: usize, candidate: &Candidate) -> Outcome<(f64, Option<Check>)> {
        // An output that is never written must not look like one.
        self.written.elements_mut::<T>().fill(T::from_f64(f64::NAN));
        let seconds = self.run(index, candidate, 1)?;
        let check = self.oracle.as_ref().map(|oracle| {
            let plan = &candidate.plan;
            oracle.check::<T>(plan.problem(), self.written.elements(), plan.info().entry.is_exact())
        });
        Ok((seconds, check))
    }

    /// Seconds of a run, the mean of so many in a row.
    pub(super) fn run(&mut self, index: usize, candidate: &Candidate, runs: u32) -> Outcome<f64> {
        let (src_layout, dst_layout) = candidate.pair();
        let operands = Operands::<T> {
            src: self.src.of(src_layout),
            diff_dst: self.diff_dst.of(dst_layout),
            weights: &[],
            bias: self.bias.elements(),
        };
        let before = Instant::now();
        for _ in 0..runs {
            execution::execute(
                &candidate.plan,
                &operands,
                self.packed[index].bytes(),
                self.written.elements_mut(),
                self.workspace.elements_mut(),
            )?;
        }
        Ok((before.elapsed().as_secs_f64() / f64::from(runs)).max(1e-9))
    }
}

/// NCHW images of these sizes, batch, channels and pixels, as NHWC.
fn nhwc<T: Element>(images: &Buffer, [batch, channels, pixels]: [usize; 3]) -> Outcome<Buffer> {
    let mut moved = Buffer::new(images.bytes().len())?;
    let (from, to) = (images.elements::<T>(), moved.elements_mut::<T>());
    for (n, c) in (0..batch).flat_map(|n| (0..channels).map(move |c| (n, c))) {
        for pixel in 0..pixels {
            to[(n * pixels + pixel) * channels + c] = from[(n * channels + c) * pixels + pixel];
        }
    }
    Ok(moved)
}
