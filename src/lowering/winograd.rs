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
use super::moves::transpose;
use crate::matrix::{Matrix, MatrixMut};
use crate::problem::{Clamp, Layout, Problem};

/// Where the polynomials are evaluated, beside infinity: as many as α − 1. Small, with small reciprocals, for the
/// sake of the rounding errors.
const POINTS: [f64; 7] = [0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5];
/// The largest α.
const MOST: usize = POINTS.len() + 1;
/// Lanes of the widest vectors: AVX-512's.
const LANES: usize = 16;

/// Bᵀ, α × α. Row k holds the coefficients of Π (x − p) over all points but the k-th, the last row over all points.
const fn input_matrix<const A: usize>() -> [[f32; A]; A] {
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
                    poly[at] = poly[at - 1] - POINTS[point] * poly[at];
                    at -= 1;
                }
                poly[0] *= -POINTS[point];
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
    let mut rows = [[0.0; A]; A];
    let mut point = 0;
    while point < A - 1 {
        let (mut i, mut power) = (0, 1.0);
        while i <= A - R {
            rows[i][point] = power as f32;
            power *= POINTS[point];
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
    let Some(&point) = POINTS[..alpha - 1].get(k) else {
        row[r - 1] = 1.0;
        return row;
    };
    let others = POINTS[..alpha - 1].iter().filter(|&&other| other != point);
    let distances: f64 = others.map(|other| point - other).product();
    (0..r).for_each(|j| row[j] = point.powi(j as i32) / distances);
    row
}

/// α of the tiles of m×m outputs under r×r kernels.
pub fn alpha(m: usize, r: usize) -> usize {
    m + r - 1
}

/// G·g·Gᵀ, α×α in row-major order, for the kernel g[i, j], r×r. In float64: weights are transformed once.
pub fn transform_kernel(alpha: usize, r: usize, g: impl Fn(usize, usize) -> f32) -> [f64; MOST * MOST] {
    let mut all = [0.0; MOST * MOST];
    for k in 0..alpha {
        let rows = kernel_row(alpha, r, k);
        let half: [f64; MOST] = std::array::from_fn(|j| match j < r {
            true => (0..r).map(|i| rows[i] * f64::from(g(i, j))).sum(),
            false => 0.0,
        });
        for l in 0..alpha {
            let columns = kernel_row(alpha, r, l);
            all[k * alpha + l] = (0..r).map(|j| half[j] * columns[j]).sum();
        }
    }
    all
}

/// Σ factors[j]·values[j] over every second j from `first` on. The factors are constants, so that zeros and ones
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
        let problem = self.strip.problem;
        let channels = problem.group_in();
        // From one position of the tiles to the next.
        let step = self.strip.tiles.len() * channels;
        // Channels by turns as they lie in NCHW; see `gather`.
        let mut buffer = [0.0; MOST * MOST * LANES];
        let mut half: Half = [[0.0; LANES]; MOST * MOST];
        for (number, tile) in self.strip.tiles.clone().enumerate() {
            let (ty, tx) = self.strip.place(tile, A - R + 1);
            let rows = clip(ty * (A - R + 1), problem.rows.pad_before, A, problem.rows.input);
            let cols = clip(tx * (A - R + 1), problem.cols.pad_before, A, problem.cols.input);
            for first in (0..channels).step_by(S::F32_LANES) {
                let count = (channels - first).min(S::F32_LANES);
                let window = match problem.src_layout {
                    Layout::Nhwc => Window::of(self.image, &rows, &cols, first),
                    Layout::Nchw => {
                        gather::<A>(self.image, &rows, &cols, first, count, &mut buffer);
                        let inside = !(rows.0.is_empty() || cols.0.is_empty());
                        let whole = if inside { 0..A } else { 0..0 };
                        Window {
                            data: &buffer,
                            row: MOST * LANES,
                            pixel: LANES,
                            rows: whole.clone(),
                            cols: whole,
                        }
                    }
                };
                let out = &mut self.out[number * channels + first..];
                input_tile::<S, A>(simd, &window, count, &mut half, out, step);
            }
        }
    }
}

/// A tile's window of the image, with the channels of each pixel side by side; zero outside of `rows` and `cols`.
struct Window<'a> {
    /// From the first position inside.
    data: &'a [f32],
    row: usize,
    pixel: usize,
    rows: Range<usize>,
    cols: Range<usize>,
}

impl<'a> Window<'a> {
    fn of(
        image: &Image<'a>,
        rows: &(Range<usize>, usize),
        cols: &(Range<usize>, usize),
        channel: usize,
    ) -> Self {
        let (rows, cols) =
            if rows.0.is_empty() || cols.0.is_empty() { (&(0..0, 0), &(0..0, 0)) } else { (rows, cols) };
        Self {
            data: image.at(channel, rows.1, cols.1),
            row: image.row,
            pixel: image.pixel,
            rows: rows.0.clone(),
            cols: cols.0.clone(),
        }
    }

    #[inline(always)]
    fn load<S: Simd>(&self, simd: S, (i, j): (usize, usize), count: usize) -> S::f32s {
        if self.rows.contains(&i) && self.cols.contains(&j) {
            load(
                simd,
                &self.data[(i - self.rows.start) * self.row + (j - self.cols.start) * self.pixel..],
                count,
            )
        } else {
            simd.splat_f32s(0.0)
        }
    }
}

/// The first `count` floats, at most a vector's.
#[inline(always)]
fn load<S: Simd>(simd: S, from: &[f32], count: usize) -> S::f32s {
    match S::as_simd_f32s(from).0.first() {
        Some(vector) if count == S::F32_LANES => *vector,
        _ => simd.partial_load_f32s(&from[..count]),
    }
}

#[inline(always)]
fn store<S: Simd>(simd: S, to: &mut [f32], value: S::f32s, count: usize) {
    let to = &mut to[..count];
    match S::as_mut_simd_f32s(to).0.first_mut() {
        Some(vector) => *vector = value,
        None => simd.partial_store_f32s(to, value),
    }
}

/// Vectors between the two passes of a transform, in `LANES` floats each: kept outside of them, so that it is not
/// cleared for every tile.
type Half = [[f32; LANES]; MOST * MOST];

#[inline(always)]
fn input_tile<S: Simd, const A: usize>(
    simd: S,
    window: &Window<'_>,
    count: usize,
    half: &mut Half,
    out: &mut [f32],
    step: usize,
) {
    let zero = simd.splat_f32s(0.0);
    for j in 0..A {
        let mut column = [zero; A];
        for (i, value) in column.iter_mut().enumerate() {
            *value = window.load(simd, (i, j), count);
        }
        for (k, value) in transform_input::<S, A>(simd, column).into_iter().enumerate() {
            store(simd, &mut half[k * MOST + j], value, S::F32_LANES);
        }
    }
    for k in 0..A {
        let mut row = [zero; A];
        for (j, value) in row.iter_mut().enumerate() {
            *value = load(simd, &half[k * MOST + j], S::F32_LANES);
        }
        for (l, value) in transform_input::<S, A>(simd, row).into_iter().enumerate() {
            store(simd, &mut out[(k * A + l) * step..], value, count);
        }
    }
}

/// Brings `count` channels of an NCHW image's window side by side: rows of `MOST` pixels of `LANES` channels.
#[inline(always)]
fn gather<const A: usize>(
    image: &Image<'_>,
    (is, h): &(Range<usize>, usize),
    (js, w): &(Range<usize>, usize),
    first: usize,
    count: usize,
    buffer: &mut [f32],
) {
    if is.is_empty() || js.is_empty() {
        return;
    }
    if is.len() < A || js.len() < A {
        buffer.fill(0.0);
    }
    for (row, i) in is.clone().enumerate() {
        let from = image.at(first, h + row, *w);
        // Whole blocks of columns, if the image goes on behind the window.
        let columns =
            if js.len() == A && (count - 1) * image.channel + MOST <= from.len() { MOST } else { js.len() };
        let from = Matrix::new(from, count, columns, image.channel);
        let to = &mut buffer[(i * MOST + js.start) * LANES..];
        transpose(&from, &mut MatrixMut::new(to, columns, count, LANES), false);
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
        let (problem, m) = (self.strip.problem, A - R + 1);
        let channels = match problem.dst_layout {
            Layout::Nchw => self.dst.rows(),
            Layout::Nhwc => self.dst.cols(),
        };
        let step = self.strip.tiles.len() * channels;
        let mut buffer = [0.0; MOST * LANES];
        let mut half: Half = [[0.0; LANES]; MOST * MOST];
        for (number, tile) in self.strip.tiles.clone().enumerate() {
            let (ty, tx) = self.strip.place(tile, m);
            let (y, x) = (ty * m, tx * m);
            let (height, width) = (m.min(problem.rows.output - y), m.min(problem.cols.output - x));
            for first in (0..channels).step_by(S::F32_LANES) {
                let count = (channels - first).min(S::F32_LANES);
                let sums = &self.sums[number * channels + first..];
                output_columns::<S, A, R>(simd, sums, step, count, &mut half);
                let bias = self.bias.map_or(simd.splat_f32s(0.0), |bias| load(simd, &bias[first..], count));
                for i in 0..height {
                    let outputs = output_row::<S, A, R>(simd, &half, i);
                    let pixel = (y + i - self.first_row) * problem.cols.output + x;
                    match problem.dst_layout {
                        Layout::Nhwc => {
                            for (j, &value) in outputs.iter().enumerate().take(width) {
                                let to = &mut self.dst.row_mut(pixel + j)[first..];
                                let mut value = simd.add_f32s(value, bias);
                                if problem.accumulate {
                                    value = simd.add_f32s(value, load(simd, to, count));
                                }
                                store(simd, to, clamp(simd, value, problem.clamp), count);
                            }
                        }
                        Layout::Nchw => {
                            // What dst holds is added behind the move, and the clamp comes last.
                            let early = if problem.accumulate { None } else { problem.clamp };
                            for (j, &value) in outputs.iter().enumerate().take(width) {
                                let value = clamp(simd, simd.add_f32s(value, bias), early);
                                store(simd, &mut buffer[j * LANES..], value, count);
                            }
                            let moved = Matrix::new(&buffer, width, count, LANES);
                            let mut to = self.dst.part(first..first + count, pixel..pixel + width);
                            transpose(&moved, &mut to, problem.accumulate);
                            if problem.accumulate {
                                epilogue::finish(&mut to, Layout::Nchw, None, problem.clamp);
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The first pass over a tile's columns; row i of what it leaves in `half` gives output row i.
#[inline(always)]
fn output_columns<S: Simd, const A: usize, const R: usize>(
    simd: S,
    sums: &[f32],
    step: usize,
    count: usize,
    half: &mut Half,
) {
    for l in 0..A {
        let mut column = [simd.splat_f32s(0.0); A];
        for (k, value) in column.iter_mut().enumerate() {
            *value = load(simd, &sums[(k * A + l) * step..], count);
        }
        for (i, value) in transform_output::<S, A, R>(simd, column).into_iter().enumerate().take(A - R + 1) {
            store(simd, &mut half[i * MOST + l], value, S::F32_LANES);
        }
    }
}

/// The second pass: one output row of a tile, of which the first m count.
#[inline(always)]
fn output_row<S: Simd, const A: usize, const R: usize>(simd: S, half: &Half, i: usize) -> [S::f32s; A] {
    let mut row = [simd.splat_f32s(0.0); A];
    for (l, value) in row.iter_mut().enumerate() {
        *value = load(simd, &half[i * MOST + l], S::F32_LANES);
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
