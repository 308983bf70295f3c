//! Packed weights: the caller's weights in the order in which an algorithm reads them.
//!
//! A blob has four parts: a header of 64 bytes; the elements, group by group; 64 bytes of zeros, so that a vector
//! that begins with the last element may be read whole; an end mark of 16 bytes. Header and end mark bind the blob to
//! one packing. So weights of another packing, or weights that are cut short, are refused before any arithmetic. Two
//! plans with the same packing may share a blob.

use convlow_base::error::{Error, Result, text};
use convlow_kernels::BEHIND_WEIGHTS;
use convlow_kernels::Element;
use convlow_kernels::matrix::{Matrix, MatrixMut};
use convlow_kernels::number::Number;
#[cfg(feature = "winograd")]
use convlow_kernels::winograd::WeightsTransform;
#[cfg(feature = "winograd")]
use convlow_kernels::winograd::matrices::KernelTransform;

use super::weight_order::Dim::{C, I, J, M};
#[cfg(feature = "gemm")]
pub use super::weight_order::IJMC;
pub use super::weight_order::{CIJM, IJCM, MCIJ, MIJC, WeightOrder};
use super::weight_order::{EXCHANGED, OrderWord, TURNED_ROUND, Taps, alpha};
use crate::problem::{DataType, Problem, WeightStrides, product};

const HEADER_WORDS: usize = 8;
/// Bytes in front of the elements.
pub const HEADER_BYTES: usize = HEADER_WORDS * size_of::<u64>();
/// Elements that are moved before they are brought into order, on the stack.
const KEPT: usize = 4096;
/// Bytes behind the elements: the zeros and the end mark.
const END_BYTES: usize = BEHIND_WEIGHTS + 2 * size_of::<u64>();

/// A packing: which weights, in which order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packing {
    order: WeightOrder,
    groups: usize,
    out_channels: usize,
    in_channels: usize,
    /// Rows of a kernel, those of all its planes, and its columns.
    kernel: [usize; 2],
    /// Groups of the caller that are one here.
    groups_at_once: usize,
    source: WeightStrides,
    data_type: DataType,
}

impl Packing {
    /// Weights of `problem` in `order`, so many groups as if they were one: their output channels side by side.
    pub fn new(problem: &Problem, order: WeightOrder, groups_at_once: usize) -> Self {
        let out_channels = problem.group_out() * groups_at_once;
        // One block of all channels is the plain order, and the blobs of both fit either.
        let lanes = if order.taps == Taps::InOrder { out_channels } else { out_channels * problem.taps() };
        let block = if order.block < lanes { order.block } else { 0 };
        Self {
            order: WeightOrder { block, ..order },
            groups: problem.groups / groups_at_once,
            out_channels,
            in_channels: problem.group_in(),
            kernel: [problem.planes.kernel * problem.rows.kernel, problem.cols.kernel],
            groups_at_once,
            source: problem.weight_strides(),
            data_type: problem.data_type,
        }
    }

    /// The same packing of weights that lie as `source` says among others.
    pub(crate) fn of_source(self, source: WeightStrides) -> Self {
        Self { source, ..self }
    }

    /// Elements of one group.
    pub fn group_len(&self) -> usize {
        self.out_channels * self.in_channels * self.taps()
    }

    /// Positions of a kernel as it is packed: its taps, or α².
    fn taps(&self) -> usize {
        match self.order.winograd {
            0 => self.kernel.iter().product(),
            m => alpha(m.into(), self.kernel[1]).pow(2),
        }
    }

    /// Output channels of a block: of one group, if there are no blocks.
    pub fn outputs_of_block(&self) -> usize {
        if self.order.block == 0 { self.out_channels } else { self.order.block }
    }

    /// Elements of all groups.
    pub fn elements(&self) -> usize {
        self.groups * self.group_len()
    }

    /// Elements of a blob without header and end mark: those of all groups, and the zeros behind them.
    pub fn unmarked_len(&self) -> usize {
        self.elements() + BEHIND_WEIGHTS / self.data_type.bytes()
    }

    /// Bytes of a blob: header, elements, end mark. `None` if they do not fit, which nothing else here needs to ask
    /// then.
    pub fn bytes(&self) -> Option<usize> {
        product(&[self.groups, self.out_channels, self.in_channels, self.taps(), self.data_type.bytes()])?
            .checked_add(HEADER_BYTES + END_BYTES)
            .filter(|&bytes| bytes <= isize::MAX as usize)
    }

    /// What the header of a blob of this packing holds.
    fn header(&self) -> [u64; HEADER_WORDS] {
        const FORMAT: u32 = 3;
        let order = u32::from_le_bytes(self.order.dims.map(|dim| dim as u8));
        [
            u64::from_le_bytes(*b"convloww"),
            u64::from(self.order.winograd) << 48
                | (self.data_type as u64) << 56
                | (self.order.taps as u64) << 57
                | u64::from(self.source.turned_round) << TURNED_ROUND
                | u64::from(self.source.exchanged) << EXCHANGED
                | u64::from(FORMAT) << 32
                | u64::from(order),
            self.groups as u64,
            self.out_channels as u64,
            self.in_channels as u64,
            self.kernel[0] as u64,
            self.kernel[1] as u64,
            self.order.block as u64,
        ]
    }

    /// The header's words mixed (FNV-1a): packings that read the same blobs have the same.
    pub fn id(&self) -> u64 {
        let words = self.header();
        words.iter().fold(0xcbf2_9ce4_8422_2325, |hash, word| (hash ^ word).wrapping_mul(0x0100_0000_01b3))
    }

    /// What stands behind the elements: a word of its own, and the header's mixed.
    fn end(&self) -> [u64; 2] {
        [u64::from_le_bytes(*b"convlowe"), self.id()]
    }

    /// Writes the blob. `weights` are all groups' in the problem's weights layout; `blob` has [`Packing::bytes`].
    pub fn pack<T: Element>(&self, weights: &[T], blob: &mut [u8]) {
        self.pack_groups(weights, bytemuck::cast_slice_mut(self.mark(blob)));
    }

    /// Writes a blob of [`Packing::unmarked_len`] elements that is read at once, and by nobody else.
    pub fn pack_unmarked<T: Element>(&self, weights: &[T], blob: &mut [T]) {
        let (elements, zeros) = blob.split_at_mut(self.elements());
        zeros.fill(T::ZERO);
        self.pack_groups(weights, elements);
    }

    fn pack_groups<T: Element>(&self, weights: &[T], elements: &mut [T]) {
        for (group, packed) in elements.chunks_exact_mut(self.group_len()).enumerate() {
            self.pack_group(group, weights, packed);
        }
    }

    /// Writes the header and the end mark of a blob, and returns what lies between.
    pub fn mark<'a>(&self, blob: &'a mut [u8]) -> &'a mut [u8] {
        let (header, rest) = blob.split_at_mut(HEADER_BYTES);
        let (elements, end) = rest.split_at_mut(self.elements() * self.data_type.bytes());
        header.copy_from_slice(bytemuck::bytes_of(&self.header()));
        let (zeros, mark) = end.split_at_mut(BEHIND_WEIGHTS);
        zeros.fill(0);
        mark.copy_from_slice(bytemuck::bytes_of(&self.end()));
        elements
    }

    /// The same packing with taps × output channels as output channels, of the taps as groups.
    fn of_taps(&self) -> Self {
        let (taps, source) = (self.taps(), self.source);
        Self {
            out_channels: self.out_channels * taps,
            kernel: [1, 1],
            groups_at_once: taps,
            source: WeightStrides { group: source.tap, ..source },
            ..*self
        }
    }

    fn pack_group<T: Element>(&self, group: usize, weights: &[T], packed: &mut [T]) {
        if self.order.taps != Taps::InOrder && self.kernel != [1, 1] {
            let first = group * self.source.group;
            return self.of_taps().pack_group(0, &weights[first..], packed);
        }
        let WeightStrides { group: group_stride, output, .. } = self.source;
        let m = self.out_channels;
        // Output channels of one of the caller's groups, of which several are side by side here.
        let of_group = m / self.groups_at_once;
        // Taps may be such groups.
        let turned_round = match self.order.taps {
            Taps::InOrder => false,
            Taps::SideBySide => self.source.turned_round,
            Taps::TurnedRound => !self.source.turned_round,
        };
        let evenly = self.groups_at_once == 1 || group_stride == of_group * output && !turned_round;
        let first_weight = group * self.groups_at_once * group_stride;
        let place_of = |channel: usize| match (evenly, channel / of_group) {
            (true, _) => first_weight + channel * output,
            (false, of) => {
                let of = if turned_round { self.groups_at_once - 1 - of } else { of };
                first_weight + of * group_stride + channel % of_group * output
            }
        };
        let block = self.outputs_of_block();
        #[cfg(feature = "winograd")]
        if self.order.winograd > 0 {
            self.transform_group(&weights[first_weight..], packed);
            return;
        }
        if evenly && self.copy_rows(&weights[first_weight..], block, packed) {
            return;
        }
        let blocks = packed.chunks_mut((block * self.in_channels * self.taps()).max(1));
        for (first, packed) in (0..m).step_by(block).zip(blocks) {
            let outputs = block.min(m - first);
            let is_done = evenly && {
                let weights = &weights[place_of(first)..];
                self.transpose_block(weights, outputs, packed)
                    || self.transpose_taps(weights, outputs, packed)
            };
            if !is_done {
                self.pack_block(weights, outputs, |at| place_of(first + at), packed);
            }
        }
    }

    /// Packs a block of so many output channels, whose weights begin at these places, weight by weight.
    fn pack_block<T: Element>(
        &self,
        weights: &[T],
        outputs: usize,
        place_of: impl Fn(usize) -> usize,
        packed: &mut [T],
    ) {
        let WeightStrides { input, tap, turned_round, .. } = self.source;
        let [kh, kw] = self.kernel;
        // How many there are, where the first lies, and how far the next is: places wrap around where taps run backwards.
        let turned_round = turned_round && self.order.taps == Taps::InOrder;
        let taps = |count: usize, step: usize| match turned_round {
            true => (count, (count - 1) * step, step.wrapping_neg()),
            false => (count, 0, step),
        };
        let dims = self.order.dims.map(|dim| match dim {
            M => (outputs, 0, 0),
            C => (self.in_channels, 0, input),
            I => taps(kh, kw * tap),
            J => taps(kw, tap),
        });
        let place = |dim: usize, at: usize| match self.order.dims[dim] {
            M => place_of(at),
            _ => dims[dim].1.wrapping_add(at.wrapping_mul(dims[dim].2)),
        };
        let mut packed = packed.iter_mut();
        for a in 0..dims[0].0 {
            for b in 0..dims[1].0 {
                for c in 0..dims[2].0 {
                    let begin = place(0, a).wrapping_add(place(1, b)).wrapping_add(place(2, c));
                    for (at, packed) in (0..dims[3].0).zip(&mut packed) {
                        *packed = weights[begin.wrapping_add(place(3, at))];
                    }
                }
            }
        }
    }

    /// Packs one group, which begins with the first of these weights, behind Winograd's transform.
    #[cfg(feature = "winograd")]
    fn transform_group<T: Element>(&self, weights: &[T], packed: &mut [T]) {
        let WeightStrides { output, input, tap, .. } = self.source;
        let (c, m, r) = (self.in_channels, self.out_channels, self.kernel[1]);
        let block = self.outputs_of_block();
        let transform = KernelTransform::new(alpha(self.order.winograd.into(), r), r);
        let blocks = packed.chunks_mut(block * self.taps() * c);
        for (first, packed) in (0..m).step_by(block).zip(blocks) {
            T::winograd_weights(WeightsTransform {
                transform: &transform,
                weights: &weights[first * output..],
                strides: [output, input, tap],
                turned_round: self.source.turned_round,
                outputs: block.min(m - first),
                channels: c,
                packed,
            });
        }
    }

    /// Packs a block of output channels, which begins with the first of these weights, by moving squares of them; whether
    /// that is possible: the block is a transposition of rows that lie dense.
    fn transpose_block<T: Element>(&self, weights: &[T], outputs: usize, packed: &mut [T]) -> bool {
        /// Output channels that are moved at once.
        const AT_ONCE: usize = 64;
        let WeightStrides { output, input, tap, .. } = self.source;
        let (c, taps) = (self.in_channels, self.kernel.iter().product::<usize>());
        let depth = c * taps;
        // The depth as the caller has it: taps inside of channels, or the other way round.
        let (taps_inside, channels_inside) = (input == taps && tap == 1, input == 1 && tap == c);
        if self.order.dims[3] != M
            || !(taps_inside || channels_inside)
            || output < depth
            || taps > 1 && self.source.turned_round
            || taps > KEPT / AT_ONCE
        {
            return false;
        }
        let rows = Matrix::new(&weights[..(outputs - 1) * output + depth], outputs, depth, output);
        let one_order = c == 1 || taps == 1;
        if one_order || taps_inside == (self.order.dims[0] == C) {
            T::transpose(&rows, &mut MatrixMut::new(packed, depth, outputs, outputs), false);
            return true;
        }
        let mut kept = [T::ZERO; KEPT];
        // Places inside of each place of the caller's depth, and how far apart their rows are packed.
        let (outer, inner) = if taps_inside { (c, taps) } else { (taps, c) };
        for first in (0..outputs).step_by(AT_ONCE) {
            let part = first..outputs.min(first + AT_ONCE);
            let fitting = (KEPT / part.len()).min(depth);
            for begin in (0..depth).step_by(fitting) {
                let places = begin..depth.min(begin + fitting);
                let moved = &mut kept[..places.len() * part.len()];
                let mut to = MatrixMut::new(moved, places.len(), part.len(), part.len());
                T::transpose(&rows.part(part.clone(), places.clone()), &mut to, false);
                let (mut of_outer, mut of_inner) = (begin / inner, begin % inner);
                for row in kept.chunks_exact(part.len()).take(places.len()) {
                    let to = &mut packed[(of_inner * outer + of_outer) * outputs + first..][..part.len()];
                    // A copy of a length that is known needs no call.
                    match (to.first_chunk_mut::<AT_ONCE>(), row.first_chunk::<AT_ONCE>()) {
                        (Some(to), Some(row)) => *to = *row,
                        _ => to.copy_from_slice(row),
                    }
                    of_inner += 1;
                    if of_inner == inner {
                        (of_outer, of_inner) = (of_outer + 1, 0);
                    }
                }
            }
        }
        true
    }

    /// Row of a block in which the weights of a tap and an input channel lie.
    fn row_of(&self, tap: usize, channel: usize) -> usize {
        let taps = self.kernel.iter().product::<usize>();
        let tap = if self.source.turned_round { taps - 1 - tap } else { tap };
        if self.order.dims[0] == C { channel * taps + tap } else { tap * self.in_channels + channel }
    }

    /// Packs a group, which begins with the first of these weights, row by row of the caller's; whether that is possible: the
    /// output channels lie dense there, and here too.
    fn copy_rows<T: Element>(&self, weights: &[T], block: usize, packed: &mut [T]) -> bool {
        let WeightStrides { output, input, tap, .. } = self.source;
        let (m, taps) = (self.out_channels, self.kernel.iter().product::<usize>());
        if self.order.dims[3] != M || output != 1 {
            return false;
        }
        for (channel, at) in (0..self.in_channels).flat_map(|channel| (0..taps).map(move |at| (channel, at)))
        {
            let row = self.row_of(at, channel);
            let weights = &weights[channel * input + at * tap..][..m];
            let blocks = packed.chunks_mut(block * self.in_channels * taps);
            for (weights, packed) in weights.chunks(block).zip(blocks) {
                packed[row * weights.len()..][..weights.len()].copy_from_slice(weights);
            }
        }
        true
    }

    /// Packs a block as [`Packing::transpose_block`] does, input channel by input channel; whether that is possible: the taps of
    /// the output channels of an input channel lie dense, as for the gradient of the data.
    fn transpose_taps<T: Element>(&self, weights: &[T], outputs: usize, packed: &mut [T]) -> bool {
        let WeightStrides { output, input, tap, .. } = self.source;
        let taps = self.kernel.iter().product::<usize>();
        if self.order.dims[3] != M || (output, tap) != (taps, 1) || taps * outputs > KEPT {
            return false;
        }
        let mut kept = [T::ZERO; KEPT];
        let kept = &mut kept[..taps * outputs];
        for channel in 0..self.in_channels {
            let rows = Matrix::new(&weights[channel * input..][..outputs * taps], outputs, taps, taps);
            T::transpose(&rows, &mut MatrixMut::new(kept, taps, outputs, outputs), false);
            for (tap, row) in kept.chunks_exact(outputs).enumerate() {
                packed[self.row_of(tap, channel) * outputs..][..outputs].copy_from_slice(row);
            }
        }
        true
    }

    /// Whether a blob begins as this packing does. `header` has 64 bytes.
    ///
    /// # Errors
    /// [`Error::WeightsMismatch`] says in what it differs.
    pub fn check_header(&self, header: &[u8; HEADER_BYTES]) -> Result<()> {
        let found: [u64; HEADER_WORDS] = bytemuck::pod_read_unaligned(header);
        let expected = self.header();
        let mismatch = |text: String| Err(Error::WeightsMismatch(text));
        if found[0] != expected[0] {
            return mismatch(text!(
                "packed_weights does not begin with the header of packed weights: pass what convlow_pack_weights wrote"
            ));
        }
        if found[1] != expected[1] {
            return mismatch(text!(
                "packed_weights has {}, but the plan reads {}",
                OrderWord(found[1]),
                OrderWord(expected[1])
            ));
        }
        let names = [
            "groups",
            "out_channels / groups",
            "in_channels / groups",
            "kernel_height",
            "kernel_width",
            "channels of a block",
        ];
        for ((name, found), expected) in names.iter().zip(&found[2..]).zip(&expected[2..]) {
            if found != expected {
                return mismatch(text!(
                    "packed_weights was packed for {name} = {found}, but the plan has {expected}"
                ));
            }
        }
        Ok(())
    }

    /// The elements of a blob whose header has been checked, and behind them the zeros.
    ///
    /// # Errors
    /// [`Error::WeightsMismatch`] if the end mark is not where it should be.
    pub fn unpack<'a, T: Number>(&self, blob: &'a [u8]) -> Result<&'a [T]> {
        let elements = self.elements() * self.data_type.bytes() + BEHIND_WEIGHTS;
        let (elements, end) = blob[HEADER_BYTES..].split_at(elements);
        if end != bytemuck::bytes_of(&self.end()) {
            return Err(Error::WeightsMismatch(text!(
                "packed_weights has no end mark at byte {}: it was cut short or overwritten",
                HEADER_BYTES + elements.len()
            )));
        }
        Ok(bytemuck::cast_slice(elements))
    }
}
