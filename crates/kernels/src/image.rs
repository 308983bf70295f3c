//! [`Image`]: the channels of one group of one input image, in any layout.

use crate::scheme::Stored;
use crate::view::View;

/// One group of one image: C/groups × planes × H × W elements, addressed as `data[c·channel + z·plane + y·row +
/// x·pixel]`.
#[derive(Debug, Clone, Copy)]
pub struct Image<'a, T = f32> {
    /// The elements from the group's first one on.
    pub data: View<'a, T>,
    /// Elements from one channel to the next.
    pub channel: usize,
    /// Elements from one plane of a volume to the next.
    pub plane: usize,
    /// Elements from one row to the next.
    pub row: usize,
    /// Elements from one pixel of a row to the next.
    pub pixel: usize,
}

impl<'a, T: Stored> Image<'a, T> {
    /// Elements from one plane, row and column to the next.
    pub fn steps(&self) -> [usize; 3] {
        [self.plane, self.row, self.pixel]
    }

    /// Where `[channel, y, x]` of the first plane lies.
    pub fn place(&self, channel: usize, y: usize, x: usize) -> usize {
        channel * self.channel + y * self.row + x * self.pixel
    }

    /// The elements from `[channel, y, x]` of the first plane on.
    pub fn at(&self, channel: usize, y: usize, x: usize) -> View<'a, T> {
        self.data.from(self.place(channel, y, x))
    }

    /// The planes from this one on.
    pub fn planes_from(&self, plane: usize) -> Self {
        Self { data: self.data.from(plane * self.plane), ..*self }
    }

    /// The channels from this one on.
    pub fn channels_from(&self, channel: usize) -> Self {
        Self { data: self.data.from(channel * self.channel), ..*self }
    }
}
