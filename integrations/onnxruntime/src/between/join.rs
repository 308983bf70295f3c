//! Concat of channels.

use super::operation::{Operation, Piecewise, Target, in_pieces};
use crate::host::{Failure, Node, Result, Tensor};
use crate::layer::PIECE;
use crate::session::Threads;

/// All channels of all inputs, one behind the other.
pub struct Join;

impl Join {
    /// None if something else than channels is joined.
    ///
    /// # Errors
    /// The host's.
    pub fn of(node: Node<'_>, rank: usize) -> Result<Option<Self>> {
        let axis = node.int(c"axis")?.unwrap_or_default();
        Ok([1, 1 - rank as i64].contains(&axis).then_some(Self))
    }
}

impl Operation for Join {
    fn sizes(&self, inputs: &[Tensor<'_>]) -> Result<Vec<usize>> {
        let mut sizes = inputs[0].sizes.clone();
        for Tensor { sizes: other, .. } in &inputs[1..] {
            let fits = other.len() == sizes.len() && other[2..] == sizes[2..] && other[0] == sizes[0];
            if !fits {
                return Err(Failure(format!("sizes {sizes:?} and {other:?} cannot be joined")));
            }
            sizes[1] += other[1];
        }
        Ok(sizes)
    }

    fn run(&self, inputs: &[Tensor<'_>], output: Target<'_>, threads: &Threads<'_>) -> Result<()> {
        let channels = output.sizes[1];
        let parts = inputs.iter().map(|input| Ok((input.elements::<f32>()?, input.sizes[1])));
        let joined = Joined { parts: parts.collect::<Result<_>>()?, channels };
        in_pieces(&joined, output.to, channels * PIECE, threads);
        Ok(())
    }
}

/// Pixels of joined channels: of each input its elements and channels.
struct Joined<'a> {
    parts: Vec<(&'a [f32], usize)>,
    channels: usize,
}

impl Piecewise for Joined<'_> {
    #[inline(always)]
    fn piece(&self, index: usize, to: &mut [f32]) {
        for (pixel, to) in (index * PIECE..).zip(to.chunks_exact_mut(self.channels)) {
            let mut left = to;
            for &(part, width) in &self.parts {
                let (own, behind) = left.split_at_mut(width);
                own.copy_from_slice(&part[pixel * width..][..width]);
                left = behind;
            }
        }
    }
}
