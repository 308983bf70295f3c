//! The layers of fused nodes.

use std::collections::BTreeSet;
use std::sync::Arc;

use convlow::{Layout, Math};

use super::claims::Claimed;
use super::part::{Joined, Part, outputs};
use crate::between::Ready;
use crate::fuse::Chain;
use crate::host::{Failure, Graph, Node, Result, Value};
use crate::layer::{Input, JoinedLayer, JoinedPart, Layer, Places, Typed, arithmetic, layer, output_of};
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
    let mut places = Vec::new();
    for (part, inputs) in parts.iter().zip(&inputs) {
        places.push(part.chains().iter().map(|chain| inputs.places(chain)).collect::<Result<Vec<_>>>()?);
    }
    let chains = parts.iter().flat_map(Part::chains);
    let convolutions: Vec<_> = chains.zip(places.iter().flatten().map(Places::layouts)).collect();
    let mut maths = arithmetic(&convolutions, session)?.into_iter();
    let layer = |((part, inputs), places): ((&Part<'a>, Inputs<'_>), Vec<Places>)| {
        let maths: Vec<_> = maths.by_ref().take(places.len()).collect();
        if !part.is_worth(channels_last)? {
            return Err(Failure("ONNX Runtime has not taken all that convlow claims".to_string()));
        }
        match part {
            Part::Convolution(chain) => {
                layer(chain, places[0], output_of(chain.nodes[0])?, session, maths[0])
            }
            Part::Joined(joined) => joined_layer(joined, &inputs, &places, &maths, session),
            Part::Between(between) => {
                let indices = between.reads.iter().map(|&value| Ok(inputs.place(value)?.index));
                Ok(Box::new(Ready::new(between, indices.collect::<Result<_>>()?, session)))
            }
        }
    };
    parts.iter().zip(inputs).zip(places).map(layer).collect()
}

/// The layer of convolutions that write their channels of a joined tensor.
fn joined_layer(
    joined: &Joined<'_>,
    inputs: &Inputs<'_>,
    places: &[Places],
    maths: &[Math],
    session: &Arc<Session>,
) -> Result<Box<dyn Layer>> {
    let mut parts = Vec::new();
    for &value in &joined.join.reads {
        parts.push(match joined.chain_of(value)? {
            Some(at) => {
                let (chain, places) = (&joined.chains[at], Places { dst: Layout::Nhwc, ..places[at] });
                let layer = Typed::new(chain, places, output_of(chain.nodes[0])?, session, maths[at])?;
                JoinedPart::Written(Box::new(layer))
            }
            None => JoinedPart::Copied(inputs.place(value)?.index),
        });
    }
    Ok(Box::new(JoinedLayer::new(session, parts)))
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

    /// The places of a chain's tensors.
    fn places(&self, chain: &Chain<'_>) -> Result<Places> {
        Ok(Places {
            src: self.place(chain.src)?,
            residual: chain.residual.map(|value| self.place(value)).transpose()?,
            weights: self.index(chain.weights.computed())?,
            bias: self.index(chain.bias)?,
            dst: self.layout(&chain.dst.name()?),
        })
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
