//! The accumulation of the kn2 families. The products of one tap are computed for every input pixel, and added to the
//! outputs that see this pixel through the tap.

use convlow_kernels::matrix::{Matrix, MatrixMut};
use convlow_kernels::number::Number;

use crate::problem::Problem;

/// Adds channel rows. `dst` is M × output pixels, `products` is M × input pixels.
pub fn add_rows<T: Number>(
    problem: &Problem,
    tap: [usize; 3],
    products: &Matrix<'_, T>,
    dst: &mut MatrixMut<'_, T>,
) {
    dst.for_each_row(|m, sums| {
        for (to, from, len) in rows_of_tap(problem, tap) {
            let products = products.data().run(m * products.ld() + from, len);
            sums[to..][..len].iter_mut().zip(products).for_each(|(sum, product)| *sum += *product);
        }
    });
}

/// Adds pixel columns. `dst` is M × output pixels, `products` is input pixels × M.
pub fn add_cols<T: Number>(
    problem: &Problem,
    tap: [usize; 3],
    products: &Matrix<'_, T>,
    dst: &mut MatrixMut<'_, T>,
) {
    // Row by row, so that the products of one row of pixels stay in the cache for all channels.
    for (to, from, len) in rows_of_tap(problem, tap) {
        dst.for_each_row(|m, sums| {
            let products = (0..len).map(|pixel| &products.row(from + pixel)[m]);
            sums[to..][..len].iter_mut().zip(products).for_each(|(sum, product)| *sum += *product);
        });
    }
}

/// The runs of outputs of a row that see a tap: the first of them, the input that it reads, and how many they are.
fn rows_of_tap(problem: &Problem, [h, i, j]: [usize; 3]) -> impl Iterator<Item = (usize, usize, usize)> {
    let Problem { planes, rows, cols, .. } = problem;
    let xs = cols.outputs_of_tap(j);
    let zs = if xs.is_empty() { 0..0 } else { planes.outputs_of_tap(h) };
    zs.flat_map(move |z| rows.outputs_of_tap(i).map(move |y| (z, y))).map(move |(z, y)| {
        let to = (z * rows.output + y) * cols.output + xs.start;
        let from = (planes.input_of(z, h) * rows.input + rows.input_of(y, i)) * cols.input;
        (to, from + cols.input_of(xs.start, j), xs.len())
    })
}
