//! A convolution and what follows it that its end can do: what is claimed as one node.
//!
//! Each node of a chain but the last has one reader, the next one, and is no output of the graph. So no path leaves a chain
//! and comes back to it, and it can be fused wherever it stands.

use super::constants::{is_by_channel, numbers};
use super::line::Line;
use super::step::Step;
use super::tail::Tail;
use crate::host::{Failure, Graph, Listed, Node, Result, Tensor, Value};
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
    /// What is done to each output channel before anything else.
    pub line: Option<Line>,
    /// What is added: as far as is known, of the output's shape.
    pub residual: Option<Value<'a>>,
    /// The least and the greatest output.
    pub clamp: Option<[f64; 2]>,
    /// What is done with each output behind that.
    pub steps: Vec<Step<f64>>,
    /// What negative outputs of each channel are multiplied by in the end.
    pub slopes: Option<Tensor<'a>>,
    /// The output of the last node.
    pub dst: Value<'a>,
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
        if src.constant()?.is_some() {
            return refuse("its input is a constant");
        }
        if ![f32::ELEMENT, f64::ELEMENT].contains(&weights.element) {
            return refuse("its elements are neither float32 nor float64");
        }
        if !(3..=5).contains(&weights.sizes.len()) {
            return refuse("it has neither one, two nor three dimensions");
        }
        let groups = usize::try_from(node.int(c"group")?.unwrap_or(1))?;
        let mut chain = Self {
            nodes: vec![node],
            transposed,
            src,
            weights,
            groups,
            line: None,
            residual: None,
            clamp: None,
            steps: Vec::new(),
            slopes: None,
            dst,
        };
        if let Some(bias) = input(2) {
            let Some(bias) = bias.constant()? else { return refuse("its bias is no constant") };
            let shifts = numbers(&bias)?;
            if bias.element != chain.weights.element || shifts.len() != chain.channels() {
                return refuse("its bias does not fit its weights");
            }
            chain.line = Some(Line { shifts, ..Line::none(chain.channels()) });
        }
        while chain.take_next(graph)? {}
        if !graph.is_read(chain.dst)? {
            return refuse("nobody reads what it computes");
        }
        Ok(Some(chain))
    }

    /// Adds what reads the output, if the convolution's end can do it; whether it did.
    fn take_next(&mut self, graph: &Graph<'a>) -> Result<bool> {
        // Nothing comes behind slopes.
        if self.slopes.is_some() {
            return Ok(false);
        }
        if let Some(next) = graph.only_reader(self.dst)?
            && self.take(next)?
        {
            self.nodes.push(next);
            return Ok(true);
        }
        let Some(tail) = Tail::of(self.dst, self.weights.element, graph)? else { return Ok(false) };
        match tail.steps.as_slice() {
            // The library's own end.
            &[Step::Clamp(min, max)] if self.ends_in_the_library() => self.clamp = Some([min, max]),
            &[step] if self.ends_in_the_weights() && self.line().take(step) => {}
            steps => self.steps.extend(steps),
        }
        self.nodes.extend(tail.nodes);
        self.dst = tail.dst;
        Ok(true)
    }

    /// Whether what comes next may still be done before the library clamps.
    fn ends_in_the_library(&self) -> bool {
        self.clamp.is_none() && self.steps.is_empty()
    }

    /// Whether what comes next may still be done to the weights and the bias.
    fn ends_in_the_weights(&self) -> bool {
        self.ends_in_the_library() && self.residual.is_none()
    }

    /// What is done to each output channel, to be changed.
    fn line(&mut self) -> &mut Line {
        let channels = self.channels();
        self.line.get_or_insert_with(|| Line::none(channels))
    }

    /// Adds a node that does something by channel, or adds a tensor; whether it does.
    fn take(&mut self, next: Node<'a>) -> Result<bool> {
        let Some(dst) = next.outputs()?.first().copied().flatten() else { return Ok(false) };
        let inputs = next.inputs()?;
        let input = |index: usize| inputs.get(index).copied().flatten();
        let own = self.dst.name()?;
        let is_first = match input(0) {
            Some(first) => first.name()? == own,
            None => false,
        };
        let (channels, spatial) = (self.channels(), self.weights.sizes.len() - 2);
        let line = match self.ends_in_the_weights() {
            true => Line::of(next, self.dst, channels, spatial, self.weights.element)?,
            false => None,
        };
        let taken = match (next.operator()?.as_str(), line) {
            (_, Some(line)) => {
                self.line().then(&line);
                true
            }
            ("PRelu", _) if is_first => self.take_slopes(input(1))?,
            ("Add" | "Sum", _) if inputs.len() == 2 && self.ends_in_the_library() => {
                match input(if is_first { 1 } else { 0 }) {
                    Some(other) if other.name()? != own => self.take_addend(other)?,
                    _ => false,
                }
            }
            _ => false,
        };
        if taken {
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

    /// Constant slopes.
    fn take_slopes(&mut self, slope: Option<Value<'a>>) -> Result<bool> {
        let Some(slope) = slope else { return Ok(false) };
        let Some(slope) = slope.constant()? else { return Ok(false) };
        let spatial = self.weights.sizes.len() - 2;
        if slope.element != self.weights.element || !is_by_channel(&slope.sizes, self.channels(), spatial) {
            return Ok(false);
        }
        self.slopes = Some(slope);
        Ok(true)
    }

    /// Adds a tensor of the output's shape.
    fn take_addend(&mut self, other: Value<'a>) -> Result<bool> {
        if other.constant()?.is_some() {
            return Ok(false);
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
