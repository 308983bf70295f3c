//! `winograd-strip-{m}x{m}-{r}x{r}`: minimal filtering F(m×m, r×r) over strips of T tiles: the input transform to
//! α² matrices V of T × C, for each block of Mb output channels α² products with U of C × Mb to Y of T × Mb, and the
//! output transform into dst; α = m + r − 1. U lies in panels of 32 channels, each a GEMM for itself.
//! Workspace: α²·T·(Cb + Mb) for each thread. Cb is C, unless that leaves a GEMM few tiles: then the products are sums
//! over parts of the depth, each transformed again for every block. T shrinks to 1 where the limit says so.
//! Wins with `MATH_FAST` on r×r kernels with stride 1, unless channels or outputs are few: α² products serve the m²·r²
//! of the definition. A NaN or an infinity in src reaches all outputs of the tiles whose α×α inputs hold it.
//! Source: Winograd 1980; Lavin, Gray, arXiv 1509.09308. Strips, block order and scratch: convlow.

use std::ops::Range;

use super::algorithm::{
    Algorithm, Declined, Limits, Prepared, Scratch, Unit, floats_of, ready, require, require_unit_stride,
};
use super::cost::{Calls, Cost, streamed_floats, work};
use super::tiling::{channels_of_block, channels_of_group, dst_grid, part_of_channels, pixels_and_channels};
use crate::lowering::weights::WeightOrder;
use crate::lowering::winograd::{InputTransform, OutputTransform, Strip};
use crate::matrix::{Grid, Matrix, MatrixMut};
use crate::problem::{Axis, Problem, product};

/// F(m×m, r×r) with α = `A` and r = `R`.
pub struct Winograd<const A: usize, const R: usize>;

/// Floats of scratch of a thread, unless a single tile needs more: 2 MiB.
const SCRATCH_FLOATS: usize = 512 * 1024;
/// Tiles of a strip, if there are more: enough for a GEMM to run near its peak.
const TILES: usize = 48;
/// Tiles of a strip for which the depth is divided: every strip reads all weights, from memory where they are many.
const FEW_TILES: usize = 16;
/// The least part of the depth: its transform and its share of the sums are to cost less than its products.
const LEAST_DEPTH: usize = 64;
/// Output channels of a block, if there are more: what is transformed for a strip is read once for so many.
const CHANNELS: usize = 64;
/// Output channels of a GEMM: a few vectors, so that it reads its weights almost in the order in which they lie. They
/// come from beyond the cache here, and with 64 they came half as fast.
const PANEL: usize = 32;
/// Strips up to which they need not be whole rows of tiles; threads then share the channels.
const FEW_STRIPS: usize = 4;

/// Floats of weights of which the last cache level does not keep enough: 12 MiB.
const FAR_FLOATS: usize = 3 << 20;

/// Of the channels, parts of about the same size, of at most `most`.
fn parts(channels: usize, most: usize) -> usize {
    channels_of_block(channels, channels.div_ceil(most))
}

/// Output channels that are packed and multiplied as one.
fn panel(channels: usize) -> usize {
    parts(channels, PANEL)
}

/// Output channels of a block: whole panels.
fn block(channels: usize) -> usize {
    parts(channels, CHANNELS).next_multiple_of(panel(channels)).min(channels)
}

impl<const A: usize, const R: usize> Winograd<A, R> {
    /// m.
    const OUTPUTS: usize = A - R + 1;
    /// α².
    const POSITIONS: usize = A * A;

    fn tiles(axis: &Axis) -> usize {
        axis.output.div_ceil(Self::OUTPUTS)
    }

    /// Floats of scratch for each tile of a strip, whose products are sums over parts of the depth.
    fn floats_of_tile(problem: &Problem, depth: usize) -> Result<usize, Declined> {
        let channels = depth.checked_add(block(problem.group_out())).ok_or(Scratch::OVERFLOW)?;
        floats_of(&[Self::POSITIONS, channels])
    }

    /// Tiles of a strip within so many floats, and the part of the depth that is transformed at once. Strips are whole
    /// rows of tiles, or parts of a row; or if they are few, any tiles of the image.
    fn strip(problem: &Problem, floats: usize) -> Result<(usize, usize), Declined> {
        let (across, along) = (Self::tiles(&problem.cols), Self::tiles(&problem.rows));
        let all = across * along;
        let mut depth = problem.group_in();
        let mut fitting = floats / Self::floats_of_tile(problem, depth)?;
        while fitting < all.min(FEW_TILES) && depth >= 2 * LEAST_DEPTH {
            depth = parts(depth, depth / 2);
            fitting = floats / Self::floats_of_tile(problem, depth)?;
        }
        let fitting = fitting.clamp(1, TILES);
        // Strips of about the same size.
        let strip = match fitting / across {
            _ if all.div_ceil(fitting) <= FEW_STRIPS => all.div_ceil(all.div_ceil(fitting)),
            0 => across.div_ceil(across.div_ceil(fitting)),
            rows => along.div_ceil(along.div_ceil(rows)) * across,
        };
        Ok((strip, depth))
    }

    /// Output rows that are divided into strips by themselves.
    fn strip_rows(problem: &Problem, strip: usize) -> usize {
        let (across, along) = (Self::tiles(&problem.cols), Self::tiles(&problem.rows));
        if (across * along).div_ceil(strip) <= FEW_STRIPS {
            return problem.rows.output;
        }
        ((strip / across).max(1) * Self::OUTPUTS).min(problem.rows.output)
    }

    fn grid(problem: &Problem, strip: usize, threads: usize) -> Grid {
        let rows = Self::strip_rows(problem, strip);
        let strips = problem.rows.output.div_ceil(rows);
        // Each group of channels transforms the input again: as few as keep the threads busy to the end.
        let uneven = !strips.is_multiple_of(threads) && strips < 4 * threads;
        let groups = threads.div_ceil(strips).max(if uneven { 2 } else { 1 });
        let channels = problem.group_out();
        dst_grid(problem, rows * problem.cols.output, channels_of_group(channels, block(channels), groups))
    }

    /// How many strips there are.
    fn strips(problem: &Problem, strip: usize) -> usize {
        let rows = Self::strip_rows(problem, strip);
        let across = Self::tiles(&problem.cols);
        let of = |rows: usize| (rows.div_ceil(Self::OUTPUTS) * across).div_ceil(strip);
        let (whole, rest) = (problem.rows.output / rows, problem.rows.output % rows);
        whole.saturating_mul(of(rows)) + of(rest)
    }

    /// Some channels of one strip. `first_row` is the output row with which `dst` begins.
    fn run_strip(
        unit: &Unit<'_>,
        strip: &Strip<'_>,
        channels: &Range<usize>,
        (dst, first_row): (&mut MatrixMut<'_>, usize),
        (scratch, depth): (&mut [f32], usize),
    ) {
        let (problem, tiles) = (unit.problem, strip.tiles.len());
        let all = problem.group_in();
        let (inputs, sums) = scratch.split_at_mut(Self::POSITIONS * tiles * depth);
        let block = block(problem.group_out());
        for first in channels.clone().step_by(block) {
            let part = first..(first + block).min(channels.end);
            let sums = &mut sums[..Self::POSITIONS * tiles * part.len()];
            for above in (0..all).step_by(depth) {
                let depths = above..(above + depth).min(all);
                let inputs = &mut inputs[..Self::POSITIONS * tiles * depths.len()];
                // 1. Transform the input; all of it serves all blocks.
                if depth < all || first == channels.start {
                    let (image, channels) = (&unit.src.channels_from(above), depths.len());
                    InputTransform::<A, R> { strip, image, channels, out: inputs }.run();
                }
                // 2. Multiply.
                Self::multiply(unit, inputs, &part, &depths, sums);
            }
            // 3. Transform the output.
            let bias = unit.bias.map(|bias| &bias[part.clone()]);
            let in_dst = part.start - channels.start..part.end - channels.start;
            let dst = &mut part_of_channels(problem, dst, in_dst);
            OutputTransform::<A, R> { strip, sums, bias, dst, first_row }.run();
        }
    }

    /// Position by position, sums ← inputs · weights for a block's channels; or added to them, if the depth is not the
    /// first part.
    fn multiply(
        unit: &Unit<'_>,
        inputs: &[f32],
        channels: &Range<usize>,
        depths: &Range<usize>,
        sums: &mut [f32],
    ) {
        let (all, panel) = (unit.problem.group_in(), panel(unit.problem.group_out()));
        let tiles = inputs.len() / depths.len() / Self::POSITIONS;
        let beta = if depths.start > 0 { 1.0 } else { 0.0 };
        let inputs = inputs.chunks_exact(tiles * depths.len());
        let products = sums.chunks_exact_mut(tiles * channels.len()).zip(inputs);
        for (position, (sum, input)) in products.enumerate() {
            let mut sum = MatrixMut::new(sum, tiles, channels.len(), channels.len());
            let input = Matrix::new(input, tiles, depths.len(), depths.len());
            for first in channels.clone().step_by(panel) {
                let of_panel = first..(first + panel).min(channels.end);
                let width = of_panel.len();
                let at = (first * Self::POSITIONS + position * width) * all + depths.start * width;
                let weights = Matrix::new(&unit.weights[at..], depths.len(), width, width);
                let sum = sum.part(0..tiles, first - channels.start..of_panel.end - channels.start);
                unit.gemm.multiply(sum, input.into(), weights.into(), beta);
            }
        }
    }
}

struct PreparedWinograd<const A: usize, const R: usize> {
    problem: Problem,
    /// Tiles of m×m outputs of a strip.
    strip: usize,
    /// The part of the depth that is transformed at once.
    depth: usize,
    /// The tiles of dst, which are divided into strips.
    grid: Grid,
    scratch: Scratch,
}

impl<const A: usize, const R: usize> Algorithm for Winograd<A, R> {
    fn prepare(&self, problem: &Problem, limits: Limits) -> Result<Box<dyn Prepared>, Declined> {
        let Problem { rows, cols, .. } = problem;
        require(
            (rows.kernel, cols.kernel) == (R, R),
            if R == 3 { c"needs a 3x3 kernel" } else { c"needs a 5x5 kernel" },
        )?;
        require_unit_stride(problem)?;
        require((rows.dilation, cols.dilation) == (1, 1), c"needs dilation 1")?;
        // The strip follows from the limit alone; threads take what room is left.
        let (strip, depth) = Self::strip(problem, SCRATCH_FLOATS.min(limits.floats))?;
        let floats = floats_of(&[strip, Self::floats_of_tile(problem, depth)?])?;
        let tiles = Self::grid(problem, strip, limits.threads).tiles();
        let scratch = Scratch::of_tiles(floats, tiles, limits)?;
        let grid = Self::grid(problem, strip, scratch.slots);
        ready(PreparedWinograd::<A, R> { problem: *problem, strip, depth, grid, scratch })
    }
}

impl<const A: usize, const R: usize> Prepared for PreparedWinograd<A, R> {
    fn scratch(&self) -> Scratch {
        self.scratch
    }

    fn weight_order(&self) -> WeightOrder {
        WeightOrder::winograd(Winograd::<A, R>::OUTPUTS, panel(self.problem.group_out()))
    }

    fn cost(&self) -> Cost {
        let Self { problem, strip, depth, grid, .. } = self;
        let (all_depth, strip, depth) = (problem.group_in(), *strip, *depth);
        let channels = problem.group_out();
        let (block, panel) = (block(channels), panel(channels));
        let (across, along) =
            (Winograd::<A, R>::tiles(&problem.cols), Winograd::<A, R>::tiles(&problem.rows));
        let strips = Winograd::<A, R>::strips(problem, strip);
        let panels =
            (channels / block).saturating_mul(block.div_ceil(panel)) + (channels % block).div_ceil(panel);
        let calls = Calls {
            shape: [strip, panel, depth],
            count: product(&[Winograd::<A, R>::POSITIONS, strips, panels, all_depth.div_ceil(depth)])
                .unwrap_or(usize::MAX),
            macs: work(&[Winograd::<A, R>::POSITIONS, across, along, all_depth, channels]),
            plane: 0,
        };
        // Tiles that transform the input for themselves.
        let groups =
            grid.tiles() / problem.rows.output.div_ceil(Winograd::<A, R>::strip_rows(problem, strip));
        let transforms = if depth < all_depth { channels.div_ceil(block) } else { groups };
        let all = work(&[Winograd::<A, R>::POSITIONS, across, along]);
        let weights = Winograd::<A, R>::POSITIONS.saturating_mul(all_depth).saturating_mul(channels);
        // In panels, weights come twice as fast as in wide blocks, unless memory has to bring them again and again.
        let far = weights > FAR_FLOATS && strips > FEW_STRIPS;
        Cost {
            calls: Some(calls),
            largest_size: all_depth.max(block).max(strip),
            tiles: grid.tiles(),
            streamed: streamed_floats(weights, strips) / if far { 1.0 } else { 2.0 },
            // Operations for each element grow with the tile.
            transformed: all * (work(&[transforms, all_depth]) + work(&[channels])) * A as f64 / 6.0,
            ..Cost::default()
        }
    }

    fn run(&self, unit: &Unit<'_>, dst: MatrixMut<'_>, scratch: &mut [f32]) {
        let (problem, outputs) = (&self.problem, Winograd::<A, R>::OUTPUTS);
        let across = Winograd::<A, R>::tiles(&problem.cols);
        unit.pool.for_each_tile(dst, self.grid, scratch, self.scratch.slots, |tile, mut view, scratch| {
            let (pixels, channels) = pixels_and_channels(problem, tile);
            let (first_row, end) = (pixels.start / problem.cols.output, pixels.end / problem.cols.output);
            let tiles = first_row / outputs * across..end.div_ceil(outputs) * across;
            for first in tiles.clone().step_by(self.strip) {
                let strip = Strip { problem, tiles: first..(first + self.strip).min(tiles.end) };
                let (dst, scratch) = ((&mut view, first_row), (&mut *scratch, self.depth));
                Winograd::<A, R>::run_strip(unit, &strip, &channels, dst, scratch);
            }
        });
    }
}
