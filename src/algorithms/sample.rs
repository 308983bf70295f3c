//! `taps-by-pixel`: for each output pixel and each of its taps, dst[1 × M] += src[1 × C] · weights[C × M].
//! Workspace: 0.
//! Wins nowhere: it shows how an algorithm is added.
//! Source: the definition.

use super::{Algorithm, Calls, Cost, Limits, Reason, Unit, Workspace, require_layouts, work};
use crate::lowering::weights::{IJCM, WeightOrder};
use crate::matrix::{Grid, Matrix, MatrixMut};
use crate::problem::{Layout, Problem};

pub struct TapsByPixel;

impl Algorithm for TapsByPixel {
    fn applicable(&self, problem: &Problem) -> Result<(), Reason> {
        require_layouts(problem, Layout::Nhwc, Layout::Nhwc)
    }

    fn weight_order(&self, _: &Problem) -> WeightOrder {
        IJCM
    }

    fn workspace(&self, _: &Problem, limits: Limits) -> Option<Workspace> {
        Workspace::none(limits)
    }

    fn cost(&self, problem: &Problem, _: &Workspace) -> Cost {
        let Problem { rows, cols, .. } = problem;
        let count = rows.count_inside().saturating_mul(cols.count_inside());
        let (depth, channels) = (problem.group_in(), problem.group_out());
        let calls =
            Calls { shape: [1, channels, depth], count, macs: work(&[count, channels, depth]), plane: 0 };
        let largest_size = problem.in_channels.max(problem.out_channels);
        Cost { calls: Some(calls), largest_size, tiles: problem.out_pixels(), ..Cost::default() }
    }

    fn run(&self, unit: &Unit<'_>, dst: MatrixMut<'_>, _: &Workspace, _: &mut [f32]) {
        let Problem { rows, cols, accumulate, .. } = *unit.problem;
        let (depth, channels) = (unit.problem.group_in(), unit.problem.group_out());
        let grid = Grid::new(unit.problem.out_pixels(), channels, 1, channels);
        unit.pool.for_each_tile_plain(dst, grid, |tile, mut pixel| {
            if !accumulate {
                pixel.fill(0.0);
            }
            let (y, x) = (tile.rows.start / cols.output, tile.rows.start % cols.output);
            for i in rows.taps_of_output(y) {
                for j in cols.taps_of_output(x) {
                    let src = unit.src.at(0, rows.input_of(y, i), cols.input_of(x, j));
                    let src = Matrix::new(src, 1, depth, depth);
                    let tap = &unit.weights[(i * cols.kernel + j) * depth * channels..];
                    let tap = Matrix::new(tap, depth, channels, channels);
                    unit.gemm.multiply(pixel.reborrow(), src.into(), tap.into(), 1.0);
                }
            }
            unit.finish(&mut pixel, 0);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gemm::Backend;
    use crate::lowering::image::Image;
    use crate::lowering::weights::Packing;
    use crate::parallel::Pool;
    use crate::problem::Axis;
    use crate::reference::{Tensors, output};

    /// The README shows this file, and what it shows computes the definition.
    #[test]
    fn the_sample_of_the_readme_is_an_algorithm() {
        let axis = |input, stride| Axis { stride, pad_before: 1, ..Axis::dense(input, 3) };
        let problem = Problem::new(Problem {
            batch: 1,
            in_channels: 3,
            out_channels: 5,
            groups: 1,
            rows: axis(6, 1),
            cols: axis(7, 2),
            src_layout: Layout::Nhwc,
            dst_layout: Layout::Nhwc,
            weights_layout: crate::WeightsLayout::Oihw,
            clamp: None,
            accumulate: true,
        })
        .expect("a small problem");
        assert!(TapsByPixel.applicable(&problem).is_ok());
        let values = |len: usize| -> Vec<f32> { (0..len).map(|index| (index % 7) as f32 - 3.0).collect() };
        let (src, weights) = (values(problem.src_len()), values(problem.weights_len()));
        let (bias, before) = (values(problem.out_channels), values(problem.dst_len()));
        let packing = Packing::new(&problem, TapsByPixel.weight_order(&problem));
        let mut blob = crate::Buffer::new(packing.bytes().expect("small weights")).expect("a few bytes");
        packing.pack(&weights, blob.bytes_mut());
        let workspace = TapsByPixel.workspace(&problem, Limits { threads: 2, floats: 0 }).expect("none");
        let unit = Unit {
            problem: &problem,
            src: Image::new(&problem, &src, 0, 0),
            weights: packing.unpack(blob.bytes()).expect("just packed"),
            bias: Some(&bias),
            gemm: Backend::Embedded.gemm(),
            pool: &Pool::new(2).expect("two threads"),
        };
        let mut dst = before.clone();
        let (pixels, channels) = (problem.out_pixels(), problem.out_channels);
        TapsByPixel.run(&unit, MatrixMut::new(&mut dst, pixels, channels, channels), &workspace, &mut []);
        let tensors = Tensors { src: &src, weights: &weights, bias: Some(&bias), dst_before: &before };
        for (at, value) in dst.iter().enumerate() {
            let (pixel, m) = (at / channels, at % channels);
            let place = [0, m, pixel / problem.cols.output, pixel % problem.cols.output];
            assert_eq!(f64::from(*value), output(&problem, &tensors, place).value, "{place:?}");
        }
        assert!(TapsByPixel.cost(&problem, &workspace).calls.is_some());
    }
}
