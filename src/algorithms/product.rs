//! [`Form`]: the eight ways of writing kernel matrix times image matrix as one GEMM, and their division
//! into tiles.
//!
//! D is the depth of the sum, P the pixels. `ki` gives M × P (an NCHW dst), `ik` gives P × M (an NHWC dst);
//! a `t` says that the factor before it is stored transposed and passed with the transpose flag.

use super::{Calls, Cost, Unit, dst_grid, weights_streamed, work};
use crate::lowering::weights::{CIJM, IJCM, MCIJ, MIJC, WeightOrder};
use crate::matrix::{Grid, Matrix, MatrixMut, Operand};
use crate::problem::{Layout, Problem};

/// Which factor comes first, and how each is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Kernel M × D, image D × P.
    AbKi,
    /// Kernel stored D × M, image D × P.
    AtbKi,
    /// Kernel M × D, image stored P × D.
    AbtKi,
    /// Kernel stored D × M, image stored P × D.
    AtbtKi,
    /// Image P × D, kernel D × M.
    AbIk,
    /// Image P × D, kernel stored M × D.
    AbtIk,
    /// Image stored D × P, kernel D × M.
    AtbIk,
    /// Image stored D × P, kernel stored M × D.
    AtbtIk,
}

/// Pixels that make a tile of a product worth a GEMM call of its own: with fewer, packing the kernel anew
/// for each tile costs more than a few percent.
const TILE_PIXELS: usize = 512;
/// The fewest pixels to which a tile is reduced so that there are two.
const LEAST_PIXELS: usize = 96;
/// Output channels of a tile where there are too few pixels for `TARGET_TILES`.
const TILE_CHANNELS: usize = 128;
/// Tiles to have, if both sizes allow: enough to keep several threads busy to the end.
const TARGET_TILES: usize = 8;

/// Pixels and channels of the tiles into which a pixels × channels result is divided.
pub fn tile_size(pixels: usize, channels: usize) -> (usize, usize) {
    let along = |across: usize| (TARGET_TILES / across).min(channels / TILE_CHANNELS).max(1);
    let across = (pixels / TILE_PIXELS).max(1);
    // Two threads may share what would be a single tile, unless it is small.
    let across = if across * along(across) == 1 && pixels >= 2 * LEAST_PIXELS { 2 } else { across };
    let along = along(across);
    // Multiples of 16 fill the vector registers of every kernel in use.
    let block = |size: usize, parts: usize| size.div_ceil(parts).next_multiple_of(16);
    (block(pixels, across), block(channels, along))
}

impl Form {
    /// The layout of the result.
    pub fn dst_layout(self) -> Layout {
        match self {
            Form::AbKi | Form::AtbKi | Form::AbtKi | Form::AtbtKi => Layout::Nchw,
            Form::AbIk | Form::AbtIk | Form::AtbIk | Form::AtbtIk => Layout::Nhwc,
        }
    }

    /// Whether the kernel matrix is stored M × D, not D × M.
    pub fn kernel_by_output(self) -> bool {
        matches!(self, Form::AbKi | Form::AbtKi | Form::AbtIk | Form::AtbtIk)
    }

    /// Whether the image matrix is stored D × P, not P × D.
    pub fn image_by_depth(self) -> bool {
        matches!(self, Form::AbKi | Form::AtbKi | Form::AtbIk | Form::AtbtIk)
    }

    /// The weight order for a depth with channels outermost (C·Kh·Kw).
    pub fn channels_outermost(self) -> WeightOrder {
        if self.kernel_by_output() { MCIJ } else { CIJM }
    }

    /// The weight order for a depth with channels innermost (Kh·Kw·C).
    pub fn channels_innermost(self) -> WeightOrder {
        if self.kernel_by_output() { MIJC } else { IJCM }
    }

    /// The packed kernel as the M × D factor of a `ki`, the D × M factor of an `ik`.
    pub fn kernel<'a>(self, weights: &'a [f32], m: usize, depth: usize) -> Operand<'a> {
        let (rows, cols) = if self.kernel_by_output() { (m, depth) } else { (depth, m) };
        let stored = Matrix::new(weights, rows, cols, cols);
        let transposed = self.kernel_by_output() != (self.dst_layout() == Layout::Nchw);
        Operand { stored, transposed }
    }

    /// The stored image matrix as the D × P factor of a `ki`, the P × D factor of an `ik`.
    pub fn image(self, stored: Matrix<'_>) -> Operand<'_> {
        Operand { stored, transposed: self.image_by_depth() != (self.dst_layout() == Layout::Nchw) }
    }

    /// The tiles of a whole unit's dst.
    pub fn grid(self, problem: &Problem) -> Grid {
        let (pixels, channels) = tile_size(problem.out_pixels(), problem.group_out());
        dst_grid(problem, pixels, channels)
    }

    /// dst ← product + β·dst, then the epilogue, tile by tile.
    pub fn multiply(self, unit: &Unit<'_>, stored_image: Matrix<'_>, dst: MatrixMut<'_>) {
        let problem = unit.problem;
        let kernel = self.kernel(unit.weights, problem.group_out(), problem.depth());
        let image = self.image(stored_image);
        let (first, second) = match self.dst_layout() {
            Layout::Nchw => (kernel, image),
            Layout::Nhwc => (image, kernel),
        };
        unit.pool.for_each_tile_plain(dst, self.grid(problem), |tile, mut view| {
            let first_channel = match self.dst_layout() {
                Layout::Nchw => tile.rows.start,
                Layout::Nhwc => tile.cols.start,
            };
            let depth = 0..problem.depth();
            let a = first.part(tile.rows, depth.clone());
            let b = second.part(depth, tile.cols);
            unit.gemm.multiply(view.reborrow(), a, b, unit.beta());
            unit.finish(&mut view, first_channel);
        });
    }

    /// The GEMM calls of [`Form::multiply`]; `image_ld` is the stored image's leading dimension.
    pub fn cost(self, problem: &Problem, image_ld: usize) -> Cost {
        let grid = self.grid(problem);
        let tile = grid.tile(0);
        let dst_ld = match self.dst_layout() {
            Layout::Nchw => problem.out_pixels(),
            Layout::Nhwc => problem.out_channels,
        };
        let calls = Calls {
            shape: [tile.rows.len(), tile.cols.len(), problem.depth()],
            count: grid.tiles(),
            macs: work(&[problem.out_pixels(), problem.group_out(), problem.depth()]),
            plane: if self.dst_layout() == Layout::Nchw { image_ld } else { 0 },
        };
        let largest_size = [problem.group_out(), problem.out_pixels(), problem.depth(), image_ld, dst_ld]
            .into_iter()
            .max()
            .unwrap_or_default();
        let (pixels, _) = tile_size(problem.out_pixels(), problem.group_out());
        let passes = problem.out_pixels().div_ceil(pixels);
        let streamed = weights_streamed(problem, passes);
        // As the second factor they are packed from a part of each row, not being in blocks.
        let cached = match self.dst_layout() {
            Layout::Nchw => 0.0,
            Layout::Nhwc => 2.0 * work(&[problem.group_out(), problem.depth(), passes]),
        };
        Cost { calls: Some(calls), largest_size, tiles: grid.tiles(), streamed, cached, ..Cost::default() }
    }
}
