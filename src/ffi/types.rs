//! The structs and constants of the C surface.

use std::ffi::c_char;

use super::pool::PoolHandle;

/// Batch, channel, row, column.
pub const CONVLOW_LAYOUT_NCHW: i32 = 0;
/// Batch, row, column, channel.
pub const CONVLOW_LAYOUT_NHWC: i32 = 1;

/// out_channels x in_channels/groups x kernel_height x kernel_width, as PyTorch and ONNX.
pub const CONVLOW_WEIGHTS_OIHW: i32 = 0;
/// kernel_height x kernel_width x in_channels/groups x out_channels, as TensorFlow.
pub const CONVLOW_WEIGHTS_HWIO: i32 = 1;
/// out_channels x kernel_height x kernel_width x in_channels/groups, as TensorFlow Lite.
pub const CONVLOW_WEIGHTS_OHWI: i32 = 2;

/// y
pub const CONVLOW_ACTIVATION_NONE: i32 = 0;
/// min(max(y, activation_min), activation_max); a NaN stays a NaN. ReLU is [0, INFINITY], ReLU6 is [0, 6].
pub const CONVLOW_ACTIVATION_CLAMP: i32 = 1;

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
