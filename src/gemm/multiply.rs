//! [`Gemm`]: C ← A·B + βC on one thread.

use convlow_kernels::matrix::{MatrixMut, Operand};
#[cfg(feature = "gemm")]
use convlow_kernels::number::Number;

/// A matrix multiplication. A call runs on the calling thread alone.
pub trait Gemm: Multiply<f32> + Multiply<f64> + Sync {}

impl<G: Multiply<f32> + Multiply<f64> + Sync> Gemm for G {}

/// A matrix multiplication of these elements.
pub trait Multiply<T> {
    /// C ← A·B + βC, with A of C's rows × depth and B of depth × C's columns. If `beta` is 0, what C held
    /// (a NaN included) does not matter. Infinities and NaN of A's row r and B's column c reach `C[r][c]` only.
    ///
    /// # Panics
    /// If the shapes do not agree.
    fn multiply(&self, c: MatrixMut<'_, T>, a: Operand<'_, T>, b: Operand<'_, T>, beta: T);
}

/// What a [`Gemm`] multiplies.
pub trait Multiplied: convlow_kernels::Element {
    /// [`Multiply::multiply`].
    fn multiply_by(
        gemm: &dyn Gemm,
        c: MatrixMut<'_, Self>,
        a: Operand<'_, Self>,
        b: Operand<'_, Self>,
        beta: Self,
    );
}

macro_rules! multiplied {
    ($($number:ident)+) => {$(
        impl Multiplied for $number {
            fn multiply_by(
                gemm: &dyn Gemm,
                c: MatrixMut<'_, Self>,
                a: Operand<'_, Self>,
                b: Operand<'_, Self>,
                beta: Self,
            ) {
                gemm.multiply(c, a, b, beta);
            }
        }
    )+};
}

multiplied!(f32 f64);

/// Shared by the backends: the shapes of one product, checked.
#[cfg(feature = "gemm")]
pub(super) fn shape_of<T: Number>(
    c: &MatrixMut<'_, T>,
    a: &Operand<'_, T>,
    b: &Operand<'_, T>,
) -> (usize, usize, usize) {
    assert!(a.rows() == c.rows() && b.cols() == c.cols() && a.cols() == b.rows(), "shapes disagree");
    (c.rows(), c.cols(), a.cols())
}
