//! The matrices of F(m×m, r×r), which follow from their points, and the transforms of one line of a tile.
//!
//! The matrices evaluate and interpolate polynomials at α − 1 points and at infinity (Toom and Cook). The points are
//! 0 and pairs ±p; the rows of a pair differ only in signs. `A` is α and `R` is r in all names.

use crate::number::Number;
use crate::vectors::Vectors;

/// The largest α.
pub const MOST_ALPHA: usize = 8;
/// Where the polynomials are evaluated, beside infinity: the first α − 1 of these. Of the points tried for each α they
/// gave the smallest errors: with 0, ±1, ±2 they are four times as large for α = 6.
const fn points(alpha: usize) -> [f64; MOST_ALPHA - 1] {
    use std::f64::consts::{FRAC_1_SQRT_2, SQRT_2};
    if alpha == 6 {
        [0.0, FRAC_1_SQRT_2, -FRAC_1_SQRT_2, SQRT_2, -SQRT_2, 0.0, 0.0]
    } else {
        [0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5]
    }
}

/// Bᵀ, α × α. Row k holds the coefficients of Π (x − p) over all points but the k-th, the last row over all points.
const fn input_matrix<const A: usize>() -> [[f64; A]; A] {
    let points = points(A);
    let mut rows = [[0.0; A]; A];
    let mut k = 0;
    while k < A {
        let mut poly = [0.0; A];
        poly[0] = 1.0;
        let (mut point, mut degree) = (0, 0);
        while point < A - 1 {
            if point != k {
                // Times x, minus p times itself.
                degree += 1;
                let mut at = degree;
                while at > 0 {
                    poly[at] = poly[at - 1] - points[point] * poly[at];
                    at -= 1;
                }
                poly[0] *= -points[point];
            }
            point += 1;
        }
        let mut column = 0;
        while column < A {
            rows[k][column] = poly[column];
            column += 1;
        }
        k += 1;
    }
    rows
}

/// Aᵀ, of which the first m = α − r + 1 rows count: row i holds the i-th powers of the points, and the last one of
/// infinity.
const fn output_matrix<const A: usize, const R: usize>() -> [[f64; A]; A] {
    let points = points(A);
    let mut rows = [[0.0; A]; A];
    let mut point = 0;
    while point < A - 1 {
        let (mut i, mut power) = (0, 1.0);
        while i <= A - R {
            rows[i][point] = power;
            power *= points[point];
            i += 1;
        }
        point += 1;
    }
    rows[A - R][A - 1] = 1.0;
    rows
}

/// Row `k` of G, r columns: powers of the point over the product of its distances from the others.
fn kernel_row(alpha: usize, r: usize, k: usize) -> [f64; MOST_ALPHA] {
    let mut row = [0.0; MOST_ALPHA];
    let points = points(alpha);
    let Some(&point) = points[..alpha - 1].get(k) else {
        row[r - 1] = 1.0;
        return row;
    };
    let others = points[..alpha - 1].iter().filter(|&&other| other != point);
    let distances: f64 = others.map(|other| point - other).product();
    (0..r).for_each(|j| row[j] = point.powi(j as i32) / distances);
    row
}

/// The transform of kernels, in float64: weights are transformed once.
pub struct KernelTransform {
    pub(super) alpha: usize,
    pub(super) r: usize,
    /// G.
    pub(super) rows: [[f64; MOST_ALPHA]; MOST_ALPHA],
}

impl KernelTransform {
    /// For r×r kernels and tiles of α×α.
    pub fn new(alpha: usize, r: usize) -> Self {
        Self { alpha, r, rows: std::array::from_fn(|k| kernel_row(alpha, r, k)) }
    }
}

/// The sum of factor·value over every `step`-th of them from `first` on. The factors are constants, so that zeros and
/// ones cost nothing; a 1, if there is one, begins the sum.
#[inline(always)]
fn dot<S: Vectors, T: Number, const A: usize>(
    simd: S,
    factors: &[f64; A],
    values: &[T::Vector<S>; A],
    first: usize,
    step: usize,
) -> T::Vector<S> {
    let minus_one = T::from_f64(-1.0);
    let mut one = first;
    while one < A && T::from_f64(factors[one]) != T::ONE {
        one += step;
    }
    let mut sum = if one < A { Some(values[one]) } else { None };
    let mut j = first;
    while j < A {
        let (factor, value) = (T::from_f64(factors[j]), values[j]);
        if j != one && factor != T::ZERO {
            sum = Some(match sum {
                None => T::multiply(simd, T::splat(simd, factor), value),
                Some(sum) if factor == T::ONE => T::add_vectors(simd, sum, value),
                Some(sum) if factor == minus_one => T::subtract(simd, sum, value),
                Some(sum) => T::multiply_add(simd, T::splat(simd, factor), value, sum),
            });
        }
        j += step;
    }
    sum.unwrap_or(T::splat(simd, T::ZERO))
}

/// Bᵀ·d. Rows of a pair of points agree in the even columns and differ in the sign of the odd ones.
#[inline(always)]
pub fn transform_input<S: Vectors, T: Number, const A: usize>(
    simd: S,
    d: [T::Vector<S>; A],
) -> [T::Vector<S>; A] {
    let matrix = const { input_matrix::<A>() };
    let mut out = [T::splat(simd, T::ZERO); A];
    out[0] = dot::<S, T, A>(simd, &matrix[0], &d, 0, 1);
    out[A - 1] = dot::<S, T, A>(simd, &matrix[A - 1], &d, 0, 1);
    let mut k = 1;
    while k < A - 1 {
        let (even, odd) =
            (dot::<S, T, A>(simd, &matrix[k], &d, 0, 2), dot::<S, T, A>(simd, &matrix[k], &d, 1, 2));
        out[k] = T::add_vectors(simd, even, odd);
        out[k + 1] = T::subtract(simd, even, odd);
        k += 2;
    }
    out
}

/// Aᵀ·v, of which the first m elements count. Columns of a pair of points agree in the even rows and differ in the
/// sign of the odd ones.
#[inline(always)]
pub fn transform_output<S: Vectors, T: Number, const A: usize, const R: usize>(
    simd: S,
    v: [T::Vector<S>; A],
) -> [T::Vector<S>; A] {
    let matrix = const { output_matrix::<A, R>() };
    // Sums of pairs where point p was, differences where −p was.
    let mut sums = v;
    let mut k = 1;
    while k < A - 1 {
        sums[k] = T::add_vectors(simd, v[k], v[k + 1]);
        sums[k + 1] = T::subtract(simd, v[k], v[k + 1]);
        k += 2;
    }
    let mut out = [T::splat(simd, T::ZERO); A];
    let mut i = 0;
    while i <= A - R {
        // Infinity, and 0, which counts in row 0 only.
        let mut sum = if i == A - R { Some(v[A - 1]) } else { None };
        if i == 0 {
            sum = Some(sum.map_or(v[0], |sum| T::add_vectors(simd, sum, v[0])));
        }
        let mut k = 1;
        while k < A - 1 {
            let (factor, value) = (T::from_f64(matrix[i][k]), sums[k + i % 2]);
            sum = Some(match sum {
                None if factor == T::ONE => value,
                None => T::multiply(simd, T::splat(simd, factor), value),
                Some(sum) if factor == T::ONE => T::add_vectors(simd, sum, value),
                Some(sum) => T::multiply_add(simd, T::splat(simd, factor), value, sum),
            });
            k += 2;
        }
        out[i] = sum.unwrap_or(T::splat(simd, T::ZERO));
        i += 1;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The well-known matrices of F(2×2, 3×3), up to signs that G takes back.
    #[test]
    fn matrices_are_those_of_the_paper() {
        let b = input_matrix::<4>();
        assert_eq!(
            b,
            [[-1.0, 0.0, 1.0, 0.0], [0.0, 1.0, 1.0, 0.0], [0.0, -1.0, 1.0, 0.0], [0.0, -1.0, 0.0, 1.0]]
        );
        let a = output_matrix::<4, 3>();
        assert_eq!(a[..2], [[1.0, 1.0, 1.0, 0.0], [0.0, 1.0, -1.0, 1.0]]);
        let g: Vec<_> = (0..4).map(|k| kernel_row(4, 3, k)).collect();
        assert_eq!(g[0][..3], [-1.0, 0.0, 0.0]);
        assert_eq!(g[1][..3], [0.5, 0.5, 0.5]);
        assert_eq!(g[2][..3], [0.5, -0.5, 0.5]);
        assert_eq!(g[3][..3], [0.0, 0.0, 1.0]);
        assert_eq!(input_matrix::<8>()[7], [0.0, -1.0, 0.0, 5.25, 0.0, -5.25, 0.0, 1.0]);
    }
}
