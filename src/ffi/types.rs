//! The structs and constants of the C surface.

#![allow(rustdoc::broken_intra_doc_links)] // C's subscripts are no links.

use std::ffi::{c_char, c_void};

use super::pool::PoolHandle;
use crate::problem::DataType;

/// Batch, channel, row, column: channels first, whatever the number of axes.
pub const CONVLOW_LAYOUT_NCHW: i32 = 0;
/// Batch, row, column, channel: channels last.
pub const CONVLOW_LAYOUT_NHWC: i32 = 1;

/// out_channels x in_channels/groups x the kernel's axes, as PyTorch and ONNX; of a transposed convolution in_channels x
/// out_channels/groups x axes, as the same two.
pub const CONVLOW_WEIGHTS_OIHW: i32 = 0;
/// The kernel's axes x in_channels/groups x out_channels, as TensorFlow; of a transposed convolution axes x
/// out_channels/groups x in_channels.
pub const CONVLOW_WEIGHTS_HWIO: i32 = 1;
/// out_channels x the kernel's axes x in_channels/groups, as TensorFlow Lite, transposed too.
pub const CONVLOW_WEIGHTS_OHWI: i32 = 2;

/// A convolution, as ONNX Conv.
pub const CONVLOW_OPERATION_CONV: i32 = 0;
/// A transposed convolution, as ONNX ConvTranspose: each input pixel adds the kernel, times its value, to the output around
/// position * stride - pad_before.
pub const CONVLOW_OPERATION_CONV_TRANSPOSE: i32 = 1;

/// float
pub const CONVLOW_TYPE_F32: i32 = 0;
/// double: convlow_pack_weights_f64 and convlow_execute_f64, or convlow_execute_with.
pub const CONVLOW_TYPE_F64: i32 = 1;
const _: () = assert!(CONVLOW_TYPE_F32 == DataType::F32 as i32 && CONVLOW_TYPE_F64 == DataType::F64 as i32);

/// y
pub const CONVLOW_ACTIVATION_NONE: i32 = 0;
/// min(max(y, activation_min), activation_max); a NaN stays a NaN. ReLU is [0, INFINITY], ReLU6 is [0, 6].
pub const CONVLOW_ACTIVATION_CLAMP: i32 = 1;
/// y < 0 ? activation_alpha * y : y; activation_alpha is 0.01 by default.
pub const CONVLOW_ACTIVATION_LEAKY_RELU: i32 = 2;
/// min(max(activation_alpha * y + activation_beta, 0), 1); by default 1/6 and 1/2.
pub const CONVLOW_ACTIVATION_HARD_SIGMOID: i32 = 3;
/// y * min(max(activation_alpha * y + activation_beta, 0), 1); by default 1/6 and 1/2.
pub const CONVLOW_ACTIVATION_HARD_SWISH: i32 = 4;
/// 1 / (1 + exp(-y))
pub const CONVLOW_ACTIVATION_SIGMOID: i32 = 5;
/// y / (1 + exp(-activation_alpha * y)); activation_alpha is 1 by default.
pub const CONVLOW_ACTIVATION_SILU: i32 = 6;
/// tanh(y)
pub const CONVLOW_ACTIVATION_TANH: i32 = 7;
/// y / 2 * (1 + erf(y / sqrt(2)))
pub const CONVLOW_ACTIVATION_GELU: i32 = 8;
/// y / 2 * (1 + tanh(sqrt(2 / pi) * (y + 0.044715 * y^3)))
pub const CONVLOW_ACTIVATION_GELU_TANH: i32 = 9;
/// y < 0 ? slopes[m] * y : y for output channel m, with slopes of convlow_execute_args.
pub const CONVLOW_ACTIVATION_PRELU: i32 = 10;

/// The planner chooses. Other algorithms are named by the ids of convlow_algorithm_at.
pub const CONVLOW_ALGORITHM_AUTO: i32 = 0;

/// Only algorithms that form every product of the definition.
pub const CONVLOW_MATH_EXACT: i32 = 0;
/// Winograd allowed too, which rounds differently: the README states each algorithm's error.
pub const CONVLOW_MATH_FAST: i32 = 1;

/// No measuring: wisdom where there is some, else a cost model. Takes microseconds.
pub const CONVLOW_EFFORT_ESTIMATE: i32 = 0;
/// Times the candidates within max_workspace_bytes, measure_budget_seconds and measure_max_bytes.
pub const CONVLOW_EFFORT_MEASURE: i32 = 1;

/// No GEMM is asked for: CONVLOW_ALGORITHM_AUTO takes what runs on the library's own kernels or on plain loops, which
/// allocates nothing in execute. An algorithm by name that needs a GEMM gets the one of this build that is estimated quicker
/// on one thread, whatever the number of threads; a BLAS only where the sizes fit its integer. In convlow_plan_info: plain
/// loops serve, as in "direct-sum2d".
pub const CONVLOW_GEMM_AUTO: i32 = 0;
/// The system's BLAS. CONVLOW_ALGORITHM_AUTO then takes what calls it; "direct-sum2d", which calls no GEMM, where nothing
/// else serves or a call costs more than the arithmetic.
pub const CONVLOW_GEMM_BLAS: i32 = 1;
/// The embedded GEMM, as above.
pub const CONVLOW_GEMM_EMBEDDED: i32 = 2;
/// In convlow_plan_info alone: the library's own kernels, made for convolution, serve in place of a GEMM. CONVLOW_GEMM_AUTO
/// asks for them; as an option it is CONVLOW_ERROR_INVALID_ARGUMENT.
pub const CONVLOW_GEMM_KERNELS: i32 = 3;

/// A two-dimensional convolution. Fill it with convlow_conv2d_desc_init, then set what differs. Batch, groups,
/// dilation, stride and padding mean what ONNX Conv says.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Conv2dDesc {
    /// sizeof(convlow_conv2d_desc) as the caller was compiled; a shorter one leaves the rest at its defaults.
    pub struct_size: usize,
    /// CONVLOW_LAYOUT_...; default NCHW.
    pub src_layout: i32,
    /// CONVLOW_LAYOUT_...; may differ from src_layout. Default NCHW.
    pub dst_layout: i32,
    /// CONVLOW_WEIGHTS_...; default OIHW.
    pub weights_layout: i32,
    /// CONVLOW_ACTIVATION_...; default NONE.
    pub activation: i32,
    /// Images; default 1.
    pub batch: usize,
    /// Input channels of all groups.
    pub in_channels: usize,
    /// Rows of the input.
    pub in_height: usize,
    /// Columns of the input.
    pub in_width: usize,
    /// Output channels of all groups.
    pub out_channels: usize,
    /// Rows of the kernel.
    pub kernel_height: usize,
    /// Columns of the kernel.
    pub kernel_width: usize,
    /// Input rows from one output row to the next; default 1.
    pub stride_height: usize,
    /// Input columns from one output column to the next; default 1.
    pub stride_width: usize,
    /// Input rows from one kernel row to the next; 1, the default, is dense.
    pub dilation_height: usize,
    /// Input columns from one kernel column to the next; 1, the default, is dense.
    pub dilation_width: usize,
    /// Absent rows above the input; default 0. Any padding may exceed the kernel.
    pub pad_top: usize,
    /// Absent columns left of the input; default 0.
    pub pad_left: usize,
    /// Absent rows below the input; default 0.
    pub pad_bottom: usize,
    /// Absent columns right of the input; default 0.
    pub pad_right: usize,
    /// Groups of channels, convolved apart; must divide both channel counts. Default 1.
    pub groups: usize,
    /// Least output, used with CONVLOW_ACTIVATION_CLAMP; default -INFINITY.
    pub activation_min: f32,
    /// Greatest output, used with CONVLOW_ACTIVATION_CLAMP; default INFINITY.
    pub activation_max: f32,
    /// Non-zero: dst = activation(convolution + bias + dst). Default 0.
    pub accumulate: i32,
    /// Parameter of the activations that have one; NaN, the default, asks for the activation's own default. An infinity is
    /// CONVLOW_ERROR_INVALID_ARGUMENT.
    pub activation_alpha: f64,
    /// The same of the activations that have two.
    pub activation_beta: f64,
}

/// A convolution of one, two or three dimensions, or a transposed one. Fill it with convlow_convnd_desc_init, then set what
/// differs. Of the arrays the first spatial_dims elements count, outermost axis first; the others stay as they are filled in.
/// Batch, groups, dilation, stride and padding mean what ONNX Conv and ConvTranspose say.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct ConvNdDesc {
    /// sizeof(convlow_convnd_desc) as the caller was compiled; a shorter one leaves the rest at its defaults.
    pub struct_size: usize,
    /// CONVLOW_OPERATION_...; default CONV.
    pub operation: i32,
    /// CONVLOW_TYPE_... of all tensors; default F32.
    pub r#type: i32,
    /// Axes beside batch and channels: 1, 2 or 3; default 2.
    pub spatial_dims: i32,
    /// CONVLOW_LAYOUT_...; default NCHW.
    pub src_layout: i32,
    /// CONVLOW_LAYOUT_...; may differ from src_layout. Default NCHW.
    pub dst_layout: i32,
    /// CONVLOW_WEIGHTS_...; default OIHW.
    pub weights_layout: i32,
    /// CONVLOW_ACTIVATION_...; default NONE.
    pub activation: i32,
    /// Non-zero: dst = activation(convolution + bias + dst), or + residual in convlow_execute_with. Default 0.
    pub accumulate: i32,
    /// Images; default 1.
    pub batch: usize,
    /// Input channels of all groups.
    pub in_channels: usize,
    /// Output channels of all groups.
    pub out_channels: usize,
    /// Groups of channels, convolved apart; must divide both channel counts. Default 1.
    pub groups: usize,
    /// Input positions.
    pub in_size: [usize; 3],
    /// Positions of the kernel.
    pub kernel_size: [usize; 3],
    /// Input positions from one output to the next, transposed: output positions from one input to the next; default 1.
    pub stride: [usize; 3],
    /// The same from one position of the kernel to the next; 1, the default, is dense.
    pub dilation: [usize; 3],
    /// Absent positions before the input, transposed: what is cut off the output there; default 0.
    pub pad_before: [usize; 3],
    /// The same behind it.
    pub pad_after: [usize; 3],
    /// Outputs behind those that a transposed convolution reaches; less than its stride or its dilation. Default 0.
    pub output_padding: [usize; 3],
    /// Least output, used with CONVLOW_ACTIVATION_CLAMP; default -INFINITY.
    pub activation_min: f64,
    /// Greatest output, used with CONVLOW_ACTIVATION_CLAMP; default INFINITY.
    pub activation_max: f64,
    /// Elements from pixel to pixel of src with channels last, from plane to plane with channels first (a plane's rows are
    /// dense): more than packed where src is a slice of a wider tensor. 0, the default: packed.
    pub src_channel_stride: usize,
    /// Elements from image to image of src; 0, the default: one behind the other.
    pub src_batch_stride: usize,
    /// The same of dst from pixel to pixel or plane to plane.
    pub dst_channel_stride: usize,
    /// The same of dst from image to image.
    pub dst_batch_stride: usize,
    /// Parameter of the activations that have one; NaN, the default, asks for the activation's own default. An infinity is
    /// CONVLOW_ERROR_INVALID_ARGUMENT.
    pub activation_alpha: f64,
    /// The same of the activations that have two.
    pub activation_beta: f64,
}

/// The tensors of one execute. Fill it with convlow_execute_args_init, then set what the plan needs.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct ExecuteArgs {
    /// sizeof(convlow_execute_args) as the caller was compiled; a shorter one leaves the rest at 0.
    pub struct_size: usize,
    /// The input.
    pub src: *const c_void,
    /// From convlow_pack_weights.
    pub packed_weights: *const c_void,
    /// out_channels elements, or NULL.
    pub bias: *const c_void,
    /// The output.
    pub dst: *mut c_void,
    /// At least convlow_plan_workspace_bytes bytes, or NULL if that is 0.
    pub workspace: *mut c_void,
    /// Bytes of workspace.
    pub workspace_bytes: usize,
    /// Where the descriptor says accumulate: what is added before the activation, laid out as dst, strides included. NULL is
    /// dst itself. It may equal dst, but not overlap it otherwise.
    pub residual: *const c_void,
    /// If not NULL, the context that the plan's external pool is called with, for this call. With another pool it is refused.
    pub pool_context: *mut c_void,
    /// The slopes of CONVLOW_ACTIVATION_PRELU, of the plan's type: out_channels of them. Other activations read none.
    pub slopes: *const c_void,
    /// Bytes of packed_weights, which are then checked: fewer than the plan reads are CONVLOW_ERROR_WEIGHTS_MISMATCH, and no
    /// byte of them is read. 0: not told, and not checked.
    pub packed_weights_bytes: usize,
}

/// What is asked of a plan. Fill it with convlow_plan_options_init, then set what differs.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct PlanOptions {
    /// sizeof(convlow_plan_options) as the caller was compiled; a shorter one leaves the rest at its defaults.
    pub struct_size: usize,
    /// CONVLOW_ALGORITHM_AUTO, the default, or an id.
    pub algorithm: i32,
    /// CONVLOW_MATH_...; default EXACT.
    pub math: i32,
    /// CONVLOW_EFFORT_...; default ESTIMATE.
    pub effort: i32,
    /// CONVLOW_GEMM_...; default AUTO.
    pub gemm: i32,
    /// Most bytes of workspace; default SIZE_MAX. 0 always leaves an algorithm to choose.
    pub max_workspace_bytes: usize,
    /// Most seconds of measuring, used with CONVLOW_EFFORT_MEASURE; default 1. One run of the fastest candidate may
    /// come on top.
    pub measure_budget_seconds: f64,
    /// Threads for execute; NULL, the default: everything on the calling thread. A plan keeps its pool's
    /// threads until it is destroyed, also if the pool is destroyed before.
    pub pool: *mut PoolHandle,
    /// Most bytes of memory that measuring takes, used with CONVLOW_EFFORT_MEASURE; default 256 MiB. Of a problem that
    /// needs more, or too much of the budget, a part is measured.
    pub measure_max_bytes: usize,
    /// Most bytes of packed weights; default SIZE_MAX. Those of CONVLOW_MATH_FAST are up to 7.1 times the plain ones.
    pub max_packed_weights_bytes: usize,
    /// convlow_plan_packing_id of the packed weights that the plan has to read; 0, the default: any. A plan that cannot read
    /// them is refused with CONVLOW_ERROR_UNSUPPORTED.
    pub packing_id: u64,
}

/// What the planner knows of one algorithm for one problem. Set struct_size, and zero the rest.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct PlanInfo {
    /// sizeof(convlow_plan_info) as the caller was compiled.
    pub struct_size: usize,
    /// The algorithm's id.
    pub algorithm: i32,
    /// 1 if the algorithm can compute the problem, else 0; the figures below are then 0.
    pub applicable: i32,
    /// CONVLOW_GEMM_BLAS, _EMBEDDED or _KERNELS; CONVLOW_GEMM_AUTO if none of them serves.
    pub gemm: i32,
    /// Always 0.
    pub reserved: i32,
    /// Exact bytes of workspace, all threads of the pool included.
    pub workspace_bytes: usize,
    /// Exact bytes of packed weights.
    pub packed_weights_bytes: usize,
    /// Rows of the output.
    pub dst_height: usize,
    /// Columns of the output.
    pub dst_width: usize,
    /// Multiplications of the definition, padding counted.
    pub macs: usize,
    /// GEMM calls of one execute.
    pub gemm_calls: usize,
    /// What the cost model says.
    pub estimated_seconds: f64,
    /// What was measured; 0 if nothing was.
    pub measured_seconds: f64,
    /// Why not applicable or why not chosen, as static text; NULL for the chosen one.
    pub reason: *const c_char,
}
