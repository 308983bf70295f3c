//! Channel shuffles: a Reshape, a Transpose and a Reshape.

use super::operation::{Image, Operation, Piecewise, Target, in_pieces};
use crate::host::{Failure, Graph, Node, Result, Shape, Size, Tensor, Value};
use crate::layer::PIECE;
use crate::session::Threads;

/// The channels of all groups, by turns.
pub struct Shuffle {
    groups: usize,
}

/// A shuffle of a graph.
pub struct ShuffleFound<'a> {
    pub shuffle: Shuffle,
    pub nodes: Vec<Node<'a>>,
    /// The output of the last node.
    pub dst: Value<'a>,
}

/// The shuffle that begins with a Reshape to `split` of a value of this shape; none if it is something else.
///
/// # Errors
/// The host's.
pub fn of<'a>(
    node: Node<'a>,
    split: Value<'a>,
    shape: &Shape,
    graph: &Graph<'a>,
) -> Result<Option<ShuffleFound<'a>>> {
    let (mut nodes, mut dst) = (vec![node], split);
    let Some(split) = split.shape()?.filter(|split| split.sizes.len() == shape.sizes.len() + 1) else {
        return Ok(None);
    };
    for operator in ["Transpose", "Reshape"] {
        let Some(next) = graph.only_reader(dst)? else { return Ok(None) };
        let Some(to) = next.only_output()? else { return Ok(None) };
        if next.operator()? != operator {
            return Ok(None);
        }
        nodes.push(next);
        dst = to;
    }
    let mut exchanged: Vec<i64> = (0..split.sizes.len() as i64).collect();
    exchanged.swap(1, 2);
    let (Size::Known(channels), [_, Size::Known(groups), Size::Known(of_group), pixels @ ..]) =
        (&shape.sizes[1], split.sizes.as_slice())
    else {
        return Ok(None);
    };
    let is_shuffle = groups * of_group == *channels
        && *pixels == shape.sizes[2..]
        && split.sizes[0] == shape.sizes[0]
        && nodes[1].ints(c"perm")? == Some(exchanged)
        && dst.shape()?.is_some_and(|joined| joined.are_same(shape));
    Ok(is_shuffle.then_some(ShuffleFound { shuffle: Shuffle { groups: *groups }, nodes, dst }))
}

impl Operation for Shuffle {
    fn sizes(&self, inputs: &[Tensor<'_>]) -> Result<Vec<usize>> {
        let channels = Image::of(&inputs[0])?.channels;
        if !channels.is_multiple_of(self.groups) {
            return Err(Failure(format!("{channels} channels are not {} groups", self.groups)));
        }
        Ok(inputs[0].sizes.clone())
    }

    fn run(&self, inputs: &[Tensor<'_>], output: Target<'_>, threads: &Threads<'_>) -> Result<()> {
        let channels = Image::of(&inputs[0])?.channels;
        let shuffled = Shuffled { from: inputs[0].elements()?, channels, groups: self.groups };
        in_pieces(&shuffled, output.to, channels * PIECE, threads);
        Ok(())
    }

    fn keeps_shape(&self) -> bool {
        true
    }
}

/// Pixels of shuffled channels.
struct Shuffled<'a> {
    from: &'a [f32],
    channels: usize,
    groups: usize,
}

impl Piecewise for Shuffled<'_> {
    #[inline(always)]
    fn piece(&self, index: usize, to: &mut [f32]) {
        let Self { from, channels, groups } = *self;
        let from = from[index * PIECE * channels..].chunks_exact(channels);
        for (to, from) in to.chunks_exact_mut(channels).zip(from) {
            match groups {
                2 => take_turns::<2>(from, to),
                3 => take_turns::<3>(from, to),
                4 => take_turns::<4>(from, to),
                8 => take_turns::<8>(from, to),
                _ => {
                    for (group, from) in from.chunks_exact(channels / groups).enumerate() {
                        for (to, &from) in to[group..].iter_mut().step_by(groups).zip(from) {
                            *to = from;
                        }
                    }
                }
            }
        }
    }
}

/// Writes the channels of all groups by turns, the number of groups being known.
#[inline(always)]
fn take_turns<const GROUPS: usize>(from: &[f32], to: &mut [f32]) {
    let (turns, _) = to.as_chunks_mut::<GROUPS>();
    let of_group = turns.len();
    let groups: [&[f32]; GROUPS] = std::array::from_fn(|group| &from[group * of_group..][..of_group]);
    for (at, turn) in turns.iter_mut().enumerate() {
        for (to, group) in turn.iter_mut().zip(groups) {
            *to = group[at];
        }
    }
}
