//! The number of outputs of a register tile, and a loop over them that is unrolled at compile time.

/// Outputs of a register tile: networks halve their maps down to 7×7, so that all their widths are multiples of it.
/// Two vectors of each fill a line of the cache; their sums leave two of AVX2's 16 registers, one of them for the
/// weights of a tap, which multiply the outputs' pixels as these are read from the first cache level.
pub const MOST_OUTPUTS: usize = 7;

/// Writes a block for each of some numbers, which is a constant there: sums stay in registers.
macro_rules! for_each {
    ($name:ident => $body:block) => {
        for_each! { $name in [0 1 2 3 4 5 6] => $body }
    };
    ($name:ident in [$($number:literal)+] => $body:block) => { $({
        const $name: usize = $number;
        $body
    })+ };
}

pub(super) use for_each;
