//! MaxPool and AveragePool.

use convlow::Axis;

use super::merge::merge;
use super::operation::{Image, Operation, Piecewise, Target, in_pieces};
use crate::geometry::Geometry;
use crate::host::{Failure, Node, Result, Tensor};
use crate::session::Threads;

/// The greatest or the mean of each window.
pub struct Windows {
    geometry: Geometry,
    is_mean: bool,
    counts_padding: bool,
    rounds_up: bool,
}

impl Windows {
    /// A MaxPool or AveragePool; none if the standard's versions disagree about it.
    ///
    /// # Errors
    /// The host's, or that its attributes make no sense.
    pub fn of(node: Node<'_>, rank: usize) -> Result<Option<Self>> {
        let is_mean = node.operator()? == "AveragePool";
        let flag = |name| Ok::<_, Failure>(node.int(name)?.unwrap_or(0) != 0);
        let (counts_padding, rounds_up) = (flag(c"count_include_pad")?, flag(c"ceil_mode")?);
        let kernel = node.ints(c"kernel_shape")?.unwrap_or_default();
        let kernel = kernel.iter().filter_map(|&size| usize::try_from(size).ok());
        let sizes: Vec<usize> = [1, 1].into_iter().chain(kernel).collect();
        if sizes.len() != rank || is_mean && counts_padding && rounds_up {
            return Ok(None);
        }
        let geometry = Geometry::new(node, false, 1, &sizes)?;
        // The standard does not say whether automatic padding counts.
        if is_mean && counts_padding && !geometry.is_padded_explicitly() {
            return Ok(None);
        }
        Ok(Some(Self { geometry, is_mean, counts_padding, rounds_up }))
    }

    fn axes(&self, input: &Tensor<'_>) -> Result<[Axis; 3]> {
        self.geometry.window(Image::of(input)?.spatial, self.rounds_up)
    }
}

impl Operation for Windows {
    fn sizes(&self, inputs: &[Tensor<'_>]) -> Result<Vec<usize>> {
        let axes = self.axes(&inputs[0])?;
        let mut sizes = inputs[0].sizes.clone();
        let first = axes.len() + 2 - sizes.len();
        sizes[2..].iter_mut().zip(&axes[first..]).for_each(|(size, axis)| *size = axis.output);
        Ok(sizes)
    }

    fn run(&self, inputs: &[Tensor<'_>], output: Target<'_>, threads: &Threads<'_>) -> Result<()> {
        let channels = Image::of(&inputs[0])?.channels;
        let axes = self.axes(&inputs[0])?;
        let piece = axes[2].output * channels;
        let lines = Lines { of: self, from: inputs[0].elements()?, axes, channels };
        in_pieces(&lines, output.to, piece, threads);
        Ok(())
    }
}

/// Lines of outputs.
struct Lines<'a> {
    of: &'a Windows,
    from: &'a [f32],
    axes: [Axis; 3],
    channels: usize,
}

impl Piecewise for Lines<'_> {
    /// A line of outputs, counted over images, planes and rows.
    #[inline(always)]
    fn piece(&self, line: usize, to: &mut [f32]) {
        let [planes, rows, cols] = &self.axes;
        let (plane, row) = (line / rows.output % planes.output, line % rows.output);
        let image = line / rows.output / planes.output;
        let all_taps = planes.kernel * rows.kernel * cols.kernel;
        let mut lines = Vec::with_capacity(planes.kernel * rows.kernel);
        for plane_tap in planes.taps_of_output(plane) {
            for row_tap in rows.taps_of_output(row) {
                lines.push(
                    (image * planes.input + planes.input_of(plane, plane_tap)) * rows.input
                        + rows.input_of(row, row_tap),
                );
            }
        }
        let mut pixels = Vec::with_capacity(all_taps);
        for (col, to) in to.chunks_exact_mut(self.channels).enumerate() {
            let taps = cols.taps_of_output(col);
            let first = if taps.is_empty() { 0 } else { cols.input_of(col, taps.start) };
            pixels.clear();
            for line in &lines {
                let first = (line * cols.input + first) * self.channels;
                pixels.extend((0..taps.len()).map(|tap| first + tap * cols.dilation * self.channels));
            }
            if self.of.is_mean {
                merge::<true>(self.from, &pixels, to);
                let count = if self.of.counts_padding { all_taps } else { pixels.len() } as f32;
                to.iter_mut().for_each(|to| *to /= count);
            } else {
                merge::<false>(self.from, &pixels, to);
            }
        }
    }
}
