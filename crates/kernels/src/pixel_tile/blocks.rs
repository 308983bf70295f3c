//! [`Blocks`]: the division of output channels among register tiles.

use crate::data_type::{DataType, for_type};
use crate::isa::{Length, halves_are_as_fast};
use crate::number::QUAD;
use crate::pixel_tile::absent::ABSENT;
use crate::pixel_tile::along;
use crate::register::{Channels, channels_with};
use crate::sums::VECTORS;

/// Vectors of channels up to which half a vector that is left empty is worth computing all of them in halves.
const HALVES: usize = 6;

/// How output channels are divided into blocks, whose weights are packed together and which register tiles compute at
/// once.
#[derive(Debug, Clone, Copy)]
pub struct Blocks {
    /// Output channels of a block: some of a group, or those of one or several groups.
    pub channels: usize,
    /// Output channels that see the same input channels.
    pub of_group: usize,
    /// The vectors that compute them.
    pub length: Length,
    /// Whether the lanes of vectors are input channels, since there are few output channels.
    pub along: bool,
}

impl Blocks {
    /// Those of a convolution of so many groups, each of so many input and output channels. Small groups share a
    /// block if each fills a vector, half of one or four lanes of one.
    pub fn new(data_type: DataType, groups: usize, [of_input, of_group]: [usize; 2]) -> Self {
        let along = along::serves(of_input, of_group);
        let channels_with = |length| for_type!(data_type, T => channels_with::<T>(length));
        let shared = |length| {
            let Channels { of_vector, .. } = channels_with(length);
            let shared = VECTORS * of_vector;
            let fours = of_group == QUAD && of_vector > QUAD && !along;
            let fill = of_group == of_vector || fours;
            let at_once = (shared / of_group).min(groups);
            let share = fill && (groups * of_group).is_multiple_of(of_vector) && at_once * of_input <= ABSENT;
            share.then_some(Self { channels: shared, of_group, length, along: false })
        };
        // Groups of half a vector are computed by shorter ones rather than one by one.
        shared(Length::Whole).or_else(|| shared(Length::Half).filter(|_| groups > 1)).unwrap_or_else(|| {
            let whole = channels_with(Length::Whole).of_vector;
            let in_halves = halves_are_as_fast() && leave_half_empty(of_group, whole);
            let length = if in_halves { Length::Half } else { Length::Whole };
            Self { channels: of_group.min(channels_with(length).of_pixels), of_group, length, along }
        })
    }

    /// Whether a block holds several groups.
    pub fn share(&self) -> bool {
        self.of_group < self.channels
    }
}

/// Whether the last vector of so many channels is at most half full, and they are so few that this matters.
fn leave_half_empty(channels: usize, of_vector: usize) -> bool {
    (1..=HALVES * of_vector).contains(&channels) && (1..=of_vector / 2).contains(&(channels % of_vector))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_serve_channels_that_leave_them_empty() {
        let served: Vec<_> = (1..=120).filter(|&channels| leave_half_empty(channels, 16)).collect();
        let expected: Vec<_> =
            [1..=8, 17..=24, 33..=40, 49..=56, 65..=72, 81..=88].into_iter().flatten().collect();
        assert_eq!(served, expected);
    }
}
