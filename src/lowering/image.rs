//! [`Image`]: the channels of one group of one input image, wherever they lie.

use std::ops::Range;

use crate::matrix::Matrix;
use crate::problem::{Layout, Problem};

/// One group of one image: C/groups × H × W elements, addressed as `data[c·channel + y·row + x·pixel]`.
#[derive(Debug, Clone, Copy)]
pub struct Image<'a> {
    /// The elements from the group's first one on.
    pub data: &'a [f32],
    /// Elements from one channel to the next.
    pub channel: usize,
    /// Elements from one row to the next.
    pub row: usize,
    /// Elements from one pixel of a row to the next.
    pub pixel: usize,
}

impl<'a> Image<'a> {
    /// The first of these groups in the first of these images of a whole src tensor; what else they hold lies behind it.
    pub fn new(problem: &Problem, src: &'a [f32], images: Range<usize>, groups: Range<usize>) -> Self {
        let image_len = problem.in_channels * problem.in_pixels();
        let src = &src[images.start * image_len..images.end * image_len];
        let first_channel = groups.start * problem.group_in();
        match problem.src_layout {
            Layout::Nchw => {
                let src = &src[first_channel * problem.in_pixels()..];
                let of_groups = groups.len() * problem.group_in() * problem.in_pixels();
                Self {
                    data: if images.len() == 1 { &src[..of_groups] } else { src },
                    channel: problem.in_pixels(),
                    row: problem.cols.input,
                    pixel: 1,
                }
            }
            Layout::Nhwc => Self {
                data: &src[first_channel..],
                channel: 1,
                row: problem.cols.input * problem.in_channels,
                pixel: problem.in_channels,
            },
        }
    }

    /// The elements from `[channel, y, x]` on.
    pub fn at(&self, channel: usize, y: usize, x: usize) -> &'a [f32] {
        &self.data[channel * self.channel + y * self.row + x * self.pixel..]
    }

    /// The channels from this one on.
    pub fn channels_from(&self, channel: usize) -> Self {
        Self { data: &self.data[channel * self.channel..], ..*self }
    }

    /// The group as the matrix it is in memory: C/groups × H·W of NCHW, H·W × C/groups of NHWC.
    pub fn matrix(&self, problem: &Problem) -> Matrix<'a> {
        match problem.src_layout {
            Layout::Nchw => {
                Matrix::new(self.data, problem.group_in(), problem.in_pixels(), problem.in_pixels())
            }
            Layout::Nhwc => {
                Matrix::new(self.data, problem.in_pixels(), problem.group_in(), problem.in_channels)
            }
        }
    }
}
