//! [`End`]: what becomes of the sums of products, the same in every kernel, transpose and GEMM form.
//!
//! dst ← activation(sums + bias + addend), where each of the three may be missing. A sum that is formed in parts is begun by
//! its first part and ended by its last one.

use std::ops::Range;

use crate::activation::{Activation, Applied};
use crate::data_type::Layout;
use crate::element::Element;
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
}

impl<T: Number> End<'_, T> {
    /// dst ← sums.
    pub const NOTHING: Self = Self { bias: None, accumulate: false, activation: Activation::None };

    /// That of some of the channels.
    pub fn of_channels(&self, channels: Range<usize>) -> Self {
        Self { bias: self.bias.map(|bias| &bias[channels]), ..*self }
    }

    /// That of a part of the sums, which may be the first, the last, or both. Later parts are added to what earlier ones left
    /// in dst, which is their addend then.
    pub fn of_part(&self, is_first: bool, is_last: bool) -> Self {
        Self {
            bias: self.bias.filter(|_| is_first),
            accumulate: self.accumulate || !is_first,
            activation: if is_last { self.activation } else { Activation::None },
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
    }

    /// Adds the bias to sums that lie in dst already, and applies the activation: channels × pixels with planes, else pixels ×
    /// channels.
    pub fn finish(&self, dst: &mut MatrixMut<'_, T>, layout: Layout)
    where
        T: Element,
    {
        T::finish(self, dst, layout);
    }

    /// [`End::finish`] for elements that are known.
    pub(crate) fn finish_checked(&self, dst: &mut MatrixMut<'_, T>, layout: Layout) {
        if self.bias.is_none() && self.activation == Activation::None {
            return;
        }
        let activation = Applied::new(self.activation);
        dst.for_each_row(|row, values| {
            match (self.bias, layout) {
                (None, _) => {}
                (Some(bias), Layout::Nchw) => values.iter_mut().for_each(|value| *value += bias[row]),
                (Some(bias), Layout::Nhwc) => {
                    values.iter_mut().zip(bias).for_each(|(value, bias)| *value += *bias);
                }
            }
            values.iter_mut().for_each(|value| *value = activation.of_number(*value));
        });
    }
}
