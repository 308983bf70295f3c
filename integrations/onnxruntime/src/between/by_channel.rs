//! Arithmetic that is the same for all pixels of a channel: BatchNormalization, constants, PRelu, and bounds behind them.

use super::operation::{Image, Operation, Piecewise, Target, in_pieces};
use crate::fuse::{Channeled, Line, bounds};
use crate::host::{Failure, Graph, Listed, Node, Result, Shape, Size, Tensor, Value};
use crate::layer::PIECE;
use crate::number::Number;
use crate::session::Threads;

/// Each channel's value times its factor, plus its shift, by one line behind the other; clamped, or times its slope where it
/// is negative.
pub struct ByChannel {
    /// One at least. They are not multiplied into each other: of constants alone, products and sums may overflow or lose
    /// digits where those of values do not.
    lines: Vec<Singles>,
    clamp: Option<[f32; 2]>,
    slopes: Option<Vec<f32>>,
}

/// A line in float32.
struct Singles {
    factors: Vec<f32>,
    shifts: Vec<f32>,
}

/// Nodes of a graph that do something by channel.
pub struct ByChannelFound<'a> {
    pub by_channel: ByChannel,
    pub nodes: Vec<Node<'a>>,
    /// The output of the last node.
    pub dst: Value<'a>,
}

/// The arithmetic by channel of a node, whose output is `dst`, with a value of this shape, and of the nodes behind it; none
/// if it is no such node.
///
/// # Errors
/// The host's.
pub fn of<'a>(
    node: Node<'a>,
    src: Value<'a>,
    shape: &Shape,
    dst: Value<'a>,
    graph: &Graph<'a>,
) -> Result<Option<ByChannelFound<'a>>> {
    let Some(by_channel) = ByChannel::of(node, src, shape)? else { return Ok(None) };
    let mut found = ByChannelFound { by_channel, nodes: vec![node], dst };
    while found.take_next(graph)? {}
    Ok(Some(found))
}

impl<'a> ByChannelFound<'a> {
    /// Adds the only reader of the output, if it is something by channel, too; whether it is.
    fn take_next(&mut self, graph: &Graph<'a>) -> Result<bool> {
        let Some(next) = graph.only_reader(self.dst)? else { return Ok(false) };
        let (own, inputs) = (&mut self.by_channel, next.inputs()?);
        let (Some(Some(first)), Some(dst)) = (inputs.first(), next.only_output()?) else { return Ok(false) };
        if own.clamp.is_some() || own.slopes.is_some() || first.name()? != self.dst.name()? {
            return Ok(false);
        }
        let Some(shape) = self.dst.shape()? else { return Ok(false) };
        match next.operator()?.as_str() {
            "Relu" | "Clip" => match bounds(next)? {
                Some(bounds) => own.clamp = Some(bounds.map(|bound| bound as f32)),
                None => return Ok(false),
            },
            _ => match ByChannel::of(next, self.dst, &shape)? {
                Some(behind) if behind.channels() == own.channels() => own.then(behind),
                _ => return Ok(false),
            },
        }
        self.nodes.push(next);
        self.dst = dst;
        Ok(true)
    }
}

impl ByChannel {
    /// The arithmetic of a node of constants with a value of this shape; none if it is not by channel.
    fn of(node: Node<'_>, value: Value<'_>, shape: &Shape) -> Result<Option<Self>> {
        let Some(&Size::Known(channels)) = shape.sizes.get(1) else { return Ok(None) };
        let values = Channeled { element: f32::ELEMENT, channels, spatial: shape.sizes.len() - 2 };
        if let Some(lines) = Line::of(node, value, values)? {
            let mut line = Line::none(channels);
            lines.iter().for_each(|behind| line.then(behind));
            let line = Singles::of(&line);
            return Ok(line.map(|line| Self { lines: vec![line], clamp: None, slopes: None }));
        }
        let slopes = match (node.operator()?.as_str(), node.inputs()?.as_slice()) {
            ("PRelu", &[_, Some(slopes)]) => slopes.constant()?,
            _ => None,
        };
        let Some(slopes) = slopes.filter(|slopes| values.is_by_channel(slopes)) else { return Ok(None) };
        let lines = Singles::of(&Line::none(channels)).into_iter().collect();
        Ok(Some(Self { lines, clamp: None, slopes: Some(slopes.elements()?.to_vec()) }))
    }

    fn channels(&self) -> usize {
        self.lines[0].factors.len()
    }

    /// Does the other one behind this one, which ends with its shift.
    fn then(&mut self, behind: Self) {
        for line in behind.lines {
            match self.lines.last_mut() {
                // A factor and a shift behind it are one line: the same is done.
                Some(own) if own.has_no_shift() && line.has_no_factor() => own.shifts = line.shifts,
                _ => self.lines.push(line),
            }
        }
        (self.clamp, self.slopes) = (behind.clamp, behind.slopes);
    }
}

impl Singles {
    /// None if a number is too large, or is none.
    fn of(line: &Line) -> Option<Self> {
        let [factors, shifts] = [&line.factors, &line.shifts]
            .map(|numbers| numbers.iter().map(|&number| number as f32).collect::<Vec<_>>());
        let are_finite = factors.iter().chain(&shifts).all(|number| number.is_finite());
        are_finite.then_some(Self { factors, shifts })
    }

    fn has_no_factor(&self) -> bool {
        self.factors.iter().all(|&factor| factor == 1.0)
    }

    fn has_no_shift(&self) -> bool {
        self.shifts.iter().all(|&shift| shift == 0.0)
    }
}

impl Operation for ByChannel {
    fn sizes(&self, inputs: &[Tensor<'_>]) -> Result<Vec<usize>> {
        let channels = Image::of(&inputs[0])?.channels;
        if self.channels() != channels {
            return Err(Failure(format!("{} factors do not fit {channels} channels", self.channels())));
        }
        Ok(inputs[0].sizes.clone())
    }

    fn run(&self, inputs: &[Tensor<'_>], output: Target<'_>, threads: &Threads<'_>) -> Result<()> {
        let pixels = Pixels { of: self, from: inputs[0].elements()? };
        in_pieces(&pixels, output.to, self.channels() * PIECE, threads);
        Ok(())
    }

    fn keeps_shape(&self) -> bool {
        true
    }
}

/// Pixels, of which the same is done to each.
struct Pixels<'a> {
    of: &'a ByChannel,
    from: &'a [f32],
}

impl Piecewise for Pixels<'_> {
    #[inline(always)]
    fn piece(&self, index: usize, to: &mut [f32]) {
        let ByChannel { lines, clamp, slopes } = self.of;
        let Some((Singles { factors, shifts }, more)) = lines.split_first() else { return };
        let channels = factors.len();
        let from = self.from[index * PIECE * channels..].chunks_exact(channels);
        for (from, to) in from.zip(to.chunks_exact_mut(channels)) {
            for ((x, to), (factor, shift)) in from.iter().zip(&mut *to).zip(factors.iter().zip(shifts)) {
                *to = x * factor + shift;
            }
            for Singles { factors, shifts } in more {
                for (to, (factor, shift)) in to.iter_mut().zip(factors.iter().zip(shifts)) {
                    *to = *to * factor + shift;
                }
            }
            if let &Some([min, max]) = clamp {
                for to in &mut *to {
                    let y = if *to < min { min } else { *to };
                    *to = if y > max { max } else { y };
                }
            }
            if let Some(slopes) = slopes {
                for (to, slope) in to.iter_mut().zip(slopes) {
                    *to = to.steepened(*slope);
                }
            }
        }
    }
}
