//! The trait every convolution algorithm implements, and the registry of all of them.
//!
//! A new algorithm is one file beside this one and its lines in [`REGISTRY`]; planner, C query, tests,
//! benchmarks and the tables of the documentation take it from there.
//!
//! An algorithm sees one *unit*: one group of one image. The plan walks the units; the algorithm divides its
//! unit into tiles, which run on the plan's pool. Tiles follow from the problem alone, so that no result
//! depends on the number of threads.

mod conv1x1;
mod direct;
mod im2col;
mod im2row;
mod kn2;
mod kn2row_aa;
mod kn2row_flat;
mod kn2row_fold;
mod kn2row_register;
mod kn2row_tiled;
#[cfg(feature = "mec")]
mod mec;
mod product;
#[cfg(test)]
mod sample;
mod taps;
mod winograd;
mod wrapping;

use std::ffi::CStr;
use std::ops::Range;

use crate::gemm::Gemm;
use crate::lowering::epilogue;
use crate::lowering::image::Image;
use crate::lowering::weights::WeightOrder;
use crate::matrix::{Grid, MatrixMut, Tile};
use crate::parallel::Pool;
use crate::problem::{Layout, Problem};
use product::Form;

/// Why an algorithm cannot compute a problem: static text for the C surface.
pub type Reason = &'static CStr;

/// A convolution algorithm with its variant fixed.
pub trait Algorithm: Sync {
    /// A promise: where this is `Ok`, `run` computes the problem correctly. Opinions on speed live in [`Cost`].
    ///
    /// # Errors
    /// The condition that the problem fails.
    fn applicable(&self, problem: &Problem) -> Result<(), Reason>;

    /// Whether every product of the definition is formed. What is not exact needs `MATH_FAST`.
    fn is_exact(&self) -> bool {
        true
    }

    /// The order in which `run` reads the weights.
    fn weight_order(&self, problem: &Problem) -> WeightOrder;

    /// The scratch of one unit, within the limits where the algorithm can adapt; `None` if its size overflows.
    fn workspace(&self, problem: &Problem, limits: Limits) -> Option<Workspace>;

    /// What one unit costs. Asked only for what is applicable.
    fn cost(&self, problem: &Problem, workspace: &Workspace) -> Cost;

    /// Computes one unit into `dst`, the unit's part of dst as it lies in memory: M/groups × OH·OW in NCHW,
    /// OH·OW × M/groups in NHWC. `scratch` has `workspace.floats` floats of any content.
    fn run(&self, unit: &Unit<'_>, dst: MatrixMut<'_>, workspace: &Workspace, scratch: &mut [f32]);
}

/// What a unit may use.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Tiles that run at once.
    pub threads: usize,
    /// Floats of scratch. Algorithms of fixed need ignore it; the planner compares.
    pub floats: usize,
}

/// The scratch of one unit, as both the plan and `run` see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Workspace {
    /// All floats.
    pub floats: usize,
    /// Tiles that run at once. An algorithm with scratch per tile divides `floats` by it.
    pub slots: usize,
    /// The size of one strip, in rows or pixels, for the algorithms that work in strips whose size the limits decide.
    pub strip: usize,
}

impl Workspace {
    /// Scratch that all tiles of the unit share.
    fn shared(sizes: &[usize], limits: Limits) -> Option<Self> {
        let floats = crate::problem::product(sizes)?;
        Some(Self { floats, slots: limits.threads, strip: 0 })
    }

    /// Scratch of so many floats for each of the tiles that run at once: as many as threads, tiles and the limit
    /// allow, and one in any case.
    fn of_tiles(floats: usize, tiles: usize, strip: usize, limits: Limits) -> Option<Self> {
        let slots = limits.threads.min(tiles).min(limits.floats / floats).max(1);
        Some(Self { floats: crate::problem::product(&[slots, floats])?, slots, strip })
    }

    /// No scratch.
    fn none(limits: Limits) -> Option<Self> {
        Self::shared(&[0], limits)
    }
}

/// GEMM calls of one shape.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Calls {
    /// Rows, columns and depth of the largest call.
    pub shape: [usize; 3],
    /// How many there are.
    pub count: usize,
    /// All multiplications of these calls together.
    pub macs: f64,
    /// Where the second factor is the image as it lies in planes: the floats of a plane. Else 0.
    pub plane: usize,
}

/// What one unit costs, counted rather than timed: the planner turns counts into seconds. Counts of work are
/// floating-point, because what an algorithm would do beyond the definition may exceed every integer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Cost {
    /// The GEMM calls, if there are any.
    pub calls: Option<Calls>,
    /// The largest dimension or leading dimension of a call, which must fit the BLAS's integer.
    pub largest_size: usize,
    /// Tiles that threads share; 0 for as many as anyone could want.
    pub tiles: usize,
    /// Floats read or written in contiguous runs beside the GEMMs.
    pub streamed: f64,
    /// Floats read or written one by one.
    pub scattered: f64,
    /// Floats read or written in runs, on one side within the cache.
    pub cached: f64,
    /// Floats moved from one layout to the other, on one side within the cache.
    pub moved: f64,
    /// Floats of Winograd tiles, before and behind the GEMMs.
    pub transformed: f64,
    /// Multiplications in register tiles.
    pub register_macs: f64,
    /// Outputs that register tiles finish; 0 for algorithms without such tiles.
    pub finished: f64,
    /// Multiplications outside any GEMM: how many runs, and elements a run.
    pub direct_runs: f64,
    /// Elements of one such run.
    pub direct_run_len: usize,
}

/// One group of one image, and what to compute it with.
pub struct Unit<'a> {
    /// The convolution.
    pub problem: &'a Problem,
    /// The group's input channels.
    pub src: Image<'a>,
    /// The group's packed weights.
    pub weights: &'a [f32],
    /// The group's bias, one float an output channel.
    pub bias: Option<&'a [f32]>,
    /// Multiplies matrices on the calling thread.
    pub gemm: &'a dyn Gemm,
    /// Where tiles run.
    pub pool: &'a Pool,
}

impl Unit<'_> {
    /// The factor of what dst holds already: 1 where the convolution is added to it.
    fn beta(&self) -> f32 {
        if self.problem.accumulate { 1.0 } else { 0.0 }
    }

    /// Bias and clamp for a part of the unit's dst whose channels begin at `first_channel`.
    fn finish(&self, dst: &mut MatrixMut<'_>, first_channel: usize) {
        let channels = match self.problem.dst_layout {
            Layout::Nchw => dst.rows(),
            Layout::Nhwc => dst.cols(),
        };
        let bias = self.bias.map(|bias| &bias[first_channel..][..channels]);
        epilogue::finish(dst, self.problem.dst_layout, bias, self.problem.clamp);
    }
}

/// A registered algorithm.
pub struct Entry {
    /// Its number in the C surface: never reused, never changed.
    pub id: i32,
    /// The name its authors gave it.
    pub name: &'static CStr,
    /// The family in the tables.
    pub family: &'static str,
    /// Its extra space in elements, per image and group, in the letters of the notation.
    pub space: &'static str,
    /// The algorithm.
    pub algorithm: &'static dyn Algorithm,
}

impl Entry {
    /// The name as text.
    pub fn name(&self) -> &'static str {
        self.name.to_str().expect("registered names are ASCII")
    }

    /// The entry with this id.
    pub fn by_id(id: i32) -> Option<&'static Entry> {
        REGISTRY.iter().find(|entry| entry.id == id)
    }

    /// The entry with this name.
    pub fn by_name(name: &CStr) -> Option<&'static Entry> {
        REGISTRY.iter().find(|entry| entry.name == name)
    }
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.name(), self.id)
    }
}

/// Channels of each of so many blocks of about the same size, in whole vectors.
fn channels_of_block(channels: usize, blocks: usize) -> usize {
    channels.div_ceil(blocks).next_multiple_of(16).min(channels)
}

/// Groups into which to divide the channels so that so many threads have two tiles each, where strips of pixels alone are
/// fewer. Each group lowers its strip for itself. How many there are changes no sum.
fn groups_for_threads(strips: usize, threads: usize) -> usize {
    let tiles = if threads == 1 { 1 } else { 2 * threads };
    tiles / strips
}

/// Channels of one of so many groups of whole blocks, of which there is at least one and no more than blocks.
fn channels_of_group(channels: usize, block: usize, groups: usize) -> usize {
    let blocks = channels.div_ceil(block);
    (blocks.div_ceil(groups.clamp(1, blocks)) * block).min(channels)
}

/// The tiles of a unit's dst, of so many pixels and channels, as dst lies.
fn dst_grid(problem: &Problem, tile_pixels: usize, tile_channels: usize) -> Grid {
    let (pixels, channels) = (problem.out_pixels(), problem.group_out());
    match problem.dst_layout {
        Layout::Nchw => Grid::new(channels, pixels, tile_channels, tile_pixels),
        Layout::Nhwc => Grid::new(pixels, channels, tile_pixels, tile_channels).by_columns(),
    }
}

/// Pixels and channels of a tile of [`dst_grid`].
fn pixels_and_channels(problem: &Problem, tile: Tile) -> (Range<usize>, Range<usize>) {
    match problem.dst_layout {
        Layout::Nchw => (tile.cols, tile.rows),
        Layout::Nhwc => (tile.rows, tile.cols),
    }
}

/// Some channels of all pixels of such a tile's dst, counted from its first.
fn part_of_channels<'a>(
    problem: &Problem,
    dst: &'a mut MatrixMut<'_>,
    channels: Range<usize>,
) -> MatrixMut<'a> {
    let (rows, cols) = (dst.rows(), dst.cols());
    match problem.dst_layout {
        Layout::Nchw => dst.part(channels, 0..cols),
        Layout::Nhwc => dst.part(0..rows, channels),
    }
}

/// Floats of weights that `passes` over all of them bring from beyond the second cache level. They come at twice the
/// pace of other streams, being read in order and far ahead of their use.
fn weights_streamed(problem: &Problem, passes: usize) -> f64 {
    streamed_floats(problem.group_out() * problem.depth(), passes)
}

/// [`weights_streamed`] for weights of so many floats.
fn streamed_floats(floats: usize, passes: usize) -> f64 {
    const CACHED_FLOATS: usize = 1 << 18;
    if floats > CACHED_FLOATS { work(&[floats, passes]) / 2.0 } else { 0.0 }
}

/// A product of sizes as a count of work.
fn work(sizes: &[usize]) -> f64 {
    sizes.iter().map(|&size| size as f64).product()
}

/// `Err(reason)` unless the condition holds.
fn require(condition: bool, reason: Reason) -> Result<(), Reason> {
    if condition { Ok(()) } else { Err(reason) }
}

fn require_layouts(problem: &Problem, src: Layout, dst: Layout) -> Result<(), Reason> {
    require(
        (problem.src_layout, problem.dst_layout) == (src, dst),
        match (src, dst) {
            (Layout::Nchw, Layout::Nchw) => c"needs src_layout NCHW and dst_layout NCHW",
            (Layout::Nchw, Layout::Nhwc) => c"needs src_layout NCHW and dst_layout NHWC",
            (Layout::Nhwc, Layout::Nchw) => c"needs src_layout NHWC and dst_layout NCHW",
            (Layout::Nhwc, Layout::Nhwc) => c"needs src_layout NHWC and dst_layout NHWC",
        },
    )
}

fn require_unit_stride(problem: &Problem) -> Result<(), Reason> {
    require(problem.unit_stride(), c"needs stride 1")
}

/// Writes the registry's lines: id, name and algorithm, under a family and its space.
macro_rules! registry {
    ($($family:literal, $space:literal { $($(#[$cfg:meta])* $id:literal $name:literal $algorithm:expr,)+ })+) => {
        /// Every algorithm, in the order of the documentation's table.
        pub static REGISTRY: &[Entry] = &[$($($(#[$cfg])* Entry {
            id: $id,
            name: $name,
            family: $family,
            space: $space,
            algorithm: &$algorithm,
        },)+)+];
    };
}

use crate::lowering::patches::Fill::{CopyLong, CopySelf, CopyShort, Scan};
use Form::{AbIk, AbKi, AbtIk, AbtKi, AtbIk, AtbKi, AtbtIk, AtbtKi};
use conv1x1::Conv1x1;
use direct::DirectSum2d;
use im2col::Im2col;
use im2row::Im2row;
use kn2::Kn2;
use kn2row_aa::Kn2rowAa;
use kn2row_flat::Kn2rowFlat;
use kn2row_fold::Kn2rowFold;
use kn2row_register::Kn2rowRegister;
use kn2row_tiled::Kn2rowTiled;
#[cfg(feature = "mec")]
use mec::Mec;
use winograd::Winograd;

registry! {
    "direct", "0" {
        1 c"direct-sum2d" DirectSum2d,
    }
    "im2col", "C·Kh·Kw·OH·OW" {
        2 c"im2col-scan-ab-ki" Im2col(Scan, AbKi),
        3 c"im2col-scan-atb-ki" Im2col(Scan, AtbKi),
        4 c"im2col-scan-atb-ik" Im2col(Scan, AtbIk),
        5 c"im2col-scan-atbt-ik" Im2col(Scan, AtbtIk),
        6 c"im2col-copy-short-ab-ki" Im2col(CopyShort, AbKi),
        7 c"im2col-copy-short-atb-ki" Im2col(CopyShort, AtbKi),
        8 c"im2col-copy-short-atb-ik" Im2col(CopyShort, AtbIk),
        9 c"im2col-copy-short-atbt-ik" Im2col(CopyShort, AtbtIk),
        10 c"im2col-copy-long-ab-ki" Im2col(CopyLong, AbKi),
        11 c"im2col-copy-long-atb-ki" Im2col(CopyLong, AtbKi),
        12 c"im2col-copy-long-atb-ik" Im2col(CopyLong, AtbIk),
        13 c"im2col-copy-long-atbt-ik" Im2col(CopyLong, AtbtIk),
        14 c"im2col-copy-self-ab-ki" Im2col(CopySelf, AbKi),
        15 c"im2col-copy-self-atb-ki" Im2col(CopySelf, AtbKi),
        16 c"im2col-copy-self-atb-ik" Im2col(CopySelf, AtbIk),
        17 c"im2col-copy-self-atbt-ik" Im2col(CopySelf, AtbtIk),
    }
    "im2row", "C·Kh·Kw·OH·OW" {
        18 c"im2row-scan-ab-ik" Im2row::Scan(AbIk),
        19 c"im2row-scan-abt-ik" Im2row::Scan(AbtIk),
        20 c"im2row-scan-abt-ki" Im2row::Scan(AbtKi),
        21 c"im2row-scan-atbt-ki" Im2row::Scan(AtbtKi),
        22 c"im2row-copy-short-ab-ik" Im2row::CopyShort(AbIk),
        23 c"im2row-copy-short-abt-ik" Im2row::CopyShort(AbtIk),
        24 c"im2row-copy-short-abt-ki" Im2row::CopyShort(AbtKi),
        25 c"im2row-copy-short-atbt-ki" Im2row::CopyShort(AtbtKi),
    }
    "mec", "Kw·C·H·OW" {
        #[cfg(feature = "mec")]
        26 c"mec-row-partition" Mec::RowPartition,
        #[cfg(feature = "mec")]
        27 c"mec-col" Mec::Col,
    }
    "kn2", "Kh·Kw·M·H·W" {
        28 c"kn2row" Kn2::Row,
        29 c"kn2col" Kn2::Col,
    }
    "kn2-as", "M·H·W" {
        30 c"kn2row-as" Kn2::RowAs,
        31 c"kn2col-as" Kn2::ColAs,
    }
    "kn2-aa", "Kw/2·M·rows of a strip" {
        32 c"kn2row-aa-ab" Kn2rowAa(AbKi),
        33 c"kn2row-aa-atb" Kn2rowAa(AtbKi),
        34 c"kn2row-aa-abt" Kn2rowAa(AbtKi),
        35 c"kn2row-aa-atbt" Kn2rowAa(AtbtKi),
    }
    "conv-1x1", "0" {
        36 c"conv-1x1-gemm-ab-ik" Conv1x1(AbIk),
        37 c"conv-1x1-gemm-abt-ik" Conv1x1(AbtIk),
        38 c"conv-1x1-gemm-abt-ki" Conv1x1(AbtKi),
        39 c"conv-1x1-gemm-atbt-ki" Conv1x1(AtbtKi),
        40 c"conv-1x1-gemm-atb-ik" Conv1x1(AtbIk),
        41 c"conv-1x1-gemm-atbt-ik" Conv1x1(AtbtIk),
        42 c"conv-1x1-gemm-ab-ki" Conv1x1(AbKi),
        43 c"conv-1x1-gemm-atb-ki" Conv1x1(AtbKi),
    }
    "tiled", "0" {
        44 c"kn2row-tiled" Kn2rowTiled,
    }
    "flat", "Kw/2·R·Mb" {
        45 c"kn2row-flat" Kn2rowFlat,
    }
    "folded", "Kw·C·OW·(R·s+Kh)" {
        49 c"kn2row-fold" Kn2rowFold,
    }
    "register", "0" {
        55 c"kn2row-register" Kn2rowRegister,
    }
    "winograd", "α²·T·(Cb+Mb)" {
        50 c"winograd-strip-2x2-3x3" Winograd::<4, 3>,
        51 c"winograd-strip-4x4-3x3" Winograd::<6, 3>,
        52 c"winograd-strip-6x6-3x3" Winograd::<8, 3>,
        53 c"winograd-strip-2x2-5x5" Winograd::<6, 5>,
        54 c"winograd-strip-4x4-5x5" Winograd::<8, 5>,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::gemm::Backend;
    use crate::lowering::weights::Packing;
    use crate::matrix::Operand;
    use crate::problem::Axis;

    #[test]
    fn ids_and_names_are_unique_and_the_paper_s_primitives_are_all_there() {
        const OWN: [&str; 9] = [
            "kn2row-tiled",
            "kn2row-flat",
            "kn2row-register",
            "kn2row-fold",
            "winograd-strip-2x2-3x3",
            "winograd-strip-4x4-3x3",
            "winograd-strip-6x6-3x3",
            "winograd-strip-2x2-5x5",
            "winograd-strip-4x4-5x5",
        ];
        let mecs = if cfg!(feature = "mec") { 2 } else { 0 };
        assert_eq!(REGISTRY.iter().filter(|entry| !OWN.contains(&entry.name())).count(), 41 + mecs);
        assert_eq!(REGISTRY.len(), 41 + mecs + OWN.len());
        for (index, entry) in REGISTRY.iter().enumerate() {
            assert!(entry.id > 0, "0 is CONVLOW_ALGORITHM_AUTO");
            assert!(REGISTRY[..index].iter().all(|other| other.id != entry.id && other.name != entry.name));
        }
    }

    /// Counts calls and remembers the largest size, and computes.
    #[derive(Default)]
    struct Counting {
        calls: AtomicUsize,
        macs: AtomicUsize,
        largest: AtomicUsize,
    }

    impl Gemm for Counting {
        fn multiply(&self, c: MatrixMut<'_>, a: Operand<'_>, b: Operand<'_>, beta: f32) {
            self.calls.fetch_add(1, Ordering::Relaxed);
            self.macs.fetch_add(c.rows() * c.cols() * a.cols(), Ordering::Relaxed);
            for size in [c.rows(), c.cols(), a.cols(), c.ld(), a.stored.ld(), b.stored.ld()] {
                self.largest.fetch_max(size, Ordering::Relaxed);
            }
            Backend::Embedded.gemm().multiply(c, a, b, beta);
        }
    }

    /// The figures of the plan info and the check against the BLAS's integer rest on these counts.
    #[test]
    fn cost_counts_the_gemm_calls_that_run_makes() {
        let axis = |input, kernel, stride, dilation, pad_before, pad_after| Axis {
            stride,
            dilation,
            pad_before,
            pad_after,
            ..Axis::dense(input, kernel)
        };
        let axes = [
            (axis(40, 3, 1, 1, 1, 1), axis(40, 3, 1, 1, 1, 1)),
            (axis(9, 5, 1, 2, 9, 3), axis(8, 3, 1, 1, 0, 2)),
            (axis(3, 3, 1, 3, 6, 6), axis(4, 3, 1, 1, 1, 1)),
            (axis(30, 1, 1, 1, 0, 0), axis(33, 1, 1, 1, 0, 0)),
            (axis(23, 5, 2, 1, 2, 2), axis(19, 3, 3, 1, 1, 0)),
        ];
        for (rows, cols) in axes {
            for (src_layout, dst_layout) in [
                (Layout::Nchw, Layout::Nchw),
                (Layout::Nchw, Layout::Nhwc),
                (Layout::Nhwc, Layout::Nchw),
                (Layout::Nhwc, Layout::Nhwc),
            ] {
                for limit in [0, 100, usize::MAX] {
                    let problem = Problem {
                        batch: 1,
                        in_channels: 6,
                        out_channels: 280,
                        groups: 1,
                        rows,
                        cols,
                        src_layout,
                        dst_layout,
                        weights_layout: crate::WeightsLayout::Oihw,
                        clamp: None,
                        accumulate: true,
                    };
                    count_calls(&Problem::new(problem).expect("the problems are valid"), limit);
                }
            }
        }
    }

    fn count_calls(problem: &Problem, limit: usize) {
        let limits = Limits { threads: 2, floats: limit };
        for entry in REGISTRY.iter().filter(|entry| entry.algorithm.applicable(problem).is_ok()) {
            let workspace = entry.algorithm.workspace(problem, limits).expect("a small problem");
            let cost = entry.algorithm.cost(problem, &workspace);
            let counting = Counting::default();
            let src = vec![1.0; problem.src_len()];
            let packing = Packing::new(problem, entry.algorithm.weight_order(problem));
            let unit = Unit {
                problem,
                src: Image::new(problem, &src, 0, 0),
                weights: &vec![1.0; packing.group_len()],
                bias: None,
                gemm: &counting,
                pool: &Pool::SERIAL,
            };
            let (rows, cols) = match problem.dst_layout {
                Layout::Nchw => (problem.out_channels, problem.out_pixels()),
                Layout::Nhwc => (problem.out_pixels(), problem.out_channels),
            };
            let mut dst = vec![0.0; rows * cols];
            let mut scratch = vec![0.0; workspace.floats];
            entry.algorithm.run(&unit, MatrixMut::new(&mut dst, rows, cols, cols), &workspace, &mut scratch);
            let counted = cost.calls.map_or(0, |calls| calls.count);
            let macs = cost.calls.map_or(0, |calls| calls.macs as usize);
            assert_eq!(counted, counting.calls.into_inner(), "{entry:?} on {problem}, {limit} floats");
            let largest = counting.largest.into_inner();
            assert!(
                largest <= cost.largest_size,
                "{entry:?} on {problem}: {largest} > {}",
                cost.largest_size
            );
            // The count takes whole rows; calls may leave out what wraps around at their ends, which is at most
            // as wide as the farthest tap reaches.
            let real = counting.macs.into_inner();
            let width = problem.cols.output;
            let reach = (0..problem.cols.kernel).map(|j| problem.cols.shift_of_tap(j).unsigned_abs()).max();
            let least = macs / width * width.saturating_sub(reach.unwrap_or_default());
            assert!(
                (least..=macs).contains(&real),
                "{entry:?} on {problem}: {macs} for {real} multiplications"
            );
        }
    }
}
