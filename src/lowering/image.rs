//! The channels of a group of an input image, wherever they lie.

use std::ops::Range;

use convlow_kernels::image::Image;

use crate::matrix::Matrix;
use crate::number::Number;
use crate::problem::{Layout, Problem};

/// The first of these groups in an image of a whole src tensor; the others lie behind it.
pub fn image_of<'a, T: Number>(
    problem: &Problem,
    src: &'a [T],
    image: usize,
    groups: &Range<usize>,
) -> Image<'a, T> {
    let ([between, _], [image_len, _]) = (problem.channel_strides(), problem.batch_strides());
    let src = &src[image * image_len..];
    let first_channel = groups.start * problem.group_in();
    let (pixel, channel) = match problem.src_layout {
        Layout::Nchw => (1, between),
        Layout::Nhwc => (between, 1),
    };
    let data = &src[first_channel * channel..];
    let data = match problem.src_layout {
        Layout::Nchw => &data[..(groups.len() * problem.group_in() - 1) * between + problem.in_pixels()],
        Layout::Nhwc => data,
    };
    let row = problem.cols.input * pixel;
    Image { data, channel, plane: problem.rows.input * row, row, pixel }
}

/// The group as the matrix it is in memory: C/groups × H·W of NCHW, H·W × C/groups of NHWC.
pub fn matrix_of<'a, T: Number>(image: &Image<'a, T>, problem: &Problem) -> Matrix<'a, T> {
    match problem.src_layout {
        Layout::Nchw => Matrix::new(image.data, problem.group_in(), problem.in_pixels(), image.channel),
        Layout::Nhwc => Matrix::new(image.data, problem.in_pixels(), problem.group_in(), image.pixel),
    }
}
