//! Winograd's minimal filtering F(m×m, r×r): the transforms of tiles, and in [`matrices`] those of lines and kernels.
//!
//! An output tile of m×m pixels is Aᵀ·[(G·g·Gᵀ) ⊙ (Bᵀ·d·B)]·A for the r×r kernel g and the α×α input tile d,
//! α = m + r − 1 (Lavin and Gray, arXiv 1509.09308).
//!
//! The transforms hold one channel in each lane of a vector. They take a cache line of channels at a time, since the
//! lines of the α² positions evict each other where these lie a multiple of 4 KiB apart. `A` is α, `R` is r throughout.

mod input;
pub mod matrices;
mod output;

use std::ops::Range;

pub use self::input::InputTransform;
use self::matrices::MOST;
pub use self::output::OutputTransform;
use crate::data_type::Layout;
use crate::geometry::Geometry;
use crate::lanes::{Filled, LANES, QUAD, load_columns_at};
use crate::matrix::{Matrix, MatrixMut};
use crate::number::Number;
use crate::vectors::Vectors;

/// Four columns of as many rows as a vector has lanes, from column `col` on: vector j holds column `col` + j.
#[inline(always)]
pub fn load_columns<S: Vectors, T: Number>(
    simd: S,
    from: &Matrix<'_, T>,
    col: usize,
) -> [T::Vector<S>; QUAD] {
    assert!(T::lanes::<S>() <= from.rows() && QUAD <= from.cols() && col <= from.cols() - QUAD);
    // SAFETY: the columns lie inside, as just asserted, and the matrix in its memory.
    unsafe { load_columns_at(simd, from.data().as_ptr().add(col), from.ld()) }
}

/// The inverse of [`load_columns`], of which the first `COLS` columns are written.
#[inline(always)]
pub fn store_columns<S: Vectors, T: Number, const COLS: usize>(
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

/// F(m×m, r×r).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Form {
    /// m.
    pub outputs: usize,
    /// r.
    pub taps: usize,
}

impl Form {
    /// α.
    pub const fn alpha(self) -> usize {
        self.outputs + self.taps - 1
    }
}

/// Some tiles of an image, in raster order.
pub struct Strip<'a> {
    /// The axes.
    pub geometry: &'a Geometry,
    /// m and r.
    pub form: Form,
    /// Which tiles.
    pub tiles: Range<usize>,
}

impl Strip<'_> {
    /// The row and column, in tiles of m×m outputs, of a tile.
    fn place(&self, tile: usize) -> (usize, usize) {
        let [_, _, cols] = self.geometry.axes;
        let across = cols.output.div_ceil(self.form.outputs);
        (tile / across, tile % across)
    }
}

/// The positions of a tile that lie inside an axis, and the place on the axis of the first of them. The tile begins
/// at `start` − `before`.
fn clip(start: usize, before: usize, len: usize, size: usize) -> (Range<usize>, usize) {
    let first = before.saturating_sub(start).min(len);
    let end = (size + before).saturating_sub(start).clamp(first, len);
    (first..end, (start + first).saturating_sub(before))
}

/// Some channels of one tile: up to [`LANES`], as so many whole vectors, or as a part of one vector.
#[derive(Clone, Copy)]
struct Part<const ALL: bool> {
    /// The tile's number in the strip.
    number: usize,
    first: usize,
    vectors: usize,
    lanes: Filled<ALL>,
}

/// One of the transforms of a strip's tiles.
trait TileTransform {
    /// What the tiles hold.
    type Number: Number;

    /// What all channels of a tile share.
    type Place;

    /// Channels, and the layout of the image in which they lie.
    fn channels(&self) -> (usize, Layout);

    /// Of the tile of this number in the strip.
    fn place(&self, number: usize) -> Self::Place;

    fn transform<S: Vectors, const ALL: bool>(
        &mut self,
        simd: S,
        part: Part<ALL>,
        place: &Self::Place,
        buffers: &mut Buffers<Self::Number>,
    );
}

/// Transforms all channels of the tiles.
#[inline(always)]
fn run_tiles<S: Vectors, T: TileTransform>(simd: S, mut transform: T, tiles: usize) {
    let of_vector = T::Number::lanes::<S>();
    let (channels, layout) = transform.channels();
    let mut buffers = Buffers::default();
    // Neighbours in memory one after the other: of NCHW the tiles, of NHWC the channels.
    let parts = channels.div_ceil(LANES);
    let (outer, inner) = if layout == Layout::Nchw { (parts, tiles) } else { (tiles, parts) };
    let mut place = (usize::MAX, None);
    for far in 0..outer {
        for near in 0..inner {
            let (number, part) = if layout == Layout::Nchw { (near, far) } else { (far, near) };
            if place.0 != number {
                place = (number, Some(transform.place(number)));
            }
            let Some(place) = &place.1 else { continue };
            let first = part * LANES;
            let (vectors, rest) =
                ((channels - first).min(LANES) / of_vector, (channels - first).min(LANES) % of_vector);
            if vectors > 0 {
                let part = Part { number, first, vectors, lanes: Filled::<true>(of_vector) };
                transform.transform(simd, part, place, &mut buffers);
            }
            if rest > 0 {
                let first = first + vectors * of_vector;
                let part = Part { number, first, vectors: 1, lanes: Filled::<false>(rest) };
                transform.transform(simd, part, place, &mut buffers);
            }
        }
    }
}

/// Memory of one strip's transforms. It is not cleared for every tile.
#[derive(Default)]
struct Buffers<T> {
    /// Vectors between the two passes, row by row.
    half: [[[T; LANES]; MOST]; MOST],
    pixels: Pixels<T>,
}

/// A line of pixels of every channel.
type Pixels<T> = [[T; MOST]; LANES];

/// A line of α pixels of each of a vector's channels, which are the rows here.
#[inline(always)]
fn load_line<S: Vectors, T: Number, const A: usize>(simd: S, from: &Matrix<'_, T>) -> [T::Vector<S>; A] {
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
fn store_line<S: Vectors, T: Number, const A: usize>(
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

    #[test]
    fn windows_are_clipped_at_both_ends() {
        assert_eq!(clip(0, 1, 6, 14), (1..6, 0));
        assert_eq!(clip(4, 1, 6, 14), (0..6, 3));
        assert_eq!(clip(12, 1, 6, 14), (0..3, 11));
        assert_eq!(clip(0, 9, 6, 14).0.len(), 0);
        assert_eq!(clip(20, 1, 6, 14).0.len(), 0);
    }
}
