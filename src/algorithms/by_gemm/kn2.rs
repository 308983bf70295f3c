//! `kn2row`, `kn2col` and their accumulating forms: dst[m, y, x] = Σ over taps (i,j) of the 1×1 convolution with
//! weights[·,·,i,j], read at a distance of (i·d−pad, j·d−pad), or, in a transposed convolution, written at a distance of it to
//! every s-th output. `col2im` and `row2im` are the same two in the layouts in which others compute transposed convolutions and
//! gradients of the data: columns of all taps, added where they belong.
//! Workspace: Kh·Kw·M·H·W, but M·H·W for `kn2row-as` and `kn2col-as`.
//! Wins with many channels and small images: it builds no patch, and every GEMM reads src in place.
//! Source: arXiv 1704.04428 (kn2row, kn2col), arXiv 1709.03395 (accumulating).

use convlow_kernels::matrix::{Matrix, MatrixMut, Operand};

use super::product::gemm_tile;
use super::shifted_add::{add_cols, add_pixels, add_rows};
use crate::algorithms::algorithm::{
    Algorithm, Declined, Element, Limits, Prepared, Ready, Scratch, Unit, ready, require,
};
use crate::algorithms::cost::{Calls, Cost, weights_streamed, work};
use crate::algorithms::tiling::pixels_and_channels;
use crate::lowering::image::matrix_of;
use crate::lowering::weights::{CIJM, IJCM, IJMC, WeightOrder};
use crate::problem::{Kind, Layout, Problem};
use crate::tiles::{EachTile, Grid};

/// Which factor comes first, and whether all taps are multiplied at once.
#[derive(Clone, Copy)]
pub enum Kn2 {
    /// (Kh·Kw·M × C)·(C × H·W) in one GEMM, then shifted rows.
    Row,
    /// (H·W × C)·(C × Kh·Kw·M) in one GEMM, then shifted columns.
    Col,
    /// (M × C)·(C × H·W) a tap, each followed by its shifted rows.
    RowAs,
    /// (H·W × C)·(C × M) a tap, each followed by its shifted columns.
    ColAs,
}

impl Kn2 {
    fn at_once(self) -> bool {
        matches!(self, Kn2::Row | Kn2::Col)
    }

    fn by_rows(self) -> bool {
        matches!(self, Kn2::Row | Kn2::RowAs)
    }
}

struct PreparedKn2 {
    variant: Kn2,
    problem: Problem,
    /// Output channels of one GEMM: all taps' or one tap's.
    channels: usize,
    /// The tiles of the products of one GEMM: channels × pixels, or pixels × channels.
    grid: Grid,
    scratch: Scratch,
}

impl PreparedKn2 {
    /// products ← the GEMM of all taps (`weights` whole) or of one tap (`weights` from that tap on).
    fn multiply<T: Element>(&self, unit: &Unit<'_, T>, weights: &[T], products: &mut [T]) {
        let (m, c) = (self.channels, self.problem.group_in());
        let image = matrix_of(&unit.src, &self.problem);
        let (a, b): (Operand<'_, T>, Operand<'_, T>) = if self.variant.by_rows() {
            let image = match self.problem.src_layout {
                Layout::Nchw => image.into(),
                Layout::Nhwc => image.t(),
            };
            (Matrix::new(weights, m, c, c).into(), image)
        } else {
            (image.into(), Matrix::new(weights, c, m, m).into())
        };
        let (rows, cols) = self.grid.size();
        let products = MatrixMut::new(products, rows, cols, cols);
        unit.pool.for_each_tile_plain(products, self.grid, |tile, view| {
            unit.multiply(view, a.part(tile.rows, 0..c), b.part(0..c, tile.cols), T::ZERO);
        });
    }

    /// Adds a tap's products for some channels of dst.
    fn add<T: Element>(&self, tap: [usize; 3], products: &Matrix<'_, T>, dst: &mut MatrixMut<'_, T>) {
        let add = match (self.variant.by_rows(), self.problem.dst_layout) {
            (true, _) => add_rows,
            (false, Layout::Nchw) => add_cols,
            (false, Layout::Nhwc) => add_pixels,
        };
        add(&self.problem, tap, products, dst);
    }

    /// Channels `first..first+count` of tap number `tap`, as a view of the products.
    fn tap_products<'a, T: Element>(
        &self,
        products: &'a [T],
        tap: usize,
        first: usize,
        count: usize,
    ) -> Matrix<'a, T> {
        let (rows, cols) = self.grid.size();
        let products = Matrix::new(products, rows, cols, cols);
        let first = first + if self.variant.at_once() { tap * self.problem.group_out() } else { 0 };
        let channels = first..first + count;
        if self.variant.by_rows() {
            products.part(channels, 0..cols)
        } else {
            products.part(0..rows, channels)
        }
    }
}

impl Algorithm for Kn2 {
    fn prepare(&self, problem: &Problem, _: Limits) -> Result<Box<dyn Ready>, Declined> {
        require(problem.unit_stride() || problem.is(Kind::Transposed), c"needs stride 1")?;
        let taps = if self.at_once() { problem.taps() } else { 1 };
        let scratch = Scratch::shared(&[taps, problem.group_out(), problem.in_pixels()])?;
        let (channels, pixels) = (problem.group_out() * taps, problem.in_pixels());
        let (pixel_block, channel_block) = gemm_tile(pixels, channels);
        let grid = if self.by_rows() {
            Grid::new(channels, pixels, channel_block, pixel_block)
        } else {
            Grid::new(pixels, channels, pixel_block, channel_block)
        };
        ready(PreparedKn2 { variant: *self, problem: *problem, channels, grid, scratch })
    }
}

impl Prepared for PreparedKn2 {
    fn scratch(&self) -> Scratch {
        self.scratch
    }

    fn weight_order(&self) -> WeightOrder {
        match self.variant {
            Kn2::Row | Kn2::RowAs => IJMC,
            Kn2::Col => CIJM,
            Kn2::ColAs => IJCM,
        }
    }

    fn cost(&self) -> Cost {
        let (problem, tile) = (&self.problem, self.grid.tile(0));
        let (at_once, by_rows) = (self.variant.at_once(), self.variant.by_rows());
        let gemms = if at_once { 1 } else { problem.taps() };
        let calls = Calls {
            shape: [tile.rows.len(), tile.cols.len(), problem.group_in()],
            count: gemms.saturating_mul(self.grid.tiles()),
            macs: work(&[problem.taps(), problem.group_out(), problem.in_pixels(), problem.group_in()]),
            plane: if by_rows { problem.in_pixels() } else { 0 },
        };
        // A shifted add reads the products and dst, and writes dst.
        let added = if problem.is(Kind::Transposed) { problem.in_pixels() } else { problem.out_pixels() };
        let moved = 3.0 * work(&[problem.taps(), problem.group_out(), added]);
        let is_alike = by_rows || problem.dst_layout == Layout::Nhwc;
        let (streamed, scattered) = if is_alike { (moved, 0.0) } else { (moved * 2.0 / 3.0, moved / 3.0) };
        let pixels = if by_rows { tile.cols.len() } else { tile.rows.len() };
        Cost {
            calls: Some(calls),
            largest_size: self.channels.max(problem.in_pixels()).max(problem.in_channels),
            streamed: streamed + weights_streamed(problem, problem.in_pixels().div_ceil(pixels)),
            scattered,
            ..Cost::default()
        }
    }

    fn run<T: Element>(&self, unit: &Unit<'_, T>, mut dst: MatrixMut<'_, T>, scratch: &mut [T]) {
        let problem = &self.problem;
        let (channels, pixels) = (problem.group_out(), problem.out_pixels());
        // A few channels a tile: enough for one cache line of a pixel's products.
        let planes = match problem.dst_layout {
            Layout::Nchw => Grid::new(channels, pixels, 16, pixels),
            Layout::Nhwc => Grid::new(pixels, channels, pixels, 64),
        };
        let tap_len = channels * problem.group_in();
        let last = problem.taps() - 1;
        for tap in 0..=last {
            // 1. The products: of all taps before the first one, or of this tap.
            if tap == 0 || !self.variant.at_once() {
                self.multiply(unit, &unit.weights[tap * tap_len..], scratch);
            }
            // 2. The shifted add.
            let (row, j) = (tap / problem.cols.kernel, tap % problem.cols.kernel);
            let tap_of_axes = [row / problem.rows.kernel, row % problem.rows.kernel, j];
            let products = &*scratch;
            unit.pool.for_each_tile_plain(dst.reborrow(), planes, |tile, mut view| {
                if tap == 0 && !problem.accumulate {
                    view.fill(T::ZERO);
                }
                let channels = pixels_and_channels(problem.dst_layout, tile).1;
                let first = channels.start;
                let products = self.tap_products(products, tap, first, channels.len());
                self.add(tap_of_axes, &products, &mut view);
                if tap == last {
                    unit.finish(&mut view, first);
                }
            });
        }
    }
}
