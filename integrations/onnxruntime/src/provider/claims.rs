//! The claims of a graph.

use std::collections::{BTreeSet, HashMap};

use convlow::Layout;

use super::part::{Joined, Part, joined, outputs};
use crate::between::Between;
use crate::fuse::Chain;
use crate::host::{Failure, Graph, Log, Node, Result, Support, Tensor};
use crate::layer::{fits, output_of, shown, usual_problem};
use crate::layouts::{Claim, channels_last};
use crate::session::{Session, Told};

/// The claims of the graph that was seen last, which is the next to be compiled.
#[derive(Default)]
pub struct Claimed {
    /// The names of the values that the claimed nodes write.
    pub outputs: BTreeSet<String>,
    /// The names of the values that lie channels last.
    pub channels_last: BTreeSet<String>,
    /// What nodes make of constants for several readers, by name: the graphs of fused nodes do not have it.
    pub constants: HashMap<String, Tensor<'static>>,
}

/// Claims for a session.
pub struct Claims<'s> {
    session: &'s Session,
    log: &'s Log,
}

impl<'s> Claims<'s> {
    pub fn new(session: &'s Session, log: &'s Log) -> Self {
        Self { session, log }
    }

    /// Claims everything in a graph that convlow computes.
    ///
    /// # Errors
    /// The host's.
    pub fn of(&self, mut graph: Graph<'_>, support: &mut Support<'_>) -> Result<Claimed> {
        let mut parts = self.convolutions(&mut graph)?;
        parts.extend(between_them(&mut graph)?);
        let (parts, channels_last) = worth_it(parts, &graph.nodes)?;
        if !channels_last.is_empty() {
            let last = channels_last.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
            self.log.line(&format!("convlow keeps channels last: {last}"));
        }
        let parts = joined(parts, &graph)?;
        for part in &parts {
            match part {
                Part::Convolution(_) => {}
                Part::Joined(joined) => self.tell_joined(joined)?,
                Part::Between(between) => {
                    let names = between.nodes.iter().map(|&node| shown(node)).collect::<Result<Vec<_>>>()?;
                    self.log.line(&format!("convlow computes {} between convolutions", names.join(", ")));
                }
            }
            support.fuse(&part.nodes())?;
        }
        let mut constants = HashMap::new();
        for (value, tensor) in parts.iter().flat_map(Part::chains).flat_map(|chain| &chain.shared) {
            if let Some(kept) = tensor.kept()? {
                constants.insert(value.name()?, kept);
            }
        }
        Ok(Claimed { outputs: outputs(&parts)?, channels_last, constants })
    }

    /// All chains, from the last one on: where two convolutions are added, the other one is computed first.
    fn convolutions<'a>(&self, graph: &mut Graph<'a>) -> Result<Vec<Part<'a>>> {
        let mut parts = Vec::new();
        for node in graph.nodes.clone().into_iter().rev() {
            if graph.taken.contains(&node.id()?) {
                continue;
            }
            let Some((chain, told)) = self.chain(node, graph)? else { continue };
            let with = if told.fused.is_empty() {
                String::new()
            } else {
                format!(" with {}", told.fused.join(", "))
            };
            self.log.line(&format!("convlow computes {}{with}", told.node));
            self.session.tell(output_of(node)?, told);
            let part = Part::Convolution(Box::new(chain));
            graph.taken.extend(part.ids()?);
            parts.push(part);
        }
        Ok(parts)
    }

    /// The chain that begins with a node, and its line of the report.
    fn chain<'a>(&self, node: Node<'a>, graph: &Graph<'a>) -> Result<Option<(Chain<'a>, Told)>> {
        let chain = match Chain::of(node, graph) {
            Ok(None) => return Ok(None),
            Ok(Some(chain)) => chain,
            Err(reason) => return self.leave(node, reason).map(|()| None),
        };
        let least = self.session.options.min_macs;
        if let Err(Failure(reason)) = fits(&chain, self.session) {
            return self.leave(node, reason).map(|()| None);
        }
        match usual_problem(&chain, [Layout::Nchw; 2]) {
            Err(Failure(reason)) => return self.leave(node, reason).map(|()| None),
            Ok(problem) if problem.macs() < least => {
                let reason =
                    format!("it has {} multiplications, fewer than min_macs = {least}", problem.macs());
                return self.leave(node, reason).map(|()| None);
            }
            Ok(_) => {}
        }
        let fused = chain.nodes[1..].iter().map(|node| node.operator()).collect::<Result<_>>()?;
        let told = Told { node: shown(node)?, id: node.id()?, fused, ..Told::default() };
        Ok(Some((chain, told)))
    }

    /// Notes that convolutions write their channels of a joined tensor.
    fn tell_joined(&self, Joined { chains, join }: &Joined<'_>) -> Result<()> {
        let mut names = Vec::new();
        for chain in chains {
            names.push(shown(chain.nodes[0])?);
            self.session.correct(&output_of(chain.nodes[0])?, |told| told.fused.push("Concat".to_string()));
        }
        let (names, join) = (names.join(", "), shown(join.nodes[0])?);
        self.log.line(&format!("convlow writes {names} to their channels of {join}"));
        Ok(())
    }

    /// Leaves a convolution to ONNX Runtime.
    fn leave(&self, node: Node<'_>, reason: String) -> Result<()> {
        let name = shown(node)?;
        self.log.line(&format!("convlow leaves {name} to ONNX Runtime: {reason}"));
        let told = Told { node: name, id: node.id()?, reason: Some(reason), ..Told::default() };
        self.session.tell(output_of(node)?, told);
        Ok(())
    }
}

/// The operations between the convolutions.
fn between_them<'a>(graph: &mut Graph<'a>) -> Result<Vec<Part<'a>>> {
    let mut parts = Vec::new();
    for node in graph.nodes.clone() {
        if graph.taken.contains(&node.id()?) {
            continue;
        }
        // A node that cannot be read is left to the host.
        if let Ok(Some(between)) = Between::of(node, graph) {
            let part = Part::Between(between);
            graph.taken.extend(part.ids()?);
            parts.push(part);
        }
    }
    Ok(parts)
}

/// The parts that are worth their claim, and the names of the values that lie channels last then. Others are left to the
/// host, until no more drop out.
fn worth_it<'a>(mut parts: Vec<Part<'a>>, nodes: &[Node<'a>]) -> Result<(Vec<Part<'a>>, BTreeSet<String>)> {
    loop {
        let claims: Vec<Claim<'_>> = parts.iter().map(Part::claim).collect();
        let is_other = |node: &Node<'_>| !parts.iter().any(|part| part.nodes().contains(node));
        let others: Vec<Node<'_>> = nodes.iter().copied().filter(is_other).collect();
        let channels_last = channels_last(&claims, &others)?;
        let count = parts.len();
        let mut kept = Vec::new();
        for part in parts {
            if part.is_worth(&channels_last)? {
                kept.push(part);
            }
        }
        parts = kept;
        if parts.len() == count {
            return Ok((parts, channels_last));
        }
    }
}
