//! The kernel of convolutions: sums for some output pixels × channels. They stay in registers, over all taps and
//! input channels, until the last step.
//!
//! - It touches only src, the weights and dst. An output pixel reads its taps from the image itself.
//! - Pixels that see the same taps form groups, so that padding costs nothing. The pixels that are left over share
//!   groups, in which an absent tap reads zeros, or are computed one by one.
//! - In a transposed convolution, pixels that see the same taps lie one stride apart. There is no other difference
//!   here.
//! - Small groups of channels lie side by side in a vector. Each one is multiplied by its own input.

mod absent;
mod along;
mod block;
mod blocks;
mod groups;
mod register_tiles;
mod runs;
mod tap_box;

use std::mem::MaybeUninit;
use std::ops::Range;

#[cfg(test)]
pub(crate) use self::along::MOST_ALONG;
pub use self::along::passes_along;
use self::block::Block;
pub use self::blocks::Blocks;
use self::groups::{Groups, LISTED, Listing, room_for};
use crate::ahead::{Ahead, LINE};
use crate::axis::Operation;
use crate::data_type::Layout;
use crate::end::End;
use crate::finish::Finish;
use crate::geometry::Geometry;
use crate::image::Image;
use crate::isa;
use crate::matrix::{Matrix, MatrixMut};
use crate::places::{last_seen, tap_steps};
use crate::scheme::Scheme;
use crate::sums::{BEHIND_WEIGHTS, FEW, most_pixels, most_vectors};
use crate::vectors::{Kernel, Vectors};

/// Room on the stack: for the groups of pixels and, before them, for their sums until these are moved to planes. Those of
/// a block of 64 channels of a row of 112 pixels fit, or of two of 56: the weights of the block are read once for them.
/// Sums lie on lines of the cache: vectors that lie in two of them take twice as long.
#[repr(align(64))]
struct Room([MaybeUninit<u8>; ROOM]);

const ROOM: usize = 38 << 10;
const _: () = assert!(room_for(LISTED) <= ROOM, "the groups of the most pixels have room");

/// The most taps of an axis: they are counted in 32 bits.
pub const MOST_TAPS_OF_AXIS: usize = u32::MAX as usize;

/// Some output pixels × channels of an image.
pub struct PixelTile<'a, 'b, X: Scheme> {
    /// The axes.
    pub geometry: &'a Geometry,
    /// The input, or a part of it.
    pub image: &'a Image<'a, X::Src>,
    /// The input plane, row and column with which the image's data begin.
    pub origin: [usize; 3],
    /// The input channels of a group.
    pub group_in: usize,
    /// Of these the ones that the image's data hold and that are summed.
    pub depth: Range<usize>,
    /// How the output channels are divided. They are channels of one group, or begin with the first of a group.
    pub blocks: Blocks,
    /// The output channels' weights block by block, each taps × C × channels or, where the blocks are [`Blocks::along`],
    /// channels × taps × C. Behind them lies at least [`BEHIND_WEIGHTS`] of anything.
    pub weights: &'a [X::Weight],
    /// What becomes of the sums.
    pub end: End<'a, X>,
    /// The output planes, rows and columns.
    pub outputs: [Range<usize>; 3],
    /// How dst lies.
    pub layout: Layout,
    /// The pixels' part of dst: channels × pixels with planes, else pixels × channels.
    pub dst: MatrixMut<'b, X::Dst>,
}

impl<X: Finish> PixelTile<'_, '_, X> {
    /// Weights of an output channel.
    fn depth_of_channel(&self) -> usize {
        self.group_in * self.geometry.taps()
    }

    /// The output channels of dst.
    fn channels(&self) -> usize {
        match self.layout {
            Layout::Nhwc => self.dst.cols(),
            Layout::Nchw => self.dst.rows(),
        }
    }

    /// The output pixels of dst.
    fn pixels(&self) -> usize {
        match self.layout {
            Layout::Nhwc => self.dst.rows(),
            Layout::Nchw => self.dst.cols(),
        }
    }

    /// Computes dst.
    pub(crate) fn run_checked(mut self) {
        let channels = self.channels();
        assert_eq!(self.pixels(), self.outputs.iter().map(Range::len).product::<usize>());
        let behind = BEHIND_WEIGHTS / size_of::<X::Weight>();
        assert!(self.weights.len() >= channels * self.depth_of_channel() + behind);
        assert!(self.end.has(channels));
        assert!(!self.depth.is_empty() && self.depth.end <= self.group_in);
        assert!(self.geometry.axes.iter().all(|axis| axis.kernel <= MOST_TAPS_OF_AXIS));
        assert!(channels <= self.blocks.of_group || self.depth == (0..self.group_in));
        let before = (channels - 1) / self.blocks.of_group * self.group_in;
        let deep = (before + self.depth.len() - 1) * self.image.channel;
        let last = last_seen(self.geometry, self.image, self.origin, &self.outputs);
        assert!(last.is_none_or(|last| last + deep < self.image.data.len()));
        let (rest, layout) = (self.end.in_memory(), self.layout);
        self.end = self.end.in_registers();
        isa::dispatch_with(
            self.blocks.length,
            PixelTile { dst: self.dst.reborrow(), depth: self.depth, outputs: self.outputs, ..self },
        );
        X::finish_in_memory(&rest, &mut self.dst, layout);
    }
}

impl<X: Finish> Kernel for PixelTile<'_, '_, X> {
    type Output = ();

    #[inline(always)]
    fn run<S: Vectors>(mut self, simd: S) {
        // Register tiles of groups that share a block write whole vectors.
        assert!(!self.blocks.share() || self.channels().is_multiple_of(X::channels::<S>()));
        let mut room = Room([const { MaybeUninit::uninit() }; ROOM]);
        let block = most_vectors::<S>() * X::channels::<S>();
        let (ld, listed, of_sums) = match self.layout {
            Layout::Nhwc => (self.dst.ld(), LISTED, 0),
            Layout::Nchw => {
                let of_pixel = block * size_of::<X::Dst>();
                let listed = LISTED.min((ROOM - LINE) / (of_pixel + room_for(FEW).div_ceil(FEW)));
                (block, listed, (listed * of_pixel).next_multiple_of(LINE))
            }
        };
        let (kept, room) = room.0.split_at_mut(of_sums);
        let mut groups = Groups::new(room, listed);
        let listing = Listing { geometry: self.geometry, steps: self.image.steps(), origin: self.origin, ld };
        let [planes, rows, cols] = self.outputs.clone();
        let width = cols.len().min(listed);
        let height = (listed / width).min(rows.len());
        let depth = if (height, width) == (rows.len(), cols.len()) { listed / (height * width) } else { 1 };
        for z in planes.clone().step_by(depth) {
            let zs = z..(z + depth).min(planes.end);
            for y in rows.clone().step_by(height) {
                let ys = y..(y + height).min(rows.end);
                for x in cols.clone().step_by(width) {
                    let xs = x..(x + width).min(cols.end);
                    let first =
                        ((z - planes.start) * rows.len() + y - rows.start) * cols.len() + x - cols.start;
                    let all = zs.len() * ys.len() * xs.len();
                    groups.list(&listing, [&zs, &ys, &xs]);
                    self.run_part(simd, &groups, first..first + all, kept);
                }
            }
        }
    }
}

impl<X: Finish> PixelTile<'_, '_, X> {
    /// The listed pixels, which are these of the tile.
    #[inline(always)]
    fn run_part<S: Vectors>(
        &mut self,
        simd: S,
        groups: &Groups<'_>,
        pixels: Range<usize>,
        kept: &mut [MaybeUninit<u8>],
    ) {
        let is_planes = self.layout == Layout::Nchw;
        let all = self.channels();
        let most = most_vectors::<S>() * X::channels::<S>();
        // Small groups are moved to planes together.
        let Blocks { channels: of_block, of_group, .. } = self.blocks;
        let together = if of_block < of_group { of_group } else { most / of_block * of_block };
        if is_planes && (!together.is_multiple_of(most) || !all.is_multiple_of(most)) {
            // Blocks that are not whole leave gaps, which are moved together with what lies between them.
            let bytes = pixels.len() * most * size_of::<X::Dst>();
            kept[..bytes].fill(MaybeUninit::new(0));
        }
        let end = if is_planes { self.end.before_move() } else { self.end };
        let (common, ahead) = (self.block(&end), self.ahead::<S>(groups));
        let mut first = 0;
        while first < all {
            let channels = most.min(together - first % together).min(all - first);
            // To an element of dst, as there are these pixels and channels.
            let offset = pixels.start * self.dst.ld() + first;
            let dst =
                if is_planes { kept.as_mut_ptr().cast() } else { self.dst.as_mut_ptr().wrapping_add(offset) };
            let addend = self.dst.addend_ptr().wrapping_add(offset);
            let mut of_these = 0;
            while of_these < channels {
                let block_channels = of_block.min(channels - of_these);
                let (at, next) = (first + of_these, first + of_these + block_channels);
                let of_channel = if self.blocks.along { 1 } else { block_channels };
                let first_weight = at * self.depth_of_channel() + self.depth.start * of_channel;
                let block = Block {
                    src: common.src.wrapping_add(at / of_group * self.group_in * self.image.channel),
                    weights: self.weights[first_weight..].as_ptr(),
                    bias: end.bias.map(|bias| bias[at..].as_ptr()),
                    dst: dst.wrapping_add(of_these),
                    channels: block_channels,
                    of_tap: self.group_in * of_channel,
                    addend: end.accumulate.then_some(addend.wrapping_add(of_these)),
                    ..common
                };
                let mut ahead = self.weights_behind(next, ahead);
                // SAFETY: `run_checked` saw that the image holds every pixel of the input that is seen, that weights, dst and
                // bias have these channels, and `Groups::list` that dst has the places of the pixels.
                unsafe { block.run(simd, groups, &mut ahead) };
                of_these += block_channels;
            }
            if is_planes {
                // SAFETY: all channels of all pixels of the part have been written.
                unsafe { self.move_sums(kept, first..first + channels, pixels.clone(), most) };
            }
            first += channels;
        }
    }

    /// Moves the sums of some channels of some pixels to planes; those of pixels lie so many elements apart.
    ///
    /// # Safety
    /// They are there.
    #[inline(always)]
    unsafe fn move_sums(
        &mut self,
        kept: &[MaybeUninit<u8>],
        channels: Range<usize>,
        pixels: Range<usize>,
        apart: usize,
    ) {
        // SAFETY: the caller's promise.
        let sums =
            unsafe { std::slice::from_raw_parts(kept.as_ptr().cast::<X::Dst>(), pixels.len() * apart) };
        let sums = Matrix::new(sums, pixels.len(), channels.len(), apart);
        let mut to = self.dst.part(channels.clone(), pixels);
        X::finish_planes(&sums, &mut to, &self.end.of_channels(channels).of_move());
    }

    /// What all blocks have in common.
    #[inline(always)]
    fn block(&self, end: &End<'_, X>) -> Block<X> {
        let Self { image, group_in, geometry, .. } = *self;
        let steps = tap_steps(geometry, image);
        let [_, _, cols] = geometry.axes;
        Block {
            src: image.data.as_ptr(),
            weights: self.weights.as_ptr(),
            bias: None,
            dst: std::ptr::null_mut(),
            channels: 0,
            of_group: self.blocks.of_group,
            of_tap: 0,
            along: self.blocks.along.then(|| self.depth_of_channel()),
            tap_depth: group_in,
            depth: self.depth.len(),
            steps: steps.map(|(image, _)| image),
            channel_step: image.channel,
            tap_steps: steps.map(|(_, taps)| taps),
            joined: geometry.operation == Operation::Conv
                && cols.dilation == 1
                && image.channel == 1
                && (image.pixel, self.depth.len()) == (group_in, group_in),
            addend: None,
            bounds: end.bounds(),
        }
    }

    /// The weights that are read after those of a block, during runs of so many elements: those of the block that begins
    /// with a channel, or of the first block's next input channels.
    fn weights_behind(&self, next: usize, elements: usize) -> Ahead {
        let (all, depth) = (self.channels(), &self.depth);
        let (block, first) = if next < all { (next, depth.start) } else { (0, depth.end) };
        let channels = self.blocks.channels.min(all - block);
        let weights = &self.weights[block * self.depth_of_channel()..][..channels * self.depth_of_channel()];
        let of_tap = depth.len().min(self.group_in - first);
        Ahead::new(&weights[first * channels..], of_tap * channels, self.group_in * channels, elements)
    }

    /// Elements of the runs of a block, during which the next block's weights are asked for. None for the sums of one register
    /// tile, which do nothing but read their weights: the machine brings them faster by itself.
    fn ahead<S: Vectors>(&self, groups: &Groups<'_>) -> usize {
        let most = most_pixels::<S>(self.blocks.channels.div_ceil(X::channels::<S>()));
        // Of a transposed convolution's taps a pixel sees one in so many.
        let classes = self.geometry.count_classes();
        let of_all = groups.all.div_ceil(most).max(classes.min(groups.all));
        if of_all == 1 {
            return 0;
        }
        of_all * self.geometry.taps().div_ceil(classes) * self.depth.len()
    }
}
