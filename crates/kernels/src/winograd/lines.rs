//! Lines of pixels, one for each channel of a vector, and their transposition to vectors of channels and back.

use crate::lanes::{QUAD, load_columns_at, store_columns_at};
use crate::matrix::{Matrix, MatrixMut};
use crate::number::Number;
use crate::vectors::Vectors;

/// Four columns of as many rows as a vector has lanes, from column `col` on: vector j holds column `col` + j.
#[inline(always)]
fn load_columns<S: Vectors, T: Number>(simd: S, from: &Matrix<'_, T>, col: usize) -> [T::Vector<S>; QUAD] {
    assert!(T::lanes::<S>() <= from.rows() && QUAD <= from.cols() && col <= from.cols() - QUAD);
    // SAFETY: the columns lie inside, as just asserted, and the matrix in its memory.
    unsafe { load_columns_at(simd, from.data().as_ptr().add(col), from.ld()) }
}

/// The inverse of [`load_columns`], of which the first `COLS` columns are written.
#[inline(always)]
fn store_columns<S: Vectors, T: Number, const COLS: usize>(
    simd: S,
    to: &mut MatrixMut<'_, T>,
    col: usize,
    columns: [T::Vector<S>; QUAD],
) {
    assert!(T::lanes::<S>() <= to.rows() && COLS <= to.cols() && col <= to.cols() - COLS);
    // SAFETY: the columns lie inside, as just asserted.
    unsafe { store_columns_at::<S, T, COLS, false>(simd, columns, to.as_mut_ptr().add(col), to.ld()) };
}

/// A line of α pixels of each of a vector's channels, which are the rows here.
#[inline(always)]
pub fn load_line<S: Vectors, T: Number, const A: usize>(simd: S, from: &Matrix<'_, T>) -> [T::Vector<S>; A] {
    let mut line = [T::splat(simd, T::ZERO); A];
    let mut col = 0;
    while col < A {
        // The last four columns may overlap those before.
        let first = col.min(A - QUAD);
        for (j, value) in load_columns(simd, from, first).into_iter().enumerate() {
            line[first + j] = value;
        }
        col += QUAD;
    }
    line
}

/// The first `count` columns, 2 or 4 or more, of a vector's channels, which are the rows of `to`.
#[inline(always)]
pub fn store_line<S: Vectors, T: Number, const A: usize>(
    simd: S,
    line: &[T::Vector<S>; A],
    count: usize,
    to: &mut MatrixMut<'_, T>,
) {
    if count < QUAD {
        return store_columns::<S, T, 2>(simd, to, 0, [line[0], line[1], line[0], line[1]]);
    }
    let mut col = 0;
    while col < count {
        // The last four columns may overlap those before.
        let first = col.min(count - QUAD);
        let columns = [line[first], line[first + 1], line[first + 2], line[first + 3]];
        store_columns::<S, T, QUAD>(simd, to, first, columns);
        col += QUAD;
    }
}

#[cfg(test)]
mod tests {
    use std::marker::PhantomData;

    use super::*;
    use crate::isa;
    use crate::lanes::LANES;
    use crate::vectors::Kernel;

    struct Exchange<T>(PhantomData<T>);

    impl<T: Number> Kernel for Exchange<T> {
        type Output = ();

        fn run<S: Vectors>(self, simd: S) {
            let (lanes, number) = (T::lanes::<S>(), |value: usize| T::from_f64(value as f64));
            let from: Vec<T> = (0..LANES * 7).map(number).collect();
            let from = Matrix::new(&from[..], lanes, 6, 7);
            let columns = load_columns(simd, &from, 2);
            for (j, column) in columns.iter().enumerate() {
                let expected: Vec<T> = (0..lanes).map(|row| number(row * 7 + 2 + j)).collect();
                assert_eq!(bytemuck::cast_slice::<T::Vector<S>, T>(std::slice::from_ref(column)), expected);
            }
            let mut to = [T::from_f64(-1.0); LANES * 5];
            store_columns::<S, T, 3>(simd, &mut MatrixMut::new(&mut to, lanes, 5, 5), 1, columns);
            for (index, &value) in to.iter().enumerate() {
                let (row, col) = (index / 5, index % 5);
                let expected = if row < lanes && (1..4).contains(&col) { row * 7 + 1 + col } else { 0 };
                assert_eq!(value, if expected == 0 { T::from_f64(-1.0) } else { number(expected) });
            }
        }
    }

    #[test]
    fn columns_become_vectors_and_vectors_columns() {
        isa::dispatch_each(|| Exchange::<f32>(PhantomData));
        isa::dispatch_each(|| Exchange::<f64>(PhantomData));
    }
}
