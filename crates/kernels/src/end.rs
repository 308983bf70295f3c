//! [`End`]: what becomes of the sums of products, the same in every kernel, transpose and GEMM form.
//!
//! dst ← activation(sums + bias + addend), where each of the three may be missing. A sum that is formed in parts is begun by
//! its first part and ended by its last one.

use std::ops::Range;

use crate::activation::{Activation, Applied, PreparedActivation, Slopes, apply_to_slice};
use crate::data_type::Layout;
use crate::matrix::MatrixMut;
use crate::number::Number;

/// What becomes of the sums of some output channels.
#[derive(Debug, Clone, Copy)]
pub struct End<'a, T> {
    /// One value a channel.
    pub bias: Option<&'a [T]>,
    /// Whether dst's addend is added.
    pub accumulate: bool,
    /// Applied last.
    pub activation: Activation,
    /// PRELU's, one a channel; others read none.
    pub slopes: Option<&'a [T]>,
}

impl<'a, T: Number> End<'a, T> {
    /// dst ← sums.
    pub const NOTHING: Self =
        Self { bias: None, accumulate: false, activation: Activation::None, slopes: None };

    /// That of some of the channels.
    pub fn of_channels(&self, channels: Range<usize>) -> Self {
        let of_channels = |values: Option<&'a [T]>| values.map(|values| &values[channels.clone()]);
        Self { bias: of_channels(self.bias), slopes: of_channels(self.slopes), ..*self }
    }

    /// That of a part of the sums, which may be the first, the last, or both. Later parts are added to what earlier ones left
    /// in dst, which is their addend then.
    pub fn of_part(&self, is_first: bool, is_last: bool) -> Self {
        Self {
            bias: self.bias.filter(|_| is_first),
            accumulate: self.accumulate || !is_first,
            activation: if is_last { self.activation } else { Activation::None },
            slopes: self.slopes,
        }
    }

    /// What is done to sums before they are moved to dst: everything, unless something lies there that is added.
    pub fn before_move(&self) -> Self {
        let activation = if self.accumulate { Activation::None } else { self.activation };
        Self { accumulate: false, activation, ..*self }
    }

    /// What is left for the move.
    pub fn of_move(&self) -> Self {
        let activation = if self.accumulate { self.activation } else { Activation::None };
        Self { bias: None, activation, ..*self }
    }

    /// Whether there is one value for each of so many channels.
    pub(crate) fn has(&self, channels: usize) -> bool {
        self.bias.is_none_or(|bias| bias.len() == channels)
            && self.slopes.map_or(self.activation != Activation::Prelu, |slopes| slopes.len() == channels)
    }

    /// The activation for a tile whose lanes are channels.
    pub(crate) fn of_lanes(&self) -> Applied<T> {
        let slopes = Slopes::OfLanes(self.slopes.unwrap_or_default().as_ptr());
        Applied { activation: PreparedActivation::new(self.activation), slopes }
    }

    /// The activation for a tile whose rows are channels.
    pub(crate) fn of_rows(&self) -> Applied<T> {
        let slopes = Slopes::OfRows(self.slopes.unwrap_or_default().as_ptr());
        Applied { activation: PreparedActivation::new(self.activation), slopes }
    }

    /// The activation of a single channel.
    pub fn of_channel(&self) -> PreparedActivation<T> {
        PreparedActivation::new(self.activation).of_channel(self.slopes.map(|slopes| slopes[0]))
    }

    /// Adds the bias to sums that lie in dst already, and applies the activation: channels × pixels with planes, else pixels ×
    /// channels.
    pub(crate) fn finish_checked(&self, dst: &mut MatrixMut<'_, T>, layout: Layout) {
        if self.bias.is_none() && self.activation == Activation::None {
            return;
        }
        let activation = PreparedActivation::new(self.activation);
        let slopes = self.slopes.unwrap_or_default();
        dst.for_each_row(|row, values| match layout {
            Layout::Nchw => {
                if let Some(bias) = self.bias {
                    values.iter_mut().for_each(|value| *value += bias[row]);
                }
                apply_to_slice(&activation, slopes.get(row..row + 1).unwrap_or_default(), values);
            }
            Layout::Nhwc => {
                if let Some(bias) = self.bias {
                    values.iter_mut().zip(bias).for_each(|(value, bias)| *value += *bias);
                }
                apply_to_slice(&activation, slopes, values);
            }
        });
    }
}
