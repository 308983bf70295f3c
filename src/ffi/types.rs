//! The structs and constants of the C functions.

#![allow(rustdoc::broken_intra_doc_links)] // C's subscripts are no links.

use std::ffi::{c_char, c_void};

use super::pool::PoolHandle;
use crate::problem::DataType;

/// The order of the axes of src or dst: batch, channels, then the spatial axes ("channels first").
pub const CONVLOW_LAYOUT_NCHW: i32 = 0;
/// The order of the axes of src or dst: batch, the spatial axes, then channels ("channels last").
pub const CONVLOW_LAYOUT_NHWC: i32 = 1;

/// The order of the axes of the weights, as PyTorch and ONNX store them: out_channels x in_channels/groups x kernel
/// axes. For a transposed convolution: in_channels x out_channels/groups x kernel axes.
pub const CONVLOW_WEIGHTS_OIHW: i32 = 0;
/// The order of the axes of the weights, as TensorFlow stores them: kernel axes x in_channels/groups x out_channels.
/// For a transposed convolution: kernel axes x out_channels/groups x in_channels.
pub const CONVLOW_WEIGHTS_HWIO: i32 = 1;
/// The order of the axes of the weights, as TensorFlow Lite stores them: out_channels x kernel axes x
/// in_channels/groups. A transposed convolution has the same order.
pub const CONVLOW_WEIGHTS_OHWI: i32 = 2;

/// A convolution, as ONNX Conv defines it.
pub const CONVLOW_OPERATION_CONV: i32 = 0;
/// A transposed convolution, as ONNX ConvTranspose defines it. Each input pixel multiplies the kernel by its value
/// and adds the products to the output. The first tap goes to output position: input position * stride - pad_before.
pub const CONVLOW_OPERATION_CONV_TRANSPOSE: i32 = 1;

/// Elements are float (float32). Use convlow_pack_weights with convlow_execute or convlow_execute_with.
pub const CONVLOW_TYPE_F32: i32 = 0;
/// Elements are double (float64). Use convlow_pack_weights_f64 with convlow_execute_f64 or convlow_execute_with.
pub const CONVLOW_TYPE_F64: i32 = 1;
const _: () = assert!(CONVLOW_TYPE_F32 == DataType::F32 as i32 && CONVLOW_TYPE_F64 == DataType::F64 as i32);

/// The result is y, where y is convolution + bias + residual. docs/activations.md states the errors of all activations.
pub const CONVLOW_ACTIVATION_NONE: i32 = 0;
/// The result is min(max(y, activation_min), activation_max). For ReLU set 0 and INFINITY, for ReLU6 set 0 and 6. A NaN
/// stays a NaN.
pub const CONVLOW_ACTIVATION_CLAMP: i32 = 1;
/// The result is y < 0 ? activation_alpha * y : y. The default of activation_alpha is 0.01.
pub const CONVLOW_ACTIVATION_LEAKY_RELU: i32 = 2;
/// The result is min(max(activation_alpha * y + activation_beta, 0), 1). The defaults are 1/6 and 1/2.
pub const CONVLOW_ACTIVATION_HARD_SIGMOID: i32 = 3;
/// The result is y * min(max(activation_alpha * y + activation_beta, 0), 1). The defaults are 1/6 and 1/2.
pub const CONVLOW_ACTIVATION_HARD_SWISH: i32 = 4;
/// The result is 1 / (1 + exp(-y)).
pub const CONVLOW_ACTIVATION_SIGMOID: i32 = 5;
/// The result is y / (1 + exp(-activation_alpha * y)). The default of activation_alpha is 1.
pub const CONVLOW_ACTIVATION_SILU: i32 = 6;
/// The result is tanh(y).
pub const CONVLOW_ACTIVATION_TANH: i32 = 7;
/// The result is y / 2 * (1 + erf(y / sqrt(2))).
pub const CONVLOW_ACTIVATION_GELU: i32 = 8;
/// The result is y / 2 * (1 + tanh(sqrt(2 / pi) * (y + 0.044715 * y^3))).
pub const CONVLOW_ACTIVATION_GELU_TANH: i32 = 9;
/// The result is y < 0 ? slopes[m] * y : y in output channel m. Pass slopes in convlow_execute_args to
/// convlow_execute_with.
pub const CONVLOW_ACTIVATION_PRELU: i32 = 10;

/// The planner chooses the algorithm. convlow_algorithm_from_name and convlow_algorithm_at return the ids of the
/// others.
pub const CONVLOW_ALGORITHM_AUTO: i32 = 0;

/// The planner takes only algorithms that compute every product of the definition.
pub const CONVLOW_MATH_EXACT: i32 = 0;
/// The planner may also take Winograd's algorithms, which multiply less and round differently. docs/numerics.md states
/// the error of each one.
pub const CONVLOW_MATH_FAST: i32 = 1;

/// dst from src, weights and bias.
pub const CONVLOW_PROPAGATION_FORWARD: i32 = 0;
/// For training: the gradient of src from the gradient of dst and the weights. The descriptor describes the forward
/// convolution, and a gradient lies as the tensor whose gradient it is.
pub const CONVLOW_PROPAGATION_BACKWARD_DATA: i32 = 1;
/// For training: the gradients of the weights and of the bias from src and the gradient of dst. Such a plan reads no
/// weights, so that it has 0 bytes of packed weights.
pub const CONVLOW_PROPAGATION_BACKWARD_WEIGHTS: i32 = 2;

/// The caller packs the weights once, with convlow_pack_weights, and keeps them for all executes.
pub const CONVLOW_PACKING_CALLER: i32 = 0;
/// Each execute reads the caller's own weights, in weights_layout. It packs some output channels at a time into the
/// workspace, which takes at most 256 KiB for this, or the weights of one output channel if these are more. For weights
/// that change from call to call.
pub const CONVLOW_PACKING_NONE: i32 = 1;

/// The planner measures nothing. It uses times that were measured or imported before, if there are any, and otherwise
/// a cost model. Making a plan takes tens of microseconds.
pub const CONVLOW_EFFORT_ESTIMATE: i32 = 0;
/// The planner times the algorithms within max_workspace_bytes, measure_budget_seconds and measure_max_bytes.
pub const CONVLOW_EFFORT_MEASURE: i32 = 1;

/// As an option, the default: no GEMM is required. With CONVLOW_ALGORITHM_AUTO the planner takes only algorithms on the
/// library's own kernels or on plain loops; their executes allocate nothing. An algorithm by name that needs a GEMM
/// gets the GEMM that is faster on one thread by the cost model. It gets the BLAS only if the sizes fit the integer
/// type of the BLAS.
///
/// In convlow_plan_info: the algorithm uses plain loops, without a GEMM and without own kernels, or it is not
/// applicable.
pub const CONVLOW_GEMM_AUTO: i32 = 0;
/// OpenBLAS. As an option with CONVLOW_ALGORITHM_AUTO: the planner takes algorithms that call this GEMM. It takes
/// "direct-sum2d", which calls none, if no other algorithm fits or if the cost model finds it faster. The option does
/// not change an algorithm by name that needs no GEMM. A build without this GEMM returns CONVLOW_ERROR_UNSUPPORTED.
pub const CONVLOW_GEMM_BLAS: i32 = 1;
/// The GEMM that is compiled into the library. As an option it has the same rules as CONVLOW_GEMM_BLAS.
pub const CONVLOW_GEMM_EMBEDDED: i32 = 2;
/// Only in convlow_plan_info: the algorithm uses the library's own kernels, which are made for convolutions, in place
/// of a GEMM. As an option it is CONVLOW_ERROR_INVALID_ARGUMENT; use CONVLOW_GEMM_AUTO.
pub const CONVLOW_GEMM_KERNELS: i32 = 3;

/// Describes a two-dimensional convolution of floats. First call CONVLOW_CONV2D_DESC_INIT, then set the fields that
/// differ from their defaults. Batch, groups, dilation, stride and padding have the meaning of ONNX Conv.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Conv2dDesc {
    /// The caller's size of this struct in bytes: sizeof(convlow_conv2d_desc). A smaller struct, of an older header,
    /// leaves the other fields at their defaults. A larger one, of a newer header, must have 0 in the bytes that the
    /// library does not know.
    pub struct_size: usize,
    /// CONVLOW_LAYOUT_... of src. Default CONVLOW_LAYOUT_NCHW.
    pub src_layout: i32,
    /// CONVLOW_LAYOUT_... of dst. It may differ from src_layout. Default CONVLOW_LAYOUT_NCHW.
    pub dst_layout: i32,
    /// CONVLOW_WEIGHTS_... Default CONVLOW_WEIGHTS_OIHW.
    pub weights_layout: i32,
    /// CONVLOW_ACTIVATION_... Default CONVLOW_ACTIVATION_NONE.
    pub activation: i32,
    /// Number of images. Default 1. 0 is an empty batch: an execute succeeds and touches nothing.
    pub batch: usize,
    /// Input channels of all groups together. Default 0, which is refused: set it.
    pub in_channels: usize,
    /// Input rows. Default 0, an empty image. 0 rows need pad_top + pad_bottom of at least dilation_height *
    /// (kernel_height - 1).
    pub in_height: usize,
    /// Input columns. Default 0, an empty image. 0 columns need pad_left + pad_right of at least dilation_width *
    /// (kernel_width - 1).
    pub in_width: usize,
    /// Output channels of all groups together. Default 0, which is refused: set it.
    pub out_channels: usize,
    /// Kernel rows. Default 0, which is refused: set it.
    pub kernel_height: usize,
    /// Kernel columns. Default 0, which is refused: set it.
    pub kernel_width: usize,
    /// Input rows from one output row to the next, at least 1. Default 1.
    pub stride_height: usize,
    /// Input columns from one output column to the next, at least 1. Default 1.
    pub stride_width: usize,
    /// Input rows from one kernel row to the next, at least 1. Default 1, a dense kernel.
    pub dilation_height: usize,
    /// Input columns from one kernel column to the next, at least 1. Default 1, a dense kernel.
    pub dilation_width: usize,
    /// Absent rows above the input. Default 0. Padding may be larger than the kernel.
    pub pad_top: usize,
    /// Absent columns left of the input. Default 0.
    pub pad_left: usize,
    /// Absent rows below the input. Default 0.
    pub pad_bottom: usize,
    /// Absent columns right of the input. Default 0.
    pub pad_right: usize,
    /// Groups of channels. Each group is a convolution of its own. It must divide both numbers of channels. Default 1.
    pub groups: usize,
    /// Least output of CONVLOW_ACTIVATION_CLAMP. Default -INFINITY. With CONVLOW_ACTIVATION_NONE, both bounds must have
    /// their defaults, or both must be 0; any other bound is CONVLOW_ERROR_INVALID_ARGUMENT. Other activations ignore
    /// the bounds.
    pub activation_min: f32,
    /// Greatest output of CONVLOW_ACTIVATION_CLAMP. Default INFINITY. With CLAMP, a NaN bound, or a maximum less than
    /// the minimum, is CONVLOW_ERROR_INVALID_ARGUMENT.
    pub activation_max: f32,
    /// Not 0: add a residual before the activation. convlow_execute takes it from dst, as dst is before the call. With
    /// convlow_execute_with it may be a tensor of its own. Default 0.
    pub accumulate: i32,
    /// First parameter of the activation, if it has one. Default NaN, which stands for the default of the activation.
    /// An infinity is CONVLOW_ERROR_INVALID_ARGUMENT.
    pub activation_alpha: f64,
    /// Second parameter of the activation, if it has two. The rules of activation_alpha hold.
    pub activation_beta: f64,
}

/// Describes a convolution or a transposed convolution, in one, two or three dimensions, of floats or doubles. First
/// call CONVLOW_CONVND_DESC_INIT, then set the fields that differ from their defaults. Batch, groups, dilation,
/// stride, padding and output padding have the meaning of ONNX Conv and ConvTranspose.
///
/// An array has one element for each axis, the outermost axis first. The first spatial_dims elements count. Leave the
/// others as CONVLOW_CONVND_DESC_INIT sets them; another value is CONVLOW_ERROR_INVALID_ARGUMENT.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct ConvNdDesc {
    /// The caller's size of this struct in bytes: sizeof(convlow_convnd_desc). A smaller struct, of an older header,
    /// leaves the other fields at their defaults. A larger one, of a newer header, must have 0 in the bytes that the
    /// library does not know.
    pub struct_size: usize,
    /// CONVLOW_OPERATION_... Default CONVLOW_OPERATION_CONV.
    pub operation: i32,
    /// CONVLOW_TYPE_... of all tensors. Default CONVLOW_TYPE_F32.
    pub r#type: i32,
    /// Number of spatial axes: 1, 2 or 3. Default 2.
    pub spatial_dims: i32,
    /// CONVLOW_LAYOUT_... of src. Default CONVLOW_LAYOUT_NCHW.
    pub src_layout: i32,
    /// CONVLOW_LAYOUT_... of dst. It may differ from src_layout. Default CONVLOW_LAYOUT_NCHW.
    pub dst_layout: i32,
    /// CONVLOW_WEIGHTS_... Default CONVLOW_WEIGHTS_OIHW.
    pub weights_layout: i32,
    /// CONVLOW_ACTIVATION_... Default CONVLOW_ACTIVATION_NONE.
    pub activation: i32,
    /// Not 0: add a residual before the activation. convlow_execute and convlow_execute_f64 take it from dst, as dst
    /// is before the call. With convlow_execute_with it may be a tensor of its own. Default 0.
    pub accumulate: i32,
    /// Number of images. Default 1. 0 is an empty batch: an execute succeeds and touches nothing.
    pub batch: usize,
    /// Input channels of all groups together. Default 0, which is refused: set it.
    pub in_channels: usize,
    /// Output channels of all groups together. Default 0, which is refused: set it.
    pub out_channels: usize,
    /// Groups of channels. Each group is a convolution of its own. It must divide both numbers of channels. Default 1.
    pub groups: usize,
    /// Input positions on each axis. Default 0, an empty image. A size of 0 needs pad_before + pad_after of at least
    /// dilation * (kernel_size - 1). A transposed convolution needs sizes of at least 1.
    pub in_size: [usize; 3],
    /// Kernel positions on each axis. Default 0, which is refused: set them.
    pub kernel_size: [usize; 3],
    /// Input positions from one output position to the next, at least 1. Default 1. For a transposed convolution:
    /// output positions from one input position to the next.
    pub stride: [usize; 3],
    /// Input positions from one kernel position to the next, at least 1. Default 1, a dense kernel. For a transposed
    /// convolution: output positions from one kernel position to the next.
    pub dilation: [usize; 3],
    /// Absent positions before the first input position. Default 0. For a transposed convolution: output positions
    /// that are cut off at the beginning.
    pub pad_before: [usize; 3],
    /// Absent positions behind the last input position. Default 0. For a transposed convolution: output positions
    /// that are cut off at the end.
    pub pad_after: [usize; 3],
    /// Only for a transposed convolution: output positions that are added at the end, as output_padding of ONNX. It
    /// must be less than the stride or less than the dilation of the axis. Default 0.
    pub output_padding: [usize; 3],
    /// Least output of CONVLOW_ACTIVATION_CLAMP. Default -INFINITY. With CONVLOW_ACTIVATION_NONE, both bounds must have
    /// their defaults, or both must be 0; any other bound is CONVLOW_ERROR_INVALID_ARGUMENT. Other activations ignore
    /// the bounds.
    pub activation_min: f64,
    /// Greatest output of CONVLOW_ACTIVATION_CLAMP. Default INFINITY. With CLAMP, a NaN bound, or a maximum less than
    /// the minimum, is CONVLOW_ERROR_INVALID_ARGUMENT.
    pub activation_max: f64,
    /// With channels last: elements from one pixel of src to the next. With channels first: elements from one plane
    /// to the next; the rows of a plane are always dense. Set it if src is a slice of a wider tensor. Default 0, a
    /// dense src.
    pub src_channel_stride: usize,
    /// Elements from one image of src to the next. Default 0: the images lie one behind the other.
    pub src_batch_stride: usize,
    /// As src_channel_stride, for dst. An execute does not write the gaps of dst.
    pub dst_channel_stride: usize,
    /// As src_batch_stride, for dst.
    pub dst_batch_stride: usize,
    /// First parameter of the activation, if it has one. Default NaN, which stands for the default of the activation.
    /// An infinity is CONVLOW_ERROR_INVALID_ARGUMENT.
    pub activation_alpha: f64,
    /// Second parameter of the activation, if it has two. The rules of activation_alpha hold.
    pub activation_beta: f64,
    /// CONVLOW_PROPAGATION_... Default CONVLOW_PROPAGATION_FORWARD. With another one, an activation other than
    /// CONVLOW_ACTIVATION_NONE is CONVLOW_ERROR_UNSUPPORTED, and accumulate adds to what the gradient's tensor holds.
    pub propagation: i32,
    /// Always 0.
    pub reserved1: i32,
}

/// The tensors and the memory of one execute. First call CONVLOW_EXECUTE_ARGS_INIT, then set the fields that the plan
/// needs.
///
/// All memory belongs to the caller. Tensors have the type of the plan and the alignment of an element.
/// packed_weights and workspace have the alignment of malloc, 16 bytes. Memory that is less aligned is
/// CONVLOW_ERROR_INVALID_ARGUMENT.
///
/// dst and workspace must not overlap each other or any other argument, with two exceptions: residual may be equal to
/// dst, and src and dst may be slices of one tensor without a common element. An overlap is
/// CONVLOW_ERROR_INVALID_ARGUMENT.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct ExecuteArgs {
    /// The caller's size of this struct in bytes: sizeof(convlow_execute_args). A smaller struct, of an older header,
    /// leaves the other fields at their defaults. A larger one, of a newer header, must have 0 in the bytes that the
    /// library does not know.
    pub struct_size: usize,
    /// The input: all images, in src_layout and with the strides of src. It may be NULL if the tensor has no element.
    pub src: *const c_void,
    /// Packed weights that convlow_pack_weights wrote, in the format that the plan reads. Never NULL, unless the plan was
    /// made with CONVLOW_PACKING_NONE: then the pointer is ignored.
    pub packed_weights: *const c_void,
    /// out_channels elements, or NULL for no bias.
    pub bias: *const c_void,
    /// The output: all images, in dst_layout and with the strides of dst. It may be NULL if the tensor has no element.
    pub dst: *mut c_void,
    /// At least convlow_plan_workspace_bytes bytes. Their content does not matter. It may be NULL if that number is 0.
    pub workspace: *mut c_void,
    /// Bytes of workspace. Fewer than convlow_plan_workspace_bytes are CONVLOW_ERROR_WORKSPACE_LIMIT.
    pub workspace_bytes: usize,
    /// Only with accumulate: the tensor that is added before the activation, with the layout and the strides of dst.
    /// NULL: the residual is dst, as dst is before the call. Without accumulate, other values than NULL are refused
    /// with CONVLOW_ERROR_INVALID_ARGUMENT.
    pub residual: *const c_void,
    /// Only with an external pool: the context for this call, in place of the context of the pool. NULL: the context
    /// of the pool. Without an external pool, other values than NULL are refused with CONVLOW_ERROR_INVALID_ARGUMENT.
    pub pool_context: *mut c_void,
    /// Only with CONVLOW_ACTIVATION_PRELU, and then never NULL: out_channels slopes. Other activations ignore the
    /// pointer.
    pub slopes: *const c_void,
    /// Bytes of packed_weights. If there are fewer than convlow_plan_packed_weights_bytes, the call returns
    /// CONVLOW_ERROR_WEIGHTS_MISMATCH and reads none of them. 0, the default: the library does not check the number.
    pub packed_weights_bytes: usize,
    /// Only for a plan with CONVLOW_PACKING_NONE, and then never NULL: the plain weights, in weights_layout, of the
    /// plan's type. Other plans ignore the pointer.
    pub weights: *const c_void,
    /// Only for a plan with CONVLOW_PROPAGATION_BACKWARD_DATA or _WEIGHTS: the gradient of dst, in dst_layout and with the
    /// strides of dst. It may be NULL if the tensor has no element. Other plans ignore the pointer.
    pub diff_dst: *const c_void,
    /// Only for a plan with CONVLOW_PROPAGATION_BACKWARD_DATA, which writes it: the gradient of src, in src_layout and with the
    /// strides of src. The rules for the overlap of dst hold. It may be NULL if the tensor has no element. Such a plan ignores
    /// src, bias, dst, residual and slopes; other plans ignore diff_src.
    pub diff_src: *mut c_void,
    /// Only for a plan with CONVLOW_PROPAGATION_BACKWARD_WEIGHTS, which writes it: the gradient of the weights, in
    /// weights_layout. NULL: it is not computed. It must not overlap any other argument. Such a plan reads src and
    /// diff_dst, and ignores packed_weights, weights, bias, dst, residual and slopes; other plans ignore diff_weights.
    pub diff_weights: *mut c_void,
    /// Only for such a plan, which writes it: the gradient of the bias, out_channels elements. NULL: it is not computed. One of
    /// diff_weights and diff_bias must be set. It must not overlap any other argument.
    pub diff_bias: *mut c_void,
}

/// The requests for a plan. First call CONVLOW_PLAN_OPTIONS_INIT, then set the fields that differ from their defaults.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct PlanOptions {
    /// The caller's size of this struct in bytes: sizeof(convlow_plan_options). A smaller struct, of an older header,
    /// leaves the other fields at their defaults. A larger one, of a newer header, must have 0 in the bytes that the
    /// library does not know.
    pub struct_size: usize,
    /// The id of an algorithm, as convlow_algorithm_from_name returns it. Default CONVLOW_ALGORITHM_AUTO.
    pub algorithm: i32,
    /// CONVLOW_MATH_... Default CONVLOW_MATH_EXACT.
    pub math: i32,
    /// CONVLOW_EFFORT_... Default CONVLOW_EFFORT_ESTIMATE.
    pub effort: i32,
    /// CONVLOW_GEMM_... Default CONVLOW_GEMM_AUTO.
    pub gemm: i32,
    /// Limit in bytes for the workspace, for all threads of the pool together. Default SIZE_MAX.
    /// CONVLOW_ALGORITHM_AUTO finds an algorithm for every limit, also for 0, if max_packed_weights_bytes, packing_id and
    /// packing have their defaults.
    pub max_workspace_bytes: usize,
    /// Only with CONVLOW_EFFORT_MEASURE: limit in seconds for the measuring. Default 1. One run of the fastest
    /// algorithm may come on top.
    pub measure_budget_seconds: f64,
    /// The threads of each execute. NULL, the default: the plan runs on the calling thread. The plan shares the
    /// threads of the pool: you may destroy the pool before the plan.
    pub pool: *mut PoolHandle,
    /// Only with CONVLOW_EFFORT_MEASURE: limit in bytes for the memory of the measuring. Default 256 MiB. If the
    /// problem is too large for this limit or for the budget, the planner measures a part of it.
    pub measure_max_bytes: usize,
    /// Limit in bytes for the packed weights. Default SIZE_MAX. With CONVLOW_MATH_FAST, packed weights may have up to
    /// 7.1 times the size of the plain weights.
    pub max_packed_weights_bytes: usize,
    /// The format of packed weights that the plan must read, as convlow_plan_packing_id returns it. If no algorithm
    /// reads it, the result is CONVLOW_ERROR_UNSUPPORTED. 0, the default: any format.
    pub packing_id: u64,
    /// CONVLOW_PACKING_... Default CONVLOW_PACKING_CALLER. With CONVLOW_PACKING_NONE the plan has 0 bytes of packed
    /// weights, its packing_id is 0, and convlow_pack_weights returns CONVLOW_ERROR_INVALID_ARGUMENT for it.
    pub packing: i32,
    /// Always 0.
    pub reserved0: i32,
}

/// The planner's knowledge of one algorithm for one problem. Before the call, set struct_size, and set the other
/// fields to 0: a newer header may have fields that an older library does not write.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct PlanInfo {
    /// The caller's size of this struct in bytes: sizeof(convlow_plan_info).
    pub struct_size: usize,
    /// The id of the algorithm.
    pub algorithm: i32,
    /// 1 if the algorithm can compute the problem. Otherwise 0; then workspace_bytes, packed_weights_bytes,
    /// gemm_calls and both times are 0, too.
    pub applicable: i32,
    /// CONVLOW_GEMM_BLAS, CONVLOW_GEMM_EMBEDDED or CONVLOW_GEMM_KERNELS; CONVLOW_GEMM_AUTO if none of them computes.
    pub gemm: i32,
    /// Always 0.
    pub reserved: i32,
    /// Exact number of bytes of the workspace, for all threads of the pool together.
    pub workspace_bytes: usize,
    /// Exact number of bytes of the packed weights.
    pub packed_weights_bytes: usize,
    /// Output rows: the size of the second-last axis. 1 in one dimension.
    pub dst_height: usize,
    /// Output columns: the size of the last axis.
    pub dst_width: usize,
    /// Multiplications of the definition for the whole batch. Products with taps on padding count, too. Products that
    /// a transposed convolution cuts off also count.
    pub macs: usize,
    /// Calls of the GEMM in one execute. 0 without a GEMM.
    pub gemm_calls: usize,
    /// Seconds of one execute, by the cost model.
    pub estimated_seconds: f64,
    /// Seconds of one execute, as measured or imported. 0 if the algorithm was not measured.
    pub measured_seconds: f64,
    /// Why the algorithm is not applicable or was not chosen. Static text. NULL for the chosen algorithm.
    pub reason: *const c_char,
    /// The vector instructions of the library's own kernels for this problem: portable, avx2, avx512 or neon. Where shorter
    /// vectors are faster, they are not those of convlow_build_info. Static text. NULL if a GEMM or plain loops compute,
    /// or if the algorithm is not applicable. Parts of plain weights may have others: these are the first part's.
    pub isa: *const c_char,
}
