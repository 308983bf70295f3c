//! Recognises the operation that a node begins.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::by_channel;
use super::enlarge::Enlarge;
use super::join::Join;
use super::operation::Operation;
use super::pair::{Gate, Sum};
use super::shuffle;
use super::whole::Whole;
use super::windows::Windows;
use crate::host::{Graph, Listed, Node, Result, Shape, Size, Value};
use crate::layouts::Claim;

/// Nodes that are computed as one, of float32 tensors that lie channels last.
pub struct Between<'a> {
    pub nodes: Vec<Node<'a>>,
    pub reads: Vec<Value<'a>>,
    pub dst: Value<'a>,
    pub operation: Arc<dyn Operation>,
    rank: usize,
}

/// A node that may begin an operation, and its properties.
struct First<'a> {
    node: Node<'a>,
    operator: String,
    /// Its inputs; none where an optional one is left out.
    inputs: Vec<Option<Value<'a>>>,
    src: Value<'a>,
    shape: Shape,
    dst: Value<'a>,
}

impl<'a> First<'a> {
    /// None if the node has not one output alone, which somebody reads, or computes it of something else than pixels.
    fn of(node: Node<'a>, graph: &Graph<'a>) -> Result<Option<Self>> {
        let Some(dst) = node.only_output()? else { return Ok(None) };
        if !graph.is_read(dst)? {
            return Ok(None);
        }
        let inputs = node.inputs()?;
        let Some(Some(src)) = inputs.first().copied() else { return Ok(None) };
        let Some(shape) = src.shape()? else { return Ok(None) };
        if shape.element != f32::ELEMENT || !(3..=5).contains(&shape.sizes.len()) {
            return Ok(None);
        }
        Ok(Some(Self { node, operator: node.operator()?, inputs, src, shape, dst }))
    }

    fn rank(&self) -> usize {
        self.shape.sizes.len()
    }

    /// An operation of this node alone.
    fn alone(&self, operation: impl Operation + 'static, reads: Vec<Value<'a>>) -> Between<'a> {
        Between {
            nodes: vec![self.node],
            reads,
            dst: self.dst,
            operation: Arc::new(operation),
            rank: self.rank(),
        }
    }
}

impl<'a> Between<'a> {
    /// The operation that begins with a node of a graph, which nobody must have; none if there is none.
    ///
    /// # Errors
    /// The host's.
    pub fn of(node: Node<'a>, graph: &Graph<'a>) -> Result<Option<Self>> {
        let Some(first) = First::of(node, graph)? else { return Ok(None) };
        let Some(between) = Self::read(&first, graph)? else { return Ok(None) };
        // The host gives fused nodes no constants.
        for value in &between.reads {
            if value.constant()?.is_some() {
                return Ok(None);
            }
        }
        Ok(Some(between))
    }

    fn read(first: &First<'a>, graph: &Graph<'a>) -> Result<Option<Self>> {
        let (node, rank, src) = (first.node, first.rank(), first.src);
        if ["Resize", "Upsample"].contains(&first.operator.as_str()) {
            let enlarge = Enlarge::of(node, &first.inputs, rank)?;
            return Ok(enlarge.map(|enlarge| first.alone(enlarge, vec![src])));
        }
        // All others have no input that may be left out.
        let Some(inputs) = first.inputs.iter().copied().collect::<Option<Vec<_>>>() else { return Ok(None) };
        match first.operator.as_str() {
            "MaxPool" | "AveragePool" => {
                Ok(Windows::of(node, rank)?.map(|windows| first.alone(windows, vec![src])))
            }
            "GlobalAveragePool" | "GlobalMaxPool" | "ReduceMean" => {
                Ok(Whole::of(node, &inputs, rank)?.map(|whole| first.alone(whole, vec![src])))
            }
            "Concat" => Ok(Join::of(node, rank)?.map(|join| first.alone(join, inputs))),
            "Reshape" => Ok(shuffle::of(node, first.dst, &first.shape, graph)?.map(|found| Self {
                nodes: found.nodes,
                dst: found.dst,
                ..first.alone(found.shuffle, vec![src])
            })),
            "Mul" | "Add" if inputs.len() == 2 => match Self::pair(first, &inputs)? {
                Some(pair) => Ok(Some(pair)),
                None => Self::by_channel(first, graph),
            },
            _ => Self::by_channel(first, graph),
        }
    }

    /// Two tensors that are multiplied or added.
    fn pair(first: &First<'a>, inputs: &[Value<'a>]) -> Result<Option<Self>> {
        if first.operator == "Add" {
            let is_sum = Sum::is_one(&first.shape, inputs[1], first.dst)?;
            return Ok(is_sum.then(|| first.alone(Sum, inputs.to_vec())));
        }
        if Gate::is_one(&first.shape, inputs[1])? {
            return Ok(Some(first.alone(Gate, inputs.to_vec())));
        }
        // The other way round.
        match inputs[1].shape()? {
            Some(shape) if Gate::is_one(&shape, inputs[0])? => {
                Ok(Some(first.alone(Gate, vec![inputs[1], inputs[0]])))
            }
            _ => Ok(None),
        }
    }

    /// An operation by channel, with those behind it.
    fn by_channel(first: &First<'a>, graph: &Graph<'a>) -> Result<Option<Self>> {
        let found = by_channel::of(first.node, first.src, &first.shape, first.dst, graph)?;
        Ok(found.map(|found| Self {
            nodes: found.nodes,
            dst: found.dst,
            ..first.alone(found.by_channel, vec![first.src])
        }))
    }

    /// The values that may lie either way.
    pub fn claim(&self) -> Claim<'a> {
        Claim {
            reads: self.reads.clone(),
            writes: self.dst,
            adds: None,
            fixed: Vec::new(),
            rank: self.rank,
            is_like: self.operation.keeps_shape().then_some(self.reads[0]),
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
                shape.sizes.len() > 2 && shape.sizes[2..].iter().all(|size| *size == Size::Known(1))
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
