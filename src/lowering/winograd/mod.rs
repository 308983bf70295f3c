//! Winograd's minimal filtering F(m×m, r×r): the transforms of tiles, and in [`matrices`] those of lines and kernels.
//!
//! An output tile of m×m pixels is Aᵀ·[(G·g·Gᵀ) ⊙ (Bᵀ·d·B)]·A for the r×r kernel g and the α×α input tile d,
//! α = m + r − 1 (Lavin and Gray, arXiv 1509.09308).
//!
//! The transforms hold one channel in each lane of a vector. They take a cache line of channels at a time, since the
//! lines of the α² positions evict each other where these lie a multiple of 4 KiB apart. `A` is α, `R` is r throughout.

pub mod matrices;

use std::ops::Range;

use pulp::{Simd, WithSimd};

use self::matrices::{MOST, transform_input, transform_output};
use super::epilogue::clamped;
use super::image::Image;
use super::lanes::{LANES, Lanes, QUAD, load_columns_at, prefetch};
use crate::kernels::isa;
use crate::matrix::{Matrix, MatrixMut};
use crate::number::Number;
use crate::problem::{Clamp, Layout, Problem};

/// Four columns of as many rows as a vector has lanes, from column `col` on: vector j holds column `col` + j.
#[inline(always)]
pub fn load_columns<S: Simd, T: Number>(simd: S, from: &Matrix<'_, T>, col: usize) -> [T::Vector<S>; QUAD] {
    assert!(T::lanes::<S>() <= from.rows() && QUAD <= from.cols() && col <= from.cols() - QUAD);
    // SAFETY: the columns lie inside, as just asserted, and the matrix in its memory.
    unsafe { load_columns_at(simd, from.data().as_ptr().add(col), from.ld()) }
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

/// Some tiles of an image, in raster order.
pub struct Strip<'a> {
    /// The convolution.
    pub problem: &'a Problem,
    /// Which tiles.
    pub tiles: Range<usize>,
}

impl Strip<'_> {
    /// The row and column, in tiles of m×m outputs, of a tile.
    fn place(&self, tile: usize, m: usize) -> (usize, usize) {
        let across = self.problem.cols.output.div_ceil(m);
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
    lanes: Lanes<ALL>,
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

    fn transform<S: Simd, const ALL: bool>(
        &mut self,
        simd: S,
        part: Part<ALL>,
        place: &Self::Place,
        buffers: &mut Buffers<Self::Number>,
    );
}

/// Transforms all channels of the tiles.
#[inline(always)]
fn run_tiles<S: Simd, T: TileTransform>(simd: S, mut transform: T, tiles: usize) {
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
                let part = Part { number, first, vectors, lanes: Lanes::<true>(of_vector) };
                transform.transform(simd, part, place, &mut buffers);
            }
            if rest > 0 {
                let first = first + vectors * of_vector;
                let part = Part { number, first, vectors: 1, lanes: Lanes::<false>(rest) };
                transform.transform(simd, part, place, &mut buffers);
            }
        }
    }
}

/// Bᵀ·d·B for every input tile of a strip and every channel.
pub struct InputTransform<'a, T, const A: usize, const R: usize> {
    /// The strip.
    pub strip: &'a Strip<'a>,
    /// The input, from the first of the channels on.
    pub image: &'a Image<'a, T>,
    /// How many channels, C here.
    pub channels: usize,
    /// α² × tiles × C.
    pub out: &'a mut [T],
}

impl<T: Number, const A: usize, const R: usize> InputTransform<'_, T, A, R> {
    /// Computes it in the widest vectors of this machine.
    pub fn run(self) {
        isa::dispatch(self);
    }

    /// One row of a window, of a vector's channels from `first` on; what is outside the image is 0.
    #[inline(always)]
    fn load_row<S: Simd, const ALL: bool>(
        &self,
        simd: S,
        lanes: Lanes<ALL>,
        first: usize,
        (window, h): (&Window, usize),
        pixels: &mut Pixels<T>,
    ) -> [T::Vector<S>; A] {
        let (js, image) = (&window.js, self.image);
        let mut row = [T::splat(simd, T::ZERO); A];
        match self.strip.problem.src_layout {
            Layout::Nhwc => {
                let data = image.at(first, h, window.w);
                if js.len() == A {
                    let inside = Matrix::new(data, A, lanes.0, image.pixel);
                    for (j, value) in row.iter_mut().enumerate() {
                        *value = lanes.load(simd, inside.row(j));
                    }
                    // What the next tile reads beside.
                    for j in A..2 * A - R + 1 {
                        prefetch(data, j * image.pixel);
                    }
                } else {
                    let inside = Matrix::new(data, js.len(), lanes.0, image.pixel);
                    for (j, value) in row.iter_mut().enumerate() {
                        if js.contains(&j) {
                            *value = lanes.load(simd, inside.row(j - js.start));
                        }
                    }
                }
            }
            Layout::Nchw => {
                let at = first * image.channel + h * image.row + window.w;
                let end = at + (T::lanes::<S>() - 1) * image.channel + A;
                if ALL && at >= js.start && end - js.start <= image.data.len() {
                    // Where the image goes on around the row; what is outside is cleared then.
                    let data = &image.data[at - js.start..];
                    // What the next tiles read.
                    for channel in 0..T::lanes::<S>() {
                        prefetch(data, channel * image.channel + LANES);
                    }
                    row = load_line(simd, &Matrix::overlapping(data, T::lanes::<S>(), A, image.channel));
                } else {
                    for (channel, pixels) in pixels.iter_mut().enumerate().take(lanes.0) {
                        let from = &image.data[at + channel * image.channel..][..js.len()];
                        pixels[js.clone()].copy_from_slice(from);
                    }
                    row = load_line(simd, &Matrix::new(pixels.as_flattened(), T::lanes::<S>(), A, MOST));
                }
                if js.len() < A {
                    for (j, value) in row.iter_mut().enumerate() {
                        if !js.contains(&j) {
                            *value = T::splat(simd, T::ZERO);
                        }
                    }
                }
            }
        }
        row
    }
}

impl<T: Number, const A: usize, const R: usize> WithSimd for InputTransform<'_, T, A, R> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let tiles = self.strip.tiles.len();
        run_tiles(simd, self, tiles);
    }
}

impl<T: Number, const A: usize, const R: usize> TileTransform for InputTransform<'_, T, A, R> {
    type Number = T;
    type Place = Window;

    fn channels(&self) -> (usize, Layout) {
        (self.channels, self.strip.problem.src_layout)
    }

    fn place(&self, number: usize) -> Window {
        let Problem { rows, cols, .. } = self.strip.problem;
        let (ty, tx) = self.strip.place(self.strip.tiles.start + number, A - R + 1);
        let (is, h) = clip(ty * (A - R + 1), rows.pad_before, A, rows.input);
        let (js, w) = clip(tx * (A - R + 1), cols.pad_before, A, cols.input);
        if is.is_empty() || js.is_empty() { Window::default() } else { Window { is, js, h, w } }
    }

    #[expect(clippy::needless_range_loop, reason = "one pass goes along rows, the other along columns")]
    #[inline(always)]
    fn transform<S: Simd, const ALL: bool>(
        &mut self,
        simd: S,
        Part { number, first, vectors, lanes }: Part<ALL>,
        window: &Window,
        Buffers { half, pixels }: &mut Buffers<T>,
    ) {
        let full = Lanes::<true>(T::lanes::<S>());
        for vector in 0..vectors {
            let lane = vector * T::lanes::<S>();
            for i in 0..A {
                let mut row = [T::splat(simd, T::ZERO); A];
                if window.is.contains(&i) {
                    let place = (window, window.h + i - window.is.start);
                    row = self.load_row(simd, lanes, first + lane, place, pixels);
                }
                for (l, value) in transform_input::<S, T, A>(simd, row).into_iter().enumerate() {
                    full.store(simd, &mut half[i][l][lane..], value);
                }
            }
        }
        let channels = self.channels;
        // From one position of the tiles to the next.
        let step = self.strip.tiles.len() * channels;
        let out = &mut self.out[number * channels + first..];
        for l in 0..A {
            for vector in 0..vectors {
                let lane = vector * T::lanes::<S>();
                let mut column = [T::splat(simd, T::ZERO); A];
                for (i, value) in column.iter_mut().enumerate() {
                    *value = full.load(simd, &half[i][l][lane..]);
                }
                let mut positions = MatrixMut::new(&mut out[lane..], A * A, lanes.0, step);
                for (k, value) in transform_input::<S, T, A>(simd, column).into_iter().enumerate() {
                    lanes.store(simd, positions.row_mut(k * A + l), value);
                }
            }
        }
    }
}

/// A tile's window of the image: its rows and columns inside, and the place in the image of the first of them.
#[derive(Default)]
struct Window {
    is: Range<usize>,
    js: Range<usize>,
    h: usize,
    w: usize,
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
fn load_line<S: Simd, T: Number, const A: usize>(simd: S, from: &Matrix<'_, T>) -> [T::Vector<S>; A] {
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

/// Aᵀ·v·A for every tile of a strip and some output channels, with bias, what dst holds, and the clamp.
pub struct OutputTransform<'a, 'b, T, const A: usize, const R: usize> {
    /// The strip.
    pub strip: &'a Strip<'a>,
    /// α² × tiles × channels.
    pub sums: &'a [T],
    /// One float a channel.
    pub bias: Option<&'a [T]>,
    /// The channels' pixels from the output row of `first_row` on: channels × pixels in NCHW, else pixels × channels.
    pub dst: &'a mut MatrixMut<'b, T>,
    /// See `dst`.
    pub first_row: usize,
}

impl<T: Number, const A: usize, const R: usize> OutputTransform<'_, '_, T, A, R> {
    /// m.
    const OUTPUTS: usize = A - R + 1;

    /// Computes it in the widest vectors of this machine.
    pub fn run(self) {
        isa::dispatch(self);
    }

    /// Stores one output row of a vector's channels, the first columns of which are inside.
    #[inline(always)]
    fn store_row<S: Simd, const ALL: bool>(
        &mut self,
        simd: S,
        lanes: Lanes<ALL>,
        first: usize,
        (pixel, width): (usize, usize),
        outputs: [T::Vector<S>; A],
        pixels: &mut Pixels<T>,
    ) {
        let Problem { accumulate, clamp, dst_layout, .. } = *self.strip.problem;
        let clamp = clamp.map(Clamp::of::<T>);
        let bias = self.bias.map_or(T::splat(simd, T::ZERO), |bias| lanes.load(simd, &bias[first..]));
        let mut outputs = outputs;
        for value in &mut outputs {
            *value = T::add_vectors(simd, *value, bias);
        }
        let (channels, inside) = (first..first + lanes.0, pixel..pixel + width);
        match dst_layout {
            Layout::Nhwc => {
                // What the next tile writes.
                let next = pixel + Self::OUTPUTS;
                for pixel in next..(next + Self::OUTPUTS).min(self.dst.rows()) {
                    prefetch(self.dst.row(pixel), first);
                }
                let mut dst = self.dst.part(inside, channels);
                for (j, &value) in outputs.iter().enumerate().take(Self::OUTPUTS) {
                    if j < width {
                        let mut value = value;
                        if accumulate {
                            value = T::add_vectors(simd, value, lanes.load(simd, dst.addend_row(j)));
                        }
                        lanes.store(simd, dst.row_mut(j), clamped(simd, value, clamp));
                    }
                }
            }
            Layout::Nchw => {
                // What the next tiles write.
                for channel in channels.clone() {
                    prefetch(self.dst.row(channel), pixel + LANES);
                }
                let mut dst = self.dst.part(channels, inside);
                let copied = !ALL || width < Self::OUTPUTS || accumulate;
                if accumulate {
                    for (channel, pixels) in pixels.iter_mut().enumerate().take(dst.rows()) {
                        pixels[..width].copy_from_slice(dst.addend_row(channel));
                    }
                    let before = Matrix::new(pixels.as_flattened(), T::lanes::<S>(), MOST, MOST);
                    let before = load_line::<S, T, A>(simd, &before);
                    for (value, before) in outputs.iter_mut().zip(before) {
                        *value = T::add_vectors(simd, *value, before);
                    }
                }
                for value in &mut outputs {
                    *value = clamped(simd, *value, clamp);
                }
                if !copied {
                    return store_line::<S, T, A>(simd, &outputs, Self::OUTPUTS, &mut dst);
                }
                // By way of a line that has room for a whole vector.
                let mut line = MatrixMut::new(pixels.as_flattened_mut(), T::lanes::<S>(), MOST, MOST);
                store_line::<S, T, A>(simd, &outputs, Self::OUTPUTS, &mut line);
                dst.for_each_row(|channel, row| row.copy_from_slice(&pixels[channel][..width]));
            }
        }
    }
}

impl<T: Number, const A: usize, const R: usize> WithSimd for OutputTransform<'_, '_, T, A, R> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let tiles = self.strip.tiles.len();
        run_tiles(simd, self, tiles);
    }
}

impl<T: Number, const A: usize, const R: usize> TileTransform for OutputTransform<'_, '_, T, A, R> {
    type Number = T;
    /// The first output's row and column.
    type Place = (usize, usize);

    fn channels(&self) -> (usize, Layout) {
        let layout = self.strip.problem.dst_layout;
        (if layout == Layout::Nchw { self.dst.rows() } else { self.dst.cols() }, layout)
    }

    fn place(&self, number: usize) -> (usize, usize) {
        let (ty, tx) = self.strip.place(self.strip.tiles.start + number, Self::OUTPUTS);
        (ty * Self::OUTPUTS, tx * Self::OUTPUTS)
    }

    #[expect(clippy::needless_range_loop, reason = "one pass goes along rows, the other along columns")]
    #[inline(always)]
    fn transform<S: Simd, const ALL: bool>(
        &mut self,
        simd: S,
        Part { number, first, vectors, lanes }: Part<ALL>,
        &(y, x): &(usize, usize),
        Buffers { half, pixels }: &mut Buffers<T>,
    ) {
        let (problem, (channels, _), full) =
            (self.strip.problem, self.channels(), Lanes::<true>(T::lanes::<S>()));
        let step = self.strip.tiles.len() * channels;
        let sums = &self.sums[number * channels + first..];
        for l in 0..A {
            for vector in 0..vectors {
                let lane = vector * T::lanes::<S>();
                let positions = Matrix::new(&sums[lane..], A * A, lanes.0, step);
                let mut column = [T::splat(simd, T::ZERO); A];
                for (k, value) in column.iter_mut().enumerate() {
                    *value = lanes.load(simd, positions.row(k * A + l));
                }
                let outputs = transform_output::<S, T, A, R>(simd, column);
                for (i, value) in outputs.into_iter().enumerate().take(Self::OUTPUTS) {
                    full.store(simd, &mut half[i][l][lane..], value);
                }
            }
        }
        let (height, width) =
            (Self::OUTPUTS.min(problem.rows.output - y), Self::OUTPUTS.min(problem.cols.output - x));
        for (i, half) in half.iter().enumerate().take(height) {
            let pixel = (y + i - self.first_row) * problem.cols.output + x;
            for vector in 0..vectors {
                let lane = vector * T::lanes::<S>();
                let mut row = [T::splat(simd, T::ZERO); A];
                for (l, value) in row.iter_mut().enumerate() {
                    *value = full.load(simd, &half[l][lane..]);
                }
                let outputs = transform_output::<S, T, A, R>(simd, row);
                self.store_row(simd, lanes, first + lane, (pixel, width), outputs, pixels);
            }
        }
    }
}

/// The first `count` columns, 2 or 4 or more, of a vector's channels, which are the rows of `to`.
#[inline(always)]
fn store_line<S: Simd, T: Number, const A: usize>(
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

    #[test]
    fn windows_are_clipped_at_both_ends() {
        assert_eq!(clip(0, 1, 6, 14), (1..6, 0));
        assert_eq!(clip(4, 1, 6, 14), (0..6, 3));
        assert_eq!(clip(12, 1, 6, 14), (0..3, 11));
        assert_eq!(clip(0, 9, 6, 14).0.len(), 0);
        assert_eq!(clip(20, 1, 6, 14).0.len(), 0);
    }
}
