//! Vectors of channels, one in each lane: loaded and stored where channels lie side by side, and where each of them
//! has a row of its own.

use pulp::Simd;

use crate::matrix::{Matrix, MatrixMut};
use crate::number::Number;
pub use crate::number::QUAD;

/// Float32 lanes of the widest vectors: AVX-512's. So many fill a line of the cache, too.
pub const LANES: usize = 16;

/// Numbers that fill a line of the cache.
pub const fn of_line<T>() -> usize {
    LANES * size_of::<f32>() / size_of::<T>()
}

/// How many of a vector's channels there are: all of them, or fewer at the end of the channels.
#[derive(Clone, Copy)]
pub struct Lanes<const ALL: bool>(pub usize);

impl<const ALL: bool> Lanes<ALL> {
    /// The vector at the front of `from`.
    #[inline(always)]
    pub fn load<S: Simd, T: Number>(self, simd: S, from: &[T]) -> T::Vector<S> {
        if ALL { T::load::<S>(from) } else { T::load_part(simd, &from[..self.0]) }
    }

    /// Writes the front of `to`.
    #[inline(always)]
    pub fn store<S: Simd, T: Number>(self, simd: S, to: &mut [T], value: T::Vector<S>) {
        if ALL {
            T::store::<S>(to, value);
        } else {
            T::store_part(simd, &mut to[..self.0], value);
        }
    }
}

/// Four columns of as many rows as a vector has lanes, from column `col` on: vector j holds column `col` + j.
#[inline(always)]
pub fn load_columns<S: Simd, T: Number>(simd: S, from: &Matrix<'_, T>, col: usize) -> [T::Vector<S>; QUAD] {
    assert!(T::lanes::<S>() <= from.rows() && QUAD <= from.cols() && col <= from.cols() - QUAD);
    // SAFETY: the columns lie inside, as just asserted, and the matrix in its memory.
    unsafe { load_columns_at(simd, from.data().as_ptr().add(col), from.ld()) }
}

/// The same of rows that begin at `from`, so far apart.
///
/// # Safety
/// The rows are there.
#[inline(always)]
pub unsafe fn load_columns_at<S: Simd, T: Number>(
    simd: S,
    from: *const T,
    ld: usize,
) -> [T::Vector<S>; QUAD] {
    let mut lines = [T::splat(simd, T::ZERO); QUAD];
    let groups: &mut [[T; QUAD]] = bytemuck::cast_slice_mut(&mut lines);
    let mut group = 0;
    while group < groups.len() {
        // SAFETY: the caller's promise; arrays lie as their elements do.
        groups[group] = unsafe { *from.add(T::lane_of_four::<S>(group) * ld).cast() };
        group += 1;
    }
    T::deinterleave(simd, lines)
}

/// The inverse of [`load_columns`], of which the first `COLS` columns are written.
#[inline(always)]
pub fn store_columns<S: Simd, T: Number, const COLS: usize>(
    simd: S,
    to: &mut MatrixMut<'_, T>,
    col: usize,
    columns: [T::Vector<S>; QUAD],
) {
    assert!(COLS <= QUAD && T::lanes::<S>() <= to.rows() && COLS <= to.cols() && col <= to.cols() - COLS);
    let lines = T::interleave(simd, columns);
    let groups: &[[T; QUAD]] = bytemuck::cast_slice(&lines);
    let (first, ld) = (to.as_mut_ptr(), to.ld());
    let mut group = 0;
    while group < groups.len() {
        // SAFETY: the columns lie inside, as just asserted, and no line has fewer elements than are written.
        unsafe {
            let to: *mut [T; COLS] = first.add(T::lane_of_four::<S>(group) * ld + col).cast();
            *to = *groups[group].as_ptr().cast();
        }
        group += 1;
    }
}

/// Asks for the cache line of an element that is needed soon, if there is such an element. Where rows of a few lines
/// each are read or written, the machine does not foresee it.
#[inline(always)]
pub fn prefetch<T>(data: &[T], at: usize) {
    if let Some(element) = data.get(at) {
        prefetch_line(element);
    }
}

/// Asks for the cache line of an address.
#[inline(always)]
pub fn prefetch_line<T>(at: *const T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a hint reads nothing, whatever the address, and every x86-64 machine has it.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}

#[cfg(test)]
mod tests {
    use std::marker::PhantomData;

    use pulp::WithSimd;

    use super::*;
    use crate::kernels::isa;

    struct Exchange<T>(PhantomData<T>);

    impl<T: Number> WithSimd for Exchange<T> {
        type Output = ();

        fn with_simd<S: Simd>(self, simd: S) {
            let (lanes, number) = (T::lanes::<S>(), |value: usize| T::from_f64(value as f64));
            let from: Vec<T> = (0..LANES * 7).map(number).collect();
            let from = Matrix::new(&from, lanes, 6, 7);
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
