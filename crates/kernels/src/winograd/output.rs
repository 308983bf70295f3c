//! [`OutputTransform`]: from the sums of all positions to the pixels of tiles.

use super::lines::{load_line, store_line};
use super::matrices::{MOST_ALPHA, transform_output};
use super::strip::Strip;
use super::transform::{Buffers, ChannelsOfTile, Pixels, TileTransform, run_tiles};
use crate::data_type::Layout;
use crate::end::End;
use crate::isa;
use crate::lanes::{Filled, LANES, prefetch};
use crate::matrix::{Matrix, MatrixMut};
use crate::number::Number;
use crate::vectors::{Kernel, Vectors};

/// Aᵀ·v·A for every tile of a strip and some output channels, and what becomes of it.
pub struct OutputTransform<'a, 'b, T: Number> {
    /// The strip.
    pub strip: &'a Strip<'a>,
    /// α² × tiles × channels.
    pub sums: &'a [T],
    /// What becomes of the sums, but for an activation that takes more than bounds: [`End::in_memory`].
    pub end: End<'a, T>,
    /// How dst lies.
    pub layout: Layout,
    /// The channels' pixels from the output row of `first_row` on: channels × pixels with planes, else pixels × channels.
    pub dst: &'a mut MatrixMut<'b, T>,
    /// See `dst`.
    pub first_row: usize,
}

impl<T: Number> OutputTransform<'_, '_, T> {
    /// Computes it.
    pub(crate) fn run_checked(self) {
        let bounds = self.end.bounds();
        match (self.strip.filtering.alpha(), self.strip.filtering.taps) {
            (4, 3) => isa::dispatch(OfFiltering::<T, 4, 3>(self, bounds)),
            (6, 3) => isa::dispatch(OfFiltering::<T, 6, 3>(self, bounds)),
            (8, 3) => isa::dispatch(OfFiltering::<T, 8, 3>(self, bounds)),
            (6, 5) => isa::dispatch(OfFiltering::<T, 6, 5>(self, bounds)),
            (8, 5) => isa::dispatch(OfFiltering::<T, 8, 5>(self, bounds)),
            (alpha, r) => {
                unreachable!("there is no transform of {alpha} x {alpha} positions for {r} x {r} taps")
            }
        }
    }
}

/// The transform of tiles of α×α positions for r×r taps.
struct OfFiltering<'a, 'b, T: Number, const A: usize, const R: usize>(
    OutputTransform<'a, 'b, T>,
    Option<[T; 2]>,
);

impl<T: Number, const A: usize, const R: usize> OfFiltering<'_, '_, T, A, R> {
    /// m.
    const OUTPUTS: usize = A - R + 1;

    /// Stores one output row of a vector's channels, the first columns of which are inside.
    #[inline(always)]
    fn store_row<S: Vectors, const ALL: bool>(
        &mut self,
        simd: S,
        lanes: Filled<ALL>,
        first: usize,
        (pixel, width): (usize, usize),
        outputs: [T::Vector<S>; A],
        pixels: &mut Pixels<T>,
    ) {
        let bias = self.0.end.bias.map_or(T::splat(simd, T::ZERO), |bias| lanes.load(simd, &bias[first..]));
        let mut outputs = outputs;
        for value in &mut outputs {
            *value = T::add_vectors(simd, *value, bias);
        }
        match self.0.layout {
            Layout::Nhwc => self.store_row_of_channels(simd, lanes, first, (pixel, width), outputs),
            Layout::Nchw => self.store_row_of_planes(simd, lanes, first, (pixel, width), outputs, pixels),
        }
    }

    /// The row, with its bias, where a pixel's channels lie side by side.
    #[inline(always)]
    fn store_row_of_channels<S: Vectors, const ALL: bool>(
        &mut self,
        simd: S,
        lanes: Filled<ALL>,
        first: usize,
        (pixel, width): (usize, usize),
        mut outputs: [T::Vector<S>; A],
    ) {
        let (accumulate, bounds) = (self.0.end.accumulate, self.1);
        // What the next tile writes.
        let next = pixel + Self::OUTPUTS;
        for pixel in next..(next + Self::OUTPUTS).min(self.0.dst.rows()) {
            prefetch(self.0.dst.row(pixel), first);
        }
        let mut dst = self.0.dst.part(pixel..pixel + width, first..first + lanes.0);
        if accumulate {
            for (j, value) in outputs.iter_mut().enumerate().take(width) {
                *value = T::add_vectors(simd, *value, lanes.load(simd, dst.addend_row(j)));
            }
        }
        bound(simd, bounds, &mut outputs);
        for (j, &value) in outputs.iter().enumerate().take(width) {
            lanes.store(simd, dst.row_mut(j), value);
        }
    }

    /// The row, with its bias, where a channel's pixels lie side by side.
    #[inline(always)]
    fn store_row_of_planes<S: Vectors, const ALL: bool>(
        &mut self,
        simd: S,
        lanes: Filled<ALL>,
        first: usize,
        (pixel, width): (usize, usize),
        mut outputs: [T::Vector<S>; A],
        pixels: &mut Pixels<T>,
    ) {
        let (accumulate, bounds) = (self.0.end.accumulate, self.1);
        let channels = first..first + lanes.0;
        // What the next tiles write.
        for channel in channels.clone() {
            prefetch(self.0.dst.row(channel), pixel + LANES);
        }
        let mut dst = self.0.dst.part(channels, pixel..pixel + width);
        let copied = !ALL || width < Self::OUTPUTS || accumulate;
        if accumulate {
            for (channel, pixels) in pixels.iter_mut().enumerate().take(dst.rows()) {
                pixels[..width].copy_from_slice(dst.addend_row(channel));
            }
            let before = Matrix::new(pixels.as_flattened(), T::lanes::<S>(), MOST_ALPHA, MOST_ALPHA);
            let before = load_line::<S, T, A>(simd, &before);
            for (value, before) in outputs.iter_mut().zip(before) {
                *value = T::add_vectors(simd, *value, before);
            }
        }
        bound(simd, bounds, &mut outputs);
        if !copied {
            return store_line::<S, T, A>(simd, &outputs, Self::OUTPUTS, &mut dst);
        }
        // By way of a line that has room for a whole vector.
        let mut line = MatrixMut::new(pixels.as_flattened_mut(), T::lanes::<S>(), MOST_ALPHA, MOST_ALPHA);
        store_line::<S, T, A>(simd, &outputs, Self::OUTPUTS, &mut line);
        dst.for_each_row(|channel, row| row.copy_from_slice(&pixels[channel][..width]));
    }
}

/// Outputs within bounds, if there are any.
#[inline(always)]
fn bound<S: Vectors, T: Number, const A: usize>(
    simd: S,
    bounds: Option<[T; 2]>,
    outputs: &mut [T::Vector<S>; A],
) {
    if let Some([min, max]) = bounds {
        let (min, max) = (T::splat(simd, min), T::splat(simd, max));
        for value in outputs {
            *value = T::at_most(simd, T::at_least(simd, *value, min), max);
        }
    }
}

impl<T: Number, const A: usize, const R: usize> Kernel for OfFiltering<'_, '_, T, A, R> {
    type Output = ();

    #[inline(always)]
    fn run<S: Vectors>(self, simd: S) {
        let tiles = self.0.strip.tiles.len();
        run_tiles(simd, self, tiles);
    }
}

impl<T: Number, const A: usize, const R: usize> TileTransform for OfFiltering<'_, '_, T, A, R> {
    type Number = T;
    /// The first output's row and column.
    type Place = (usize, usize);

    fn channels(&self) -> (usize, Layout) {
        let layout = self.0.layout;
        (if layout == Layout::Nchw { self.0.dst.rows() } else { self.0.dst.cols() }, layout)
    }

    fn place(&self, number: usize) -> (usize, usize) {
        let (ty, tx) = self.0.strip.place(self.0.strip.tiles.start + number);
        (ty * Self::OUTPUTS, tx * Self::OUTPUTS)
    }

    #[expect(clippy::needless_range_loop, reason = "one pass goes along rows, the other along columns")]
    #[inline(always)]
    fn transform<S: Vectors, const ALL: bool>(
        &mut self,
        simd: S,
        ChannelsOfTile { number, first, vectors, lanes }: ChannelsOfTile<ALL>,
        &(y, x): &(usize, usize),
        Buffers { half, pixels }: &mut Buffers<T>,
    ) {
        let [_, rows, cols] = self.0.strip.geometry.axes;
        let ((channels, _), full) = (self.channels(), Filled::<true>(T::lanes::<S>()));
        let step = self.0.strip.tiles.len() * channels;
        let sums = &self.0.sums[number * channels + first..];
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
        let (height, width) = (Self::OUTPUTS.min(rows.output - y), Self::OUTPUTS.min(cols.output - x));
        for (i, half) in half.iter().enumerate().take(height) {
            let pixel = (y + i - self.0.first_row) * cols.output + x;
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
