//! A convolution and the nodes behind it that its end can do, which are claimed as one node.
//!
//! Each node of a chain but the last has one reader, the next one, and is no output of the graph. So no path leaves a chain
//! and comes back to it, and it can be fused wherever it stands.

use super::constants::{Channeled, numbers};
use super::ending::Ending;
use super::fixed::Fixed;
use super::headroom::Headroom;
use super::line::Line;
use super::tail::Tail;
use super::term::Term;
use crate::host::{Failure, Graph, Listed, Node, Result, Tensor, Value};
use crate::layouts::Claim;

/// A chain of nodes, and their common arithmetic.
pub struct Chain<'a> {
    /// The convolution, and the nodes behind it in their order.
    pub nodes: Vec<Node<'a>>,
    /// Nodes that make weights and bias of constants, for nobody else.
    before: Vec<Node<'a>>,
    /// Weights and a bias that nodes make of constants for others, too.
    pub shared: Vec<(Value<'a>, Tensor<'a>)>,
    /// Whether it is a ConvTranspose.
    pub transposed: bool,
    /// The input that it is computed of.
    pub src: Value<'a>,
    pub weights: Weights<'a>,
    /// Groups.
    pub groups: usize,
    /// A bias that is computed in the run.
    pub bias: Option<Value<'a>>,
    /// A factor and a shift of each output channel, which come first.
    pub line: Option<Line>,
    /// The weights' room for factors, as soon as a node asked for it.
    headroom: Option<Headroom>,
    /// A tensor that is added: as far as is known, of the output's shape.
    pub residual: Option<Value<'a>>,
    /// The arithmetic of each output behind that.
    pub ending: Ending,
    /// The factors of negative values, one a channel, if the activation is PRelu or slopes come last.
    pub slopes: Option<Tensor<'a>>,
    /// The output of the last node.
    pub dst: Value<'a>,
}

/// The weights of a convolution.
pub struct Weights<'a> {
    /// The number of ONNX's element type.
    pub element: i32,
    pub sizes: Vec<usize>,
    pub origin: Origin<'a>,
}

/// Where weights come from.
pub enum Origin<'a> {
    /// They are the same in every run.
    Constant(Tensor<'a>),
    /// They are computed in the run.
    Computed(Value<'a>),
}

impl<'a> Weights<'a> {
    /// The weights that a value holds.
    fn of(value: Value<'a>, fixed: Option<&Fixed<'a>>) -> Result<Self> {
        if let Some(Fixed { tensor, .. }) = fixed {
            let (element, sizes) = (tensor.element, tensor.sizes.clone());
            return Ok(Self { element, sizes, origin: Origin::Constant(tensor.clone()) });
        }
        let shape = value.shape()?;
        let known = shape.and_then(|shape| shape.known().map(|sizes| (shape.element, sizes)));
        let Some((element, sizes)) = known.filter(|(_, sizes)| !sizes.is_empty()) else {
            return refuse("its weights are computed in the run, and their sizes are not known before");
        };
        Ok(Self { element, sizes, origin: Origin::Computed(value) })
    }

    /// The value, if they are computed in the run.
    pub fn computed(&self) -> Option<Value<'a>> {
        match self.origin {
            Origin::Constant(_) => None,
            Origin::Computed(value) => Some(value),
        }
    }
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
        let (Some(src), Some(kernels), Some(dst)) =
            (input(0), input(1), node.outputs()?.first().copied().flatten())
        else {
            return refuse("an input or output is missing");
        };
        let fixed = Fixed::of(kernels, graph)?;
        let weights = Weights::of(kernels, fixed.as_ref())?;
        let dequantise = "DequantizeLinear";
        let mut of_weights = fixed.iter().flat_map(|fixed| &fixed.nodes).map(|node| node.operator());
        if of_weights.any(|operator| operator.is_ok_and(|operator| operator == dequantise))
            && is_written_by(src, dequantise, graph)?
        {
            return refuse("it is quantised, and ONNX Runtime computes it in eight bits");
        }
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
        if weights.sizes.contains(&0) || groups == 0 || !weights.sizes[0].is_multiple_of(groups) {
            return refuse("it has no weights, or they do not fit its groups");
        }
        let mut chain = Self {
            nodes: vec![node],
            before: Vec::new(),
            shared: Vec::new(),
            transposed,
            src,
            weights,
            groups,
            bias: None,
            line: None,
            headroom: None,
            residual: None,
            ending: Ending::NONE,
            slopes: None,
            dst,
        };
        if let Some(fixed) = fixed {
            chain.take_fixed(kernels, fixed);
        }
        if let Some(bias) = input(2) {
            match Fixed::of(bias, graph)? {
                None => chain.bias = Some(bias),
                Some(fixed) => {
                    let shifts = numbers(&fixed.tensor)?;
                    if fixed.tensor.element != chain.weights.element || shifts.len() != chain.channels() {
                        return refuse("its bias does not fit its weights");
                    }
                    chain.line = Some(Line { shifts, ..Line::none(chain.channels()) });
                    chain.take_fixed(bias, fixed);
                }
            }
        }
        while chain.take_by_channel(graph)? {}
        chain.take_ending(graph)?;
        if !graph.is_read(chain.dst)? {
            return refuse("nobody reads what it computes");
        }
        Ok(Some(chain))
    }

    /// Takes the nodes that make a value of constants, or the value where others read it, too.
    fn take_fixed(&mut self, value: Value<'a>, fixed: Fixed<'a>) {
        match fixed.is_own {
            true => self.before.extend(fixed.nodes),
            false => self.shared.push((value, fixed.tensor)),
        }
    }

    /// Adds the reader of the output, if it works by channel or adds a tensor; whether it does.
    fn take_by_channel(&mut self, graph: &Graph<'a>) -> Result<bool> {
        let Some(next) = graph.only_reader(self.dst)? else { return Ok(false) };
        let Some(dst) = next.only_output()? else { return Ok(false) };
        if !self.take_line(next)? && !self.take_residual(next)? {
            return Ok(false);
        }
        self.nodes.push(next);
        self.dst = dst;
        Ok(true)
    }

    /// Multiplies a node's constants into the weights and the bias, as long as these are constants, too, and no residual is
    /// added; whether they can take them.
    fn take_line(&mut self, next: Node<'a>) -> Result<bool> {
        if self.residual.is_some() || self.bias.is_some() || self.weights.computed().is_some() {
            return Ok(false);
        }
        let lines = match Line::of(next, self.dst, self.values())? {
            Some(lines) => Some(lines),
            None => match Tail::one(next, self.dst, self.values())?.map(|tail| tail.terms).as_deref() {
                Some(&[Term::Step(step)]) => Line::of_step(step, self.channels()).map(|line| vec![line]),
                _ => None,
            },
        };
        let Some(lines) = lines else { return Ok(false) };
        let mut line = self.line.clone().unwrap_or_else(|| Line::none(self.channels()));
        let headroom = self.headroom()?;
        for behind in &lines {
            if !headroom.takes(&line, behind) {
                return Ok(false);
            }
            line.then(behind);
        }
        self.line = Some(line);
        Ok(true)
    }

    /// The weights' room for factors. All weights are read for it, once.
    fn headroom(&mut self) -> Result<&Headroom> {
        let headroom = match self.headroom.take() {
            Some(headroom) => headroom,
            None => {
                let Origin::Constant(weights) = &self.weights.origin else {
                    return refuse("its weights are computed in the run");
                };
                Headroom::of(weights, self.run(), self.channels(), |run| self.channel_of(run))?
            }
        };
        Ok(self.headroom.insert(headroom))
    }

    /// Takes a node that adds a tensor of the output's shape, as far as shapes are known; whether it is one.
    fn take_residual(&mut self, next: Node<'a>) -> Result<bool> {
        let ("Add" | "Sum", &[Some(first), Some(second)]) =
            (next.operator()?.as_str(), next.inputs()?.as_slice())
        else {
            return Ok(false);
        };
        let own = self.dst.name()?;
        let other = if first.name()? == own { second } else { first };
        if self.residual.is_some() || other.name()? == own || other.constant()?.is_some() {
            return Ok(false);
        }
        let (Some(shape), Some(its)) = (self.dst.shape()?, other.shape()?) else { return Ok(false) };
        let may_be = shape.may_be(&its);
        if may_be {
            self.residual = Some(other);
        }
        Ok(may_be)
    }

    /// Adds the nodes that work on each output alone, as many as there is a way to compute all of.
    fn take_ending(&mut self, graph: &Graph<'a>) -> Result<()> {
        let mut tail = Tail::none(self.dst);
        let mut longest = None;
        while let Some(next) = Tail::of(tail.dst, self.values(), graph)? {
            // There is one place for slopes.
            if tail.slopes.is_some() && next.slopes.is_some() {
                break;
            }
            tail.then(next);
            if let Some(ending) = Ending::of(&tail.terms) {
                longest = Some((ending, tail.clone()));
            }
        }
        if let Some((ending, tail)) = longest {
            (self.ending, self.slopes, self.dst) = (ending, tail.slopes, tail.dst);
            self.nodes.extend(tail.nodes);
        }
        Ok(())
    }

    /// The convolution's outputs.
    fn values(&self) -> Channeled {
        let spatial = self.weights.sizes.len() - 2;
        Channeled { element: self.weights.element, channels: self.channels(), spatial }
    }

    /// All nodes that are computed as one.
    pub fn all_nodes(&self) -> Vec<Node<'a>> {
        self.before.iter().chain(&self.nodes).copied().collect()
    }

    /// Output channels.
    pub fn channels(&self) -> usize {
        if self.transposed { self.groups * self.weights.sizes[1] } else { self.weights.sizes[0] }
    }

    /// Weights of one output channel that lie behind one another in M × C/groups × taps or, transposed,
    /// C × M/groups × taps.
    pub fn run(&self) -> usize {
        self.weights.sizes[if self.transposed { 2 } else { 1 }..].iter().product()
    }

    /// The output channel of such a run.
    pub fn channel_of(&self, run: usize) -> usize {
        let (second, of_group) = (self.weights.sizes[1], self.weights.sizes[0] / self.groups);
        match self.transposed {
            false => run,
            true => run / second / of_group * second + run % second,
        }
    }

    /// The values that may lie either way.
    pub fn claim(&self) -> Claim<'a> {
        Claim {
            reads: std::iter::once(self.src).chain(self.residual).collect(),
            writes: self.dst,
            adds: self.residual,
            fixed: self.weights.computed().into_iter().chain(self.bias).collect(),
            rank: self.weights.sizes.len(),
            is_like: None,
        }
    }
}

/// Whether a node of this operator writes a value.
fn is_written_by<'a>(value: Value<'a>, operator: &str, graph: &Graph<'a>) -> Result<bool> {
    Ok(match graph.writer(value)? {
        Some(writer) => writer.operator()? == operator,
        None => false,
    })
}

fn refuse<T>(reason: &str) -> Result<T> {
    Err(Failure(reason.to_string()))
}
