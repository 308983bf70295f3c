//! `im2col-register`: dst[M × T] = weights[M × D]·patches[D × T] in registers, for T output pixels of planes, with
//! D = C·Kh·Kw. The last step (bias, residual, activation) is done there.
//! Workspace: D·T for each thread; T shrinks to 1 if the limit requires it. 0 if the planes themselves are the patches.
//! Wins in NCHW if a pixel has few values: 1×1 kernels, whose patches are runs of the planes, and first layers.
//! Source: the classic lowering (Chellapilla, Puri, Simard 2006), some pixels at a time.

use std::ops::Range;

use convlow_kernels::lanes::{of_line, prefetch};
use convlow_kernels::matrix::{Matrix, MatrixMut};
use convlow_kernels::plane_tile::{PlaneTile, channels_of_rows};

use super::algorithm::{
    Algorithm, Declined, Element, Limits, Prepared, Ready, Scratch, Unit, elements_of, ready,
};
use super::cost::{Cost, weights_streamed, work};
use super::tiling::{channels_of_tile, dst_grid, flattened, pixels_and_channels};
use crate::lowering::image::matrix_of;
use crate::lowering::patches::fill_plane_patches;
use crate::lowering::weights::{CIJM, WeightOrder};
use crate::problem::Problem;
use crate::tiles::{EachTile, Grid};

/// Patches of a few pixels at a time.
pub struct Im2colRegister;

/// Elements of patches that stay in the second cache level: 192 KiB.
const PATCH_BYTES: usize = 192 << 10;
/// The most elements of patches of a thread, unless a single pixel has more: 256 KiB.
const MOST_BYTES: usize = 256 << 10;
/// Pixels of whole vectors on every machine.
const VECTORS: usize = 16;
/// Output pixels of a tile, if there are more.
const PIXELS: usize = 240;
/// Output channels up to which planes are read in place, several times, rather than copied.
const FEW_CHANNELS: usize = 32;
/// Values of a pixel that are many.
const MANY_VALUES: usize = 200;
/// Planes of a multiple of so many elements lie in the same places of the cache.
const PAGE_BYTES: usize = 4 << 10;
/// So many of them have room there.
const PAGES: usize = 32;

struct PreparedIm2colRegister {
    problem: Problem,
    /// Output channels of a block of weights.
    block: usize,
    /// Output pixels of a tile.
    pixels: usize,
    /// Whether the planes of src are the patches.
    in_place: bool,
    grid: Grid,
    scratch: Scratch,
}

/// Pixels of tiles of about the same size, of `most` at most, in whole vectors where they are several.
fn whole_tiles(pixels: usize, most: usize) -> usize {
    if pixels <= most || most < VECTORS {
        return pixels.min(most);
    }
    let most = most / VECTORS * VECTORS;
    pixels.div_ceil(pixels.div_ceil(most)).next_multiple_of(VECTORS)
}

/// Whether every output pixel reads the input pixel of the same number, and no other. As many of both are not enough:
/// padding may make up for a stride.
fn planes_are_patches(problem: &Problem) -> bool {
    problem.taps() == 1 && problem.unit_stride() && problem.in_pixels() == problem.out_pixels()
}

fn grid(problem: &Problem, block: usize, pixels: usize, threads: usize) -> Grid {
    let (all, channels) = (problem.out_pixels(), problem.group_out());
    let of_tile = channels_of_tile(channels, block, all.div_ceil(pixels), threads, 0.03);
    dst_grid(problem.dst_layout, (all, channels), (pixels, of_tile))
}

impl Algorithm for Im2colRegister {
    fn prepare(&self, problem: &Problem, limits: Limits) -> Result<Box<dyn Ready>, Declined> {
        let block = channels_of_rows();
        let (all, depth) = (problem.out_pixels(), problem.depth());
        let are_patches = planes_are_patches(problem);
        let apart = all.is_multiple_of(problem.elements(PAGE_BYTES)) && depth > PAGES;
        // Where one block has all channels, each plane is read once, in place as fast as to be copied.
        let pays = problem.group_out() > FEW_CHANNELS || apart && problem.group_out() > block;
        // A vector of pixels at least, if that is not too much.
        let least = VECTORS.min(problem.elements(MOST_BYTES) / depth);
        let in_place = are_patches && !(pays && limits.of_tile() / depth >= least.clamp(1, all));
        let fitting = (problem.elements(PATCH_BYTES) / depth).max(least).clamp(1, PIXELS);
        let fitting = if in_place { fitting } else { fitting.min(limits.of_tile() / depth).max(1) };
        let pixels = whole_tiles(all, fitting);
        let mut scratch = Scratch::NONE;
        let mut threads = limits.threads;
        if !in_place {
            let tiles = grid(problem, block, pixels, threads).tiles();
            scratch = Scratch::of_tiles(elements_of(&[depth, pixels])?, tiles, limits)?;
            threads = scratch.slots;
        }
        let grid = grid(problem, block, pixels, threads);
        ready(PreparedIm2colRegister { problem: *problem, block, pixels, in_place, grid, scratch })
    }
}

impl PreparedIm2colRegister {
    fn multiply<T: Element>(
        &self,
        unit: &Unit<'_, T>,
        patches: Matrix<'_, T>,
        channels: Range<usize>,
        dst: MatrixMut<'_, T>,
    ) {
        let depth = self.problem.depth();
        T::plane_tile(PlaneTile {
            patches,
            weights: &unit.weights[channels.start * depth..channels.end * depth],
            end: unit.end().of_channels(channels),
            dst,
        });
    }
}

/// Copies some pixels of each plane. The planes lie in as many pages, where the machine does not foresee what comes.
fn copy_planes<T: Element>(planes: &Matrix<'_, T>, pixels: &Range<usize>, to: &mut [T]) {
    const AHEAD: usize = 4;
    for (plane, to) in to.chunks_exact_mut(pixels.len()).enumerate() {
        let soon = (plane + AHEAD) * planes.ld() + pixels.start;
        (0..pixels.len()).step_by(of_line::<T>()).for_each(|line| prefetch(planes.data(), soon + line));
        to.copy_from_slice(&planes.row(plane)[pixels.clone()]);
    }
}

impl Prepared for PreparedIm2colRegister {
    fn scratch(&self) -> Scratch {
        self.scratch
    }

    fn weight_order(&self) -> WeightOrder {
        CIJM.blocked(self.block)
    }

    fn takes_addend(&self) -> bool {
        true
    }

    fn cost(&self) -> Cost {
        let Self { problem, grid, .. } = self;
        let (pixels, channels, depth) = (problem.out_pixels(), problem.group_out(), problem.depth());
        let rest = pixels % self.pixels;
        // Output rows, or parts of one, that a tile has pixels of.
        let [_, _, cols] = flattened(problem).axes;
        let rows = self.pixels.div_ceil(cols.output);
        // In whole vectors of AVX2, whose speed the model is of.
        let in_vectors = pixels / self.pixels * self.pixels.next_multiple_of(8) + rest.next_multiple_of(8);
        // Elements that are not neighbours are picked from vectors, or one by one. Where a pixel has many, a tile has few
        // pixels, and each plane's lines come from far away for few elements.
        let elements = if self.in_place { 0.0 } else { work(&[pixels, depth]) };
        let [picked, one_by_one] = match (problem.cols.stride, depth) {
            (1, _) => [0.0, 0.0],
            (2..=4, ..=MANY_VALUES) => [1.0, 0.0],
            (2, _) if problem.taps() == 1 => [2.0, 0.0],
            (2, _) => [4.0, 0.0],
            (3 | 4, _) => [6.0, 0.0],
            _ => [0.0, 1.0],
        };
        Cost {
            register_macs: work(&[in_vectors, channels, depth]),
            finished: work(&[pixels, channels]),
            copies: if self.in_place { 0.0 } else { work(&[depth, rows, grid.tiles()]) },
            cached: if self.in_place { 0.0 } else { work(&[self.scratch.elements, grid.tiles()]) },
            moved: picked * elements,
            scattered: one_by_one * elements,
            tiles: grid.tiles(),
            streamed: weights_streamed(problem, pixels.div_ceil(self.pixels)),
            ..Cost::default()
        }
    }

    fn grid(&self) -> Option<Grid> {
        Some(self.grid)
    }

    fn run<T: Element>(&self, unit: &Unit<'_, T>, dst: MatrixMut<'_, T>, scratch: &mut [T]) {
        let (problem, depth) = (&self.problem, self.problem.depth());
        if self.in_place {
            let planes = matrix_of(&unit.src, problem);
            return unit.pool.for_each_tile_plain(dst, self.grid, |tile, view| {
                let (pixels, channels) = pixels_and_channels(problem.dst_layout, tile);
                self.multiply(unit, planes.part(0..depth, pixels), channels, view);
            });
        }
        unit.pool.for_each_tile(dst, self.grid, scratch, self.scratch.slots, |tile, view, scratch| {
            let (pixels, channels) = pixels_and_channels(problem.dst_layout, tile);
            // 1. Fill the patches.
            let patches = &mut scratch[..depth * pixels.len()];
            if planes_are_patches(problem) {
                copy_planes(&matrix_of(&unit.src, problem), &pixels, patches);
            } else {
                fill_plane_patches(problem, &unit.src, &pixels, patches);
            }
            // 2. Multiply and finish.
            self.multiply(unit, Matrix::new(patches, depth, pixels.len(), pixels.len()), channels, view);
        });
    }
}
