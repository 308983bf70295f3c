//! [`Channels`]: the values that all tiles of a class share.

use crate::axis::Axis;
use crate::places::Place;
use crate::scheme::Scheme;

/// What all tiles of a class share.
#[derive(Clone, Copy)]
pub struct Channels<X: Scheme> {
    pub count: usize,
    /// Where the image ends.
    pub src_end: *const X::Src,
    /// Those of the class's tap (0, 0, 0) of the first block.
    pub weights: *const X::Weight,
    pub bias: Option<*const X::Sum>,
    /// Bounds of the sums, if there are any.
    pub bounds: Option<[X::Sum; 2]>,
    /// Whether the image is larger than the first cache level.
    pub is_far: bool,
    /// Taps of a channel, all classes together, and the class's first one.
    pub taps: usize,
    pub first_tap: usize,
    /// From one tap to the next of the two outer axes and of that along which the tiles lie: elements of the image, and
    /// taps.
    pub tap_steps: [(usize, usize); 3],
    /// The axis along which the tiles lie, and the one across.
    pub along: Axis,
    pub across: Axis,
    /// From one output to the next of both.
    pub output_step: Place,
    pub row_step: Place,
    /// The outputs across, from one to before another.
    pub rows: [usize; 2],
}
