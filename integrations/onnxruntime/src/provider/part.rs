//! Nodes that are computed as one: a convolution with its end, or an operation between convolutions.

use std::collections::BTreeSet;

use crate::between::Between;
use crate::fuse::Chain;
use crate::host::{Failure, Graph, Node, Result};
use crate::layouts::Claim;

/// Nodes that are computed as one.
pub enum Part<'a> {
    Convolution(Box<Chain<'a>>),
    Between(Between<'a>),
}

impl<'a> Part<'a> {
    /// That of a fused node's graph.
    ///
    /// # Errors
    /// The host's, or that convlow does not recognise its own claim.
    pub fn of(mut graph: Graph<'a>) -> Result<Self> {
        // They are convlow's own.
        graph.taken.clear();
        for &node in &graph.nodes {
            if let Some(chain) = Chain::of(node, &graph).map_err(Failure)? {
                return Ok(Self::Convolution(Box::new(chain)));
            }
        }
        for &node in &graph.nodes {
            match Between::of(node, &graph)? {
                Some(between) if between.nodes.len() == graph.nodes.len() => {
                    return Ok(Self::Between(between));
                }
                _ => {}
            }
        }
        Err(Failure("convlow has a defect: a fused node of nothing that it computes".to_string()))
    }

    pub fn nodes(&self) -> Vec<Node<'a>> {
        match self {
            Self::Convolution(chain) => chain.all_nodes(),
            Self::Between(between) => between.nodes.clone(),
        }
    }

    /// The numbers of its nodes.
    pub fn ids(&self) -> Result<Vec<usize>> {
        self.nodes().iter().map(|node| node.id()).collect()
    }

    pub fn claim(&self) -> Claim<'a> {
        match self {
            Self::Convolution(chain) => chain.claim(),
            Self::Between(between) => between.claim(),
        }
    }

    /// Whether it is worth its claim, these values lying channels last.
    pub fn is_worth(&self, channels_last: &BTreeSet<String>) -> Result<bool> {
        match self {
            Self::Convolution(_) => Ok(true),
            Self::Between(between) => between.is_worth(channels_last),
        }
    }
}

/// The names of the parts' outputs.
pub fn outputs(parts: &[Part<'_>]) -> Result<BTreeSet<String>> {
    parts.iter().map(|part| part.claim().writes.name()).collect()
}
