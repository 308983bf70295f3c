//! [`Work`]: a problem as one [`Part`] with weights that the caller packs, or as several whose weights are packed one after
//! the other into the workspace.

use std::ops::Range;

use convlow_kernels::BEHIND_WEIGHTS;
use convlow_threads::Pool;

use super::part::{Part, Tensors};
use super::schedule::Schedule;
use crate::algorithms::{Declined, Element, Entry, Scratch};
use crate::computed::Computed;
use crate::gemm::Backend;
use crate::problem::{AxisNames, Layout, Problem, Strides};

/// Bytes of a part's packed weights, unless those of one output channel are more.
const PACKED_BYTES: usize = 256 << 10;
/// Output channels, or groups, of a part are a multiple of so many if they are more: whole vectors of every kind.
const VECTOR: usize = 16;

/// What computes a problem.
pub(crate) struct Work {
    computed: Computed,
    /// The parts of a whole step, and those of what is left behind the last one, if there are any.
    kinds: [Option<Part>; 2],
    /// Groups of a part, and output channels of each. One of both is all there are.
    step: [usize; 2],
    /// Elements of the workspace for a part's packed weights; none where the caller packs them.
    packed: Option<usize>,
    /// Elements of the workspace in all.
    elements: usize,
}

/// The weights of an execute.
#[derive(Clone, Copy)]
pub(crate) enum Weights<'a, T> {
    /// As the plan packed them.
    Packed(&'a [T]),
    /// As the caller has them, in the problem's layout.
    Plain(&'a [T]),
}

impl Work {
    /// One part, whose weights the caller packs.
    ///
    /// # Errors
    /// Why the algorithm does not compute the problem.
    pub fn packed(
        problem: &Problem,
        entry: &Entry,
        threads: usize,
        max_bytes: usize,
    ) -> Result<Self, Declined> {
        let computed = Computed::new(problem);
        let schedule = Schedule::new(&computed.problem, entry, threads, max_bytes)?;
        Self::of(computed, schedule)
    }

    /// [`Work::packed`] by a schedule that is there.
    ///
    /// # Errors
    /// If its workspace does not fit.
    pub fn of(computed: Computed, schedule: Schedule) -> Result<Self, Declined> {
        let problem = &computed.problem;
        let part = Part::of(problem, computed.source, schedule);
        let elements = part.scratch().ok_or(Scratch::OVERFLOW)?;
        let step = [problem.groups, problem.group_out()];
        Ok(Self { computed, kinds: [Some(part), None], step, packed: None, elements })
    }

    /// Parts that are so small that their packed weights, and what the algorithm needs beside them, keep to the limit where
    /// the algorithm can adapt.
    ///
    /// # Errors
    /// Why the algorithm does not compute the problem.
    pub fn plain(
        problem: &Problem,
        entry: &Entry,
        threads: usize,
        max_bytes: usize,
    ) -> Result<Self, Declined> {
        let mut most = PACKED_BYTES;
        let mut larger = None;
        loop {
            let work = match Self::in_parts(problem, entry, threads, max_bytes, problem.elements(most)) {
                Ok(work) => work,
                // What computes no part so small needs the larger ones.
                Err(declined) => return larger.ok_or(declined),
            };
            if work.elements <= problem.elements(max_bytes) || work.step == [1, 1] || most < size_of::<u64>()
            {
                return Ok(work);
            }
            larger = Some(work);
            most /= 2;
        }
    }

    /// Parts of at most so many elements of packed weights, but of a channel at least.
    fn in_parts(
        problem: &Problem,
        entry: &Entry,
        threads: usize,
        max_bytes: usize,
        most: usize,
    ) -> Result<Self, Declined> {
        let computed = Computed::new(problem);
        let Computed { problem, source } = &computed;
        let whole = Part::new(problem, *source, entry, threads, max_bytes)?;
        let (groups, channels) = (problem.groups, problem.group_out());
        let step = Self::step(problem, whole.packing.elements(), most);
        // What the whole problem needs is enough for a part.
        let packed = whole.packing.elements() / (groups * channels) * step[0] * step[1];
        let left = max_bytes.saturating_sub(packed * problem.data_type.bytes() + BEHIND_WEIGHTS);
        let enough = whole.schedule.bytes(problem).ok_or(Scratch::OVERFLOW)?;
        let part = |problem: &Problem| Part::new(problem, *source, entry, threads, left.min(enough));
        let of = |groups: usize, channels: usize| match groups * channels {
            0 => Ok(None),
            _ => part_of(problem, [groups, channels]).and_then(|problem| part(&problem)).map(Some),
        };
        let kinds = if step == [groups, channels] {
            [if left < enough { Some(part(problem)?) } else { Some(whole) }, None]
        } else if step[1] < channels {
            [of(1, step[1])?, of(1, channels % step[1])?]
        } else {
            [of(step[0], channels)?, of(groups % step[0], channels)?]
        };
        let parts = || kinds.iter().flatten();
        let packed = parts().map(|part| part.packing.unmarked_len()).max().unwrap_or_default();
        let mut scratch = 0;
        for part in parts() {
            scratch = part.scratch().ok_or(Scratch::OVERFLOW)?.max(scratch);
        }
        let elements = packed.checked_add(scratch).ok_or(Scratch::OVERFLOW)?;
        Ok(Self { computed, kinds, step, packed: Some(packed), elements })
    }

    /// Groups of a part, and output channels of each, where the weights of all are packed as so many elements and those of a
    /// part are to be at most `most`.
    fn step(problem: &Problem, all: usize, most: usize) -> [usize; 2] {
        let fitting = |size: usize, all: usize| match (most / size.max(1)).clamp(1, all) {
            many if many < all && many > VECTOR => many / VECTOR * VECTOR,
            few => few,
        };
        let (groups, channels) = (problem.groups, problem.group_out());
        let of_group = all / groups;
        if of_group > most {
            return [1, fitting(of_group / channels, channels)];
        }
        let mut step = fitting(of_group, groups);
        // One group alone is another kind of problem.
        while step > 1 && step < groups && groups % step == 1 {
            step -= 1;
        }
        [step, channels]
    }

    /// Whether it reads plain weights.
    pub fn is_plain(&self) -> bool {
        self.packed.is_some()
    }

    /// The whole problem, if the caller packs its weights.
    pub fn whole(&self) -> Option<&Part> {
        self.kinds[0].as_ref().filter(|_| !self.is_plain())
    }

    /// The parts, and how many there are of each kind.
    pub fn parts(&self) -> impl Iterator<Item = (&Part, usize)> + Clone {
        let problem = &self.computed.problem;
        let (groups, channels) = (problem.groups / self.step[0], problem.group_out() / self.step[1]);
        // What is left is so once, or once a group.
        let left = if self.step[1] < problem.group_out() { problem.groups } else { 1 };
        self.kinds.iter().flatten().zip([groups * channels, left])
    }

    /// Bytes of the workspace; `None` if they overflow.
    pub fn bytes(&self) -> Option<usize> {
        let bytes = self.elements.checked_mul(self.computed.problem.data_type.bytes())?;
        Some(bytes).filter(|&bytes| bytes <= isize::MAX as usize)
    }

    /// Computes the problem's dst.
    ///
    /// # Safety
    /// As `Plan::execute_raw`.
    pub(super) unsafe fn run<T: Element>(
        &self,
        weights: Weights<'_, T>,
        tensors: Tensors<'_, T>,
        backend: Option<Backend>,
        workspace: &mut [T],
        pool: &Pool,
    ) {
        let weights = match weights {
            Weights::Packed(weights) => {
                let part = self.whole().expect("packed weights are those of a plan that packs");
                // SAFETY: the caller's promise.
                return unsafe { part.run(weights, tensors, backend, workspace, pool) };
            }
            Weights::Plain(weights) => weights,
        };
        let Computed { problem, source } = &self.computed;
        let (packed, scratch) = workspace.split_at_mut(self.packed.unwrap_or_default());
        for groups in steps(problem.groups, self.step[0]) {
            for channels in steps(problem.group_out(), self.step[1]) {
                let is_whole = [groups.len(), channels.len()] == self.step;
                let part = self.kinds[usize::from(!is_whole)].as_ref().expect("there is a part of each size");
                let first = groups.start * source.group + channels.start * source.output;
                let packed = &mut packed[..part.packing.unmarked_len()];
                part.packing.pack_unmarked(&weights[first..], packed);
                let scratch = &mut scratch[..part.scratch().unwrap_or_default()];
                // SAFETY: the caller's promise; the part's elements are the tensors'.
                unsafe {
                    part.run(packed, of_part(problem, &tensors, &groups, &channels), backend, scratch, pool)
                };
            }
        }
    }
}

/// A range in steps.
fn steps(all: usize, step: usize) -> impl Iterator<Item = Range<usize>> {
    (0..all).step_by(step).map(move |first| first..(first + step).min(all))
}

/// The problem of some groups, and some output channels of each, on slices of the wider problem's tensors.
fn part_of(problem: &Problem, [groups, channels]: [usize; 2]) -> Result<Problem, Declined> {
    let ([src_channel, dst_channel], [src_batch, dst_batch]) =
        (problem.channel_strides(), problem.batch_strides());
    // The outputs of a gradient may be fewer than those of its formula.
    let part = Problem {
        groups,
        in_channels: groups * problem.group_in(),
        out_channels: groups * channels,
        src_strides: Strides { channel: src_channel, batch: src_batch },
        dst_strides: Strides { channel: dst_channel, batch: dst_batch },
        ..*problem
    };
    part.with_checked_sizes(AxisNames::NAMED).map_err(|_| Scratch::OVERFLOW)
}

/// The tensors from the first element of a part on.
fn of_part<'a, T>(
    problem: &Problem,
    tensors: &Tensors<'a, T>,
    groups: &Range<usize>,
    channels: &Range<usize>,
) -> Tensors<'a, T> {
    let group_out = problem.group_out();
    let (first_in, first_out) =
        (groups.start * problem.group_in(), groups.start * group_out + channels.start);
    let count = groups.len() * channels.len();
    let [src_channel, dst_channel] = problem.channel_strides();
    let step = |layout: Layout, between: usize| if layout == Layout::Nhwc { 1 } else { between };
    let in_dst = first_out * step(problem.dst_layout, dst_channel);
    let of_channels = |values: Option<&'a [T]>| values.map(|values| &values[first_out..first_out + count]);
    Tensors {
        src: tensors.src.wrapping_add(first_in * step(problem.src_layout, src_channel)),
        bias: of_channels(tensors.bias),
        slopes: of_channels(tensors.slopes),
        dst: tensors.dst.wrapping_add(in_dst),
        residual: tensors.residual.map(|residual| residual.wrapping_add(in_dst)),
    }
}
