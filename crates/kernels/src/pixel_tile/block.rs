//! [`Block`]: a block of output channels.

use crate::scheme::Scheme;
use crate::sums::Run;

/// One block of channels: everything that its register tiles share.
pub struct Block<X: Scheme> {
    pub src: *const X::Src,
    pub weights: *const X::Weight,
    /// One value a channel, if there are any.
    pub bias: Option<*const X::Sum>,
    /// The channels of the part's first pixel.
    pub dst: *mut X::Dst,
    pub channels: usize,
    /// Output channels of a group: of more of them than a block's, or of fewer.
    pub of_group: usize,
    /// Input channels whose weights a tap has, and of these the part that is summed.
    pub tap_depth: usize,
    pub depth: usize,
    /// Elements of the image from one tap of a class to the next, on each axis, and from one channel to the next.
    pub steps: [usize; 3],
    pub channel_step: usize,
    /// Weights of a tap: of all channels or, where these are the lanes of no vector, of one.
    pub of_tap: usize,
    /// Weights of an output channel, where the lanes of vectors are input channels.
    pub along: Option<usize>,
    /// Taps from one of a class to the next, as the weights count them.
    pub tap_steps: [usize; 3],
    /// Whether the taps of a kernel row lie one behind the other.
    pub joined: bool,
    /// What the part's first pixel is added to, if the pixels are.
    pub addend: Option<*const X::Dst>,
    /// Bounds of the sums, if there are any.
    pub bounds: Option<[X::Sum; 2]>,
}

impl<X: Scheme> Block<X> {
    /// The elements of a tap of a class and of others that lie behind it.
    #[inline(always)]
    pub fn run_of_taps(&self, first_tap: usize, taps: [usize; 3], len: usize) -> Run<X> {
        let [mut row, mut tap] = [0usize, first_tap];
        let mut at = 0;
        while at < 3 {
            row = row.wrapping_add(taps[at].wrapping_mul(self.steps[at]));
            tap = tap.wrapping_add(taps[at].wrapping_mul(self.tap_steps[at]));
            at += 1;
        }
        let vectors = self.weights.wrapping_add(tap.wrapping_mul(self.of_tap));
        Run { row, vectors, len: len * self.depth }
    }
}
