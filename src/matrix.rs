//! Row-major matrix views with a leading dimension, and their division into disjoint tiles.
//!
//! A [`MatrixMut`] owns the right to write exactly its rows × cols elements; two tiles of one matrix
//! interleave in memory without overlapping. This is where raw memory is split, so that the algorithms
//! need no `unsafe`.

use std::marker::PhantomData;
use std::ops::Range;

use crate::number::Number;

/// Whether a matrix that is not empty lies inside `len` elements.
#[inline]
fn lies_inside(rows: usize, cols: usize, ld: usize, len: usize) -> bool {
    let end = rows.checked_sub(1).and_then(|last| last.checked_mul(ld)).and_then(|at| at.checked_add(cols));
    cols > 0 && ld > 0 && end.is_some_and(|end| end <= len)
}

/// A read-only rows × cols matrix, rows `ld` elements apart.
#[derive(Debug, Clone, Copy)]
pub struct Matrix<'a, T = f32> {
    data: &'a [T],
    rows: usize,
    cols: usize,
    ld: usize,
}

impl<'a, T: Number> Matrix<'a, T> {
    /// A view of the front of `data`.
    ///
    /// # Panics
    /// If the matrix does not lie inside `data` or its rows overlap.
    #[inline]
    pub fn new(data: &'a [T], rows: usize, cols: usize, ld: usize) -> Self {
        assert!(cols <= ld && lies_inside(rows, cols, ld, data.len()));
        Self { data, rows, cols, ld }
    }

    /// The same with rows that may overlap, for a GEMM that takes them.
    ///
    /// # Panics
    /// If the matrix does not lie inside `data`.
    #[inline]
    pub fn overlapping(data: &'a [T], rows: usize, cols: usize, ld: usize) -> Self {
        assert!(lies_inside(rows, cols, ld, data.len()));
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
    pub fn data(&self) -> &'a [T] {
        self.data
    }

    /// One row.
    #[inline]
    pub fn row(&self, row: usize) -> &'a [T] {
        assert!(row < self.rows);
        // SAFETY: `new` and `overlapping` checked that every row lies inside `data`.
        unsafe { self.data.get_unchecked(row * self.ld..row * self.ld + self.cols) }
    }

    /// The part with these rows and columns.
    pub fn part(&self, rows: Range<usize>, cols: Range<usize>) -> Self {
        assert!(rows.end <= self.rows && cols.end <= self.cols);
        Self::new(&self.data[rows.start * self.ld + cols.start..], rows.len(), cols.len(), self.ld)
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

impl<T: Number> Operand<'_, T> {
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

/// A rows × cols matrix to be written, rows `ld` elements apart. What its elements are added to, where they are, is what it
/// holds, or what another matrix holds that lies alike.
#[derive(Debug)]
pub struct MatrixMut<'a, T = f32> {
    first: *mut T,
    addend: *const T,
    rows: usize,
    cols: usize,
    ld: usize,
    borrow: PhantomData<&'a mut [T]>,
}

// SAFETY: a MatrixMut is an exclusive borrow of its elements, like `&mut [T]`, and a shared one of its addend's.
unsafe impl<T: Send + Sync> Send for MatrixMut<'_, T> {}

impl<'a, T: Number> MatrixMut<'a, T> {
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

/// A division of a rows × cols matrix into tiles of `row_block` × `col_block`, the last ones smaller.
///
/// It depends on the problem alone, never on the number of threads: that is what makes results bitwise
/// the same for every thread count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    rows: usize,
    cols: usize,
    row_block: usize,
    col_block: usize,
    by_columns: bool,
}

/// One tile's place in its matrix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tile {
    /// Rows of the matrix.
    pub rows: Range<usize>,
    /// Columns of the matrix.
    pub cols: Range<usize>,
}

impl Grid {
    /// Tiles of at most `row_block` × `col_block`.
    pub fn new(rows: usize, cols: usize, row_block: usize, col_block: usize) -> Self {
        assert!(rows > 0 && cols > 0 && row_block > 0 && col_block > 0);
        Self { rows, cols, row_block, col_block, by_columns: false }
    }

    /// The same tiles counted column by column: for threads that would slow each other down where they write to the
    /// same rows, whose tiles may have lines of the cache in common.
    pub fn by_columns(self) -> Self {
        Self { by_columns: true, ..self }
    }

    fn rows_of_tiles(&self) -> usize {
        self.rows.div_ceil(self.row_block)
    }

    fn cols_of_tiles(&self) -> usize {
        self.cols.div_ceil(self.col_block)
    }

    /// Rows and columns of the matrix.
    pub fn size(&self) -> (usize, usize) {
        (self.rows, self.cols)
    }

    /// Number of tiles.
    pub fn tiles(&self) -> usize {
        self.rows_of_tiles() * self.cols_of_tiles()
    }

    /// Tile `index`, counted row by row or column by column.
    pub fn tile(&self, index: usize) -> Tile {
        assert!(index < self.tiles());
        let (row, col) = if self.by_columns {
            (index % self.rows_of_tiles(), index / self.rows_of_tiles())
        } else {
            (index / self.cols_of_tiles(), index % self.cols_of_tiles())
        };
        let (row, col) = (row * self.row_block, col * self.col_block);
        Tile {
            rows: row..(row + self.row_block).min(self.rows),
            cols: col..(col + self.col_block).min(self.cols),
        }
    }
}

/// Matrices of equal shape that lie some elements apart.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Matrices {
    /// How many they are.
    pub count: usize,
    /// Elements from one to the next.
    pub step: usize,
    /// Rows, columns and the leading dimension of each.
    pub rows: usize,
    pub cols: usize,
    pub ld: usize,
}

/// Matrices whose tiles are handed out to several threads.
pub(crate) struct Tiles<'a, T = f32> {
    first: *mut T,
    addend: *const T,
    matrices: Matrices,
    grid: Grid,
    borrow: PhantomData<&'a mut [T]>,
}

// SAFETY: `Tiles` gives access to its matrices only through `take`, whose contract keeps tiles disjoint.
unsafe impl<T: Send + Sync> Sync for Tiles<'_, T> {}

impl<'a, T: Number> Tiles<'a, T> {
    /// # Panics
    /// If the grid is not one of this matrix.
    pub fn new(matrix: MatrixMut<'a, T>, grid: Grid) -> Self {
        let MatrixMut { first, addend, rows, cols, ld, .. } = matrix;
        assert!(rows == grid.rows && cols == grid.cols);
        let matrices = Matrices { count: 1, step: 0, rows, cols, ld };
        Self { first, addend, matrices, grid, borrow: PhantomData }
    }

    /// The tiles of several matrices at the front of `data`, each divided by the grid, and added to what `addend` holds, or to
    /// what they hold themselves.
    ///
    /// # Panics
    /// If the grid is not one of these matrices, they do not lie inside `data` and `addend`, or they overlap.
    pub fn of_images(data: &'a mut [T], addend: Option<&'a [T]>, matrices: Matrices, grid: Grid) -> Self {
        let Matrices { count, step, rows, cols, ld } = matrices;
        assert!(rows == grid.rows && cols == grid.cols && cols <= ld && count > 0);
        let last = (count - 1).checked_mul(step).filter(|&last| last <= data.len());
        assert!(last.is_some_and(|last| lies_inside(rows, cols, ld, data.len() - last)));
        assert!(count == 1 || lies_inside(rows, cols, ld, step));
        assert!(addend.is_none_or(|addend| addend.len() == data.len()));
        let first = data.as_mut_ptr();
        let addend = addend.map_or(first.cast_const(), <[T]>::as_ptr);
        Self { first, addend, matrices, grid, borrow: PhantomData }
    }

    /// How many tiles they are.
    pub fn len(&self) -> usize {
        self.matrices.count * self.grid.tiles()
    }

    /// Tile `index`, to be written: matrix by matrix, each as the grid counts.
    ///
    /// # Safety
    /// No two views of one index may live at the same time.
    pub unsafe fn take(&self, index: usize) -> (Tile, MatrixMut<'_, T>) {
        assert!(index < self.len());
        let Matrices { step, ld, .. } = self.matrices;
        let tile = self.grid.tile(index % self.grid.tiles());
        let offset = index / self.grid.tiles() * step + tile.rows.start * ld + tile.cols.start;
        // SAFETY: the tile lies inside its matrix; tiles of different indices share no element.
        let (first, addend) = unsafe { (self.first.add(offset), self.addend.add(offset)) };
        let (rows, cols) = (tile.rows.len(), tile.cols.len());
        (tile, MatrixMut { first, addend, rows, cols, ld, borrow: PhantomData })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_cover_every_element_once() {
        for (rows, cols, row_block, col_block) in [(1, 1, 1, 1), (7, 5, 2, 3), (4, 9, 4, 9), (3, 8, 9, 1)] {
            let mut counts = vec![0.0; rows * cols];
            let grid = Grid::new(rows, cols, row_block, col_block);
            for grid in [grid, grid.by_columns()] {
                counts.fill(0.0);
                let tiles = Tiles::new(MatrixMut::new(&mut counts, rows, cols, cols), grid);
                for index in 0..grid.tiles() {
                    // SAFETY: each index is taken once and its view dropped before the next.
                    let (tile, mut view) = unsafe { tiles.take(index) };
                    assert_eq!((tile.rows.len(), tile.cols.len()), (view.rows(), view.cols()));
                    view.for_each_row(|_, row| row.iter_mut().for_each(|count| *count += 1.0));
                }
                assert_eq!(counts, vec![1.0; rows * cols]);
            }
        }
    }

    #[test]
    fn a_matrix_that_does_not_lie_in_its_memory_is_refused() {
        for (rows, cols, ld) in
            [(3, 2, 2), (2, 3, 3), (1, 5, 5), (0, 1, 1), (1, 0, 1), (2, 2, 1), ((1 << 63) + 1, 1, 2)]
        {
            let mut data = [0.0; 4];
            let refused = crate::panics::catch_quietly(|| Matrix::new(&data, rows, cols, ld).rows());
            assert!(refused.is_err(), "{rows} x {cols}, ld {ld}");
            let overlapping =
                crate::panics::catch_quietly(|| Matrix::overlapping(&data, rows, cols, ld).rows());
            assert_eq!(overlapping.is_ok(), (rows, cols, ld) == (2, 2, 1), "{rows} x {cols}, ld {ld}");
            let refused = crate::panics::catch_quietly(|| MatrixMut::new(&mut data, rows, cols, ld).rows());
            assert!(refused.is_err(), "{rows} x {cols}, ld {ld}");
        }
    }
}
