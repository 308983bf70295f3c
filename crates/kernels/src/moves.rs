//! Moves between NCHW and NHWC: transpositions of a few rows at a time.

use std::ops::Range;

use crate::isa;
use crate::lanes::{QUAD, load_columns_at};
use crate::matrix::{Matrix, MatrixMut};
use crate::number::Number;
use crate::vectors::{Kernel, Vectors};

/// Bytes of sums that are kept until they are moved to planes.
pub const KEPT_BYTES: usize = 15 << 10;

/// to ← fromᵀ, or to ← to + fromᵀ.
///
/// # Panics
/// If the shapes do not agree.
pub(crate) fn transpose_checked<T: Number>(from: &Matrix<'_, T>, to: &mut MatrixMut<'_, T>, add: bool) {
    assert!(from.rows() == to.cols() && from.cols() == to.rows(), "shapes disagree");
    isa::dispatch(Transpose { from, to, add });
}

struct Transpose<'a, 'b, T> {
    from: &'a Matrix<'a, T>,
    to: &'a mut MatrixMut<'b, T>,
    add: bool,
}

impl<T: Number> Kernel for Transpose<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Vectors>(self, simd: S) {
        let Self { from, to, add } = self;
        let (rows, cols) = (from.rows(), from.cols());
        let corners = Corners { from: from.data().as_ptr(), of: from.ld(), to: to.as_mut_ptr(), ld: to.ld() };
        // Along the rows that lie farther apart, so that as few of them as possible are in use at a time.
        let by_rows = from.ld() > to.ld();
        // A vector of rows at once, or four where vectors are shorter or there are fewer.
        let high = if rows >= T::lanes::<S>() { T::lanes::<S>().max(QUAD) } else { QUAD };
        if rows < high || cols < QUAD {
            // SAFETY: all rows and columns are there.
            return unsafe { corners.transpose_elements(0..rows, 0..cols, add) };
        }
        // The last blocks overlap those before, but where they are added.
        let [whole_rows, whole_cols] =
            if add { [rows / high * high, cols / QUAD * QUAD] } else { [rows, cols] };
        // SAFETY: all rows and columns are there.
        unsafe {
            corners.transpose_blocks(simd, [whole_rows, whole_cols], (high, by_rows), add);
            corners.transpose_elements(0..whole_rows, whole_cols..cols, add);
            corners.transpose_elements(whole_rows..rows, 0..cols, add);
        }
    }
}

/// Where a matrix and the one that it is transposed to begin, and how far the rows of each lie apart.
#[derive(Clone, Copy)]
struct Corners<T> {
    from: *const T,
    of: usize,
    to: *mut T,
    ld: usize,
}

impl<T: Number> Corners<T> {
    /// From this row and column on.
    #[inline(always)]
    fn at(self, row: usize, col: usize) -> Self {
        let (from, to) =
            (self.from.wrapping_add(row * self.of + col), self.to.wrapping_add(col * self.ld + row));
        Self { from, to, ..self }
    }

    /// So many rows and columns, of each at least a block's, in blocks of four columns of so many rows. The last ones overlap
    /// others.
    ///
    /// # Safety
    /// The rows and columns are there.
    #[inline(always)]
    unsafe fn transpose_blocks<S: Vectors>(
        self,
        simd: S,
        [rows, cols]: [usize; 2],
        (high, by_rows): (usize, bool),
        add: bool,
    ) {
        // Plain loops: what iterators call is not compiled for the caller's instructions.
        let (mut row, mut col) = (0, 0);
        while row < rows && col < cols {
            let at = self.at(row.min(rows - high), col.min(cols - QUAD));
            // SAFETY: the caller's promise.
            unsafe {
                if high == T::lanes::<S>() {
                    at.transpose_columns(simd, add);
                } else {
                    at.transpose_block(add);
                }
            }
            if by_rows {
                col += QUAD;
                if col >= cols {
                    (row, col) = (row + high, 0);
                }
            } else {
                row += high;
                if row >= rows {
                    (row, col) = (0, col + QUAD);
                }
            }
        }
    }

    /// Four columns of a vector's rows.
    ///
    /// # Safety
    /// They are there.
    #[inline(always)]
    unsafe fn transpose_columns<S: Vectors>(self, simd: S, add: bool) {
        // SAFETY: the caller's promise.
        unsafe {
            let columns = load_columns_at(simd, self.from, self.of);
            let mut j = 0;
            while j < QUAD {
                let to = std::slice::from_raw_parts_mut(self.to.add(j * self.ld), T::lanes::<S>());
                let column =
                    if add { T::add_vectors(simd, columns[j], T::load::<S>(to)) } else { columns[j] };
                T::store::<S>(to, column);
                j += 1;
            }
        }
    }

    /// Four columns of four rows, which are shuffles on every machine.
    ///
    /// # Safety
    /// They are there.
    #[inline(always)]
    unsafe fn transpose_block(self, add: bool) {
        // SAFETY: the caller's promise; arrays lie as their elements do.
        unsafe {
            let lines: [[T; QUAD]; QUAD] = std::array::from_fn(|k| *self.from.add(k * self.of).cast());
            let [a, b, c, d] = lines;
            let mut k = 0;
            while k < QUAD {
                let to: *mut [T; QUAD] = self.to.add(k * self.ld).cast();
                let column = [a[k], b[k], c[k], d[k]];
                if add {
                    (*to).iter_mut().zip(column).for_each(|(to, value)| *to += value);
                } else {
                    *to = column;
                }
                k += 1;
            }
        }
    }

    /// Some rows and columns, one element after the other.
    ///
    /// # Safety
    /// They are there.
    #[inline(always)]
    unsafe fn transpose_elements(self, rows: Range<usize>, cols: Range<usize>, add: bool) {
        for row in rows {
            for col in cols.clone() {
                let at = self.at(row, col);
                // SAFETY: the caller's promise.
                unsafe { *at.to = if add { *at.to + *at.from } else { *at.from } };
            }
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
        for (rows, cols) in [(1, 1), (8, 8), (7, 9), (16, 8), (17, 31), (3, 40), (21, 4), (40, 3), (5, 5)] {
            let from: Vec<T> = (0..rows * (cols + 1)).map(|index| T::from_f64(index as f64)).collect();
            let from = Matrix::new(&from[..], rows, cols, cols + 1);
            for add in [false, true] {
                let mut to = vec![T::from_f64(0.5); cols * (rows + 2)];
                transpose_checked(&from, &mut MatrixMut::new(&mut to, cols, rows, rows + 2), add);
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
