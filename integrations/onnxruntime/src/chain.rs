//! A convolution and what follows it that its end can do: what is claimed as one node.
//!
//! Each node of a chain but the last has one reader, the next one, and is no output of the graph. So no path leaves a chain
//! and comes back to it, and it can be fused wherever it stands.

use crate::host::{Failure, Graph, Listed, Node, Number, Result, Tensor, Value};
use crate::layouts::Claim;

/// A chain of nodes, and what they compute together.
pub struct Chain<'a> {
    pub nodes: Vec<Node<'a>>,
    /// Whether it is a ConvTranspose.
    pub transposed: bool,
    /// The input that it is computed of.
    pub src: Value<'a>,
    pub weights: Tensor<'a>,
    /// Groups.
    pub groups: usize,
    /// The convolution's own bias.
    pub bias: Option<Tensor<'a>>,
    /// A BatchNormalization.
    pub norm: Option<Norm<'a>>,
    /// What is added to each output channel behind that.
    pub added: Vec<Tensor<'a>>,
    /// What is added: as far as is known, of the output's shape.
    pub residual: Option<Value<'a>>,
    /// The least and the greatest output.
    pub clamp: Option<[f64; 2]>,
    /// What negative outputs are multiplied by.
    pub slope: Option<Slope<'a>>,
    /// The output of the last node.
    pub dst: Value<'a>,
}

/// A BatchNormalization of constants.
pub struct Norm<'a> {
    /// Scale, bias, mean and variance.
    constants: [Tensor<'a>; 4],
    epsilon: f32,
}

impl<'a> Norm<'a> {
    /// That of a node, for so many channels of this type of element; none if it trains, or its inputs are no constants.
    pub fn of(node: Node<'a>, channels: usize, element: i32) -> Result<Option<Self>> {
        let inputs = node.inputs()?;
        let alone = node.outputs()?.iter().flatten().count() == 1;
        if !alone || node.int(c"training_mode")?.unwrap_or(0) != 0 || inputs.len() != 5 {
            return Ok(None);
        }
        let mut constants = Vec::new();
        for value in inputs[1..].iter().flatten() {
            match value.constant()? {
                Some(tensor) if tensor.element == element && tensor.sizes == [channels] => {
                    constants.push(tensor);
                }
                _ => return Ok(None),
            }
        }
        let Ok(constants) = <[Tensor<'a>; 4]>::try_from(constants) else { return Ok(None) };
        Ok(Some(Self { constants, epsilon: node.float(c"epsilon")?.unwrap_or(1e-5) }))
    }

    /// What each channel is multiplied by, and what it makes of a channel's bias.
    pub fn by_channel<T: Number>(&self, bias: &[f64]) -> Result<(Vec<f64>, Vec<f64>)> {
        let [scale, shift, mean, variance] = self.constants.each_ref().map(|tensor| tensor.elements::<T>());
        let (scale, shift, mean, variance) = (scale?, shift?, mean?, variance?);
        let factor = |m: usize| scale[m].into() / (variance[m].into() + f64::from(self.epsilon)).sqrt();
        let factors: Vec<f64> = (0..scale.len()).map(factor).collect();
        let shifted = |(m, bias): (usize, &f64)| (bias - mean[m].into()) * factors[m] + shift[m].into();
        let biases = bias.iter().enumerate().map(shifted).collect();
        Ok((factors, biases))
    }
}

/// What negative outputs are multiplied by: the same everywhere, or one value a channel.
pub enum Slope<'a> {
    Everywhere(f32),
    ByChannel(Tensor<'a>),
}

/// Why a node is left to ONNX Runtime.
pub type Reason = String;

impl<'a> Chain<'a> {
    /// The chain that begins with a convolution of a graph, which nobody must have; none for other nodes.
    ///
    /// # Errors
    /// The reason why it is not claimed.
    pub fn of(node: Node<'a>, graph: &Graph<'a>) -> std::result::Result<Option<Self>, Reason> {
        Self::begin(node, graph).map_err(|Failure(reason)| reason)
    }

    fn begin(node: Node<'a>, graph: &Graph<'a>) -> Result<Option<Self>> {
        let transposed = match node.operator()?.as_str() {
            "Conv" => false,
            "ConvTranspose" => true,
            _ => return Ok(None),
        };
        let inputs = node.inputs()?;
        let input = |index: usize| inputs.get(index).copied().flatten();
        let (Some(src), Some(weights), Some(dst)) =
            (input(0), input(1), node.outputs()?.first().copied().flatten())
        else {
            return refuse("an input or output is missing");
        };
        let Some(weights) = weights.constant()? else { return refuse("its weights are no constants") };
        if ![f32::ELEMENT, f64::ELEMENT].contains(&weights.element) {
            return refuse("its elements are neither float32 nor float64");
        }
        if !(3..=5).contains(&weights.sizes.len()) {
            return refuse("it has neither one, two nor three dimensions");
        }
        let bias = match input(2) {
            None => None,
            Some(bias) => match bias.constant()? {
                None => return refuse("its bias is no constant"),
                bias => bias,
            },
        };
        let groups = usize::try_from(node.int(c"group")?.unwrap_or(1))?;
        let mut chain = Self {
            nodes: vec![node],
            transposed,
            src,
            weights,
            groups,
            bias,
            norm: None,
            added: Vec::new(),
            residual: None,
            clamp: None,
            slope: None,
            dst,
        };
        while chain.take_next(graph)? {}
        Ok(Some(chain))
    }

    /// Adds the only reader of the output, if the convolution's end can do it; whether it did.
    fn take_next(&mut self, graph: &Graph<'a>) -> Result<bool> {
        // Nothing comes behind a clamp or a slope.
        if self.clamp.is_some() || self.slope.is_some() {
            return Ok(false);
        }
        let Some(next) = graph.only_reader(self.dst)? else { return Ok(false) };
        let Some(dst) = next.outputs()?.first().copied().flatten() else { return Ok(false) };
        let inputs = next.inputs()?;
        let input = |index: usize| inputs.get(index).copied().flatten();
        let own = self.dst.name()?;
        let is_first = match input(0) {
            Some(first) => first.name()? == own,
            None => false,
        };
        let taken = match next.operator()?.as_str() {
            "Relu" | "Clip" if is_first => {
                self.clamp = bounds(next)?;
                self.clamp.is_some()
            }
            "LeakyRelu" => {
                self.slope = Some(Slope::Everywhere(next.float(c"alpha")?.unwrap_or(0.01)));
                true
            }
            "PRelu" if is_first => self.take_slope(input(1))?,
            "BatchNormalization" if is_first && self.nodes.len() == 1 => {
                self.norm = Norm::of(next, self.channels(), self.weights.element)?;
                self.norm.is_some()
            }
            "Add" | "Sum" if inputs.len() == 2 => match input(if is_first { 1 } else { 0 }) {
                Some(other) if other.name()? != own => self.take_addend(other)?,
                _ => false,
            },
            _ => false,
        };
        if taken {
            self.nodes.push(next);
            self.dst = dst;
        }
        Ok(taken)
    }

    /// Output channels.
    pub fn channels(&self) -> usize {
        if self.transposed { self.groups * self.weights.sizes[1] } else { self.weights.sizes[0] }
    }

    /// What it does with values that may lie either way.
    pub fn claim(&self) -> Claim<'a> {
        Claim {
            reads: std::iter::once(self.src).chain(self.residual).collect(),
            writes: self.dst,
            rank: self.weights.sizes.len(),
            is_like: None,
        }
    }

    /// A constant slope.
    fn take_slope(&mut self, slope: Option<Value<'a>>) -> Result<bool> {
        let Some(slope) = slope else { return Ok(false) };
        let Some(slope) = slope.constant()? else { return Ok(false) };
        let spatial = self.weights.sizes.len() - 2;
        if slope.element != self.weights.element || !is_by_channel(&slope.sizes, self.channels(), spatial) {
            return Ok(false);
        }
        self.slope = Some(Slope::ByChannel(slope));
        Ok(true)
    }

    /// Adds one value a channel, or a tensor of the output's shape.
    fn take_addend(&mut self, other: Value<'a>) -> Result<bool> {
        if let Some(tensor) = other.constant()? {
            let spatial = self.weights.sizes.len() - 2;
            let by_channel = tensor.element == self.weights.element
                && self.residual.is_none()
                && is_by_channel(&tensor.sizes, self.channels(), spatial);
            if by_channel {
                self.added.push(tensor);
            }
            return Ok(by_channel);
        }
        let (Some(own), Some(its)) = (self.dst.shape()?, other.shape()?) else { return Ok(false) };
        if self.residual.is_some() || !own.may_be(&its) {
            return Ok(false);
        }
        self.residual = Some(other);
        Ok(true)
    }
}

fn refuse<T>(reason: &str) -> Result<T> {
    Err(Failure(reason.to_string()))
}

/// Whether a tensor of these sizes, added to an output of so many channels, adds one value to each channel.
pub fn is_by_channel(sizes: &[usize], channels: usize, spatial: usize) -> bool {
    let from_channels = sizes.len().checked_sub(spatial + 1);
    from_channels.is_some_and(|before| {
        before <= 1
            && sizes[..before].iter().all(|&size| size == 1)
            && sizes[before] == channels
            && sizes[before + 1..].iter().all(|&size| size == 1)
    })
}

/// The bounds of a Relu, or the constant ones of a Clip, as inputs or, in old models, as attributes; none if they are not
/// constant, or not in order.
pub fn bounds(node: Node<'_>) -> Result<Option<[f64; 2]>> {
    if node.operator()? == "Relu" {
        return Ok(Some([0.0, f64::INFINITY]));
    }
    let inputs = node.inputs()?;
    let [min, max] = [1, 2].map(|index| inputs.get(index).copied().flatten());
    let bound = |value: Option<Value<'_>>, attribute, otherwise: f64| -> Result<Option<f64>> {
        let Some(value) = value else {
            return Ok(Some(node.float(attribute)?.map_or(otherwise, f64::from)));
        };
        let Some(tensor) = value.constant()? else { return Ok(None) };
        if tensor.len() != 1 {
            return Ok(None);
        }
        Ok(match tensor.element {
            f32::ELEMENT => Some(f64::from(tensor.elements::<f32>()?[0])),
            f64::ELEMENT => Some(tensor.elements::<f64>()?[0]),
            _ => None,
        })
    };
    let (min, max) = (bound(min, c"min", f64::NEG_INFINITY)?, bound(max, c"max", f64::INFINITY)?);
    Ok(min.zip(max).filter(|(min, max)| min <= max).map(|(min, max)| [min, max]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_value_a_channel_is_a_bias() {
        assert!(is_by_channel(&[8, 1, 1], 8, 2) && is_by_channel(&[1, 8, 1, 1], 8, 2));
        assert!(!is_by_channel(&[8], 8, 2) && !is_by_channel(&[2, 8, 1, 1], 8, 2));
        assert!(!is_by_channel(&[8, 1, 3], 8, 2) && !is_by_channel(&[1, 1, 8, 1, 1], 8, 2));
        assert!(is_by_channel(&[8, 1], 8, 1));
    }
}
