//! `winograd-strip-{m}x{m}-{r}x{r}`: minimal filtering F(m×m, r×r) over strips of T tiles, with α = m + r − 1. Three
//! steps: the input transform to α² matrices V of T × C; for each block of Mb output channels, α² products of V and U
//! (C × Mb) to Y (T × Mb); the output transform of Y into dst. U lies in panels of 32 or 64 channels, and each panel is a
//! product of its own.
//! Workspace: α²·T·(Cb + Mb) for each thread. Cb is C, with one exception: if the weights are not in the cache and
//! few tiles would fit, Cb is a part of C; then the products are sums over such parts, and each part is transformed
//! again for every block of Mb. T shrinks to 1 if the limit requires it.
//! Wins with `MATH_FAST` on r×r kernels of stride 1, unless channels or outputs are few: α² products replace the
//! m²·r² of the definition. A NaN or an infinity in src reaches all outputs of the tiles whose α×α inputs hold it.
//! Source: Winograd 1980; Lavin, Gray, arXiv 1509.09308. Strips, block order and scratch: convlow.

use std::ops::Range;

use convlow_kernels::matrix::{Matrix, MatrixMut};
use convlow_kernels::packed_product::PackedProduct;
use convlow_kernels::register::channels_of_pixel_tile;
use convlow_kernels::winograd::{Filtering, InputTransform, OutputTransform, Strip};

use super::algorithm::{
    Algorithm, Declined, Element, Limits, Prepared, Ready, Scratch, Unit, elements_of, ready, require,
    require_unit_stride,
};
use super::cost::{CACHED_BYTES, Calls, Cost, VECTOR_BYTES, streamed_elements, work};
use super::tiling::{channels_of_block, channels_of_tile, dst_grid, part_of_channels, pixels_and_channels};
use crate::lowering::weights::WeightOrder;
use crate::problem::{Axis, Problem, product};
use crate::tiles::{EachTile, Grid};

/// F(m×m, r×r) with α = `A` and r = `R`.
pub struct Winograd<const A: usize, const R: usize>;

/// Elements of scratch of a thread, unless a single tile needs more: 2 MiB.
const SCRATCH_BYTES: usize = 2 << 20;
/// Tiles of a strip, if there are more: enough for products to run near their peak.
const TILES: usize = 48;
/// The same where all weights come from memory for each strip.
const TILES_OF_FAR: usize = 96;
/// The least part of the depth: its transform and its share of the sums are to cost less than its products.
const LEAST_DEPTH: usize = 64;
/// Output channels of a block, the least and the most: what is transformed for a strip is read once for so many.
const CHANNELS: [usize; 2] = [64, 256];
/// Output channels of a product: a few vectors, so that it reads its weights almost in the order in which they lie.
const PANEL: usize = 32;
/// Output channels from which on a panel is as wide as a register tile of pixels: there are enough panels for threads to
/// share then.
const MANY_CHANNELS: usize = 512;
/// Strips up to which they need not be whole rows of tiles; threads then share the channels.
const FEW_STRIPS: usize = 4;
/// Elements of weights of which the last cache level does not keep enough: 12 MiB.
const FAR_BYTES: usize = 12 << 20;

/// Of the channels, parts of about the same size, of at most `most`.
fn parts(channels: usize, most: usize) -> usize {
    channels_of_block(channels, channels.div_ceil(most))
}

/// Output channels that are packed and multiplied as one.
fn panel(problem: &Problem) -> usize {
    match problem.group_out() {
        channels if channels >= MANY_CHANNELS => PANEL.max(channels_of_pixel_tile(problem.data_type)),
        channels => parts(channels, PANEL),
    }
}

/// What is computed at once.
#[derive(Clone, Copy)]
struct Tiling {
    /// Tiles of m×m outputs of a strip.
    strip: usize,
    /// The part of the depth that is transformed at once.
    depth: usize,
    /// Output channels of a block: whole panels.
    block: usize,
    /// Elements of scratch.
    elements: usize,
}

impl<const A: usize, const R: usize> Winograd<A, R> {
    /// m.
    const OUTPUTS: usize = A - R + 1;
    /// m and r.
    const FILTERING: Filtering = Filtering { outputs: Self::OUTPUTS, taps: R };
    /// α².
    const POSITIONS: usize = A * A;

    fn tiles(axis: &Axis) -> usize {
        axis.output.div_ceil(Self::OUTPUTS)
    }

    /// Elements of the transformed weights.
    fn weights(problem: &Problem) -> usize {
        Self::POSITIONS.saturating_mul(problem.group_in()).saturating_mul(problem.group_out())
    }

    /// The tiling within so many elements that loses least beside the products.
    fn tiling(problem: &Problem, elements: usize) -> Result<Tiling, Declined> {
        let (channels, panel) = (problem.group_out(), panel(problem));
        let blocks = std::iter::successors(Some(CHANNELS[0]), |&most| Some(2 * most));
        let blocks = blocks.take_while(|&most| most <= CHANNELS[1]);
        let mut best: Option<(f64, Tiling)> = None;
        for most in blocks {
            let block = parts(channels, most).next_multiple_of(panel).min(channels);
            let mut depth = problem.group_in();
            loop {
                let tiling = Self::strip(problem, elements, depth, block)?;
                let cycles = Self::cycles(problem, &tiling);
                let fits = |tiling: &Tiling| tiling.elements <= elements;
                // What does not fit is the better the less it needs.
                let better = best.is_none_or(|(least, other)| match (fits(&tiling), fits(&other)) {
                    (true, true) => cycles < least,
                    (false, false) => tiling.elements < other.elements,
                    (now, _) => now,
                });
                if better {
                    best = Some((cycles, tiling));
                }
                if depth < 2 * LEAST_DEPTH {
                    break;
                }
                depth = parts(depth, depth / 2);
            }
        }
        Ok(best.expect("there is a block").1)
    }

    /// A tiling of as many tiles as fit, and one in any case. Strips are whole rows of tiles, or parts of a row; or
    /// if they are few, any tiles of the image.
    fn strip(problem: &Problem, elements: usize, depth: usize, block: usize) -> Result<Tiling, Declined> {
        let of_tile = elements_of(&[Self::POSITIONS, depth.checked_add(block).ok_or(Scratch::OVERFLOW)?])?;
        let (across, along) = (Self::tiles(&problem.cols), Self::tiles(&problem.rows));
        let most = if Self::weights(problem) > problem.elements(FAR_BYTES) { TILES_OF_FAR } else { TILES };
        let (all, fitting) = (across * along, (elements / of_tile).clamp(1, most));
        // Strips of about the same size.
        let strip = match fitting / across {
            _ if all.div_ceil(fitting) <= FEW_STRIPS => all.div_ceil(all.div_ceil(fitting)),
            0 => across.div_ceil(across.div_ceil(fitting)),
            rows => along.div_ceil(along.div_ceil(rows)) * across,
        };
        Ok(Tiling { strip, depth, block, elements: elements_of(&[strip, of_tile])? })
    }

    /// What a tiling costs, in cycles of a core.
    fn cycles(problem: &Problem, tiling: &Tiling) -> f64 {
        /// Of a float's transform, and of a sum that another part of the depth is added to.
        const TRANSFORM: f64 = 2.5;
        const SUM: f64 = 0.8;
        /// Elements of weights that stay in the second cache level.
        const NEAR_BYTES: usize = 256 << 10;
        let (depth, channels) = (problem.group_in(), problem.group_out());
        let tiles = work(&[Self::tiles(&problem.cols), Self::tiles(&problem.rows)]);
        let strips = (tiles / tiling.strip as f64).ceil();
        let weights = Self::weights(problem);
        // Cycles of a float that is read for a strip, beside those that its products take meanwhile.
        let far = if weights > problem.elements(FAR_BYTES) { 1.3 - tiling.strip as f64 / 16.0 } else { 0.0 };
        let read = far.max(0.0) + if weights > problem.elements(NEAR_BYTES) { 0.3 } else { 0.1 };
        let transforms = if tiling.depth < depth { channels.div_ceil(tiling.block) } else { 1 };
        let parts = depth.div_ceil(tiling.depth);
        let products = tiles * work(&[Self::POSITIONS, depth, channels]) / 8.0;
        let moved = TRANSFORM * (transforms * depth) as f64 + SUM * (parts * channels) as f64;
        products + strips * weights as f64 * read + tiles * Self::POSITIONS as f64 * moved
    }

    /// Output rows that are divided into strips by themselves.
    fn strip_rows(problem: &Problem, strip: usize) -> usize {
        let (across, along) = (Self::tiles(&problem.cols), Self::tiles(&problem.rows));
        if (across * along).div_ceil(strip) <= FEW_STRIPS {
            return problem.rows.output;
        }
        ((strip / across).max(1) * Self::OUTPUTS).min(problem.rows.output)
    }

    fn grid(problem: &Problem, tiling: &Tiling, threads: usize) -> Grid {
        let rows = Self::strip_rows(problem, tiling.strip);
        let strips = problem.rows.output.div_ceil(rows);
        let (pixels, channels) = (problem.out_pixels(), problem.group_out());
        // Each group of channels transforms the input again.
        let of_tile = channels_of_tile(channels, panel(problem), strips, threads, 0.1);
        dst_grid(problem.dst_layout, (pixels, channels), (rows * problem.cols.output, of_tile))
    }

    /// How many strips there are.
    fn strips(problem: &Problem, strip: usize) -> usize {
        let rows = Self::strip_rows(problem, strip);
        let across = Self::tiles(&problem.cols);
        let of = |rows: usize| (rows.div_ceil(Self::OUTPUTS) * across).div_ceil(strip);
        let (whole, rest) = (problem.rows.output / rows, problem.rows.output % rows);
        whole.saturating_mul(of(rows)) + of(rest)
    }
}

struct PreparedWinograd<const A: usize, const R: usize> {
    problem: Problem,
    tiling: Tiling,
    /// Output channels that are packed and multiplied as one.
    panel: usize,
    /// The tiles of dst, which are divided into strips.
    grid: Grid,
    scratch: Scratch,
}

impl<const A: usize, const R: usize> Algorithm for Winograd<A, R> {
    fn prepare(&self, problem: &Problem, limits: Limits) -> Result<Box<dyn Ready>, Declined> {
        let Problem { rows, cols, .. } = problem;
        require(
            (rows.kernel, cols.kernel) == (R, R),
            if R == 3 { c"needs a 3x3 kernel" } else { c"needs a 5x5 kernel" },
        )?;
        require_unit_stride(problem)?;
        require((rows.dilation, cols.dilation) == (1, 1), c"needs dilation 1")?;
        // The tiling follows from the limit alone; threads take what room is left.
        let tiling = Self::tiling(problem, problem.elements(SCRATCH_BYTES).min(limits.of_tile()))?;
        let tiles = Self::grid(problem, &tiling, limits.threads).tiles();
        let scratch = Scratch::of_tiles(tiling.elements, tiles, limits)?;
        let grid = Self::grid(problem, &tiling, scratch.slots);
        let panel = panel(problem);
        ready(PreparedWinograd::<A, R> { problem: *problem, tiling, panel, grid, scratch })
    }
}

impl<const A: usize, const R: usize> PreparedWinograd<A, R> {
    /// α².
    const POSITIONS: usize = A * A;

    /// Some channels of one strip. `first_row` is the output row with which `dst` begins.
    fn run_strip<T: Element>(
        &self,
        unit: &Unit<'_, T>,
        strip: &Strip<'_>,
        channels: &Range<usize>,
        (dst, first_row): (&mut MatrixMut<'_, T>, usize),
        scratch: &mut [T],
    ) {
        let Tiling { depth, block, .. } = self.tiling;
        let (problem, tiles, all) = (&self.problem, strip.tiles.len(), self.problem.group_in());
        let (inputs, sums) = scratch.split_at_mut(Self::POSITIONS * tiles * depth);
        for first in channels.clone().step_by(block) {
            let part = first..(first + block).min(channels.end);
            let sums = &mut sums[..Self::POSITIONS * tiles * part.len()];
            for above in (0..all).step_by(depth) {
                let depths = above..(above + depth).min(all);
                let inputs = &mut inputs[..Self::POSITIONS * tiles * depths.len()];
                // 1. Transform the input; all of it serves all blocks.
                if depth < all || first == channels.start {
                    let (image, channels) = (&unit.src.channels_from(above), depths.len());
                    T::winograd_input(InputTransform {
                        strip,
                        image,
                        layout: problem.src_layout,
                        channels,
                        out: inputs,
                    });
                }
                // 2. Multiply.
                self.multiply(unit, inputs, &part, &depths, sums);
            }
            // 3. Transform the output.
            let (end, layout) = (unit.end().of_channels(part.clone()), problem.dst_layout);
            let in_dst = part.start - channels.start..part.end - channels.start;
            let dst = &mut part_of_channels(layout, dst, in_dst);
            T::winograd_output(OutputTransform { strip, sums, end, layout, dst, first_row });
        }
    }

    /// Position by position, sums ← inputs · weights for a block's channels; or added to them, if the depth is not the
    /// first part.
    fn multiply<T: Element>(
        &self,
        unit: &Unit<'_, T>,
        inputs: &[T],
        channels: &Range<usize>,
        depths: &Range<usize>,
        sums: &mut [T],
    ) {
        let (all, panel) = (self.problem.group_in(), self.panel);
        let tiles = inputs.len() / depths.len() / Self::POSITIONS;
        let accumulate = depths.start > 0;
        // A panel's weights of a position, and whatever lies behind them.
        let weights = |first: usize, position: usize| {
            let width = panel.min(channels.end - first);
            let at = (first * Self::POSITIONS + position * width) * all + depths.start * width;
            (&unit.weights[at..], depths.len() * width)
        };
        let inputs = inputs.chunks_exact(tiles * depths.len());
        let products = sums.chunks_exact_mut(tiles * channels.len()).zip(inputs);
        for (position, (sum, input)) in products.enumerate() {
            let mut sum = MatrixMut::new(sum, tiles, channels.len(), channels.len());
            let rows = Matrix::new(input, tiles, depths.len(), depths.len());
            for first in channels.clone().step_by(panel) {
                let end = (first + panel).min(channels.end);
                let dst = sum.part(0..tiles, first - channels.start..end - channels.start);
                let (of_panel, _) = weights(first, position);
                if let Some(gemm) = unit.gemm {
                    let beta = if accumulate { T::ONE } else { T::ZERO };
                    let of_panel = Matrix::new(of_panel, depths.len(), end - first, end - first);
                    T::multiply_by(gemm, dst, rows.into(), of_panel.into(), beta);
                    continue;
                }
                let (next, len) = match position + 1 {
                    _ if end < channels.end => weights(end, position),
                    next if next < Self::POSITIONS => weights(channels.start, next),
                    _ => (of_panel, 0),
                };
                T::packed_product(PackedProduct {
                    rows,
                    weights: of_panel,
                    next: &next[..len],
                    accumulate,
                    dst,
                });
            }
        }
    }
}

impl<const A: usize, const R: usize> Prepared for PreparedWinograd<A, R> {
    fn scratch(&self) -> Scratch {
        self.scratch
    }

    fn weight_order(&self) -> WeightOrder {
        WeightOrder::winograd(Winograd::<A, R>::OUTPUTS, self.panel)
    }

    fn takes_addend(&self) -> bool {
        true
    }

    fn cost(&self) -> Cost {
        let Self { problem, grid, panel, .. } = self;
        let Tiling { strip, depth, block, .. } = self.tiling;
        let (all_depth, channels) = (problem.group_in(), problem.group_out());
        let (across, along) =
            (Winograd::<A, R>::tiles(&problem.cols), Winograd::<A, R>::tiles(&problem.rows));
        let strips = Winograd::<A, R>::strips(problem, strip);
        let parts = all_depth.div_ceil(depth);
        let panels =
            (channels / block).saturating_mul(block.div_ceil(*panel)) + (channels % block).div_ceil(*panel);
        let macs = work(&[Self::POSITIONS, across, along, all_depth, channels]);
        let calls = Calls {
            shape: [strip, *panel, depth],
            count: product(&[Self::POSITIONS, strips, panels, parts]).unwrap_or(usize::MAX),
            macs,
            plane: 0,
        };
        // Tiles that transform the input for themselves.
        let rows = Winograd::<A, R>::strip_rows(problem, strip);
        let groups = grid.tiles() / problem.rows.output.div_ceil(rows);
        let transforms = if depth < all_depth { channels.div_ceil(block) } else { groups };
        let all = work(&[Self::POSITIONS, across, along]);
        let weights = Winograd::<A, R>::weights(problem);
        // The first strip waits for all weights: from beyond the second cache level they come no faster than other
        // streams. For the others they come in panels, twice as fast as in wide blocks, unless memory has to bring them
        // again and again.
        let far = weights > problem.elements(FAR_BYTES) && strips > FEW_STRIPS;
        let all_strips = streamed_elements(problem, weights, strips) / if far { 1.0 } else { 2.0 };
        let of_groups = weights.saturating_mul(problem.groups);
        let first_strip = if of_groups > problem.elements(CACHED_BYTES) { weights as f64 } else { 0.0 };
        // Channels of a group that fill no vector take as long as those that do.
        let [filled_depth, filled_channels] =
            [all_depth, channels].map(|count| count.next_multiple_of(problem.elements(VECTOR_BYTES)));
        Cost {
            calls: Some(calls),
            register_macs: macs / channels as f64 * filled_channels as f64,
            finished: all * work(&[filled_channels, parts]),
            largest_size: all_depth.max(block).max(strip),
            tiles: grid.tiles(),
            streamed: all_strips.max(first_strip),
            // Operations for each element grow with the tile.
            transformed: all * (work(&[transforms, filled_depth]) + work(&[filled_channels])) * A as f64
                / 6.0,
            ..Cost::default()
        }
    }

    fn grid(&self) -> Option<Grid> {
        Some(self.grid)
    }

    fn run<T: Element>(&self, unit: &Unit<'_, T>, dst: MatrixMut<'_, T>, scratch: &mut [T]) {
        let (problem, outputs) = (&self.problem, Winograd::<A, R>::OUTPUTS);
        let geometry = problem.geometry();
        let across = Winograd::<A, R>::tiles(&problem.cols);
        unit.pool.for_each_tile(dst, self.grid, scratch, self.scratch.slots, |tile, mut view, scratch| {
            let (pixels, channels) = pixels_and_channels(problem.dst_layout, tile);
            let (first_row, end) = (pixels.start / problem.cols.output, pixels.end / problem.cols.output);
            let tiles = first_row / outputs * across..end.div_ceil(outputs) * across;
            for first in tiles.clone().step_by(self.tiling.strip) {
                let strip = Strip {
                    geometry: &geometry,
                    filtering: Winograd::<A, R>::FILTERING,
                    tiles: first..(first + self.tiling.strip).min(tiles.end),
                };
                self.run_strip(unit, &strip, &channels, (&mut view, first_row), scratch);
            }
            // 4. Finish what takes more than bounds.
            T::finish(&unit.end().of_channels(channels).in_memory(), &mut view, problem.dst_layout);
        });
    }
}
