//! The accumulation of the kn2 families. The products of one tap are computed for every input pixel, and added to the
//! outputs that see this pixel through the tap.

use convlow_kernels::matrix::{Matrix, MatrixMut};
use convlow_kernels::number::Number;

use crate::problem::{Kind, Problem};

/// Adds channel rows. `dst` is M × output pixels, `products` is M × input pixels.
pub fn add_rows<T: Number>(
    problem: &Problem,
    tap: [usize; 3],
    products: &Matrix<'_, T>,
    dst: &mut MatrixMut<'_, T>,
) {
    dst.for_each_row(|m, sums| {
        for Run { to, step, from, len } in runs_of_tap(problem, tap) {
            let products = products.data().run(m * products.ld() + from, len);
            let sums = &mut sums[to..][..(len - 1) * step + 1];
            match step {
                1 => sums.iter_mut().zip(products).for_each(|(sum, product)| *sum += *product),
                _ => sums.iter_mut().step_by(step).zip(products).for_each(|(sum, product)| *sum += *product),
            }
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
    for Run { to, step, from, len } in runs_of_tap(problem, tap) {
        dst.for_each_row(|m, sums| {
            let products = (0..len).map(|pixel| &products.row(from + pixel)[m]);
            let sums = sums[to..].iter_mut().step_by(step);
            sums.zip(products).for_each(|(sum, product)| *sum += *product);
        });
    }
}

/// Adds pixels. `dst` is output pixels × M, `products` is input pixels × M.
pub fn add_pixels<T: Number>(
    problem: &Problem,
    tap: [usize; 3],
    products: &Matrix<'_, T>,
    dst: &mut MatrixMut<'_, T>,
) {
    for Run { to, step, from, len } in runs_of_tap(problem, tap) {
        for pixel in 0..len {
            let sums = dst.row_mut(to + pixel * step).iter_mut();
            sums.zip(products.row(from + pixel)).for_each(|(sum, product)| *sum += *product);
        }
    }
}

/// Outputs of a row that see a tap, and the inputs that they read, which are neighbours.
struct Run {
    /// The first of the outputs.
    to: usize,
    /// From one of them to the next.
    step: usize,
    /// The first of the inputs.
    from: usize,
    len: usize,
}

/// The runs of a tap. An ordinary convolution has stride 1.
fn runs_of_tap(problem: &Problem, tap: [usize; 3]) -> impl Iterator<Item = Run> {
    // The axes on which what is read, or what is written, are inputs.
    let is_transposed = problem.is(Kind::Transposed);
    let axes =
        problem.axes().map(|axis| if is_transposed { axis.exchanged(&(0..axis.output)) } else { *axis });
    let [zs, ys, xs] = std::array::from_fn(|at| axes[at].outputs_of_tap(tap[at]));
    let zs = if xs.is_empty() { 0..0 } else { zs };
    zs.flat_map(move |z| ys.clone().map(move |y| [z, y, xs.start])).map(move |first| {
        let [_, rows, cols] = &axes;
        let other: [usize; 3] = std::array::from_fn(|at| axes[at].input_of(first[at], tap[at]));
        let of_outputs = (first[0] * rows.output + first[1]) * cols.output + first[2];
        let of_inputs = (other[0] * rows.input + other[1]) * cols.input + other[2];
        let len = cols.outputs_of_tap(tap[2]).len();
        match is_transposed {
            true => Run { to: of_inputs, step: cols.stride, from: of_outputs, len },
            false => Run { to: of_outputs, step: 1, from: of_inputs, len },
        }
    })
}
