//! `mec-*`: with `L[x][h][j][c] = src[h, x·s+j·d−pad, c]`, output row y is one product of OW × Kh·Kw·C, whose rows
//! overlap in L from one y to the next, with the Kh·Kw·C × M kernel.
//! Workspace: Kw·C·H·OW.
//! Wins if the patch matrix is too large and a stride above 1 excludes the kn2 families.
//! Source: M. Cho, D. Brand, "MEC: Memory-efficient Convolution", ICML 2017, arXiv 1706.06873.
//!
//! L does not store rows outside the input: a product leaves out their taps. With a vertical dilation d, the rows of
//! L are ordered by h mod d first, so that the taps of one output lie one behind the other.

use convlow_kernels::matrix::{Matrix, MatrixMut, Operand};

use super::product::gemm_tile;
use crate::algorithms::algorithm::{
    Algorithm, Declined, Element, Limits, Prepared, Ready, Scratch, Unit, ready,
};
use crate::algorithms::cost::{Calls, Cost, weights_streamed, work};
use crate::lowering::weights::{IJCM, WeightOrder};
use crate::problem::{Axis, Problem};
use crate::tiles::{EachTile, Grid};

/// How the compact lowering is stored.
#[derive(Clone, Copy)]
pub enum Mec {
    /// L as OW rows of H·Kw·C; a product reads a run of columns.
    RowPartition,
    /// L as H·Kw·C columns of OW, each contiguous; a product reads a run of them, transposed.
    Col,
}

/// The place of input row `h` in L.
fn place_of_row(rows: &Axis, h: usize) -> usize {
    // Residues below h % d have one row more than the rest if they are below H % d.
    let (residue, d) = (h % rows.dilation, rows.dilation);
    residue * (rows.input / d) + residue.min(rows.input % d) + h / d
}

/// The input row at a place in L: the inverse of [`place_of_row`].
fn row_at_place(rows: &Axis, place: usize) -> usize {
    let (shorter, longer_residues) = (rows.input / rows.dilation, rows.input % rows.dilation);
    let in_longer = longer_residues * (shorter + 1);
    let (residue, row) = if place < in_longer {
        (place / (shorter + 1), place % (shorter + 1))
    } else {
        (longer_residues + (place - in_longer) / shorter, (place - in_longer) % shorter)
    };
    residue + row * rows.dilation
}

impl Mec {
    /// L for one input row h: Kw·C values for each output column x.
    fn lower_row<T: Element>(self, unit: &Unit<'_, T>, h: usize, lowered: &mut MatrixMut<'_, T>) {
        let Problem { cols, .. } = unit.problem;
        let channels = unit.problem.group_in();
        for x in 0..cols.output {
            let js = cols.taps_of_output(x);
            for j in 0..cols.kernel {
                let pixel = js.contains(&j).then(|| unit.src.at(0, h, cols.input_of(x, j)).run(0, channels));
                let depths = j * channels..(j + 1) * channels;
                match (self, pixel) {
                    (Mec::RowPartition, Some(pixel)) => {
                        lowered.row_mut(x)[depths].copy_from_slice(pixel);
                    }
                    (Mec::RowPartition, None) => lowered.row_mut(x)[depths].fill(T::ZERO),
                    (Mec::Col, Some(pixel)) => {
                        depths.zip(pixel).for_each(|(depth, value)| lowered.row_mut(depth)[x] = *value);
                    }
                    (Mec::Col, None) => depths.for_each(|depth| lowered.row_mut(depth)[x] = T::ZERO),
                }
            }
        }
    }
}

struct PreparedMec {
    variant: Mec,
    problem: Problem,
    /// Output channels of a product.
    channel_block: usize,
    scratch: Scratch,
}

impl Algorithm for Mec {
    fn prepare(&self, problem: &Problem, _: Limits) -> Result<Box<dyn Ready>, Declined> {
        let Problem { rows, cols, .. } = problem;
        let scratch = Scratch::shared(&[cols.kernel, problem.group_in(), rows.input, cols.output])?;
        let (_, channel_block) = gemm_tile(cols.output, problem.group_out());
        ready(PreparedMec { variant: *self, problem: *problem, channel_block, scratch })
    }
}

impl Prepared for PreparedMec {
    fn scratch(&self) -> Scratch {
        self.scratch
    }

    fn weight_order(&self) -> WeightOrder {
        IJCM
    }

    fn cost(&self) -> Cost {
        let (problem, channel_block) = (&self.problem, self.channel_block);
        let Problem { rows, cols, .. } = problem;
        let channels = problem.group_out();
        let row_depth = cols.kernel * problem.group_in();
        let calls = Calls {
            shape: [cols.output, channels.min(channel_block), rows.kernel * row_depth],
            count: rows.count_outputs_inside().saturating_mul(channels.div_ceil(channel_block)),
            macs: work(&[rows.count_inside(), cols.output, channels, row_depth]),
            plane: 0,
        };
        let moved = 2.0 * self.scratch.elements as f64;
        let (streamed, scattered) = match self.variant {
            Mec::RowPartition => (moved, 0.0),
            Mec::Col => (0.0, moved),
        };
        let streamed = streamed + weights_streamed(problem, rows.output);
        let largest_size = (rows.input * row_depth).max(cols.output).max(problem.out_channels);
        Cost { calls: Some(calls), largest_size, streamed, scattered, ..Cost::default() }
    }

    fn run<T: Element>(&self, unit: &Unit<'_, T>, dst: MatrixMut<'_, T>, scratch: &mut [T]) {
        let problem = &self.problem;
        let Problem { rows, cols, .. } = problem;
        let (channels, width) = (problem.group_out(), cols.output);
        let row_depth = cols.kernel * problem.group_in();
        let depth = rows.input * row_depth;
        // 1. Lower each input row to its place in L.
        let (stored_rows, stored_cols, row_block, col_block) = match self.variant {
            Mec::RowPartition => (width, depth, width, row_depth),
            Mec::Col => (depth, width, row_depth, width),
        };
        unit.pool.for_each_tile_plain(
            MatrixMut::new(scratch, stored_rows, stored_cols, stored_cols),
            Grid::new(stored_rows, stored_cols, row_block, col_block),
            |tile, mut lowered| {
                let place = tile.rows.start.max(tile.cols.start) / row_depth;
                self.variant.lower_row(unit, row_at_place(rows, place), &mut lowered);
            },
        );
        let lowered = Matrix::new(scratch, stored_rows, stored_cols, stored_cols);
        let lowered: Operand<'_, T> = match self.variant {
            Mec::RowPartition => lowered.into(),
            Mec::Col => lowered.t(),
        };
        // 2. One product an output row and block of channels, over the taps that lie inside the input.
        let kernel = Operand::from(Matrix::new(unit.weights, problem.depth(), channels, channels));
        let grid = Grid::new(problem.out_pixels(), channels, width, self.channel_block);
        unit.pool.for_each_tile_plain(dst, grid, |tile, mut view| {
            let taps = rows.taps_of_output(tile.rows.start / width);
            if !taps.is_empty() {
                let first = place_of_row(rows, rows.input_of(tile.rows.start / width, taps.start));
                let a = lowered.part(0..width, first * row_depth..(first + taps.len()) * row_depth);
                let b = kernel.part(taps.start * row_depth..taps.end * row_depth, tile.cols.clone());
                unit.multiply(view.reborrow(), a, b, unit.beta());
            } else if !problem.accumulate {
                view.fill(T::ZERO);
            }
            unit.finish(&mut view, tile.cols.start);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_with_one_residue_lie_one_behind_the_other() {
        for input in 1..20 {
            for dilation in 1..25 {
                let rows = Axis { dilation, ..Axis::dense(input, 1) };
                let by_residue = (0..dilation).flat_map(|residue| (residue..input).step_by(dilation));
                for (place, h) in by_residue.enumerate() {
                    assert_eq!((place_of_row(&rows, h), row_at_place(&rows, place)), (place, h), "{rows:?}");
                }
            }
        }
    }
}
