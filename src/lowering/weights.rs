//! Packed weights: the caller's weights in the order in which an algorithm reads them.
//!
//! A blob has four parts: a header of 64 bytes; the elements, group by group; 64 bytes of zeros, so that a vector
//! that begins with the last element may be read whole; an end mark of 16 bytes. Header and end mark bind the blob to
//! one packing. So weights of another packing, or weights that are cut short, are refused before any arithmetic. Two
//! plans with the same packing may share a blob.

use std::fmt;

use convlow_base::error::{Error, Result, text};
use convlow_kernels::BEHIND_WEIGHTS;
use convlow_kernels::number::Number;
#[cfg(feature = "winograd")]
use convlow_kernels::winograd::matrices::KernelTransform;

use crate::problem::{DataType, Problem, WeightStrides, product};

/// A dimension of one group's weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Dim {
    /// Output channel.
    M = b'M',
    /// Input channel.
    C = b'C',
    /// Kernel row, with its plane.
    I = b'I',
    /// Kernel column.
    J = b'J',
}

use Dim::{C, I, J, M};

/// How one group's packed weights lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WeightOrder {
    /// The dimensions, outermost first.
    dims: [Dim; 4],
    /// Output channels that are packed as if there were no others, block behind block; 0 for all of them.
    block: usize,
    /// m where the taps I × J are those of a kernel transformed for Winograd's F(m×m, r×r), α × α of them; else 0.
    winograd: u8,
}

/// M × (C·Kh·Kw): one row of the kernel matrix an output channel, channels outermost in the depth.
pub const MCIJ: WeightOrder = WeightOrder::plain([M, C, I, J]);
/// (C·Kh·Kw) × M.
pub const CIJM: WeightOrder = WeightOrder::plain([C, I, J, M]);
/// M × (Kh·Kw·C): taps outermost in the depth, as patches of NHWC pixels have it.
#[cfg(feature = "gemm")]
pub const MIJC: WeightOrder = WeightOrder::plain([M, I, J, C]);
/// (Kh·Kw·C) × M, which is also one C × M matrix a tap.
pub const IJCM: WeightOrder = WeightOrder::plain([I, J, C, M]);
/// (Kh·Kw·M) × C, which is also one M × C matrix a tap.
#[cfg(feature = "gemm")]
pub const IJMC: WeightOrder = WeightOrder::plain([I, J, M, C]);

impl WeightOrder {
    const fn plain(dims: [Dim; 4]) -> Self {
        Self { dims, block: 0, winograd: 0 }
    }

    /// The same order within each block of this many output channels; the last block may be smaller. The block
    /// that begins with channel m begins at m·C·Kh·Kw elements.
    pub const fn blocked(self, block: usize) -> Self {
        Self { block, ..self }
    }

    /// Blocks of α² C × M matrices, for Winograd tiles of m×m outputs.
    #[cfg(feature = "winograd")]
    pub const fn winograd(m: usize, block: usize) -> Self {
        Self { winograd: m as u8, ..IJCM.blocked(block) }
    }
}

/// α of the tiles of m×m outputs under r×r kernels.
fn alpha(m: usize, r: usize) -> usize {
    m + r - 1
}

const HEADER_WORDS: usize = 8;
/// Bytes in front of the elements.
pub const HEADER_BYTES: usize = HEADER_WORDS * size_of::<u64>();
/// Bytes behind the elements: the zeros and the end mark.
const END_BYTES: usize = BEHIND_WEIGHTS + 2 * size_of::<u64>();

/// The word of a header that says in which order the elements lie, and what they are.
struct OrderWord(u64);

impl fmt::Display for OrderWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [order @ .., _, _, _, _] = self.0.to_le_bytes();
        write!(f, "format {} order {}", self.0 >> 32 & 0xffff, order.escape_ascii())?;
        if self.0 >> 56 & 1 == DataType::F64 as u64 {
            f.write_str(" in float64")?;
        }
        match self.0 >> 48 & 0xff {
            0 => Ok(()),
            m => write!(f, " for Winograd tiles of {m}x{m}"),
        }
    }
}

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
        let block = if order.block < out_channels { order.block } else { 0 };
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

    fn elements(&self) -> usize {
        self.groups * self.group_len()
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
    pub fn pack<T: Number>(&self, weights: &[T], blob: &mut [u8]) {
        let elements: &mut [T] = bytemuck::cast_slice_mut(self.mark(blob));
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

    fn pack_group<T: Number>(&self, group: usize, weights: &[T], packed: &mut [T]) {
        let WeightStrides { group: group_stride, output, input, tap } = self.source;
        let [kh, kw] = self.kernel;
        let (c, m) = (self.in_channels, self.out_channels);
        // Output channels of one of the caller's groups, of which several are side by side here.
        let of_group = m / self.groups_at_once;
        let evenly = self.groups_at_once == 1 || group_stride == of_group * output;
        let first_weight = group * self.groups_at_once * group_stride;
        let place_of = |channel: usize| match evenly {
            true => first_weight + channel * output,
            false => first_weight + channel / of_group * group_stride + channel % of_group * output,
        };
        let block = if self.order.block == 0 { m } else { self.order.block };
        #[cfg(feature = "winograd")]
        if self.order.winograd > 0 {
            return self.pack_transformed(block, packed, |output, channel, i, j| {
                weights[place_of(output) + channel * input + (i * kw + j) * tap]
            });
        }
        let mut packed = packed.iter_mut();
        for first in (0..m).step_by(block) {
            let size_and_step = |dim: Dim| match dim {
                M => (block.min(m - first), output),
                C => (c, input),
                I => (kh, kw * tap),
                J => (kw, tap),
            };
            let dims = self.order.dims;
            let [(n0, _), (n1, _), (n2, _), (n3, step)] = dims.map(size_and_step);
            let offset = |dim: usize, at: usize| match dims[dim] {
                M => place_of(first + at),
                dim => at * size_and_step(dim).1,
            };
            for outer in (0..n0).flat_map(|a| (0..n1).flat_map(move |b| (0..n2).map(move |c| [a, b, c]))) {
                let begin: usize = (0..3).map(|dim| offset(dim, outer[dim])).sum();
                if dims[3] == M && !evenly {
                    let run = (0..n3).map(|at| weights[begin + offset(3, at)]);
                    run.zip(&mut packed).for_each(|(weight, packed)| *packed = weight);
                } else {
                    let run = weights[begin + offset(3, 0)..].iter().step_by(step);
                    run.take(n3).zip(&mut packed).for_each(|(weight, packed)| *packed = *weight);
                }
            }
        }
    }

    /// Packs one group's kernels `weight(m, c, i, j)` behind Winograd's transform.
    #[cfg(feature = "winograd")]
    fn pack_transformed<T: Number>(
        &self,
        block: usize,
        packed: &mut [T],
        weight: impl Fn(usize, usize, usize, usize) -> T,
    ) {
        let [_, r] = self.kernel;
        let transform = KernelTransform::new(alpha(self.order.winograd.into(), r), r);
        let (taps, c) = (self.taps(), self.in_channels);
        for (number, packed) in packed.chunks_mut(block * taps * c).enumerate() {
            let outputs = packed.len() / (taps * c);
            for (channel, output) in (0..c).flat_map(|c| (0..outputs).map(move |m| (c, m))) {
                let kernel = transform.apply(|i, j| weight(number * block + output, channel, i, j));
                for (position, value) in kernel.iter().enumerate().take(taps) {
                    packed[(position * c + channel) * outputs + output] = T::from_f64(*value);
                }
            }
        }
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
