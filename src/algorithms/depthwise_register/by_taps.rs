//! Channels of planes that are moved to pixels, one vector of channels after the other. Each move takes the window of
//! some output rows and columns. If that is too large, it takes single taps of single outputs.

use std::ops::Range;

use convlow_kernels::depthwise_tile::DepthwiseTile;
use convlow_kernels::geometry::Geometry;
use convlow_kernels::image::Image;
use convlow_kernels::matrix::{Matrix, MatrixMut};
use convlow_kernels::moves::KEPT_BYTES;
use convlow_kernels::view::View;

use super::prepared::{MOVED_BYTES, PreparedDepthwiseRegister, parts_of};
use super::steps::Steps;
use super::words::{WORD, Words};
use crate::algorithms::algorithm::{Element, Unit};
use crate::algorithms::tiling::{part_of_channels, part_of_pixels};
use crate::problem::{Axis, Problem, common};

/// Input positions that are moved, and the axis along which the kernel then finds them.
struct Moved {
    axis: Axis,
    /// The outputs, as the axis counts them.
    outputs: Range<usize>,
    /// Where on the axis the first position lies.
    origin: usize,
    /// The first position, how far they lie apart, and how many there are.
    first: usize,
    step: usize,
    len: usize,
}

impl Moved {
    fn new(axis: &Axis, outputs: Range<usize>, taps: Range<usize>, apart: bool) -> Self {
        if !apart {
            let window = axis.window(&outputs);
            return Self {
                axis: *axis,
                outputs,
                origin: window.start,
                first: window.start,
                step: 1,
                len: window.len(),
            };
        }
        // The taps of this output that are there lie side by side, and all others are padding.
        let seen = common(&axis.taps_of_output(outputs.start), &taps);
        let (first, pad_before) = match seen.is_empty() {
            true => (0, axis.kernel),
            false => (axis.input_of(outputs.start, seen.start), seen.start),
        };
        let len = seen.len();
        let axis_of_taps = Axis { output: 1, pad_before, ..Axis::dense(len, axis.kernel) };
        Self { axis: axis_of_taps, outputs: 0..1, origin: 0, first, step: axis.dilation, len }
    }
}

/// Kernel rows and columns, from one to before another.
type Taps = [Range<usize>; 2];

/// Some output rows and columns of a block of channels.
struct Part<'a> {
    channels: &'a Range<usize>,
    ys: &'a Range<usize>,
    xs: &'a Range<usize>,
}

impl PreparedDepthwiseRegister {
    /// Some outputs, a vector of channels after the other and so many of them at once as can be moved. Apart, since
    /// its arrays are on the stack.
    #[inline(never)]
    pub(super) fn run_by_taps<T: Element>(
        &self,
        unit: &Unit<'_, T>,
        of_axes: [Steps; 2],
        [_, rows, cols]: &[Range<usize>; 3],
        channels: &Range<usize>,
        mut dst: MatrixMut<'_, T>,
    ) {
        let mut storage = Words::<{ MOVED_BYTES / WORD }>::ZEROS;
        let mut kept = Words::<{ KEPT_BYTES / WORD }>::ZEROS;
        let memory = &mut (storage.elements(), kept.elements());
        let layout = self.problem.dst_layout;
        let [of_rows, of_cols] = of_axes;
        for first in channels.clone().step_by(self.block) {
            let block = first..(first + self.block).min(channels.end);
            let of_block = block.start - channels.start..block.end - channels.start;
            let mut dst = part_of_channels(layout, &mut dst, of_block);
            for ys in parts_of(rows, of_rows.outputs) {
                for xs in parts_of(cols, of_cols.outputs) {
                    let pixel = (ys.start - rows.start) * cols.len() + xs.start - cols.start;
                    let of_part = pixel..pixel + ys.len() * xs.len();
                    let mut dst = part_of_pixels(layout, &mut dst, of_part);
                    let part = Part { channels: &block, ys: &ys, xs: &xs };
                    self.add_part(unit, of_axes, &part, &mut dst, memory);
                }
            }
        }
    }

    /// All taps of some outputs, so many at a time.
    fn add_part<T: Element>(
        &self,
        unit: &Unit<'_, T>,
        of_axes: [Steps; 2],
        part: &Part<'_>,
        dst: &mut MatrixMut<'_, T>,
        memory: &mut (&mut [T], &mut [T]),
    ) {
        let Problem { rows, cols, .. } = self.problem;
        for i in parts_of(&(0..rows.kernel), of_axes[0].taps) {
            for j in parts_of(&(0..cols.kernel), of_axes[1].taps) {
                self.add_taps(unit, of_axes, part, &[i.clone(), j], dst.reborrow(), memory);
            }
        }
    }

    /// Some taps of some outputs.
    fn add_taps<T: Element>(
        &self,
        unit: &Unit<'_, T>,
        of_axes: [Steps; 2],
        part: &Part<'_>,
        [i, j]: &Taps,
        dst: MatrixMut<'_, T>,
        (storage, kept): &mut (&mut [T], &mut [T]),
    ) {
        let Problem { rows, cols, .. } = &self.problem;
        let is_first = (i.start, j.start) == (0, 0);
        let is_last = (i.end, j.end) == (rows.kernel, cols.kernel);
        let moved_rows = Moved::new(rows, part.ys.clone(), i.clone(), of_axes[0].apart);
        let moved_cols = Moved::new(cols, part.xs.clone(), j.clone(), of_axes[1].apart);
        // 1. Move what these pixels see.
        let image = self.move_taps(&unit.src, part.channels, (&moved_rows, &moved_cols), storage);
        // 2. Sum all taps, 3. and finish, if these are the last ones.
        let tile = DepthwiseTile {
            geometry: &Geometry {
                axes: [self.problem.planes, moved_rows.axis, moved_cols.axis],
                ..self.problem.geometry()
            },
            image: &image,
            origin: [0, moved_rows.origin, moved_cols.origin],
            weights: self.weights(unit, part.channels),
            end: unit.end().of_channels(part.channels.clone()).of_part(is_first, is_last),
            outputs: [0..1, moved_rows.outputs, moved_cols.outputs],
            layout: self.problem.dst_layout,
            dst: if is_first { dst } else { dst.added_to_itself() },
        };
        T::depthwise_tile(tile, kept);
    }

    /// Moves these positions of the input channels of some output channels to NHWC, an input channel for each of them.
    fn move_taps<'a, T: Element>(
        &self,
        src: &Image<'_, T>,
        channels: &Range<usize>,
        (rows, cols): (&Moved, &Moved),
        to: &'a mut [T],
    ) -> Image<'a, T> {
        let (width, depth) = (cols.len, channels.len());
        let of_input = self.problem.group_out();
        let runs = of_input == 1 && cols.step == 1 && src.pixel == 1 && width > 0;
        for row in 0..rows.len {
            let y = rows.first + row * rows.step;
            let to = &mut to[row * width * depth..][..width * depth];
            if runs {
                let from = Matrix::new(src.at(channels.start, y, cols.first), depth, width, src.channel);
                T::transpose(&from, &mut MatrixMut::new(to, width, depth, depth), false);
                continue;
            }
            for (col, pixel) in to.chunks_exact_mut(depth).enumerate() {
                for (channel, value) in channels.clone().zip(pixel) {
                    *value = src.at(channel / of_input, y, cols.first + col * cols.step).value(0);
                }
            }
        }
        Image { data: View::new(to), channel: 1, plane: 0, row: width * depth, pixel: depth }
    }
}
