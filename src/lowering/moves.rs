//! Moves between NCHW and NHWC: transpositions of a few rows at a time.

use std::ops::Range;

use pulp::{Simd, WithSimd};

use super::epilogue;
use super::image::Image;
use super::lanes::{Lanes, QUAD, load_columns};
use crate::kernels::isa;
use crate::matrix::{Matrix, MatrixMut};
use crate::number::Number;
use crate::problem::{Clamp, Layout, Problem};

/// Rows and columns that are transposed at once without long vectors: shuffles on every machine.
const BLOCK: usize = 4;

/// to ← fromᵀ, or to ← to + fromᵀ.
///
/// # Panics
/// If the shapes do not agree.
pub fn transpose<T: Number>(from: &Matrix<'_, T>, to: &mut MatrixMut<'_, T>, add: bool) {
    assert!(from.rows() == to.cols() && from.cols() == to.rows(), "shapes disagree");
    isa::dispatch(Transpose { from, to, add });
}

/// Moves what some output planes, rows and columns see of an NCHW image's first `depth` channels to NHWC; the place of its
/// first pixel in the image.
pub fn moved<'a, T: Number>(
    image: &Image<'_, T>,
    problem: &Problem,
    outputs: &[Range<usize>; 3],
    depth: usize,
    to: &'a mut [T],
) -> (Image<'a, T>, [usize; 3]) {
    let axes = problem.axes();
    let [zs, hs, ws]: [Range<usize>; 3] = std::array::from_fn(|at| axes[at].window(&outputs[at]));
    let row = ws.len() * depth;
    // Whole rows lie one behind the other, and so do whole planes.
    let (planes, rows, len) = match (ws.len() == problem.cols.input, hs.len() == problem.rows.input) {
        (true, true) => (1, 1, zs.len() * hs.len()),
        (true, false) => (zs.len(), 1, hs.len()),
        (false, _) => (zs.len(), hs.len(), 1),
    };
    let pixels = len * ws.len();
    if pixels > 0 && !zs.is_empty() {
        let places = (0..planes).flat_map(|z| (0..rows).map(move |y| (z, y)));
        for ((z, y), to) in places.zip(to.chunks_mut(pixels * depth)) {
            let from = image.planes_from(zs.start + z).at(0, hs.start + y, ws.start);
            let from = Matrix::new(from, depth, pixels, image.channel);
            transpose(&from, &mut MatrixMut::new(to, pixels, depth, depth), false);
        }
    }
    let moved = Image { data: to, channel: 1, plane: hs.len() * row, row, pixel: depth };
    (moved, [zs.start, hs.start, ws.start])
}

/// Moves finished sums of pixels to planes: to ← fromᵀ, or clamp(addend + fromᵀ) where they are added.
pub fn finish_planes<T: Number>(
    from: &Matrix<'_, T>,
    to: &mut MatrixMut<'_, T>,
    accumulate: bool,
    clamp: Option<Clamp>,
) {
    if accumulate {
        to.fill_with_addend();
    }
    transpose(from, to, accumulate);
    if accumulate {
        epilogue::finish(to, Layout::Nchw, None, clamp);
    }
}

struct Transpose<'a, 'b, T> {
    from: &'a Matrix<'a, T>,
    to: &'a mut MatrixMut<'b, T>,
    add: bool,
}

impl<T: Number> WithSimd for Transpose<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { from, to, add } = self;
        let (rows, cols) = (from.rows(), from.cols());
        let (row, col) = (rows / BLOCK * BLOCK, cols / BLOCK * BLOCK);
        // Whole vectors of rows.
        let wide = if T::lanes::<S>() > BLOCK { rows / T::lanes::<S>() * T::lanes::<S>() } else { 0 };
        // Along the rows that lie farther apart, so that as few of them as possible are in use at a time. Plain loops:
        // what iterators call is not compiled for the caller's instructions.
        if from.ld() > to.ld() {
            let mut row = 0;
            while row < wide {
                let mut col = 0;
                while col + QUAD <= cols {
                    transpose_columns(simd, from, to, (row, col), add);
                    col += QUAD;
                }
                row += T::lanes::<S>();
            }
        } else {
            let mut col = 0;
            while col + QUAD <= cols {
                let mut row = 0;
                while row < wide {
                    transpose_columns(simd, from, to, (row, col), add);
                    row += T::lanes::<S>();
                }
                col += QUAD;
            }
        }
        let mut block = wide;
        while block < row {
            let mut near = 0;
            while near < col {
                transpose_block(from, to, (block, near), add);
                near += BLOCK;
            }
            block += BLOCK;
        }
        transpose_rest(from, to, 0..row, col..cols, add);
        transpose_rest(from, to, row..rows, 0..cols, add);
    }
}

/// Four columns of a vector's rows.
#[inline(always)]
fn transpose_columns<S: Simd, T: Number>(
    simd: S,
    from: &Matrix<'_, T>,
    to: &mut MatrixMut<'_, T>,
    (row, col): (usize, usize),
    add: bool,
) {
    let full = Lanes::<true>(T::lanes::<S>());
    let lines = Matrix::new(&from.data()[row * from.ld() + col..], T::lanes::<S>(), QUAD, from.ld());
    let columns = load_columns(simd, &lines, 0);
    for (j, mut column) in columns.into_iter().enumerate() {
        let to = &mut to.row_mut(col + j)[row..];
        if add {
            column = T::add_vectors(simd, column, full.load(simd, to));
        }
        full.store(simd, to, column);
    }
}

#[inline(always)]
fn transpose_block<T: Number>(
    from: &Matrix<'_, T>,
    to: &mut MatrixMut<'_, T>,
    (row, col): (usize, usize),
    add: bool,
) {
    const INSIDE: &str = "the block lies inside";
    let lines: [[T; BLOCK]; BLOCK] =
        std::array::from_fn(|k| *from.data()[(row + k) * from.ld() + col..].first_chunk().expect(INSIDE));
    let [a, b, c, d] = lines;
    let columns = a.into_iter().zip(b).zip(c).zip(d).map(|(((a, b), c), d)| [a, b, c, d]);
    for (k, column) in columns.enumerate() {
        let to: &mut [T; BLOCK] = to.row_mut(col + k)[row..].first_chunk_mut().expect(INSIDE);
        if add {
            to.iter_mut().zip(column).for_each(|(to, value)| *to += value);
        } else {
            *to = column;
        }
    }
}

/// Rows and columns behind the last whole block.
#[inline(always)]
fn transpose_rest<T: Number>(
    from: &Matrix<'_, T>,
    to: &mut MatrixMut<'_, T>,
    rows: Range<usize>,
    cols: Range<usize>,
    add: bool,
) {
    if rows.is_empty() || cols.is_empty() {
        return;
    }
    if add || from.rows() < BLOCK || from.cols() < BLOCK {
        return transpose_elements(from, to, rows, cols, add);
    }
    // Blocks that overlap the others.
    let mut row = rows.start.min(from.rows() - BLOCK);
    while row < rows.end {
        let mut col = cols.start.min(from.cols() - BLOCK);
        while col < cols.end {
            transpose_block(from, to, (row.min(from.rows() - BLOCK), col.min(from.cols() - BLOCK)), false);
            col += BLOCK;
        }
        row += BLOCK;
    }
}

fn transpose_elements<T: Number>(
    from: &Matrix<'_, T>,
    to: &mut MatrixMut<'_, T>,
    rows: Range<usize>,
    cols: Range<usize>,
    add: bool,
) {
    for row in rows {
        for col in cols.clone() {
            let value = from.data()[row * from.ld() + col];
            let to = &mut to.row_mut(col)[row];
            *to = if add { *to + value } else { value };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_element_changes_its_place() {
        check::<f32>();
        check::<f64>();
    }

    fn check<T: Number>() {
        for (rows, cols) in [(1, 1), (8, 8), (7, 9), (16, 8), (17, 31), (3, 40)] {
            let from: Vec<T> = (0..rows * (cols + 1)).map(|index| T::from_f64(index as f64)).collect();
            let from = Matrix::new(&from, rows, cols, cols + 1);
            for add in [false, true] {
                let mut to = vec![T::from_f64(0.5); cols * (rows + 2)];
                transpose(&from, &mut MatrixMut::new(&mut to, cols, rows, rows + 2), add);
                for row in 0..rows {
                    for col in 0..cols {
                        let moved = to[col * (rows + 2) + row].into() - if add { 0.5 } else { 0.0 };
                        assert_eq!(moved, (row * (cols + 1) + col) as f64, "{rows} x {cols}");
                    }
                }
            }
        }
    }
}
