//! [`Work`]: a problem as one [`Part`] with weights that the caller packs, or as several whose weights are packed one after
//! the other into the workspace.

use std::ops::Range;

use convlow_base::memory;
use convlow_kernels::BEHIND_WEIGHTS;
use convlow_threads::Pool;

use super::part::{Part, Tensors};
use super::schedule::Schedule;
use crate::algorithms::{Declined, Element, Entry, Limits, Scratch};
use crate::computed::Computed;
use crate::gemm::Backend;
use crate::problem::{Activation, AxisNames, Layout, Problem, Strides};

/// Bytes of a part's packed weights, unless those of one output channel are more.
const PACKED_BYTES: usize = 256 << 10;
/// Channels, or groups, of a part are a multiple of so many if they are more: whole vectors of every kind.
const VECTOR: usize = 16;

/// Kinds of parts at most: of whole outputs and of those that are left, the first inputs, those in the middle and the last.
const MOST_KINDS: usize = 6;

/// Room for so many kinds of parts.
fn room_for(kinds: usize) -> Result<Vec<PartKind>, Declined> {
    memory::vec(kinds).map_err(|_| Declined::OutOfMemory(kinds * size_of::<PartKind>()))
}

/// What computes a problem.
pub(crate) struct Work {
    computed: Computed,
    /// The parts that differ in more than where they begin, the largest first.
    kinds: Vec<PartKind>,
    /// The sizes of the parts, but of the last along each.
    sizes: Sizes,
    /// Elements of the workspace for a part's packed weights; none where the caller packs them.
    packed: Option<usize>,
    /// Elements of the workspace in all.
    elements: usize,
}

/// How many groups a part has, and how many output and input channels of each.
#[derive(Clone, Copy, PartialEq)]
struct Sizes {
    groups: usize,
    outputs: usize,
    inputs: usize,
}

/// Parts that differ only in where they begin.
struct PartKind {
    /// The first of them.
    first: Place,
    /// How many there are.
    times: usize,
    part: Part,
}

/// A part among the others.
struct Place {
    groups: Range<usize>,
    outputs: Range<usize>,
    inputs: Range<usize>,
    /// Whether these input channels are the first, and whether they are the last: other sums are added to those before.
    is_first: bool,
    is_last: bool,
}

impl Place {
    fn sizes(&self) -> Sizes {
        Sizes { groups: self.groups.len(), outputs: self.outputs.len(), inputs: self.inputs.len() }
    }

    /// Whether a part there differs only in where it begins.
    fn is_like(&self, other: &Self) -> bool {
        (self.sizes(), self.is_first, self.is_last) == (other.sizes(), other.is_first, other.is_last)
    }
}

impl Sizes {
    /// Those of a part that is the whole problem.
    fn all(problem: &Problem) -> Self {
        Self { groups: problem.groups, outputs: problem.group_out(), inputs: problem.group_in() }
    }

    /// Of what each channel of each group has, how much a part has.
    fn product(&self) -> usize {
        self.groups * self.outputs * self.inputs
    }

    /// Those of parts of `problem` whose packed weights are at most so many elements, unless one output channel's are more,
    /// where `whole` is the problem as one part.
    fn fitting(problem: &Problem, whole: &Part, most: usize) -> Self {
        let fitting = |size: usize, all: usize| match (most / size.max(1)).clamp(1, all) {
            many if many < all && many > VECTOR => many / VECTOR * VECTOR,
            few => few,
        };
        let all = Self::all(problem);
        let of_group = whole.packing.elements() / all.groups;
        if of_group > most {
            let of_output = of_group / all.outputs;
            let outputs = fitting(of_output, all.outputs);
            // Outputs of less than a block take as long as those of a whole one. The sums of several parts take less.
            let full = whole.packing.outputs_of_block().min(all.outputs);
            let inputs = most / (of_output / all.inputs * full);
            return if outputs < full && inputs >= VECTOR && whole.schedule.prepared.takes_addend() {
                let parts = all.inputs.div_ceil(inputs / VECTOR * VECTOR);
                let inputs = all.inputs.div_ceil(parts).next_multiple_of(VECTOR);
                Self { groups: 1, outputs: full, inputs }
            } else {
                Self { groups: 1, outputs, ..all }
            };
        }
        let mut groups = fitting(of_group, all.groups);
        // One group alone is another kind of problem.
        while groups > 1 && groups < all.groups && all.groups % groups == 1 {
            groups -= 1;
        }
        Self { groups, ..all }
    }

    /// How many parts there are.
    fn parts(&self, all: &Self) -> usize {
        let [groups, outputs, inputs] = self.steps(all);
        groups * outputs * inputs
    }

    fn steps(&self, all: &Self) -> [usize; 3] {
        [(all.groups, self.groups), (all.outputs, self.outputs), (all.inputs, self.inputs)]
            .map(|(all, step)| all.div_ceil(step))
    }

    /// A part, in the order in which they are computed. Not inlined, since several ask.
    #[inline(never)]
    fn place(&self, all: &Self, at: usize) -> Place {
        let [_, outputs, inputs] = self.steps(all);
        let range = |at: usize, step: usize, all: usize| at * step..((at + 1) * step).min(all);
        Place {
            groups: range(at / (inputs * outputs), self.groups, all.groups),
            outputs: range(at / inputs % outputs, self.outputs, all.outputs),
            inputs: range(at % inputs, self.inputs, all.inputs),
            is_first: at.is_multiple_of(inputs),
            is_last: at % inputs == inputs - 1,
        }
    }
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
        let schedule =
            Schedule::new(&computed.problem, entry, Limits::new(threads, problem.elements(max_bytes)))?;
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
        let sizes = Sizes::all(problem);
        let mut kinds = room_for(1)?;
        kinds.push(PartKind { first: sizes.place(&sizes, 0), times: 1, part });
        Ok(Self { computed, kinds, sizes, packed: None, elements })
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
            let is_least = (work.sizes.groups, work.sizes.outputs) == (1, 1);
            if work.elements <= problem.elements(max_bytes) || is_least || most < size_of::<u64>() {
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
        let whole = Part::new(problem, *source, entry, Limits::new(threads, problem.elements(max_bytes)))?;
        let all = Sizes::all(problem);
        let sizes = Sizes::fitting(problem, &whole, most);
        // What the whole problem needs is enough for a part.
        let packed = whole.packing.elements() / all.product() * sizes.product();
        let left = max_bytes.saturating_sub(packed * problem.data_type.bytes() + BEHIND_WEIGHTS);
        let enough = whole.schedule.bytes(problem).ok_or(Scratch::OVERFLOW)?;
        let of_tile = whole.schedule.prepared.scratch().elements;
        let limits = Limits::new(threads, problem.elements(left.min(enough))).with_tiles_of(of_tile);
        let mut whole = Some(whole).filter(|_| sizes == all && left >= enough);
        let mut kinds = room_for(MOST_KINDS)?;
        for at in 0..sizes.parts(&all) {
            let first = sizes.place(&all, at);
            if let Some(kind) = kinds.iter_mut().find(|kind| kind.first.is_like(&first)) {
                kind.times += 1;
                continue;
            }
            let part = match whole.take() {
                Some(whole) => whole,
                None => {
                    let part = if sizes == all { *problem } else { part_of(problem, &first)? };
                    Part::new(&part, *source, entry, limits)?
                }
            };
            kinds.push(PartKind { first, times: 1, part });
        }
        let packed = kinds.iter().map(|kind| kind.part.packing.unmarked_len()).max().unwrap_or_default();
        let mut scratch = 0;
        for kind in &kinds {
            scratch = kind.part.scratch().ok_or(Scratch::OVERFLOW)?.max(scratch);
        }
        let elements = packed.checked_add(scratch).ok_or(Scratch::OVERFLOW)?;
        Ok(Self { computed, kinds, sizes, packed: Some(packed), elements })
    }

    /// Whether it reads plain weights.
    pub fn is_plain(&self) -> bool {
        self.packed.is_some()
    }

    /// The whole problem, if the caller packs its weights.
    pub fn whole(&self) -> Option<&Part> {
        self.kinds.first().filter(|_| !self.is_plain()).map(|kind| &kind.part)
    }

    /// The parts, and how many there are of each kind.
    pub fn parts(&self) -> impl Iterator<Item = (&Part, usize)> + Clone {
        self.kinds.iter().map(|kind| (&kind.part, kind.times))
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
        let all = Sizes::all(problem);
        for at in 0..self.sizes.parts(&all) {
            let place = self.sizes.place(&all, at);
            let kind = self.kinds.iter().find(|kind| kind.first.is_like(&place));
            let part = &kind.expect("there is a part for each place").part;
            let first = place.groups.start * source.group
                + place.outputs.start * source.output
                + place.inputs.start * source.input;
            let packed = &mut packed[..part.packing.unmarked_len()];
            part.packing.pack_unmarked(&weights[first..], packed);
            let scratch = &mut scratch[..part.scratch().unwrap_or_default()];
            // SAFETY: the caller's promise; the part's elements are the tensors'.
            unsafe { part.run(packed, of_part(problem, &tensors, &place), backend, scratch, pool) };
        }
    }
}

/// The problem of some groups, and some channels of each, on slices of the wider problem's tensors.
fn part_of(problem: &Problem, place: &Place) -> Result<Problem, Declined> {
    let ([src_channel, dst_channel], [src_batch, dst_batch]) =
        (problem.channel_strides(), problem.batch_strides());
    let Sizes { groups, outputs, inputs } = place.sizes();
    // The outputs of a gradient may be fewer than those of its formula.
    let part = Problem {
        groups,
        in_channels: groups * inputs,
        out_channels: groups * outputs,
        src_strides: Strides { channel: src_channel, batch: src_batch },
        dst_strides: Strides { channel: dst_channel, batch: dst_batch },
        accumulate: problem.accumulate || !place.is_first,
        activation: if place.is_last { problem.activation } else { Activation::None },
        ..*problem
    };
    part.with_checked_sizes(AxisNames::NAMED).map_err(|_| Scratch::OVERFLOW)
}

/// The tensors from the first element of a part on. Sums that are not the first are added to what dst holds.
fn of_part<'a, T>(problem: &Problem, tensors: &Tensors<'a, T>, place: &Place) -> Tensors<'a, T> {
    let first_in = place.groups.start * problem.group_in() + place.inputs.start;
    let first_out = place.groups.start * problem.group_out() + place.outputs.start;
    let count = place.groups.len() * place.outputs.len();
    let [src_channel, dst_channel] = problem.channel_strides();
    let step = |layout: Layout, between: usize| if layout == Layout::Nhwc { 1 } else { between };
    let in_dst = first_out * step(problem.dst_layout, dst_channel);
    let of_outputs = |values: Option<&'a [T]>| values.map(|values| &values[first_out..first_out + count]);
    let of_first = |residual: &*const T| residual.wrapping_add(in_dst);
    Tensors {
        src: tensors.src.wrapping_add(first_in * step(problem.src_layout, src_channel)),
        bias: of_outputs(tensors.bias.filter(|_| place.is_first)),
        slopes: of_outputs(tensors.slopes),
        dst: tensors.dst.wrapping_add(in_dst),
        residual: tensors.residual.as_ref().filter(|_| place.is_first).map(of_first),
    }
}
