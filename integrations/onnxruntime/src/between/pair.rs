//! Two tensors that are multiplied or added: the gates of squeeze-and-excite, and sums of shapes that are not known before.

use convlow::Layout;

use super::operation::{Image, Operation, Piecewise, Target, in_pieces, placed};
use crate::host::{Result, Shape, Size, Tensor, Value};
use crate::layer::PIECE;
use crate::moves::{broadcast, combine};
use crate::session::Threads;

/// The first input times the second, which is one value a channel and image.
pub struct Gate;

impl Gate {
    /// Whether a value is known to have one pixel and the channels of one of this shape, and may have as many images.
    ///
    /// # Errors
    /// The host's.
    pub fn is_one(shape: &Shape, gate: Value<'_>) -> Result<bool> {
        let Some(gate_shape) = gate.shape()? else { return Ok(false) };
        let (Some(own), [images, channels, pixels @ ..]) =
            (shape.sizes.get(..2), gate_shape.sizes.as_slice())
        else {
            return Ok(false);
        };
        let may_have_as_many = match (&own[0], images) {
            (Size::Known(own), Size::Known(images)) => own == images,
            _ => true,
        };
        Ok(gate_shape.element == shape.element
            && gate_shape.sizes.len() == shape.sizes.len()
            && pixels.iter().all(|size| *size == Size::Known(1))
            && matches!(channels, Size::Known(_))
            && *channels == own[1]
            && may_have_as_many)
    }
}

impl Operation for Gate {
    fn sizes(&self, inputs: &[Tensor<'_>]) -> Result<Vec<usize>> {
        broadcast(&inputs[0].sizes, &inputs[1].sizes)
    }

    fn run(&self, inputs: &[Tensor<'_>], output: Target<'_>, threads: &Threads<'_>) -> Result<()> {
        let Image { images, channels, .. } = Image::of(&inputs[0])?;
        let pixels = Image::of(&inputs[0])?.pixels();
        let gates = inputs[1].elements::<f32>()?;
        if gates.len() != images * channels || output.sizes != inputs[0].sizes {
            let both = [placed(&inputs[0])?, placed(&inputs[1])?];
            combine(both, output.to, output.sizes, Layout::Nhwc, |a, b| a * b);
            return Ok(());
        }
        let gated = Gated { from: inputs[0].elements()?, gates, channels, pixels };
        in_pieces(&gated, output.to, channels * PIECE, threads);
        Ok(())
    }

    fn keeps_shape(&self) -> bool {
        true
    }
}

/// Pixels times the gates of their image.
struct Gated<'a> {
    from: &'a [f32],
    gates: &'a [f32],
    channels: usize,
    pixels: usize,
}

impl Piecewise for Gated<'_> {
    #[inline(always)]
    fn piece(&self, index: usize, to: &mut [f32]) {
        let Self { from, gates, channels, pixels } = *self;
        let from = from[index * PIECE * channels..].chunks_exact(channels);
        for (at, (to, from)) in to.chunks_exact_mut(channels).zip(from).enumerate() {
            let image = (index * PIECE + at) / pixels;
            let gates = &gates[image * channels..][..channels];
            for ((to, from), gate) in to.iter_mut().zip(from).zip(gates) {
                *to = from * gate;
            }
        }
    }
}

/// The sum of two inputs whose shapes are not known to be the same.
pub struct Sum;

impl Sum {
    /// Whether two inputs may be of one shape as far as is known, and are not known to be.
    ///
    /// # Errors
    /// The host's.
    pub fn is_one(shape: &Shape, second: Value<'_>, sum: Value<'_>) -> Result<bool> {
        let (Some(second), Some(sum)) = (second.shape()?, sum.shape()?) else { return Ok(false) };
        Ok(shape.may_be(&second) && !shape.are_same(&second) && sum.sizes.len() == shape.sizes.len())
    }
}

impl Operation for Sum {
    fn sizes(&self, inputs: &[Tensor<'_>]) -> Result<Vec<usize>> {
        broadcast(&inputs[0].sizes, &inputs[1].sizes)
    }

    fn run(&self, inputs: &[Tensor<'_>], output: Target<'_>, threads: &Threads<'_>) -> Result<()> {
        if inputs[0].sizes != inputs[1].sizes {
            let both = [placed(&inputs[0])?, placed(&inputs[1])?];
            combine(both, output.to, output.sizes, Layout::Nhwc, |a, b| a + b);
            return Ok(());
        }
        let piece = Image::of(&inputs[0])?.channels * PIECE;
        let summed = Summed { from: inputs[0].elements()?, other: inputs[1].elements()?, piece };
        in_pieces(&summed, output.to, piece, threads);
        Ok(())
    }
}

/// Sums of two tensors of one shape.
struct Summed<'a> {
    from: &'a [f32],
    other: &'a [f32],
    /// Elements of a piece.
    piece: usize,
}

impl Piecewise for Summed<'_> {
    #[inline(always)]
    fn piece(&self, index: usize, to: &mut [f32]) {
        let first = index * self.piece;
        let both = self.from[first..].iter().zip(&self.other[first..]);
        to.iter_mut().zip(both).for_each(|(to, (a, b))| *to = a + b);
    }
}
