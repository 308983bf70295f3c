//! Resize and Upsample by whole numbers.

use super::operation::{Image, Operation, Piecewise, Target, in_pieces};
use crate::host::{Failure, Listed, Node, Result, Tensor, Value};
use crate::session::Threads;

/// Each pixel so many times along each axis.
pub struct Enlarge {
    times: Vec<usize>,
}

impl Enlarge {
    /// None if a Resize or Upsample does something else than to repeat pixels.
    ///
    /// # Errors
    /// The host's.
    pub fn of(node: Node<'_>, inputs: &[Option<Value<'_>>], rank: usize) -> Result<Option<Self>> {
        let text = |name, otherwise: &str| {
            Ok::<_, Failure>(node.string(name)?.unwrap_or_else(|| otherwise.to_string()))
        };
        if text(c"mode", "nearest")? != "nearest" || node.ints(c"axes")?.is_some() {
            return Ok(None);
        }
        // Enlarged by whole numbers, a new pixel is a part of the old pixel that is nearest to its middle; so it is of the
        // one where it begins, rounded down.
        let is_part = match text(c"coordinate_transformation_mode", "half_pixel")?.as_str() {
            "half_pixel" => true,
            "asymmetric" => text(c"nearest_mode", "round_prefer_floor")? == "floor",
            _ => false,
        };
        // A Resize of the first version, and Upsample, have their scales as the second input.
        let scales = match (node.operator()? == "Resize", inputs) {
            (true, [_, _, Some(scales)]) if is_part => scales,
            (false, [_, Some(scales)]) => scales,
            _ => return Ok(None),
        };
        let Some(scales) = scales.constant()?.filter(|scales| scales.element == f32::ELEMENT) else {
            return Ok(None);
        };
        let scales = scales.elements::<f32>()?;
        let are_whole = scales.iter().all(|&scale| (1.0..=64.0).contains(&scale) && scale.fract() == 0.0);
        if scales.len() != rank || !are_whole || scales[..2] != [1.0; 2] {
            return Ok(None);
        }
        Ok(Some(Self { times: scales[2..].iter().map(|&scale| scale as usize).collect() }))
    }
}

impl Operation for Enlarge {
    fn sizes(&self, inputs: &[Tensor<'_>]) -> Result<Vec<usize>> {
        let mut sizes = inputs[0].sizes.clone();
        if sizes.len() != self.times.len() + 2 {
            return Err(Failure(format!("sizes {sizes:?} do not fit {} scales", self.times.len())));
        }
        sizes[2..].iter_mut().zip(&self.times).for_each(|(size, times)| *size *= times);
        Ok(sizes)
    }

    fn run(&self, inputs: &[Tensor<'_>], output: Target<'_>, threads: &Threads<'_>) -> Result<()> {
        let Image { channels, spatial, .. } = Image::of(&inputs[0])?;
        let line = output.sizes.last().copied().unwrap_or(1) * channels;
        let repeated = Repeated { from: inputs[0].elements()?, spatial, times: &self.times, channels };
        in_pieces(&repeated, output.to, line, threads);
        Ok(())
    }
}

/// Lines of repeated pixels.
struct Repeated<'a> {
    from: &'a [f32],
    spatial: &'a [usize],
    times: &'a [usize],
    channels: usize,
}

impl Piecewise for Repeated<'_> {
    #[inline(always)]
    fn piece(&self, index: usize, to: &mut [f32]) {
        let Self { from, spatial, times, channels } = *self;
        // Of the line's place among the repeated ones, the place of the line that is repeated.
        let (mut rest, mut line, mut below) = (index, 0, 1);
        let outer = spatial.len() - 1;
        for (size, times) in spatial[..outer].iter().zip(times).rev() {
            line += rest % (size * times) / times * below;
            rest /= size * times;
            below *= size;
        }
        let width = spatial[outer] * channels;
        let from = &from[(rest * below + line) * width..][..width];
        let repeated = to.chunks_exact_mut(channels * times[outer]);
        for (to, from) in repeated.zip(from.chunks_exact(channels)) {
            to.chunks_exact_mut(channels).for_each(|to| to.copy_from_slice(from));
        }
    }
}
