//! [`End`]: the last step of sums of products. It is the same in every kernel, in transpositions, and behind a GEMM.
//!
//! dst ← activation(sums + bias + addend). Bias, addend and activation may be missing. If a sum is computed in parts,
//! the first part begins it and the last part ends it.

use std::ops::Range;

use crate::activation::{Activation, PreparedActivation, apply_to_slice};
use crate::data_type::Layout;
use crate::matrix::MatrixMut;
use crate::number::Number;
use crate::scheme::Scheme;

/// What becomes of the sums of some output channels.
#[derive(Debug, Clone, Copy)]
pub struct End<'a, X: Scheme> {
    /// One value a channel.
    pub bias: Option<&'a [X::Sum]>,
    /// Whether dst's addend is added.
    pub accumulate: bool,
    /// Applied last.
    pub activation: Activation,
    /// PRELU's, one a channel; others read none.
    pub slopes: Option<&'a [X::Dst]>,
}

impl<'a, X: Scheme> End<'a, X> {
    /// dst ← sums.
    pub const NOTHING: Self =
        Self { bias: None, accumulate: false, activation: Activation::None, slopes: None };

    /// That of some of the channels.
    #[inline]
    pub fn of_channels(&self, channels: Range<usize>) -> Self {
        Self {
            bias: self.bias.map(|bias| &bias[channels.clone()]),
            slopes: self.slopes.map(|slopes| &slopes[channels]),
            ..*self
        }
    }

    /// That of a part of the sums, which may be the first, the last, or both. Later parts are added to what earlier
    /// ones left in dst, which is their addend then.
    #[inline]
    pub fn of_part(&self, is_first: bool, is_last: bool) -> Self {
        Self {
            bias: self.bias.filter(|_| is_first),
            accumulate: self.accumulate || !is_first,
            activation: if is_last { self.activation } else { Activation::None },
            slopes: self.slopes,
        }
    }

    /// What is done to sums before they are moved to dst: everything, unless something lies there that is added.
    #[inline]
    pub fn before_move(&self) -> Self {
        let activation = if self.accumulate { Activation::None } else { self.activation };
        Self { accumulate: false, activation, ..*self }
    }

    /// What is left for the move.
    #[inline]
    pub fn of_move(&self) -> Self {
        let activation = if self.accumulate { self.activation } else { Activation::None };
        Self { bias: None, activation, ..*self }
    }

    /// Whether there is one value for each of so many channels.
    pub(crate) fn has(&self, channels: usize) -> bool {
        self.bias.is_none_or(|bias| bias.len() == channels)
            && self.slopes.map_or(self.activation != Activation::Prelu, |slopes| slopes.len() == channels)
    }

    /// What kernels do to sums that are in registers: everything but an activation that takes more than bounds. A
    /// call from the loops that form sums would move these out of their registers.
    pub(crate) fn in_registers(&self) -> Self {
        match self.activation {
            Activation::None | Activation::Clamp { .. } => *self,
            _ => Self { activation: Activation::None, slopes: None, ..*self },
        }
    }

    /// What is left for the tile that has been written, which lies in the cache.
    pub fn in_memory(&self) -> Self {
        let activation = match self.activation {
            Activation::None | Activation::Clamp { .. } => Activation::None,
            other => other,
        };
        Self { bias: None, accumulate: false, activation, slopes: self.slopes }
    }

    /// The bounds of sums in registers.
    pub(crate) fn bounds(&self) -> Option<[X::Sum; 2]> {
        X::bounds(self.activation)
    }
}

impl<T: Number> End<'_, T> {
    /// Adds the bias to sums that lie in dst already, and applies the activation: channels × pixels with planes, else
    /// pixels × channels.
    pub(crate) fn finish_checked(&self, dst: &mut MatrixMut<'_, T>, layout: Layout) {
        if self.bias.is_none() && self.activation == Activation::None {
            return;
        }
        let activation = PreparedActivation::new(self.activation);
        let slopes = self.slopes.unwrap_or_default();
        if let (None, Some(all)) = (self.bias, dst.as_mut_slice().filter(|_| slopes.is_empty())) {
            return apply_to_slice(&activation, &[], all);
        }
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
