//! The tile model of the algorithms that keep a tile of dst in the cache, and the taps of one NHWC tile.
//!
//! A tile is a few output rows, or a part of one, × a block of output channels. It stays in the first two cache
//! levels while the taps are added to it one after the other, each with GEMM calls straight on the input rows.

use std::ops::Range;

use super::{CallList, Calls, Cost, Unit, channels_of_block, weights_streamed, work};
use crate::gemm::{ENOUGH_ROWS, KERNEL_ROWS, leaves_few};
use crate::lowering::image::Image;
use crate::matrix::{Matrix, MatrixMut};
use crate::problem::{Axis, Layout, Problem, common};

/// Output channels of a tile, if there are more: enough for a GEMM to run near its peak, and few enough that a
/// tile stays in the second cache level.
const CHANNELS: usize = 128;
/// The same where weights are read once for few pixels: a few vectors, so that a GEMM reads its weights almost in the
/// order in which they lie.
const STREAMED_CHANNELS: usize = 32;
/// Pixels up to which that is so, and the least depth of a call.
const STREAMED_PIXELS: usize = 256;
/// See `STREAMED_PIXELS`.
const STREAMED_DEPTH: usize = 96;
/// The fewest channels that a tile is reduced to for the sake of more tiles.
const LEAST_CHANNELS: usize = 64;
/// Output pixels of a tile, and of a GEMM call where rows can be joined: the weights of a tap are packed once for
/// so many.
const PIXELS: usize = 448;
/// The fewest pixels to which a tile is reduced for that.
const LEAST_PIXELS: usize = 96;
/// Tiles to have, if the sizes allow: enough for several threads to finish together.
const TILES: usize = 8;
/// Rows at least this long make good GEMM calls by themselves; shorter ones are joined.
const LONG_ROW: usize = 160;
/// Rows shorter than this are joined only where their kernel columns cannot be folded.
const SHORT_ROW: usize = 16;
/// Input channels up to which a tap by itself is a shallow sum.
const SHALLOW: usize = 128;
/// Pixels up to which the embedded GEMM reads its weights unpacked.
const UNPACKED_PIXELS: usize = 48;
/// Floats of weights of a folded kernel row that stay in the first cache level from one row of pixels to the next, which
/// reads them unpacked.
const FOLDED_FLOATS: usize = 6 * 1024;

/// [`tile_size`] where rows are joined only if their kernel columns cannot be folded better.
pub fn folded_tile_size(problem: &Problem) -> (usize, usize) {
    let (pixels, channels) = tile_size(problem);
    if !folds_columns(problem) {
        return (pixels, channels);
    }
    let fitting = FOLDED_FLOATS / problem.cols.kernel.saturating_mul(problem.group_in()) / 16 * 16;
    (pixels, channels.min(fitting.clamp(16, LEAST_CHANNELS)))
}

/// Output pixels and channels of a tile. The problem is flattened.
pub fn tile_size(problem: &Problem) -> (usize, usize) {
    let (width, height) = (problem.cols.output, problem.rows.output);
    let pixels = if height == 1 {
        width.div_ceil(width.div_ceil(PIXELS))
    } else {
        // Strips of equal height; an even number where there is but one block of channels, so that two threads finish
        // together.
        let fitting = height.div_ceil((PIXELS / width).max(1));
        let alone = problem.group_out() < 2 * LEAST_CHANNELS && problem.out_pixels() >= 2 * LEAST_PIXELS;
        let strips = if alone { fitting.next_multiple_of(2) } else { fitting };
        height.div_ceil(strips) * width
    };
    let strips = problem.out_pixels().div_ceil(pixels);
    let channels = problem.group_out();
    let fewest = channels.div_ceil(most_channels(pixels, problem.group_in()));
    let blocks = fewest.max(TILES.div_ceil(strips).min(channels / LEAST_CHANNELS));
    (pixels, channels_of_block(channels, blocks))
}

/// Output channels that make a good block for GEMM calls of so many pixels and such a depth.
pub fn most_channels(pixels: usize, depth: usize) -> usize {
    if pixels <= STREAMED_PIXELS && depth >= STREAMED_DEPTH { STREAMED_CHANNELS } else { CHANNELS }
}

/// The problem as one long row, where every output pixel reads the input pixel of the same number.
pub fn flattened(problem: &Problem) -> Problem {
    if problem.taps() > 1 || !problem.unit_stride() || problem.in_pixels() != problem.out_pixels() {
        return *problem;
    }
    let one = Axis { output: 1, ..Axis::dense(1, 1) };
    let pixels = problem.in_pixels();
    Problem { rows: one, cols: Axis { input: pixels, output: pixels, ..one }, ..*problem }
}

/// Whether the rows of a tile are joined into one run of pixels for each tap. Then the columns that wrap around
/// the row end receive junk; what they held is lost, so dst must not have held anything before.
fn joins_rows(problem: &Problem) -> bool {
    problem.cols.output == problem.cols.input
        && problem.unit_stride()
        && !problem.accumulate
        && problem.rows.output > 1
        && problem.cols.output < LONG_ROW
}

/// Whether the taps of a kernel row are one sum over its columns and channels, for a GEMM that takes overlapping rows:
/// where a tap by itself is shallow, and where rows are short, which then need not be joined. Several taps are one run
/// only where pixels, like those moved from NCHW, hold one group's channels and no others.
fn folds_columns(problem: &Problem) -> bool {
    let Problem { rows, cols, .. } = problem;
    let short = cols.output < SHORT_ROW || cols.output < LONG_ROW && !joins_rows(problem) && rows.output > 1;
    let dense = problem.src_layout == Layout::Nchw || problem.groups == 1;
    match cols.kernel {
        1 => short && rows.output > 1,
        _ => dense && cols.dilation == 1 && (short || problem.group_in() <= SHALLOW),
    }
}

/// A tap of an axis that all these outputs see: its products may overwrite what dst holds.
pub fn overwriting_tap(axis: &Axis, outputs: &Range<usize>) -> Option<usize> {
    (0..axis.kernel).find(|&tap| common(outputs, &axis.outputs_of_tap(tap)) == *outputs)
}

/// All taps of a kernel's axis, this one before the others.
pub fn beginning_with(first: Option<usize>, kernel: usize) -> impl Iterator<Item = usize> {
    first.into_iter().chain((0..kernel).filter(move |&tap| Some(tap) != first))
}

/// The columns of a row in runs that read their weights unpacked.
fn runs(columns: &Range<usize>) -> impl Iterator<Item = Range<usize>> {
    let (start, end) = (columns.start, columns.end);
    let len = run_len(columns.len());
    (start..end).step_by(len).map(move |at| at..(at + len).min(end))
}

/// The length of all such runs but the last: about the same, and whole groups of rows for the kernel.
fn run_len(columns: usize) -> usize {
    columns.div_ceil(columns.div_ceil(UNPACKED_PIXELS).max(1)).next_multiple_of(KERNEL_ROWS).max(1)
}

/// Of some columns of a tile, those that are multiplied row by row, all taps of a kernel row at once: what all taps see,
/// less a remainder that would not fill the GEMM's kernel where rows are short and a column of the tile fills it.
fn columns_by_rows(cols: &Axis, xs: &Range<usize>, height: usize) -> Range<usize> {
    let inside = common(xs, &cols.outputs_of_all_taps());
    let left = match inside.len() {
        _ if height < ENOUGH_ROWS => 0,
        few @ ..ENOUGH_ROWS => few,
        some @ KERNEL_ROWS..UNPACKED_PIXELS if leaves_few(some) => some % KERNEL_ROWS,
        _ => 0,
    };
    inside.start..inside.end - left
}

/// Rows of an NHWC input, or of a part of it.
pub struct Rows<'a> {
    data: &'a [f32],
    /// The pixels that are there, where they are whole rows.
    pixels: Range<usize>,
    /// The input row and column with which the data begin.
    first: (usize, usize),
    row: usize,
    pixel: usize,
}

impl<'a> Rows<'a> {
    /// All rows of an NHWC image.
    pub fn of_image(image: &Image<'a>, problem: &Problem) -> Self {
        let pixels = 0..problem.in_pixels();
        Self { data: image.data, pixels, first: (0, 0), row: image.row, pixel: image.pixel }
    }

    /// These rows and columns of an image as pixels of `channels` floats one behind the other.
    pub fn moved(data: &'a [f32], hs: &Range<usize>, ws: &Range<usize>, channels: usize) -> Self {
        let row = ws.len() * channels;
        let pixels = hs.start * ws.len()..hs.end * ws.len();
        Self { data, pixels, first: (hs.start, ws.start), row, pixel: channels }
    }

    fn at(&self, h: usize, w: usize) -> &'a [f32] {
        &self.data[(h - self.first.0) * self.row + (w - self.first.1) * self.pixel..]
    }

    /// The elements from this pixel of the whole image on; the data hold whole rows.
    fn from(&self, pixel: usize, problem: &Problem) -> &'a [f32] {
        self.at(pixel / problem.cols.input, pixel % problem.cols.input)
    }
}

/// The output rows and columns of a tile: whole rows, or a part of one.
pub fn rows_and_columns(problem: &Problem, pixels: &Range<usize>) -> (Range<usize>, Range<usize>) {
    let width = problem.cols.output;
    let ys = pixels.start / width..pixels.end.div_ceil(width);
    let first = ys.start * width;
    let xs = pixels.start - first..if ys.len() > 1 { width } else { pixels.end - first };
    (ys, xs)
}

/// A tile of dst and what its taps are multiplied from.
pub struct TapTile<'a> {
    pub unit: &'a Unit<'a>,
    /// The unit's problem, flattened.
    pub problem: &'a Problem,
    pub src: &'a Rows<'a>,
    /// Those of the tile's channels, taps × C × channels.
    pub weights: &'a [f32],
    /// The output pixels.
    pub pixels: &'a Range<usize>,
}

impl TapTile<'_> {
    /// dst ← all taps, added to what dst holds where the problem accumulates. `dst` is pixels × channels.
    pub fn multiply(&self, dst: &mut MatrixMut<'_>) {
        if self.unit.gemm.takes_overlapping_rows() && folds_columns(self.problem) {
            self.multiply_folded(dst);
        } else if joins_rows(self.problem) {
            self.begin(dst);
            self.add_joined(dst);
        } else {
            self.multiply_rows(dst);
        }
    }

    /// [`TapTile::multiply`] for whole rows, always joined; the columns that junk would spoil are saved and put
    /// back. `saved` has [`saved_cols`] × rows × channels floats.
    pub fn multiply_saving(&self, dst: &mut MatrixMut<'_>, saved: &mut [f32]) {
        let (problem, cols) = (self.problem, &self.problem.cols);
        self.begin(dst);
        for j in (0..cols.kernel).filter(|&j| !cols.outputs_of_tap(j).is_empty()) {
            let junk = junk_of(problem, j);
            let save = must_save(problem, j);
            if save {
                self.for_each_pixel(&junk, dst, saved, |pixel, saved| saved.copy_from_slice(pixel));
            }
            self.add_column(j, dst);
            if save {
                self.for_each_pixel(&junk, dst, saved, |pixel, saved| pixel.copy_from_slice(saved));
            } else {
                self.clear(junk, dst);
            }
        }
    }

    fn begin(&self, dst: &mut MatrixMut<'_>) {
        if !self.problem.accumulate {
            dst.fill(0.0);
        }
    }

    fn rows(&self) -> Range<usize> {
        rows_and_columns(self.problem, self.pixels).0
    }

    /// One tap's weights, C × channels.
    fn tap(&self, i: usize, j: usize, channels: usize) -> Matrix<'_> {
        let depth = self.problem.group_in();
        let tap = i * self.problem.cols.kernel + j;
        Matrix::new(&self.weights[tap * depth * channels..][..depth * channels], depth, channels, channels)
    }

    /// dst ← the product of pixels that lie `ld` floats apart and a tap's weights + β·dst.
    fn add(&self, (i, j): (usize, usize), from: &[f32], ld: usize, beta: f32, dst: MatrixMut<'_>) {
        let tap = self.tap(i, j, dst.cols());
        let src = Matrix::new(from, dst.rows(), self.problem.group_in(), ld);
        self.unit.gemm.multiply(dst, src.into(), tap.into(), beta);
    }

    /// The same for taps `js` of a kernel row at once: a pixel and those behind it are one row of the factor.
    fn add_run(
        &self,
        (i, js): (usize, Range<usize>),
        from: &[f32],
        ld: usize,
        beta: f32,
        dst: MatrixMut<'_>,
    ) {
        let (channels, depth) = (dst.cols(), js.len() * self.problem.group_in());
        let first = (i * self.problem.cols.kernel + js.start) * self.problem.group_in() * channels;
        let taps = Matrix::new(&self.weights[first..][..depth * channels], depth, channels, channels);
        let src = Matrix::overlapping(from, dst.rows(), depth, ld);
        self.unit.gemm.multiply(dst, src.into(), taps.into(), beta);
    }

    /// All taps of a kernel row at once: row by row for columns that all of them see, column by column for those at the
    /// borders.
    fn multiply_folded(&self, dst: &mut MatrixMut<'_>) {
        let Problem { rows, cols, .. } = self.problem;
        let (ys, xs) = rows_and_columns(self.problem, self.pixels);
        let channels = dst.cols();
        let by_rows = columns_by_rows(cols, &xs, ys.len());
        let all_columns = xs.clone().all(|x| !cols.taps_of_output(x).is_empty());
        let overwriting = overwriting_tap(rows, &ys).filter(|_| all_columns && !self.problem.accumulate);
        if overwriting.is_none() {
            self.begin(dst);
        }
        for i in beginning_with(overwriting, rows.kernel) {
            let beta = if Some(i) == overwriting { 0.0 } else { 1.0 };
            let ys_of_tap = common(&ys, &rows.outputs_of_tap(i));
            if ys_of_tap.is_empty() {
                continue;
            }
            let at = |y: usize, x: usize, j: usize| self.src.at(rows.input_of(y, i), cols.input_of(x, j));
            for y in ys_of_tap.clone() {
                for run in runs(&by_rows) {
                    let to = y * cols.output + run.start - self.pixels.start;
                    let part = dst.part(to..to + run.len(), 0..channels);
                    let from = at(y, run.start, 0);
                    self.add_run((i, 0..cols.kernel), from, cols.stride * self.src.pixel, beta, part);
                }
            }
            for x in xs.clone().filter(|x| !by_rows.contains(x)) {
                let js = cols.taps_of_output(x);
                if js.is_empty() {
                    continue;
                }
                let to = ys_of_tap.start - ys.start..ys_of_tap.end - ys.start;
                let mut column = dst.every(xs.len(), x - xs.start);
                let from = at(ys_of_tap.start, x, js.start);
                self.add_run((i, js), from, rows.stride * self.src.row, beta, column.part(to, 0..channels));
            }
        }
    }

    /// Row by row, all taps.
    fn multiply_rows(&self, dst: &mut MatrixMut<'_>) {
        let Problem { rows, cols, .. } = self.problem;
        let (ys, xs) = rows_and_columns(self.problem, self.pixels);
        let (channels, ld) = (dst.cols(), cols.stride * self.src.pixel);
        let overwriting =
            overwriting_tap(rows, &ys).zip(overwriting_tap(cols, &xs)).filter(|_| !self.problem.accumulate);
        if overwriting.is_none() {
            self.begin(dst);
        }
        let (first_row, first_col) = overwriting.unzip();
        for i in beginning_with(first_row, rows.kernel) {
            for j in beginning_with(first_col, cols.kernel) {
                let beta = if Some((i, j)) == overwriting { 0.0 } else { 1.0 };
                let xs = common(&xs, &cols.outputs_of_tap(j));
                if xs.is_empty() {
                    continue;
                }
                for y in common(&ys, &rows.outputs_of_tap(i)) {
                    let from = self.src.at(rows.input_of(y, i), cols.input_of(xs.start, j));
                    let to = y * cols.output + xs.start - self.pixels.start;
                    self.add((i, j), from, ld, beta, dst.part(to..to + xs.len(), 0..channels));
                }
            }
        }
    }

    /// All rows of a tap at once: the farthest kernel columns first, on both sides, so that the columns which
    /// they spoil can be set back to zero before anything else is in them; then the nearer ones. What was lost of
    /// the columns on the right is added anew, one column a call.
    fn add_joined(&self, dst: &mut MatrixMut<'_>) {
        let cols = &self.problem.cols;
        let to_left = (0..cols.kernel).filter(|&j| cols.shift_of_tap(j) < 0);
        let to_right = (0..cols.kernel).rev().filter(|&j| cols.shift_of_tap(j) > 0);
        let mut lost = cols.output;
        for j in to_left.clone().chain(to_right) {
            if cols.outputs_of_tap(j).is_empty() {
                continue;
            }
            self.add_column(j, dst);
            let junk = junk_of(self.problem, j);
            if junk.start > 0 {
                lost = lost.min(junk.start);
            }
            self.clear(junk, dst);
        }
        for j in (0..cols.kernel).filter(|&j| cols.shift_of_tap(j) == 0) {
            self.add_column(j, dst);
        }
        for x in lost..cols.output {
            for j in to_left.clone().filter(|&j| cols.outputs_of_tap(j).contains(&x)) {
                self.add_at_column(x, j, dst);
            }
        }
    }

    /// The taps of one kernel column, rows joined.
    fn add_column(&self, j: usize, dst: &mut MatrixMut<'_>) {
        let (ys, channels) = (self.rows(), dst.cols());
        for i in 0..self.problem.rows.kernel {
            let inside = common(&ys, &self.problem.rows.outputs_of_tap(i));
            if !inside.is_empty() {
                let (to, from) = flat_run(self.problem, &self.src.pixels, &ys, (i, j), &inside);
                self.add(
                    (i, j),
                    self.src.from(from, self.problem),
                    self.src.pixel,
                    1.0,
                    dst.part(to, 0..channels),
                );
            }
        }
    }

    /// The taps of one kernel column for output column `x` of all rows.
    fn add_at_column(&self, x: usize, j: usize, dst: &mut MatrixMut<'_>) {
        let Problem { rows, cols, .. } = self.problem;
        let (ys, channels) = (self.rows(), dst.cols());
        for i in 0..rows.kernel {
            let inside = common(&ys, &rows.outputs_of_tap(i));
            if !inside.is_empty() {
                let from = self.src.at(rows.input_of(inside.start, i), cols.input_of(x, j));
                let to = inside.start - ys.start..inside.end - ys.start;
                let mut column = dst.every(cols.output, x);
                self.add((i, j), from, self.src.row, 1.0, column.part(to, 0..channels));
            }
        }
    }

    /// Calls `f` with the channels of these columns of all rows, and their place in `saved`.
    fn for_each_pixel(
        &self,
        xs: &Range<usize>,
        dst: &mut MatrixMut<'_>,
        saved: &mut [f32],
        f: impl Fn(&mut [f32], &mut [f32]),
    ) {
        let mut saved = saved.chunks_exact_mut(dst.cols());
        for y in 0..self.rows().len() {
            for (x, saved) in xs.clone().zip(&mut saved) {
                f(dst.row_mut(y * self.problem.cols.output + x), saved);
            }
        }
    }

    /// Zeros in these columns of all rows.
    fn clear(&self, xs: Range<usize>, dst: &mut MatrixMut<'_>) {
        let width = self.problem.cols.output;
        for y in 0..self.rows().len() {
            xs.clone().for_each(|x| dst.row_mut(y * width + x).fill(0.0));
        }
    }
}

/// Columns of a row that wrap around for a tap: [0, xs.start) or [xs.end, W).
pub fn junk_of(problem: &Problem, j: usize) -> Range<usize> {
    let xs = problem.cols.outputs_of_tap(j);
    if xs.start > 0 { 0..xs.start } else { xs.end..problem.cols.output }
}

/// Whether a tap's junk columns hold sums already when its turn comes.
pub fn must_save(problem: &Problem, j: usize) -> bool {
    problem.accumulate || problem.cols.shift_of_tap(j) > 0
}

/// Columns saved at most at one time: those of the farthest tap on a side that still sees the input.
pub fn saved_cols(problem: &Problem) -> usize {
    let cols = &problem.cols;
    let farthest_right = (cols.kernel - 1).min((cols.input - 1 + cols.pad_before) / cols.dilation);
    let farthest_left = (cols.pad_before + 1).saturating_sub(cols.input).div_ceil(cols.dilation);
    [farthest_left, farthest_right]
        .into_iter()
        .filter(|&j| j < cols.kernel && !cols.outputs_of_tap(j).is_empty() && must_save(problem, j))
        .map(|j| junk_of(problem, j).len())
        .max()
        .unwrap_or_default()
}

/// The pixels of a tile, and the first pixel of src, that one tap's GEMM over rows `ys` joins: whole rows, less the
/// wrapped columns at the very ends where the pixels of src that are there, or the tile, would be left.
pub fn flat_run(
    problem: &Problem,
    there: &Range<usize>,
    strip: &Range<usize>,
    (i, j): (usize, usize),
    ys: &Range<usize>,
) -> (Range<usize>, usize) {
    let width = problem.cols.output;
    let to = (ys.start - strip.start) * width;
    let from = (problem.rows.input_of(ys.start, i) * width) as isize + problem.cols.shift_of_tap(j);
    let before = (there.start as isize - from).max(0);
    let (from, before) = ((from + before) as usize, before as usize);
    let len = (ys.len() * width - before).min(there.end - from);
    (to + before..to + before + len, from)
}

/// Which rows a tile joins.
#[derive(Clone, Copy, PartialEq)]
pub enum Joining {
    /// All, with scratch for the columns that junk would spoil.
    Always,
    /// Short ones whose kernel columns are not folded, without scratch.
    WhereShort,
}

/// The GEMM calls of all tiles of so many output pixels and channels. The problem is flattened.
pub fn cost(problem: &Problem, (pixels, block): (usize, usize), joining: Joining) -> Cost {
    let Problem { rows, cols, .. } = problem;
    let (depth, channels) = (problem.group_in(), problem.group_out());
    let blocks = channels.div_ceil(block);
    let reached = cols.count_taps_inside();
    let of_runs = |runs: usize, pixels: usize, per_run: f64| Calls {
        shape: [pixels, block, depth],
        count: runs.saturating_mul(blocks),
        macs: per_run * work(&[depth, channels]),
        plane: 0,
    };
    let joins = joining == Joining::Always || joins_rows(problem);
    let calls = if joins {
        let strip = pixels / cols.output;
        let strips = rows.count_taps_of_strips(strip);
        let (columns, pairs) = count_lost(cols);
        let flat = work(&[rows.count_inside(), cols.output, reached]);
        let repair = of_runs(strips.saturating_mul(pairs), strip, work(&[rows.count_inside(), pairs]));
        let joined = of_runs(strips.saturating_mul(reached), pixels, flat);
        if columns == 0 || joining == Joining::Always { joined.alone() } else { [joined, repair].into() }
    } else {
        let parts = if rows.output == 1 { cols.output.div_ceil(pixels) } else { 1 };
        let runs = rows.count_inside().saturating_mul(if parts == 1 {
            reached
        } else {
            cols.count_taps_of_strips(pixels)
        });
        let pairs = work(&[rows.count_inside(), cols.count_inside()]);
        of_runs(runs, pixels.min(cols.output), pairs).alone()
    };
    let overlapping = match joining {
        Joining::WhereShort if folds_columns(problem) => folded_calls(problem, (pixels, block)),
        _ => CallList::new(),
    };
    // Columns are strided by rows where what they lost is added anew.
    let largest_size = [
        problem.out_pixels(),
        problem.out_channels.max(block.next_multiple_of(16)).saturating_mul(cols.output),
        problem.in_channels.saturating_mul(cols.input.max(cols.stride)).saturating_mul(rows.stride),
        problem.in_channels.saturating_mul(cols.kernel),
    ];
    let largest_size = largest_size.into_iter().fold(0, usize::max);
    // The zeros that joined rows begin with.
    let cleared = if joins { work(&[problem.out_pixels(), channels]) } else { 0.0 };
    let streamed = cleared + weights_streamed(problem, problem.out_pixels().div_ceil(pixels));
    Cost {
        calls,
        overlapping,
        largest_size,
        tiles: problem.out_pixels().div_ceil(pixels).saturating_mul(blocks),
        streamed,
        ..Cost::default()
    }
}

/// The calls of tiles with folded kernel columns: those of the columns that all taps see, and those at the borders.
fn folded_calls(problem: &Problem, (pixels, block): (usize, usize)) -> CallList {
    let Problem { rows, cols, .. } = problem;
    let (depth, channels) = (problem.group_in(), problem.group_out());
    let (blocks, folded) = (channels.div_ceil(block), cols.kernel.saturating_mul(depth));
    let width = pixels.min(cols.output);
    let height = pixels.div_ceil(cols.output);
    let inside = columns_by_rows(cols, &(0..cols.output), if width < cols.output { 1 } else { height });
    let parts = if inside.is_empty() { 0 } else { (inside.end - 1) / width - inside.start / width + 1 };
    let inside = inside.len();
    let in_part = inside.clamp(1, width);
    let run = Calls {
        shape: [run_len(in_part).min(in_part), block, folded],
        count: rows
            .count_inside()
            .saturating_mul(parts)
            .saturating_mul(in_part.div_ceil(run_len(in_part)))
            .saturating_mul(blocks),
        macs: work(&[rows.count_inside(), inside, folded, channels]),
        plane: 0,
    };
    let border = Calls {
        shape: [height, block, folded],
        count: rows
            .count_taps_of_strips(height)
            .saturating_mul(cols.count_outputs_inside().saturating_sub(inside))
            .saturating_mul(blocks),
        macs: work(&[rows.count_inside(), depth, channels])
            * (cols.count_inside() as f64 - work(&[inside, cols.kernel])).max(0.0),
        plane: 0,
    };
    [run, border].into_iter().filter(|calls| calls.macs > 0.0).collect()
}

/// Where rows are joined: the columns on the right that are computed anew, and the pairs of such a column and a
/// kernel column that reaches it from the left.
fn count_lost(cols: &Axis) -> (usize, usize) {
    const COUNTED: usize = 1 << 12;
    if cols.kernel > COUNTED {
        return (cols.output, cols.output.saturating_mul(cols.kernel));
    }
    let right = (0..cols.kernel).filter(|&j| cols.shift_of_tap(j) > 0);
    let reached = right.map(|j| cols.outputs_of_tap(j)).filter(|xs| !xs.is_empty());
    let first = reached.map(|xs| xs.end).min().unwrap_or(cols.output);
    let pairs = (0..cols.kernel)
        .filter(|&j| cols.shift_of_tap(j) < 0)
        .map(|j| common(&(first..cols.output), &cols.outputs_of_tap(j)).len())
        .sum();
    (cols.output - first, pairs)
}
