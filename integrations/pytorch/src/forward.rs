//! The convolution itself: how it is planned for one problem, and how it runs.

use std::slice;

use convlow::{Arguments, DataType, Element, Info, Plan, Problem, WeightsFrom};

use crate::arguments::Forward;
use crate::formats::{STRIDES_UNKNOWN, channels_last, strides_unknown};
use crate::geometry::{Geometry, layout, layout_of, weights_layout};
use crate::settings::Settings;
use crate::tensor::{Shape, Tensor};
use crate::workspace::with_workspace;

/// About how many elements show that weights have changed.
const SAMPLES: usize = 16;

/// The tensors of a call, by their shapes.
pub struct Shapes {
    /// The input.
    pub input: Shape,
    /// The weights.
    pub weights: Shape,
    /// The other arguments.
    pub geometry: Geometry,
    /// The type of all elements.
    pub data_type: DataType,
}

/// A planned convolution.
pub struct ForwardPlan {
    plan: Plan,
    output: Shape,
    /// How the input is copied, where it lies in no order that is read.
    input_copy: Option<Shape>,
    weights_copy: Option<Shape>,
}

impl ForwardPlan {
    /// For tensors of these shapes.
    pub fn new(shapes: &Shapes, settings: &Settings, from: WeightsFrom) -> Result<Self, String> {
        let Shapes { input, weights, geometry, data_type } = shapes;
        let sized = geometry.problem(input, weights, *data_type)?;
        let last = channels_last(input, weights, geometry, *data_type == DataType::F32, settings.threads);
        let is_float32 = *data_type == DataType::F32;
        if last && strides_unknown(input, weights, geometry, is_float32, settings.threads, &sized.output) {
            return Err(STRIDES_UNKNOWN.to_owned());
        }
        let (src, order) = (layout_of(input, last), weights_layout(weights, geometry.transposed));
        let problem = Problem {
            src_layout: src.unwrap_or(layout(last)),
            dst_layout: layout(last),
            weights_layout: order.unwrap_or(Problem::UNIT.weights_layout),
            ..sized.problem
        };
        let plan = settings.plan(&problem, from).map_err(|error| error.to_string())?;
        Ok(Self {
            plan,
            output: Shape::packed(sized.output.sizes(), last),
            input_copy: src.is_none().then(|| Shape::packed(input.sizes(), last)),
            weights_copy: order.is_none().then(|| Shape::packed(weights.sizes(), false)),
        })
    }

    /// What is known of the plan.
    pub fn info(&self) -> &Info {
        self.plan.info()
    }

    /// What tells its packed weights from others'.
    pub fn packing_id(&self) -> u64 {
        self.plan.packing_id()
    }

    /// The bits of some elements of the weights, mixed.
    pub fn sample<T: Element>(&self, weights: &Tensor) -> u64 {
        if self.weights_copy.is_some() {
            return 0;
        }
        let bytes = self.plan.problem().weights_len() * size_of::<T>();
        // SAFETY: the weights have so many bytes from their first on, as they lie packed.
        let bytes = unsafe { slice::from_raw_parts(weights.data().cast::<u8>(), bytes) };
        let words = bytes.chunks_exact(4);
        let step = (words.len() / SAMPLES).max(1);
        words.step_by(step).fold(0, |mixed: u64, word| {
            let word = u32::from_ne_bytes(word.try_into().expect("four bytes"));
            (mixed.rotate_left(7) ^ u64::from(word)).wrapping_mul(0x517c_c1b7_2722_0a95)
        })
    }

    /// The weights packed for this plan.
    pub fn pack<T: Element>(&self, weights: &Tensor, dtype: i32, packed: &mut [u8]) -> Option<()> {
        let copy = copied(weights, self.weights_copy.as_ref(), dtype)?;
        let weights = copy.as_ref().unwrap_or(weights);
        // SAFETY: weights that are not copied have the problem's order and length, as copies have.
        let weights: &[T] = unsafe { elements(weights, self.plan.problem().weights_len()) };
        self.plan.pack_weights(weights, packed).ok()
    }

    /// The output; none if memory is short.
    pub fn run<T: Element>(&self, call: &Forward, dtype: i32, packed: Option<&[u8]>) -> Option<Tensor> {
        let problem = self.plan.problem();
        let input = copied(&call.input, self.input_copy.as_ref(), dtype)?;
        let weights = match packed {
            Some(_) => None,
            None => copied(&call.weights, self.weights_copy.as_ref(), dtype)?,
        };
        let output = Tensor::empty(&self.output, dtype)?;
        // SAFETY: tensors that are not copied have the problem's layouts and lengths, as copies have; the output is ours.
        let (src, weights, bias, dst) = unsafe {
            (
                elements::<T>(input.as_ref().unwrap_or(&call.input), problem.src_len()),
                elements(weights.as_ref().unwrap_or(&call.weights), problem.weights_len()),
                call.bias.as_ref().map(|bias| elements(bias, problem.out_channels)),
                elements_mut::<T>(&output, problem.dst_len()),
            )
        };
        let done = with_workspace(self.info().workspace_bytes, |workspace| {
            self.plan.execute_with(Arguments {
                src,
                packed: packed.unwrap_or(&[]),
                weights: packed.is_none().then_some(weights),
                bias,
                slopes: None,
                residual: None,
                dst,
                workspace,
                pool: None,
            })
        });
        done.then_some(output)
    }
}

/// The tensor in another place, where it needs one; the outer option is none if memory is short.
pub fn copied(tensor: &Tensor, shape: Option<&Shape>, dtype: i32) -> Option<Option<Tensor>> {
    match shape {
        None => Some(None),
        Some(shape) => tensor.copied(shape, dtype).map(Some),
    }
}

/// The elements of a tensor.
///
/// # Safety
/// The tensor has so many elements of this type from its first on, and nobody writes them during the call.
pub unsafe fn elements<T: Element>(tensor: &Tensor, len: usize) -> &[T] {
    // SAFETY: the caller's promise; PyTorch aligns elements.
    unsafe { slice::from_raw_parts(tensor.data().cast(), len) }
}

/// The elements of a tensor that this library has made.
///
/// # Safety
/// As [`elements`], and nobody else uses them.
#[expect(clippy::mut_from_ref, reason = "a tensor is a handle of its elements")]
pub unsafe fn elements_mut<T: Element>(tensor: &Tensor, len: usize) -> &mut [T] {
    // SAFETY: the caller's promise; PyTorch aligns elements.
    unsafe { slice::from_raw_parts_mut(tensor.data_mut().cast(), len) }
}
