//! The gradients: how they are planned for one problem, and how they run.

use convlow::{
    Arguments, DataType, Element, GradientArguments, Plan, Problem, Propagation, WeightsFrom, WeightsLayout,
};

use crate::arguments::Backward;
use crate::formats::{STRIDES_UNKNOWN, channels_last, strides_unknown, weights_last};
use crate::forward::{Shapes, copied, elements, elements_mut};
use crate::geometry::{layout, layout_of, weights_layout};
use crate::settings::Settings;
use crate::tensor::{Shape, Tensor};
use crate::workspace::with_workspace;

/// The planned gradients of one convolution, as far as they are asked for.
pub struct BackwardPlan {
    /// That of the input.
    pub of_input: Option<Plan>,
    /// Those of weights and bias.
    pub of_weights: Option<Plan>,
    mask: [bool; 3],
    /// The shapes of the gradients of input, weights and bias.
    results: [Shape; 3],
    /// How the gradient of the weights is computed, where not in the order in which it is returned.
    weights_computed: Option<Shape>,
    input_copy: Option<Shape>,
    weights_copy: Option<Shape>,
    grad_output_copy: Option<Shape>,
}

impl BackwardPlan {
    /// For tensors of these shapes.
    pub fn new(
        shapes: &Shapes,
        grad_output: &Shape,
        mask: [bool; 3],
        settings: &Settings,
    ) -> Result<Self, String> {
        let Shapes { input, weights, geometry, data_type } = shapes;
        let sized = geometry.problem(input, weights, *data_type)?;
        if grad_output.sizes() != sized.output.sizes() {
            return Err("a gradient of other sizes than the output".to_owned());
        }
        let last = channels_last(input, weights, geometry, *data_type == DataType::F32, settings.threads);
        let of_float32 = *data_type == DataType::F32;
        if last && strides_unknown(input, weights, geometry, of_float32, settings.threads, input) {
            return Err(STRIDES_UNKNOWN.to_owned());
        }
        let (src, dst) = (layout_of(input, last), layout_of(grad_output, last));
        let order = weights_layout(weights, geometry.transposed);
        let problem = Problem { dst_layout: dst.unwrap_or(layout(last)), ..sized.problem };
        let plan = |asked: bool, problem: Problem| match asked {
            true => settings.plan(&problem, WeightsFrom::Plain).map(Some).map_err(|error| error.to_string()),
            false => Ok(None),
        };
        let of_input = Problem {
            propagation: Propagation::BackwardData,
            src_layout: layout(last),
            weights_layout: order.unwrap_or(WeightsLayout::Oihw),
            ..problem
        };
        let in_order = last && !geometry.transposed;
        let of_weights = Problem {
            propagation: Propagation::BackwardWeights,
            src_layout: src.unwrap_or(layout(last)),
            weights_layout: if in_order { WeightsLayout::Ohwi } else { WeightsLayout::Oihw },
            ..problem
        };
        let weights_last = last && weights_last(input, weights, geometry, of_float32, settings.threads);
        let first = |shape: &Shape| Shape::packed(shape.sizes(), false);
        Ok(Self {
            of_input: plan(mask[0], of_input)?,
            of_weights: plan(mask[1] || mask[2], of_weights)?,
            mask,
            results: [
                Shape::packed(input.sizes(), last),
                Shape::packed(weights.sizes(), weights_last),
                Shape::packed(&sized.output.sizes()[1..2], false),
            ],
            weights_computed: (weights_last && geometry.transposed).then(|| first(weights)),
            input_copy: src.is_none().then(|| Shape::packed(input.sizes(), last)),
            weights_copy: order.is_none().then(|| first(weights)),
            grad_output_copy: dst.is_none().then(|| Shape::packed(grad_output.sizes(), last)),
        })
    }

    /// The gradients; none if memory is short.
    pub fn run<T: Element>(&self, call: &Backward, dtype: i32) -> Option<[Tensor; 3]> {
        let copy = copied(&call.grad_output, self.grad_output_copy.as_ref(), dtype)?;
        let grad_output = copy.as_ref().unwrap_or(&call.grad_output);
        let of_input = match &self.of_input {
            Some(plan) => self.gradient_of_input::<T>(plan, grad_output, call, dtype)?,
            None => Tensor::none()?,
        };
        let [of_weights, of_bias] = match &self.of_weights {
            Some(plan) => self.gradients_of_weights::<T>(plan, grad_output, call, dtype)?,
            None => [Tensor::none()?, Tensor::none()?],
        };
        Some([of_input, of_weights, of_bias])
    }

    fn gradient_of_input<T: Element>(
        &self,
        plan: &Plan,
        grad_output: &Tensor,
        call: &Backward,
        dtype: i32,
    ) -> Option<Tensor> {
        let problem = plan.problem();
        let copy = copied(&call.weights, self.weights_copy.as_ref(), dtype)?;
        let result = Tensor::empty(&self.results[0], dtype)?;
        // SAFETY: tensors that are not copied have the problem's layouts and lengths, as copies have; the result is ours.
        let (src, weights, dst) = unsafe {
            (
                elements::<T>(grad_output, problem.dst_len()),
                elements(copy.as_ref().unwrap_or(&call.weights), problem.weights_len()),
                elements_mut::<T>(&result, problem.src_len()),
            )
        };
        let done = with_workspace(plan.info().workspace_bytes, |workspace| {
            plan.execute_with(Arguments {
                src,
                packed: &[],
                weights: Some(weights),
                bias: None,
                slopes: None,
                residual: None,
                dst,
                workspace,
                pool: None,
            })
        });
        done.then_some(result)
    }

    fn gradients_of_weights<T: Element>(
        &self,
        plan: &Plan,
        grad_output: &Tensor,
        call: &Backward,
        dtype: i32,
    ) -> Option<[Tensor; 2]> {
        let (problem, [_, weights, bias]) = (plan.problem(), self.mask);
        let copy = copied(&call.input, self.input_copy.as_ref(), dtype)?;
        let computed = self.weights_computed.as_ref().unwrap_or(&self.results[1]);
        let of_weights = if weights { Tensor::empty(computed, dtype)? } else { Tensor::none()? };
        let of_bias = if bias { Tensor::empty(&self.results[2], dtype)? } else { Tensor::none()? };
        // SAFETY: tensors that are not copied have the problem's layouts and lengths, as copies have; the results are ours.
        let (src, diff_dst, diff_weights, diff_bias) = unsafe {
            (
                elements::<T>(copy.as_ref().unwrap_or(&call.input), problem.src_len()),
                elements(grad_output, problem.dst_len()),
                weights.then(|| elements_mut::<T>(&of_weights, problem.weights_len())),
                bias.then(|| elements_mut::<T>(&of_bias, problem.out_channels)),
            )
        };
        let done = with_workspace(plan.info().workspace_bytes, |workspace| {
            plan.execute_gradient(GradientArguments {
                src,
                diff_dst,
                diff_weights,
                diff_bias,
                workspace,
                pool: None,
            })
        });
        let of_weights = match &self.weights_computed {
            Some(_) if weights => of_weights.copied(&self.results[1], dtype)?,
            _ => of_weights,
        };
        done.then_some([of_weights, of_bias])
    }
}
