//! `kn2row-fold`: folds the kernel columns into the depth. With `L[h][x][j][c] = src[c, h, x·s+j·d−pad]`, for a tile
//! of rows and each kernel row i: dst[pixels × M] += L[rows of i as pixels × Kw·C]·weights[Kw·C × M]. The input rows
//! of one kernel row lie one behind the other in L; rows of another phase of the stride lie apart from them.
//! Workspace: for each thread the rows of L, of OW·Kw·C elements each; W·C for an NCHW src; R·OW·Mb for an NCHW dst.
//! With g = gcd(s, d) there are min(s/g, Kh) phases of R + ⌊(Kh−1)·g/s⌋·d/g rows, or of ⌈H/s⌉ rows if these are
//! fewer: R+Kh−1 rows for s = d = 1.
//! Wins if C is small under a large kernel, and with strides: the GEMMs are deep and span rows, with 1/Kh of the
//! patches.
//! Source: convlow; L is the compact lowering of MEC (arXiv 1706.06873) with its two outer axes exchanged.

use std::ops::Range;

use convlow_kernels::geometry::Geometry;
use convlow_kernels::image::Image;
use convlow_kernels::matrix::{Matrix, MatrixMut};
use convlow_kernels::view::View;

use super::patches::fill_row_patches;
use super::strips::{channels_of_group, groups_for_threads, rows_and_columns, strip_tile};
use super::taps::{beginning_with, overwriting_tap};
use crate::algorithms::algorithm::{
    Algorithm, Declined, Element, Limits, Prepared, Ready, Scratch, Unit, ready,
};
use crate::algorithms::cost::{Calls, Cost, weights_streamed, work};
use crate::algorithms::tiling::{dst_grid, flattened, part_of_channels, pixels_and_channels};
use crate::lowering::weights::{IJCM, WeightOrder};
use crate::problem::{Axis, Layout, Problem, common, product};
use crate::tiles::{EachTile, Grid};

/// One kernel row of one tile of dst after the other.
pub struct Kn2rowFold;

/// Elements of scratch of a thread, unless a single row needs more: 448 KiB.
const SCRATCH_BYTES: usize = 448 << 10;

/// The input rows of a strip in the order in which they are lowered: phase by phase of the stride, so that the rows
/// that a kernel row reads for neighbouring output rows are neighbours.
struct RowPhases<'a> {
    rows: &'a Axis,
    ys: Range<usize>,
    /// See [`Axis::neighbour_taps`].
    back: usize,
    ahead: usize,
    /// Places of one phase.
    len: usize,
}

impl<'a> RowPhases<'a> {
    fn new(rows: &'a Axis, ys: Range<usize>) -> Self {
        let (back, ahead) = rows.neighbour_taps();
        // No more of a phase than the image has.
        let len = (ys.len() + (rows.kernel - 1) / back * ahead).min(rows.input.div_ceil(rows.stride));
        Self { rows, ys, back, ahead, len }
    }

    /// Places of all phases.
    fn places(&self) -> usize {
        self.back.min(self.rows.kernel) * self.len
    }

    /// Output rows that the first place of a phase lies behind the strip's first, because the image begins there.
    fn skipped(&self, phase: usize) -> usize {
        let first = self.ys.start * self.rows.stride + phase * self.rows.dilation;
        self.rows.pad_before.saturating_sub(first).div_ceil(self.rows.stride)
    }

    /// Where the input row lies that kernel row `i` reads for output row `y`; it is inside the image.
    fn place(&self, y: usize, i: usize) -> usize {
        let phase = i % self.back;
        phase * self.len + y - self.ys.start + i / self.back * self.ahead - self.skipped(phase)
    }

    /// Every input row that is read, with its place.
    fn for_each(&self, mut f: impl FnMut(usize, usize)) {
        for i in 0..self.rows.kernel {
            // What the tap before in the same phase has not read.
            let seen = if i < self.back { 0 } else { self.ys.len().saturating_sub(self.ahead) };
            let fresh = self.ys.start + seen..self.ys.end;
            let inside = common(&self.ys, &self.rows.outputs_of_tap(i));
            common(&fresh, &inside).for_each(|y| f(self.rows.input_of(y, i), self.place(y, i)));
        }
    }
}

/// Scratch of one tile, in elements.
struct Sizes {
    /// An input row moved to NHWC.
    moved: usize,
    /// Input rows with their kernel columns folded.
    folded: usize,
    /// The tile before it is moved to NCHW.
    tile: usize,
}

impl Sizes {
    /// Of a strip of so many output pixels, in blocks of so many channels.
    fn new(problem: &Problem, geometry: &Geometry, pixels: usize, block: usize) -> Option<Self> {
        let [_, rows, cols] = &geometry.axes;
        let (height, width) = (pixels.div_ceil(cols.output), pixels.min(cols.output));
        let moved = match problem.src_layout {
            Layout::Nchw => product(&[cols.largest_window(width), problem.group_in()])?,
            Layout::Nhwc => 0,
        };
        let folded =
            product(&[RowPhases::new(rows, 0..height).places(), width, cols.kernel, problem.group_in()])?;
        let tile = match problem.dst_layout {
            Layout::Nchw => product(&[pixels, block])?,
            Layout::Nhwc => 0,
        };
        Some(Self { moved, folded, tile })
    }

    fn sum(&self) -> Option<usize> {
        self.moved.checked_add(self.folded)?.checked_add(self.tile)
    }
}

/// Output pixels of a strip within so many elements of scratch, of at most `most`; whole rows unless there is but one.
fn strip_pixels(
    problem: &Problem,
    geometry: &Geometry,
    (most, block): (usize, usize),
    elements: usize,
) -> usize {
    let [_, rows, cols] = &geometry.axes;
    let step = if rows.output == 1 { 1 } else { cols.output };
    let fits = |steps: usize| {
        let sizes = Sizes::new(problem, geometry, steps * step, block);
        sizes.and_then(|sizes| sizes.sum()).is_some_and(|sum| sum <= elements)
    };
    let mut steps = most / step;
    while steps > 1 && !fits(steps) {
        steps -= 1;
    }
    // Strips of about the same size.
    let all = problem.out_pixels() / step;
    all.div_ceil(all.div_ceil(steps)) * step
}

struct PreparedKn2rowFold {
    problem: Problem,
    /// Its axes, flattened.
    geometry: Geometry,
    /// Output pixels of a strip.
    pixels: usize,
    /// Output channels that are packed and multiplied as one.
    block: usize,
    sizes: Sizes,
    /// Strips × groups of channels, as dst lies.
    grid: Grid,
    scratch: Scratch,
}

impl Algorithm for Kn2rowFold {
    fn prepare(&self, problem: &Problem, limits: Limits) -> Result<Box<dyn Ready>, Declined> {
        let (geometry, all, channels) = (flattened(problem), problem.out_pixels(), problem.group_out());
        let (most, block) = strip_tile(&geometry, problem.group_in(), channels);
        // The strip follows from the limit alone; threads take what room is left.
        let fitting = problem.elements(SCRATCH_BYTES).min(limits.of_tile());
        let pixels = strip_pixels(problem, &geometry, (most, block), fitting);
        let sizes = Sizes::new(problem, &geometry, pixels, block).ok_or(Scratch::OVERFLOW)?;
        let elements = sizes.sum().ok_or(Scratch::OVERFLOW)?;
        let grid_for = |threads: usize| {
            let groups = groups_for_threads(all.div_ceil(pixels), threads);
            let tile = (pixels, channels_of_group(channels, block, groups));
            dst_grid(problem.dst_layout, (all, channels), tile)
        };
        let scratch = Scratch::of_tiles(elements, grid_for(limits.threads).tiles(), limits)?;
        let grid = grid_for(scratch.slots);
        ready(PreparedKn2rowFold { problem: *problem, geometry, pixels, block, sizes, grid, scratch })
    }
}

impl Prepared for PreparedKn2rowFold {
    fn scratch(&self) -> Scratch {
        self.scratch
    }

    fn weight_order(&self) -> WeightOrder {
        IJCM.blocked(self.block)
    }

    fn cost(&self) -> Cost {
        let (problem, pixels) = (&self.problem, self.pixels);
        let ([_, rows, cols], channels) = (&self.geometry.axes, problem.group_out());
        let depth = cols.kernel * problem.group_in();
        let (height, parts) = (pixels.div_ceil(cols.output), cols.output.div_ceil(pixels));
        let runs = rows.count_taps_of_strips(height).saturating_mul(parts);
        let calls = Calls {
            shape: [pixels, self.block, depth],
            count: runs.saturating_mul(channels.div_ceil(self.block)),
            macs: work(&[rows.count_inside(), cols.output, depth, channels]),
            plane: 0,
        };
        let strips = work(&[problem.out_pixels()]) / work(&[pixels]);
        // Each group of channels lowers its strips for itself.
        let lowered = strips * (self.grid.tiles() as f64 / strips.ceil()).max(1.0);
        let Sizes { moved, folded, .. } = self.sizes;
        let moved = folded / cols.kernel * usize::from(moved > 0);
        let stored = match problem.dst_layout {
            Layout::Nchw => work(&[problem.out_pixels(), channels]),
            Layout::Nhwc => 0.0,
        };
        Cost {
            calls: Some(calls),
            largest_size: depth.max(pixels).max(problem.out_channels),
            tiles: self.grid.tiles(),
            streamed: weights_streamed(problem, problem.out_pixels().div_ceil(pixels)),
            cached: 2.0 * lowered * folded as f64,
            moved: lowered * moved as f64 + stored,
            ..Cost::default()
        }
    }

    fn run<T: Element>(&self, unit: &Unit<'_, T>, dst: MatrixMut<'_, T>, scratch: &mut [T]) {
        unit.pool.for_each_tile(dst, self.grid, scratch, self.scratch.slots, |tile, mut view, scratch| {
            let place = pixels_and_channels(unit.problem.dst_layout, tile);
            self.run_tile(unit, place, &mut view, scratch);
        });
    }
}

impl PreparedKn2rowFold {
    fn run_tile<T: Element>(
        &self,
        unit: &Unit<'_, T>,
        (pixels, channels): (Range<usize>, Range<usize>),
        dst: &mut MatrixMut<'_, T>,
        scratch: &mut [T],
    ) {
        let (problem, geometry, depth) = (unit.problem, &self.geometry, unit.problem.depth());
        let (moved, scratch) = scratch.split_at_mut(self.sizes.moved);
        let (folded, tile) = scratch.split_at_mut(self.sizes.folded);
        // 1. Move and lower the input rows.
        let folded = fold(unit, geometry, &pixels, moved, folded);
        for first in channels.clone().step_by(self.block) {
            let part = first..(first + self.block).min(channels.end);
            let weights = &unit.weights[first * depth..part.end * depth];
            let in_dst = first - channels.start..part.end - channels.start;
            let mut to = part_of_channels(problem.dst_layout, dst, in_dst);
            // 2. Multiply, 3. move the tile, which is added where the problem accumulates.
            match problem.dst_layout {
                Layout::Nchw => {
                    let tile = &mut tile[..pixels.len() * part.len()];
                    let mut sums = MatrixMut::new(tile, pixels.len(), part.len(), part.len());
                    multiply_folded(unit, geometry, folded, weights, &pixels, &mut sums, false);
                    let sums = Matrix::new(tile, pixels.len(), part.len(), part.len());
                    T::transpose(&sums, &mut to, problem.accumulate);
                }
                Layout::Nhwc => {
                    multiply_folded(unit, geometry, folded, weights, &pixels, &mut to, problem.accumulate)
                }
            }
            unit.finish(&mut to, first);
        }
    }
}

/// Moves columns `ws` of row `h` of an NCHW image: |ws| × C.
fn move_row<T: Element>(unit: &Unit<'_, T>, h: usize, ws: &Range<usize>, to: &mut [T]) {
    let channels = unit.problem.group_in();
    let from = Matrix::new(unit.src.at(0, h, ws.start), channels, ws.len(), unit.src.channel);
    T::transpose(&from, &mut MatrixMut::new(to, ws.len(), channels, channels), false);
}

/// Lowers the input rows that these output pixels see: places × |xs| × Kw·C. `moved` has a row's elements for NCHW.
fn fold<'a, T: Element>(
    unit: &Unit<'_, T>,
    geometry: &Geometry,
    pixels: &Range<usize>,
    moved: &mut [T],
    folded: &'a mut [T],
) -> &'a [T] {
    let ([_, rows, cols], channels) = (&geometry.axes, unit.problem.group_in());
    let (ys, xs) = rows_and_columns(cols.output, pixels);
    let ws = cols.window(&xs);
    let len = xs.len() * cols.kernel * channels;
    // The moved row holds nothing but its window and its group.
    let cols_of_window = Axis {
        input: ws.len(),
        output: xs.len(),
        pad_before: (cols.pad_before + ws.start).saturating_sub(xs.start * cols.stride),
        ..*cols
    };
    RowPhases::new(rows, ys).for_each(|h, place| {
        let to = &mut folded[place * len..][..len];
        match unit.problem.src_layout {
            Layout::Nchw if ws.is_empty() => to.fill(T::ZERO),
            Layout::Nchw => {
                move_row(unit, h, &ws, moved);
                let (row, pixel) = (ws.len() * channels, channels);
                let image = Image { data: View::new(moved), channel: 1, plane: 0, row, pixel };
                fill_row_patches(&cols_of_window, channels, &image, (0, &(0..xs.len())), to);
            }
            Layout::Nhwc => fill_row_patches(cols, channels, &unit.src, (h, &xs), to),
        }
    });
    folded
}

/// dst ← the sum over the kernel rows of their folded input rows times their weights; added to what dst holds, if
/// `accumulate`.
fn multiply_folded<T: Element>(
    unit: &Unit<'_, T>,
    geometry: &Geometry,
    folded: &[T],
    weights: &[T],
    pixels: &Range<usize>,
    dst: &mut MatrixMut<'_, T>,
    accumulate: bool,
) {
    let [_, rows, cols] = &geometry.axes;
    let (ys, xs) = rows_and_columns(cols.output, pixels);
    let (width, channels, depth) = (xs.len(), dst.cols(), cols.kernel * unit.problem.group_in());
    let phases = RowPhases::new(rows, ys.clone());
    let overwriting = overwriting_tap(rows, &ys).filter(|_| !accumulate);
    if overwriting.is_none() && !accumulate {
        dst.fill(T::ZERO);
    }
    for i in beginning_with(overwriting, rows.kernel) {
        let inside = common(&ys, &rows.outputs_of_tap(i));
        if inside.is_empty() {
            continue;
        }
        let from = &folded[phases.place(inside.start, i) * width * depth..];
        let from = Matrix::new(from, inside.len() * width, depth, depth);
        let kernel_row = &weights[i * depth * channels..][..depth * channels];
        let kernel_row = Matrix::new(kernel_row, depth, channels, channels);
        let to = dst.part((inside.start - ys.start) * width..(inside.end - ys.start) * width, 0..channels);
        let beta = if Some(i) == overwriting { T::ZERO } else { T::ONE };
        unit.multiply(to, from.into(), kernel_row.into(), beta);
    }
}
