//! Operators that stand between convolutions and are computed where values lie channels last: pooling, concatenation, and what
//! does the same to all pixels of a channel.
//!
//! ONNX Runtime would compute them channels first, and the convolutions before and behind would have to move their pixels
//! apart and together again. They are claimed where that is spared, and nowhere else.

use std::collections::BTreeSet;
use std::sync::Arc;

use convlow::{Axis, EachTile, Layout};

use crate::chain::bounds;
use crate::geometry::Geometry;
use crate::host::{Call, Failure, Graph, Listed, Node, Number, Result, Shape, Size, Tensor, Value};
use crate::layer::{Layer, PIECE};
use crate::layouts::Claim;
use crate::line::{Line, is_by_channel};
use crate::moves::{Placed, broadcast, combine};
use crate::session::Session;

/// Nodes that are computed as one, of float32 tensors that lie channels last.
pub struct Between<'a> {
    pub nodes: Vec<Node<'a>>,
    pub reads: Vec<Value<'a>>,
    pub dst: Value<'a>,
    rank: usize,
    kind: Kind,
}

/// What is computed.
#[derive(Debug, Clone)]
enum Kind {
    /// The greatest or the mean of each window.
    Window { geometry: Geometry, is_mean: bool, counts_padding: bool, rounds_up: bool },
    /// The greatest or the mean of all pixels.
    Whole { is_mean: bool },
    /// All channels of all inputs, one behind the other.
    Concat,
    /// The first input times the second, which is one value a channel and image.
    Gate,
    /// The sum of two inputs whose shapes are not known to be the same.
    Sum,
    /// The channels of all groups, by turns: a Reshape, a Transpose and a Reshape.
    Shuffle { groups: usize },
    /// Each pixel so many times along each axis.
    Repeat { times: Vec<usize> },
    /// Something by channel.
    ByChannel(ByChannel),
}

/// Each channel's value times its factor, plus its shift; clamped, or times its slope where it is negative.
#[derive(Debug, Clone)]
struct ByChannel {
    factor: Vec<f32>,
    shift: Vec<f32>,
    clamp: Option<[f32; 2]>,
    slope: Option<Vec<f32>>,
}

impl<'a> Between<'a> {
    /// What begins with a node of a graph, which nobody must have; none if it is nothing of this kind.
    ///
    /// # Errors
    /// The host's.
    pub fn of(node: Node<'a>, graph: &Graph<'a>) -> Result<Option<Self>> {
        let outputs: Vec<_> = node.outputs()?.into_iter().flatten().collect();
        let (inputs, &[dst]) = (node.inputs()?, outputs.as_slice()) else { return Ok(None) };
        if !graph.is_read(dst)? {
            return Ok(None);
        }
        let Some(Some(src)) = inputs.first().copied() else { return Ok(None) };
        let Some(shape) = src.shape()? else { return Ok(None) };
        let rank = shape.sizes.len();
        if shape.element != f32::ELEMENT || !(3..=5).contains(&rank) {
            return Ok(None);
        }
        let operator = node.operator()?;
        if ["Resize", "Upsample"].contains(&operator.as_str()) {
            let Some(times) = repeats(node, &inputs, rank)? else { return Ok(None) };
            return Ok(Some(Self {
                nodes: vec![node],
                reads: vec![src],
                dst,
                rank,
                kind: Kind::Repeat { times },
            }));
        }
        let inputs: Option<Vec<Value<'a>>> = inputs.into_iter().collect();
        let Some(inputs) = inputs else { return Ok(None) };
        let mut between = Self { nodes: vec![node], reads: vec![src], dst, rank, kind: Kind::Concat };
        between.kind = match operator.as_str() {
            "MaxPool" | "AveragePool" => match window(node, rank)? {
                Some(window) => window,
                None => return Ok(None),
            },
            "GlobalAveragePool" => Kind::Whole { is_mean: true },
            "GlobalMaxPool" => Kind::Whole { is_mean: false },
            "ReduceMean" if reduces_pixels(node, &inputs, rank)? => Kind::Whole { is_mean: true },
            "Concat" if [1, 1 - rank as i64].contains(&node.int(c"axis")?.unwrap_or_default()) => {
                between.reads = inputs;
                Kind::Concat
            }
            "Mul" if inputs.len() == 2 && is_gate(&shape, inputs[1])? => {
                between.reads = inputs;
                Kind::Gate
            }
            "Mul" if inputs.len() == 2 && is_other_gate(&inputs)? => {
                between.reads = vec![inputs[1], inputs[0]];
                Kind::Gate
            }
            "Add" if inputs.len() == 2 && are_sum(node, &shape, &inputs)? => {
                between.reads = inputs;
                Kind::Sum
            }
            "Reshape" => {
                let Some((nodes, dst, groups)) = shuffle(node, dst, &shape, graph)? else { return Ok(None) };
                (between.nodes, between.dst) = (nodes, dst);
                Kind::Shuffle { groups }
            }
            _ => match ByChannel::of(node, src, &shape)? {
                Some(by_channel) => {
                    between.kind = Kind::ByChannel(by_channel);
                    while between.take_next(graph)? {}
                    return Ok(Some(between));
                }
                None => return Ok(None),
            },
        };
        // The host keeps what is constant to itself.
        for value in &between.reads {
            if value.constant()?.is_some() {
                return Ok(None);
            }
        }
        Ok(Some(between))
    }

    /// Adds the only reader of the output, if it is something by channel, too; whether it is.
    fn take_next(&mut self, graph: &Graph<'a>) -> Result<bool> {
        let Some(next) = graph.only_reader(self.dst)? else { return Ok(false) };
        let Kind::ByChannel(own) = &mut self.kind else { return Ok(false) };
        let outputs: Vec<_> = next.outputs()?.into_iter().flatten().collect();
        let inputs = next.inputs()?;
        let (Some(Some(first)), &[dst]) = (inputs.first(), outputs.as_slice()) else { return Ok(false) };
        if own.clamp.is_some() || own.slope.is_some() || first.name()? != self.dst.name()? {
            return Ok(false);
        }
        let Some(shape) = self.dst.shape()? else { return Ok(false) };
        match next.operator()?.as_str() {
            "Relu" | "Clip" => match bounds(next)? {
                Some(bounds) => own.clamp = Some(bounds.map(|bound| bound as f32)),
                None => return Ok(false),
            },
            _ => match ByChannel::of(next, self.dst, &shape)? {
                Some(behind) if behind.factor.len() == own.factor.len() => own.then(behind),
                _ => return Ok(false),
            },
        }
        self.nodes.push(next);
        self.dst = dst;
        Ok(true)
    }

    /// What it does with values that may lie either way.
    pub fn claim(&self) -> Claim<'a> {
        let is_like = matches!(self.kind, Kind::Gate | Kind::Shuffle { .. } | Kind::ByChannel(_));
        Claim {
            reads: self.reads.clone(),
            writes: self.dst,
            rank: self.rank,
            is_like: is_like.then_some(self.reads[0]),
        }
    }

    /// Whether it is worth being claimed, these values lying channels last.
    ///
    /// # Errors
    /// The host's.
    pub fn is_worth(&self, channels_last: &BTreeSet<String>) -> Result<bool> {
        // Where there is one pixel, both are the same.
        let is_one_pixel = |value: Value<'_>| -> Result<bool> {
            let shape = value.shape()?;
            Ok(shape.is_some_and(|shape| {
                shape.sizes[2.min(shape.sizes.len())..].iter().all(|size| *size == Size::Known(1))
            }))
        };
        for &value in self.reads.iter().chain([&self.dst]) {
            if !channels_last.contains(&value.name()?) && !is_one_pixel(value)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// A MaxPool or AveragePool; none if the standard's versions disagree about it.
fn window(node: Node<'_>, rank: usize) -> Result<Option<Kind>> {
    let is_mean = node.operator()? == "AveragePool";
    let flag = |name| Ok::<_, Failure>(node.int(name)?.unwrap_or(0) != 0);
    let (counts_padding, rounds_up) = (flag(c"count_include_pad")?, flag(c"ceil_mode")?);
    let kernel = node.ints(c"kernel_shape")?.unwrap_or_default();
    let sizes: Vec<usize> =
        [1, 1].into_iter().chain(kernel.iter().filter_map(|&size| usize::try_from(size).ok())).collect();
    if sizes.len() != rank || is_mean && counts_padding && rounds_up {
        return Ok(None);
    }
    let geometry = Geometry::new(node, false, 1, &sizes)?;
    // What the automatic padding counts is told nowhere.
    if is_mean && counts_padding && !geometry.is_padded_explicitly() {
        return Ok(None);
    }
    Ok(Some(Kind::Window { geometry, is_mean, counts_padding, rounds_up }))
}

/// How often a Resize or Upsample repeats each pixel along each axis; none if it does something else.
fn repeats(node: Node<'_>, inputs: &[Option<Value<'_>>], rank: usize) -> Result<Option<Vec<usize>>> {
    let is_resize = node.operator()? == "Resize";
    let text =
        |name, otherwise: &str| Ok::<_, Failure>(node.string(name)?.unwrap_or_else(|| otherwise.to_string()));
    if text(c"mode", "nearest")? != "nearest" || node.ints(c"axes")?.is_some() {
        return Ok(None);
    }
    // Enlarged by whole numbers, what is nearest to the middle of a new pixel is the one that it is a part of; so it is where
    // the new pixel begins, rounded down.
    let is_part = match text(c"coordinate_transformation_mode", "half_pixel")?.as_str() {
        "half_pixel" => true,
        "asymmetric" => text(c"nearest_mode", "round_prefer_floor")? == "floor",
        _ => false,
    };
    // A Resize of the first version, and Upsample, have their scales as the second input.
    let scales = match (is_resize, inputs) {
        (true, [_, _, Some(scales)]) if is_part => scales,
        (false, [_, Some(scales)]) => scales,
        _ => return Ok(None),
    };
    let Some(scales) = scales.constant()?.filter(|scales| scales.element == f32::ELEMENT) else {
        return Ok(None);
    };
    let scales = scales.elements::<f32>()?;
    let are_whole = scales.iter().all(|&scale| (1.0..=64.0).contains(&scale) && scale.fract() == 0.0);
    if scales.len() != rank || !are_whole || scales[..2] != [1.0; 2] {
        return Ok(None);
    }
    Ok(Some(scales[2..].iter().map(|&scale| scale as usize).collect()))
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

/// The nodes that shuffle channels and begin with a Reshape, their output, and the groups that take turns; none if they do
/// something else.
fn shuffle<'a>(
    node: Node<'a>,
    mut dst: Value<'a>,
    shape: &Shape,
    graph: &Graph<'a>,
) -> Result<Option<(Vec<Node<'a>>, Value<'a>, usize)>> {
    let mut nodes = vec![node];
    let Some(split) = dst.shape()?.filter(|split| split.sizes.len() == shape.sizes.len() + 1) else {
        return Ok(None);
    };
    for operator in ["Transpose", "Reshape"] {
        let Some(next) = graph.only_reader(dst)? else { return Ok(None) };
        let outputs: Vec<_> = next.outputs()?.into_iter().flatten().collect();
        let &[to] = outputs.as_slice() else { return Ok(None) };
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
    Ok(is_shuffle.then_some((nodes, dst, *groups)))
}

/// Whether a value is known to have one pixel and the channels of one of this shape, and may have as many images.
fn is_gate(shape: &Shape, gate: Value<'_>) -> Result<bool> {
    let Some(gate_shape) = gate.shape()? else { return Ok(false) };
    let (Some(own), [images, channels, pixels @ ..]) = (shape.sizes.get(..2), gate_shape.sizes.as_slice())
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

/// Whether the first of two factors is one value a channel and image of the second.
fn is_other_gate(inputs: &[Value<'_>]) -> Result<bool> {
    match inputs[1].shape()? {
        Some(shape) => is_gate(&shape, inputs[0]),
        None => Ok(false),
    }
}

/// Whether two inputs may be of one shape as far as is known, and are not known to be.
fn are_sum(node: Node<'_>, shape: &Shape, inputs: &[Value<'_>]) -> Result<bool> {
    let (Some(second), Some(sum)) = (inputs[1].shape()?, node.outputs()?[0].map_or(Ok(None), Value::shape)?)
    else {
        return Ok(false);
    };
    Ok(shape.may_be(&second) && !shape.are_same(&second) && sum.sizes.len() == shape.sizes.len())
}

impl ByChannel {
    /// What a node of constants does to a value of this shape; none if that is something else.
    fn of(node: Node<'_>, value: Value<'_>, shape: &Shape) -> Result<Option<Self>> {
        let Some(&Size::Known(channels)) = shape.sizes.get(1) else { return Ok(None) };
        let spatial = shape.sizes.len() - 2;
        if let Some(line) = Line::of(node, value, channels, spatial, f32::ELEMENT)? {
            let [factor, shift] = [line.factors, line.shifts].map(singles);
            return Ok(Some(Self { factor, shift, clamp: None, slope: None }));
        }
        let slope = match (node.operator()?.as_str(), node.inputs()?.as_slice()) {
            ("PRelu", &[_, Some(slope)]) => slope.constant()?,
            _ => None,
        };
        let is_slope = |slope: &Tensor<'_>| {
            slope.element == f32::ELEMENT && is_by_channel(&slope.sizes, channels, spatial)
        };
        let Some(slope) = slope.filter(is_slope) else { return Ok(None) };
        Ok(Some(Self {
            factor: vec![1.0; channels],
            shift: vec![0.0; channels],
            clamp: None,
            slope: Some(slope.elements()?.to_vec()),
        }))
    }

    /// Does the other one behind this one, which ends with its shift.
    fn then(&mut self, behind: Self) {
        let of = |own: &Self| Line {
            factors: own.factor.iter().map(|&value| value.into()).collect(),
            shifts: own.shift.iter().map(|&value| value.into()).collect(),
        };
        let mut line = of(self);
        line.then(&of(&behind));
        [self.factor, self.shift] = [line.factors, line.shifts].map(singles);
        (self.clamp, self.slope) = (behind.clamp, behind.slope);
    }

    #[inline(always)]
    fn run(&self, from: &[f32], to: &mut [f32]) {
        let channels = self.factor.len();
        for (from, to) in from.chunks_exact(channels).zip(to.chunks_exact_mut(channels)) {
            for ((x, to), (factor, shift)) in
                from.iter().zip(&mut *to).zip(self.factor.iter().zip(&self.shift))
            {
                *to = x * factor + shift;
            }
            if let Some([min, max]) = self.clamp {
                for to in &mut *to {
                    let y = if *to < min { min } else { *to };
                    *to = if y > max { max } else { y };
                }
            }
            if let Some(slopes) = &self.slope {
                for (to, slope) in to.iter_mut().zip(slopes) {
                    *to = to.steepened(*slope);
                }
            }
        }
    }
}

/// Numbers as float32.
fn singles(numbers: Vec<f64>) -> Vec<f32> {
    numbers.into_iter().map(|number| number as f32).collect()
}

/// Something between convolutions, made ready.
pub struct Ready {
    session: Arc<Session>,
    kind: Kind,
    /// Where its inputs are among the fused node's.
    inputs: Vec<usize>,
}

impl Ready {
    pub fn new(between: &Between<'_>, inputs: Vec<usize>, session: &Arc<Session>) -> Self {
        Self { session: session.clone(), kind: between.kind.clone(), inputs }
    }
}

impl Layer for Ready {
    fn run(&self, call: Call<'_>) -> Result<()> {
        let inputs = self.inputs.iter().map(|&index| call.input(index)).collect::<Result<Vec<_>>>()?;
        let src = &inputs[0];
        let from = src.elements::<f32>()?;
        let [images, channels, spatial @ ..] = src.sizes.as_slice() else {
            return Err(Failure(format!("an input of {} dimensions has no channels", src.sizes.len())));
        };
        let (images, channels, pixels) = (*images, *channels, spatial.iter().product::<usize>());
        let mut sizes = src.sizes.clone();
        let mut axes = None;
        match &self.kind {
            Kind::Window { geometry, rounds_up, .. } => {
                let window = geometry.window(spatial, *rounds_up)?;
                let first = window.len() - spatial.len();
                sizes[2..].iter_mut().zip(&window[first..]).for_each(|(size, axis)| *size = axis.output);
                axes = Some(window);
            }
            Kind::Whole { .. } => sizes[2..].fill(1),
            Kind::Concat => {
                for other in &inputs[1..] {
                    if other.sizes.len() != sizes.len()
                        || other.sizes[2..] != sizes[2..]
                        || other.sizes[0] != sizes[0]
                    {
                        return Err(Failure(format!(
                            "sizes {sizes:?} and {:?} cannot be joined",
                            other.sizes
                        )));
                    }
                    sizes[1] += other.sizes[1];
                }
            }
            Kind::Sum | Kind::Gate => sizes = broadcast(&sizes, &inputs[1].sizes)?,
            Kind::Repeat { times } => {
                sizes[2..].iter_mut().zip(times).for_each(|(size, times)| *size *= times);
            }
            Kind::Shuffle { groups } => {
                if channels % groups != 0 {
                    return Err(Failure(format!("{channels} channels are not {groups} groups")));
                }
            }
            Kind::ByChannel(by_channel) => {
                if by_channel.factor.len() != channels {
                    return Err(Failure(format!(
                        "{} factors do not fit {channels} channels",
                        by_channel.factor.len()
                    )));
                }
            }
        }
        let to = call.output::<f32>(&sizes)?;
        if to.is_empty() {
            return Ok(());
        }
        let pool = self.session.pool_of(&call)?;
        let width = channels * PIECE;
        let placed =
            |elements, input: usize| Placed { elements, sizes: &inputs[input].sizes, layout: Layout::Nhwc };
        let (work, piece) = match &self.kind {
            Kind::Window { is_mean, counts_padding, .. } => {
                let axes = axes.ok_or_else(|| Failure("convlow has a defect: no window".to_string()))?;
                let piece = axes[2].output * channels;
                let window =
                    Window { from, axes, channels, is_mean: *is_mean, counts_padding: *counts_padding };
                (Work::Window(window), piece)
            }
            Kind::Whole { is_mean } if pixels > 0 => {
                (Work::Whole { from, pixels, is_mean: *is_mean }, channels)
            }
            Kind::Whole { .. } => return Err(Failure("there is no pixel".to_string())),
            Kind::Concat => {
                let parts = inputs.iter().map(|input| Ok((input.elements::<f32>()?, input.sizes[1])));
                (Work::Concat { parts: parts.collect::<Result<_>>()?, channels: sizes[1] }, sizes[1] * PIECE)
            }
            Kind::Gate => {
                let gates = inputs[1].elements::<f32>()?;
                if gates.len() != images * channels || sizes != src.sizes {
                    combine([placed(from, 0), placed(gates, 1)], to, &sizes, Layout::Nhwc, |a, b| a * b);
                    return Ok(());
                }
                (Work::Gate { from, gates, channels, pixels }, width)
            }
            Kind::Sum => {
                let other = inputs[1].elements::<f32>()?;
                if inputs[0].sizes != inputs[1].sizes {
                    combine([placed(from, 0), placed(other, 1)], to, &sizes, Layout::Nhwc, |a, b| a + b);
                    return Ok(());
                }
                (Work::Sum { from, other, width }, width)
            }
            Kind::Repeat { times } => {
                let width = spatial.last().copied().unwrap_or(1);
                (Work::Repeat { from, spatial, times, channels }, width * times[times.len() - 1] * channels)
            }
            Kind::Shuffle { groups } => (Work::Shuffle { from, channels, groups: *groups }, width),
            Kind::ByChannel(by_channel) => (Work::ByChannel { from, by_channel }, width),
        };
        let vectors = pulp::Arch::new();
        pool.for_each_piece(to, piece, |index, to| vectors.dispatch(Piece { work: &work, index, to }));
        Ok(())
    }
}

/// What is done with pieces of the output.
enum Work<'a> {
    Window(Window<'a>),
    Whole { from: &'a [f32], pixels: usize, is_mean: bool },
    Concat { parts: Vec<(&'a [f32], usize)>, channels: usize },
    Gate { from: &'a [f32], gates: &'a [f32], channels: usize, pixels: usize },
    Sum { from: &'a [f32], other: &'a [f32], width: usize },
    Repeat { from: &'a [f32], spatial: &'a [usize], times: &'a [usize], channels: usize },
    Shuffle { from: &'a [f32], channels: usize, groups: usize },
    ByChannel { from: &'a [f32], by_channel: &'a ByChannel },
}

/// A piece of the output. A closure would not be compiled for the vectors that are there.
struct Piece<'a> {
    work: &'a Work<'a>,
    index: usize,
    to: &'a mut [f32],
}

impl pulp::WithSimd for Piece<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        let Self { work, index, to } = self;
        match *work {
            Work::Window(ref window) => window.run(index, to),
            Work::Whole { from, pixels, is_mean } => {
                let image = to.len() * pixels;
                whole(&from[index * image..][..image], to, is_mean);
            }
            Work::Concat { ref parts, channels } => {
                let mut first = 0;
                for &(part, width) in parts {
                    if width > 0 {
                        let part = part[index * PIECE * width..].chunks_exact(width);
                        for (to, from) in to.chunks_exact_mut(channels).zip(part) {
                            to[first..first + width].copy_from_slice(from);
                        }
                    }
                    first += width;
                }
            }
            Work::Gate { from, gates, channels, pixels } => {
                let from = from[index * PIECE * channels..].chunks_exact(channels);
                for (at, (to, from)) in to.chunks_exact_mut(channels).zip(from).enumerate() {
                    let image = (index * PIECE + at) / pixels;
                    let gates = &gates[image * channels..][..channels];
                    for ((to, from), gate) in to.iter_mut().zip(from).zip(gates) {
                        *to = from * gate;
                    }
                }
            }
            Work::Sum { from, other, width } => {
                let both = from[index * width..].iter().zip(&other[index * width..]);
                to.iter_mut().zip(both).for_each(|(to, (a, b))| *to = a + b);
            }
            Work::Repeat { from, spatial, times, channels } => {
                // Of the line's place among the repeated ones, the place of the line that is repeated.
                let (mut rest, mut line, mut below) = (index, 0, 1);
                let outer = spatial.len() - 1;
                for (size, times) in spatial[..outer].iter().zip(times).rev() {
                    line += rest % (size * times) / times * below;
                    rest /= size * times;
                    below *= size;
                }
                let width = spatial[outer] * channels;
                let from = &from[(rest * below + line) * width..][..width];
                let repeated = to.chunks_exact_mut(channels * times[outer]);
                for (to, from) in repeated.zip(from.chunks_exact(channels)) {
                    to.chunks_exact_mut(channels).for_each(|to| to.copy_from_slice(from));
                }
            }
            Work::Shuffle { from, channels, groups } => {
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
            Work::ByChannel { from, by_channel } => {
                by_channel.run(&from[index * PIECE * by_channel.factor.len()..], to);
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

/// Windows over pixels that lie channels last.
struct Window<'a> {
    from: &'a [f32],
    axes: [Axis; 3],
    channels: usize,
    is_mean: bool,
    counts_padding: bool,
}

impl Window<'_> {
    /// Computes a line of outputs, counted over images, planes and rows.
    #[inline(always)]
    fn run(&self, line: usize, to: &mut [f32]) {
        let from = self.from;
        let [planes, rows, cols] = &self.axes;
        let (plane, row) = (line / rows.output % planes.output, line % rows.output);
        let image = line / rows.output / planes.output;
        let all_taps = planes.kernel * rows.kernel * cols.kernel;
        let mut lines = Vec::with_capacity(planes.kernel * rows.kernel);
        for plane_tap in planes.taps_of_output(plane) {
            for row_tap in rows.taps_of_output(row) {
                lines.push(
                    (image * planes.input + planes.input_of(plane, plane_tap)) * rows.input
                        + rows.input_of(row, row_tap),
                );
            }
        }
        let mut pixels = Vec::with_capacity(all_taps);
        for (col, to) in to.chunks_exact_mut(self.channels).enumerate() {
            let taps = cols.taps_of_output(col);
            let first = if taps.is_empty() { 0 } else { cols.input_of(col, taps.start) };
            pixels.clear();
            for line in &lines {
                let first = (line * cols.input + first) * self.channels;
                pixels.extend((0..taps.len()).map(|tap| first + tap * cols.dilation * self.channels));
            }
            if self.is_mean {
                merge::<true>(from, &pixels, to);
                let count = if self.counts_padding { all_taps } else { pixels.len() } as f32;
                to.iter_mut().for_each(|to| *to /= count);
            } else {
                merge::<false>(from, &pixels, to);
            }
        }
    }
}

/// The greatest or the mean of all pixels.
#[inline(always)]
fn whole(from: &[f32], to: &mut [f32], is_mean: bool) {
    let pixels: Vec<usize> = (0..from.len()).step_by(to.len()).collect();
    if is_mean {
        merge::<true>(from, &pixels, to);
        to.iter_mut().for_each(|to| *to /= pixels.len() as f32);
    } else {
        merge::<false>(from, &pixels, to);
    }
}

/// The sums or the greatest of the channels of pixels that begin at these places.
#[inline(always)]
fn merge<const IS_SUM: bool>(from: &[f32], pixels: &[usize], to: &mut [f32]) {
    let done = merge_blocks::<IS_SUM, 32>(from, pixels, to, 0);
    let done = merge_blocks::<IS_SUM, 8>(from, pixels, to, done);
    merge_blocks::<IS_SUM, 1>(from, pixels, to, done);
}

/// The same from one channel on, `WIDTH` of which are held in registers, as long as there are so many; where it ends.
#[inline(always)]
fn merge_blocks<const IS_SUM: bool, const WIDTH: usize>(
    from: &[f32],
    pixels: &[usize],
    to: &mut [f32],
    first: usize,
) -> usize {
    let (blocks, _) = to[first..].as_chunks_mut::<WIDTH>();
    for (at, to) in blocks.iter_mut().enumerate() {
        let mut values = [if IS_SUM { 0.0 } else { f32::MIN }; WIDTH];
        for pixel in pixels {
            let Some(from) = from[pixel + first + at * WIDTH..].first_chunk::<WIDTH>() else { break };
            for (value, &from) in values.iter_mut().zip(from) {
                if IS_SUM {
                    *value += from;
                } else {
                    *value = if from > *value { from } else { *value };
                }
            }
        }
        *to = values;
    }
    first + blocks.len() * WIDTH
}
