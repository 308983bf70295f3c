//! The plain product of rows and packed weights, as Winograd's transforms need it.

use pulp::{Simd, WithSimd};

use super::isa;
use super::sums::{Ahead, FEW, Factors, MANY, Run, Shared, VECTORS, Width, add, apart, finish};
use crate::matrix::{Matrix, MatrixMut};
use crate::number::Number;

/// dst ← rows · weights, or added to dst.
pub struct Product<'a, 'b, T> {
    /// Rows × depth.
    pub rows: Matrix<'a, T>,
    /// Depth × columns.
    pub weights: Matrix<'a, T>,
    /// Weights that are needed next, one row behind the other.
    pub next: Option<Matrix<'a, T>>,
    /// Whether the products are added to what dst holds.
    pub accumulate: bool,
    /// Rows × columns.
    pub dst: MatrixMut<'b, T>,
}

impl<T: Number> Product<'_, '_, T> {
    /// Multiplies.
    pub fn run(self) {
        assert_eq!(self.rows.rows(), self.dst.rows());
        assert_eq!((self.weights.rows(), self.weights.cols()), (self.rows.cols(), self.dst.cols()));
        isa::dispatch(self);
    }
}

impl<T: Number> WithSimd for Product<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let (all, step) = (self.dst.cols(), VECTORS * T::lanes::<S>());
        let most = if S::REGISTER_COUNT >= 32 { MANY } else { FEW };
        let runs = all.div_ceil(step) * self.dst.rows().div_ceil(most);
        let mut ahead =
            Ahead::new(self.next.map_or(&[], |next| next.data()), usize::MAX, runs * self.rows.cols());
        let mut first = 0;
        while first < all {
            let width = step.min(all - first);
            match (width.div_ceil(T::lanes::<S>()), width % T::lanes::<S>()) {
                (1, 0) => self.run_rows::<S, 1, false>(simd, first, width, &mut ahead),
                (1, _) => self.run_rows::<S, 1, true>(simd, first, width, &mut ahead),
                (_, 0) => self.run_rows::<S, 2, false>(simd, first, width, &mut ahead),
                _ => self.run_rows::<S, 2, true>(simd, first, width, &mut ahead),
            }
            first += width;
        }
    }
}

impl<T: Number> Product<'_, '_, T> {
    #[inline(always)]
    fn run_rows<S: Simd, const V: usize, const PART: bool>(
        &mut self,
        simd: S,
        col: usize,
        width: usize,
        ahead: &mut Ahead,
    ) {
        let all = self.dst.rows();
        let mut first = 0;
        if S::REGISTER_COUNT >= 32 {
            apart(simd, || {
                while first + MANY <= all {
                    self.tile::<S, MANY, V, PART>(simd, (first, col), width, ahead);
                    first += MANY;
                }
            });
        }
        apart(simd, || {
            while first + FEW <= all {
                self.tile::<S, FEW, V, PART>(simd, (first, col), width, ahead);
                first += FEW;
            }
        });
        match all - first {
            0 => {}
            1 => self.tile::<S, 1, V, PART>(simd, (first, col), width, ahead),
            2 => self.tile::<S, 2, V, PART>(simd, (first, col), width, ahead),
            3 => self.tile::<S, 3, V, PART>(simd, (first, col), width, ahead),
            4 => self.tile::<S, 4, V, PART>(simd, (first, col), width, ahead),
            _ => self.tile::<S, 5, V, PART>(simd, (first, col), width, ahead),
        }
    }

    #[inline(always)]
    fn tile<S: Simd, const P: usize, const V: usize, const PART: bool>(
        &mut self,
        simd: S,
        (first, col): (usize, usize),
        width: usize,
        ahead: &mut Ahead,
    ) {
        let width = Width::<V, PART>(width);
        let (from, ld) = (self.rows.data().as_ptr(), self.dst.ld());
        let factors = Factors {
            rows: std::array::from_fn(|p| from.wrapping_add((first + p) * self.rows.ld())),
            row_step: 1,
            vector_step: self.weights.ld(),
            spread: Shared,
        };
        let to = self.dst.as_mut_ptr();
        let dst: [*mut T; P] = std::array::from_fn(|p| to.wrapping_add((first + p) * ld + col));
        let sums = [[T::splat(simd, T::ZERO); V]; P];
        // SAFETY: `run` checked that rows, weights and dst have these rows and columns.
        unsafe {
            let run = Run { row: 0, vectors: self.weights.data()[col..].as_ptr(), len: self.rows.cols() };
            let sums = add(simd, width, &factors, run, sums, ahead);
            finish(simd, width, dst, sums, self.accumulate.then_some(dst.map(|dst| dst.cast_const())), None);
        }
    }
}
