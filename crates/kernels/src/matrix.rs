//! Row-major matrix views with a leading dimension.
//!
//! A [`MatrixMut`] owns the right to write exactly its rows × cols elements. Two tiles of one matrix may interleave
//! in memory without overlap. Raw memory is split here, so that the algorithms need no `unsafe`.

use std::marker::PhantomData;
use std::ops::Range;

use crate::scheme::Stored;
use crate::view::View;

/// Whether a matrix that is not empty lies inside `len` elements.
#[inline]
pub(crate) fn lies_inside(rows: usize, cols: usize, ld: usize, len: usize) -> bool {
    let end = rows.checked_sub(1).and_then(|last| last.checked_mul(ld)).and_then(|at| at.checked_add(cols));
    cols > 0 && ld > 0 && end.is_some_and(|end| end <= len)
}

/// A read-only rows × cols matrix, rows `ld` elements apart.
#[derive(Debug, Clone, Copy)]
pub struct Matrix<'a, T = f32> {
    data: View<'a, T>,
    rows: usize,
    cols: usize,
    ld: usize,
}

impl<'a, T: Stored> Matrix<'a, T> {
    /// A view of the front of `data`.
    ///
    /// # Panics
    /// If the matrix does not lie inside `data` or its rows overlap.
    #[inline]
    pub fn new(data: impl Into<View<'a, T>>, rows: usize, cols: usize, ld: usize) -> Self {
        let data = data.into();
        assert!(cols <= ld && lies_inside(rows, cols, ld, data.len()) && data.holds_rows(rows, cols, ld));
        Self { data, rows, cols, ld }
    }

    /// The same with rows that may overlap, for a GEMM that takes them.
    ///
    /// # Panics
    /// If the matrix does not lie inside `data`.
    #[inline]
    pub fn overlapping(data: impl Into<View<'a, T>>, rows: usize, cols: usize, ld: usize) -> Self {
        let data = data.into();
        assert!(lies_inside(rows, cols, ld, data.len()) && data.holds_rows(rows, cols, ld));
        Self { data, rows, cols, ld }
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Elements from one row to the next.
    pub fn ld(&self) -> usize {
        self.ld
    }

    /// The elements from the first one on.
    pub fn data(&self) -> View<'a, T> {
        self.data
    }

    /// One row.
    #[inline]
    pub fn row(&self, row: usize) -> &'a [T] {
        assert!(row < self.rows);
        // SAFETY: `new` and `overlapping` checked that every row lies inside `data` and is its own.
        unsafe { std::slice::from_raw_parts(self.data.as_ptr().add(row * self.ld), self.cols) }
    }

    /// The part with these rows and columns.
    pub fn part(&self, rows: Range<usize>, cols: Range<usize>) -> Self {
        assert!(rows.end <= self.rows && cols.end <= self.cols);
        Self::new(self.data.from(rows.start * self.ld + cols.start), rows.len(), cols.len(), self.ld)
    }

    /// The same memory read as the transposed matrix.
    pub fn t(self) -> Operand<'a, T> {
        Operand { stored: self, transposed: true }
    }
}

/// A factor of a product: a matrix as stored, and whether the product takes it transposed.
#[derive(Debug, Clone, Copy)]
pub struct Operand<'a, T = f32> {
    /// The matrix as it lies in memory.
    pub stored: Matrix<'a, T>,
    /// Whether the factor is the transpose of `stored`.
    pub transposed: bool,
}

impl<'a, T> From<Matrix<'a, T>> for Operand<'a, T> {
    fn from(stored: Matrix<'a, T>) -> Self {
        Operand { stored, transposed: false }
    }
}

impl<T: Stored> Operand<'_, T> {
    /// The transposed factor.
    pub fn t(self) -> Self {
        Self { transposed: !self.transposed, ..self }
    }

    /// Rows of the factor.
    pub fn rows(&self) -> usize {
        if self.transposed { self.stored.cols } else { self.stored.rows }
    }

    /// Columns of the factor.
    pub fn cols(&self) -> usize {
        if self.transposed { self.stored.rows } else { self.stored.cols }
    }

    /// The factor with these rows and columns of the factor (not of the stored matrix).
    pub fn part(&self, rows: Range<usize>, cols: Range<usize>) -> Self {
        let stored =
            if self.transposed { self.stored.part(cols, rows) } else { self.stored.part(rows, cols) };
        Self { stored, ..*self }
    }
}

/// A rows × cols matrix to be written, rows `ld` elements apart. What its elements are added to, where they are, is
/// what it holds, or what another matrix holds that lies alike.
#[derive(Debug)]
pub struct MatrixMut<'a, T = f32> {
    pub(crate) first: *mut T,
    pub(crate) addend: *const T,
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    pub(crate) ld: usize,
    pub(crate) borrow: PhantomData<&'a mut [T]>,
}

// SAFETY: a MatrixMut is an exclusive borrow of its elements, like `&mut [T]`, and a shared one of its addend's.
unsafe impl<T: Send + Sync> Send for MatrixMut<'_, T> {}

impl<'a, T: Stored> MatrixMut<'a, T> {
    /// A view of the front of `data`.
    ///
    /// # Panics
    /// If the matrix does not lie inside `data` or its rows overlap.
    #[inline]
    pub fn new(data: &'a mut [T], rows: usize, cols: usize, ld: usize) -> Self {
        assert!(cols <= ld && lies_inside(rows, cols, ld, data.len()));
        let first = data.as_mut_ptr();
        Self { first, addend: first, rows, cols, ld, borrow: PhantomData }
    }

    /// The same, added to what it holds itself.
    pub fn added_to_itself(self) -> Self {
        Self { addend: self.first, ..self }
    }

    /// Whether it is added to what another one holds.
    fn has_other_addend(&self) -> bool {
        !std::ptr::eq(self.addend, self.first)
    }

    /// The first element of what it is added to, which lies as the view does and may be read.
    pub fn addend_ptr(&self) -> *const T {
        self.addend
    }

    /// One row of what it is added to.
    #[inline]
    pub fn addend_row(&self, row: usize) -> &[T] {
        assert!(row < self.rows);
        // SAFETY: the addend's rows lie as the view's do, and nobody else writes them.
        unsafe { std::slice::from_raw_parts(self.addend.add(row * self.ld), self.cols) }
    }

    /// Copies what it is added to, if that is another matrix.
    pub fn fill_with_addend(&mut self) {
        if self.has_other_addend() {
            for row in 0..self.rows {
                let (addend, first) = (self.addend_row(row).as_ptr(), self.row_mut(row).as_mut_ptr());
                // SAFETY: both are rows of as many elements, and they are not the same matrix.
                unsafe { std::ptr::copy_nonoverlapping(addend, first, self.cols) };
            }
        }
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Elements from one row to the next.
    pub fn ld(&self) -> usize {
        self.ld
    }

    /// The first element; the view may write `rows` runs of `cols` elements, `ld` apart, from here on.
    pub fn as_mut_ptr(&mut self) -> *mut T {
        self.first
    }

    /// One row.
    pub fn row(&self, row: usize) -> &[T] {
        assert!(row < self.rows);
        // SAFETY: `new` checked that the row lies inside the borrowed elements; the view owns them.
        unsafe { std::slice::from_raw_parts(self.first.add(row * self.ld), self.cols) }
    }

    /// One row, to be written.
    #[inline]
    pub fn row_mut(&mut self, row: usize) -> &mut [T] {
        assert!(row < self.rows);
        // SAFETY: as in `row`, and `&mut self` makes the access exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.first.add(row * self.ld), self.cols) }
    }

    /// All elements in one slice, if the rows lie one behind the other.
    pub fn as_mut_slice(&mut self) -> Option<&mut [T]> {
        // SAFETY: with ld = cols the elements are contiguous, and `new` checked that they are borrowed.
        (self.ld == self.cols || self.rows == 1)
            .then(|| unsafe { std::slice::from_raw_parts_mut(self.first, self.rows * self.cols) })
    }

    /// The part with these rows and columns, for as long as `self` is not used.
    #[inline]
    pub fn part(&mut self, rows: Range<usize>, cols: Range<usize>) -> MatrixMut<'_, T> {
        assert!(rows.start < rows.end && rows.end <= self.rows);
        assert!(cols.start < cols.end && cols.end <= self.cols);
        let offset = rows.start * self.ld + cols.start;
        // SAFETY: the part's first element lies inside the view, as just asserted, and so it does in what lies alike.
        let (first, addend) = unsafe { (self.first.add(offset), self.addend.add(offset)) };
        MatrixMut { first, addend, rows: rows.len(), cols: cols.len(), ld: self.ld, borrow: PhantomData }
    }

    /// Every `step`-th row from the first one on, for as long as `self` is not used.
    pub fn every(&mut self, step: usize) -> MatrixMut<'_, T> {
        let step = step.min(self.rows);
        MatrixMut { rows: self.rows.div_ceil(step), ld: self.ld * step, borrow: PhantomData, ..*self }
    }

    /// The whole, for as long as `self` is not used.
    pub fn reborrow(&mut self) -> MatrixMut<'_, T> {
        MatrixMut { borrow: PhantomData, ..*self }
    }

    /// Sets every element.
    pub fn fill(&mut self, value: T) {
        for row in 0..self.rows {
            self.row_mut(row).fill(value);
        }
    }

    /// Copies a part of a row to another row, from column `at` on.
    pub fn copy_to_row(&mut self, row: usize, part: Range<usize>, to: usize, at: usize) {
        assert!(row != to && row.max(to) < self.rows && part.start <= part.end && part.end <= self.cols);
        assert!(part.len() <= self.cols && at <= self.cols - part.len());
        // SAFETY: both parts lie inside the view, in different rows.
        unsafe {
            let from = self.first.add(row * self.ld + part.start);
            std::ptr::copy_nonoverlapping(from, self.first.add(to * self.ld + at), part.len());
        }
    }

    /// Every row in turn.
    pub fn for_each_row(&mut self, mut f: impl FnMut(usize, &mut [T])) {
        for row in 0..self.rows {
            f(row, self.row_mut(row));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_matrix_that_does_not_lie_in_its_memory_is_refused() {
        for (rows, cols, ld) in
            [(3, 2, 2), (2, 3, 3), (1, 5, 5), (0, 1, 1), (1, 0, 1), (2, 2, 1), ((1 << 63) + 1, 1, 2)]
        {
            let mut data = [0.0; 4];
            let refused =
                convlow_base::panics::catch_quietly(|| Matrix::new(&data[..], rows, cols, ld).rows());
            assert!(refused.is_err(), "{rows} x {cols}, ld {ld}");
            let overlapping =
                convlow_base::panics::catch_quietly(|| Matrix::overlapping(&data[..], rows, cols, ld).rows());
            assert_eq!(overlapping.is_ok(), (rows, cols, ld) == (2, 2, 1), "{rows} x {cols}, ld {ld}");
            let refused =
                convlow_base::panics::catch_quietly(|| MatrixMut::new(&mut data, rows, cols, ld).rows());
            assert!(refused.is_err(), "{rows} x {cols}, ld {ld}");
        }
    }
}
