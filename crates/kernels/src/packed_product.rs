//! The product of rows and packed weights, for Winograd's algorithms and for few output channels.

use crate::ahead::Ahead;
use crate::isa;
use crate::matrix::{Matrix, MatrixMut};
use crate::number::Number;
use crate::spread::AllLanes;
use crate::sums::{
    BEHIND_WEIGHTS, FEW, FOUR, Factors, MANY, Run, VECTORS, WIDE, add, finish, most_pixels, most_vectors,
    rows_of_rest,
};
use crate::vectors::{Kernel, Vectors};
use crate::width::{Whole, Width};

/// dst ← rows · weights, or added to dst.
pub struct PackedProduct<'a, 'b, T> {
    /// Rows × depth.
    pub rows: Matrix<'a, T>,
    /// Depth × columns, without gaps, and behind them at least [`BEHIND_WEIGHTS`] of anything.
    pub weights: &'a [T],
    /// Weights that are needed next.
    pub next: &'a [T],
    /// Whether the products are added to what dst holds.
    pub accumulate: bool,
    /// Rows × columns. It may have more rows, which then hold what the last one does: where they are a multiple of
    /// [`ROWS`], all sums are of tiles as high, and how they round does not depend on the number of rows.
    pub dst: MatrixMut<'b, T>,
}

/// Rows of a register tile on every machine.
pub const ROWS: usize = FEW;

impl<T: Number> PackedProduct<'_, '_, T> {
    /// Multiplies.
    pub(crate) fn run_checked(self) {
        assert!((1..=self.dst.rows()).contains(&self.rows.rows()));
        let elements = self.rows.cols() * self.dst.cols();
        assert!(self.weights.len() >= elements + BEHIND_WEIGHTS / size_of::<T>());
        isa::dispatch(self);
    }
}

impl<T: Number> Kernel for PackedProduct<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Vectors>(mut self, simd: S) {
        let (all, wide) = (self.dst.cols(), WIDE * T::lanes::<S>());
        let most = most_vectors::<S>();
        let runs = all.div_ceil(most * T::lanes::<S>()) * self.dst.rows().div_ceil(most_pixels::<S>(most));
        let Self { next, rows, .. } = &self;
        let mut ahead = Ahead::new(next, next.len(), next.len(), runs * rows.cols());
        let mut first = 0;
        if const { most_vectors::<S>() == WIDE } {
            while first + wide <= all {
                self.run_rows::<S, WIDE>(simd, first, wide, &mut ahead);
                first += wide;
            }
        }
        while first < all {
            let width = (VECTORS * T::lanes::<S>()).min(all - first);
            if width <= T::lanes::<S>() {
                self.run_rows::<S, 1>(simd, first, width, &mut ahead);
            } else {
                self.run_rows::<S, VECTORS>(simd, first, width, &mut ahead);
            }
            first += width;
        }
    }
}

impl<T: Number> PackedProduct<'_, '_, T> {
    /// All rows of so many columns from one on.
    #[inline(always)]
    fn run_rows<S: Vectors, const V: usize>(&mut self, simd: S, col: usize, width: usize, ahead: &mut Ahead) {
        let all = self.dst.rows();
        let mut first = 0;
        if const { most_pixels::<S>(V) == MANY } {
            simd.apart(|| {
                while first + MANY <= all {
                    self.tile::<S, MANY, V>(simd, (first, col), width, ahead);
                    first += MANY;
                }
            });
        }
        simd.apart(|| {
            while first + FEW <= all {
                self.tile::<S, FEW, V>(simd, (first, col), width, ahead);
                first += FEW;
            }
        });
        while first < all {
            let rows = rows_of_rest::<S>(all - first);
            match rows {
                1 => simd.apart(|| self.tile::<S, 1, V>(simd, (first, col), width, ahead)),
                2 if const { !S::FEW_FORMS } => {
                    simd.apart(|| self.tile::<S, 2, V>(simd, (first, col), width, ahead));
                }
                3 if const { !S::FEW_FORMS } => {
                    simd.apart(|| self.tile::<S, 3, V>(simd, (first, col), width, ahead));
                }
                _ if const { !S::FEW_FORMS } => {
                    simd.apart(|| self.tile::<S, FOUR, V>(simd, (first, col), width, ahead));
                }
                _ => unreachable!("there is no tile of so many rows"),
            }
            first += rows;
        }
    }

    #[inline(always)]
    fn tile<S: Vectors, const P: usize, const V: usize>(
        &mut self,
        simd: S,
        (first, col): (usize, usize),
        width: usize,
        ahead: &mut Ahead,
    ) {
        let (from, ld, last) = (self.rows.data().as_ptr(), self.dst.ld(), self.rows.rows() - 1);
        let factors = Factors::<T, P> {
            rows: std::array::from_fn(|p| from.wrapping_add((first + p).min(last) * self.rows.ld())),
            row_step: 1,
            vector_step: self.dst.cols(),
            spread: AllLanes,
        };
        let to = self.dst.as_mut_ptr();
        let dst: [*mut T; P] = std::array::from_fn(|p| to.wrapping_add((first + p) * ld + col));
        let sums = [[T::splat(simd, T::ZERO); V]; P];
        // SAFETY: `run_checked` saw that rows, weights and dst have these rows and columns.
        unsafe {
            let run = Run { row: 0, vectors: self.weights[col..].as_ptr(), len: self.rows.cols() };
            let sums = add(simd, Whole, &factors, run, sums, ahead);
            let addend = self.accumulate.then_some(dst.map(|dst| dst.cast_const()));
            finish::<S, T, P, V>(simd, Width::<V>(width), dst, sums, addend, None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::for_each_shape;

    /// Products of small integers are exact, and so all shapes give the definition's.
    #[test]
    fn tiles_of_all_shapes_hold_the_products() {
        for_each_shape(|| {
            for (rows, cols, depth) in [(31usize, 150, 5), (12, 64, 9), (7, 33, 3), (1, 1, 1), (8, 113, 2)] {
                for all in [rows, rows.next_multiple_of(ROWS)] {
                    check::<f32>([rows, all], cols, depth);
                    check::<f64>([rows, all], cols, depth);
                }
            }
        });
    }

    fn check<T: Number>([rows, all]: [usize; 2], cols: usize, depth: usize) {
        let value = |at: usize| T::from_f64((at * 7 % 11) as f64 - 5.0);
        let from: Vec<T> = (0..rows * depth).map(value).collect();
        let weights: Vec<T> =
            (0..depth * cols + BEHIND_WEIGHTS / size_of::<T>()).map(|at| value(3 * at)).collect();
        let mut dst = vec![T::ONE; all * cols];
        PackedProduct {
            rows: Matrix::new(&from[..], rows, depth, depth),
            weights: &weights,
            next: &[],
            accumulate: true,
            dst: MatrixMut::new(&mut dst, all, cols, cols),
        }
        .run_checked();
        for (at, &sum) in dst.iter().enumerate() {
            let (row, col) = (at / cols, at % cols);
            let from_row = row.min(rows - 1);
            let products =
                (0..depth).map(|k| from[from_row * depth + k].into() * weights[k * cols + col].into());
            assert_eq!(sum.into(), 1.0 + products.sum::<f64>(), "row {row}, column {col}");
        }
    }
}
