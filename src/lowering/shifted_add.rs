//! The accumulation of the kn2 families: one tap's products, computed for every input pixel, are added to
//! the outputs that see that pixel through the tap.

use crate::matrix::{Matrix, MatrixMut};
use crate::number::Number;
use crate::problem::Problem;

/// Adds channel rows. `dst` is M × OH·OW, `products` is M × H·W.
pub fn add_rows<T: Number>(
    problem: &Problem,
    [i, j]: [usize; 2],
    products: &Matrix<'_, T>,
    dst: &mut MatrixMut<'_, T>,
) {
    let (rows, cols) = (&problem.rows, &problem.cols);
    let xs = cols.outputs_of_tap(j);
    if xs.is_empty() {
        return;
    }
    let first = cols.input_of(xs.start, j);
    dst.for_each_row(|m, plane| {
        for y in rows.outputs_of_tap(i) {
            let from = m * products.ld() + rows.input_of(y, i) * cols.input + first;
            let sums = &mut plane[y * cols.output..][xs.clone()];
            sums.iter_mut().zip(&products.data()[from..]).for_each(|(sum, product)| *sum += *product);
        }
    });
}

/// Adds pixel columns. `dst` is M × OH·OW, `products` is H·W × M.
pub fn add_cols<T: Number>(
    problem: &Problem,
    [i, j]: [usize; 2],
    products: &Matrix<'_, T>,
    dst: &mut MatrixMut<'_, T>,
) {
    let (rows, cols) = (&problem.rows, &problem.cols);
    let xs = cols.outputs_of_tap(j);
    if xs.is_empty() {
        return;
    }
    let first = cols.input_of(xs.start, j);
    // Row by row, so that the products of one row of pixels stay in the cache for all channels.
    for y in rows.outputs_of_tap(i) {
        let pixels = &products.data()[(rows.input_of(y, i) * cols.input + first) * products.ld()..];
        dst.for_each_row(|m, plane| {
            let sums = &mut plane[y * cols.output..][xs.clone()];
            let products = pixels[m..].iter().step_by(products.ld());
            sums.iter_mut().zip(products).for_each(|(sum, product)| *sum += *product);
        });
    }
}
