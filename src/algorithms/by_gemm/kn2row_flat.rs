//! `kn2row-flat`: as kn2row-tiled, with the rows of a tile always joined: for each tap one GEMM over all its pixels.
//! Columns that wrap around the end of a row receive wrong values; columns that already hold sums are saved and
//! restored.
//! Workspace: for each thread (Kw−1)·d−pad_left columns (with `accumulate` those of the wider side) × R rows × Mb
//! channels of a tile. R shrinks to 1 if the limit requires it.
//! Wins in NHWC with a GEMM that needs large calls, and if dst is added to.
//! Source: convlow; the repair of columns is that of kn2row-aa.

use std::ops::Range;

use convlow_kernels::geometry::Geometry;
use convlow_kernels::matrix::MatrixMut;

use super::strips::{rows_and_columns, strip_tile};
use super::taps::{self, TapTile};
use super::wrapping::{flat_run, junk_of, must_save, saved_cols};
use crate::algorithms::algorithm::{
    Algorithm, Declined, Element, Limits, Prepared, Ready, Scratch, Unit, elements_of, ready, require,
    require_unit_stride,
};
use crate::algorithms::cost::{Calls, Cost, work};
use crate::algorithms::tiling::{dst_grid, flattened};
use crate::lowering::weights::{IJCM, WeightOrder};
use crate::problem::{Problem, common};
use crate::tiles::{EachTile, Grid};

/// The taps of one tile of dst after the other, all rows at once.
pub struct Kn2rowFlat;

struct PreparedKn2rowFlat {
    problem: Problem,
    /// Its axes, flattened.
    geometry: Geometry,
    /// Output pixels and channels of a tile.
    tile: (usize, usize),
    grid: Grid,
    /// For the saved columns.
    scratch: Scratch,
}

/// dst ← all taps of a tile of whole rows, one kernel column after the other. `saved` has [`saved_cols`] × rows ×
/// channels elements.
fn multiply_joined<T: Element>(taps: &TapTile<'_, T>, dst: &mut MatrixMut<'_, T>, saved: &mut [T]) {
    let ([_, _, cols], accumulate) = (&taps.geometry.axes, taps.unit.problem.accumulate);
    if !accumulate {
        dst.fill(T::ZERO);
    }
    for j in (0..cols.kernel).filter(|&j| !cols.outputs_of_tap(j).is_empty()) {
        let (junk, save) = (junk_of(cols, j), must_save(cols, j, accumulate));
        // 1. Save what junk would spoil.
        if save {
            for_each_pixel(cols.output, &junk, dst, saved, |pixel, saved| saved.copy_from_slice(pixel));
        }
        // 2. One GEMM for each tap of the column.
        add_column(taps, j, dst);
        // 3. Put it back.
        if save {
            for_each_pixel(cols.output, &junk, dst, saved, |pixel, saved| pixel.copy_from_slice(saved));
        } else {
            for y in 0..dst.rows() / cols.output {
                junk.clone().for_each(|x| dst.row_mut(y * cols.output + x).fill(T::ZERO));
            }
        }
    }
}

/// The taps of one kernel column, rows joined.
fn add_column<T: Element>(taps: &TapTile<'_, T>, j: usize, dst: &mut MatrixMut<'_, T>) {
    let ([_, rows, cols], src, channels) = (&taps.geometry.axes, &taps.unit.src, dst.cols());
    let (ys, _) = rows_and_columns(cols.output, taps.pixels);
    for i in 0..rows.kernel {
        let inside = common(&ys, &rows.outputs_of_tap(i));
        if !inside.is_empty() {
            let (to, from) = flat_run([rows, cols], &ys, (i, j), &inside);
            taps.add((i, j), src.at(0, 0, from), src.pixel, T::ONE, dst.part(to, 0..channels));
        }
    }
}

/// Calls `f` with the channels of these columns of all rows, and their place in `saved`.
fn for_each_pixel<T: Element>(
    width: usize,
    xs: &Range<usize>,
    dst: &mut MatrixMut<'_, T>,
    saved: &mut [T],
    f: impl Fn(&mut [T], &mut [T]),
) {
    let mut saved = saved.chunks_exact_mut(dst.cols());
    for y in 0..dst.rows() / width {
        for (x, saved) in xs.clone().zip(&mut saved) {
            f(dst.row_mut(y * width + x), saved);
        }
    }
}

impl Algorithm for Kn2rowFlat {
    fn prepare(&self, problem: &Problem, limits: Limits) -> Result<Box<dyn Ready>, Declined> {
        require_unit_stride(problem)?;
        require(problem.cols.output == problem.cols.input, c"needs output rows as long as the input's")?;
        let (geometry, channels) = (flattened(problem), problem.group_out());
        let [_, rows, cols] = &geometry.axes;
        let (width, (mut pixels, block)) = (cols.output, strip_tile(&geometry, problem.group_in(), channels));
        // Elements to save for each row of a tile.
        let saved = if rows.output == 1 { 0 } else { saved_cols(cols, problem.accumulate) };
        let saved_row = elements_of(&[saved, block])?;
        // The tile follows from the limit alone; threads take what room is left.
        if let Some(fitting) = limits.of_tile().checked_div(saved_row) {
            pixels = (pixels / width).min(fitting).max(1) * width;
        }
        let tile = (pixels, block);
        let grid = dst_grid(problem.dst_layout, (problem.out_pixels(), channels), tile);
        let scratch = Scratch::of_tiles(elements_of(&[pixels / width, saved_row])?, grid.tiles(), limits)?;
        ready(PreparedKn2rowFlat { problem: *problem, geometry, tile, grid, scratch })
    }
}

impl Prepared for PreparedKn2rowFlat {
    fn scratch(&self) -> Scratch {
        self.scratch
    }

    fn weight_order(&self) -> WeightOrder {
        IJCM.blocked(self.tile.1)
    }

    fn cost(&self) -> Cost {
        let (problem, geometry, tile) = (&self.problem, &self.geometry, self.tile);
        let [_, rows, cols] = &geometry.axes;
        if rows.output == 1 {
            return taps::cost(problem, geometry, tile);
        }
        let taps = cols.count_taps_inside();
        let calls = Calls {
            shape: [tile.0, tile.1, problem.group_in()],
            count: rows.count_taps_of_strips(tile.0 / cols.output).saturating_mul(taps),
            macs: work(&[rows.count_inside(), cols.output, taps, problem.group_in(), problem.group_out()]),
            plane: 0,
        };
        let cost = taps::cost_of_calls(problem, cols, tile, calls);
        Cost {
            // The zeros with which dst begins.
            streamed: cost.streamed + work(&[problem.out_pixels(), problem.group_out()]),
            // Every saved column is read and written for each kernel column that needs it.
            cached: 2.0 * taps as f64 * self.scratch.all() as f64,
            ..cost
        }
    }

    fn run<T: Element>(&self, unit: &Unit<'_, T>, dst: MatrixMut<'_, T>, scratch: &mut [T]) {
        let geometry = &self.geometry;
        unit.pool.for_each_tile(dst, self.grid, scratch, self.scratch.slots, |tile, mut view, saved| {
            let (first, depth) = (tile.cols.start, unit.problem.depth());
            let weights = &unit.weights[first * depth..][..tile.cols.len() * depth];
            let taps = TapTile { unit, geometry, weights, pixels: &tile.rows };
            if geometry.axes[1].output == 1 {
                taps.multiply(&mut view); // There is nothing to join.
            } else {
                multiply_joined(&taps, &mut view, saved);
            }
            unit.finish(&mut view, first);
        });
    }
}
