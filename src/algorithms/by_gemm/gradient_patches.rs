//! `gradient-im2col`, `gradient-im2row`: dw\[M × D\] = Σ over images of dyᵀ\[M × P\]·patches\[P × D\], or its transpose, with
//! D = C·Kh·Kw.
//! Workspace: C·Kh·Kw·OH·OW, the patch matrix of one group of one image.
//! Wins where im2col wins: stride, dilation, or very few channels.
//! Source: the classic lowering (Chellapilla, Puri, Simard 2006), as frameworks compute gradients with a BLAS.

use convlow_kernels::gradient::{Extent, Partition, WeightsMut};
use convlow_kernels::image::Image;
use convlow_kernels::matrix::{Matrix, MatrixMut, Operand};

use super::gradient_kn2row::BIAS_LANES;
use super::patches::{Fill, copy_patch, fill_channel, spread_patch};
use super::product::gemm_tile;
use crate::algorithms::algorithm::{
    Declined, Element, GradientUnit, Limits, PreparedGradient, ReadyGradient, Roles, Scratch, boxed_gradient,
};
use crate::algorithms::cost::{Calls, Cost, work};
use crate::algorithms::gradient::{Form, GradientAlgorithm, PIXELS_OF_PART, bias};
use crate::lowering::image::matrix_of;
use crate::problem::{Layout, Problem};
use crate::tiles::{EachTile, Grid, for_each_block_of_group};

/// How the patch matrix of an image lies.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum GradientPatches {
    /// D × P, from planes.
    Im2col,
    /// P × D, from channels that lie side by side.
    Im2row,
}

struct PreparedGradientPatches {
    variant: GradientPatches,
    form: Form,
    /// Whether a patch's taps lie side by side, rather than its channels: as the weights do.
    taps_innermost: bool,
    /// Whether lanes are the elements of a patch, which lie side by side in the weights.
    lanes_are_depth: bool,
    /// The weights of a group as one matrix.
    partition: Partition,
    scratch: Scratch,
}

impl GradientAlgorithm for GradientPatches {
    fn prepare(&self, problem: &Problem, _: Limits) -> Result<Box<dyn ReadyGradient>, Declined> {
        let form = Form::by_definition(problem);
        let Extent { counts: [outputs, inputs, taps], steps: [of_output, of_input, of_tap], .. } =
            form.extent;
        let taps_innermost = taps > 1 && (inputs == 1 || of_tap < of_input);
        let of_depth = if taps_innermost { of_tap } else { of_input };
        let depth = inputs * taps;
        let lanes_are_depth = of_depth == 1 || depth == 1 && of_output != 1;
        let (depth_block, output_block) = gemm_tile(depth, outputs);
        let (counts, step, block) = match lanes_are_depth {
            true => ([depth, outputs, 1], of_output, [depth_block, output_block, 1]),
            false => ([outputs, depth, 1], of_depth, [output_block, depth_block, 1]),
        };
        let partition = Partition { of: Extent { counts, steps: [1, step, 1], ..form.extent }, block };
        let scratch = Scratch::shared(&[depth, form.lanes.in_pixels()])?;
        let variant = *self;
        boxed_gradient(PreparedGradientPatches {
            variant,
            form,
            taps_innermost,
            lanes_are_depth,
            partition,
            scratch,
        })
    }
}

impl PreparedGradientPatches {
    fn depth(&self) -> usize {
        self.form.rows.depth()
    }

    fn pixels(&self) -> usize {
        self.form.lanes.in_pixels()
    }

    /// Fills the patch matrix of a group of an image.
    fn fill<T: Element>(&self, unit: &GradientUnit<'_, T>, image: &Image<'_, T>, scratch: &mut [T]) {
        match self.variant {
            GradientPatches::Im2col => self.fill_columns(unit, image, scratch),
            GradientPatches::Im2row => self.fill_rows(unit, image, scratch),
        }
    }

    /// The rows of a channel's taps at a time.
    fn fill_columns<T: Element>(&self, unit: &GradientUnit<'_, T>, image: &Image<'_, T>, scratch: &mut [T]) {
        let (problem, depth, pixels) = (&self.form.rows, self.depth(), self.pixels());
        let (taps, channels) = (problem.taps(), problem.group_in());
        let (rows, cols) = if self.taps_innermost { (depth, pixels) } else { (taps, channels * pixels) };
        let patches = MatrixMut::new(scratch, rows, cols, cols);
        unit.pool.for_each_tile_plain(patches, Grid::new(rows, cols, taps, pixels), |tile, mut patches| {
            let channel = image.channels_from(tile.rows.start / taps + tile.cols.start / pixels);
            fill_channel(Fill::CopyShort, problem, &channel, &mut patches);
        });
    }

    /// The patches of a row of pixels at a time.
    fn fill_rows<T: Element>(&self, unit: &GradientUnit<'_, T>, image: &Image<'_, T>, scratch: &mut [T]) {
        let (problem, depth, pixels) = (&self.form.rows, self.depth(), self.pixels());
        let fill = if self.taps_innermost { spread_patch } else { copy_patch };
        let (height, width) = (problem.rows.output, problem.cols.output);
        let patches = MatrixMut::new(scratch, pixels, depth, depth);
        unit.pool.for_each_tile_plain(
            patches,
            Grid::new(pixels, depth, width, depth),
            |tile, mut patches| {
                let row = tile.rows.start / width;
                patches.for_each_row(|x, patch| fill(problem, image, [row / height, row % height, x], patch));
            },
        );
    }

    /// Adds an image's products to the gradient of a group.
    fn multiply<T: Element>(
        &self,
        unit: &GradientUnit<'_, T>,
        (weights, group): (&WeightsMut<'_, T>, usize),
        [patches, dy]: [Operand<'_, T>; 2],
        is_first: bool,
    ) {
        let (first, second) = if self.lanes_are_depth { (dy, patches) } else { (patches, dy) };
        for_each_block_of_group(unit.pool, weights, group, |mut block| {
            let mut beta = if is_first && !block.is_added() { T::ZERO } else { T::ONE };
            let [lanes, rows, _] = block.block.ranges.clone();
            let mut matrix = block.matrix().expect("the weights of a group are a matrix");
            for from in (0..self.pixels()).step_by(PIXELS_OF_PART) {
                let depth = from..(from + PIXELS_OF_PART).min(self.pixels());
                let a = first.part(depth.clone(), rows.clone()).t();
                let b = second.part(depth, lanes.clone());
                unit.multiply(matrix.reborrow(), a, b, beta);
                beta = T::ONE;
            }
        });
    }
}

impl PreparedGradient for PreparedGradientPatches {
    fn roles(&self) -> Roles<'_> {
        self.form.roles()
    }

    fn scratch(&self) -> Scratch {
        self.scratch
    }

    fn cost(&self) -> Cost {
        let Self { form, partition, .. } = self;
        let (pixels, depth) = (self.pixels(), self.depth());
        let units = work(&[form.batch(), form.extent.groups]);
        let [lanes, rows, _] = partition.block;
        let calls = Calls {
            shape: [rows, lanes, pixels.min(PIXELS_OF_PART)],
            count: form
                .batch()
                .saturating_mul(partition.blocks())
                .saturating_mul(pixels.div_ceil(PIXELS_OF_PART)),
            macs: units * work(&[pixels, depth, form.lanes.group_in()]),
            plane: 0,
        };
        let moved = 2.0 * units * self.scratch.elements as f64;
        let is_scattered = self.variant == GradientPatches::Im2row && self.taps_innermost;
        Cost {
            calls: Some(calls),
            largest_size: [pixels, depth, form.lanes.channel_strides()[0]].into_iter().fold(0, usize::max),
            tiles: partition.blocks() / form.extent.groups,
            streamed: if is_scattered { 0.0 } else { moved },
            scattered: if is_scattered { moved } else { 0.0 },
            ..Cost::default()
        }
    }

    fn run<T: Element>(&self, unit: &mut GradientUnit<'_, T>, scratch: &mut [T]) {
        bias(unit, (BIAS_LANES, self.form.length), &mut [], unit.pool.threads());
        let Some(weights) = unit.diff_weights.take() else { return };
        if self.form.sees_nothing() || self.form.batch() == 0 {
            if !unit.accumulate {
                weights.fill(T::ZERO);
            }
            return;
        }
        let weights = WeightsMut::new(weights, self.partition, unit.accumulate);
        let (unit, depth, pixels) = (&*unit, self.depth(), self.pixels());
        for image in 0..self.form.batch() {
            for group in 0..self.form.extent.groups {
                let groups = group..group + 1;
                self.fill(unit, &unit.rows.image(image, &groups), scratch);
                let patches: Operand<'_, T> = match self.variant {
                    GradientPatches::Im2col => Matrix::new(&*scratch, depth, pixels, pixels).t(),
                    GradientPatches::Im2row => Matrix::new(&*scratch, pixels, depth, depth).into(),
                };
                let dy = matrix_of(&unit.lanes.image(image, &groups), &self.form.lanes);
                let dy = if self.form.lanes.src_layout == Layout::Nchw { dy.t() } else { dy.into() };
                self.multiply(unit, (&weights, group), [patches, dy], image == 0);
            }
        }
    }
}
