//! `taps-by-pixel`: for each output pixel and each of its taps, dst[1 × M] += src[1 × C] · weights[C × M].
//! Workspace: 0.
//! Wins nowhere: it shows how to add an algorithm.
//! Source: the definition.

use convlow_kernels::matrix::{Matrix, MatrixMut};

use super::algorithm::{Algorithm, Declined, Element, Limits, Prepared, Ready, Unit, ready};
use super::cost::{Calls, Cost, work};
use crate::lowering::image::image_of;
use crate::lowering::weights::{IJCM, WeightOrder};
use crate::problem::Problem;
use crate::tiles::{EachTile, Grid};

pub struct TapsByPixel;

struct PreparedTapsByPixel {
    problem: Problem,
}

impl Algorithm for TapsByPixel {
    fn prepare(&self, problem: &Problem, _: Limits) -> Result<Box<dyn Ready>, Declined> {
        ready(PreparedTapsByPixel { problem: *problem })
    }
}

impl Prepared for PreparedTapsByPixel {
    fn weight_order(&self) -> WeightOrder {
        IJCM
    }

    fn cost(&self) -> Cost {
        let problem = &self.problem;
        let count = problem.rows.count_inside().saturating_mul(problem.cols.count_inside());
        let (depth, channels) = (problem.group_in(), problem.group_out());
        let macs = work(&[count, channels, depth]);
        let calls = Calls { shape: [1, channels, depth], count, macs, plane: 0 };
        let largest_size = problem.in_channels.max(problem.out_channels);
        Cost { calls: Some(calls), largest_size, tiles: problem.out_pixels(), ..Cost::default() }
    }

    fn run<T: Element>(&self, unit: &Unit<'_, T>, dst: MatrixMut<'_, T>, _: &mut [T]) {
        let Problem { rows, cols, accumulate, .. } = self.problem;
        let (depth, channels) = (self.problem.group_in(), self.problem.group_out());
        let grid = Grid::new(self.problem.out_pixels(), channels, 1, channels);
        unit.pool.for_each_tile_plain(dst, grid, |tile, mut pixel| {
            if !accumulate {
                pixel.fill(T::ZERO);
            }
            let (y, x) = (tile.rows.start / cols.output, tile.rows.start % cols.output);
            for i in rows.taps_of_output(y) {
                for j in cols.taps_of_output(x) {
                    let src = unit.src.at(0, rows.input_of(y, i), cols.input_of(x, j));
                    let src = Matrix::new(src, 1, depth, depth);
                    let tap = &unit.weights[(i * cols.kernel + j) * depth * channels..];
                    let tap = Matrix::new(tap, depth, channels, channels);
                    unit.multiply(pixel.reborrow(), src.into(), tap.into(), T::ONE);
                }
            }
            unit.finish(&mut pixel, 0);
        });
    }
}

#[cfg(test)]
mod tests {
    use convlow_threads::Pool;

    use super::*;
    use crate::gemm::Backend;
    use crate::problem::{Axis, Layout};
    use crate::reference::{Tensors, output};

    /// CONTRIBUTING.md shows this file. The algorithm in it computes the definition.
    #[test]
    fn the_sample_of_the_documents_is_an_algorithm() {
        let axis = |input, stride| Axis { stride, pad_before: 1, ..Axis::dense(input, 3) };
        let problem = Problem::new(Problem {
            in_channels: 3,
            out_channels: 5,
            rows: axis(6, 1),
            cols: axis(7, 2),
            src_layout: Layout::Nhwc,
            dst_layout: Layout::Nhwc,
            accumulate: true,
            ..Problem::UNIT
        })
        .expect("a small problem");
        let limits = Limits::new(2, 0);
        let prepared = TapsByPixel.prepare(&problem, limits).expect("it computes everything in NHWC");
        let values = |len: usize| -> Vec<f32> { (0..len).map(|index| (index % 7) as f32 - 3.0).collect() };
        let (src, weights) = (values(problem.src_len()), values(problem.weights_len()));
        let (bias, before) = (values(problem.out_channels), values(problem.dst_len()));
        let packing = prepared.packing(&problem);
        let mut blob = crate::Buffer::new(packing.bytes().expect("small weights")).expect("a few bytes");
        packing.pack(&weights, blob.bytes_mut());
        let unit = Unit {
            problem: &problem,
            // SAFETY: src is the whole tensor, and nobody writes it.
            src: unsafe { image_of(&problem, src.as_ptr(), 0, &(0..1)) },
            weights: packing.unpack(blob.bytes()).expect("just packed"),
            bias: Some(&bias),
            slopes: None,
            gemm: Some(Backend::Embedded.gemm()),
            pool: &Pool::new(2).expect("two threads"),
        };
        let mut dst = before.clone();
        let (pixels, channels) = (problem.out_pixels(), problem.out_channels);
        prepared.run_f32(&unit, MatrixMut::new(&mut dst, pixels, channels, channels), &mut []);
        let tensors =
            Tensors { src: &src, weights: &weights, bias: Some(&bias), slopes: None, dst_before: &before };
        for (at, value) in dst.iter().enumerate() {
            let (pixel, m) = (at / channels, at % channels);
            let place = [0, m, 0, pixel / problem.cols.output, pixel % problem.cols.output];
            assert_eq!(f64::from(*value), output(&problem, &tensors, place).value, "{place:?}");
        }
        assert!(prepared.cost().calls.is_some());
    }
}
