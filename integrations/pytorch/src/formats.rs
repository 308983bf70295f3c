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

/// PyTorch's condition for oneDNN in three dimensions.
fn takes_onednn(input: &Shape, weights: &Shape, geometry: &Geometry, threads: u32) -> bool {
    let [images, channels, planes, rows, _] = input.sizes;
    let [.., kernel_rows, kernel_cols] = weights.sizes;
    let (strided, dilated) =
        (geometry.stride.iter().any(|&s| s != 1), geometry.dilation.iter().any(|&d| d != 1));
    let padded_far =
        geometry.output_padding.iter().zip(&geometry.stride).any(|(&padding, &stride)| padding >= stride);
    let worth = strided || dilated || images >= 16 || kernel_rows != 1 || kernel_cols != 1 || threads > 1;
    let large = geometry.groups > 1
        || kernel_rows > 3 && kernel_cols > 3
        || images > 1
        || images * channels * planes * rows > 20_480;
    worth && large && !(geometry.transposed && padded_far)
}
