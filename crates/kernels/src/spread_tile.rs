//! The kernel of few output channels: the products of a pixel with the weights of all taps at once, each added to the
//! output that its tap writes.
//!
//! The lanes of its vectors are taps × output channels. So they are filled where the output channels alone are few.

use std::marker::PhantomData;
use std::ops::Range;

use crate::axis::{Axis, Operation, steps};
use crate::geometry::Geometry;
use crate::image::Image;
use crate::isa;
use crate::matrix::{Matrix, MatrixMut};
use crate::number::Number;
use crate::packed_product::{PackedProduct, ROWS};
use crate::sums::BEHIND_WEIGHTS;
use crate::vectors::{Kernel, Vectors};
use crate::width::Width;

/// The most taps × output channels of a block of packed weights.
const LANES: usize = 64;

/// Output channels of which a block has all of a tap or none, unless they are more.
const FEW_CHANNELS: usize = 16;
/// Additions up to which a row of taps is added tap by tap. More of them take longer than a vector of neighbouring taps
/// that waits for the one before it, with which it has elements in common.
pub const FEW_ADDITIONS: usize = 12;

/// Taps × output channels of a block of packed weights.
pub fn lanes_of_block(channels: usize) -> usize {
    if channels <= FEW_CHANNELS { LANES / channels * channels } else { LANES }
}

/// Pixels whose products are kept until they are added, in whole register tiles.
const PIXELS: usize = 4 * ROWS;

/// All output channels of some outputs, which hold what the products are added to.
pub struct SpreadTile<'a, 'b, T: Number> {
    /// How outputs map to inputs; an ordinary convolution has stride 1.
    pub geometry: &'a Geometry,
    /// The input, channels last.
    pub image: &'a Image<'a, T>,
    /// The input position at which it begins.
    pub origin: [usize; 3],
    /// Input channels.
    pub group_in: usize,
    /// Of these the ones that the image's data hold and that are multiplied.
    pub depth: Range<usize>,
    /// Blocks of [`lanes_of_block`] taps × output channels, each input channels × lanes: the taps in the order of the outputs
    /// that they write, which an ordinary convolution turns round.
    pub weights: &'a [T],
    /// The output planes, rows and columns.
    pub outputs: [Range<usize>; 3],
    /// These pixels × output channels.
    pub dst: MatrixMut<'b, T>,
}

/// How the inputs of an axis map to the outputs that they are added to. Places of taps that miss all outputs may be
/// farther away than sizes reach.
#[derive(Clone, Copy)]
struct Spread {
    axis: Axis,
    /// Outputs that tap 0 of input 0 lies before output 0.
    before: i128,
}

impl Spread {
    /// That of an axis, whose taps an ordinary convolution turns round.
    fn new(operation: Operation, axis: &Axis) -> Self {
        let reach = (axis.kernel - 1) as i128 * axis.dilation as i128;
        let pad = axis.pad_before as i128;
        let before = if operation == Operation::Conv { reach - pad } else { pad };
        Self { axis: *axis, before }
    }

    /// The output that a tap of an input is added to, which may lie outside.
    fn output(&self, input: usize, tap: usize) -> i128 {
        let Axis { stride, dilation, .. } = self.axis;
        input as i128 * stride as i128 + tap as i128 * dilation as i128 - self.before
    }

    /// The same, where it is one of these, counted from the first of them.
    fn among(&self, outputs: &Range<usize>, input: usize, tap: usize) -> Option<usize> {
        let output = usize::try_from(self.output(input, tap)).ok()?;
        outputs.contains(&output).then(|| output - outputs.start)
    }
}

impl<T: Number> SpreadTile<'_, '_, T> {
    /// Adds all products.
    pub(crate) fn run_checked(self) {
        let lanes = self.geometry.taps() * self.dst.cols();
        let outputs: usize = self.outputs.iter().map(Range::len).product();
        assert_eq!(outputs, self.dst.rows());
        assert!(self.weights.len() >= lanes * self.group_in + BEHIND_WEIGHTS / size_of::<T>());
        assert!(!self.depth.is_empty() && self.depth.end <= self.group_in);
        assert!(self.image.channel == 1 || self.depth.len() == 1, "channels lie last");
        isa::dispatch(self);
    }
}

impl<T: Number> Kernel for SpreadTile<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Vectors>(mut self, simd: S) {
        let lanes = self.geometry.taps() * self.dst.cols();
        let most = lanes_of_block(self.dst.cols());
        let mut kept = [T::ZERO; PIXELS * LANES];
        for first in (0..lanes).step_by(most) {
            let block = first..lanes.min(first + most);
            self.run_block::<S>(simd, block, &mut kept);
        }
    }
}

impl<T: Number> SpreadTile<'_, '_, T> {
    /// The products with one block of weights.
    #[inline(always)]
    fn run_block<S: Vectors>(&mut self, simd: S, block: Range<usize>, kept: &mut [T]) {
        let Self { geometry, origin, .. } = *self;
        let (outputs, channels) = (self.outputs.clone(), self.dst.cols());
        let [zs, ys, xs]: [Range<usize>; 3] = std::array::from_fn(|at| geometry.window(at, &outputs[at]));
        let [planes, rows, cols] = geometry.axes.map(|axis| Spread::new(geometry.operation, &axis));
        let image = *self.image;
        // Parts of a row that begin in the same places in every tile: they say in which order an output receives its
        // products.
        let parts = if xs.is_empty() { 0..0 } else { xs.start / PIXELS..xs.end.div_ceil(PIXELS) };
        for z in zs {
            for y in ys.clone() {
                // The rows of taps that are added to a row of dst.
                let of_row = cols.axis.kernel * channels;
                let taps = (block.start / of_row..block.end.div_ceil(of_row)).filter_map(|row| {
                    let (i, j) = (row / rows.axis.kernel, row % rows.axis.kernel);
                    let plane = planes.among(&outputs[0], z, i)?;
                    let of_plane = rows.among(&outputs[1], y, j)?;
                    Some((row, plane * outputs[1].len() + of_plane))
                });
                if taps.clone().next().is_none() {
                    continue;
                }
                let row = image.planes_from(z - origin[0]);
                for part in parts.clone() {
                    let x = xs.start.max(part * PIXELS);
                    let pixels = x..xs.end.min((part + 1) * PIXELS);
                    let from = row.at(0, y - origin[1], x - origin[2]);
                    let rows = Matrix::new(from, pixels.len(), self.depth.len(), image.pixel);
                    // In whole tiles, so that no sum depends on where a row is cut.
                    let whole = pixels.len().next_multiple_of(ROWS);
                    let products = &mut kept[..whole * block.len()];
                    PackedProduct {
                        rows,
                        weights: &self.weights
                            [block.start * self.group_in + self.depth.start * block.len()..],
                        next: &[],
                        accumulate: false,
                        dst: MatrixMut::new(products, whole, block.len(), block.len()),
                    }
                    .run_checked();
                    for (taps, row) in taps.clone() {
                        let lanes = taps * of_row..(taps + 1) * of_row;
                        let row = self.row(&cols, (&block, lanes), (&pixels, products), row);
                        // SAFETY: `run_checked` saw that dst has the rows of the outputs.
                        unsafe { row.add(simd) };
                    }
                }
            }
        }
    }

    /// Row `row` of dst, to which the products of some pixels with these lanes, a row of taps, are added.
    fn row<'a>(
        &'a mut self,
        cols: &'a Spread,
        (block, lanes): (&Range<usize>, Range<usize>),
        (pixels, products): (&Range<usize>, &'a [T]),
        row: usize,
    ) -> RowOfTaps<'a, T> {
        let (outputs, ld) = (self.outputs[2].clone(), self.dst.ld());
        RowOfTaps {
            cols,
            channels: self.dst.cols(),
            part: lanes.start.max(block.start) - lanes.start..lanes.end.min(block.end) - lanes.start,
            pixels: pixels.clone(),
            products: &products[lanes.start.saturating_sub(block.start)..],
            of_pixel: block.len(),
            to: self.dst.as_mut_ptr().wrapping_add(row * outputs.len() * ld),
            ld,
            outputs,
            borrow: PhantomData,
        }
    }
}

/// The products of some pixels with a row of taps, and the row of outputs that they are added to.
struct RowOfTaps<'a, T> {
    cols: &'a Spread,
    /// Output channels.
    channels: usize,
    /// Those of its taps × output channels that there are products of.
    part: Range<usize>,
    pixels: Range<usize>,
    /// From the first pixel's first one on, and from one pixel's to the next one's.
    products: &'a [T],
    of_pixel: usize,
    /// Where the outputs begin, and from one to the next.
    to: *mut T,
    ld: usize,
    outputs: Range<usize>,
    borrow: PhantomData<&'a mut T>,
}

impl<T: Number> RowOfTaps<'_, T> {
    /// Adds them.
    ///
    /// # Safety
    /// The row of outputs is there.
    #[inline(always)]
    unsafe fn add<S: Vectors>(&self, simd: S) {
        // Runs of channels that are added at once.
        let parts = || {
            let mut first = 0;
            std::iter::from_fn(move || {
                let left = self.channels - first;
                let count = [16, 8, 4, 3, 2, 1].into_iter().find(|&count| count <= left)?;
                first += count;
                Some((first - count, count))
            })
        };
        let by_taps = self.channels <= FEW_CHANNELS
            && self.cols.axis.stride < self.cols.axis.kernel
            && self.part.len() / self.channels * parts().count() <= FEW_ADDITIONS;
        if !by_taps {
            // SAFETY: the caller's promise.
            return unsafe { self.add_runs(simd) };
        }
        for (first, count) in parts() {
            // SAFETY: the caller's promise.
            unsafe {
                match count {
                    1 => self.add_taps::<1>(first),
                    2 => self.add_taps::<2>(first),
                    3 => self.add_taps::<3>(first),
                    4 => self.add_taps::<4>(first),
                    8 => self.add_taps::<8>(first),
                    _ => self.add_taps::<16>(first),
                }
            }
        }
    }

    /// The output to which the first pixel's product with a tap is added, counted from the row's first.
    fn output(&self, tap: usize) -> i128 {
        self.cols.output(self.pixels.start, tap) - self.outputs.start as i128
    }

    /// The pixels whose product with a tap is added to an output of the row, and where that of the first is.
    fn inside(&self, tap: usize) -> (Range<usize>, usize) {
        let (stride, pixels, output) = (self.cols.axis.stride, self.pixels.len(), self.output(tap));
        let (left, len) = (self.outputs.len() as i128 - output, self.pixels.len() as i128 * stride as i128);
        if left <= 0 || -output >= len {
            return (0..0, 0);
        }
        // What is left of the row, or before it, is less than all that the pixels write.
        let count = |distance: i128| match usize::try_from(distance.clamp(0, len)) {
            Ok(distance) => steps(distance, stride).min(pixels),
            Err(_) => pixels,
        };
        let (first, end) = (count(-output), count(left));
        match usize::try_from(output + first as i128 * stride as i128) {
            Ok(at) if first < end => (first..end, at),
            _ => (0..0, 0),
        }
    }

    /// Tap by tap, of `M` output channels from one on: neighbouring pixels write what lies apart, and wait for nothing.
    ///
    /// # Safety
    /// As [`RowOfTaps::add`].
    #[inline(always)]
    unsafe fn add_taps<const M: usize>(&self, channel: usize) {
        // Beyond the last output the next place need not be there.
        let step = self.cols.axis.stride.wrapping_mul(self.ld);
        for lane in self.part.clone().step_by(self.channels) {
            let (Range { start: before, end }, output) = self.inside(lane / self.channels);
            let mut to = self.to.wrapping_add(output * self.ld + channel);
            let from = &self.products[lane - self.part.start + channel..];
            assert!(end == before || from.len() >= (end - 1) * self.of_pixel + M);
            // Pointers that step on: a chain of iterators would live in memory.
            let mut from = from.as_ptr().wrapping_add(before * self.of_pixel);
            for _ in before..end {
                // SAFETY: the products are there, as just asserted, and the outputs lie in the row.
                unsafe {
                    let (sums, products) = (to.cast::<[T; M]>().read(), from.cast::<[T; M]>().read());
                    to.cast::<[T; M]>().write(std::array::from_fn(|m| sums[m] + products[m]));
                }
                (to, from) = (to.wrapping_add(step), from.wrapping_add(self.of_pixel));
            }
        }
    }

    /// Pixel by pixel, runs of neighbouring elements: those of several taps, unless something lies between.
    ///
    /// # Safety
    /// As [`RowOfTaps::add`].
    #[inline(always)]
    unsafe fn add_runs<S: Vectors>(&self, simd: S) {
        let Self { channels, ld, .. } = *self;
        let Axis { dilation, kernel, stride, .. } = self.cols.axis;
        let step = stride.wrapping_mul(ld);
        if ld == channels && (dilation == 1 || kernel == 1) {
            // Each pixel sees an output of the row by a tap: its run is no farther away than the row and all taps are long.
            let (first, len) = (self.part.start, (self.outputs.len() * channels) as isize);
            let mut at =
                self.output(first / channels) as isize * channels as isize + (first % channels) as isize;
            for of_pixel in self.products.chunks(self.of_pixel).take(self.pixels.len()) {
                let from = &of_pixel[..self.part.len()];
                // What lies before or behind the row belongs to other tiles, or to nobody.
                let before = usize::try_from(-at).unwrap_or(0).min(from.len());
                let count = usize::try_from(len - at).unwrap_or(0).min(from.len()).saturating_sub(before);
                let to = self.to.wrapping_offset(at).wrapping_add(before);
                // SAFETY: these elements lie in the row.
                unsafe { add_run::<S, T>(simd, &from[before..before + count], to) };
                at = at.wrapping_add(step as isize);
            }
            return;
        }
        let mut lane = self.part.start;
        while lane < self.part.end {
            let channel = lane % channels;
            let end = self.part.end.min(lane - channel + channels);
            let (pixels, output) = self.inside(lane / channels);
            let mut to = self.to.wrapping_add(output * ld + channel);
            let of_pixels = self.products.chunks(self.of_pixel).take(pixels.end).skip(pixels.start);
            for of_pixel in of_pixels {
                let from = &of_pixel[lane - self.part.start..end - self.part.start];
                // SAFETY: these channels of the output are there.
                unsafe { add_run::<S, T>(simd, from, to) };
                to = to.wrapping_add(step);
            }
            lane = end;
        }
    }
}

/// Adds some elements to as many.
///
/// # Safety
/// They are there.
#[inline(always)]
unsafe fn add_run<S: Vectors, T: Number>(simd: S, from: &[T], to: *mut T) {
    let lanes = T::lanes::<S>();
    let mut done = 0;
    while done < from.len() {
        let count = lanes.min(from.len() - done);
        let (width, to) = (Width::<1>(count), to.wrapping_add(done));
        let part = &from[done..done + count];
        // SAFETY: the caller's promise.
        unsafe {
            let sums = if count == lanes { T::load::<S>(part) } else { T::load_part(simd, part) };
            let sums = width.added::<S, T>(simd, to, [sums]);
            width.store::<S, T>(simd, to, sums);
        }
        done += count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::for_each_shape;
    use crate::view::View;

    /// Small integers, whose products and sums are exact.
    fn value<T: Number>(at: usize) -> T {
        T::from_f64((at * 7 % 11) as f64 - 5.0)
    }

    /// The sum of a transposed convolution's definition for an output and an output channel, of `depth` input channels
    /// that lie last; `weight` is of a tap, an input channel and the output channel.
    fn defined<T: Number>(
        [rows, cols]: [&Axis; 2],
        src: &[T],
        depth: usize,
        [y, x]: [usize; 2],
        weight: impl Fn(usize, usize) -> f64,
    ) -> f64 {
        let reads = |axis: &Axis, output: usize, tap: usize| {
            let at = (output + axis.pad_before).checked_sub(tap * axis.dilation)?;
            Some(at / axis.stride).filter(|&input| at.is_multiple_of(axis.stride) && input < axis.input)
        };
        let taps = (0..rows.kernel).flat_map(|i| (0..cols.kernel).map(move |j| (i, j)));
        let seen =
            taps.filter_map(|(i, j)| Some((i * cols.kernel + j, reads(rows, y, i)?, reads(cols, x, j)?)));
        let products =
            seen.flat_map(|(tap, h, w)| (0..depth).map(move |c| (tap, (h * cols.input + w) * depth + c, c)));
        products.map(|(tap, at, c)| weight(tap, c) * src[at].into()).sum()
    }

    /// Some outputs of a map, in a slice of wider pixels or not; what lies between is not touched.
    fn check<T: Number>([rows, cols]: [Axis; 2], [depth, channels]: [usize; 2], ld: usize) {
        let geometry = Geometry { operation: Operation::ConvTranspose, axes: [Axis::ONE, rows, cols] };
        let src: Vec<T> = (0..rows.input * cols.input * depth).map(value).collect();
        let lanes = geometry.taps() * channels;
        let weight = |lane: usize, c: usize| value::<T>(3 * lane + 5 * c);
        let mut weights = Vec::new();
        for first in (0..lanes).step_by(lanes_of_block(channels)) {
            let block = first..lanes.min(first + lanes_of_block(channels));
            weights.extend((0..depth).flat_map(|c| block.clone().map(move |lane| weight(lane, c))));
        }
        weights.resize(weights.len() + BEHIND_WEIGHTS / size_of::<T>(), T::ZERO);
        let image =
            Image { data: View::new(&src), channel: 1, plane: 0, row: cols.input * depth, pixel: depth };
        let outputs = [0..1, rows.output / 3..rows.output, 1..cols.output];
        let pixels = outputs[1].len() * outputs[2].len();
        let mut dst = vec![T::ONE; pixels * ld];
        for part in [0..depth / 2, depth / 2..depth] {
            SpreadTile {
                geometry: &geometry,
                image: &image.channels_from(part.start),
                origin: [0; 3],
                group_in: depth,
                depth: part,
                weights: &weights,
                outputs: outputs.clone(),
                dst: MatrixMut::new(&mut dst[..(pixels - 1) * ld + channels], pixels, channels, ld),
            }
            .run_checked();
        }
        for (at, &sum) in dst.iter().enumerate() {
            let (pixel, channel) = (at / ld, at % ld);
            let y = outputs[1].start + pixel / outputs[2].len();
            let x = outputs[2].start + pixel % outputs[2].len();
            let exact = match channel < channels {
                true => defined([&rows, &cols], &src, depth, [y, x], |tap, c| {
                    weight(tap * channels + channel, c).into()
                }),
                false => 0.0,
            };
            assert_eq!(sum.into(), 1.0 + exact, "row {y}, column {x}, channel {channel}");
        }
    }

    #[test]
    fn tiles_of_all_shapes_add_what_is_defined() {
        let axis = |input: usize, kernel: usize, [stride, dilation, pad]: [usize; 3]| {
            let output = (input - 1) * stride + (kernel - 1) * dilation + 1 - 2 * pad;
            Axis { output, stride, dilation, pad_before: pad, pad_after: pad, ..Axis::dense(input, kernel) }
        };
        for_each_shape(|| {
            for (rows, cols, sizes, ld) in [
                (axis(5, 3, [1, 1, 1]), axis(31, 3, [1, 1, 1]), [9, 3], 3),
                (axis(4, 4, [2, 1, 1]), axis(7, 4, [2, 1, 1]), [5, 3], 5),
                (axis(3, 2, [3, 2, 0]), axis(26, 3, [2, 3, 2]), [4, 2], 2),
                (axis(1, 1, [1, 1, 0]), axis(9, 50, [7, 1, 3]), [6, 3], 3),
            ] {
                check::<f32>([rows, cols], sizes, ld);
                check::<f64>([rows, cols], sizes, ld);
            }
        });
    }
}
