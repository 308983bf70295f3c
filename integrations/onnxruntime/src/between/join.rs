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

    /// The sizes of joined tensors of these.
    ///
    /// # Errors
    /// If they differ in more than channels.
    pub fn sizes(parts: &[Vec<usize>]) -> Result<Vec<usize>> {
        let mut sizes = parts[0].clone();
        for other in &parts[1..] {
            let fits = other.len() == sizes.len() && other[2..] == sizes[2..] && other[0] == sizes[0];
            if !fits {
                return Err(Failure(format!("sizes {sizes:?} and {other:?} cannot be joined")));
            }
            sizes[1] += other[1];
        }
        Ok(sizes)
    }

    /// Copies tensors to channels of a joined one: of each the first channel there, its elements, and how many channels it
    /// has.
    pub fn copy(parts: Vec<(usize, &[f32], usize)>, channels: usize, to: &mut [f32], threads: &Threads<'_>) {
        if !parts.is_empty() {
            in_pieces(&Pixels { parts, channels }, to, channels * PIECE, threads);
        }
    }
}

impl Operation for Join {
    fn sizes(&self, inputs: &[Tensor<'_>]) -> Result<Vec<usize>> {
        Self::sizes(&inputs.iter().map(|input| input.sizes.clone()).collect::<Vec<_>>())
    }

    fn run(&self, inputs: &[Tensor<'_>], output: Target<'_>, threads: &Threads<'_>) -> Result<()> {
        let (mut first, mut parts) = (0, Vec::new());
        for input in inputs {
            parts.push((first, input.elements::<f32>()?, input.sizes[1]));
            first += input.sizes[1];
        }
        Self::copy(parts, output.sizes[1], output.to, threads);
        Ok(())
    }

    fn is_join(&self) -> bool {
        true
    }
}

/// Pixels of a joined tensor of so many channels.
struct Pixels<'a> {
    parts: Vec<(usize, &'a [f32], usize)>,
    channels: usize,
}

impl Piecewise for Pixels<'_> {
    #[inline(always)]
    fn piece(&self, index: usize, to: &mut [f32]) {
        for (pixel, to) in (index * PIECE..).zip(to.chunks_exact_mut(self.channels)) {
            for &(first, part, width) in &self.parts {
                to[first..][..width].copy_from_slice(&part[pixel * width..][..width]);
            }
        }
    }
}
