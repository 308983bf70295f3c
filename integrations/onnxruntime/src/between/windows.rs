//! MaxPool and AveragePool.

use std::ops::Range;

use convlow::Axis;

use super::merge::Merge;
use super::operation::{Image, Operation, Piecewise, Target, in_pieces};
use crate::geometry::Geometry;
use crate::host::{Failure, Node, Result, Tensor};
use crate::session::Threads;

/// The greatest or the mean of each window.
pub struct Windows {
    geometry: Geometry,
    merge: Merge,
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
        let merge = if is_mean { Merge::Sum } else { Merge::Greatest };
        Ok(Some(Self { geometry, merge, counts_padding, rounds_up }))
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
/// Pixels that are merged at once. Windows of more are merged over their lines first, which windows side by side share.
const AT_ONCE: usize = 32;

impl Piecewise for Lines<'_> {
    /// A line of outputs, counted over images, planes and rows.
    #[inline(always)]
    fn piece(&self, line: usize, to: &mut [f32]) {
        let (lines, cols) = (self.seen(line), &self.axes[2]);
        let reach = (cols.kernel - 1) * cols.dilation + 1;
        let span = KEPT / self.channels.min(WIDTH);
        if reach > span || self.axes.iter().map(|axis| axis.kernel).product::<usize>() <= AT_ONCE {
            for (output, to) in to.chunks_exact_mut(self.channels).enumerate() {
                self.merge_window(&lines, output, to);
            }
        } else {
            self.merge_windows(&lines, (span - reach) / cols.stride + 1, reach, to);
        }
        if self.of.merge == Merge::Sum {
            self.divide(lines.len(), to);
        }
    }
}

impl Lines<'_> {
    /// The numbers of the lines of inputs that a line of outputs sees.
    #[inline(always)]
    fn seen(&self, line: usize) -> Vec<usize> {
        let [planes, rows, _] = &self.axes;
        let (plane, row) = (line / rows.output % planes.output, line % rows.output);
        let image = line / rows.output / planes.output;
        let of_plane = |plane_tap| {
            let first = (image * planes.input + planes.input_of(plane, plane_tap)) * rows.input;
            rows.taps_of_output(row).map(move |row_tap| first + rows.input_of(row, row_tap))
        };
        planes.taps_of_output(plane).flat_map(of_plane).collect()
    }

    /// Merges the pixels of one window.
    #[inline(always)]
    fn merge_window(&self, lines: &[usize], output: usize, to: &mut [f32]) {
        let (cols, merge) = (&self.axes[2], self.of.merge);
        let (mut pixels, mut count) = ([0; AT_ONCE], 0);
        to.fill(merge.none());
        for line in lines {
            for tap in cols.taps_of_output(output) {
                if count == AT_ONCE {
                    merge.pixels(to, self.from, &pixels);
                    count = 0;
                }
                pixels[count] = (line * cols.input + cols.input_of(output, tap)) * self.channels;
                count += 1;
            }
        }
        merge.pixels(to, self.from, &pixels[..count]);
    }

    /// Merges the pixels of a line of windows: so many windows side by side over their lines, then each over its columns.
    #[inline(always)]
    fn merge_windows(&self, lines: &[usize], at_once: usize, reach: usize, to: &mut [f32]) {
        let (cols, merge) = (&self.axes[2], self.of.merge);
        let mut kept = [0.0; KEPT];
        for first in (0..self.channels).step_by(WIDTH) {
            let width = WIDTH.min(self.channels - first);
            for col in (0..cols.output).step_by(at_once) {
                let outputs = col..cols.output.min(col + at_once);
                let begin = (outputs.start * cols.stride).saturating_sub(cols.pad_before).min(cols.input);
                let end = ((outputs.end - 1) * cols.stride + reach).saturating_sub(cols.pad_before);
                let pixels = begin..end.clamp(begin, cols.input);
                self.merge_lines(lines, pixels.clone(), first, &mut kept[..pixels.len() * width]);
                for output in outputs {
                    let to = &mut to[output * self.channels + first..][..width];
                    to.fill(merge.none());
                    for tap in cols.taps_of_output(output) {
                        let from = (cols.input_of(output, tap) - begin) * width;
                        merge.values(to, &kept[from..from + width]);
                    }
                }
            }
        }
    }

    /// Merges some channels of pixels over lines, each pixel by itself.
    #[inline(always)]
    fn merge_lines(&self, lines: &[usize], pixels: Range<usize>, first: usize, to: &mut [f32]) {
        if pixels.is_empty() {
            return;
        }
        let (width, merge) = (to.len() / pixels.len(), self.of.merge);
        to.fill(merge.none());
        for line in lines {
            let from = &self.from[(line * self.axes[2].input + pixels.start) * self.channels + first..];
            if width == self.channels {
                merge.values(to, &from[..to.len()]);
            } else {
                let from = from.chunks(self.channels);
                to.chunks_exact_mut(width).zip(from).for_each(|(to, from)| merge.values(to, &from[..width]));
            }
        }
    }

    /// Makes means of the sums.
    #[inline(always)]
    fn divide(&self, lines: usize, to: &mut [f32]) {
        let [planes, rows, cols] = &self.axes;
        for (output, to) in to.chunks_exact_mut(self.channels).enumerate() {
            let count = match self.of.counts_padding {
                true => planes.kernel * rows.kernel * cols.kernel,
                false => lines * cols.taps_of_output(output).len(),
            };
            to.iter_mut().for_each(|to| *to /= count as f32);
        }
    }
}
