//! `kn2row-aa-*`: for each tap, dst[M × shifted pixels] += weights[M × C]·src[C × pixels], as one GEMM with β = 1
//! straight into dst.
//! Workspace: (Kw−1)·d−pad_left columns (the wrapped columns of one side; with `accumulate` those of the wider side)
//! of the Mb channels of a tile × the rows of a strip, at most 64 KiB for one thread; 0 if OW ≠ W.
//! Wins on layers of stride 1 with many channels: no patches, no scratch plane.
//! Source: arXiv 1709.03395 (accumulating with holes). The repair of columns is convlow's: it leaves src as it is,
//! and writes nothing outside dst.
//!
//! If OW = W, the pixels of a tap are one flat run, at a fixed distance in src and dst. The GEMM multiplies whole
//! rows at once. Then only the columns that wrap around the end of a row receive wrong values: |dx| columns on one
//! side. The taps with dx < 0 come first, the widest one first. Their wrapped columns hold nothing valid yet, and are
//! set back to their start value. The wrapped columns of taps with dx > 0 are saved and restored. If OW ≠ W, or if no
//! scratch is allowed, each row is a GEMM of its own, clipped to the columns that exist.

use std::ops::Range;

use convlow_kernels::matrix::MatrixMut;

use super::product::{Form, gemm_tile};
use super::wrapping::{flat_run, junk_of, must_save, saved_cols};
use crate::algorithms::algorithm::{
    Algorithm, Declined, Element, Limits, Prepared, Ready, Scratch, Unit, elements_of, ready,
    require_unit_stride,
};
use crate::algorithms::cost::{Calls, Cost, weights_streamed, work};
use crate::lowering::image::matrix_of;
use crate::lowering::weights::{IJCM, IJMC, WeightOrder};
use crate::problem::{Problem, common};
use crate::tiles::{EachTile, Grid, Tile};

/// The form of each tap's product; image stored C × H·W (NCHW) or H·W × C (NHWC).
pub struct Kn2rowAa(pub Form);

/// Elements of saved columns for one thread, unless the limit is lower: 64 KiB.
const SAVED_BYTES: usize = 64 << 10;
/// Pixels of a strip: its dst stays in the cache for all taps, and a GEMM call is still worth its packing.
const STRIP_PIXELS: usize = 512;

struct PreparedKn2rowAa {
    form: Form,
    problem: Problem,
    /// Whether the rows of a strip are multiplied at once, each tap with one GEMM; else each row by itself.
    joined: bool,
    /// Output channels × pixels of a tile: whole rows of a strip.
    grid: Grid,
    /// For the saved columns.
    scratch: Scratch,
}

/// Output rows of a strip and output channels of a tile, as the problem alone would have them.
fn rows_and_channels(problem: &Problem) -> (usize, usize) {
    let (channels, pixels) = (problem.group_out(), problem.out_pixels());
    let rows = problem.rows.output.div_ceil((pixels / STRIP_PIXELS).max(1));
    // A strip that is alone is shared by two threads.
    let most = if rows == problem.rows.output { channels.div_ceil(2) } else { channels };
    (rows, gemm_tile(pixels, channels).1.min(most.next_multiple_of(16)))
}

impl Algorithm for Kn2rowAa {
    fn prepare(&self, problem: &Problem, limits: Limits) -> Result<Box<dyn Ready>, Declined> {
        require_unit_stride(problem)?;
        let (channels, pixels, width) = (problem.group_out(), problem.out_pixels(), problem.cols.output);
        let (mut strip_rows, block) = rows_and_channels(problem);
        let mut joined = width == problem.cols.input;
        // Elements to save for each row of a strip.
        let saved = saved_cols(&problem.cols, problem.accumulate);
        let mut saved_row = if joined { elements_of(&[saved, block.min(channels)])? } else { 0 };
        // The strip follows from the limit alone; threads take what room is left.
        match limits.of_tile().min(problem.elements(SAVED_BYTES)).checked_div(saved_row) {
            None => {} // There is nothing to save.
            Some(0) => (joined, saved_row) = (false, 0),
            Some(fitting) => strip_rows = strip_rows.min(fitting),
        }
        let grid = Grid::new(channels, pixels, block, strip_rows * width);
        let scratch = Scratch::of_tiles(strip_rows * saved_row, grid.tiles(), limits)?;
        ready(PreparedKn2rowAa { form: self.0, problem: *problem, joined, grid, scratch })
    }
}

impl Prepared for PreparedKn2rowAa {
    fn scratch(&self) -> Scratch {
        self.scratch
    }

    fn weight_order(&self) -> WeightOrder {
        if self.form.kernel_by_output() { IJMC } else { IJCM }
    }

    fn cost(&self) -> Cost {
        let (problem, tile) = (&self.problem, self.grid.tile(0));
        let Problem { rows, cols, .. } = problem;
        let (channels, depth) = (problem.group_out(), problem.group_in());
        let (pixels, runs) = if self.joined {
            (tile.cols.len(), rows.count_taps_of_strips(tile.cols.len() / cols.output))
        } else {
            (cols.output, rows.count_inside())
        };
        let (taps, channel_tiles) = (cols.count_taps_inside(), channels.div_ceil(tile.rows.len()));
        let calls = Calls {
            shape: [tile.rows.len(), pixels, depth],
            count: channel_tiles.saturating_mul(runs).saturating_mul(taps),
            macs: work(&[channels, rows.count_inside(), cols.output, taps, depth]),
            plane: problem.in_pixels(),
        };
        // Saving and putting back, and the zeros dst begins with.
        let streamed = 4.0 * self.scratch.all() as f64
            + work(&[channels, problem.out_pixels()])
            + weights_streamed(problem, problem.out_pixels().div_ceil(tile.cols.len()));
        let largest_size = problem.in_channels.max(problem.in_pixels()).max(problem.out_pixels());
        let largest_size = largest_size.max(channels);
        Cost { calls: Some(calls), largest_size, tiles: self.grid.tiles(), streamed, ..Cost::default() }
    }

    fn run<T: Element>(&self, unit: &Unit<'_, T>, dst: MatrixMut<'_, T>, scratch: &mut [T]) {
        unit.pool.for_each_tile(dst, self.grid, scratch, self.scratch.slots, |tile, mut view, saved| {
            self.run_tile(unit, &tile, &mut view, saved);
        });
    }
}

impl PreparedKn2rowAa {
    /// The strip's rows that tap row `i` reaches, cut into the rows of one GEMM call each.
    fn calls(&self, strip: &Range<usize>, i: usize) -> impl Iterator<Item = Range<usize>> {
        let inside = common(strip, &self.problem.rows.outputs_of_tap(i));
        let at_once = if self.joined { inside.len().max(1) } else { 1 };
        let end = inside.end;
        inside.step_by(at_once).map(move |y| y..(y + at_once).min(end))
    }

    /// One tile: the taps of one kernel column after the other, the leftmost first.
    fn run_tile<T: Element>(
        &self,
        unit: &Unit<'_, T>,
        tile: &Tile,
        dst: &mut MatrixMut<'_, T>,
        saved: &mut [T],
    ) {
        let problem = &self.problem;
        let width = problem.cols.output;
        let strip = tile.cols.start / width..tile.cols.end / width;
        if !problem.accumulate {
            dst.fill(T::ZERO);
        }
        for j in 0..problem.cols.kernel {
            let xs = problem.cols.outputs_of_tap(j);
            if xs.is_empty() {
                continue;
            }
            let junk = if self.joined { junk_of(&problem.cols, j) } else { 0..0 };
            let save = must_save(&problem.cols, j, problem.accumulate);
            // 1. Save what junk would spoil.
            if save {
                for_each_run(dst, width, &junk, saved, |columns, saved| saved.copy_from_slice(columns));
            }
            // 2. One GEMM for each tap of the column.
            for i in 0..problem.rows.kernel {
                for ys in self.calls(&strip, i) {
                    let (to, from) = if self.joined {
                        flat_run([&problem.rows, &problem.cols], &strip, (i, j), &ys)
                    } else {
                        let to = (ys.start - strip.start) * width + xs.start;
                        let from = problem.rows.input_of(ys.start, i) * problem.cols.input
                            + problem.cols.input_of(xs.start, j);
                        (to..to + xs.len(), from)
                    };
                    self.multiply(
                        unit,
                        tile,
                        i * problem.cols.kernel + j,
                        from,
                        dst.part(0..tile.rows.len(), to),
                    );
                }
            }
            // 3. Put it back.
            for_each_run(dst, width, &junk, saved, |columns, saved| {
                if save { columns.copy_from_slice(saved) } else { columns.fill(T::ZERO) }
            });
        }
        unit.finish(dst, tile.rows.start);
    }

    /// dst += weights of one tap · src pixels `from`, `from` + 1, …
    fn multiply<T: Element>(
        &self,
        unit: &Unit<'_, T>,
        tile: &Tile,
        tap: usize,
        from: usize,
        dst: MatrixMut<'_, T>,
    ) {
        let (m, c) = (self.problem.group_out(), self.problem.group_in());
        let kernel = self.form.kernel(&unit.weights[tap * m * c..], m, c);
        let image = self.form.image(matrix_of(&unit.src, &self.problem));
        let b = image.part(0..c, from..from + dst.cols());
        unit.multiply(dst, kernel.part(tile.rows.clone(), 0..c), b, T::ONE);
    }
}

/// Calls `f` with the columns `junk` of every row of every channel of a tile, and their place in `saved`.
fn for_each_run<T: Element>(
    dst: &mut MatrixMut<'_, T>,
    width: usize,
    junk: &Range<usize>,
    saved: &mut [T],
    mut f: impl FnMut(&mut [T], &mut [T]),
) {
    if junk.is_empty() {
        return;
    }
    let height = dst.cols() / width;
    dst.for_each_row(|channel, pixels| {
        for (y, row) in pixels.chunks_exact_mut(width).enumerate() {
            let place = (channel * height + y) * junk.len();
            // Where nothing is saved there may be no scratch either.
            let saved = saved.get_mut(place..place + junk.len()).unwrap_or_default();
            f(&mut row[junk.clone()], saved);
        }
    });
}
