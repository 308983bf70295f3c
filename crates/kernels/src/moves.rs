//! Moves between NCHW and NHWC: transpositions of a few rows at a time.

use std::ops::Range;

use crate::isa;
use crate::lanes::{QUAD, load_columns_at, store_columns_at};
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
        // SAFETY: all rows and columns are there.
        unsafe {
            let Some(block) = Block::of(T::lanes::<S>(), [rows, cols], to.ld(), add) else {
                return if rows == 1 && to.ld() == 1 && !add {
                    std::ptr::copy_nonoverlapping(corners.from, corners.to, cols);
                } else {
                    corners.transpose_elements(0..rows, 0..cols, add);
                };
            };
            // The last blocks overlap those before, but where they are added.
            let [high, wide] = block.sizes;
            let [whole_rows, whole_cols] =
                if add { [rows / high * high, cols / wide * wide] } else { [rows, cols] };
            // Along the rows that lie farther apart, so that as few of them as possible are in use at a time.
            corners.transpose_blocks(simd, [whole_rows, whole_cols], block, from.ld() > to.ld(), add);
            corners.transpose_elements(0..whole_rows, whole_cols..cols, add);
            corners.transpose_elements(whole_rows..rows, 0..cols, add);
        }
    }
}

/// What is transposed at once.
#[derive(Clone, Copy)]
struct Block {
    kind: Kind,
    /// Rows and columns.
    sizes: [usize; 2],
}

#[derive(Clone, Copy)]
enum Kind {
    /// Four columns of a vector's rows.
    Tall,
    /// Four rows of a vector's columns.
    Wide,
    /// Three rows of a vector's columns, which lie behind one another where they go.
    OfThree,
    /// Four rows and four columns.
    Square,
}

impl Block {
    /// That of a matrix, in vectors of so many lanes; none for too small a matrix. A wide one adds nothing.
    #[inline(always)]
    fn of(lanes: usize, [rows, cols]: [usize; 2], ld: usize, add: bool) -> Option<Self> {
        let (are_wide, are_tall) = (lanes >= QUAD && cols >= lanes && !add, lanes >= QUAD && rows >= lanes);
        let (kind, sizes) = match rows {
            _ if are_tall && cols >= QUAD => (Kind::Tall, [lanes, QUAD]),
            QUAD.. if are_wide => (Kind::Wide, [QUAD, lanes]),
            3 if are_wide && ld == 3 => (Kind::OfThree, [3, lanes]),
            QUAD.. if cols >= QUAD => (Kind::Square, [QUAD, QUAD]),
            _ => return None,
        };
        Some(Self { kind, sizes })
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

    /// So many rows and columns, of each at least a block's. The last blocks overlap others.
    ///
    /// # Safety
    /// The rows and columns are there.
    #[inline(always)]
    unsafe fn transpose_blocks<S: Vectors>(
        self,
        simd: S,
        [rows, cols]: [usize; 2],
        Block { kind, sizes: [high, wide] }: Block,
        by_rows: bool,
        add: bool,
    ) {
        // Plain loops: what iterators call is not compiled for the caller's instructions.
        let (mut row, mut col) = (0, 0);
        while row < rows && col < cols {
            let at = self.at(row.min(rows - high), col.min(cols - wide));
            // SAFETY: the caller's promise.
            unsafe {
                match kind {
                    Kind::Tall => at.transpose_columns(simd, add),
                    Kind::Wide => {
                        store_columns_at::<S, T, QUAD, false>(simd, at.load_rows(simd, QUAD), at.to, at.ld);
                    }
                    Kind::OfThree => {
                        store_columns_at::<S, T, 3, true>(simd, at.load_rows(simd, 3), at.to, at.ld);
                    }
                    Kind::Square => at.transpose_square(add),
                }
            }
            if by_rows {
                col += wide;
                if col >= cols {
                    (row, col) = (row + high, 0);
                }
            } else {
                row += high;
                if row >= rows {
                    (row, col) = (0, col + wide);
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

    /// A vector's columns of up to four rows.
    ///
    /// # Safety
    /// They are there.
    #[inline(always)]
    unsafe fn load_rows<S: Vectors>(self, simd: S, count: usize) -> [T::Vector<S>; QUAD] {
        let mut rows = [T::splat(simd, T::ZERO); QUAD];
        let mut row = 0;
        while row < count {
            // SAFETY: the caller's promise.
            let from = unsafe { std::slice::from_raw_parts(self.from.add(row * self.of), T::lanes::<S>()) };
            rows[row] = T::load::<S>(from);
            row += 1;
        }
        rows
    }

    /// Four columns of four rows.
    ///
    /// # Safety
    /// They are there.
    #[inline(always)]
    unsafe fn transpose_square(self, add: bool) {
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

    /// Transposes to a matrix of halves, with gaps between its rows.
    struct Job<'a, T> {
        from: Matrix<'a, T>,
        gap: usize,
        add: bool,
    }

    impl<T: Number> Kernel for Job<'_, T> {
        type Output = Vec<T>;

        #[inline(always)]
        fn run<S: Vectors>(self, simd: S) -> Vec<T> {
            let Self { from, gap, add } = self;
            let (rows, cols) = (from.rows(), from.cols());
            let mut moved = vec![T::from_f64(0.5); cols * (rows + gap)];
            let mut to = MatrixMut::new(&mut moved, cols, rows, rows + gap);
            Transpose { from: &from, to: &mut to, add }.run(simd);
            moved
        }
    }

    fn check<T: Number>() {
        let few = (1..=9).flat_map(|few| [(few, 40), (40, few), (few, few), (few, 16), (17, few)]);
        for (rows, cols) in few.chain([(17, 31), (16, 16), (33, 19)]) {
            let from: Vec<T> = (0..rows * (cols + 1)).map(|index| T::from_f64(index as f64)).collect();
            for (add, gap) in [(false, 0), (false, 2), (true, 0), (true, 2)] {
                let from = || Matrix::new(&from[..], rows, cols, cols + 1);
                for (isa, moved) in isa::dispatch_each(|| Job { from: from(), gap, add }) {
                    for (at, &moved) in moved.iter().enumerate() {
                        let (row, col) = (at % (rows + gap), at / (rows + gap));
                        let given = (row * (cols + 1) + col) as f64;
                        let expected = match (row < rows, add) {
                            (false, _) => 0.5,
                            (true, false) => given,
                            (true, true) => given + 0.5,
                        };
                        assert_eq!(moved.into(), expected, "{}: {rows} x {cols}, {row} {col}", isa.name());
                    }
                }
            }
        }
    }
}
