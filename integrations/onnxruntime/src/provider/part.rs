//! Nodes that are computed as one: a convolution with its end, several of them whose outputs are joined, or an operation
//! between convolutions.

use std::collections::BTreeSet;

use crate::between::Between;
use crate::fuse::Chain;
use crate::host::{Failure, Graph, Node, Result, Value};
use crate::layer::can_be_joined;
use crate::layouts::Claim;

/// Nodes that are computed as one.
pub enum Part<'a> {
    Convolution(Box<Chain<'a>>),
    /// Convolutions that write their channels of a joined tensor.
    Joined(Joined<'a>),
    Between(Between<'a>),
}

/// Convolutions, and the operation that joins their outputs, perhaps with other values.
pub struct Joined<'a> {
    pub chains: Vec<Chain<'a>>,
    pub join: Between<'a>,
}

impl<'a> Joined<'a> {
    /// The place of the chain that writes a value.
    ///
    /// # Errors
    /// The host's.
    pub fn chain_of(&self, value: Value<'_>) -> Result<Option<usize>> {
        let name = value.name()?;
        for (at, chain) in self.chains.iter().enumerate() {
            if chain.dst.name()? == name {
                return Ok(Some(at));
            }
        }
        Ok(None)
    }
}

impl<'a> Part<'a> {
    /// That of a fused node's graph.
    ///
    /// # Errors
    /// The host's, or that convlow does not recognise its own claim.
    pub fn of(mut graph: Graph<'a>) -> Result<Self> {
        // They are convlow's own.
        graph.taken.clear();
        let mut chains = Vec::new();
        for node in graph.nodes.clone() {
            if let Some(chain) = Chain::of(node, &graph).map_err(Failure)? {
                chains.push(chain);
            }
        }
        let mut between = None;
        let is_chain = chains.len() == 1 && chains[0].all_nodes().len() == graph.nodes.len();
        for &node in graph.nodes.iter().filter(|_| !is_chain) {
            match Between::of(node, &graph)? {
                Some(found) if found.nodes.len() == graph.nodes.len() || found.operation.is_join() => {
                    between = Some(found);
                }
                _ => {}
            }
        }
        let part = match (chains.len(), between) {
            (1, None) => chains.pop().map(|chain| Self::Convolution(Box::new(chain))),
            (0, Some(between)) => Some(Self::Between(between)),
            (_, Some(join)) => Some(Self::Joined(Joined { chains, join })),
            _ => None,
        };
        part.ok_or_else(|| {
            Failure("convlow has a defect: a fused node of nothing that it computes".to_string())
        })
    }

    pub fn nodes(&self) -> Vec<Node<'a>> {
        match self {
            Self::Convolution(chain) => chain.all_nodes(),
            Self::Joined(Joined { chains, join, .. }) => {
                chains.iter().flat_map(Chain::all_nodes).chain(join.nodes.iter().copied()).collect()
            }
            Self::Between(between) => between.nodes.clone(),
        }
    }

    /// The numbers of its nodes.
    pub fn ids(&self) -> Result<Vec<usize>> {
        self.nodes().iter().map(|node| node.id()).collect()
    }

    /// The convolutions.
    pub fn chains(&self) -> &[Chain<'a>] {
        match self {
            Self::Convolution(chain) => std::slice::from_ref(chain),
            Self::Joined(joined) => &joined.chains,
            Self::Between(_) => &[],
        }
    }

    /// The value that it writes.
    pub fn dst(&self) -> Value<'a> {
        match self {
            Self::Convolution(chain) => chain.dst,
            Self::Joined(Joined { join, .. }) | Self::Between(join) => join.dst,
        }
    }

    /// Its claims before convolutions are joined.
    pub fn claim(&self) -> Claim<'a> {
        match self {
            Self::Convolution(chain) => chain.claim(),
            Self::Joined(Joined { join, .. }) | Self::Between(join) => join.claim(),
        }
    }

    /// Whether it is worth its claim, these values lying channels last.
    pub fn is_worth(&self, channels_last: &BTreeSet<String>) -> Result<bool> {
        match self {
            Self::Convolution(_) => Ok(true),
            Self::Joined(Joined { join, .. }) | Self::Between(join) => join.is_worth(channels_last),
        }
    }
}

/// The names of the parts' outputs.
pub fn outputs(parts: &[Part<'_>]) -> Result<BTreeSet<String>> {
    parts.iter().map(|part| part.dst().name()).collect()
}

/// The parts, with convolutions that write their channels of a joined tensor where nobody else reads their outputs: these
/// need not be copied there.
///
/// # Errors
/// The host's.
pub fn joined<'a>(parts: Vec<Part<'a>>, graph: &Graph<'a>) -> Result<Vec<Part<'a>>> {
    let (mut left, mut joins) = (Vec::new(), Vec::new());
    for part in parts {
        match part {
            Part::Between(between) if between.operation.is_join() => joins.push(between),
            other => left.push(other),
        }
    }
    for join in joins {
        let mut once = BTreeSet::new();
        for &value in &join.reads {
            if graph.is_read_once(value)? {
                once.insert(value.name()?);
            }
        }
        let (mut chains, mut others) = (Vec::new(), Vec::new());
        for part in left {
            match part {
                Part::Convolution(chain) if can_be_joined(&chain) && once.contains(&chain.dst.name()?) => {
                    chains.push(*chain);
                }
                other => others.push(other),
            }
        }
        left = others;
        left.push(match chains.is_empty() {
            true => Part::Between(join),
            false => Part::Joined(Joined { chains, join }),
        });
    }
    Ok(left)
}
