//! `kn2col-register`: for a few input pixels, src[pixels × C]·weights[C × (Kh·Kw·M)] in registers; the product of each tap
//! is added to the output that the tap writes. Bias and activation follow when all are added.
//! Workspace: 0 for an NHWC src and dst. For an NCHW src, W·R·Cd elements for each thread: the part of src that a tile
//! sees, moved to NHWC, of W columns, R rows and Cd channels. Cd is C, or a part of C where only a few rows of all channels would
//! fit; the products of each part are added. For an NCHW dst, M elements for each pixel of a tile.
//! Wins if output channels are few, so that a vector of them alone would have idle lanes: the last layer of a decoder,
//! an inverse STFT.
//! Source: kn2col (arXiv 1704.04428), some pixels at a time. In a transposed convolution the taps write outputs that lie
//! apart; an ordinary one of stride 1 is such a convolution with its taps turned round.

use std::ops::Range;

use convlow_kernels::geometry::Geometry;
use convlow_kernels::matrix::{Matrix, MatrixMut};
use convlow_kernels::moved::moved;
use convlow_kernels::register::channels_of_vector;
use convlow_kernels::spread_tile::{FEW_ADDITIONS, SpreadTile, lanes_of_block};

use super::algorithm::{
    Algorithm, Declined, Element, Limits, Prepared, Ready, Scratch, Unit, ready, require,
    require_countable_taps,
};
use super::cost::{Cost, weights_streamed, work};
use super::tiling::{
    boxes, count, depths, dst_grid, largest_window, part_of_pixels, pixels_and_channels, pixels_of_tile,
    window_elements,
};
use crate::lowering::weights::WeightOrder;
use crate::problem::{Axis, Kind, Layout, Problem};
use crate::tiles::{EachTile, Grid};

/// The products of all taps at once.
pub struct Kn2colRegister;

/// The most bytes of a thread's scratch: 256 KiB.
const SCRATCH_BYTES: usize = 256 << 10;
/// Tiles of an image whose scratch is to be the same for every number of threads.
const TILES: usize = 2;

struct PreparedKn2colRegister {
    problem: Problem,
    geometry: Geometry,
    tiling: Tiling,
    grid: Grid,
    scratch: Scratch,
}

/// What is computed at once.
#[derive(Clone, Copy)]
struct Tiling {
    /// Output pixels of a tile.
    pixels: usize,
    /// Input channels that are moved and multiplied at once.
    depth: usize,
    /// Elements of a tile's scratch for what it sees of an NCHW src.
    moved: usize,
    /// The same for its sums in NCHW.
    sums: usize,
}

impl Tiling {
    /// That of as many pixels, up to `most`, as fit with so many input channels; or one pixel.
    fn new(
        problem: &Problem,
        geometry: &Geometry,
        most: usize,
        depth: usize,
        fitting: usize,
    ) -> Option<Self> {
        let mut pixels = pixels_of_tile(geometry, most);
        loop {
            let moved = match problem.src_layout {
                Layout::Nchw => largest_window(geometry, pixels)?.checked_mul(depth)?,
                Layout::Nhwc => 0,
            };
            let sums = match problem.dst_layout {
                Layout::Nchw => pixels.checked_mul(problem.group_out())?,
                Layout::Nhwc => 0,
            };
            let tiling = Self { pixels, depth, moved, sums };
            if pixels == 1 || tiling.elements()? <= fitting {
                return Some(tiling);
            }
            pixels = pixels_of_tile(geometry, pixels - pixels.div_ceil(8));
        }
    }

    /// The one that costs least within the most scratch; of those that need more, the one that needs least.
    fn best(problem: &Problem, geometry: &Geometry, mut most: usize) -> Option<Self> {
        let fitting = problem.elements(SCRATCH_BYTES);
        let all = problem.group_in();
        let mut best: Option<([f64; 2], Self)> = None;
        for depth in depths(all).rev().filter(|&depth| depth == all || problem.src_layout == Layout::Nchw) {
            let Some(tiling) = Self::new(problem, geometry, most, depth, fitting) else { break };
            // More channels fit with no more pixels.
            most = tiling.pixels;
            let missing = tiling.elements()?.saturating_sub(fitting) as f64;
            let cost = [missing, tiling.cycles(problem, geometry)];
            if best.is_none_or(|(least, _)| cost < least) {
                best = Some((cost, tiling));
            }
        }
        best.map(|(_, tiling)| tiling)
    }

    /// Elements of a tile's scratch.
    fn elements(&self) -> Option<usize> {
        self.moved.checked_add(self.sums)
    }

    /// Parts in which the depth is summed.
    fn parts(&self, problem: &Problem) -> usize {
        problem.group_in().div_ceil(self.depth)
    }

    /// What an output costs, in cycles of a core: inputs that several tiles see are moved and multiplied for each, and the
    /// products of every part of the depth are added.
    fn cycles(&self, problem: &Problem, geometry: &Geometry) -> f64 {
        const MOVE: f64 = 1.2;
        const ADDITION: f64 = 2.5;
        let seen = window_elements(geometry, self.pixels, 1).map_or(f64::INFINITY, |seen| seen as f64);
        let lanes = (problem.taps() * problem.group_out()) as f64;
        let at_once = (2 * channels_of_vector(problem.data_type)) as f64;
        let of_input = problem.group_in() as f64 * (lanes / at_once + MOVE)
            + (self.parts(problem) * additions(problem)) as f64 * ADDITION;
        seen / self.pixels as f64 * of_input
    }
}

/// Additions to dst for each input pixel: of the taps of a row one by one, or of vectors that hold several.
fn additions(problem: &Problem) -> usize {
    let (channels, vector) = (problem.group_out(), channels_of_vector(problem.data_type));
    let rows = problem.taps() / problem.cols.kernel;
    let parts = if channels <= vector { channels.count_ones() as usize } else { channels.div_ceil(vector) };
    rows * (problem.cols.kernel * parts).min(FEW_ADDITIONS)
}

/// Output pixels of a tile, if the scratch for them fits: as many as let so many threads finish together. Neighbouring tiles
/// both compute the products of the inputs that they have in common. How many tiles there are changes no sum.
fn most_pixels(geometry: &Geometry, threads: usize) -> usize {
    let outputs = geometry.axes.map(|axis| axis.output);
    let longest = outputs.iter().position(|&output| output > 1).unwrap_or(2);
    let of_tiles = |tiles: &usize| outputs[longest].div_ceil(*tiles);
    let time = |tiles: &usize| tiles.div_ceil(threads) * geometry.largest_window(longest, of_tiles(tiles));
    // More tiles than these help no thread.
    let best = (1..=outputs[longest].min(4 * threads)).min_by_key(time).unwrap_or(1);
    of_tiles(&best) * outputs[longest + 1..].iter().product::<usize>()
}

impl Algorithm for Kn2colRegister {
    fn prepare(&self, problem: &Problem, limits: Limits) -> Result<Box<dyn Ready>, Declined> {
        require_countable_taps(problem)?;
        require(
            problem.is(Kind::Transposed) || problem.unit_stride(),
            c"needs stride 1, or operation = CONV_TRANSPOSE",
        )?;
        let geometry = problem.geometry();
        let fitting = problem.elements(SCRATCH_BYTES).min(limits.of_tile());
        let in_place = (problem.src_layout, problem.dst_layout) == (Layout::Nhwc, Layout::Nhwc);
        let sharing = if in_place { limits.threads } else { TILES };
        let most = most_pixels(&geometry, sharing);
        // The depth does not follow from the limit, since parts of another depth are added in another order.
        let best = Tiling::best(problem, &geometry, most).ok_or(Scratch::OVERFLOW)?;
        let tiling =
            Tiling::new(problem, &geometry, best.pixels, best.depth, fitting).ok_or(Scratch::OVERFLOW)?;
        let elements = tiling.elements().ok_or(Scratch::OVERFLOW)?;
        require(
            elements <= problem.elements(SCRATCH_BYTES),
            c"needs more than 256 KiB for the input of one pixel",
        )?;
        let grid = dst_grid(
            problem.dst_layout,
            (problem.out_pixels(), problem.group_out()),
            (tiling.pixels, problem.group_out()),
        );
        let scratch = match elements {
            0 => Scratch::NONE,
            elements => Scratch::of_tiles(elements, grid.tiles(), limits)?,
        };
        ready(PreparedKn2colRegister { problem: *problem, geometry, tiling, grid, scratch })
    }
}

impl PreparedKn2colRegister {
    /// The output channels of some pixels, which hold what the products are added to or, in NCHW, are in `scratch`.
    fn run_tile<T: Element>(
        &self,
        unit: &Unit<'_, T>,
        pixels: &Range<usize>,
        mut dst: MatrixMut<'_, T>,
        scratch: &mut [T],
    ) {
        let Self { problem, geometry, tiling, .. } = self;
        let (channels, layout) = (problem.group_out(), problem.dst_layout);
        let (for_input, for_sums) = scratch.split_at_mut(tiling.moved);
        for (first, outputs) in boxes(geometry, pixels) {
            let of_box = count(&outputs);
            let mut part = part_of_pixels(layout, &mut dst, first..first + of_box);
            let mut add = |mut dst: MatrixMut<'_, T>| {
                for first in (0..problem.group_in()).step_by(tiling.depth) {
                    let depth = first..(first + tiling.depth).min(problem.group_in());
                    // 1. Move what the outputs see of an NCHW src.
                    let (mut image, mut origin) = (unit.src.channels_from(first), [0; 3]);
                    if problem.src_layout == Layout::Nchw {
                        (image, origin) = moved::<T>(&image, geometry, &outputs, depth.len(), for_input);
                    }
                    // 2. Add the products of all taps.
                    T::spread_tile(SpreadTile {
                        geometry,
                        image: &image,
                        origin,
                        group_in: problem.group_in(),
                        depth,
                        weights: unit.weights,
                        outputs: outputs.clone(),
                        dst: dst.reborrow(),
                    });
                }
            };
            match layout {
                Layout::Nhwc => {
                    if !problem.accumulate {
                        part.fill(T::ZERO);
                    }
                    add(part);
                }
                Layout::Nchw => {
                    let sums = &mut for_sums[..of_box * channels];
                    sums.fill(T::ZERO);
                    add(MatrixMut::new(sums, of_box, channels, channels));
                    let sums = Matrix::new(sums, of_box, channels, channels);
                    T::transpose(&sums, &mut part, problem.accumulate);
                }
            }
        }
        // 3. Finish.
        unit.finish(&mut dst, 0);
    }
}

impl Prepared for PreparedKn2colRegister {
    fn scratch(&self) -> Scratch {
        self.scratch
    }

    fn weight_order(&self) -> WeightOrder {
        let block = lanes_of_block(self.problem.group_out());
        WeightOrder::taps_side_by_side(block, !self.problem.is(Kind::Transposed))
    }

    fn cost(&self) -> Cost {
        /// What an addition to dst costs, in copied runs.
        const ADDITION: f64 = 0.12;
        let Self { problem, geometry, tiling, grid, .. } = self;
        let (depth, channels, parts) = (problem.group_in(), problem.group_out(), tiling.parts(problem));
        let of_tiles = |geometry: &Geometry| {
            window_elements(geometry, tiling.pixels, 1)
                .map_or(f64::INFINITY, |seen| work(&[seen, grid.tiles()]))
        };
        // A block of weights is multiplied by the rows alone that some of its taps read.
        let rows_of_block = (lanes_of_block(channels) / (problem.cols.kernel * channels)).max(1);
        let [planes, rows, cols] = geometry.axes;
        let of_block = [
            Axis { kernel: rows_of_block.div_ceil(rows.kernel).min(planes.kernel), ..planes },
            Axis { kernel: rows_of_block.min(rows.kernel), ..rows },
            cols,
        ];
        let seen = of_tiles(&Geometry { axes: of_block, ..*geometry });
        let vector = channels_of_vector(problem.data_type);
        let lanes = (problem.taps() * channels).next_multiple_of(vector) as f64;
        // Where channels fill vectors, kernels that keep sums in registers have nothing idle, and less to write.
        let products = if channels > 2 * vector { 1.5 } else { 1.0 };
        let of_src = if tiling.moved > 0 { of_tiles(geometry) * depth as f64 } else { 0.0 };
        let of_dst = match problem.dst_layout {
            Layout::Nchw => work(&[problem.out_pixels(), channels]),
            Layout::Nhwc => 0.0,
        };
        Cost {
            register_macs: products * seen * lanes * depth as f64,
            finished: seen * lanes * parts as f64 + work(&[problem.out_pixels(), channels]),
            copies: ADDITION * work(&[problem.in_pixels(), additions(problem), parts]),
            moved: of_src + of_dst,
            tiles: grid.tiles(),
            streamed: weights_streamed(problem, grid.tiles()),
            ..Cost::default()
        }
    }

    fn grid(&self) -> Option<Grid> {
        Some(self.grid)
    }

    fn run<T: Element>(&self, unit: &Unit<'_, T>, dst: MatrixMut<'_, T>, scratch: &mut [T]) {
        let layout = self.problem.dst_layout;
        let run = |tile, view: MatrixMut<'_, T>, scratch: &mut [T]| {
            self.run_tile(unit, &pixels_and_channels(layout, tile).0, view, scratch);
        };
        if self.scratch == Scratch::NONE {
            return unit.pool.for_each_tile_plain(dst, self.grid, |tile, view| run(tile, view, &mut []));
        }
        unit.pool.for_each_tile(dst, self.grid, scratch, self.scratch.slots, run);
    }
}
