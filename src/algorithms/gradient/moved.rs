//! The factors of a strip, moved side by side.

use std::ops::Range;

use convlow_kernels::image::Image;
use convlow_kernels::matrix::{Matrix, MatrixMut};

use super::strips::Seen;
use crate::algorithms::algorithm::Element;
use crate::problem::Layout;

/// Moves the pixels at these positions of an image to `to`, `ld` elements from each to the next: those channels of it that
/// come first.
pub(super) fn move_pixels<T: Element>(
    image: &Image<'_, T>,
    layout: Layout,
    [zs, ys, xs]: &[Seen; 3],
    (channels, ld): (usize, usize),
    to: &mut [T],
) {
    if zs.count * ys.count * xs.count == 0 {
        return;
    }
    // Rows that lie one behind the other are one.
    let is_dense = |seen: &Seen, inner: usize, step: usize| seen.step == 1 && inner == step;
    let whole_rows = xs.step == 1 && is_dense(ys, xs.count * image.pixel, image.row);
    let whole_planes = whole_rows && is_dense(zs, ys.count * image.row, image.plane);
    let (planes, rows, pixels) = match (whole_planes, whole_rows) {
        (true, _) => (1, 1, zs.count * ys.count * xs.count),
        (_, true) => (zs.count, 1, ys.count * xs.count),
        _ => (zs.count, ys.count, xs.count),
    };
    let apart = xs.step * image.pixel;
    for (index, to) in to.chunks_mut(pixels * ld).take(planes * rows).enumerate() {
        let (z, y) = (index / rows, index % rows);
        let from = image.planes_from(zs.first + z * zs.step).at(0, ys.first + y * ys.step, xs.first);
        match layout {
            Layout::Nhwc if channels == ld && (channels == apart || pixels == 1) => {
                to[..pixels * ld].copy_from_slice(from.run(0, pixels * ld));
            }
            Layout::Nhwc => {
                for (pixel, to) in to.chunks_mut(ld).take(pixels).enumerate() {
                    to[..channels].copy_from_slice(from.run(pixel * apart, channels));
                }
            }
            Layout::Nchw if apart == 1 => {
                let from = Matrix::new(from, channels, pixels, image.channel);
                T::transpose(&from, &mut MatrixMut::new(to, pixels, channels, ld), false);
            }
            Layout::Nchw => {
                for channel in 0..channels {
                    let from = from.from(channel * image.channel);
                    to[channel..].iter_mut().step_by(ld).take(pixels).enumerate().for_each(|(pixel, to)| {
                        *to = from.value(pixel * apart);
                    });
                }
            }
        }
    }
}

/// Moves the pixels at these positions of an image to `to` so that each lane has its own channels: inputs × lanes of a pixel,
/// where lane l of the image reads the inputs of the group of its output channel.
pub(super) fn move_for_lanes<T: Element>(
    image: &Image<'_, T>,
    [zs, ys, xs]: &[Seen; 3],
    (lanes, ld): (&Range<usize>, usize),
    (inputs, group_in, group_out): (&Range<usize>, usize, usize),
    to: &mut [T],
) {
    let first = lanes.start / group_out;
    let pixels =
        (0..zs.count).flat_map(|z| (0..ys.count).flat_map(move |y| (0..xs.count).map(move |x| [z, y, x])));
    for ([z, y, x], to) in pixels.zip(to.chunks_mut(inputs.len() * ld)) {
        let place = (zs.first + z * zs.step) * image.plane
            + (ys.first + y * ys.step) * image.row
            + (xs.first + x * xs.step) * image.pixel;
        let from = image.data.from(place);
        for (input, to) in inputs.clone().zip(to.chunks_mut(ld)) {
            for (lane, to) in lanes.clone().zip(to) {
                *to = from.value(((lane / group_out - first) * group_in + input) * image.channel);
            }
        }
    }
}
