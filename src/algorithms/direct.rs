//! `direct-sum2d`: `dst[m]` = Σ over c of the single-channel convolution of `src[c]` with `weights[m, c]`.
//! Workspace: 0.
//! Wins where a GEMM call costs more than the arithmetic; serves every problem, so AUTO never fails.
//! Source: the definition; name of arXiv 1709.03395.

use super::algorithm::{Algorithm, Declined, Limits, Prepared, Unit, ready};
use super::cost::{Cost, work};
use crate::lowering::weights::{IJCM, MCIJ, WeightOrder};
use crate::matrix::{Grid, MatrixMut};
use crate::problem::{Layout, Problem};

/// The definition, with the innermost loop along whatever lies contiguous in dst.
pub struct DirectSum2d;

struct PreparedDirectSum2d {
    problem: Problem,
}

impl Algorithm for DirectSum2d {
    fn prepare(&self, problem: &Problem, _: Limits) -> Result<Box<dyn Prepared>, Declined> {
        ready(PreparedDirectSum2d { problem: *problem })
    }
}

impl Prepared for PreparedDirectSum2d {
    fn weight_order(&self) -> WeightOrder {
        match self.problem.dst_layout {
            Layout::Nchw => MCIJ,
            Layout::Nhwc => IJCM,
        }
    }

    fn cost(&self) -> Cost {
        let problem = &self.problem;
        let macs = work(&[problem.group_out(), problem.out_pixels(), problem.depth()]);
        let direct_run_len = match problem.dst_layout {
            Layout::Nchw => problem.cols.output,
            Layout::Nhwc => problem.group_out(),
        };
        // Rows that are gathered from pixels or columns apart cost a load an element.
        let gathered = problem.dst_layout == Layout::Nchw
            && (problem.src_layout == Layout::Nhwc || problem.cols.stride > 1);
        Cost {
            direct_runs: macs / direct_run_len as f64,
            direct_run_len,
            scattered: if gathered { macs } else { 0.0 },
            ..Cost::default()
        }
    }

    fn run(&self, unit: &Unit<'_>, dst: MatrixMut<'_>, _: &mut [f32]) {
        let (channels, pixels) = (self.problem.group_out(), self.problem.out_pixels());
        match self.problem.dst_layout {
            Layout::Nchw => {
                unit.pool.for_each_tile_plain(
                    dst,
                    Grid::new(channels, pixels, 1, pixels),
                    |tile, mut plane| {
                        add_plane(unit, tile.rows.start, plane.row_mut(0));
                        unit.finish(&mut plane, tile.rows.start);
                    },
                );
            }
            Layout::Nhwc => {
                let width = self.problem.cols.output;
                unit.pool.for_each_tile_plain(
                    dst,
                    Grid::new(pixels, channels, width, channels),
                    |tile, mut row| {
                        let y = tile.rows.start / width;
                        row.for_each_row(|x, sums| add_pixel(unit, y, x, sums));
                        unit.finish(&mut row, 0);
                    },
                );
            }
        }
    }
}

/// One output channel: the sum of its single-channel convolutions.
fn add_plane(unit: &Unit<'_>, m: usize, plane: &mut [f32]) {
    let problem = unit.problem;
    let (rows, cols) = (&problem.rows, &problem.cols);
    if !problem.accumulate {
        plane.fill(0.0);
    }
    let mut weights = unit.weights[m * problem.depth()..].iter();
    let step = unit.src.pixel * cols.stride;
    for c in 0..problem.group_in() {
        for i in 0..rows.kernel {
            for (j, &weight) in (0..cols.kernel).zip(&mut weights) {
                let xs = cols.outputs_of_tap(j);
                if xs.is_empty() {
                    continue;
                }
                for y in rows.outputs_of_tap(i) {
                    let sums = &mut plane[y * cols.output..][xs.clone()];
                    let pixels = unit.src.at(c, rows.input_of(y, i), cols.input_of(xs.start, j));
                    if step == 1 {
                        sums.iter_mut().zip(pixels).for_each(|(sum, pixel)| *sum += weight * pixel);
                    } else {
                        let pixels = pixels.iter().step_by(step);
                        sums.iter_mut().zip(pixels).for_each(|(sum, pixel)| *sum += weight * pixel);
                    }
                }
            }
        }
    }
}

/// One output pixel with all channels of the group.
fn add_pixel(unit: &Unit<'_>, y: usize, x: usize, sums: &mut [f32]) {
    let problem = unit.problem;
    let (rows, cols) = (&problem.rows, &problem.cols);
    let channels = problem.group_in();
    if !problem.accumulate {
        sums.fill(0.0);
    }
    for i in rows.taps_of_output(y) {
        for j in cols.taps_of_output(x) {
            let pixel = unit.src.at(0, rows.input_of(y, i), cols.input_of(x, j));
            let tap = &unit.weights[(i * cols.kernel + j) * channels * sums.len()..];
            for (c, weights) in tap.chunks_exact(sums.len()).take(channels).enumerate() {
                let value = pixel[c * unit.src.channel];
                sums.iter_mut().zip(weights).for_each(|(sum, weight)| *sum += weight * value);
            }
        }
    }
}
