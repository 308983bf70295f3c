//! MaxPool and AveragePool.

use std::ops::Range;

use convlow::Axis;

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

/// Elements of pixels that are merged over the lines of their windows, on the stack.
const KEPT: usize = 8192;
/// Channels of them.
const WIDTH: usize = 256;

impl Piecewise for Lines<'_> {
    /// A line of outputs, counted over images, planes and rows.
    #[inline(always)]
    fn piece(&self, line: usize, to: &mut [f32]) {
        let cols = &self.axes[2];
        let reach = (cols.kernel - 1) * cols.dilation + 1;
        let span = KEPT / self.channels.min(WIDTH);
        // Windows that are wider than what is kept are merged one by one.
        let at_once = if reach > span { 1 } else { (span - reach) / cols.stride + 1 };
        let mut kept = [0.0; KEPT];
        for first in (0..self.channels).step_by(WIDTH) {
            let width = WIDTH.min(self.channels - first);
            for col in (0..cols.output).step_by(at_once) {
                let outputs = col..cols.output.min(col + at_once);
                let begin = (outputs.start * cols.stride).saturating_sub(cols.pad_before).min(cols.input);
                let end = ((outputs.end - 1) * cols.stride + reach).saturating_sub(cols.pad_before);
                let pixels = begin..end.clamp(begin, cols.input);
                if reach > span {
                    self.merge_window(
                        line,
                        [outputs.start, first],
                        &mut to[outputs.start * self.channels + first..][..width],
                    );
                } else {
                    self.merge_lines(line, pixels.clone(), first, &mut kept[..pixels.len() * width]);
                    for output in outputs {
                        let to = &mut to[output * self.channels + first..][..width];
                        to.fill(self.of.none());
                        for tap in cols.taps_of_output(output) {
                            let from = (cols.input_of(output, tap) - begin) * width;
                            self.of.merge(to, &kept[from..from + width]);
                        }
                    }
                }
            }
        }
        if self.of.is_mean {
            self.divide(line, to);
        }
    }
}

impl Lines<'_> {
    /// The numbers of the lines of inputs that a line of outputs sees.
    #[inline(always)]
    fn seen(&self, line: usize) -> impl Iterator<Item = usize> {
        let [planes, rows, _] = &self.axes;
        let (plane, row) = (line / rows.output % planes.output, line % rows.output);
        let image = line / rows.output / planes.output;
        planes.taps_of_output(plane).flat_map(move |plane_tap| {
            let first = (image * planes.input + planes.input_of(plane, plane_tap)) * rows.input;
            rows.taps_of_output(row).map(move |row_tap| first + rows.input_of(row, row_tap))
        })
    }

    /// Merges some channels of pixels over the lines that a line of outputs sees, each pixel by itself.
    #[inline(always)]
    fn merge_lines(&self, line: usize, pixels: Range<usize>, first: usize, to: &mut [f32]) {
        if pixels.is_empty() {
            return;
        }
        let width = to.len() / pixels.len();
        to.fill(self.of.none());
        for line in self.seen(line) {
            let from = &self.from[(line * self.axes[2].input + pixels.start) * self.channels + first..];
            if width == self.channels {
                self.of.merge(to, &from[..to.len()]);
            } else {
                let from = from.chunks(self.channels);
                to.chunks_exact_mut(width).zip(from).for_each(|(to, from)| self.of.merge(to, &from[..width]));
            }
        }
    }

    /// Merges some channels of one window.
    #[inline(always)]
    fn merge_window(&self, line: usize, [output, first]: [usize; 2], to: &mut [f32]) {
        let cols = &self.axes[2];
        to.fill(self.of.none());
        for line in self.seen(line) {
            for tap in cols.taps_of_output(output) {
                let pixel = line * cols.input + cols.input_of(output, tap);
                self.of.merge(to, &self.from[pixel * self.channels + first..][..to.len()]);
            }
        }
    }

    /// Makes means of the sums.
    #[inline(always)]
    fn divide(&self, line: usize, to: &mut [f32]) {
        let [planes, rows, cols] = &self.axes;
        let lines = self.seen(line).count();
        for (output, to) in to.chunks_exact_mut(self.channels).enumerate() {
            let count = match self.of.counts_padding {
                true => planes.kernel * rows.kernel * cols.kernel,
                false => lines * cols.taps_of_output(output).len(),
            };
            to.iter_mut().for_each(|to| *to /= count as f32);
        }
    }
}

impl Windows {
    /// What nothing is merged to.
    fn none(&self) -> f32 {
        if self.is_mean { 0.0 } else { f32::MIN }
    }

    /// Adds values, or takes the greater ones.
    #[inline(always)]
    fn merge(&self, to: &mut [f32], from: &[f32]) {
        let both = to.iter_mut().zip(from);
        match self.is_mean {
            true => both.for_each(|(to, &from)| *to += from),
            false => both.for_each(|(to, &from)| *to = if from > *to { from } else { *to }),
        }
    }
}
