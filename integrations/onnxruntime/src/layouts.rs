//! Which values lie channels last in memory.
//!
//! ONNX's tensors are channels first, where convlow has to move pixels together before it can multiply them. But a value that
//! only claimed nodes write and read may lie as they like it, under the sizes that ONNX says. So it may where operators stand
//! between that compute each element from those at the same place, wherever that is: ONNX Runtime computes them and notices
//! nothing.

use std::collections::{BTreeSet, HashMap};

use crate::host::{Node, Result, Value};

/// Operators of one tensor that compute each element of their output from the element at the same place.
const OF_ONE: [&str; 26] = [
    "Abs",
    "Ceil",
    "Celu",
    "Clip",
    "Dropout",
    "Elu",
    "Erf",
    "Exp",
    "Floor",
    "Gelu",
    "HardSigmoid",
    "HardSwish",
    "Identity",
    "LeakyRelu",
    "Log",
    "Mish",
    "Neg",
    "Reciprocal",
    "Relu",
    "Selu",
    "Sigmoid",
    "Softplus",
    "Softsign",
    "Sqrt",
    "Tanh",
    "ThresholdedRelu",
];
/// Operators that do so with two tensors of one shape.
const OF_TWO: [&str; 4] = ["Add", "Div", "Mul", "Sub"];

/// The values of a claimed node that may lie either way.
pub struct Claim<'a> {
    pub reads: Vec<Value<'a>>,
    pub writes: Value<'a>,
    /// A value that it adds to the one that it writes: it is moved where both lie otherwise.
    pub adds: Option<Value<'a>>,
    /// Values that it reads channels first.
    pub fixed: Vec<Value<'a>>,
    /// Dimensions of all of them.
    pub rank: usize,
    /// The value that it reads whose shape is always that of the value that it writes.
    pub is_like: Option<Value<'a>>,
}

/// What it costs to move a value that is added, in terms of what it costs a claimed node to read or write one channels
/// first: a move reads and writes all of it, and the sum reads it again.
const MOVE: isize = 3;

/// The values of a graph that lie channels last.
///
/// # Errors
/// The host's.
pub fn channels_last(claims: &[Claim<'_>], others: &[Node<'_>]) -> Result<BTreeSet<String>> {
    let mut flow = Flow::default();
    let mut sums = Vec::new();
    for claim in claims {
        if let Some(value) = claim.adds {
            sums.push([flow.at(value)?, flow.at(claim.writes)?]);
        }
        for &value in &claim.reads {
            let at = flow.at(value)?;
            flow.values[at].ranks.insert(claim.rank);
            flow.values[at].uses += 1;
        }
        for &value in &claim.fixed {
            let at = flow.at(value)?;
            flow.values[at].is_fixed = true;
        }
        let at = flow.at(claim.writes)?;
        flow.values[at].is_written = true;
        flow.values[at].uses += 1;
        flow.values[at].ranks.insert(claim.rank);
        if let Some(value) = claim.is_like {
            let shaped = flow.at(value)?;
            flow.values[at].shaped = shaped;
        }
    }
    for &node in others {
        flow.pass(node)?;
    }
    flow.free(&sums)
}

/// A value, and its uses.
struct Known<'a> {
    value: Value<'a>,
    name: String,
    /// By a claimed node, or element by element.
    is_written: bool,
    /// Dimensions that claimed nodes say it has.
    ranks: BTreeSet<usize>,
    /// How often claimed nodes read or write it.
    uses: isize,
    /// Whether somebody needs it channels first.
    is_fixed: bool,
    /// A value that lies as this one does, or itself.
    like: usize,
    /// A value before it that is known to be of the same shape, or itself.
    shaped: usize,
}

/// The values of a graph.
#[derive(Default)]
struct Flow<'a> {
    values: Vec<Known<'a>>,
    by_name: HashMap<String, usize>,
}

impl<'a> Flow<'a> {
    fn at(&mut self, value: Value<'a>) -> Result<usize> {
        let name = value.name()?;
        let next = self.values.len();
        let at = *self.by_name.entry(name.clone()).or_insert(next);
        if at == next {
            self.values.push(Known {
                value,
                name,
                is_written: false,
                ranks: BTreeSet::new(),
                uses: 0,
                is_fixed: false,
                like: next,
                shaped: next,
            });
        }
        Ok(at)
    }

    /// The value that stands for all that lie alike.
    fn root(&self, mut at: usize) -> usize {
        while self.values[at].like != at {
            at = self.values[at].like;
        }
        at
    }

    /// Adds a node that is not claimed.
    fn pass(&mut self, node: Node<'a>) -> Result<()> {
        for value in node.implicit_inputs()?.into_iter().flatten() {
            let at = self.at(value)?;
            self.values[at].is_fixed = true;
        }
        let operator = node.operator()?;
        let (inputs, outputs) = (node.inputs()?, node.outputs()?);
        let mut read = Vec::new();
        for &value in inputs.iter().flatten() {
            read.push(self.at(value)?);
        }
        let mut written = Vec::new();
        for &value in outputs.iter().flatten() {
            written.push(self.at(value)?);
        }
        let sources: &[usize] = match (operator.as_str(), read.as_slice(), written.as_slice()) {
            (one, [source, bounds @ ..], [_]) if OF_ONE.contains(&one) && self.are_scalars(bounds)? => {
                std::slice::from_ref(source)
            }
            (two, [first, second], [_]) if OF_TWO.contains(&two) => {
                if self.are_alike(*first, *second)? {
                    &read
                } else if self.are_scalars(&[*second])? {
                    std::slice::from_ref(first)
                } else if self.are_scalars(&[*first])? {
                    std::slice::from_ref(second)
                } else {
                    &[]
                }
            }
            _ => &[],
        };
        let Some(&first) = sources.first() else {
            for at in read.into_iter().chain(written) {
                self.values[at].is_fixed = true;
            }
            return Ok(());
        };
        let to = written[0];
        self.values[to].is_written = true;
        self.values[to].shaped = first;
        for &source in sources {
            let (from, to) = (self.root(source), self.root(to));
            self.values[from].like = to;
        }
        Ok(())
    }

    /// Whether all are constants of one element, which is the same at every place.
    fn are_scalars(&self, values: &[usize]) -> Result<bool> {
        for &at in values {
            match self.values[at].value.constant()? {
                Some(tensor) if tensor.len() == 1 && tensor.sizes.len() <= 1 => {}
                _ => return Ok(false),
            }
        }
        Ok(true)
    }

    /// Whether two values are known to be of one shape.
    fn are_alike(&self, a: usize, b: usize) -> Result<bool> {
        let first = |mut at: usize| {
            while self.values[at].shaped != at {
                at = self.values[at].shaped;
            }
            at
        };
        if first(a) == first(b) {
            return Ok(true);
        }
        let (a, b) = (&self.values[a], &self.values[b]);
        let (Some(a), Some(b)) = (a.value.shape()?, b.value.shape()?) else { return Ok(false) };
        Ok(a.are_same(&b))
    }

    /// The values that nobody needs channels first, but those that are moved for a sum at greater cost than they spare.
    fn free(&self, sums: &[[usize; 2]]) -> Result<BTreeSet<String>> {
        let mut ranks = vec![BTreeSet::<usize>::new(); self.values.len()];
        let mut is_fixed = vec![false; self.values.len()];
        let mut uses = vec![0; self.values.len()];
        for (at, known) in self.values.iter().enumerate() {
            let root = self.root(at);
            ranks[root].extend(&known.ranks);
            uses[root] += known.uses;
            is_fixed[root] |= known.is_fixed || !known.is_written || known.value.is_graph_output()?;
        }
        let mut is_last: Vec<bool> =
            (0..self.values.len()).map(|root| !is_fixed[root] && ranks[root].len() == 1).collect();
        let sums: Vec<_> = sums.iter().map(|sum| sum.map(|at| self.root(at))).collect();
        // What lies channels first now spares or costs the moves of its own sums; it never lies channels last again, so
        // that this ends.
        loop {
            let moves = |of: usize, flipped: bool| {
                let is_moved = |&&[added, to]: &&[usize; 2]| {
                    let lies = |root: usize| is_last[root] != (flipped && root == of);
                    (added == of || to == of) && lies(added) != lies(to)
                };
                sums.iter().filter(is_moved).count() as isize
            };
            let is_dear =
                |&root: &usize| is_last[root] && MOVE * (moves(root, false) - moves(root, true)) > uses[root];
            let Some(root) = (0..is_last.len()).find(is_dear) else { break };
            is_last[root] = false;
        }
        let names = (0..self.values.len()).filter(|&at| is_last[self.root(at)]);
        Ok(names.map(|at| self.values[at].name.clone()).collect())
    }
}
