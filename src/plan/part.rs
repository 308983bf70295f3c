//! [`Part`]: a problem, or some output channels of one, that is computed from one run of packed weights.

use convlow_kernels::matrix::MatrixMut;
use convlow_threads::Pool;

use super::schedule::Schedule;
use crate::algorithms::{Declined, Element, Entry, Limits, Unit};
use crate::gemm::Backend;
use crate::lowering::image::image_of;
use crate::lowering::weights::Packing;
use crate::problem::{Layout, Problem, WeightStrides};
use crate::tiles::{self, Grid, Matrices, Tiles};

/// A problem that an algorithm is ready for. It may be a part of a wider one, on slices of its tensors.
pub(crate) struct Part {
    pub problem: Problem,
    pub schedule: Schedule,
    pub packing: Packing,
}

/// A src that all threads of an execute read.
#[derive(Clone, Copy)]
struct SharedSrc<T>(*const T);

impl<T> SharedSrc<T> {
    fn first(&self) -> *const T {
        self.0
    }
}

// SAFETY: nobody writes what is read through it, as `Plan::execute_raw` is promised.
unsafe impl<T: Sync> Sync for SharedSrc<T> {}

/// The tensors of an execute beside the weights, from the first element that a part uses.
#[derive(Clone, Copy)]
pub(super) struct Tensors<'a, T> {
    pub src: *const T,
    pub bias: Option<&'a [T]>,
    pub slopes: Option<&'a [T]>,
    pub dst: *mut T,
    pub residual: Option<*const T>,
}

impl Part {
    /// A part whose weights lie among the caller's as `source` says.
    ///
    /// # Errors
    /// Why the algorithm does not compute the problem.
    pub fn new(
        problem: &Problem,
        source: WeightStrides,
        entry: &Entry,
        limits: Limits,
    ) -> Result<Self, Declined> {
        Schedule::new(problem, entry, limits).map(|schedule| Self::of(problem, source, schedule))
    }

    /// A part that a schedule is there for.
    pub fn of(problem: &Problem, source: WeightStrides, schedule: Schedule) -> Self {
        let packing = schedule.prepared.packing(problem).of_source(source);
        Self { problem: *problem, schedule, packing }
    }

    /// Elements of scratch; `None` if their bytes overflow.
    pub fn scratch(&self) -> Option<usize> {
        self.schedule.bytes(&self.problem).map(|bytes| self.problem.elements(bytes))
    }

    /// Computes the part's dst.
    ///
    /// # Safety
    /// As `Plan::execute_raw`, for the part's problem.
    pub(super) unsafe fn run<T: Element>(
        &self,
        weights: &[T],
        tensors: Tensors<'_, T>,
        backend: Option<Backend>,
        scratch: &mut [T],
        all_threads: &Pool,
    ) {
        let Tensors { src, bias, slopes, dst, residual } = tensors;
        let (problem, src) = (&self.problem, SharedSrc(src));
        let Schedule { prepared, units_at_once } = &self.schedule;
        let group_out = problem.group_out();
        let (images, units) = images_of(problem, prepared.groups_at_once() * group_out);
        let run_unit = |index: usize, mut dst: MatrixMut<'_, T>, pool: &Pool, scratch: &mut [T]| {
            // Units are counted image by image, group by group.
            let (image, unit_of_image) = (index / units.tiles(), index % units.tiles());
            let group = unit_of_image * prepared.groups_at_once();
            let groups = group..group + prepared.groups_at_once();
            let channels = groups.start * group_out..groups.end * group_out;
            let packed_groups = prepared.groups_at_once() / prepared.groups_packed_together();
            let weights_len = packed_groups * self.packing.group_len();
            let unit = Unit {
                problem,
                // SAFETY: the caller's promise.
                src: unsafe { image_of(problem, src.first(), image, &groups) },
                weights: &weights[unit_of_image * weights_len..],
                bias: bias.map(|bias| &bias[channels.clone()]),
                slopes: slopes.map(|slopes| &slopes[channels]),
                gemm: backend.map(Backend::gemm),
                pool,
            };
            if problem.accumulate && !prepared.takes_addend() {
                dst.fill_with_addend();
            }
            T::run(&**prepared, &unit, dst, scratch);
        };
        // SAFETY: the caller's promise; the images lie in dst as the problem's strides say.
        let tiles = unsafe { Tiles::of_images(dst, residual, images, units) };
        if *units_at_once == 1 {
            for index in 0..tiles.len() {
                // SAFETY: each index once, and its view is dropped before the next.
                let (_, dst) = unsafe { tiles.take(index) };
                run_unit(index, dst, all_threads, scratch);
            }
        } else {
            let serial = Pool::SERIAL;
            tiles::for_each_of(all_threads, &tiles, scratch, *units_at_once, |index, _, view, scratch| {
                run_unit(index, view, &serial, scratch);
            });
        }
    }
}

/// dst as a matrix for each image, and the matrix's tiles: one for each unit, which computes so many channels.
pub(super) fn images_of(problem: &Problem, of_unit: usize) -> (Matrices, Grid) {
    let (pixels, channels) = (problem.out_pixels(), problem.out_channels);
    let ([_, ld], [_, step]) = (problem.channel_strides(), problem.batch_strides());
    let (rows, cols, units) = match problem.dst_layout {
        Layout::Nchw => (channels, pixels, Grid::new(channels, pixels, of_unit, pixels)),
        Layout::Nhwc => (pixels, channels, Grid::new(pixels, channels, pixels, of_unit)),
    };
    (Matrices { count: problem.batch, step, rows, cols, ld }, units)
}
