//! The patch matrix of im2col (depth × pixels) and of im2row (pixels × depth), built in the four ways of the paper,
//! and its strips.
//!
//! Element [(c,i,j), (y,x)] is src[c, y·s+i·d−pad, x·s+j·d−pad], or 0 if that lies outside the input. In three
//! dimensions planes come before rows, among taps and among pixels: the patches of an output plane under a kernel
//! plane are those of the input plane that they read.

use std::ops::Range;

use convlow_kernels::image::Image;
use convlow_kernels::matrix::MatrixMut;
use convlow_kernels::number::Number;

use crate::lowering::patches::copy_part;
use crate::problem::{Axis, Problem, common};

/// How one channel's Kh·Kw patch rows are filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fill {
    /// Element by element, each tested against the border.
    Scan,
    /// Contiguous runs of an input row; the border is zeroed beside them.
    CopyShort,
    /// Whole shifted planes, wrapped columns included, which are then repaired. Stride 1 only.
    CopyLong,
    /// A tap's rows are copied from the patch rows of its neighbour tap, already built.
    CopySelf,
}

/// Fills the taps × pixels patch rows of the first channel of an NCHW image.
pub fn fill_channel<T: Number>(
    fill: Fill,
    problem: &Problem,
    image: &Image<'_, T>,
    patches: &mut MatrixMut<'_, T>,
) {
    let Problem { planes, rows, cols, .. } = problem;
    let (taps, pixels) = (rows.kernel * cols.kernel, rows.output * cols.output);
    for (h, z) in (0..planes.kernel).flat_map(|h| (0..planes.output).map(move |z| (h, z))) {
        let mut part = patches.part(h * taps..(h + 1) * taps, z * pixels..(z + 1) * pixels);
        if planes.taps_of_output(z).contains(&h) {
            let plane = image.planes_from(planes.input_of(z, h)).data.run(0, rows.input * cols.input);
            fill_plane(fill, problem, plane, &mut part);
        } else {
            part.fill(T::ZERO);
        }
    }
}

/// Fills the Kh·Kw × OH·OW patch rows of one plane.
fn fill_plane<T: Number>(fill: Fill, problem: &Problem, plane: &[T], patches: &mut MatrixMut<'_, T>) {
    for i in 0..problem.rows.kernel {
        for j in 0..problem.cols.kernel {
            match fill {
                Fill::Scan => scan(problem, plane, i, j, tap_row(problem, patches, i, j)),
                Fill::CopyShort => copy_short(problem, plane, i, j, tap_row(problem, patches, i, j)),
                Fill::CopyLong => copy_long(problem, plane, i, j, tap_row(problem, patches, i, j)),
                Fill::CopySelf => copy_self(problem, plane, i, j, patches),
            }
        }
    }
}

fn tap_row<'a, T: Number>(
    problem: &Problem,
    patches: &'a mut MatrixMut<'_, T>,
    i: usize,
    j: usize,
) -> &'a mut [T] {
    patches.row_mut(i * problem.cols.kernel + j)
}

fn scan<T: Number>(problem: &Problem, plane: &[T], i: usize, j: usize, patch: &mut [T]) {
    let (rows, cols) = (&problem.rows, &problem.cols);
    let position = |axis: &Axis, output: usize, tap: usize| {
        (output * axis.stride + tap * axis.dilation)
            .checked_sub(axis.pad_before)
            .filter(|&at| at < axis.input)
    };
    for y in 0..rows.output {
        for x in 0..cols.output {
            patch[y * cols.output + x] = match (position(rows, y, i), position(cols, x, j)) {
                (Some(h), Some(w)) => plane[h * cols.input + w],
                _ => T::ZERO,
            };
        }
    }
}

fn copy_short<T: Number>(problem: &Problem, plane: &[T], i: usize, j: usize, patch: &mut [T]) {
    for y in 0..problem.rows.output {
        copy_row(problem, plane, i, j, y, patch);
    }
}

/// One output row of one tap: the run that lies inside the input, zeros on both sides of it.
fn copy_row<T: Number>(problem: &Problem, plane: &[T], i: usize, j: usize, y: usize, patch: &mut [T]) {
    let width = problem.cols.output;
    copy_part(problem, plane, (i, j), y, 0..width, &mut patch[y * width..][..width]);
}

fn copy_long<T: Number>(problem: &Problem, plane: &[T], i: usize, j: usize, patch: &mut [T]) {
    let (rows, cols) = (&problem.rows, &problem.cols);
    let (ys, xs) = (rows.outputs_of_tap(i), cols.outputs_of_tap(j));
    if ys.is_empty() || xs.is_empty() {
        return patch.fill(T::ZERO);
    }
    patch[..ys.start * cols.output].fill(T::ZERO);
    patch[ys.end * cols.output..].fill(T::ZERO);
    let inside = &mut patch[ys.start * cols.output..ys.end * cols.output];
    // With rows of equal length one copy moves them all; otherwise each output row is a copy of its own.
    let run = if cols.output == cols.input { inside.len() } else { cols.output };
    for (chunk, to) in inside.chunks_exact_mut(run).enumerate() {
        let first_row = rows.input_of(ys.start + chunk, i);
        // Where column 0 would come from: possibly before the row, even before the plane.
        let from = (first_row * cols.input) as isize + cols.shift_of_tap(j);
        let skip = from.min(0).unsigned_abs().min(to.len());
        let from = (from + skip as isize) as usize;
        let len = (to.len() - skip).min(plane.len().saturating_sub(from));
        to[skip..skip + len].copy_from_slice(&plane[from..from + len]);
    }
    for row in inside.chunks_exact_mut(cols.output) {
        row[..xs.start].fill(T::ZERO);
        row[xs.end..].fill(T::ZERO);
    }
}

fn copy_self<T: Number>(problem: &Problem, plane: &[T], i: usize, j: usize, patches: &mut MatrixMut<'_, T>) {
    let (rows, cols) = (&problem.rows, &problem.cols);
    let pixels = rows.output * cols.output;
    let (back_i, ahead_y) = rows.neighbour_taps();
    let (back_j, ahead_x) = cols.neighbour_taps();
    let tap = i * cols.kernel + j;
    if i >= back_i && ahead_y < rows.output {
        // The tap above holds all but the last rows, as one run.
        patches.copy_to_row(tap - back_i * cols.kernel, ahead_y * cols.output..pixels, tap, 0);
        for y in rows.output - ahead_y..rows.output {
            copy_row(problem, plane, i, j, y, patches.row_mut(tap));
        }
    } else if j >= back_j && ahead_x < cols.output {
        // The tap to the left holds all but the last columns, shifted; what wraps is filled in from src.
        patches.copy_to_row(tap - back_j, ahead_x..pixels, tap, 0);
        for y in 0..rows.output {
            fill_row_end(problem, plane, i, j, y, cols.output - ahead_x, patches.row_mut(tap));
        }
    } else {
        copy_short(problem, plane, i, j, patches.row_mut(tap));
    }
}

/// The columns of one output row of one tap from `first` on.
fn fill_row_end<T: Number>(
    problem: &Problem,
    plane: &[T],
    i: usize,
    j: usize,
    y: usize,
    first: usize,
    patch: &mut [T],
) {
    let (rows, cols) = (&problem.rows, &problem.cols);
    let (inside_y, xs) = (rows.outputs_of_tap(i).contains(&y), cols.outputs_of_tap(j));
    for x in first..cols.output {
        patch[y * cols.output + x] = if inside_y && xs.contains(&x) {
            plane[rows.input_of(y, i) * cols.input + cols.input_of(x, j)]
        } else {
            T::ZERO
        };
    }
}

/// Fills one im2row patch (C × taps, channels outermost) of an NCHW image, element by element.
pub fn scan_patch<T: Number>(
    problem: &Problem,
    image: &Image<'_, T>,
    [z, y, x]: [usize; 3],
    patch: &mut [T],
) {
    let Problem { planes, rows, cols, .. } = problem;
    let (hs, is, js) = (planes.taps_of_output(z), rows.taps_of_output(y), cols.taps_of_output(x));
    let mut patch = patch.iter_mut();
    for (c, h) in (0..problem.group_in()).flat_map(|c| (0..planes.kernel).map(move |h| (c, h))) {
        let plane = hs.contains(&h).then(|| image.planes_from(planes.input_of(z, h)).at(c, 0, 0));
        let plane = plane.map(|plane| plane.run(0, rows.input * cols.input));
        for i in 0..rows.kernel {
            for (j, value) in (0..cols.kernel).zip(&mut patch) {
                *value = match plane {
                    Some(plane) if is.contains(&i) && js.contains(&j) => {
                        plane[rows.input_of(y, i) * image.row + cols.input_of(x, j)]
                    }
                    _ => T::ZERO,
                };
            }
        }
    }
}

/// Fills one im2row patch (taps × C, channels innermost) of an NHWC image with runs of whole pixels.
pub fn copy_patch<T: Number>(
    problem: &Problem,
    image: &Image<'_, T>,
    [z, y, x]: [usize; 3],
    patch: &mut [T],
) {
    let Problem { planes, rows, cols, .. } = problem;
    let channels = problem.group_in();
    let (hs, is) = (planes.taps_of_output(z), rows.taps_of_output(y));
    for (tap, row) in patch.chunks_exact_mut(cols.kernel * channels).enumerate() {
        let (h, i) = (tap / rows.kernel, tap % rows.kernel);
        if hs.contains(&h) && is.contains(&i) {
            let image = image.planes_from(planes.input_of(z, h));
            copy_taps(cols, channels, &image, [rows.input_of(y, i), x], row);
        } else {
            row.fill(T::ZERO);
        }
    }
}

/// Fills one im2row patch (C × taps, channels outermost) of an NHWC image, pixel by pixel.
#[cfg(feature = "training")]
pub fn spread_patch<T: Number>(
    problem: &Problem,
    image: &Image<'_, T>,
    [z, y, x]: [usize; 3],
    patch: &mut [T],
) {
    let Problem { planes, rows, cols, .. } = problem;
    let (hs, is, js) = (planes.taps_of_output(z), rows.taps_of_output(y), cols.taps_of_output(x));
    for tap in 0..problem.taps() {
        let (row, j) = (tap / cols.kernel, tap % cols.kernel);
        let (h, i) = (row / rows.kernel, row % rows.kernel);
        let to = patch[tap..].iter_mut().step_by(problem.taps());
        if hs.contains(&h) && is.contains(&i) && js.contains(&j) {
            let image = image.planes_from(planes.input_of(z, h));
            let pixel = image.at(0, rows.input_of(y, i), cols.input_of(x, j)).run(0, problem.group_in());
            to.zip(pixel).for_each(|(to, from)| *to = *from);
        } else {
            to.for_each(|to| *to = T::ZERO);
        }
    }
}

/// Fills the Kw × C of such a patch that one kernel row reads for output column `x`, from row `h`.
fn copy_taps<T: Number>(
    cols: &Axis,
    channels: usize,
    image: &Image<'_, T>,
    [h, x]: [usize; 2],
    taps: &mut [T],
) {
    let js = cols.taps_of_output(x);
    if js.is_empty() {
        return taps.fill(T::ZERO);
    }
    taps[..js.start * channels].fill(T::ZERO);
    taps[js.end * channels..].fill(T::ZERO);
    let inside = &mut taps[js.start * channels..js.end * channels];
    if are_joined(cols, channels, image) {
        inside.copy_from_slice(image.at(0, h, cols.input_of(x, js.start)).run(0, inside.len()));
    } else {
        for (j, pixel) in js.zip(inside.chunks_exact_mut(channels)) {
            pixel.copy_from_slice(image.at(0, h, cols.input_of(x, j)).run(0, channels));
        }
    }
}

/// Whether neighbouring taps are neighbours in memory: unless the kernel is dilated or the pixel holds more than the
/// group.
fn are_joined<T>(cols: &Axis, channels: usize, image: &Image<'_, T>) -> bool {
    cols.dilation == 1 && channels == image.pixel
}

/// Fills the |xs| × Kw·C patches of some output columns under one kernel row, from row `h` of an NHWC image, channels
/// innermost.
pub fn fill_row_patches<T: Number>(
    cols: &Axis,
    channels: usize,
    image: &Image<'_, T>,
    (h, xs): (usize, &Range<usize>),
    patches: &mut [T],
) {
    let len = cols.kernel * channels;
    // The columns all of whose taps lie inside.
    let fast = common(xs, &cols.outputs_of_all_taps());
    let fast = if are_joined(cols, channels, image) && !fast.is_empty() { fast } else { xs.end..xs.end };
    for x in (xs.start..fast.start).chain(fast.end..xs.end) {
        copy_taps(cols, channels, image, [h, x], &mut patches[(x - xs.start) * len..][..len]);
    }
    if !fast.is_empty() {
        let step = cols.step() * channels;
        let from = image.at(0, h, cols.input_of(fast.start, 0)).run(0, (fast.len() - 1) * step + len);
        let patches = patches[(fast.start - xs.start) * len..].chunks_exact_mut(len);
        copy_runs(from, step, len, patches.take(fast.len()));
    }
}

/// Copies runs that begin `step` elements apart: those of a few vectors without calls of memcpy, which would cost more.
fn copy_runs<'a, T: Number>(from: &[T], step: usize, run: usize, to: impl Iterator<Item = &'a mut [T]>) {
    let runs = to.enumerate().map(|(x, to)| (to, &from[x * step..][..run]));
    match run.div_ceil(CHUNK) {
        _ if run < CHUNK => runs.for_each(|(to, from)| to.copy_from_slice(from)),
        1 => runs.for_each(copy_chunks::<1, T>),
        2 => runs.for_each(copy_chunks::<2, T>),
        3 => runs.for_each(copy_chunks::<3, T>),
        4 => runs.for_each(copy_chunks::<4, T>),
        5 => runs.for_each(copy_chunks::<5, T>),
        _ => runs.for_each(|(to, from)| to.copy_from_slice(from)),
    }
}

/// Elements of a vector, or two.
const CHUNK: usize = 8;

/// Copies that many chunks, of which the last two overlap.
fn copy_chunks<const CHUNKS: usize, T: Number>((to, from): (&mut [T], &[T])) {
    for chunk in 0..CHUNKS {
        let start = (chunk * CHUNK).min(to.len() - CHUNK);
        let chunk: [T; CHUNK] = from[start..][..CHUNK].try_into().expect("a whole chunk");
        to[start..][..CHUNK].copy_from_slice(&chunk);
    }
}
