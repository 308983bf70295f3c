//! The traits of a convolution algorithm: [`Algorithm`] decides how to compute a problem, and [`Prepared`] holds the
//! decisions and computes.
//!
//! An algorithm sees one *unit*: one group of one image, or several groups if it says so. The plan goes through the
//! units. The algorithm divides its unit into tiles, which run on the plan's pool. No result depends on the number of
//! threads.

use std::ffi::CStr;

use convlow_base::memory;
use convlow_kernels::end::End;
use convlow_kernels::image::Image;
use convlow_kernels::isa::Length;
use convlow_kernels::matrix::{MatrixMut, Operand};
use convlow_kernels::pixel_tile::MOST_TAPS_OF_AXIS;
use convlow_kernels::scheme::Scheme;
use convlow_threads::Pool;

use super::cost::Cost;
use crate::gemm::{Gemm, Multiplied};
#[cfg(feature = "training")]
use crate::lowering::image::Images;
use crate::lowering::weights::{Packing, WeightOrder};
use crate::problem::{Layout, Problem, product};
use crate::tiles::Grid;

/// Static text for the C surface.
pub type Reason = &'static CStr;

/// Why an algorithm does not compute a problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Declined {
    /// A condition that the problem fails.
    Unsupported(Reason),
    /// A size that does not fit.
    Overflow(Reason),
    /// There is no memory, of so many bytes, to hold what was prepared.
    OutOfMemory(usize),
}

impl Declined {
    /// The static text.
    pub fn reason(self) -> Reason {
        match self {
            Declined::Unsupported(reason) | Declined::Overflow(reason) => reason,
            Declined::OutOfMemory(_) => c"there is no memory to prepare it",
        }
    }
}

/// `Err` unless the condition holds.
pub fn require(condition: bool, reason: Reason) -> Result<(), Declined> {
    if condition { Ok(()) } else { Err(Declined::Unsupported(reason)) }
}

/// `Err` unless both strides are 1.
#[cfg(any(feature = "gemm", feature = "winograd"))]
pub fn require_unit_stride(problem: &Problem) -> Result<(), Declined> {
    require(problem.unit_stride(), c"needs stride 1")
}

/// `Err` unless register tiles can count the taps.
pub fn require_countable_taps(problem: &Problem) -> Result<(), Declined> {
    require(
        problem.axes().iter().all(|axis| axis.kernel <= MOST_TAPS_OF_AXIS),
        c"needs kernel sizes under 2^32",
    )
}

/// A size of scratch, or why there is none.
pub fn elements_of(sizes: &[usize]) -> Result<usize, Declined> {
    product(sizes).ok_or(Scratch::OVERFLOW)
}

/// A convolution algorithm with its variant fixed.
pub trait Algorithm: Sync {
    /// Decides once how the problem is computed within the limits. Where this is `Ok`, the result computes it
    /// correctly; opinions on speed live in [`Cost`]. The registry's entry has checked layouts and kind of the
    /// problem before.
    ///
    /// # Errors
    /// The condition that the problem fails.
    fn prepare(&self, problem: &Problem, limits: Limits) -> Result<Box<dyn Ready>, Declined>;
}

/// An algorithm made ready for one problem. It never changes.
pub trait Prepared: Send + Sync {
    /// The scratch of one unit.
    fn scratch(&self) -> Scratch {
        Scratch::NONE
    }

    /// Groups of a unit, a divisor of the problem's.
    fn groups_at_once(&self) -> usize {
        1
    }

    /// Groups whose weights are packed as if they were one's, a divisor of those of a unit.
    fn groups_packed_together(&self) -> usize {
        self.groups_at_once()
    }

    /// The order in which `run` reads the weights.
    fn weight_order(&self) -> WeightOrder;

    /// How the problem's weights are packed.
    fn packing(&self, problem: &Problem) -> Packing {
        Packing::new(problem, self.weight_order(), self.groups_packed_together())
    }

    /// Whether `run` adds to dst's addend. What does not adds to what dst holds, and is given a dst that holds the
    /// addend.
    fn takes_addend(&self) -> bool {
        false
    }

    /// The length of the vectors that its kernels use.
    fn length(&self) -> Length {
        Length::Whole
    }

    /// What one unit costs.
    fn cost(&self) -> Cost;

    /// The tiles of a unit's dst that threads share, where each is computed by one of them.
    fn grid(&self) -> Option<Grid> {
        None
    }

    /// Computes one unit into `dst`, the unit's part of dst as it lies in memory: channels × OH·OW in NCHW,
    /// OH·OW × channels in NHWC. `scratch` has as many elements of any content as [`Prepared::scratch`] says.
    fn run<T: Element>(&self, unit: &Unit<'_, T>, dst: MatrixMut<'_, T>, scratch: &mut [T])
    where
        Self: Sized;
}

/// What was prepared, whatever it is.
pub trait Ready: Prepared {
    /// [`Prepared::run`] in float32.
    fn run_f32(&self, unit: &Unit<'_, f32>, dst: MatrixMut<'_, f32>, scratch: &mut [f32]);

    /// [`Prepared::run`] in float64.
    #[cfg(feature = "f64")]
    fn run_f64(&self, unit: &Unit<'_, f64>, dst: MatrixMut<'_, f64>, scratch: &mut [f64]);
}

impl<P: Prepared> Ready for P {
    fn run_f32(&self, unit: &Unit<'_, f32>, dst: MatrixMut<'_, f32>, scratch: &mut [f32]) {
        self.run(unit, dst, scratch);
    }

    #[cfg(feature = "f64")]
    fn run_f64(&self, unit: &Unit<'_, f64>, dst: MatrixMut<'_, f64>, scratch: &mut [f64]) {
        self.run(unit, dst, scratch);
    }
}

/// An element of a tensor that plans compute with: `f32` or `f64`.
pub trait Element: Multiplied {
    /// [`Prepared::run`] of what was prepared.
    fn run(prepared: &dyn Ready, unit: &Unit<'_, Self>, dst: MatrixMut<'_, Self>, scratch: &mut [Self]);

    /// The same for the gradient of the weights.
    #[cfg(feature = "training")]
    fn run_gradient(prepared: &dyn ReadyGradient, unit: &mut GradientUnit<'_, Self>, scratch: &mut [Self]);
}

impl Element for f32 {
    fn run(prepared: &dyn Ready, unit: &Unit<'_, f32>, dst: MatrixMut<'_, f32>, scratch: &mut [f32]) {
        prepared.run_f32(unit, dst, scratch);
    }

    #[cfg(feature = "training")]
    fn run_gradient(prepared: &dyn ReadyGradient, unit: &mut GradientUnit<'_, f32>, scratch: &mut [f32]) {
        prepared.run_f32(unit, scratch);
    }
}

impl Element for f64 {
    #[cfg(not(feature = "f64"))]
    fn run(_: &dyn Ready, _: &Unit<'_, f64>, _: MatrixMut<'_, f64>, _: &mut [f64]) {
        unreachable!("no plan is of a type that the build does not have");
    }

    #[cfg(feature = "f64")]
    fn run(prepared: &dyn Ready, unit: &Unit<'_, f64>, dst: MatrixMut<'_, f64>, scratch: &mut [f64]) {
        prepared.run_f64(unit, dst, scratch);
    }

    #[cfg(all(feature = "training", not(feature = "f64")))]
    fn run_gradient(_: &dyn ReadyGradient, _: &mut GradientUnit<'_, f64>, _: &mut [f64]) {
        unreachable!("no plan is of a type that the build does not have");
    }

    #[cfg(all(feature = "training", feature = "f64"))]
    fn run_gradient(prepared: &dyn ReadyGradient, unit: &mut GradientUnit<'_, f64>, scratch: &mut [f64]) {
        prepared.run_f64(unit, scratch);
    }
}

/// Puts what was prepared on the heap.
pub fn ready<P: Prepared + 'static>(prepared: P) -> Result<Box<dyn Ready>, Declined> {
    match memory::boxed(prepared) {
        Ok(prepared) => Ok(prepared),
        Err(_) => Err(Declined::OutOfMemory(size_of::<P>())),
    }
}

/// The same for the gradient of the weights.
#[cfg(feature = "training")]
pub(super) fn boxed_gradient<P: PreparedGradient + 'static>(
    prepared: P,
) -> Result<Box<dyn ReadyGradient>, Declined> {
    match memory::boxed(prepared) {
        Ok(prepared) => Ok(prepared),
        Err(_) => Err(Declined::OutOfMemory(size_of::<P>())),
    }
}

/// What a unit may use.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Tiles that run at once.
    pub threads: usize,
    /// Elements of scratch. Algorithms of fixed need ignore it; the planner compares.
    pub elements: usize,
    /// Elements of a tile's part of it. So tiles, and with them the bits, do not depend on how many run at once.
    of_tile: usize,
}

impl Limits {
    /// One tile may use all of the scratch.
    pub fn new(threads: usize, elements: usize) -> Self {
        Self { threads, elements, of_tile: elements }
    }

    /// The same for tiles of at most so many elements.
    pub fn with_tiles_of(self, elements: usize) -> Self {
        Self { of_tile: elements, ..self }
    }

    /// The same for one tile at a time.
    pub fn alone(self) -> Self {
        Self { threads: 1, ..self }
    }

    /// Elements of scratch of a tile.
    pub fn of_tile(&self) -> usize {
        self.of_tile.min(self.elements)
    }
}

/// The scratch of one unit: some slots of equal size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scratch {
    /// Elements of a slot.
    pub elements: usize,
    /// Slots: tiles that run at once, each in one of its own; or one slot, which all tiles share.
    pub slots: usize,
}

impl Scratch {
    /// No scratch.
    pub const NONE: Self = Self { elements: 0, slots: 1 };
    /// Its size does not fit.
    pub const OVERFLOW: Declined = Declined::Overflow(c"its workspace does not fit size_t");

    /// Scratch of this product of sizes that all tiles of the unit share.
    pub fn shared(sizes: &[usize]) -> Result<Self, Declined> {
        Ok(Self { elements: elements_of(sizes)?, slots: 1 })
    }

    /// Scratch of so many elements for each of the tiles that run at once: as many as threads, tiles and the limit
    /// allow, and one in any case.
    pub fn of_tiles(elements: usize, tiles: usize, limits: Limits) -> Result<Self, Declined> {
        let fitting = limits.elements.checked_div(elements).unwrap_or(usize::MAX);
        let slots = limits.threads.min(tiles).min(fitting).max(1);
        elements_of(&[slots, elements])?;
        Ok(Self { elements, slots })
    }

    /// The elements of all slots.
    pub fn all(&self) -> usize {
        self.elements * self.slots
    }
}

/// One unit of a problem, and what to compute it with.
pub struct Unit<'a, X: Scheme = f32> {
    /// The convolution.
    pub problem: &'a Problem,
    /// The input channels of the unit's first group in its image; those of its other groups lie behind them.
    pub src: Image<'a, X::Src>,
    /// The packed weights of the unit's groups, and whatever lies behind them.
    pub weights: &'a [X::Weight],
    /// The bias of the unit's groups, one value an output channel.
    pub bias: Option<&'a [X::Sum]>,
    /// PRELU's slopes of the unit's groups, one an output channel; others read none.
    pub slopes: Option<&'a [X::Dst]>,
    /// Multiplies matrices on the calling thread, for algorithms whose products a GEMM computes.
    pub gemm: Option<&'a dyn Gemm>,
    /// Where tiles run.
    pub pool: &'a Pool,
}

impl<X: Scheme> Unit<'_, X> {
    /// What becomes of the unit's sums.
    pub fn end(&self) -> End<'_, X> {
        let Problem { accumulate, activation, .. } = *self.problem;
        End { bias: self.bias, accumulate, activation, slopes: self.slopes }
    }
}

impl<T: Element> Unit<'_, T> {
    /// C ← A·B + βC by the GEMM of an algorithm that has nothing else for its products.
    pub fn multiply(&self, c: MatrixMut<'_, T>, a: Operand<'_, T>, b: Operand<'_, T>, beta: T) {
        let gemm = self.gemm.expect("what a GEMM computes is given one");
        T::multiply_by(gemm, c, a, b, beta);
    }

    /// The factor of what dst holds already: 1 where the convolution is added to it.
    pub fn beta(&self) -> T {
        if self.problem.accumulate { T::ONE } else { T::ZERO }
    }

    /// Bias and activation for sums that lie in a part of the unit's dst, whose channels begin at `first_channel`.
    pub fn finish(&self, dst: &mut MatrixMut<'_, T>, first_channel: usize) {
        let layout = self.problem.dst_layout;
        let channels = match layout {
            Layout::Nchw => dst.rows(),
            Layout::Nhwc => dst.cols(),
        };
        T::finish(&self.end().of_channels(first_channel..first_channel + channels), dst, layout);
    }
}

/// An algorithm made ready for the gradient of one problem's weights. It never changes.
#[cfg(feature = "training")]
pub trait PreparedGradient: Send + Sync {
    /// Which tensor holds the factors of rows, and which those of lanes.
    fn roles(&self) -> Roles<'_>;

    /// The scratch of an execute.
    fn scratch(&self) -> Scratch;

    /// The length of the vectors that its kernels use.
    fn length(&self) -> Length {
        Length::Whole
    }

    /// What an execute costs.
    fn cost(&self) -> Cost;

    /// Computes what the unit asks for. `scratch` has as many elements of any content as [`PreparedGradient::scratch`] says.
    fn run<T: Element>(&self, unit: &mut GradientUnit<'_, T>, scratch: &mut [T])
    where
        Self: Sized;
}

/// What was prepared, whatever it is.
#[cfg(feature = "training")]
pub trait ReadyGradient: PreparedGradient {
    /// [`PreparedGradient::run`] in float32.
    fn run_f32(&self, unit: &mut GradientUnit<'_, f32>, scratch: &mut [f32]);

    /// [`PreparedGradient::run`] in float64.
    #[cfg(feature = "f64")]
    fn run_f64(&self, unit: &mut GradientUnit<'_, f64>, scratch: &mut [f64]);
}

#[cfg(feature = "training")]
impl<P: PreparedGradient> ReadyGradient for P {
    fn run_f32(&self, unit: &mut GradientUnit<'_, f32>, scratch: &mut [f32]) {
        self.run(unit, scratch);
    }

    #[cfg(feature = "f64")]
    fn run_f64(&self, unit: &mut GradientUnit<'_, f64>, scratch: &mut [f64]) {
        self.run(unit, scratch);
    }
}

/// Which tensor holds the factors of rows, and which those of lanes: src or the gradient of dst.
#[cfg(feature = "training")]
pub struct Roles<'a> {
    /// A problem whose src is the tensor of rows.
    pub rows: &'a Problem,
    /// One whose src is the tensor of lanes.
    pub lanes: &'a Problem,
    /// Whether the gradient of dst is the tensor of lanes.
    pub lanes_are_diff_dst: bool,
}

/// The tensors of an execute, and what to compute with.
#[cfg(feature = "training")]
pub struct GradientUnit<'a, T> {
    /// What the factors of rows are read from.
    pub rows: Images<'a, T>,
    /// What those of lanes are read from.
    pub lanes: Images<'a, T>,
    /// The gradient of dst, which is one of both.
    pub diff_dst: Images<'a, T>,
    /// The gradient of the weights, if it is asked for.
    pub diff_weights: Option<&'a mut [T]>,
    /// That of the bias, if it is asked for.
    pub diff_bias: Option<&'a mut [T]>,
    /// Whether what is computed is added to what they hold.
    pub accumulate: bool,
    /// Multiplies matrices on the calling thread, for algorithms whose products a GEMM computes.
    pub gemm: Option<&'a dyn Gemm>,
    /// Where blocks run.
    pub pool: &'a Pool,
}

#[cfg(all(feature = "training", feature = "gemm"))]
impl<T: Element> GradientUnit<'_, T> {
    /// [`Unit::multiply`].
    pub fn multiply(&self, c: MatrixMut<'_, T>, a: Operand<'_, T>, b: Operand<'_, T>, beta: T) {
        let gemm = self.gemm.expect("what a GEMM computes is given one");
        T::multiply_by(gemm, c, a, b, beta);
    }
}
