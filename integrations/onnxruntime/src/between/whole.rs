//! GlobalAveragePool, GlobalMaxPool, and ReduceMean over pixels.

use std::collections::BTreeSet;

use super::merge::Merge;
use super::operation::{Image, Operation, Piecewise, Target, in_pieces};
use crate::host::{Failure, Node, Result, Tensor, Value};
use crate::session::Threads;

/// The greatest or the mean of all pixels.
pub struct Whole {
    merge: Merge,
}

impl Whole {
    /// None for a ReduceMean of something else than all pixels of each channel, or that drops their axes.
    ///
    /// # Errors
    /// The host's.
    pub fn of(node: Node<'_>, inputs: &[Value<'_>], rank: usize) -> Result<Option<Self>> {
        Ok(match node.operator()?.as_str() {
            "GlobalMaxPool" => Some(Self { merge: Merge::Greatest }),
            "ReduceMean" if !reduces_pixels(node, inputs, rank)? => None,
            _ => Some(Self { merge: Merge::Sum }),
        })
    }
}

/// Whether a ReduceMean is over all pixels of each channel and keeps their axes.
fn reduces_pixels(node: Node<'_>, inputs: &[Value<'_>], rank: usize) -> Result<bool> {
    let axes = match inputs.get(1) {
        None => node.ints(c"axes")?,
        Some(axes) => axes.constant()?.map(|axes| axes.elements::<i64>().map(<[i64]>::to_vec)).transpose()?,
    };
    let from_front = |axis: i64| if axis < 0 { axis + rank as i64 } else { axis };
    let axes: BTreeSet<i64> = axes.unwrap_or_default().into_iter().map(from_front).collect();
    Ok(node.int(c"keepdims")?.unwrap_or(1) != 0 && axes == (2..rank as i64).collect())
}

impl Operation for Whole {
    fn sizes(&self, inputs: &[Tensor<'_>]) -> Result<Vec<usize>> {
        let mut sizes = inputs[0].sizes.clone();
        let rank = sizes.len();
        sizes[2.min(rank)..].fill(1);
        Ok(sizes)
    }

    fn run(&self, inputs: &[Tensor<'_>], output: Target<'_>, threads: &Threads<'_>) -> Result<()> {
        let image = Image::of(&inputs[0])?;
        if image.pixels() == 0 {
            return Err(Failure("there is no pixel".to_string()));
        }
        let images = Images { from: inputs[0].elements()?, pixels: image.pixels(), merge: self.merge };
        in_pieces(&images, output.to, image.channels, threads);
        Ok(())
    }
}

/// The output of an image each.
struct Images<'a> {
    from: &'a [f32],
    pixels: usize,
    merge: Merge,
}

impl Piecewise for Images<'_> {
    #[inline(always)]
    fn piece(&self, image: usize, to: &mut [f32]) {
        let len = to.len() * self.pixels;
        let from = &self.from[image * len..][..len];
        let pixels: Vec<usize> = (0..len).step_by(to.len()).collect();
        to.fill(self.merge.none());
        self.merge.pixels(to, from, &pixels);
        if self.merge == Merge::Sum {
            to.iter_mut().for_each(|to| *to /= pixels.len() as f32);
        }
    }
}
