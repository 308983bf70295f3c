//! Moves between NCHW and NHWC: transpositions of a few rows at a time.

use crate::matrix::{Matrix, MatrixMut};

/// Rows and columns that are transposed at once, in registers.
const BLOCK: usize = 8;

/// to ← fromᵀ, or to ← to + fromᵀ.
///
/// # Panics
/// If the shapes do not agree.
pub fn transpose(from: &Matrix<'_>, to: &mut MatrixMut<'_>, add: bool) {
    assert!(from.rows() == to.cols() && from.cols() == to.rows(), "shapes disagree");
    let (whole_rows, whole_cols) = (from.rows() / BLOCK * BLOCK, from.cols() / BLOCK * BLOCK);
    for row in (0..whole_rows).step_by(BLOCK) {
        for col in (0..whole_cols).step_by(BLOCK) {
            transpose_block(from, to, (row, col), add);
        }
        transpose_rest(from, to, row..row + BLOCK, whole_cols..from.cols(), add);
    }
    transpose_rest(from, to, whole_rows..from.rows(), 0..from.cols(), add);
}

fn transpose_block(from: &Matrix<'_>, to: &mut MatrixMut<'_>, (row, col): (usize, usize), add: bool) {
    let mut block = [[0.0f32; BLOCK]; BLOCK];
    for (r, values) in block.iter_mut().enumerate() {
        values.copy_from_slice(&from.data()[(row + r) * from.ld() + col..][..BLOCK]);
    }
    for c in 0..BLOCK {
        let column: [f32; BLOCK] = std::array::from_fn(|r| block[r][c]);
        let to = &mut to.row_mut(col + c)[row..row + BLOCK];
        if add {
            to.iter_mut().zip(column).for_each(|(to, value)| *to += value);
        } else {
            to.copy_from_slice(&column);
        }
    }
}

fn transpose_rest(
    from: &Matrix<'_>,
    to: &mut MatrixMut<'_>,
    rows: std::ops::Range<usize>,
    cols: std::ops::Range<usize>,
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
