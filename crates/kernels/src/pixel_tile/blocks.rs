//! [`Blocks`]: the division of output channels among register tiles.

use crate::data_type::DataType;
use crate::number::QUAD;
use crate::pixel_tile::absent::ABSENT;
use crate::register::channels_of_register_tile;
use crate::sums::VECTORS;

/// How output channels are divided into blocks, whose weights are packed together and which register tiles compute at
/// once.
#[derive(Debug, Clone, Copy)]
pub struct Blocks {
    /// Output channels of a block: some of a group, or those of one or several groups.
    pub channels: usize,
    /// Output channels that see the same input channels.
    pub of_group: usize,
}

impl Blocks {
    /// Those of a convolution of so many groups, each of so many input and output channels. Small groups share a
    /// block if each fills a vector or four lanes of one.
    pub fn new(data_type: DataType, groups: usize, [of_input, of_group]: [usize; 2]) -> Self {
        let most = channels_of_register_tile(data_type);
        let lanes = most / VECTORS;
        let fill = of_group == lanes || (of_group == QUAD && lanes > QUAD);
        let at_once = (most / of_group).min(groups);
        let share = fill && (groups * of_group).is_multiple_of(lanes) && at_once * of_input <= ABSENT;
        Self { channels: if share || of_group >= most { most } else { of_group }, of_group }
    }

    /// Whether a block holds several groups.
    pub fn share(&self) -> bool {
        self.of_group < self.channels
    }
}
