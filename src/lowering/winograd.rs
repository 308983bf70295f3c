//! Winograd's minimal filtering F(m×m, r×r): the matrices, from their points, and the three transforms.
//!
//! An output tile of m×m pixels is Aᵀ·[(G·g·Gᵀ) ⊙ (Bᵀ·d·B)]·A for the r×r kernel g and the α×α input tile d,
//! α = m + r − 1 (Lavin and Gray, arXiv 1509.09308). The matrices evaluate and interpolate polynomials at α − 1
//! points and at infinity (Toom and Cook); the points are 0 and pairs ±p, whose rows differ in signs only.
//!
//! The transforms hold one channel in each lane of a vector. `A` is α, `R` is r throughout.

use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};

use super::epilogue;
use super::image::Image;
use super::moves::transpose_here;
use crate::matrix::{Matrix, MatrixMut};
use crate::problem::{Clamp, Layout, Problem};

/// The largest α.
const MOST: usize = 8;
/// Where the polynomials are evaluated, beside infinity: the first α − 1 of these. Of the points tried for each α they
/// gave the smallest errors: with 0, ±1, ±2 they are four times as large for α = 6.
const fn points(alpha: usize) -> [f64; MOST - 1] {
    use std::f64::consts::{FRAC_1_SQRT_2, SQRT_2};
    if alpha == 6 {
        [0.0, FRAC_1_SQRT_2, -FRAC_1_SQRT_2, SQRT_2, -SQRT_2, 0.0, 0.0]
    } else {
        [0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5]
    }
}
/// Lanes of the widest vectors: AVX-512's.
const LANES: usize = 16;

/// Bᵀ, α × α. Row k holds the coefficients of Π (x − p) over all points but the k-th, the last row over all points.
const fn input_matrix<const A: usize>() -> [[f32; A]; A] {
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
            rows[k][column] = poly[column] as f32;
            column += 1;
        }
        k += 1;
    }
    rows
}

/// Aᵀ, of which the first m = α − r + 1 rows count: row i holds the i-th powers of the points, and the last one of
/// infinity.
const fn output_matrix<const A: usize, const R: usize>() -> [[f32; A]; A] {
    let points = points(A);
    let mut rows = [[0.0; A]; A];
    let mut point = 0;
    while point < A - 1 {
        let (mut i, mut power) = (0, 1.0);
        while i <= A - R {
            rows[i][point] = power as f32;
            power *= points[point];
            i += 1;
        }
        point += 1;
    }
    rows[A - R][A - 1] = 1.0;
    rows
}

/// Row `k` of G, r columns: powers of the point over the product of its distances from the others.
fn kernel_row(alpha: usize, r: usize, k: usize) -> [f64; MOST] {
    let mut row = [0.0; MOST];
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

/// α of the tiles of m×m outputs under r×r kernels.
pub fn alpha(m: usize, r: usize) -> usize {
    m + r - 1
}

/// The transform of kernels, in float64: weights are transformed once.
pub struct KernelTransform {
    alpha: usize,
    r: usize,
    /// G.
    rows: [[f64; MOST]; MOST],
}

impl KernelTransform {
    /// For r×r kernels and tiles of α×α.
    pub fn new(alpha: usize, r: usize) -> Self {
        Self { alpha, r, rows: std::array::from_fn(|k| kernel_row(alpha, r, k)) }
    }

    /// G·g·Gᵀ, α×α in row-major order, for the kernel g(i, j).
    pub fn apply(&self, g: impl Fn(usize, usize) -> f32) -> [f64; MOST * MOST] {
        let mut all = [0.0; MOST * MOST];
        for k in 0..self.alpha {
            let mut half = [0.0; MOST];
            for (j, half) in half.iter_mut().enumerate().take(self.r) {
                *half = (0..self.r).map(|i| self.rows[k][i] * f64::from(g(i, j))).sum();
            }
            for l in 0..self.alpha {
                all[k * self.alpha + l] = (0..self.r).map(|j| half[j] * self.rows[l][j]).sum();
            }
        }
        all
    }
}

/// The sum of factor·value over every `step`-th of them from `first` on. The factors are constants, so that zeros and ones
/// cost nothing.
#[inline(always)]
fn dot<S: Simd, const A: usize>(
    simd: S,
    factors: &[f32; A],
    values: &[S::f32s; A],
    first: usize,
    step: usize,
) -> S::f32s {
    let mut sum = None;
    let mut j = first;
    while j < A {
        let (factor, value) = (factors[j], values[j]);
        if factor != 0.0 {
            sum = Some(match sum {
                None if factor == 1.0 => value,
                None => simd.mul_f32s(simd.splat_f32s(factor), value),
                Some(sum) if factor == 1.0 => simd.add_f32s(sum, value),
                Some(sum) if factor == -1.0 => simd.sub_f32s(sum, value),
                Some(sum) => simd.mul_add_f32s(simd.splat_f32s(factor), value, sum),
            });
        }
        j += step;
    }
    sum.unwrap_or(simd.splat_f32s(0.0))
}

/// Bᵀ·d. Rows of a pair of points agree in the even columns and differ in the sign of the odd ones.
#[inline(always)]
fn transform_input<S: Simd, const A: usize>(simd: S, d: [S::f32s; A]) -> [S::f32s; A] {
    let matrix = const { input_matrix::<A>() };
    let mut out = [simd.splat_f32s(0.0); A];
    out[0] = dot(simd, &matrix[0], &d, 0, 1);
    out[A - 1] = dot(simd, &matrix[A - 1], &d, 0, 1);
    let mut k = 1;
    while k < A - 1 {
        let (even, odd) = (dot(simd, &matrix[k], &d, 0, 2), dot(simd, &matrix[k], &d, 1, 2));
        out[k] = simd.add_f32s(even, odd);
        out[k + 1] = simd.sub_f32s(even, odd);
        k += 2;
    }
    out
}

/// Aᵀ·v, of which the first m elements count. Columns of a pair of points agree in the even rows and differ in the
/// sign of the odd ones.
#[inline(always)]
fn transform_output<S: Simd, const A: usize, const R: usize>(simd: S, v: [S::f32s; A]) -> [S::f32s; A] {
    let matrix = const { output_matrix::<A, R>() };
    // Sums of pairs where point p was, differences where −p was.
    let mut sums = v;
    let mut k = 1;
    while k < A - 1 {
        sums[k] = simd.add_f32s(v[k], v[k + 1]);
        sums[k + 1] = simd.sub_f32s(v[k], v[k + 1]);
        k += 2;
    }
    let mut out = [simd.splat_f32s(0.0); A];
    let mut i = 0;
    while i <= A - R {
        // Infinity, and 0, which counts in row 0 only.
        let mut sum = if i == A - R { Some(v[A - 1]) } else { None };
        if i == 0 {
            sum = Some(sum.map_or(v[0], |sum| simd.add_f32s(sum, v[0])));
        }
        let mut k = 1;
        while k < A - 1 {
            let (factor, value) = (matrix[i][k], sums[k + i % 2]);
            sum = Some(match sum {
                None if factor == 1.0 => value,
                None => simd.mul_f32s(simd.splat_f32s(factor), value),
                Some(sum) if factor == 1.0 => simd.add_f32s(sum, value),
                Some(sum) => simd.mul_add_f32s(simd.splat_f32s(factor), value, sum),
            });
            k += 2;
        }
        out[i] = sum.unwrap_or(simd.splat_f32s(0.0));
        i += 1;
    }
    out
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

/// One of the transforms of a strip's tiles.
trait TileTransform {
    /// What all channels of a tile share.
    type Place;

    fn channels(&self) -> usize;

    /// Of the tile of this number in the strip.
    fn place(&self, number: usize) -> Self::Place;

    /// The channels from `first` on that `lanes` holds, of one tile.
    fn transform<S: Simd, const ALL: bool>(
        &mut self,
        simd: S,
        lanes: Lanes<ALL>,
        tile: (usize, &Self::Place),
        first: usize,
        buffers: &mut Buffers,
    );
}

/// Transforms all channels of the tiles, a vector of channels at a time.
#[inline(always)]
fn run_tiles<S: Simd, T: TileTransform>(simd: S, mut transform: T, tiles: usize) {
    let channels = transform.channels();
    let mut buffers = Buffers::default();
    for number in 0..tiles {
        let place = transform.place(number);
        let tile = (number, &place);
        let mut first = 0;
        while first + S::F32_LANES <= channels {
            transform.transform(simd, Lanes::<true>(S::F32_LANES), tile, first, &mut buffers);
            first += S::F32_LANES;
        }
        if first < channels {
            transform.transform(simd, Lanes::<false>(channels - first), tile, first, &mut buffers);
        }
    }
}

/// Bᵀ·d·B for every input tile of a strip and every channel.
pub struct InputTransform<'a, const A: usize, const R: usize> {
    /// The strip.
    pub strip: &'a Strip<'a>,
    /// The input.
    pub image: &'a Image<'a>,
    /// α² × tiles × C.
    pub out: &'a mut [f32],
}

impl<const A: usize, const R: usize> InputTransform<'_, A, R> {
    /// Computes it in the widest vectors of this machine.
    pub fn run(self) {
        Arch::new().dispatch(self);
    }
}

impl<const A: usize, const R: usize> WithSimd for InputTransform<'_, A, R> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let tiles = self.strip.tiles.len();
        run_tiles(simd, self, tiles);
    }
}

impl<const A: usize, const R: usize> TileTransform for InputTransform<'_, A, R> {
    type Place = Window;

    fn channels(&self) -> usize {
        self.strip.problem.group_in()
    }

    fn place(&self, number: usize) -> Window {
        let Problem { rows, cols, .. } = self.strip.problem;
        let (ty, tx) = self.strip.place(self.strip.tiles.start + number, A - R + 1);
        let (is, h) = clip(ty * (A - R + 1), rows.pad_before, A, rows.input);
        let (js, w) = clip(tx * (A - R + 1), cols.pad_before, A, cols.input);
        if is.is_empty() || js.is_empty() { Window::default() } else { Window { is, js, h, w } }
    }

    #[inline(always)]
    fn transform<S: Simd, const ALL: bool>(
        &mut self,
        simd: S,
        lanes: Lanes<ALL>,
        (number, window): (usize, &Window),
        first: usize,
        buffers: &mut Buffers,
    ) {
        let problem = self.strip.problem;
        let channels = problem.group_in();
        // From one position of the tiles to the next.
        let step = self.strip.tiles.len() * channels;
        let out = &mut self.out[number * channels + first..];
        match problem.src_layout {
            Layout::Nchw => {
                gather::<A>(self.image, window, first..first + lanes.0, &mut buffers.pixels);
                let pixels = Pixels { data: &buffers.pixels, row: MOST * LANES, pixel: LANES };
                input_tile::<S, A, ALL, true>(simd, lanes, &pixels, window, &mut buffers.half, out, step);
            }
            Layout::Nhwc => {
                let data = self.image.at(first, window.h, window.w);
                let pixels = Pixels { data, row: self.image.row, pixel: self.image.pixel };
                if window.is.len() == A && window.js.len() == A {
                    input_tile::<S, A, ALL, true>(simd, lanes, &pixels, window, &mut buffers.half, out, step);
                } else {
                    input_tile::<S, A, ALL, false>(
                        simd,
                        lanes,
                        &pixels,
                        window,
                        &mut buffers.half,
                        out,
                        step,
                    );
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

/// Pixels whose channels lie side by side.
struct Pixels<'a> {
    data: &'a [f32],
    row: usize,
    pixel: usize,
}

/// Memory of one strip's transforms. It is not cleared for every tile.
struct Buffers {
    /// Vectors between the two passes, row by row.
    half: Half,
    /// A window of NCHW with its channels side by side.
    pixels: [f32; MOST * MOST * LANES],
}

type Half = [[f32; LANES]; MOST * MOST];

impl Default for Buffers {
    fn default() -> Self {
        Self { half: [[0.0; LANES]; MOST * MOST], pixels: [0.0; MOST * MOST * LANES] }
    }
}

/// How many of a vector's channels there are: all of them, or fewer at the end of the channels.
#[derive(Clone, Copy)]
struct Lanes<const ALL: bool>(usize);

impl<const ALL: bool> Lanes<ALL> {
    #[inline(always)]
    fn load<S: Simd>(self, simd: S, from: &[f32]) -> S::f32s {
        if ALL {
            S::as_simd_f32s(&from[..S::F32_LANES]).0[0]
        } else {
            simd.partial_load_f32s(&from[..self.0])
        }
    }

    #[inline(always)]
    fn store<S: Simd>(self, simd: S, to: &mut [f32], value: S::f32s) {
        if ALL {
            S::as_mut_simd_f32s(&mut to[..S::F32_LANES]).0[0] = value;
        } else {
            simd.partial_store_f32s(&mut to[..self.0], value);
        }
    }
}

/// `INSIDE`: the pixels are those of the whole window; else those of its part inside, and the others are zeros.
#[inline(always)]
fn input_tile<S: Simd, const A: usize, const ALL: bool, const INSIDE: bool>(
    simd: S,
    lanes: Lanes<ALL>,
    pixels: &Pixels<'_>,
    window: &Window,
    half: &mut Half,
    out: &mut [f32],
    step: usize,
) {
    let zero = simd.splat_f32s(0.0);
    let full = Lanes::<true>(S::F32_LANES);
    for j in 0..A {
        let mut column = [zero; A];
        for (i, value) in column.iter_mut().enumerate() {
            if INSIDE {
                *value = lanes.load(simd, &pixels.data[i * pixels.row + j * pixels.pixel..]);
            } else if window.is.contains(&i) && window.js.contains(&j) {
                let at = (i - window.is.start) * pixels.row + (j - window.js.start) * pixels.pixel;
                *value = lanes.load(simd, &pixels.data[at..]);
            }
        }
        for (k, value) in transform_input::<S, A>(simd, column).into_iter().enumerate() {
            full.store(simd, &mut half[k * MOST + j], value);
        }
    }
    for k in 0..A {
        let mut row = [zero; A];
        for (j, value) in row.iter_mut().enumerate() {
            *value = full.load(simd, &half[k * MOST + j]);
        }
        for (l, value) in transform_input::<S, A>(simd, row).into_iter().enumerate() {
            lanes.store(simd, &mut out[(k * A + l) * step..], value);
        }
    }
}

/// Brings some channels of an NCHW image's window side by side: α rows of `MOST` pixels of `LANES` channels.
#[inline(always)]
fn gather<const A: usize>(image: &Image<'_>, window: &Window, channels: Range<usize>, to: &mut [f32]) {
    let Window { is, js, h, w } = window;
    for i in (0..is.start).chain(is.end..A) {
        to[i * MOST * LANES..][..MOST * LANES].fill(0.0);
    }
    for (row, i) in is.clone().enumerate() {
        let to = &mut to[i * MOST * LANES..][..MOST * LANES];
        let plane = image.at(channels.start, h + row, *w);
        let behind = (channels.len() - 1) * image.channel + MOST - js.start;
        // Whole blocks of columns, if the image goes on around the window; what is outside is cleared then.
        let first = channels.start * image.channel + (h + row) * image.row + w;
        if first >= js.start && behind <= plane.len() {
            let from = Matrix::new(&image.data[first - js.start..], channels.len(), MOST, image.channel);
            transpose_here(&from, &mut MatrixMut::new(to, MOST, channels.len(), LANES), false);
        } else {
            let from = Matrix::new(plane, channels.len(), js.len(), image.channel);
            let to = &mut to[js.start * LANES..];
            transpose_here(&from, &mut MatrixMut::new(to, js.len(), channels.len(), LANES), false);
        }
        for j in (0..js.start).chain(js.end..A) {
            to[j * LANES..][..LANES].fill(0.0);
        }
    }
}

/// Aᵀ·v·A for every tile of a strip and some output channels, with bias, what dst holds, and the clamp.
pub struct OutputTransform<'a, 'b, const A: usize, const R: usize> {
    /// The strip.
    pub strip: &'a Strip<'a>,
    /// α² × tiles × channels.
    pub sums: &'a [f32],
    /// One float a channel.
    pub bias: Option<&'a [f32]>,
    /// The channels' pixels from the output row of `first_row` on: channels × pixels in NCHW, else pixels × channels.
    pub dst: &'a mut MatrixMut<'b>,
    /// See `dst`.
    pub first_row: usize,
}

impl<const A: usize, const R: usize> OutputTransform<'_, '_, A, R> {
    /// Computes it in the widest vectors of this machine.
    pub fn run(self) {
        Arch::new().dispatch(self);
    }
}

impl<const A: usize, const R: usize> WithSimd for OutputTransform<'_, '_, A, R> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let tiles = self.strip.tiles.len();
        run_tiles(simd, self, tiles);
    }
}

impl<const A: usize, const R: usize> TileTransform for OutputTransform<'_, '_, A, R> {
    /// The first output's row and column.
    type Place = (usize, usize);

    fn channels(&self) -> usize {
        match self.strip.problem.dst_layout {
            Layout::Nchw => self.dst.rows(),
            Layout::Nhwc => self.dst.cols(),
        }
    }

    fn place(&self, number: usize) -> (usize, usize) {
        let (ty, tx) = self.strip.place(self.strip.tiles.start + number, A - R + 1);
        (ty * (A - R + 1), tx * (A - R + 1))
    }

    #[inline(always)]
    fn transform<S: Simd, const ALL: bool>(
        &mut self,
        simd: S,
        lanes: Lanes<ALL>,
        (number, &(y, x)): (usize, &(usize, usize)),
        first: usize,
        buffers: &mut Buffers,
    ) {
        let (problem, m, channels) = (self.strip.problem, A - R + 1, self.channels());
        let step = self.strip.tiles.len() * channels;
        let (height, width) = (m.min(problem.rows.output - y), m.min(problem.cols.output - x));
        let bias = self.bias.map_or(simd.splat_f32s(0.0), |bias| lanes.load(simd, &bias[first..]));
        let sums = &self.sums[number * channels + first..];
        output_columns::<S, A, R, ALL>(simd, lanes, sums, step, &mut buffers.half);
        for i in 0..height {
            let outputs = output_row::<S, A, R>(simd, &buffers.half, i);
            let pixel = (y + i - self.first_row) * problem.cols.output + x;
            match problem.dst_layout {
                Layout::Nhwc => {
                    for (j, &value) in outputs.iter().enumerate().take(width) {
                        let to = &mut self.dst.row_mut(pixel + j)[first..];
                        let mut value = simd.add_f32s(value, bias);
                        if problem.accumulate {
                            value = simd.add_f32s(value, lanes.load(simd, to));
                        }
                        lanes.store(simd, to, clamp(simd, value, problem.clamp));
                    }
                }
                Layout::Nchw => {
                    // What dst holds is added behind the move, and the clamp comes last.
                    let early = if problem.accumulate { None } else { problem.clamp };
                    let full = Lanes::<true>(S::F32_LANES);
                    for (j, &value) in outputs.iter().enumerate().take(width) {
                        let value = clamp(simd, simd.add_f32s(value, bias), early);
                        full.store(simd, &mut buffers.pixels[j * LANES..], value);
                    }
                    let moved = Matrix::new(&buffers.pixels, width, lanes.0, LANES);
                    let mut to = self.dst.part(first..first + lanes.0, pixel..pixel + width);
                    transpose_here(&moved, &mut to, problem.accumulate);
                    if problem.accumulate {
                        epilogue::finish(&mut to, Layout::Nchw, None, problem.clamp);
                    }
                }
            }
        }
    }
}

/// The first pass over a tile's columns; row i of what it leaves in `half` gives output row i.
#[inline(always)]
fn output_columns<S: Simd, const A: usize, const R: usize, const ALL: bool>(
    simd: S,
    lanes: Lanes<ALL>,
    sums: &[f32],
    step: usize,
    half: &mut Half,
) {
    for l in 0..A {
        let mut column = [simd.splat_f32s(0.0); A];
        for (k, value) in column.iter_mut().enumerate() {
            *value = lanes.load(simd, &sums[(k * A + l) * step..]);
        }
        for (i, value) in transform_output::<S, A, R>(simd, column).into_iter().enumerate().take(A - R + 1) {
            Lanes::<true>(S::F32_LANES).store(simd, &mut half[i * MOST + l], value);
        }
    }
}

/// The second pass: one output row of a tile, of which the first m count.
#[inline(always)]
fn output_row<S: Simd, const A: usize, const R: usize>(simd: S, half: &Half, i: usize) -> [S::f32s; A] {
    let mut row = [simd.splat_f32s(0.0); A];
    for (l, value) in row.iter_mut().enumerate() {
        *value = Lanes::<true>(S::F32_LANES).load(simd, &half[i * MOST + l]);
    }
    transform_output::<S, A, R>(simd, row)
}

/// A NaN stays a NaN, since it compares with nothing.
#[inline(always)]
fn clamp<S: Simd>(simd: S, value: S::f32s, clamp: Option<Clamp>) -> S::f32s {
    let Some(Clamp { min, max }) = clamp else { return value };
    let (min, max) = (simd.splat_f32s(min), simd.splat_f32s(max));
    let value = simd.select_f32s(simd.less_than_f32s(value, min), min, value);
    simd.select_f32s(simd.less_than_f32s(max, value), max, value)
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

    #[test]
    fn windows_are_clipped_at_both_ends() {
        assert_eq!(clip(0, 1, 6, 14), (1..6, 0));
        assert_eq!(clip(4, 1, 6, 14), (0..6, 3));
        assert_eq!(clip(12, 1, 6, 14), (0..3, 11));
        assert_eq!(clip(0, 9, 6, 14).0.len(), 0);
        assert_eq!(clip(20, 1, 6, 14).0.len(), 0);
    }
}
