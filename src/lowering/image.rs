//! The channels of one group of an input image, in any layout.

use std::ops::Range;

use convlow_kernels::image::Image;
use convlow_kernels::matrix::Matrix;
use convlow_kernels::number::Number;
use convlow_kernels::view::View;

use crate::problem::{Layout, Problem};

/// The images of a tensor that all threads of an execute read.
#[cfg(feature = "training")]
#[derive(Clone, Copy)]
pub struct Images<'a, T> {
    /// A problem whose src it is.
    problem: &'a Problem,
    first: *const T,
}

// SAFETY: nobody writes what is read through it, as `new` is promised.
#[cfg(feature = "training")]
unsafe impl<T: Sync> Sync for Images<'_, T> {}
// SAFETY: as above.
#[cfg(feature = "training")]
unsafe impl<T: Sync> Send for Images<'_, T> {}

#[cfg(feature = "training")]
impl<'a, T: Number> Images<'a, T> {
    /// Those of a whole src tensor.
    ///
    /// # Safety
    /// As [`image_of`], for all images.
    pub unsafe fn new(problem: &'a Problem, first: *const T) -> Self {
        Self { problem, first }
    }

    /// The problem whose src it is.
    pub fn problem(&self) -> &'a Problem {
        self.problem
    }

    /// All elements from the first one of a channel on, of a tensor that is no slice.
    ///
    /// # Panics
    /// If it is one.
    pub fn all_from(&self, channel: usize) -> &'a [T] {
        assert!(!self.problem.src_is_slice(), "other elements lie between");
        // SAFETY: `new` was promised them, and no others lie between them.
        let all = unsafe { std::slice::from_raw_parts(self.first, self.problem.src_len()) };
        let step = if self.problem.src_layout == Layout::Nhwc { 1 } else { self.problem.in_pixels() };
        all.get(channel * step..).unwrap_or_default()
    }

    /// The first of these groups in an image; the others lie behind it.
    pub fn image(&self, image: usize, groups: &Range<usize>) -> Image<'a, T> {
        // SAFETY: `new` was promised it.
        unsafe { image_of(self.problem, self.first, image, groups) }
    }
}

/// The first of these groups in an image of a whole src tensor; the others lie behind it.
///
/// # Safety
/// `src` points to the problem's src, whose elements nobody writes during `'a`. Others may write what lies between
/// them, where it is a slice of a wider tensor.
pub unsafe fn image_of<'a, T: Number>(
    problem: &Problem,
    src: *const T,
    image: usize,
    groups: &Range<usize>,
) -> Image<'a, T> {
    let ([between, _], [image_step, _]) = (problem.channel_strides(), problem.batch_strides());
    let (first_channel, channels) = (groups.start * problem.group_in(), groups.len() * problem.group_in());
    let pixels = problem.in_pixels();
    let (pixel, channel, dense, begin, len) = match problem.src_layout {
        Layout::Nchw => (1, between, pixels, 0, (channels - 1) * between + pixels),
        Layout::Nhwc => {
            let dense = problem.in_channels;
            (between, 1, dense, first_channel, (pixels - 1) * between + dense - first_channel)
        }
    };
    let turns = if between == dense { [usize::MAX; 2] } else { [between, dense] };
    // SAFETY: the image begins there, and of each step of its slice the dense elements are src's, as the problem's strides say.
    let data = unsafe {
        let first = src.add(image * image_step + first_channel * channel);
        View::in_turns(first, len, begin, turns)
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
