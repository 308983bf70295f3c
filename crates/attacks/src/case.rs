//! The common parts of the attacks: small problems from the bytes of a fuzzer, and calls of the C functions.

use std::ffi::{CStr, c_void};
use std::mem::MaybeUninit;
use std::ptr::null_mut;

use arbitrary::{Arbitrary, Result, Unstructured};
use convlow::ffi::execute::{
    convlow_execute_args_init, convlow_execute_with, convlow_pack_weights, convlow_pack_weights_f64,
};
use convlow::ffi::plan::{
    PlanHandle, convlow_plan_create_nd, convlow_plan_destroy, convlow_plan_get_info,
    convlow_plan_options_init,
};
use convlow::ffi::problem::convlow_convnd_desc_init;
use convlow::ffi::status::{CONVLOW_ERROR_INTERNAL, CONVLOW_OK, Status, convlow_last_error_message};
use convlow::ffi::types::{
    CONVLOW_ACTIVATION_CLAMP, CONVLOW_ACTIVATION_GELU, CONVLOW_ACTIVATION_GELU_TANH,
    CONVLOW_ACTIVATION_HARD_SIGMOID, CONVLOW_ACTIVATION_HARD_SWISH, CONVLOW_ACTIVATION_LEAKY_RELU,
    CONVLOW_ACTIVATION_NONE, CONVLOW_ACTIVATION_PRELU, CONVLOW_ACTIVATION_SIGMOID, CONVLOW_ACTIVATION_SILU,
    CONVLOW_ACTIVATION_TANH, CONVLOW_LAYOUT_NCHW, CONVLOW_LAYOUT_NHWC, CONVLOW_OPERATION_CONV_TRANSPOSE,
    CONVLOW_PROPAGATION_BACKWARD_DATA, CONVLOW_PROPAGATION_BACKWARD_WEIGHTS, CONVLOW_PROPAGATION_FORWARD,
    CONVLOW_TYPE_F64, CONVLOW_WEIGHTS_HWIO, CONVLOW_WEIGHTS_OHWI, CONVLOW_WEIGHTS_OIHW, ConvNdDesc,
    ExecuteArgs, PlanInfo, PlanOptions,
};
use convlow::{
    Activation, Arguments, Axis, DataType, Element, GradientArguments, Layout, Operation, Problem,
    Propagation, Strides, WeightsLayout,
};

/// Multiplications of one problem at most, so that the definition keeps up.
pub const MAX_MACS: usize = 100_000;

/// A small problem, valid or nearly so: what is wrong with it is for the library to find.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// Its sizes, unchecked.
    pub problem: Problem,
    /// One, two or three: the last axes count.
    pub dims: usize,
}

/// An activation in place of the case's, with parameters of which some are out of the ordinary. Inputs have it at
/// their end, so that those which end before it keep their meaning.
#[derive(Arbitrary, Debug, Clone, Copy)]
pub struct Function {
    kind: u8,
    eighths: [i8; 2],
    large: u8,
}

impl Function {
    fn activation(self) -> Activation {
        let unit = if self.large < 16 { 2f64.powi(37) } else { 0.125 };
        let [alpha, beta] = self.eighths.map(|eighths| f64::from(eighths) * unit);
        match self.kind % 9 {
            0 => Activation::LeakyRelu { alpha },
            1 => Activation::HardSigmoid { alpha, beta },
            2 => Activation::HardSwish { alpha, beta },
            3 => Activation::Sigmoid,
            4 => Activation::Silu { alpha },
            5 => Activation::Tanh,
            6 => Activation::Gelu,
            7 => Activation::GeluTanh,
            _ => Activation::Prelu,
        }
    }
}

impl<'a> Arbitrary<'a> for Case {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let dims = u.int_in_range(1..=3)?;
        let transposed = u.ratio(1, 4)?;
        let groups = u.int_in_range(1..=4)?;
        let mut problem = Problem {
            data_type: if u.ratio(1, 4)? { DataType::F64 } else { DataType::F32 },
            batch: u.int_in_range(1..=3)?,
            groups,
            in_channels: groups * u.int_in_range(1..=20)?,
            out_channels: groups * u.int_in_range(1..=20)?,
            src_layout: *u.choose(&[Layout::Nchw, Layout::Nhwc])?,
            dst_layout: *u.choose(&[Layout::Nchw, Layout::Nhwc])?,
            weights_layout: *u.choose(&[WeightsLayout::Oihw, WeightsLayout::Hwio, WeightsLayout::Ohwi])?,
            accumulate: u.arbitrary()?,
            activation: if u.ratio(1, 3)? {
                Activation::Clamp {
                    min: u.int_in_range(-9..=9)?.into(),
                    max: u.int_in_range(-2..=99)?.into(),
                }
            } else {
                Activation::None
            },
            operation: if transposed { Operation::ConvTranspose } else { Operation::Conv },
            ..Problem::UNIT
        };
        let longest = [30, 12, 6][dims - 1];
        for axis in [&mut problem.planes, &mut problem.rows, &mut problem.cols].into_iter().skip(3 - dims) {
            *axis = Axis {
                stride: u.int_in_range(1..=4)?,
                dilation: u.int_in_range(1..=3)?,
                pad_before: u.int_in_range(0..=5)?,
                pad_after: u.int_in_range(0..=5)?,
                output_padding: if transposed { u.int_in_range(0..=3)? } else { 0 },
                ..Axis::dense(u.int_in_range(1..=longest)?, u.int_in_range(1..=5)?)
            };
        }
        // Steps that are a little more than packed ones, where the sizes are valid.
        if let Ok(valid) = Problem::new(problem)
            && u.ratio(1, 3)?
        {
            let mut strides = |packed: usize, runs: usize| -> Result<Strides> {
                let channel = packed + u.int_in_range(0..=3)?;
                let batch = if u.arbitrary()? { channel * runs + u.int_in_range(0..=5)? } else { 0 };
                Ok(Strides { channel, batch })
            };
            let [src_step, dst_step] = valid.channel_strides();
            let runs = |layout, channels, pixels| if layout == Layout::Nhwc { pixels } else { channels };
            problem.src_strides =
                strides(src_step, runs(valid.src_layout, valid.in_channels, valid.in_pixels()))?;
            problem.dst_strides =
                strides(dst_step, runs(valid.dst_layout, valid.out_channels, valid.out_pixels()))?;
        }
        Ok(Self { problem, dims })
    }
}

impl Case {
    /// The same problem with this activation, if there is one.
    pub fn with(mut self, function: Option<Function>) -> Self {
        self.problem.activation = function.map_or(self.problem.activation, Function::activation);
        self
    }

    /// The same problem with another of its tensors computed.
    pub fn propagated(mut self, propagation: Propagation) -> Self {
        self.problem.propagation = propagation;
        self
    }

    /// The problem as C describes it.
    pub fn desc(&self) -> ConvNdDesc {
        let Problem { src_strides, dst_strides, .. } = self.problem;
        let layout = |layout| match layout {
            Layout::Nchw => CONVLOW_LAYOUT_NCHW,
            Layout::Nhwc => CONVLOW_LAYOUT_NHWC,
        };
        let mut desc = initialised(convlow_convnd_desc_init);
        if self.problem.operation == Operation::ConvTranspose {
            desc.operation = CONVLOW_OPERATION_CONV_TRANSPOSE;
        }
        desc.propagation = match self.problem.propagation {
            Propagation::Forward => CONVLOW_PROPAGATION_FORWARD,
            Propagation::BackwardData => CONVLOW_PROPAGATION_BACKWARD_DATA,
            Propagation::BackwardWeights => CONVLOW_PROPAGATION_BACKWARD_WEIGHTS,
        };
        if self.problem.data_type == DataType::F64 {
            desc.r#type = CONVLOW_TYPE_F64;
        }
        desc.spatial_dims = self.dims as i32;
        desc.src_layout = layout(self.problem.src_layout);
        desc.dst_layout = layout(self.problem.dst_layout);
        desc.weights_layout = match self.problem.weights_layout {
            WeightsLayout::Oihw => CONVLOW_WEIGHTS_OIHW,
            WeightsLayout::Hwio => CONVLOW_WEIGHTS_HWIO,
            WeightsLayout::Ohwi => CONVLOW_WEIGHTS_OHWI,
        };
        set_activation(&mut desc, self.problem.activation);
        desc.accumulate = self.problem.accumulate.into();
        desc.batch = self.problem.batch;
        desc.in_channels = self.problem.in_channels;
        desc.out_channels = self.problem.out_channels;
        desc.groups = self.problem.groups;
        for (at, axis) in self.problem.axes().into_iter().skip(3 - self.dims).enumerate() {
            desc.in_size[at] = axis.input;
            desc.kernel_size[at] = axis.kernel;
            desc.stride[at] = axis.stride;
            desc.dilation[at] = axis.dilation;
            desc.pad_before[at] = axis.pad_before;
            desc.pad_after[at] = axis.pad_after;
            desc.output_padding[at] = axis.output_padding;
        }
        (desc.src_channel_stride, desc.src_batch_stride) = (src_strides.channel, src_strides.batch);
        (desc.dst_channel_stride, desc.dst_batch_stride) = (dst_strides.channel, dst_strides.batch);
        desc
    }
}

/// The activation and its parameters, as C has them.
fn set_activation(desc: &mut ConvNdDesc, activation: Activation) {
    desc.activation = match activation {
        Activation::None => CONVLOW_ACTIVATION_NONE,
        Activation::Clamp { min, max } => {
            (desc.activation_min, desc.activation_max) = (min, max);
            CONVLOW_ACTIVATION_CLAMP
        }
        Activation::LeakyRelu { alpha } => {
            desc.activation_alpha = alpha;
            CONVLOW_ACTIVATION_LEAKY_RELU
        }
        Activation::HardSigmoid { alpha, beta } => {
            (desc.activation_alpha, desc.activation_beta) = (alpha, beta);
            CONVLOW_ACTIVATION_HARD_SIGMOID
        }
        Activation::HardSwish { alpha, beta } => {
            (desc.activation_alpha, desc.activation_beta) = (alpha, beta);
            CONVLOW_ACTIVATION_HARD_SWISH
        }
        Activation::Sigmoid => CONVLOW_ACTIVATION_SIGMOID,
        Activation::Silu { alpha } => {
            desc.activation_alpha = alpha;
            CONVLOW_ACTIVATION_SILU
        }
        Activation::Tanh => CONVLOW_ACTIVATION_TANH,
        Activation::Gelu => CONVLOW_ACTIVATION_GELU,
        Activation::GeluTanh => CONVLOW_ACTIVATION_GELU_TANH,
        Activation::Prelu => CONVLOW_ACTIVATION_PRELU,
    };
}

/// A struct of the C surface as its own function fills it.
pub fn initialised<T>(init: unsafe extern "C" fn(*mut T, usize)) -> T {
    let mut value = MaybeUninit::zeroed();
    // SAFETY: the place has that many bytes, of which the function writes all; zeros are values of these structs too.
    unsafe {
        init(value.as_mut_ptr(), size_of::<T>());
        value.assume_init()
    }
}

/// The default options.
pub fn default_options() -> PlanOptions {
    initialised(convlow_plan_options_init)
}

/// This thread's last error.
pub fn message() -> String {
    // SAFETY: the message is a C string that lives until the next failure.
    unsafe { CStr::from_ptr(convlow_last_error_message()) }.to_string_lossy().into_owned()
}

/// Holds a status to be success, or a refusal that is the caller's fault and says why.
pub fn answered(status: Status) -> bool {
    if status != CONVLOW_OK {
        assert!((1..CONVLOW_ERROR_INTERNAL).contains(&status), "status {status}: {}", message());
        assert!(!message().is_empty(), "status {status} says nothing");
    }
    status == CONVLOW_OK
}

/// A plan of the C surface.
pub struct CPlan(*mut PlanHandle);

impl CPlan {
    /// The plan, or the status that it was refused with.
    ///
    /// # Errors
    /// The status.
    ///
    /// # Safety
    /// The options' pool is one of the library's, or NULL.
    pub unsafe fn new(desc: &ConvNdDesc, options: &PlanOptions) -> std::result::Result<Self, Status> {
        let mut plan = null_mut();
        // SAFETY: valid structs and a place, and the caller's promise.
        let status = unsafe { convlow_plan_create_nd(desc, options, &mut plan) };
        if !answered(status) {
            assert!(plan.is_null(), "a refused plan was written");
            return Err(status);
        }
        Ok(Self(plan))
    }

    /// What was chosen.
    pub fn info(&self) -> PlanInfo {
        let mut info = MaybeUninit::<PlanInfo>::zeroed();
        // SAFETY: zeros are an info, whose first field is its size; the plan lives.
        unsafe {
            info.as_mut_ptr().cast::<usize>().write(size_of::<PlanInfo>());
            assert!(answered(convlow_plan_get_info(self.0, info.as_mut_ptr())));
            info.assume_init()
        }
    }

    /// Packs weights.
    pub fn pack<T: Element>(&self, weights: &[T], packed: &mut [u8]) {
        let (to, bytes) = (packed.as_mut_ptr().cast::<c_void>(), packed.len());
        // SAFETY: slices of the plan's lengths and type.
        let status = unsafe {
            match T::TYPE {
                DataType::F32 => convlow_pack_weights(self.0, weights.as_ptr().cast(), to, bytes),
                DataType::F64 => convlow_pack_weights_f64(self.0, weights.as_ptr().cast(), to, bytes),
            }
        };
        assert!(answered(status), "{}", message());
    }

    /// Executes.
    pub fn execute<T: Element>(&self, arguments: Arguments<'_, T>) -> Status {
        let Arguments { src, packed, bias, slopes, dst, workspace, .. } = arguments;
        let args = ExecuteArgs {
            src: src.as_ptr().cast(),
            packed_weights: packed.as_ptr().cast(),
            bias: bias.map_or(std::ptr::null(), |bias| bias.as_ptr().cast()),
            slopes: slopes.map_or(std::ptr::null(), |slopes| slopes.as_ptr().cast()),
            dst: dst.as_mut_ptr().cast(),
            // A plan reads and writes these or those.
            diff_dst: src.as_ptr().cast(),
            diff_src: dst.as_mut_ptr().cast(),
            workspace: workspace.as_mut_ptr().cast(),
            workspace_bytes: size_of_val(workspace),
            ..initialised(convlow_execute_args_init)
        };
        // SAFETY: slices of the plan's lengths and type.
        unsafe { convlow_execute_with(self.0, &args) }
    }

    /// Executes a plan of the gradients of the weights and of the bias.
    pub fn execute_gradient<T: Element>(&self, arguments: GradientArguments<'_, T>) -> Status {
        let GradientArguments { src, diff_dst, diff_weights, diff_bias, workspace, .. } = arguments;
        let place = |slice: Option<&mut [T]>| slice.map_or(null_mut(), |slice| slice.as_mut_ptr().cast());
        let args = ExecuteArgs {
            src: src.as_ptr().cast(),
            diff_dst: diff_dst.as_ptr().cast(),
            diff_weights: place(diff_weights),
            diff_bias: place(diff_bias),
            workspace: workspace.as_mut_ptr().cast(),
            workspace_bytes: size_of_val(workspace),
            ..initialised(convlow_execute_args_init)
        };
        // SAFETY: slices of the plan's lengths and type.
        unsafe { convlow_execute_with(self.0, &args) }
    }
}

impl Drop for CPlan {
    fn drop(&mut self) {
        // SAFETY: the plan is its own and destroyed once.
        unsafe { convlow_plan_destroy(self.0) }
    }
}
