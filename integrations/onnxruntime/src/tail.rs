//! What the end of a chain computes of each output alone: arithmetic with constants, bounds, and activations like HardSwish
//! that multiply a value by what they make of it.
//!
//! ONNX Runtime reads and writes a tensor for each of these operators. Here all of them are done with a few outputs after the
//! other, in the order and in the type in which the model says them, so that the bits are the same.

use pulp::WithSimd;

use crate::chain::bounds;
use crate::host::{Graph, Node, Number, Result, Value};
use crate::line::numbers;

/// Outputs that all steps are done with before the next ones.
const BLOCK: usize = 256;

/// What is done with a value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Step<T> {
    Add(T),
    Subtract(T),
    Multiply(T),
    Divide(T),
    Clamp(T, T),
    /// Multiplies what is negative.
    Steepen(T),
    /// Notes the value as it is.
    Note,
    /// Multiplies it by the noted one.
    MultiplyByNoted,
}

impl Step<f64> {
    /// The same in elements of another type.
    pub fn of_type<T: Number>(self) -> Step<T> {
        let of = T::from_f64;
        match self {
            Self::Add(value) => Step::Add(of(value)),
            Self::Subtract(value) => Step::Subtract(of(value)),
            Self::Multiply(value) => Step::Multiply(of(value)),
            Self::Divide(value) => Step::Divide(of(value)),
            Self::Clamp(min, max) => Step::Clamp(of(min), of(max)),
            Self::Steepen(slope) => Step::Steepen(of(slope)),
            Self::Note => Step::Note,
            Self::MultiplyByNoted => Step::MultiplyByNoted,
        }
    }
}

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
    let attribute = |name, otherwise| Ok::<_, crate::host::Failure>(node.float(name)?.unwrap_or(otherwise));
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

/// A constant of one element, which gives what it is combined with no further dimension.
fn scalar(value: Value<'_>, element: i32) -> Result<Option<f64>> {
    let Some(tensor) = value.constant()? else { return Ok(None) };
    if tensor.len() != 1 || tensor.element != element || tensor.sizes.len() > 3 {
        return Ok(None);
    }
    Ok(numbers(&tensor)?.first().copied())
}

/// All steps with some outputs. A closure would not be compiled for the vectors that are there.
pub struct Steps<'a, T> {
    pub steps: &'a [Step<T>],
    pub values: &'a mut [T],
}

impl<T: Number> WithSimd for Steps<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        let mut noted = [T::from_f64(0.0); BLOCK];
        for values in self.values.chunks_mut(BLOCK) {
            for &step in self.steps {
                match step {
                    Step::Add(constant) => values.iter_mut().for_each(|value| *value += constant),
                    Step::Subtract(constant) => values.iter_mut().for_each(|value| *value -= constant),
                    Step::Multiply(constant) => values.iter_mut().for_each(|value| *value *= constant),
                    Step::Divide(constant) => values.iter_mut().for_each(|value| *value /= constant),
                    Step::Clamp(min, max) => {
                        values.iter_mut().for_each(|value| *value = value.clamped(min, max));
                    }
                    Step::Steepen(slope) => {
                        values.iter_mut().for_each(|value| *value = value.steepened(slope));
                    }
                    Step::Note => noted[..values.len()].copy_from_slice(values),
                    Step::MultiplyByNoted => {
                        values.iter_mut().zip(&noted).for_each(|(value, &noted)| *value *= noted);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after<T: Number>(steps: &[Step<f64>], values: &[T]) -> Vec<T> {
        let steps: Vec<Step<T>> = steps.iter().map(|step| step.of_type()).collect();
        let mut values = values.to_vec();
        pulp::Arch::new().dispatch(Steps { steps: &steps, values: &mut values });
        values
    }

    #[test]
    fn steps_are_done_in_their_order_with_every_value() {
        let values: Vec<f32> = (0..3 * BLOCK + 5).map(|at| at as f32 / 100.0 - 4.0).collect();
        let swish =
            [Step::Note, Step::Add(3.0), Step::Clamp(0.0, 6.0), Step::MultiplyByNoted, Step::Divide(6.0)];
        for (x, y) in values.iter().zip(after(&swish, &values)) {
            assert_eq!(y, (x + 3.0).clamp(0.0, 6.0) * x / 6.0);
        }
        let line = [Step::Subtract(1.0), Step::Multiply(2.0), Step::Steepen(0.5)];
        assert_eq!(after(&line, &[0.0, 1.0, 3.0f64]), [-1.0, 0.0, 4.0]);
    }

    #[test]
    fn what_is_no_number_stays_none() {
        let steps = [Step::Note, Step::Clamp(0.0, 6.0), Step::MultiplyByNoted];
        assert!(after(&steps, &[f32::NAN])[0].is_nan());
        assert_eq!(after(&steps, &[f32::INFINITY, f32::NEG_INFINITY])[0], f32::INFINITY);
    }
}
