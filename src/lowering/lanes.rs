//! Vectors of channels, one in each lane: loaded and stored where channels lie side by side, and where each of them
//! has a row of its own.

use pulp::{Simd, bytemuck};

use crate::matrix::{Matrix, MatrixMut};

/// Lanes of the widest vectors: AVX-512's. So many floats fill a line of the cache, too.
pub const LANES: usize = 16;

/// Columns that are exchanged with lanes at once.
pub const QUAD: usize = 4;

const INSIDE: &str = "the columns lie inside";

/// How many of a vector's channels there are: all of them, or fewer at the end of the channels.
#[derive(Clone, Copy)]
pub struct Lanes<const ALL: bool>(pub usize);

impl<const ALL: bool> Lanes<ALL> {
    /// The vector at the front of `from`.
    #[inline(always)]
    pub fn load<S: Simd>(self, simd: S, from: &[f32]) -> S::f32s {
        if ALL {
            S::as_simd_f32s(&from[..S::F32_LANES]).0[0]
        } else {
            simd.partial_load_f32s(&from[..self.0])
        }
    }

    /// Writes the front of `to`.
    #[inline(always)]
    pub fn store<S: Simd>(self, simd: S, to: &mut [f32], value: S::f32s) {
        if ALL {
            S::as_mut_simd_f32s(&mut to[..S::F32_LANES]).0[0] = value;
        } else {
            simd.partial_store_f32s(&mut to[..self.0], value);
        }
    }
}

/// The row whose four elements are group `group` of four lanes, counted over four vectors, so that the interleaving
/// of those vectors, which is one within each 128 bits on x86, brings row k to lane k.
#[inline(always)]
const fn row_of_group<S: Simd>(group: usize) -> usize {
    let of_a_vector = if S::F32_LANES < QUAD { 1 } else { S::F32_LANES / QUAD };
    group / of_a_vector + group % of_a_vector * QUAD
}

/// Four columns of as many rows as a vector has lanes, from column `col` on: vector j holds column `col` + j.
#[inline(always)]
pub fn load_columns<S: Simd>(simd: S, from: &Matrix<'_>, col: usize) -> [S::f32s; QUAD] {
    let mut lines = [simd.splat_f32s(0.0); QUAD];
    let groups: &mut [[f32; QUAD]] = bytemuck::cast_slice_mut(&mut lines);
    let mut group = 0;
    while group < groups.len() {
        groups[group] = *from.row(row_of_group::<S>(group))[col..].first_chunk().expect(INSIDE);
        group += 1;
    }
    simd.deinterleave_shfl_f32s(lines)
}

/// The inverse of [`load_columns`], of which the first `COLS` columns are written.
#[inline(always)]
pub fn store_columns<S: Simd, const COLS: usize>(
    simd: S,
    to: &mut MatrixMut<'_>,
    col: usize,
    columns: [S::f32s; QUAD],
) {
    let lines = simd.interleave_shfl_f32s(columns);
    let groups: &[[f32; QUAD]] = bytemuck::cast_slice(&lines);
    let mut group = 0;
    while group < groups.len() {
        let to: &mut [f32; COLS] =
            to.row_mut(row_of_group::<S>(group))[col..].first_chunk_mut().expect(INSIDE);
        *to = *groups[group].first_chunk().expect("at most four columns");
        group += 1;
    }
}

/// Asks for the cache line of an element that is needed soon, if there is such an element. Where rows of a few lines
/// each are read or written, the machine does not foresee it.
#[inline(always)]
pub fn prefetch(data: &[f32], at: usize) {
    if let Some(element) = data.get(at) {
        prefetch_line(element);
    }
}

/// Asks for the cache line of an address.
#[inline(always)]
pub fn prefetch_line(at: *const f32) {
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
    use pulp::WithSimd;

    use super::*;
    use crate::kernels::isa;

    struct Exchange;

    impl WithSimd for Exchange {
        type Output = ();

        fn with_simd<S: Simd>(self, simd: S) {
            let from: Vec<f32> = (0..LANES * 7).map(|index| index as f32).collect();
            let from = Matrix::new(&from, S::F32_LANES, 6, 7);
            let columns = load_columns(simd, &from, 2);
            for (j, column) in columns.iter().enumerate() {
                let expected: Vec<f32> = (0..S::F32_LANES).map(|row| (row * 7 + 2 + j) as f32).collect();
                assert_eq!(bytemuck::cast_slice::<S::f32s, f32>(std::slice::from_ref(column)), expected);
            }
            let mut to = [-1.0; LANES * 5];
            store_columns::<S, 3>(simd, &mut MatrixMut::new(&mut to, S::F32_LANES, 5, 5), 1, columns);
            for (index, &value) in to.iter().enumerate() {
                let (row, col) = (index / 5, index % 5);
                let expected =
                    if row < S::F32_LANES && (1..4).contains(&col) { row * 7 + 1 + col } else { 0 };
                assert_eq!(value, if expected == 0 { -1.0 } else { expected as f32 });
            }
        }
    }

    #[test]
    fn columns_become_vectors_and_vectors_columns() {
        isa::dispatch_each(|| Exchange);
    }
}
