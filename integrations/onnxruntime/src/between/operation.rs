//! Operations between convolutions, and the pieces of their output.

use convlow::Layout;
use pulp::{Simd, WithSimd};

use crate::host::{Failure, Result, Tensor};
use crate::moves::Placed;
use crate::session::Threads;

/// An operation between convolutions, of float32 tensors that lie channels last.
pub trait Operation: Send + Sync {
    /// The sizes of the output.
    ///
    /// # Errors
    /// If the inputs do not fit.
    fn sizes(&self, inputs: &[Tensor<'_>]) -> Result<Vec<usize>>;

    /// Computes the output, which has elements.
    ///
    /// # Errors
    /// If the inputs do not fit.
    fn run(&self, inputs: &[Tensor<'_>], output: Target<'_>, threads: &Threads<'_>) -> Result<()>;

    /// Whether the output is of the first input's shape, whatever that is.
    fn keeps_shape(&self) -> bool {
        false
    }

    /// Whether it joins channels.
    fn is_join(&self) -> bool {
        false
    }
}

/// The output of an operation.
pub struct Target<'a> {
    pub to: &'a mut [f32],
    pub sizes: &'a [usize],
}

/// An output whose pieces are computed each by itself.
pub trait Piecewise: Sync {
    /// Computes the piece of this number. To be inlined, so that it is compiled for the vectors that are there.
    fn piece(&self, index: usize, to: &mut [f32]);
}

/// Computes pieces of so many elements, the last one perhaps of fewer.
pub fn in_pieces(work: &impl Piecewise, to: &mut [f32], len: usize, threads: &Threads<'_>) {
    let vectors = pulp::Arch::new();
    threads.for_each_piece(to, len, |index, to| vectors.dispatch(Piece { work, index, to }));
}

/// A piece of the output. A closure would not be compiled for the vectors that are there.
struct Piece<'a, W> {
    work: &'a W,
    index: usize,
    to: &'a mut [f32],
}

impl<W: Piecewise> WithSimd for Piece<'_, W> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        self.work.piece(self.index, self.to);
    }
}

/// An image's sizes.
pub struct Image<'a> {
    pub images: usize,
    pub channels: usize,
    pub spatial: &'a [usize],
}

impl<'a> Image<'a> {
    /// # Errors
    /// If there are no channels.
    pub fn of(tensor: &'a Tensor<'_>) -> Result<Self> {
        match tensor.sizes.as_slice() {
            [images, channels, spatial @ ..] => Ok(Self { images: *images, channels: *channels, spatial }),
            sizes => Err(Failure(format!("an input of {} dimensions has no channels", sizes.len()))),
        }
    }

    pub fn pixels(&self) -> usize {
        self.spatial.iter().product()
    }
}

/// A tensor as it lies.
pub fn placed<'a>(tensor: &'a Tensor<'_>) -> Result<Placed<'a, f32>> {
    Ok(Placed { elements: tensor.elements()?, sizes: &tensor.sizes, layout: Layout::Nhwc })
}
