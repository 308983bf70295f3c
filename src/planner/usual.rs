//! The typical size of a layer's image. AUTO chooses the packing of the layer's weights for this size.

use crate::problem::{Axis, Operation, Problem, with_outputs};

/// The same layer on an image of the size that is usual for its channels, alone: what tells how its weights are
/// packed on images of every size, batch and number of threads. A map of one pixel stays one, as that of an image's
/// mean is, whatever the image's size. `times` makes the sides of the map so many times as long.
pub(super) fn of_usual_size(problem: &Problem, times: usize) -> Option<Problem> {
    /// Networks halve their maps where they double their channels; between those with small and with large maps the
    /// side of a map times its channels is about this.
    const SIDE_BY_CHANNELS: usize = 7168;
    if problem.in_pixels() == 1 || problem.out_pixels() == 1 {
        return Problem::new(Problem { batch: 1, ..*problem }).ok();
    }
    let side = (SIDE_BY_CHANNELS / problem.in_channels.max(problem.out_channels)).clamp(7, 224) * times;
    let absent = |axis: &Axis| *axis == Axis::ONE;
    // As many pixels in a row or a volume.
    let outputs = match problem.axes().into_iter().filter(|axis| !absent(axis)).count() {
        0 | 1 => side * side,
        2 => side,
        _ => (side as f64).powf(2.0 / 3.0).round() as usize,
    };
    // A transposed convolution of few inputs has outputs that see one of them.
    const TIMES_KERNEL: usize = 4;
    let outputs_of = |axis: &Axis| match problem.operation {
        Operation::Conv => outputs,
        Operation::ConvTranspose => {
            let reach = (axis.kernel - 1).saturating_mul(axis.dilation).saturating_add(1);
            outputs.max(reach.saturating_mul(TIMES_KERNEL))
        }
    };
    let axis = |axis: &Axis| match absent(axis) {
        true => *axis,
        false => with_outputs(axis, problem.operation, outputs_of(axis)),
    };
    Problem::new(problem.on_other_images(1, axis)).ok()
}
