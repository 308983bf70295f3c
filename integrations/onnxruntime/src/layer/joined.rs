//! Convolutions whose outputs are joined: each writes its own channels of the joined tensor.

use std::sync::Arc;

use super::places::Layer;
use super::typed::Typed;
use crate::between::Join;
use crate::fuse::{Chain, Origin};
use crate::host::{Call, Listed, Output, Result, Tensor};
use crate::session::Session;

/// Whether a convolution can write its output as channels of a wider tensor: it is of float32 and constant weights, and nothing
/// but the library's own end comes behind its sums.
pub fn can_be_joined(chain: &Chain<'_>) -> bool {
    let is_plain = chain.residual.is_none() && chain.ending.steps.is_empty() && !chain.ending.has_slopes_last;
    let is_constant = matches!(chain.weights.origin, Origin::Constant(_)) && chain.bias.is_none();
    chain.weights.element == f32::ELEMENT && is_plain && is_constant
}

/// Convolutions whose outputs are joined, channels last, perhaps with other tensors.
pub struct JoinedLayer {
    session: Arc<Session>,
    /// In the order of their channels.
    parts: Vec<JoinedPart>,
}

/// What some channels of the joined tensor come from.
pub enum JoinedPart {
    /// A convolution.
    Written(Box<Typed<f32>>),
    /// An input of the fused node, which is copied.
    Copied(usize),
}

impl JoinedLayer {
    pub fn new(session: &Arc<Session>, parts: Vec<JoinedPart>) -> Self {
        Self { session: session.clone(), parts }
    }
}

impl Layer for JoinedLayer {
    fn run(&self, call: Call<'_>, output: Output<'_>) -> Result<()> {
        self.session.begin();
        let threads = self.session.threads_of(&call)?;
        let input = |part: &JoinedPart| match part {
            JoinedPart::Written(layer) => layer.src(call),
            &JoinedPart::Copied(index) => call.input(index),
        };
        let inputs = self.parts.iter().map(input).collect::<Result<Vec<_>>>()?;
        let channels = |(part, input): (&JoinedPart, &Tensor<'_>)| match part {
            JoinedPart::Written(layer) => Some(layer.channels()),
            JoinedPart::Copied(_) => input.sizes.get(1).copied(),
        };
        let all: Option<usize> = self.parts.iter().zip(&inputs).map(channels).sum();
        let all = all.ok_or("an input of a Concat of channels has none")?;
        let (mut runs, mut sizes) = (Vec::new(), Vec::new());
        for (part, input) in self.parts.iter().zip(&inputs) {
            match part {
                JoinedPart::Written(layer) => {
                    let run = layer.begin(input, all, &threads)?;
                    sizes.push(run.dst_sizes().to_vec());
                    runs.push(Some(run));
                }
                JoinedPart::Copied(_) => {
                    sizes.push(input.sizes.clone());
                    runs.push(None);
                }
            }
        }
        let joined = Join::sizes(&sizes)?;
        let to = output.of::<f32>(&joined)?;
        if to.is_empty() {
            return Ok(());
        }
        let (mut first, mut copied) = (0, Vec::new());
        for ((run, input), sizes) in runs.iter().zip(&inputs).zip(&sizes) {
            match run {
                Some(run) => run.write(to, first)?,
                None => copied.push((first, input.elements::<f32>()?, sizes[1])),
            }
            first += sizes[1];
        }
        Join::copy(copied, all, to, &threads);
        Ok(())
    }
}
