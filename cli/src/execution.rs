//! One execute of a plan, whatever it computes: what it reads and what it writes.

#[cfg(feature = "training")]
use convlow::GradientArguments;
use convlow::{Element, Plan, Problem, Propagation, Result};

/// What is read, whole tensors in a problem's layouts. What a propagation does not read may be empty.
pub(crate) struct Operands<'a, T> {
    pub(crate) src: &'a [T],
    pub(crate) diff_dst: &'a [T],
    /// Plain ones, of which the plan's packed weights are made.
    pub(crate) weights: &'a [T],
    pub(crate) bias: &'a [T],
}

/// Elements of what is written: one image, or the gradient of the weights and behind it that of the bias, if it is asked for.
pub(crate) fn written_len(problem: &Problem, bias_gradient: bool) -> usize {
    match problem.propagation {
        Propagation::Forward => problem.dst_len(),
        Propagation::BackwardData => problem.src_len(),
        Propagation::BackwardWeights if bias_gradient => problem.weights_len() + problem.out_channels,
        Propagation::BackwardWeights => problem.weights_len(),
    }
}

/// Computes what the plan is for.
pub(crate) fn execute<T: Element>(
    plan: &Plan,
    operands: &Operands<'_, T>,
    packed: &[u8],
    written: &mut [T],
    workspace: &mut [T],
) -> Result<()> {
    let Operands { src, diff_dst, bias, .. } = *operands;
    match plan.problem().propagation {
        #[cfg(feature = "training")]
        Propagation::BackwardWeights => {
            let (weights, bias) = written.split_at_mut(plan.problem().weights_len());
            plan.execute_gradient(GradientArguments {
                src,
                diff_dst,
                diff_weights: Some(weights),
                diff_bias: Some(bias).filter(|bias| !bias.is_empty()),
                workspace,
                pool: None,
            })
        }
        Propagation::BackwardData => plan.execute(diff_dst, packed, None, written, workspace),
        // Forward: a build without `training` makes no plans of gradients.
        _ => plan.execute(src, packed, Some(bias), written, workspace),
    }
}
