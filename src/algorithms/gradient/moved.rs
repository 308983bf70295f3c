//! The factors of a strip, moved side by side.

use std::ops::Range;

use convlow_kernels::image::Image;
use convlow_kernels::lanes::prefetch;
use convlow_kernels::matrix::{Matrix, MatrixMut};
use convlow_kernels::view::View;

use super::strips::Seen;
use crate::algorithms::algorithm::Element;
use crate::lowering::patches::gather;
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
    let apart = if xs.count > 1 { xs.step * image.pixel } else { image.pixel };
    for (index, to) in to.chunks_mut(pixels * ld).take(planes * rows).enumerate() {
        let (z, y) = (index / rows, index % rows);
        let from = image.planes_from(zs.first + z * zs.step).at(0, ys.first + y * ys.step, xs.first);
        match layout {
            Layout::Nhwc if channels == ld && (channels == apart || pixels == 1) => {
                to[..pixels * ld].copy_from_slice(from.run(0, pixels * ld));
            }
            Layout::Nhwc => match ld {
                8 if channels == ld => copy_pixels::<8, T>(from, apart, pixels, to),
                16 if channels == ld => copy_pixels::<16, T>(from, apart, pixels, to),
                32 if channels == ld => copy_pixels::<32, T>(from, apart, pixels, to),
                64 if channels == ld => copy_pixels::<64, T>(from, apart, pixels, to),
                _ => {
                    for (pixel, to) in to.chunks_mut(ld).take(pixels).enumerate() {
                        to[..channels].copy_from_slice(from.run(pixel * apart, channels));
                    }
                }
            },
            Layout::Nchw if apart == 1 => {
                let from = Matrix::new(from, channels, pixels, image.channel);
                T::transpose(&from, &mut MatrixMut::new(to, pixels, channels, ld), false);
            }
            Layout::Nchw => move_apart(from, (image.channel, apart), (channels, pixels), ld, to),
        }
    }
}

/// Pixels whose first line is asked for before they are copied.
const AHEAD: usize = 16;

/// Copies so many channels of pixels: a copy of a length that is known needs no call.
fn copy_pixels<const CHANNELS: usize, T: Element>(
    from: View<'_, T>,
    apart: usize,
    pixels: usize,
    to: &mut [T],
) {
    for (pixel, to) in to.chunks_exact_mut(CHANNELS).take(pixels).enumerate() {
        prefetch(from, (pixel + AHEAD) * apart);
        to.copy_from_slice(from.run(pixel * apart, CHANNELS));
    }
}

/// Channels and pixels that are brought together before they are transposed.
const TOGETHER: [usize; 2] = [16, 64];

/// Pixels of planes that lie apart in a row.
fn move_apart<T: Element>(
    from: View<'_, T>,
    (of_channel, apart): (usize, usize),
    (channels, pixels): (usize, usize),
    ld: usize,
    to: &mut [T],
) {
    let [most_channels, most_pixels] = TOGETHER;
    let mut rows = [T::ZERO; TOGETHER[0] * TOGETHER[1]];
    for first in (0..pixels).step_by(most_pixels) {
        let count = most_pixels.min(pixels - first);
        for channel in (0..channels).step_by(most_channels) {
            let some = most_channels.min(channels - channel);
            for (row, to) in rows.chunks_exact_mut(count).take(some).enumerate() {
                let at = (channel + row) * of_channel + first * apart;
                gather(to, from.run(at, (count - 1) * apart + 1), apart);
            }
            let rows = Matrix::new(&rows[..], some, count, count);
            let to = &mut to[first * ld + channel..];
            T::transpose(&rows, &mut MatrixMut::new(to, count, some, ld), false);
        }
    }
}

/// Moves the pixels at these positions of an image to `to` so that each lane has its own channels: inputs × lanes of a pixel,
/// where lane l of the image reads the inputs of the group of its output channel. The image begins with the group of the first.
pub(super) fn move_for_lanes<T: Element>(
    (image, layout): (&Image<'_, T>, Layout),
    seen: &[Seen; 3],
    (lanes, ld): (&Range<usize>, usize),
    (inputs, group_in, group_out): (&Range<usize>, usize, usize),
    to: &mut [T],
) {
    let of_pixel = inputs.len() * ld;
    let groups = lanes.start / group_out..(lanes.end - 1) / group_out + 1;
    let channels = groups.len() * group_in;
    if channels > MOST_CHANNELS || channels > of_pixel {
        return move_each_lane(image, seen, (lanes, ld), (inputs, group_in, group_out), to);
    }
    // The channels of a pixel lie where its inputs will.
    move_pixels(image, layout, seen, (channels, of_pixel), to);
    let channel_of: [usize; MOST_CHANNELS] = std::array::from_fn(|at| {
        let lane = (lanes.start + at).min(lanes.end - 1);
        (lane / group_out - groups.start) * group_in + inputs.start
    });
    let is_square = group_in == group_out && lanes.start.is_multiple_of(group_out) && lanes.len() == ld;
    let mut pixel = [T::ZERO; MOST_CHANNELS];
    for to in to.chunks_exact_mut(of_pixel).take(seen.iter().map(|seen| seen.count).product()) {
        pixel[..channels].copy_from_slice(&to[..channels]);
        match group_in {
            2 if is_square => spread_groups::<2, T>(&pixel, inputs, ld, to),
            4 if is_square => spread_groups::<4, T>(&pixel, inputs, ld, to),
            8 if is_square => spread_groups::<8, T>(&pixel, inputs, ld, to),
            _ => {
                for (input, to) in to.chunks_exact_mut(ld).enumerate() {
                    for (to, channel) in to[..lanes.len()].iter_mut().zip(&channel_of) {
                        *to = pixel[channel + input];
                    }
                    to[lanes.len()..].fill(T::ZERO);
                }
            }
        }
    }
}

/// Channels of a pixel that are moved at once: as many as lanes of a block, or the inputs of few.
pub(super) const MOST_CHANNELS: usize = 128;

/// Inputs of groups of as many outputs: each is the factor of neighbouring lanes.
fn spread_groups<const GROUP: usize, T: Element>(
    pixel: &[T; MOST_CHANNELS],
    inputs: &Range<usize>,
    ld: usize,
    to: &mut [T],
) {
    for (input, to) in inputs.clone().zip(to.chunks_exact_mut(ld)) {
        for (to, group) in to.chunks_exact_mut(GROUP).zip(pixel.chunks_exact(GROUP)) {
            to.copy_from_slice(&[group[input]; GROUP]);
        }
    }
}

/// The same element by element.
fn move_each_lane<T: Element>(
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
