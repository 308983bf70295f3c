//! [`Image`]: the channels of one group of one input image, wherever they lie.

use std::ops::Range;

use crate::matrix::Matrix;
use crate::number::Number;
use crate::problem::{Layout, Problem};

/// One group of one image: C/groups × planes × H × W elements, addressed as `data[c·channel + z·plane + y·row + x·pixel]`.
#[derive(Debug, Clone, Copy)]
pub struct Image<'a, T = f32> {
    /// The elements from the group's first one on.
    pub data: &'a [T],
    /// Elements from one channel to the next.
    pub channel: usize,
    /// Elements from one plane of a volume to the next.
    pub plane: usize,
    /// Elements from one row to the next.
    pub row: usize,
    /// Elements from one pixel of a row to the next.
    pub pixel: usize,
}

impl<'a, T: Number> Image<'a, T> {
    /// The first of these groups in an image of a whole src tensor; the others lie behind it.
    pub fn new(problem: &Problem, src: &'a [T], image: usize, groups: &Range<usize>) -> Self {
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
        Self { data, channel, plane: problem.rows.input * row, row, pixel }
    }

    /// Elements from one plane, row and column to the next.
    pub fn steps(&self) -> [usize; 3] {
        [self.plane, self.row, self.pixel]
    }

    /// The elements from `[channel, y, x]` of the first plane on.
    pub fn at(&self, channel: usize, y: usize, x: usize) -> &'a [T] {
        &self.data[channel * self.channel + y * self.row + x * self.pixel..]
    }

    /// The planes from this one on.
    pub fn planes_from(&self, plane: usize) -> Self {
        Self { data: &self.data[plane * self.plane..], ..*self }
    }

    /// The channels from this one on.
    pub fn channels_from(&self, channel: usize) -> Self {
        Self { data: &self.data[channel * self.channel..], ..*self }
    }

    /// The group as the matrix it is in memory: C/groups × H·W of NCHW, H·W × C/groups of NHWC.
    pub fn matrix(&self, problem: &Problem) -> Matrix<'a, T> {
        match problem.src_layout {
            Layout::Nchw => Matrix::new(self.data, problem.group_in(), problem.in_pixels(), self.channel),
            Layout::Nhwc => Matrix::new(self.data, problem.in_pixels(), problem.group_in(), self.pixel),
        }
    }
}
