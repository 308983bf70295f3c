//! [`Strip`]: some tiles of an image.

use std::ops::Range;

use crate::geometry::Geometry;

/// F(m×m, r×r).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Filtering {
    /// m.
    pub outputs: usize,
    /// r.
    pub taps: usize,
}

impl Filtering {
    /// α.
    pub const fn alpha(self) -> usize {
        self.outputs + self.taps - 1
    }
}

/// Some tiles of an image, in raster order.
pub struct Strip<'a> {
    /// The axes.
    pub geometry: &'a Geometry,
    /// m and r.
    pub filtering: Filtering,
    /// Which tiles.
    pub tiles: Range<usize>,
}

impl Strip<'_> {
    /// The row and column, in tiles of m×m outputs, of a tile.
    pub fn place(&self, tile: usize) -> (usize, usize) {
        let [_, _, cols] = self.geometry.axes;
        let across = cols.output.div_ceil(self.filtering.outputs);
        (tile / across, tile % across)
    }
}

/// The positions of a tile that lie inside an axis, and the place on the axis of the first of them. The tile begins
/// at `start` − `before`.
pub fn clip(start: usize, before: usize, len: usize, size: usize) -> (Range<usize>, usize) {
    let first = before.saturating_sub(start).min(len);
    let end = (size + before).saturating_sub(start).clamp(first, len);
    (first..end, (start + first).saturating_sub(before))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_clipped_at_both_ends() {
        assert_eq!(clip(0, 1, 6, 14), (1..6, 0));
        assert_eq!(clip(4, 1, 6, 14), (0..6, 3));
        assert_eq!(clip(12, 1, 6, 14), (0..3, 11));
        assert_eq!(clip(0, 9, 6, 14).0.len(), 0);
        assert_eq!(clip(20, 1, 6, 14).0.len(), 0);
    }
}
