//! Where PyTorch has channels last in what it returns, which programs that it compiles rely on.

use crate::geometry::Geometry;
use crate::tensor::Shape;

/// Whether the outputs and the gradients have channels last. It follows from the strides of input and weights alone in two
/// dimensions. In three, only oneDNN, which PyTorch takes for some problems of float32, computes with channels last.
pub fn channels_last(
    input: &Shape,
    weights: &Shape,
    geometry: &Geometry,
    is_float32: bool,
    threads: u32,
) -> bool {
    match input.axes {
        // PyTorch makes the input contiguous, and adds an axis of rows to input and weights.
        3 => weights.with_rows().suggests_last(),
        4 => input.suggests_last() || weights.suggests_last(),
        _ => {
            (input.suggests_last() || weights.suggests_last())
                && is_float32
                && takes_onednn(input, weights, geometry, threads)
        }
    }
}

/// Whether the gradient of the weights has the strides of channels last, where the other gradients have channels last. Weights of
/// one channel or one tap lie in both orders: what oneDNN and the dilated kernels return has the strides of channels last then, and
/// what the others return has those of the weights, as far as these need no copy.
pub fn weights_last(
    input: &Shape,
    weights: &Shape,
    geometry: &Geometry,
    is_float32: bool,
    threads: u32,
) -> bool {
    let ambiguous = Shape::packed(weights.sizes(), false).is_packed(true);
    let dilated = geometry.dilation[..geometry.axes].iter().any(|&dilation| dilation != 1);
    !ambiguous
        || !weights.is_packed(true)
        || weights.suggests_last()
        || dilated && !geometry.transposed
        || is_float32 && takes_onednn(input, weights, geometry, threads)
}

/// Why PyTorch computes where [`strides_unknown`].
pub const STRIDES_UNKNOWN: &str = "groups that PyTorch joins, in both orders of memory at once";

/// Whether the strides of a result with channels last are not foreseen: without oneDNN PyTorch joins the results of the groups, and
/// one of a single pixel or channel lies in both orders.
pub fn strides_unknown(
    input: &Shape,
    weights: &Shape,
    geometry: &Geometry,
    is_float32: bool,
    threads: u32,
    result: &Shape,
) -> bool {
    let joined = geometry.groups > 1 && !(is_float32 && takes_onednn(input, weights, geometry, threads));
    joined && Shape::packed(result.sizes(), false).is_packed(true)
}

/// PyTorch's condition for oneDNN in two and three dimensions.
fn takes_onednn(input: &Shape, weights: &Shape, geometry: &Geometry, threads: u32) -> bool {
    let axes = ..geometry.axes;
    let [images, channels, first, second, _] = input.sizes;
    let [.., kernel_rows, kernel_cols] = weights.sizes() else { return false };
    let strided = geometry.stride[axes].iter().any(|&stride| stride != 1);
    let dilated = geometry.dilation[axes].iter().any(|&dilation| dilation != 1);
    let padded_far = (0..geometry.axes).any(|at| geometry.output_padding[at] >= geometry.stride[at]);
    let worth = strided || dilated || images >= 16 || *kernel_rows != 1 || *kernel_cols != 1 || threads > 1;
    let large = geometry.groups > 1
        || *kernel_rows > 3 && *kernel_cols > 3
        || images > 1
        || images * channels * first * second > 20_480;
    worth && large && !(geometry.transposed && padded_far)
}
