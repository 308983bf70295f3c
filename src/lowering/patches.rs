//! The patch matrix of im2col (depth × pixels) for a run of output pixels.
//!
//! Element [(c,i,j), (y,x)] is src[c, y·s+i·d−pad, x·s+j·d−pad], or 0 if that lies outside the input; planes of a volume
//! are as the rows.

use std::ops::Range;

use convlow_kernels::image::Image;
use convlow_kernels::number::Number;

use crate::problem::{Problem, common};

/// Some columns of one output row of one tap.
pub fn copy_part<T: Number>(
    problem: &Problem,
    plane: &[T],
    (i, j): (usize, usize),
    y: usize,
    columns: Range<usize>,
    to: &mut [T],
) {
    let (rows, cols) = (&problem.rows, &problem.cols);
    let xs = common(&columns, &cols.outputs_of_tap(j));
    if !rows.outputs_of_tap(i).contains(&y) || xs.is_empty() {
        return to.fill(T::ZERO);
    }
    let run = &plane[rows.input_of(y, i) * cols.input + cols.input_of(xs.start, j)..];
    let inside = xs.start - columns.start..xs.end - columns.start;
    to[..inside.start].fill(T::ZERO);
    to[inside.end..].fill(T::ZERO);
    gather(&mut to[inside], run, cols.stride);
}

/// Every `stride`-th element.
pub fn gather<T: Number>(to: &mut [T], from: &[T], stride: usize) {
    // Constant strides become vector shuffles.
    fn every<const STRIDE: usize, T: Number>(to: &mut [T], from: &[T]) {
        let Some((last, front)) = to.split_last_mut() else { return };
        *last = from[front.len() * STRIDE];
        front.iter_mut().zip(from.chunks_exact(STRIDE)).for_each(|(to, from)| *to = from[0]);
    }
    match stride {
        1 => to.copy_from_slice(&from[..to.len()]),
        2 => every::<2, T>(to, from),
        3 => every::<3, T>(to, from),
        4 => every::<4, T>(to, from),
        _ => to.iter_mut().zip(from.iter().step_by(stride)).for_each(|(to, from)| *to = *from),
    }
}

/// Fills the D × pixels patches of a run of output pixels of an NCHW image, channels outermost.
pub fn fill_plane_patches<T: Number>(
    problem: &Problem,
    image: &Image<'_, T>,
    pixels: &Range<usize>,
    patches: &mut [T],
) {
    let mut rows = patches.chunks_exact_mut(pixels.len());
    let of_plane = problem.rows.input * problem.cols.input;
    for c in 0..problem.group_in() {
        for tap in 0..problem.planes.kernel * problem.rows.kernel {
            let (k, i) = (tap / problem.rows.kernel, tap % problem.rows.kernel);
            for (j, row) in (0..problem.cols.kernel).zip(&mut rows) {
                let mut row = row;
                for ([z, y], xs) in segments(problem, pixels) {
                    let (part, rest) = row.split_at_mut(xs.len());
                    if problem.planes.outputs_of_tap(k).contains(&z) {
                        let plane = image.planes_from(problem.planes.input_of(z, k));
                        copy_part(problem, plane.at(c, 0, 0).run(0, of_plane), (i, j), y, xs, part);
                    } else {
                        part.fill(T::ZERO);
                    }
                    row = rest;
                }
            }
        }
    }
}

/// The parts of output rows that a run of output pixels consists of: plane, row and columns.
fn segments(problem: &Problem, pixels: &Range<usize>) -> impl Iterator<Item = ([usize; 2], Range<usize>)> {
    let (height, width, pixels) = (problem.rows.output, problem.cols.output, pixels.clone());
    (pixels.start / width..pixels.end.div_ceil(width)).map(move |row| {
        let part = common(&pixels, &(row * width..(row + 1) * width));
        ([row / height, row % height], part.start - row * width..part.end - row * width)
    })
}
