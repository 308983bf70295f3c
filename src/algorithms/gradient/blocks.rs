//! [`Blocks`]: what a thread computes at once of the gradient of the weights, and the scratch that it takes.

use convlow_kernels::gradient::Partition;

use super::form::Form;
use super::moved::MOST_CHANNELS;
use super::strips::{Seen, Strips};
use crate::problem::Layout;

/// Bytes of the lanes of a block, if there are more.
const LANE_BYTES: usize = 256;
/// The same where each lane has rows of its own: the fewest, if they are read where they lie or moved, and the most, for maps of
/// few pixels; and bytes of the lanes of all pixels of an image.
const OWN_LANE_BYTES: [usize; 2] = [256, 128];
const MOST_OWN_LANE_BYTES: usize = 1024;
const OWN_BYTES: usize = 48 << 10;
/// Elements of scratch that lie on the stack where there is no other.
pub(super) const STACK: usize = 1024;
/// Pixels of a part at most: longer sums lose digits.
pub const PIXELS_OF_PART: usize = 4096;
/// Bytes of a strip's factors of lanes.
const STRIP_BYTES: usize = 64 << 10;
/// Bytes of the planes that a strip's factors of rows lie in.
const PLANES_BYTES: usize = 256 << 10;
/// A line of the cache.
const LINE_BYTES: usize = 64;
/// Pixels of a strip at most, and where there is hardly any scratch.
const MOST_PIXELS: usize = 512;
const FEW_PIXELS: usize = 16;
/// Inputs of a block that are enough.
const ENOUGH_INPUTS: usize = 48;
/// Inputs up to which the taps of a kernel's plane are rows of one register tile.
const FEW_INPUTS: usize = 24;
/// Inputs that fill a register tile of one vector.
const ENOUGH_FOR_A_VECTOR: usize = 8;
/// Rows of a register tile.
const ROWS: usize = 6;

/// What is computed at once, and the scratch that it takes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Blocks {
    pub partition: Partition,
    /// Lanes of a block in whole vectors.
    pub lanes: usize,
    /// Pixels whose sums are built alone, and then added.
    pub parts: Strips,
    /// Those of a part.
    pub strips: Strips,
    /// Whether the taps of a kernel's plane are rows of one register tile.
    pub taps_together: bool,
    /// Whether sums are built where the weights lie.
    pub sums_in_place: bool,
    /// Elements of the sums, of a strip's factors of lanes, and of its factors of rows.
    pub elements: [usize; 3],
}

impl Blocks {
    /// The largest blocks within so many elements, for vectors of this length.
    pub fn largest(form: &Form, vector: usize, room: usize) -> Option<Self> {
        let element = form.rows.data_type.bytes();
        let lanes = form.extent.counts[0];
        let most = if form.each_lane { Self::own_lane_bytes(form) } else { LANE_BYTES } / element;
        let wide = lanes.div_ceil(lanes.div_ceil(most)).next_multiple_of(vector);
        let mut best: Option<(usize, Self)> = None;
        for (lanes, few) in [(wide, false), (vector, false), (vector, true)] {
            let of_pixel = (lanes * element).max(LINE_BYTES);
            let pixels = if few { FEW_PIXELS } else { (STRIP_BYTES / of_pixel).min(MOST_PIXELS) };
            let parts = Strips::new(form.pixels(), PIXELS_OF_PART);
            let strips = [parts, Strips::new(parts.sizes(), pixels)];
            for taps in boxes(form.kernel()) {
                let Some(blocks) = Self::of_taps(form, (lanes, vector), strips, taps, room) else { continue };
                let [_, inputs, of_taps] = blocks.partition.block;
                if inputs >= ENOUGH_INPUTS.min(form.extent.counts[1]) {
                    return Some(blocks);
                }
                let products = inputs * of_taps * lanes;
                if best.is_none_or(|(most, _)| products > most) {
                    best = Some((products, blocks));
                }
            }
        }
        best.map(|(_, blocks)| blocks)
    }

    /// Bytes of the lanes of a block where each lane has rows of its own.
    fn own_lane_bytes(form: &Form) -> usize {
        let [_, planes, rows, cols] = form.pixels();
        let least = OWN_LANE_BYTES[usize::from(!form.rows_in_place())];
        // The factors of several channels a group are moved for as many lanes.
        let most = match form.of_group() {
            [1, 1] => MOST_OWN_LANE_BYTES,
            _ => MOST_CHANNELS * form.rows.data_type.bytes(),
        };
        (OWN_BYTES / (planes * rows * cols).max(1)).clamp(least, MOST_OWN_LANE_BYTES.min(most))
    }

    /// Blocks of these taps and of as many inputs as there is room for.
    fn of_taps(
        form: &Form,
        (lanes, vector): (usize, usize),
        [parts, strips]: [Strips; 2],
        taps: [usize; 3],
        room: usize,
    ) -> Option<Self> {
        let seen = Self::seen(form, vector, &strips, taps)?;
        // A part of a vector is moved in any case.
        let in_vectors = form.extent.counts[0].is_multiple_of(vector);
        let all_taps: usize = taps.iter().product();
        let of_row = if form.each_lane { lanes } else { 1 };
        // Of several register tiles, each is read from the first cache level where it is moved. What has rows of its own is read
        // too seldom for that.
        let stays = form.each_lane || lanes <= form.lanes_of_tile() || room <= STACK;
        let in_place = form.lanes_in_place() && in_vectors && stays;
        let of_lanes = if in_place { 0 } else { strips.pixels() * lanes };
        let of_input = seen.checked_mul(of_row)?.checked_add(all_taps.checked_mul(lanes)?)?;
        // The sums of the bias are a row of sums.
        let most = form.extent.counts[1];
        let inputs =
            (room.checked_sub(of_lanes + lanes)? / of_input).min(most).min(Self::near(form, &strips));
        let block = [lanes.min(form.extent.counts[0]), inputs, all_taps];
        // Rows of one vector form tiles of any number that is not small.
        let enough = most.is_multiple_of(ROWS) || lanes == vector && most >= ENOUGH_FOR_A_VECTOR;
        let taps_together = form.each_lane || most < FEW_INPUTS && !enough;
        let partition = Partition { of: form.extent, block };
        let elements = [(all_taps * inputs + 1) * lanes, of_lanes, seen * of_row * inputs];
        let sums_in_place = false;
        let blocks = Self { partition, lanes, parts, strips, taps_together, sums_in_place, elements };
        (inputs > 0).then_some(blocks)
    }

    /// The inputs of a block whose planes, for the pixels of a strip, stay in the second cache level, where each register tile of
    /// lanes reads them again.
    fn near(form: &Form, strips: &Strips) -> usize {
        if !form.rows_in_place() || form.rows.src_layout == Layout::Nhwc {
            return usize::MAX;
        }
        let most = form.rows.elements(PLANES_BYTES) / strips.pixels();
        let inputs = form.extent.counts[1];
        // Of about the same size.
        inputs.div_ceil(inputs.div_ceil(most.max(ENOUGH_INPUTS))).next_multiple_of(ROWS)
    }

    /// The most pixels of the factors of rows that a strip sees by these taps, if they are moved.
    fn seen(form: &Form, vector: usize, strips: &Strips, taps: [usize; 3]) -> Option<usize> {
        let in_vectors = form.extent.counts[0].is_multiple_of(vector);
        if form.rows_in_place() && (in_vectors || !form.each_lane) {
            return Some(0);
        }
        let [images, sizes @ ..] = strips.sizes();
        let seen = |all: usize, at: usize| all.checked_mul(Seen::most(&form.axes[at], sizes[at], taps[at]));
        (0..3).try_fold(images, seen)
    }

    /// The same blocks with no more elements than they take, and sums that are built where the weights lie, if they can be.
    pub fn settled(self, form: &Form, vector: usize) -> Self {
        let [_, inputs, taps] = self.partition.block;
        let is_one_part = form.pixels().iter().product::<usize>() <= self.parts.pixels();
        let sums_in_place = is_one_part
            && !form.rows.accumulate
            && form.extent.counts[0].is_multiple_of(vector)
            && self.partition.are_matrices();
        let sums = if sums_in_place { 1 } else { taps * inputs + 1 };
        let box_of_taps = form.taps_of_lanes(&(0..taps)).map(|taps| taps.len());
        let seen = Self::seen(form, vector, &self.strips, box_of_taps).expect("no more than before");
        let of_row = if form.each_lane { self.lanes } else { 1 };
        let elements = [sums * self.lanes, self.elements[1], seen * of_row * inputs];
        Self { sums_in_place, elements, ..self }
    }

    /// The same in smaller blocks of the same strips, so that all threads have about as much to do.
    pub fn for_threads(self, form: &Form, vector: usize, threads: usize) -> Self {
        /// Of the time of all threads.
        const IDLE: f64 = 0.06;
        let idle = |blocks: &Self| {
            let count = blocks.partition.blocks();
            1.0 - count as f64 / (count.div_ceil(threads) * threads) as f64
        };
        let [lanes, inputs, taps] = self.partition.block;
        let mut best = self;
        let mut consider = |block: [usize; 3]| {
            let smaller = Self { partition: Partition { block, ..self.partition }, ..self };
            if idle(&best) > IDLE && idle(&smaller) < idle(&best) {
                best = smaller;
            }
        };
        for parts in [1, 2, 3, 4, 6, 8, 12, 16] {
            consider([lanes, inputs.div_ceil(parts), taps]);
        }
        // The sums of taps that are rows of one tile are built in another order.
        for of_taps in boxes(form.kernel()).map(|taps| taps.iter().product::<usize>()) {
            if of_taps <= taps && !self.taps_together {
                consider([lanes, inputs, of_taps]);
            }
        }
        for parts in [2, 3, 4, 6, 8] {
            consider([lanes.div_ceil(parts).next_multiple_of(vector).min(lanes), inputs, taps]);
        }
        best.settled(form, vector)
    }

    /// Whether the factors of lanes are read where they lie.
    pub fn lanes_in_place(&self) -> bool {
        self.elements[1] == 0
    }

    /// Elements of scratch.
    pub fn all(&self) -> usize {
        self.elements.iter().sum()
    }
}

/// The parts of a size that divide it, the largest first. Of a great many only the first and the last.
fn divisors(size: usize) -> impl Iterator<Item = usize> {
    const MOST_PARTS: usize = 1 << 10;
    let parts = (1..=size.min(MOST_PARTS)).filter(move |&parts| size.is_multiple_of(parts));
    parts.map(move |parts| size / parts).chain((size > MOST_PARTS).then_some(1))
}

/// Taps that a block may have: all; those of some planes; some rows of a plane; some of a row. Each divides the one before.
fn boxes([planes, rows, cols]: [usize; 3]) -> impl Iterator<Item = [usize; 3]> {
    let of_planes = divisors(planes).map(move |planes| [planes, rows, cols]);
    let of_rows = divisors(rows).skip(1).map(move |rows| [1, rows, cols]);
    of_planes.chain(of_rows).chain(divisors(cols).skip(1).map(|cols| [1, 1, cols]))
}
