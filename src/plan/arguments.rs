//! The arguments of an execute.

use convlow_kernels::scheme::Scheme;
use convlow_threads::Pool;

/// What one execute computes with.
pub struct Arguments<'a, T = f32> {
    /// The whole input in the problem's layout.
    pub src: &'a [T],
    /// From [`Plan::pack_weights`](super::Plan::pack_weights), aligned as an element. A plan that reads plain weights takes
    /// `weights`, or else their bytes here.
    pub packed: &'a [u8],
    /// Plain weights in the problem's layout; other plans do not read them.
    pub weights: Option<&'a [T]>,
    /// One value an output channel.
    pub bias: Option<&'a [T]>,
    /// PRELU's slopes, one an output channel; others read none.
    pub slopes: Option<&'a [T]>,
    /// What is added before the activation, laid out as dst; none: what dst holds. Only where the problem accumulates.
    pub residual: Option<&'a [T]>,
    /// The whole output in the problem's layout.
    pub dst: &'a mut [T],
    /// At least `workspace_bytes` of any content.
    pub workspace: &'a mut [T],
    /// Threads of this call in place of the plan's, and as many.
    pub pool: Option<Pool>,
}

/// What an execute for the gradient of the weights computes with: [`Plan::execute_gradient`](super::Plan::execute_gradient).
#[cfg(feature = "training")]
pub struct GradientArguments<'a, T = f32> {
    /// The whole input in the problem's layout.
    pub src: &'a [T],
    /// The gradient of the whole output in the problem's layout.
    pub diff_dst: &'a [T],
    /// The gradient of the weights, in the problem's layout of weights, unless it is not asked for.
    pub diff_weights: Option<&'a mut [T]>,
    /// The gradient of the bias, one value an output channel, unless it is not asked for.
    pub diff_bias: Option<&'a mut [T]>,
    /// At least `workspace_bytes` of any content.
    pub workspace: &'a mut [T],
    /// Threads of this call in place of the plan's, and as many.
    pub pool: Option<Pool>,
}

/// [`Arguments`] whose tensors may take turns in memory.
pub(crate) struct RawArguments<'a, X: Scheme> {
    pub src: *const X::Src,
    /// Packed weights, or the bytes of plain ones.
    pub weights: &'a [u8],
    pub bias: Option<&'a [X::Sum]>,
    pub slopes: Option<&'a [X::Dst]>,
    pub residual: Option<*const X::Dst>,
    pub dst: *mut X::Dst,
    pub workspace: &'a mut [X::Src],
    pub pool: Option<Pool>,
}
