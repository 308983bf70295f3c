//! `kn2row-register`: for a few output pixels × channels, the sum over all taps of src[pixels × C]·weights[C × M] in
//! registers. The last step (bias, residual, activation) is done there, and dst is written once; where C is so large that
//! a block's weights leave the second cache level, once for each part of C.
//! Workspace: 0 for an NHWC src. For an NCHW src, W·R·Cd elements for each thread: the part of src that a tile sees,
//! moved to NHWC, with Cd channels. W and R are the most columns and rows that a tile sees; with more than 4096
//! tiles, those that a tile in the middle of the image sees. Cd is a part of C if that makes larger tiles, or the
//! channels of several groups if these are small. 0 if these elements exceed the limit; then the algorithm reads one
//! channel after the other in place.
//! Wins whenever no GEMM is required: the sums of taps stay in registers, nothing is allocated, and only an NCHW src
//! is moved.
//! Source: convlow; the taps are those of kn2row (arXiv 1704.04428), accumulated as in arXiv 1709.03395.
//!
//! In a transposed convolution, outputs that lie one stride apart see the same taps, and form tiles like any others.
//! Small groups are tiles of one unit, and lie side by side in vectors, as many as fit. Where a group has few output
//! channels, the lanes of a vector are input channels instead.

use std::ops::Range;

use convlow_kernels::Tiles;
use convlow_kernels::geometry::Geometry;
use convlow_kernels::isa::Length;
use convlow_kernels::matrix::MatrixMut;
use convlow_kernels::moved::moved;
use convlow_kernels::number::QUAD;
use convlow_kernels::pixel_tile::{Blocks, PixelTile, passes_along};
use convlow_kernels::register::channels_of_vector;

use super::algorithm::{
    Algorithm, Declined, Element, Limits, Prepared, Ready, Scratch, Unit, ready, require_countable_taps,
};
use super::cost::{Cost, VECTOR_BYTES, streamed_elements, work};
use super::tiling::{
    LEAST_DEPTH, boxes, channels_of_tile, count, depths, dst_grid, flattened, largest_window, part_of_pixels,
    pixels_and_channels, pixels_of_tile, window_elements,
};
use crate::lowering::weights::{IJCM, MIJC, WeightOrder};
use crate::problem::{Kind, Layout, Problem};
use crate::tiles::{EachTile, Grid};

/// All taps of a register tile after the other.
pub struct Kn2rowRegister;

/// Elements of an NCHW src that a thread moves at once: 256 KiB.
const MOVED_BYTES: usize = 256 << 10;
/// Output pixels of a tile, if there are more.
const PIXELS: usize = 480;
/// Tiles of smaller maps, for threads to share, if each then has [`LEAST_PIXELS`].
const TILES: usize = 8;
/// Output pixels of a tile with which it still takes about as long a pixel.
const LEAST_PIXELS: usize = 98;
/// Bytes of a block's weights that stay in the second cache level: 896 KiB.
const NEAR_BYTES: usize = 896 << 10;
/// Input and output channels of a small group: those of larger ones are enough for tiles of their own.
const SMALL_GROUP: usize = 64;
/// Bytes of an NCHW src that are moved at once where more than one small group's or vector's fit: they stay in the
/// first cache level.
const GROUPS_BYTES: usize = 32 << 10;

/// What is computed at once.
#[derive(Clone, Copy)]
struct Tiling {
    /// Output pixels of a tile: whole rows, or a part of one.
    pixels: usize,
    /// Input channels of a group that are summed at once; the sums of each part are added to dst.
    depth: usize,
    /// Elements that the input of a tile is moved to, if it is moved.
    moved: usize,
    /// Groups of a tile, or the fewest if it is not moved; 1 if it may have a part of one.
    groups: usize,
}

impl Tiling {
    /// The tiling of a unit of so many groups within so many elements of scratch: of several, in whole blocks.
    fn new(problem: &Problem, geometry: &Geometry, all: usize, blocks: Blocks, elements: usize) -> Self {
        let groups = if all > 1 { (blocks.channels / blocks.of_group).max(1) } else { 1 };
        let most_pixels = most_pixels(problem, blocks);
        let pixels = pixels_of_tile(geometry, most_pixels);
        let depth = if all == 1 { near_depth(problem, blocks) } else { problem.group_in() };
        let in_place = Self { pixels, depth, moved: 0, groups };
        // A plane of one pixel is no plane: the channels lie one behind the other.
        if problem.src_layout == Layout::Nhwc || problem.in_pixels() == 1 {
            return in_place;
        }
        let elements = elements.min(problem.elements(MOVED_BYTES));
        if all > 1 {
            let moving = Self::moving(geometry, most_pixels, problem.group_in() * groups, elements);
            return moving.map_or(in_place, |tiling| {
                let fitting = (problem.elements(GROUPS_BYTES).min(elements) / tiling.moved).max(1);
                // Tiles of about the same size.
                let blocks = all.div_ceil(groups);
                let blocks = blocks.div_ceil(blocks.div_ceil(fitting));
                let moved = tiling.moved * blocks;
                Self { pixels: tiling.pixels, moved, groups: groups * blocks, ..in_place }
            });
        }
        depths(problem.group_in())
            .filter_map(|depth| Self::moving(geometry, most_pixels, depth, elements))
            .min_by(|a, b| a.cycles(problem).total_cmp(&b.cycles(problem)))
            .unwrap_or(in_place)
    }

    /// The largest tile whose input of so many channels fits.
    fn moving(geometry: &Geometry, mut most: usize, depth: usize, elements: usize) -> Option<Self> {
        let outputs: usize = geometry.axes.iter().map(|axis| axis.output).product();
        loop {
            let pixels = pixels_of_tile(geometry, most);
            let moved = window_elements(geometry, pixels, depth);
            // Of few tiles each is at a border of the image, and sees less than one in the middle. What fits exactly that
            // is the scratch of a plan of these very tiles, which another plan may be limited to.
            let fits = |moved: usize| {
                moved <= elements
                    || (outputs.div_ceil(pixels) <= ALL_AT_BORDERS
                        && largest_window(geometry, pixels).is_some_and(|window| window * depth <= elements))
            };
            if let Some(moved) = moved.filter(|&moved| fits(moved)) {
                return Some(Self { pixels, depth, moved, groups: 1 });
            }
            if pixels == 1 {
                return None;
            }
            most = pixels - pixels.div_ceil(8);
        }
    }

    /// Parts in which the depth is summed.
    fn parts(&self, problem: &Problem) -> usize {
        problem.group_in().div_ceil(self.depth)
    }

    /// What a pixel of a group costs beside its products, in cycles of a core: its part of what is moved, of the
    /// weights that a tile reads from beyond the cache, and the sums that later parts of the depth are added to.
    fn cycles(&self, problem: &Problem) -> f64 {
        const MOVE: f64 = 1.2;
        const WEIGHT: f64 = 0.5;
        let (pixels, parts) = (self.pixels as f64, self.parts(problem) as f64);
        MOVE * parts * (self.moved as f64 / pixels + problem.group_out() as f64)
            + WEIGHT * work(&[problem.depth(), problem.group_out()]) / pixels
    }

    /// The tiles of dst, each of whole blocks of weights, or of whole groups.
    fn grid(&self, problem: &Problem, all: usize, blocks: Blocks, threads: usize) -> Grid {
        let (pixels, channels) = (problem.out_pixels(), all * problem.group_out());
        let strips = pixels.div_ceil(self.pixels);
        let least = if all > 1 { self.groups * blocks.of_group } else { blocks.channels };
        let of_tile = match (self.moved, all) {
            (0, _) => channels_of_tile(channels, least, strips, threads, 0.01),
            (_, 1) => channels_of_tile(channels, least, strips, threads, 0.05),
            _ => least.min(channels),
        };
        dst_grid(problem.dst_layout, (pixels, channels), (self.pixels, of_tile))
    }
}

/// Input channels that are summed at once in place: those of about equal parts whose weights, of a block, stay in the
/// second cache level, where every few pixels read them again.
fn near_depth(problem: &Problem, blocks: Blocks) -> usize {
    let of_channel = blocks.channels.min(problem.group_out()) * problem.taps();
    let most = (problem.elements(NEAR_BYTES) / of_channel).max(LEAST_DEPTH);
    let depth = problem.group_in();
    depth.div_ceil(depth.div_ceil(most)).next_multiple_of(16).min(depth)
}

/// The most output pixels of a tile. If there are few tiles, their number is a power of two, so that threads finish together,
/// unless each reads many weights from beyond the second cache level.
fn most_pixels(problem: &Problem, blocks: Blocks) -> usize {
    let pixels = problem.out_pixels();
    let strips = TILES.div_ceil(problem.out_channels.div_ceil(blocks.channels));
    let are_near = problem.depth() * problem.group_out() <= problem.elements(NEAR_BYTES);
    match pixels.div_ceil(PIXELS) {
        least @ ..=TILES => {
            let least = if are_near { least.next_power_of_two() } else { least };
            pixels.div_ceil(strips.max(least)).max(LEAST_PIXELS)
        }
        _ => PIXELS,
    }
}

/// Tiles up to which each may be at a border of the image.
const ALL_AT_BORDERS: usize = 4;

/// Groups of a unit: all of them where they are small, to be computed side by side.
fn groups_of_unit(problem: &Problem) -> usize {
    if problem.group_in().max(problem.group_out()) <= SMALL_GROUP { problem.groups } else { 1 }
}

struct PreparedKn2rowRegister {
    problem: Problem,
    /// Its axes, flattened.
    geometry: Geometry,
    /// Groups of a unit.
    groups: usize,
    blocks: Blocks,
    tiling: Tiling,
    grid: Grid,
    scratch: Scratch,
}

impl Algorithm for Kn2rowRegister {
    fn prepare(&self, problem: &Problem, limits: Limits) -> Result<Box<dyn Ready>, Declined> {
        require_countable_taps(problem)?;
        let channels = [problem.group_in(), problem.group_out()];
        let (geometry, groups) = (flattened(problem), groups_of_unit(problem));
        // A unit of one group has nothing to fill a vector with.
        let blocks = match problem.group_out() {
            QUAD if groups == 1 => Blocks::new(problem.data_type, 1, channels),
            _ => Blocks::new(problem.data_type, problem.groups, channels),
        };
        let tiling = Tiling::new(problem, &geometry, groups, blocks, limits.of_tile());
        let scratch = match tiling.moved {
            0 => Scratch::NONE,
            moved => {
                let tiles = tiling.grid(problem, groups, blocks, limits.threads).tiles();
                let in_the_middle = window_elements(&geometry, tiling.pixels, 1).ok_or(Scratch::OVERFLOW)?;
                let window = largest_window(&geometry, tiling.pixels).ok_or(Scratch::OVERFLOW)?;
                Scratch::of_tiles(moved / in_the_middle * window, tiles, limits)?
            }
        };
        let threads = if tiling.moved == 0 { limits.threads } else { scratch.slots };
        let grid = tiling.grid(problem, groups, blocks, threads);
        ready(PreparedKn2rowRegister { problem: *problem, geometry, groups, blocks, tiling, grid, scratch })
    }
}

impl PreparedKn2rowRegister {
    /// One tile: some channels of some pixels.
    fn run_tile<X: Tiles>(
        &self,
        unit: &Unit<'_, X>,
        (pixels, channels): (Range<usize>, Range<usize>),
        mut dst: MatrixMut<'_, X::Dst>,
        scratch: &mut [X::Src],
    ) {
        let Self { problem, geometry, tiling, blocks, .. } = self;
        let (first_group, groups) =
            (channels.start / blocks.of_group, channels.len().div_ceil(blocks.of_group));
        let src = unit.src.channels_from(first_group * problem.group_in());
        // To the end of all, so that no sum depends on where a tile ends.
        let weights = &unit.weights[channels.start * problem.depth()..];
        let (end, all) = (unit.end().of_channels(channels), problem.group_in());
        for (first_pixel, outputs) in boxes(geometry, &pixels) {
            let of_dst = first_pixel..first_pixel + count(&outputs);
            for first in (0..all).step_by(tiling.depth) {
                let depth = first..(first + tiling.depth).min(all);
                let (mut image, mut origin) = (src.channels_from(first), [0; 3]);
                // 1. Move what the tile sees of an NCHW src.
                if tiling.moved > 0 {
                    let depth = groups * depth.len();
                    (image, origin) = moved::<X>(&image, geometry, &outputs, depth, scratch);
                }
                // 2. Sum all taps, 3. and finish, if these are the last channels.
                X::pixel_tile(PixelTile {
                    geometry,
                    image: &image,
                    origin,
                    group_in: all,
                    blocks: *blocks,
                    weights,
                    end: end.of_part(first == 0, depth.end == all),
                    depth,
                    outputs: outputs.clone(),
                    layout: problem.dst_layout,
                    dst: match (part_of_pixels(problem.dst_layout, &mut dst, of_dst.clone()), first) {
                        (part, 0) => part,
                        (part, _) => part.added_to_itself(),
                    },
                });
            }
        }
    }
}

impl Prepared for PreparedKn2rowRegister {
    fn scratch(&self) -> Scratch {
        self.scratch
    }

    fn groups_at_once(&self) -> usize {
        self.groups
    }

    fn groups_packed_together(&self) -> usize {
        // Blocks that end with their group are packed group by group.
        if self.blocks.of_group < self.blocks.channels { self.groups } else { 1 }
    }

    fn weight_order(&self) -> WeightOrder {
        if self.blocks.along { MIJC } else { IJCM.blocked(self.blocks.channels) }
    }

    fn takes_addend(&self) -> bool {
        true
    }

    fn length(&self) -> Length {
        self.blocks.length
    }

    fn cost(&self) -> Cost {
        /// Multiply-adds for which there would be time where a run of few channels begins and ends.
        const SHORT_RUN: f64 = 64.0;
        /// The same where a sum's lanes are added up.
        const LANES_ADDED_UP: f64 = 100.0;
        /// Pixels that see the same taps of which none are left over.
        const ALIKE: f64 = 6.0;
        let Self { problem, geometry, groups, tiling, grid, blocks, .. } = self;
        let (pixels, channels) = (problem.out_pixels(), groups * problem.group_out());
        // In whole vectors: of this machine or, as several groups and halves are of shorter ones, of AVX2, whose speed the
        // model is of.
        let in_whole = problem.groups == 1 && blocks.length == Length::Whole;
        let vector =
            if in_whole { channels_of_vector(problem.data_type) } else { problem.elements(VECTOR_BYTES) };
        let padded = match blocks.of_group < blocks.channels {
            true => channels.next_multiple_of(vector),
            false => groups * blocks.of_group.next_multiple_of(vector),
        };
        let taps_seen = work(&[0, 1, 2].map(|axis| geometry.count_inside(axis)));
        // Neighbouring taps of few channels are one run.
        let joined = *groups == 1 && problem.cols.dilation == 1 && !problem.is(Kind::Transposed);
        let runs = SHORT_RUN * if joined { taps_seen / problem.cols.kernel as f64 } else { taps_seen };
        let parts = tiling.parts(problem);
        // Of channels, fours are moved at once, and others one by one, which takes as long.
        let depth = tiling.depth * tiling.groups;
        let (fours, others) = (depth / 4, depth % 4);
        let one_by_one = (4 * (fours + others)) as f64 / depth as f64;
        let stored = match problem.dst_layout {
            Layout::Nhwc => 0.0,
            Layout::Nchw => work(&[pixels, channels, parts]),
        };
        let depth_of_group = problem.group_in();
        let (sums, ends) = match (blocks.along, depth_of_group) {
            (true, _) => {
                let passes = groups * passes_along(problem.group_out());
                let ends = (LANES_ADDED_UP * pixels as f64 + runs) * passes as f64;
                (work(&[depth_of_group.next_multiple_of(vector), channels]), ends)
            }
            (_, 16..) => (work(&[depth_of_group, padded]), 0.0),
            _ => (work(&[depth_of_group, padded]), runs * channels.div_ceil(blocks.channels) as f64),
        };
        // Pixels that see other taps than most multiply by zeros, or are computed one by one. Those of a single input pixel
        // read each weight once in any case.
        let mixed = match problem.in_pixels() {
            1 => 1.0,
            _ => 1.0 + (1.0 - geometry.mean_alike() / ALIKE).max(0.0),
        };
        Cost {
            register_macs: taps_seen * sums * mixed + ends,
            finished: work(&[pixels, channels, parts]),
            moved: work(&[tiling.moved, parts, grid.tiles()]) * one_by_one + stored,
            tiles: grid.tiles(),
            streamed: streamed_elements(problem, channels * problem.depth(), pixels.div_ceil(tiling.pixels)),
            ..Cost::default()
        }
    }

    fn grid(&self) -> Option<Grid> {
        Some(self.grid)
    }

    fn run<T: Element>(&self, unit: &Unit<'_, T>, dst: MatrixMut<'_, T>, scratch: &mut [T]) {
        let run = |tile, view: MatrixMut<'_, T>, scratch: &mut [T]| {
            self.run_tile(unit, pixels_and_channels(unit.problem.dst_layout, tile), view, scratch);
        };
        if self.tiling.moved == 0 {
            return unit.pool.for_each_tile_plain(dst, self.grid, |tile, view| run(tile, view, &mut []));
        }
        unit.pool.for_each_tile(dst, self.grid, scratch, self.scratch.slots, run);
    }
}
