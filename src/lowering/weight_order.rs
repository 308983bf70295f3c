//! [`WeightOrder`]: how packed weights lie, and the word of a header that says so.

use std::fmt;

use crate::problem::DataType;

/// A dimension of one group's weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Dim {
    /// Output channel.
    M = b'M',
    /// Input channel.
    C = b'C',
    /// Kernel row, with its plane.
    I = b'I',
    /// Kernel column.
    J = b'J',
}

use Dim::{C, I, J, M};

/// How one group's packed weights lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WeightOrder {
    /// The dimensions, outermost first.
    pub(super) dims: [Dim; 4],
    /// Output channels that are packed as if there were no others, block behind block; 0 for all of them.
    pub(super) block: usize,
    /// m where the taps I × J are those of a kernel transformed for Winograd's F(m×m, r×r), α × α of them; else 0.
    pub(super) winograd: u8,
    /// Where taps lie.
    pub(super) taps: Taps,
}

/// Where the taps of packed weights lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Taps {
    /// Where the order of the dimensions says.
    InOrder,
    /// Each with all output channels beside the next, as if taps × output channels were the output channels.
    SideBySide,
    /// The same from the last one to the first.
    TurnedRound,
}

/// M × (C·Kh·Kw): one row of the kernel matrix an output channel, channels outermost in the depth.
pub const MCIJ: WeightOrder = WeightOrder::plain([M, C, I, J]);
/// (C·Kh·Kw) × M.
pub const CIJM: WeightOrder = WeightOrder::plain([C, I, J, M]);
/// M × (Kh·Kw·C): taps outermost in the depth, as patches of NHWC pixels have it.
pub const MIJC: WeightOrder = WeightOrder::plain([M, I, J, C]);
/// (Kh·Kw·C) × M, which is also one C × M matrix a tap.
pub const IJCM: WeightOrder = WeightOrder::plain([I, J, C, M]);
/// (Kh·Kw·M) × C, which is also one M × C matrix a tap.
#[cfg(feature = "gemm")]
pub const IJMC: WeightOrder = WeightOrder::plain([I, J, M, C]);

impl WeightOrder {
    const fn plain(dims: [Dim; 4]) -> Self {
        Self { dims, block: 0, winograd: 0, taps: Taps::InOrder }
    }

    /// The same order within each block of this many output channels; the last block may be smaller. The block
    /// that begins with channel m begins at m·C·Kh·Kw elements.
    pub const fn blocked(self, block: usize) -> Self {
        Self { block, ..self }
    }

    /// C × (taps × M) in blocks of so many of taps × M, from the last tap to the first if they are turned round.
    pub const fn taps_side_by_side(block: usize, turned_round: bool) -> Self {
        let taps = if turned_round { Taps::TurnedRound } else { Taps::SideBySide };
        Self { taps, ..CIJM.blocked(block) }
    }

    /// Blocks of α² C × M matrices, for Winograd tiles of m×m outputs.
    #[cfg(feature = "winograd")]
    pub const fn winograd(m: usize, block: usize) -> Self {
        Self { winograd: m as u8, ..IJCM.blocked(block) }
    }
}

/// α of the tiles of m×m outputs under r×r kernels.
pub(super) fn alpha(m: usize, r: usize) -> usize {
    m + r - 1
}

/// The bit of that word which says that the caller's taps are read from the last one to the first.
pub(super) const TURNED_ROUND: u32 = 59;
/// The bit that says that output channels here are the caller's input channels.
pub(super) const EXCHANGED: u32 = TURNED_ROUND + 1;

/// The word of a header that says in which order the elements lie, and what they are.
pub(super) struct OrderWord(pub u64);

impl fmt::Display for OrderWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [order @ .., _, _, _, _] = self.0.to_le_bytes();
        write!(f, "format {} order {}", self.0 >> 32 & 0xffff, order.escape_ascii())?;
        if self.0 >> 56 & 1 == DataType::F64 as u64 {
            f.write_str(" in float64")?;
        }
        match self.0 >> 57 & 3 {
            taps if taps == Taps::SideBySide as u64 => f.write_str(" with taps side by side")?,
            taps if taps == Taps::TurnedRound as u64 => {
                f.write_str(" with taps side by side, the last one first")?
            }
            _ => {}
        }
        f.write_str(match self.0 >> TURNED_ROUND & 3 {
            0 => "",
            1 => " turned round",
            _ => " for gradients",
        })?;
        match self.0 >> 48 & 0xff {
            0 => Ok(()),
            m => write!(f, " for Winograd tiles of {m}x{m}"),
        }
    }
}
