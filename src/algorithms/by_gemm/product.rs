//! [`Form`]: the eight ways to write kernel matrix times image matrix as one GEMM. [`Product`]: one of them for a
//! problem, divided into tiles.
//!
//! D is the depth of the sum, P the number of pixels. `ki` gives M × P (an NCHW dst), `ik` gives P × M (an NHWC dst).
//! A `t` says that the factor before it is stored transposed and passed with the transpose flag.

use convlow_kernels::matrix::{Matrix, MatrixMut, Operand};

use crate::algorithms::algorithm::{Element, Unit};
use crate::algorithms::cost::{Calls, Cost, weights_streamed, work};
use crate::algorithms::tiling::dst_grid;
use crate::lowering::weights::{CIJM, IJCM, MCIJ, MIJC, WeightOrder};
use crate::problem::{Layout, Problem};
use crate::tiles::{EachTile, Grid};

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
pub fn gemm_tile(pixels: usize, channels: usize) -> (usize, usize) {
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
    pub fn kernel<'a, T: Element>(self, weights: &'a [T], m: usize, depth: usize) -> Operand<'a, T> {
        let (rows, cols) = if self.kernel_by_output() { (m, depth) } else { (depth, m) };
        let stored = Matrix::new(weights, rows, cols, cols);
        let transposed = self.kernel_by_output() != (self.dst_layout() == Layout::Nchw);
        Operand { stored, transposed }
    }

    /// The stored image matrix as the D × P factor of a `ki`, the P × D factor of an `ik`.
    pub fn image<T: Element>(self, stored: Matrix<'_, T>) -> Operand<'_, T> {
        Operand { stored, transposed: self.image_by_depth() != (self.dst_layout() == Layout::Nchw) }
    }
}

/// Kernel matrix times image matrix for a whole unit's dst.
pub struct Product {
    form: Form,
    pub problem: Problem,
    /// The tiles of dst.
    grid: Grid,
    /// How often the kernel matrix is read.
    passes: usize,
}

impl Product {
    pub fn new(form: Form, problem: &Problem) -> Self {
        let (pixels, channels) = (problem.out_pixels(), problem.group_out());
        let tile = gemm_tile(pixels, channels);
        let grid = dst_grid(problem.dst_layout, (pixels, channels), tile);
        Self { form, problem: *problem, grid, passes: pixels.div_ceil(tile.0) }
    }

    /// dst ← product + β·dst, then the epilogue, tile by tile.
    pub fn multiply<T: Element>(
        &self,
        unit: &Unit<'_, T>,
        stored_image: Matrix<'_, T>,
        dst: MatrixMut<'_, T>,
    ) {
        let (form, problem) = (self.form, &self.problem);
        let kernel = form.kernel(unit.weights, problem.group_out(), problem.depth());
        let image = form.image(stored_image);
        let (first, second) = match form.dst_layout() {
            Layout::Nchw => (kernel, image),
            Layout::Nhwc => (image, kernel),
        };
        unit.pool.for_each_tile_plain(dst, self.grid, |tile, mut view| {
            let first_channel = match form.dst_layout() {
                Layout::Nchw => tile.rows.start,
                Layout::Nhwc => tile.cols.start,
            };
            let depth = 0..problem.depth();
            let a = first.part(tile.rows, depth.clone());
            let b = second.part(depth, tile.cols);
            unit.multiply(view.reborrow(), a, b, unit.beta());
            unit.finish(&mut view, first_channel);
        });
    }

    /// The cost of [`Product::multiply`]; `image_ld` is the stored image's leading dimension.
    pub fn cost(&self, image_ld: usize) -> Cost {
        let (problem, tile) = (&self.problem, self.grid.tile(0));
        let (pixels, channels, depth) = (problem.out_pixels(), problem.group_out(), problem.depth());
        let by_channels = self.form.dst_layout() == Layout::Nchw;
        let calls = Calls {
            shape: [tile.rows.len(), tile.cols.len(), depth],
            count: self.grid.tiles(),
            macs: work(&[pixels, channels, depth]),
            plane: if by_channels { image_ld } else { 0 },
        };
        let dst_ld = if by_channels { pixels } else { problem.out_channels };
        // As the second factor they are packed from a part of each row, not being in blocks.
        let cached = if by_channels { 0.0 } else { 2.0 * work(&[channels, depth, self.passes]) };
        Cost {
            calls: Some(calls),
            largest_size: [channels, pixels, depth, image_ld, dst_ld].into_iter().fold(0, usize::max),
            tiles: self.grid.tiles(),
            streamed: weights_streamed(problem, self.passes),
            cached,
            ..Cost::default()
        }
    }
}
