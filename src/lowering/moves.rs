//! Moves between NCHW and NHWC: transpositions of a few rows at a time.

use std::ops::Range;

use crate::matrix::{Matrix, MatrixMut};

/// Rows and columns that are transposed at once: vector shuffles on every machine.
const BLOCK: usize = 4;

/// to ← fromᵀ, or to ← to + fromᵀ.
///
/// # Panics
/// If the shapes do not agree.
pub fn transpose(from: &Matrix<'_>, to: &mut MatrixMut<'_>, add: bool) {
    transpose_here(from, to, add);
}

/// [`transpose`] for small matrices, in the instructions of the function that calls it.
#[inline(always)]
pub fn transpose_here(from: &Matrix<'_>, to: &mut MatrixMut<'_>, add: bool) {
    assert!(from.rows() == to.cols() && from.cols() == to.rows(), "shapes disagree");
    // Along the rows that lie farther apart, so that as few of them as possible are in use at a time. Plain loops:
    // what iterators call is not compiled for the caller's instructions.
    let (rows, cols) = (from.rows(), from.cols());
    let by_rows = from.ld() > to.ld();
    let (outer, inner) = if by_rows { (rows, cols) } else { (cols, rows) };
    let mut far = 0;
    while far + BLOCK <= outer {
        let mut near = 0;
        while near + BLOCK <= inner {
            transpose_block(from, to, if by_rows { (far, near) } else { (near, far) }, add);
            near += BLOCK;
        }
        far += BLOCK;
    }
    let (row, col) = (rows / BLOCK * BLOCK, cols / BLOCK * BLOCK);
    transpose_rest(from, to, 0..row, col..cols, add);
    transpose_rest(from, to, row..rows, 0..cols, add);
}

#[inline(always)]
fn transpose_block(from: &Matrix<'_>, to: &mut MatrixMut<'_>, (row, col): (usize, usize), add: bool) {
    const INSIDE: &str = "the block lies inside";
    let lines: [[f32; BLOCK]; BLOCK] =
        std::array::from_fn(|k| *from.data()[(row + k) * from.ld() + col..].first_chunk().expect(INSIDE));
    let [a, b, c, d] = lines;
    let columns = a.into_iter().zip(b).zip(c).zip(d).map(|(((a, b), c), d)| [a, b, c, d]);
    for (k, column) in columns.enumerate() {
        let to: &mut [f32; BLOCK] = to.row_mut(col + k)[row..].first_chunk_mut().expect(INSIDE);
        if add {
            to.iter_mut().zip(column).for_each(|(to, value)| *to += value);
        } else {
            *to = column;
        }
    }
}

/// Rows and columns behind the last whole block.
#[inline(always)]
fn transpose_rest(
    from: &Matrix<'_>,
    to: &mut MatrixMut<'_>,
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

fn transpose_elements(
    from: &Matrix<'_>,
    to: &mut MatrixMut<'_>,
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
        for (rows, cols) in [(1, 1), (8, 8), (7, 9), (16, 8), (17, 31), (3, 40)] {
            let from: Vec<f32> = (0..rows * (cols + 1)).map(|index| index as f32).collect();
            let from = Matrix::new(&from, rows, cols, cols + 1);
            for add in [false, true] {
                let mut to = vec![0.5f32; cols * (rows + 2)];
                transpose(&from, &mut MatrixMut::new(&mut to, cols, rows, rows + 2), add);
                for row in 0..rows {
                    for col in 0..cols {
                        let moved = to[col * (rows + 2) + row] - if add { 0.5 } else { 0.0 };
                        assert_eq!(moved, (row * (cols + 1) + col) as f32, "{rows} x {cols}");
                    }
                }
            }
        }
    }
}
