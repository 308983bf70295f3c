//! Nodes behind a value that do something with it alone.

use super::constants::{bounds, scalar};
use super::step::Step;
use crate::host::{Failure, Graph, Node, Result, Value};

/// Nodes behind a value, each read by the next alone, and what they do with it.
pub struct Tail<'a> {
    pub nodes: Vec<Node<'a>>,
    pub steps: Vec<Step<f64>>,
    /// The output of the last one.
    pub dst: Value<'a>,
}

impl<'a> Tail<'a> {
    /// What follows next of a value of this type of element; none if it is nothing of this kind.
    ///
    /// # Errors
    /// The host's.
    pub fn of(value: Value<'a>, element: i32, graph: &Graph<'a>) -> Result<Option<Self>> {
        match *graph.readers(value)?.as_slice() {
            [only] => Self::one(only, value, element),
            [a, b] if a != b => match Self::gate(value, [a, b], element, graph)? {
                Some(tail) => Ok(Some(tail)),
                None => Self::gate(value, [b, a], element, graph),
            },
            _ => Ok(None),
        }
    }

    /// A node that does something with the value and constants.
    fn one(node: Node<'a>, value: Value<'a>, element: i32) -> Result<Option<Self>> {
        let outputs: Vec<_> = node.outputs()?.into_iter().flatten().collect();
        let &[dst] = outputs.as_slice() else { return Ok(None) };
        let steps = steps(node, value, element)?;
        Ok(steps.map(|steps| Self { nodes: vec![node], steps, dst }))
    }

    /// A value that is multiplied by what other nodes, from `first` on, make of it.
    fn gate(
        value: Value<'a>,
        [first, product]: [Node<'a>; 2],
        element: i32,
        graph: &Graph<'a>,
    ) -> Result<Option<Self>> {
        let outputs: Vec<_> = product.outputs()?.into_iter().flatten().collect();
        let (&[dst], "Mul") = (outputs.as_slice(), product.operator()?.as_str()) else { return Ok(None) };
        let mut tail = Self { nodes: Vec::new(), steps: vec![Step::Note], dst: value };
        let mut next = first;
        while next != product {
            let Some(mut one) = Self::one(next, tail.dst, element)? else { return Ok(None) };
            // There is one place to note a value.
            if one.steps.contains(&Step::Note) {
                return Ok(None);
            }
            tail.nodes.append(&mut one.nodes);
            tail.steps.append(&mut one.steps);
            tail.dst = one.dst;
            let Some(reader) = graph.only_reader(tail.dst)? else { return Ok(None) };
            next = reader;
        }
        tail.nodes.push(product);
        tail.steps.push(Step::MultiplyByNoted);
        tail.dst = dst;
        Ok(Some(tail))
    }
}

/// What a node does with one of its inputs, all others being constants of one element; none if it is nothing of this kind.
fn steps(node: Node<'_>, value: Value<'_>, element: i32) -> Result<Option<Vec<Step<f64>>>> {
    let operator = node.operator()?;
    let inputs: Vec<_> = node.inputs()?.into_iter().flatten().collect();
    let own = value.name()?;
    let is_first = match inputs.first() {
        Some(first) => first.name()? == own,
        None => false,
    };
    let attribute = |name, otherwise| Ok::<_, Failure>(node.float(name)?.unwrap_or(otherwise));
    match (operator.as_str(), inputs.as_slice()) {
        ("Relu" | "Clip", _) if is_first => Ok(bounds(node)?.map(|[min, max]| vec![Step::Clamp(min, max)])),
        ("LeakyRelu", _) => Ok(Some(vec![Step::Steepen(attribute(c"alpha", 0.01)?.into())])),
        ("PRelu", &[_, slope]) if is_first => {
            Ok(scalar(slope, element)?.map(|slope| vec![Step::Steepen(slope)]))
        }
        ("HardSigmoid", _) => {
            let (alpha, beta) = (attribute(c"alpha", 0.2)?.into(), attribute(c"beta", 0.5)?.into());
            Ok(Some(vec![Step::Multiply(alpha), Step::Add(beta), Step::Clamp(0.0, 1.0)]))
        }
        ("HardSwish", _) => Ok(Some(vec![
            Step::Note,
            Step::Multiply(1.0 / 6.0),
            Step::Add(0.5),
            Step::Clamp(0.0, 1.0),
            Step::MultiplyByNoted,
        ])),
        ("Add" | "Sub" | "Mul" | "Div", &[first, second]) => {
            let Some(constant) = scalar(if is_first { second } else { first }, element)? else {
                return Ok(None);
            };
            let step = match operator.as_str() {
                "Add" => Step::Add(constant),
                "Mul" => Step::Multiply(constant),
                "Sub" if is_first => Step::Subtract(constant),
                "Div" if is_first => Step::Divide(constant),
                _ => return Ok(None),
            };
            Ok(Some(vec![step]))
        }
        _ => Ok(None),
    }
}
