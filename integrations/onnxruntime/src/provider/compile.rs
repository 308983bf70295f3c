//! The layers of fused nodes.

use std::collections::BTreeSet;
use std::sync::Arc;

use convlow::Layout;

use super::claims::Claimed;
use super::part::{Part, outputs};
use crate::between::Ready;
use crate::host::{Failure, Graph, Node, Result, Value};
use crate::layer::{Input, Layer, Places, arithmetic, layer, output_of};
use crate::session::Session;

/// The layers of graphs whose nodes the host has fused.
///
/// # Errors
/// The host's, or the reason why convlow does not compute one of them.
pub fn layers<'a>(
    graphs: Vec<(Graph<'a>, Node<'a>)>,
    claimed: &Claimed,
    session: &Arc<Session>,
) -> Result<Vec<Box<dyn Layer>>> {
    let (graphs, fused): (Vec<_>, Vec<_>) = graphs.into_iter().unzip();
    let parts = graphs.into_iter().map(Part::of).collect::<Result<Vec<_>>>()?;
    // If the host does not take every claim, another node reads a value that convlow wanted for itself.
    let none = BTreeSet::new();
    let channels_last = if outputs(&parts)? == claimed.outputs { &claimed.channels_last } else { &none };
    let inputs = fused.iter().map(|&fused| Inputs::of(fused, channels_last)).collect::<Result<Vec<_>>>()?;
    let places = |(part, inputs): (&Part<'a>, &Inputs<'_>)| match part {
        Part::Convolution(chain) => Ok(Some(Places {
            src: inputs.place(chain.src)?,
            residual: chain.residual.map(|value| inputs.place(value)).transpose()?,
            weights: inputs.index(chain.weights.computed())?,
            bias: inputs.index(chain.bias)?,
            dst: inputs.layout(&chain.dst.name()?),
        })),
        Part::Between(_) => Ok(None),
    };
    let places = parts.iter().zip(&inputs).map(places).collect::<Result<Vec<_>>>()?;
    let convolutions: Vec<_> = parts
        .iter()
        .zip(&places)
        .filter_map(|(part, places)| match (part, places) {
            (Part::Convolution(chain), Some(places)) => Some((&**chain, places.layouts())),
            _ => None,
        })
        .collect();
    let mut maths = arithmetic(&convolutions, session)?.into_iter();
    let layer = |((part, inputs), places): ((&Part<'a>, Inputs<'_>), Option<Places>)| match (part, places) {
        (Part::Convolution(chain), Some(places)) => {
            let math = maths.next().expect("there is one for each convolution");
            layer(chain, places, output_of(chain.nodes[0])?, session, math)
        }
        (Part::Between(between), _) if between.is_worth(channels_last)? => {
            let indices = between.reads.iter().map(|&value| Ok(inputs.place(value)?.index));
            let ready = Ready::new(between, indices.collect::<Result<_>>()?, session);
            Ok(Box::new(ready) as Box<dyn Layer>)
        }
        _ => Err(Failure("ONNX Runtime has not taken all that convlow claims".to_string())),
    };
    parts.iter().zip(inputs).zip(places).map(layer).collect()
}

/// The inputs of a fused node, and the values that lie channels last.
struct Inputs<'s> {
    names: Vec<String>,
    channels_last: &'s BTreeSet<String>,
}

impl<'s> Inputs<'s> {
    fn of(fused: Node<'_>, channels_last: &'s BTreeSet<String>) -> Result<Self> {
        let names = fused.inputs()?.into_iter().flatten().map(Value::name).collect::<Result<_>>()?;
        Ok(Self { names, channels_last })
    }

    fn layout(&self, name: &str) -> Layout {
        if self.channels_last.contains(name) { Layout::Nhwc } else { Layout::Nchw }
    }

    /// Where a value is among the inputs, if there is one.
    fn index(&self, value: Option<Value<'_>>) -> Result<Option<usize>> {
        value.map(|value| Ok(self.place(value)?.index)).transpose()
    }

    /// Where a value is among the inputs, and how it lies.
    fn place(&self, value: Value<'_>) -> Result<Input> {
        let name = value.name()?;
        let index = self.names.iter().position(|own| *own == name);
        let index = index
            .ok_or_else(|| Failure(format!("convlow has a defect: {name} is no input of its fused node")))?;
        Ok(Input { index, layout: self.layout(&name) })
    }
}
