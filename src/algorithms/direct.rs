//! `direct-sum2d`: `dst[m]` = Σ over c of the single-channel convolution of `src[c]` with `weights[m, c]`.
//! Workspace: 0.
//! Wins if a GEMM call costs more than the arithmetic; takes every problem, so that AUTO always finds an algorithm.
//! Source: the definition; name of arXiv 1709.03395.

use convlow_kernels::class::Class;
use convlow_kernels::matrix::MatrixMut;

use super::algorithm::{Algorithm, Declined, Element, Limits, Prepared, Ready, Unit, ready};
use super::cost::{Cost, work};
use crate::lowering::weights::{IJCM, MCIJ, WeightOrder};
use crate::problem::{Layout, Problem};
use crate::tiles::{EachTile, Grid};

/// The definition, with the innermost loop along whatever lies contiguous in dst.
pub struct DirectSum2d;

struct PreparedDirectSum2d {
    problem: Problem,
}

impl Algorithm for DirectSum2d {
    fn prepare(&self, problem: &Problem, _: Limits) -> Result<Box<dyn Ready>, Declined> {
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

    fn run<T: Element>(&self, unit: &Unit<'_, T>, dst: MatrixMut<'_, T>, _: &mut [T]) {
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
                let (height, width) = (self.problem.rows.output, self.problem.cols.output);
                unit.pool.for_each_tile_plain(
                    dst,
                    Grid::new(pixels, channels, width, channels),
                    |tile, mut row| {
                        let y = tile.rows.start / width;
                        row.for_each_row(|x, sums| add_pixel(unit, [y / height, y % height, x], sums));
                        unit.finish(&mut row, 0);
                    },
                );
            }
        }
    }
}

/// One output channel: the sum of its single-channel convolutions.
fn add_plane<T: Element>(unit: &Unit<'_, T>, m: usize, plane: &mut [T]) {
    let problem = unit.problem;
    if !problem.accumulate {
        plane.fill(T::ZERO);
    }
    let weights = &unit.weights[m * problem.depth()..][..problem.depth()];
    let geometry = problem.geometry();
    let classes = |axis: usize| geometry.classes(axis, &(0..geometry.axes[axis].output));
    for z in classes(0) {
        for y in classes(1) {
            for x in classes(2) {
                for (c, weights) in weights.chunks_exact(problem.taps()).enumerate() {
                    add_class(unit, c, [&z, &y, &x], weights, plane);
                }
            }
        }
    }
}

/// The outputs of a class: the sum over its taps of an input channel. The weights are all taps'.
fn add_class<T: Element>(unit: &Unit<'_, T>, c: usize, classes: [&Class; 3], weights: &[T], plane: &mut [T]) {
    let problem = unit.problem;
    let (first_tap, steps) = (problem.geometry().first_tap(classes), problem.geometry().class_steps());
    let [z_axis, y_axis, x_axis] = classes.map(|class| &class.axis);
    let taps = |at: usize| 0..classes[at].axis.kernel;
    let place = |at: usize, output: usize| classes[at].first_output + output * classes[at].output_step;
    let (dst_step, src_step) = (classes[2].output_step, unit.src.pixel * x_axis.step());
    for [h, i, j] in taps(0).flat_map(|h| taps(1).flat_map(move |i| taps(2).map(move |j| [h, i, j]))) {
        let [zs, ys, xs] = [z_axis.outputs_of_tap(h), y_axis.outputs_of_tap(i), x_axis.outputs_of_tap(j)];
        if xs.is_empty() {
            continue;
        }
        let weight = weights[number_of_tap(first_tap, steps, [h, i, j])];
        for (z, y) in zs.flat_map(|z| ys.clone().map(move |y| (z, y))) {
            let row = (place(0, z) * problem.rows.output + place(1, y)) * problem.cols.output;
            let sums = &mut plane[row + place(2, xs.start)..];
            let input = [
                classes[0].first_input + z_axis.input_of(z, h),
                classes[1].first_input + y_axis.input_of(y, i),
                classes[2].first_input + x_axis.input_of(xs.start, j),
            ];
            let pixels = unit.src.planes_from(input[0]).at(c, input[1], input[2]);
            let add = |(sum, pixel): (&mut T, &T)| *sum += weight * *pixel;
            match (dst_step, src_step) {
                (1, 1) => sums.iter_mut().zip(pixels.run(0, xs.len())).for_each(add),
                _ => {
                    let sums = sums.iter_mut().step_by(dst_step).take(xs.len());
                    sums.enumerate().for_each(|(at, sum)| *sum += weight * pixels.value(at * src_step));
                }
            }
        }
    }
}

/// The number of a class's tap, as the weights count taps.
fn number_of_tap(first: usize, steps: [(usize, usize); 3], tap: [usize; 3]) -> usize {
    tap.into_iter()
        .zip(steps)
        .fold(first, |number, (tap, (_, step))| number.wrapping_add(tap.wrapping_mul(step)))
}

/// One output pixel with all channels of the group.
fn add_pixel<T: Element>(unit: &Unit<'_, T>, output: [usize; 3], sums: &mut [T]) {
    let problem = unit.problem;
    let channels = problem.group_in();
    if !problem.accumulate {
        sums.fill(T::ZERO);
    }
    let geometry = problem.geometry();
    let classes: [Class; 3] = std::array::from_fn(|at| geometry.class_of(at, output[at]));
    let (first_tap, steps) = (geometry.first_tap(classes.each_ref()), geometry.class_steps());
    // The output as its class counts, the taps that it sees, and where each of them reads.
    let of_class: [usize; 3] =
        std::array::from_fn(|at| (output[at] - classes[at].first_output) / classes[at].output_step);
    let taps = |at: usize| classes[at].axis.taps_of_output(of_class[at]);
    let input =
        |at: usize, tap: usize| classes[at].first_input + classes[at].axis.input_of(of_class[at], tap);
    for h in taps(0) {
        let plane = unit.src.planes_from(input(0, h));
        for (i, j) in taps(1).flat_map(|i| taps(2).map(move |j| (i, j))) {
            let pixel = plane.at(0, input(1, i), input(2, j));
            let tap = number_of_tap(first_tap, steps, [h, i, j]);
            let tap = &unit.weights[tap * channels * sums.len()..];
            let of_channels = tap.chunks_exact(sums.len()).take(channels);
            let mut add = |value: T, weights: &[T]| {
                sums.iter_mut().zip(weights).for_each(|(sum, weight)| *sum += *weight * value)
            };
            match unit.src.channel {
                1 => pixel.run(0, channels).iter().zip(of_channels).for_each(|(value, of)| add(*value, of)),
                step => of_channels.enumerate().for_each(|(c, of)| add(pixel.value(c * step), of)),
            }
        }
    }
}
