//! [`InputTransform`]: from the pixels of tiles to the positions of their transforms.

use std::ops::Range;

use super::lines::load_line;
use super::matrices::{MOST_ALPHA, transform_input};
use super::strip::{Strip, clip};
use super::transform::{Buffers, ChannelsOfTile, Pixels, TileTransform, run_tiles};
use crate::data_type::Layout;
use crate::image::Image;
use crate::isa;
use crate::lanes::{Filled, LANES, prefetch};
use crate::matrix::{Matrix, MatrixMut};
use crate::number::Number;
use crate::vectors::{Kernel, Vectors};

/// Bᵀ·d·B for every input tile of a strip and every channel.
pub struct InputTransform<'a, T> {
    /// The strip.
    pub strip: &'a Strip<'a>,
    /// The input, from the first of the channels on.
    pub image: &'a Image<'a, T>,
    /// How it lies.
    pub layout: Layout,
    /// How many channels, C here.
    pub channels: usize,
    /// α² × tiles × C.
    pub out: &'a mut [T],
}

impl<T: Number> InputTransform<'_, T> {
    /// Computes it.
    pub(crate) fn run_checked(self) {
        match self.strip.filtering.alpha() {
            4 => isa::dispatch(OfAlpha::<T, 4>(self)),
            6 => isa::dispatch(OfAlpha::<T, 6>(self)),
            8 => isa::dispatch(OfAlpha::<T, 8>(self)),
            alpha => unreachable!("there is no transform of {alpha} x {alpha} positions"),
        }
    }
}

/// The transform of tiles of α×α positions.
struct OfAlpha<'a, T, const A: usize>(InputTransform<'a, T>);

impl<T: Number, const A: usize> OfAlpha<'_, T, A> {
    /// One row of a window, of a vector's channels from `first` on; what is outside the image is 0.
    #[inline(always)]
    fn load_row<S: Vectors, const ALL: bool>(
        &self,
        simd: S,
        lanes: Filled<ALL>,
        first: usize,
        (window, h): (&Window, usize),
        pixels: &mut Pixels<T>,
    ) -> [T::Vector<S>; A] {
        let (js, image) = (&window.js, self.0.image);
        let mut row = [T::splat(simd, T::ZERO); A];
        match self.0.layout {
            Layout::Nhwc => {
                let data = image.at(first, h, window.w);
                if js.len() == A {
                    let inside = Matrix::new(data, A, lanes.0, image.pixel);
                    for (j, value) in row.iter_mut().enumerate() {
                        *value = lanes.load(simd, inside.row(j));
                    }
                    // What the next tile reads beside.
                    for j in A..A + self.0.strip.filtering.outputs {
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
                let at = image.place(first, h, window.w);
                let lanes_of_line = T::lanes::<S>();
                let around = at.checked_sub(js.start).map(|at| image.data.from(at));
                let around = around.filter(|data| ALL && data.holds_rows(lanes_of_line, A, image.channel));
                if let Some(data) = around {
                    // Where the image goes on around the row; what is outside is cleared then. What the next tiles read:
                    for channel in 0..lanes_of_line {
                        prefetch(data, channel * image.channel + LANES);
                    }
                    row = load_line(simd, &Matrix::overlapping(data, lanes_of_line, A, image.channel));
                } else {
                    for (channel, pixels) in pixels.iter_mut().enumerate().take(lanes.0) {
                        let from = image.data.run(at + channel * image.channel, js.len());
                        pixels[js.clone()].copy_from_slice(from);
                    }
                    row = load_line(simd, &Matrix::new(pixels.as_flattened(), lanes_of_line, A, MOST_ALPHA));
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

impl<T: Number, const A: usize> Kernel for OfAlpha<'_, T, A> {
    type Output = ();

    #[inline(always)]
    fn run<S: Vectors>(self, simd: S) {
        let tiles = self.0.strip.tiles.len();
        run_tiles(simd, self, tiles);
    }
}

impl<T: Number, const A: usize> TileTransform for OfAlpha<'_, T, A> {
    type Number = T;
    type Place = Window;

    fn channels(&self) -> (usize, Layout) {
        (self.0.channels, self.0.layout)
    }

    fn place(&self, number: usize) -> Window {
        let strip = self.0.strip;
        let ([_, rows, cols], outputs) = (strip.geometry.axes, strip.filtering.outputs);
        let (ty, tx) = strip.place(strip.tiles.start + number);
        let (is, h) = clip(ty * outputs, rows.pad_before, A, rows.input);
        let (js, w) = clip(tx * outputs, cols.pad_before, A, cols.input);
        if is.is_empty() || js.is_empty() { Window::default() } else { Window { is, js, h, w } }
    }

    #[expect(clippy::needless_range_loop, reason = "one pass goes along rows, the other along columns")]
    #[inline(always)]
    fn transform<S: Vectors, const ALL: bool>(
        &mut self,
        simd: S,
        ChannelsOfTile { number, first, vectors, lanes }: ChannelsOfTile<ALL>,
        window: &Window,
        Buffers { half, pixels }: &mut Buffers<T>,
    ) {
        let full = Filled::<true>(T::lanes::<S>());
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
        let channels = self.0.channels;
        // From one position of the tiles to the next.
        let step = self.0.strip.tiles.len() * channels;
        let out = &mut self.0.out[number * channels + first..];
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
