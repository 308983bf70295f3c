//! [`Tiles`]: the division of matrices into disjoint tiles, which threads share.

use std::marker::PhantomData;
use std::ops::Range;

use crate::matrix::{MatrixMut, lies_inside};
use crate::number::Number;

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
pub struct Matrices {
    /// How many they are.
    pub count: usize,
    /// Elements from one to the next.
    pub step: usize,
    /// Rows, columns and the leading dimension of each.
    pub rows: usize,
    /// See `rows`.
    pub cols: usize,
    /// See `rows`.
    pub ld: usize,
}

/// Matrices whose tiles are handed out to several threads.
pub struct Tiles<'a, T = f32> {
    first: *mut T,
    addend: *const T,
    matrices: Matrices,
    grid: Grid,
    borrow: PhantomData<&'a mut [T]>,
}

// SAFETY: `Tiles` gives access to its matrices only through `take`, whose contract keeps tiles disjoint.
unsafe impl<T: Send + Sync> Sync for Tiles<'_, T> {}

impl<'a, T: Number> Tiles<'a, T> {
    /// Those of one matrix.
    ///
    /// # Panics
    /// If the grid is not one of this matrix.
    pub fn new(matrix: MatrixMut<'a, T>, grid: Grid) -> Self {
        let MatrixMut { first, addend, rows, cols, ld, .. } = matrix;
        assert!(rows == grid.rows && cols == grid.cols);
        let matrices = Matrices { count: 1, step: 0, rows, cols, ld };
        Self { first, addend, matrices, grid, borrow: PhantomData }
    }

    /// The tiles of several matrices that begin at `first`, each divided by the grid, and added to what lies alike from `addend`
    /// on, or to what they hold themselves.
    ///
    /// # Panics
    /// If the grid is not one of these matrices, or they overlap.
    ///
    /// # Safety
    /// The matrices lie in memory that may be written, and nobody else uses their elements during `'a`; those that lie alike
    /// from `addend` on nobody writes. What lies between the rows may be somebody else's.
    pub unsafe fn of_images(first: *mut T, addend: Option<*const T>, matrices: Matrices, grid: Grid) -> Self {
        let Matrices { count, step, rows, cols, ld } = matrices;
        assert!(rows == grid.rows && cols == grid.cols && cols <= ld && count > 0);
        assert!(count == 1 || lies_inside(rows, cols, ld, step));
        let addend = addend.unwrap_or(first.cast_const());
        Self { first, addend, matrices, grid, borrow: PhantomData }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many tiles there are.
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
}
