//! [`Row`]: one kernel row, for some outputs and channels.

use crate::depthwise_tile::channels::Channels;
use crate::depthwise_tile::outputs::{MOST_OUTPUTS, for_each};
use crate::lanes::prefetch_line;
use crate::places::Place;
use crate::scheme::Scheme;
use crate::sums::Sums;
use crate::vectors::Vectors;
use crate::width::Reading;

/// A kernel row from one of its taps on, for the first output of a tile and some channels.
#[derive(Clone, Copy)]
pub struct Row<X: Scheme> {
    pub src: *const X::Src,
    pub weights: *const X::Weight,
    /// To the next tap: of the image, and of the weights.
    pub tap: Place,
    /// To the next output of the image.
    pub output: usize,
}

impl<X: Scheme> Row<X> {
    /// So many taps farther.
    #[inline(always)]
    pub fn plus(self, taps: usize) -> Self {
        Self {
            src: self.src.wrapping_add(self.tap.src.wrapping_mul(taps)),
            weights: self.weights.wrapping_add(self.tap.dst.wrapping_mul(taps)),
            ..self
        }
    }

    /// Adds the products of the tap of those outputs that see it.
    ///
    /// # Safety
    /// The channels are there: weights of the tap, and the pixels that the outputs see.
    #[inline(always)]
    pub unsafe fn add<S: Vectors, const V: usize, R: Reading<S, X>>(
        &self,
        simd: S,
        reading: R,
        sees: impl Fn(usize) -> bool,
        sums: &mut Sums<S, X, MOST_OUTPUTS, V>,
    ) {
        for_each!(VECTOR in [0 1] => {
            if const { VECTOR < V } {
                // SAFETY: a tap of these channels.
                let weight = unsafe { reading.weights(simd, self.weights, VECTOR) };
                for_each!(OUTPUT => {
                    if sees(OUTPUT) {
                        let pixel = self.src.wrapping_add(self.output.wrapping_mul(OUTPUT));
                        // SAFETY: the output sees the tap.
                        let value = unsafe { reading.factors(simd, pixel, VECTOR) };
                        sums[OUTPUT][VECTOR] = X::add_products(simd, value, weight, sums[OUTPUT][VECTOR]);
                    }
                });
            }
        });
    }

    /// Asks for the next channels of the pixels under the tap, or if earlier taps have read all others, of the last
    /// one: they are too many, and lie too far apart, for the machine to foresee.
    #[inline(always)]
    pub fn ask<const V: usize, S: Vectors>(&self, channels: &Channels<X>, fresh: bool) {
        if channels.is_far {
            let ahead = self.src.wrapping_add(V * X::channels::<S>());
            for_each!(OUTPUT => {
                if fresh || OUTPUT + 1 == MOST_OUTPUTS {
                    prefetch_line(ahead.wrapping_add(self.output.wrapping_mul(OUTPUT)));
                }
            });
        }
    }
}
