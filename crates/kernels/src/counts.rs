//! Counts along an axis. Estimates of cost use them.

use crate::axis::Axis;

/// The most positions that counts for the cost estimate walk over.
const COUNTED: usize = 1 << 16;

impl Axis {
    /// Pairs of an output and a tap inside the input. Over 65,536 of both it is the bound outputs × taps, so
    /// that planning stays quick whatever the sizes.
    pub fn count_inside(&self) -> usize {
        if self.kernel.min(self.output) > COUNTED {
            self.output.saturating_mul(self.kernel)
        } else if self.kernel <= self.output {
            (0..self.kernel).map(|tap| self.outputs_of_tap(tap).len()).sum()
        } else {
            (0..self.output).map(|output| self.taps_of_output(output).len()).sum()
        }
    }

    /// Taps that some output sees inside the input; all of them where there are over 65,536.
    pub fn count_taps_inside(&self) -> usize {
        if self.kernel > COUNTED {
            return self.kernel;
        }
        (0..self.kernel).filter(|&tap| !self.outputs_of_tap(tap).is_empty()).count()
    }

    /// Outputs with a tap inside the input; all of them where there are over 65,536.
    pub fn count_outputs_inside(&self) -> usize {
        if self.output > COUNTED {
            return self.output;
        }
        (0..self.output).filter(|&output| !self.taps_of_output(output).is_empty()).count()
    }

    /// Pairs of a strip of `strip` outputs and a tap inside the input for one of them; the bound strips × taps
    /// where there are too many.
    pub fn count_taps_of_strips(&self, strip: usize) -> usize {
        let strips = self.output.div_ceil(strip);
        if self.kernel > COUNTED || strips.saturating_mul(self.kernel) > COUNTED {
            return strips.saturating_mul(self.kernel);
        }
        (0..self.kernel)
            .map(|tap| self.outputs_of_tap(tap))
            .filter(|outputs| !outputs.is_empty())
            .map(|outputs| (outputs.end - 1) / strip - outputs.start / strip + 1)
            .sum()
    }

    /// The same in a transposed convolution, of whose outputs strips are.
    pub fn count_transposed_taps_of_strips(&self, strip: usize) -> usize {
        let strips = self.output.div_ceil(strip);
        if strips.saturating_mul(self.kernel) > COUNTED {
            return strips.saturating_mul(self.kernel);
        }
        let strips = (0..self.output).step_by(strip).map(|first| first..(first + strip).min(self.output));
        strips.map(|strip| self.exchanged(&strip).count_taps_inside()).sum()
    }
}
