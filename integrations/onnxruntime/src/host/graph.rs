//! The nodes of a graph, and who reads their values.

use std::collections::{BTreeSet, HashMap};

use ort_sys::OrtGraph;

use super::failure::Result;
use super::handle::Handle;
use super::node::Node;
use super::tensor::Tensor;
use super::value::Value;

/// The nodes of a graph. Who reads a value is found out here: some versions of the host fail at the question where a reader
/// lies outside of a fused node's graph.
pub struct Graph<'a> {
    /// Each behind those whose outputs it reads.
    pub nodes: Vec<Node<'a>>,
    /// The readers of each value, once for each time that they read it; none for a graph inside a node.
    readers: HashMap<String, Vec<Option<Node<'a>>>>,
    /// The node that writes each value.
    writers: HashMap<String, Node<'a>>,
    /// The numbers of nodes that somebody has.
    pub taken: BTreeSet<usize>,
    /// Values that nodes outside of the graph make of constants, by name.
    pub constants: HashMap<String, Tensor<'a>>,
}

impl<'a> Graph<'a> {
    /// The nodes of a graph of the host's.
    ///
    /// # Errors
    /// The host's.
    pub fn new(graph: Handle<'a, OrtGraph>) -> Result<Self> {
        let host = graph.host();
        let nodes = graph.objects(host.count_of_nodes(), host.nodes_of_graph())?;
        let nodes = nodes.into_iter().flatten().map(Node::new).collect();
        let (readers, writers, constants) = (HashMap::new(), HashMap::new(), HashMap::new());
        let mut graph = Self { nodes, readers, writers, taken: BTreeSet::new(), constants };
        for &node in &graph.nodes {
            for value in node.inputs()?.into_iter().flatten() {
                graph.readers.entry(value.name()?).or_default().push(Some(node));
            }
            for value in node.implicit_inputs()?.into_iter().flatten() {
                graph.readers.entry(value.name()?).or_default().push(None);
            }
            for value in node.outputs()?.into_iter().flatten() {
                graph.writers.insert(value.name()?, node);
            }
            if node.is_assigned()? {
                graph.taken.insert(node.id()?);
            }
        }
        Ok(graph)
    }

    /// The nodes that read a value, once for each time that they do, if they are known and nobody has one of them; none for
    /// an output of the graph.
    pub fn readers(&self, value: Value<'a>) -> Result<Vec<Node<'a>>> {
        let readers = self.readers.get(&value.name()?).into_iter().flatten().copied();
        let readers = readers.collect::<Option<Vec<_>>>().unwrap_or_default();
        if value.is_graph_output()? {
            return Ok(Vec::new());
        }
        for reader in &readers {
            if self.taken.contains(&reader.id()?) {
                return Ok(Vec::new());
            }
        }
        Ok(readers)
    }

    /// The node of the graph that writes a value, if nobody has it.
    pub fn writer(&self, value: Value<'a>) -> Result<Option<Node<'a>>> {
        let Some(&writer) = self.writers.get(&value.name()?) else { return Ok(None) };
        Ok(if self.taken.contains(&writer.id()?) { None } else { Some(writer) })
    }

    /// A value's tensor, if it is the same in every run.
    pub fn constant(&self, value: Value<'a>) -> Result<Option<Tensor<'a>>> {
        match value.constant()? {
            None => Ok(self.constants.get(&value.name()?).cloned()),
            known => Ok(known),
        }
    }

    /// Whether anybody reads a value. The host gives a fused node no memory for others.
    pub fn is_read(&self, value: Value<'a>) -> Result<bool> {
        Ok(self.readers.contains_key(&value.name()?) || value.is_graph_output()?)
    }

    /// Whether a value is read once, by a node of this graph.
    pub fn is_read_once(&self, value: Value<'a>) -> Result<bool> {
        let readers = self.readers.get(&value.name()?);
        Ok(matches!(readers.map(Vec::as_slice), Some([Some(_)])) && !value.is_graph_output()?)
    }

    /// The node that alone reads a value, and that nobody has.
    pub fn only_reader(&self, value: Value<'a>) -> Result<Option<Node<'a>>> {
        Ok(match *self.readers(value)?.as_slice() {
            [reader] => Some(reader),
            _ => None,
        })
    }
}
