//! The depthwise kernel: sums for some outputs of a row × one vector of channels. Each channel has an input channel
//! of its own.

mod channels;
mod outputs;
mod row;
mod tile;

use std::ops::Range;

use self::channels::Channels;
use self::outputs::MOST_OUTPUTS;
use self::tile::{ANY, RegisterTile};
use crate::axis::common;
use crate::class::Class;
use crate::data_type::Layout;
use crate::end::End;
use crate::finish::Finish;
use crate::geometry::Geometry;
use crate::image::Image;
use crate::isa;
use crate::matrix::{Matrix, MatrixMut};
use crate::moves::KEPT_BYTES;
use crate::places::{Places, last_seen, tap_steps};
use crate::register::channels_of;
use crate::scheme::Scheme;
use crate::sums::{BEHIND_WEIGHTS, VECTORS};
use crate::vectors::{Kernel, Vectors};

/// Bytes of an image that the first cache level holds.
const FIRST_LEVEL_BYTES: usize = 16 << 10;

/// Some output pixels × channels, each channel with an input channel of its own.
pub struct DepthwiseTile<'a, 'b, X: Scheme> {
    /// The axes.
    pub geometry: &'a Geometry,
    /// The input, or a part of it, from the first of the channels on, which lie side by side.
    pub image: &'a Image<'a, X::Src>,
    /// The input plane, row and column with which the image's data begin.
    pub origin: [usize; 3],
    /// The channels' weights in blocks of [`channels_of_register_tile`](crate::register::channels_of_register_tile),
    /// each taps × channels, and behind them at least [`BEHIND_WEIGHTS`] of anything.
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

impl<X: Finish> DepthwiseTile<'_, '_, X> {
    /// Computes dst. On the way to planes, sums are kept in [`KEPT_BYTES`] of elements, whatever these hold.
    pub(crate) fn run_checked(mut self, kept: &mut [X::Dst]) {
        let pixels = self.outputs.iter().map(Range::len).product::<usize>();
        let (of_dst, channels) = match self.layout {
            Layout::Nhwc => (self.dst.rows(), self.dst.cols()),
            Layout::Nchw => (self.dst.cols(), self.dst.rows()),
        };
        assert!(pixels > 0 && of_dst == pixels);
        let behind = BEHIND_WEIGHTS / size_of::<X::Weight>();
        assert!(self.weights.len() >= channels * self.geometry.taps() + behind);
        assert!(self.end.has(channels));
        assert_eq!(self.image.channel, 1);
        let last = last_seen(self.geometry, self.image, self.origin, &self.outputs);
        assert!(last.is_none_or(|last| last + channels <= self.image.data.len()));
        let (rest, layout) = (self.end.in_memory(), self.layout);
        self.end = self.end.in_registers();
        let tile = DepthwiseTile { dst: self.dst.reborrow(), outputs: self.outputs, ..self };
        match layout {
            Layout::Nhwc => isa::dispatch(tile),
            Layout::Nchw => tile.run_to_planes(kept),
        }
        X::finish_in_memory(&rest, &mut self.dst, layout);
    }

    /// The same to planes, to which the sums of some pixels of some channels are moved.
    fn run_to_planes(mut self, kept: &mut [X::Dst]) {
        assert_eq!(size_of_val(kept), KEPT_BYTES);
        let block = VECTORS * channels_of::<X>().of_vector;
        let most = kept.len() / block;
        let [planes, rows, cols] = self.outputs.clone();
        let width = cols.len().min(most);
        let height = (most / width).min(rows.len());
        let all = self.dst.rows();
        let at_once = kept.len() / (width * height) / block * block;
        for first in (0..all).step_by(at_once) {
            let channels = first..all.min(first + at_once);
            for z in planes.clone() {
                for y in rows.clone().step_by(height) {
                    for x in cols.clone().step_by(width) {
                        let outputs = [z..z + 1, y..rows.end.min(y + height), x..cols.end.min(x + width)];
                        let first_pixel =
                            ((z - planes.start) * rows.len() + y - rows.start) * cols.len() + x - cols.start;
                        self.run_part_to_planes(&channels, outputs, first_pixel, kept);
                    }
                }
            }
        }
    }

    /// Some outputs of some channels, the first of which is this pixel of dst.
    fn run_part_to_planes(
        &mut self,
        channels: &Range<usize>,
        outputs: [Range<usize>; 3],
        first_pixel: usize,
        kept: &mut [X::Dst],
    ) {
        let taps = self.geometry.taps();
        let pixels = outputs.iter().map(Range::len).product();
        let sums = &mut kept[..pixels * channels.len()];
        let end = self.end.of_channels(channels.clone());
        isa::dispatch(DepthwiseTile {
            image: &self.image.channels_from(channels.start),
            weights: &self.weights[channels.start * taps..],
            end: end.before_move(),
            outputs,
            dst: MatrixMut::new(sums, pixels, channels.len(), channels.len()),
            ..*self
        });
        let mut to = self.dst.part(channels.clone(), first_pixel..first_pixel + pixels);
        let sums = Matrix::new(&*sums, pixels, channels.len(), channels.len());
        X::finish_planes(&sums, &mut to, &end.of_move());
    }
}

impl<X: Finish> Kernel for DepthwiseTile<'_, '_, X> {
    type Output = ();

    /// dst is pixels × channels here.
    #[inline(always)]
    fn run<S: Vectors>(mut self, simd: S) {
        for z in self.geometry.classes(0, &self.outputs[0]) {
            for y in self.geometry.classes(1, &self.outputs[1]) {
                for x in self.geometry.classes(2, &self.outputs[2]) {
                    // SAFETY: `run_checked` saw that the image holds what the outputs see of these channels, and that
                    // weights, bias and dst have them.
                    unsafe { self.run_class(simd, [&z, &y, &x]) };
                }
            }
        }
    }
}

/// The axes of a class in the order in which its outputs are taken: the two outer ones, and that along which tiles lie.
type Order = [usize; 3];

impl<X: Finish> DepthwiseTile<'_, '_, X> {
    /// The outputs of a class.
    #[inline(always)]
    unsafe fn run_class<S: Vectors>(&mut self, simd: S, classes: [&Class; 3]) {
        let outputs = self.outputs.each_ref();
        let places = Places::new(self.image.steps(), self.origin, classes, outputs, self.dst.ld());
        assert!(places.lie_inside(outputs, self.dst.ld()));
        // Tiles lie along the columns, or along rows or planes where these are more.
        let long = |at: &usize| places.outputs[*at].len() >= MOST_OUTPUTS;
        let order = match [2, 1, 0].into_iter().find(long) {
            Some(0) => [1, 2, 0],
            Some(1) => [0, 2, 1],
            _ => [0, 1, 2],
        };
        let channels = self.channels(classes, &places, order);
        let [a, _, c] = order;
        for outer in places.outputs[a].clone() {
            let of_outer = classes[a].axis.taps_of_output(outer);
            let mut x = places.outputs[c].start;
            while x < places.outputs[c].end {
                let tile = self.tile(&channels, &places, order, (outer, &mut x), &of_outer);
                // SAFETY: the caller's promise.
                unsafe { run_tile(simd, &tile, &channels) };
                x += tile.count + (tile.alike - 1) * MOST_OUTPUTS;
            }
        }
    }

    /// What all tiles of a class share.
    #[inline(always)]
    fn channels(&self, classes: [&Class; 3], places: &Places, [a, b, c]: Order) -> Channels<X> {
        let steps = tap_steps(self.geometry, self.image);
        Channels {
            count: self.dst.cols(),
            src_end: self.image.data.as_ptr().wrapping_add(self.image.data.len()),
            weights: self.weights.as_ptr(),
            bias: self.end.bias.map(<[_]>::as_ptr),
            bounds: self.end.bounds(),
            is_far: self.image.data.len() * size_of::<X::Src>() > FIRST_LEVEL_BYTES,
            taps: self.geometry.taps(),
            first_tap: self.geometry.first_tap(classes),
            tap_steps: [steps[a], steps[b], steps[c]],
            along: classes[c].axis,
            across: classes[b].axis,
            output_step: places.steps[c],
            row_step: places.steps[b],
            rows: [places.outputs[b].start, places.outputs[b].end],
        }
    }

    /// The tile that begins with an output, or with one before it where fewer than [`MOST_OUTPUTS`] would be left.
    #[inline(always)]
    fn tile(
        &mut self,
        channels: &Channels<X>,
        places: &Places,
        [a, b, c]: Order,
        (outer, x): (usize, &mut usize),
        of_outer: &Range<usize>,
    ) -> RegisterTile<X> {
        let (along, xs) = (&channels.along, &places.outputs[c]);
        let inside = common(xs, &along.outputs_of_all_taps());
        let mut count = (xs.end - *x).min(MOST_OUTPUTS);
        if count < MOST_OUTPUTS && xs.len() > MOST_OUTPUTS && !self.end.accumulate {
            // Some outputs once more, rather than fewer at a time.
            (*x, count) = (xs.end - MOST_OUTPUTS, MOST_OUTPUTS);
        }
        let x = *x;
        let (mut taps, mut of_all, mut alike) = (0..along.kernel, 0..along.kernel, 1);
        if inside.start <= x && x + count <= inside.end {
            alike = ((inside.end - x) / MOST_OUTPUTS).max(1);
        } else {
            let (first, last) = (along.taps_of_output(x), along.taps_of_output(x + count - 1));
            (taps, of_all) = (last.start..first.end, common(&first, &last));
        }
        if count < MOST_OUTPUTS || of_all.is_empty() {
            of_all = taps.end..taps.end;
        }
        let mut output = [x; 3];
        (output[a], output[b]) = (outer, places.outputs[b].start);
        let place = places.of(output);
        RegisterTile {
            src: self.image.data.as_ptr().wrapping_add(place.src),
            dst: self.dst.as_mut_ptr().wrapping_add(place.dst),
            addend: self.end.accumulate.then(|| self.dst.addend_ptr().wrapping_add(place.dst)),
            count,
            outer: [of_outer.start, of_outer.end],
            inner: [0; 2],
            taps: [taps.start, taps.end],
            of_all: [of_all.start, of_all.end],
            position: (x * along.stride).wrapping_sub(along.pad_before),
            alike,
        }
    }
}

/// Runs the form of a tile that its kernel row has.
#[inline(always)]
unsafe fn run_tile<S: Vectors, X: Scheme>(simd: S, tile: &RegisterTile<X>, channels: &Channels<X>) {
    let along = &channels.along;
    // SAFETY: the caller's promise.
    unsafe {
        if const { S::FEW_FORMS } {
            return tile.run::<S, ANY, ANY>(simd, channels);
        }
        match (along.kernel, along.stride, along.dilation) {
            (3, 1, 1) if tile.is_regular::<3, 1>(along) => tile.run::<S, 3, 1>(simd, channels),
            (3, 2, 1) if tile.is_regular::<3, 2>(along) => tile.run::<S, 3, 2>(simd, channels),
            (5, 1, 1) if tile.is_regular::<5, 1>(along) => tile.run::<S, 5, 1>(simd, channels),
            (5, 2, 1) if tile.is_regular::<5, 2>(along) => tile.run::<S, 5, 2>(simd, channels),
            (7, 1, 1) if tile.is_regular::<7, 1>(along) => tile.run::<S, 7, 1>(simd, channels),
            _ => tile.run::<S, ANY, ANY>(simd, channels),
        }
    }
}
