//! The taps of one tile of an NHWC image: for each tap, GEMM calls straight on the input rows.
//!
//! A tile is a few output rows, or a part of one row, × a block of output channels. It stays in the first two cache
//! levels while its taps are added, one after the other.

use std::ops::Range;

use convlow_kernels::geometry::Geometry;
use convlow_kernels::matrix::{Matrix, MatrixMut};
use convlow_kernels::view::View;

use super::strips::rows_and_columns;
use crate::algorithms::algorithm::{Element, Unit};
use crate::algorithms::cost::{Calls, Cost, weights_streamed, work};
use crate::problem::{Axis, Operation, Problem, common};

/// A tap of an axis that all these outputs see: its products may overwrite what dst holds.
pub fn overwriting_tap(axis: &Axis, outputs: &Range<usize>) -> Option<usize> {
    (0..axis.kernel).find(|&tap| common(outputs, &axis.outputs_of_tap(tap)) == *outputs)
}

/// All taps of a kernel's axis, this one before the others.
pub fn beginning_with(first: Option<usize>, kernel: usize) -> impl Iterator<Item = usize> {
    first.into_iter().chain((0..kernel).filter(move |&tap| Some(tap) != first))
}

/// A tile of dst and what its taps are multiplied with.
pub struct TapTile<'a, T: Element> {
    pub unit: &'a Unit<'a, T>,
    /// The problem's axes, flattened.
    pub geometry: &'a Geometry,
    /// Those of the tile's channels, taps × C × channels.
    pub weights: &'a [T],
    /// The output pixels.
    pub pixels: &'a Range<usize>,
}

impl<T: Element> TapTile<'_, T> {
    /// dst ← all taps, row by row, added to what dst holds where the problem accumulates. `dst` is pixels × channels.
    pub fn multiply(&self, dst: &mut MatrixMut<'_, T>) {
        let ([_, rows, cols], accumulate) = (&self.geometry.axes, self.unit.problem.accumulate);
        let (ys, xs) = rows_and_columns(cols.output, self.pixels);
        if self.geometry.operation == Operation::ConvTranspose {
            return self.multiply_transposed([&ys, &xs], dst);
        }
        let (channels, ld) = (dst.cols(), cols.step() * self.unit.src.pixel);
        let overwriting = overwriting_tap(rows, &ys).zip(overwriting_tap(cols, &xs)).filter(|_| !accumulate);
        if overwriting.is_none() && !accumulate {
            dst.fill(T::ZERO);
        }
        let (first_row, first_col) = overwriting.unzip();
        for i in beginning_with(first_row, rows.kernel) {
            for j in beginning_with(first_col, cols.kernel) {
                let beta = if Some((i, j)) == overwriting { T::ZERO } else { T::ONE };
                let xs = common(&xs, &cols.outputs_of_tap(j));
                if xs.is_empty() {
                    continue;
                }
                for y in common(&ys, &rows.outputs_of_tap(i)) {
                    let from = self.unit.src.at(0, rows.input_of(y, i), cols.input_of(xs.start, j));
                    let to = y * cols.output + xs.start - self.pixels.start;
                    self.add((i, j), from, ld, beta, dst.part(to..to + xs.len(), 0..channels));
                }
            }
        }
    }

    /// The same in a transposed convolution: a tap's inputs lie side by side, and its outputs a stride apart.
    fn multiply_transposed(&self, [ys, xs]: [&Range<usize>; 2], dst: &mut MatrixMut<'_, T>) {
        if !self.unit.problem.accumulate {
            dst.fill(T::ZERO);
        }
        let [_, rows, cols] = &self.geometry.axes;
        // Counted from the tile's first output.
        let [rows, cols] = [rows.exchanged(ys), cols.exchanged(xs)];
        let (channels, ld) = (dst.cols(), self.unit.src.pixel);
        for (i, j) in (0..rows.kernel).flat_map(|i| (0..cols.kernel).map(move |j| (i, j))) {
            let inputs = cols.outputs_of_tap(j);
            if inputs.is_empty() {
                continue;
            }
            let first = cols.input_of(inputs.start, j);
            let last = cols.input_of(inputs.end - 1, j);
            for row in rows.outputs_of_tap(i) {
                let at = rows.input_of(row, i) * cols.input;
                let mut outputs = dst.part(at + first..at + last + 1, 0..channels);
                let from = self.unit.src.at(0, row, inputs.start);
                self.add((i, j), from, ld, T::ONE, outputs.every(cols.stride));
            }
        }
    }

    /// dst ← the product of pixels that lie `ld` elements apart and a tap's weights + β·dst.
    pub fn add(&self, (i, j): (usize, usize), from: View<'_, T>, ld: usize, beta: T, dst: MatrixMut<'_, T>) {
        let ([_, _, cols], depth, channels) = (&self.geometry.axes, self.unit.problem.group_in(), dst.cols());
        let tap = &self.weights[(i * cols.kernel + j) * depth * channels..];
        let tap = Matrix::new(tap, depth, channels, channels);
        let src = Matrix::new(from, dst.rows(), depth, ld);
        self.unit.multiply(dst, src.into(), tap.into(), beta);
    }
}

/// The cost of [`TapTile::multiply`] for all tiles of so many output pixels and channels.
pub fn cost(problem: &Problem, geometry: &Geometry, (pixels, block): (usize, usize)) -> Cost {
    let [_, rows, cols] = &geometry.axes;
    let whole_rows = rows.output > 1 || pixels == cols.output;
    let strip = if whole_rows { cols.output } else { pixels };
    let taps = match geometry.operation {
        Operation::Conv if whole_rows => cols.count_taps_inside(),
        Operation::Conv => cols.count_taps_of_strips(pixels),
        Operation::ConvTranspose => cols.count_transposed_taps_of_strips(strip),
    };
    let [rows_inside, cols_inside] = [1, 2].map(|axis| geometry.count_inside(axis));
    let of_call = match geometry.operation {
        Operation::Conv => strip,
        Operation::ConvTranspose => strip.div_ceil(cols.stride),
    };
    let calls = Calls {
        shape: [of_call, block, problem.group_in()],
        count: rows_inside.saturating_mul(taps),
        macs: work(&[rows_inside, cols_inside, problem.group_in(), problem.group_out()]),
        plane: 0,
    };
    cost_of_calls(problem, cols, (pixels, block), calls)
}

/// The cost of these calls for each block of channels.
pub fn cost_of_calls(problem: &Problem, cols: &Axis, (pixels, block): (usize, usize), calls: Calls) -> Cost {
    let (tiles, blocks) = (problem.out_pixels().div_ceil(pixels), problem.group_out().div_ceil(block));
    let src_ld = problem.in_channels.saturating_mul(cols.step());
    let calls = Calls { count: calls.count.saturating_mul(blocks), ..calls };
    Cost {
        calls: Some(calls),
        largest_size: problem.out_pixels().max(problem.out_channels).max(src_ld),
        tiles: tiles.saturating_mul(blocks),
        streamed: weights_streamed(problem, tiles),
        ..Cost::default()
    }
}
