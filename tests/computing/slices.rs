//! Branches of a block that ends in a concatenation: four threads write their slices of one tensor at the same time, which is
//! also the tensor that they read. Safe Rust has no words for that, so the calls are C's.

use std::collections::BTreeSet;
use std::ffi::{CStr, c_void};
use std::mem::MaybeUninit;
use std::ptr::null_mut;
use std::sync::Barrier;

use convlow::algorithms::{Entry, REGISTRY};
use convlow::ffi::execute::{
    convlow_execute_args_init, convlow_execute_with, convlow_pack_weights, convlow_pack_weights_f64,
};
use convlow::ffi::plan::{
    PlanHandle, convlow_plan_create_nd, convlow_plan_destroy, convlow_plan_get_info,
    convlow_plan_options_init,
};
use convlow::ffi::problem::convlow_convnd_desc_init;
use convlow::ffi::status::{CONVLOW_ERROR_UNSUPPORTED, CONVLOW_OK, Status, convlow_last_error_message};
use convlow::ffi::types::{
    CONVLOW_ACTIVATION_CLAMP, CONVLOW_ACTIVATION_NONE, CONVLOW_ACTIVATION_PRELU, CONVLOW_ACTIVATION_SILU,
    CONVLOW_ALGORITHM_AUTO, CONVLOW_LAYOUT_NCHW, CONVLOW_LAYOUT_NHWC, CONVLOW_MATH_FAST, CONVLOW_TYPE_F32,
    CONVLOW_TYPE_F64, ConvNdDesc, ExecuteArgs, PlanInfo,
};
use convlow::reference::Output;
use convlow::{Activation, Buffer, DataType, Element, Layout, Problem};

use crate::common::{Data, LAYOUTS, bits, padded};

const IMAGES: usize = 2;
const SIZE: [usize; 2] = [9, 11];
const PIXELS: usize = SIZE[0] * SIZE[1];
/// Channels that all branches read, the first ones of the tensor.
const IN: usize = 16;
/// Channels of nobody behind each slice.
const GAP: usize = 3;
/// What lies where nobody has written.
const NOTHING: f64 = 12_345.5;
const BRANCHES: usize = 4;

/// The branches, without slices.
fn branches() -> [Problem; BRANCHES] {
    let branch = |out: usize, kernel: usize, activation: Activation| Problem {
        batch: IMAGES,
        activation,
        ..padded([IN, out], SIZE, [kernel, kernel], kernel / 2)
    };
    let relu = Activation::Clamp { min: 0.0, max: f64::INFINITY };
    [
        branch(23, 1, relu),
        branch(21, 3, Activation::Prelu),
        branch(13, 5, Activation::None),
        Problem { groups: IN, ..branch(IN, 3, Activation::Silu { alpha: 1.0 }) },
    ]
}

/// Channels of the tensor: what is read, and what each branch writes.
fn channels() -> usize {
    branches().iter().fold(IN + GAP, |all, branch| all + branch.out_channels + GAP)
}

/// From one element of a pixel to the next one.
fn step(layout: Layout) -> usize {
    if layout == Layout::Nhwc { 1 } else { PIXELS }
}

/// The place of an element in the tensor.
fn place(layout: Layout, [n, c, pixel]: [usize; 3]) -> usize {
    let from_pixel = if layout == Layout::Nhwc { channels() } else { 1 };
    n * channels() * PIXELS + c * step(layout) + pixel * from_pixel
}

/// Every [image, channel, pixel] of so many channels.
fn places(channels: usize) -> impl Iterator<Item = [usize; 3]> {
    (0..IMAGES * channels * PIXELS)
        .map(move |at| [at / PIXELS / channels, at / PIXELS % channels, at % PIXELS])
}

fn initialised<T>(init: unsafe extern "C" fn(*mut T, usize)) -> T {
    let mut value = MaybeUninit::zeroed();
    // SAFETY: the place has that many bytes, of which the function writes all.
    unsafe {
        init(value.as_mut_ptr(), size_of::<T>());
        value.assume_init()
    }
}

fn succeed(status: Status) {
    // SAFETY: the message is a C string until the next failure.
    assert_eq!(status, CONVLOW_OK, "{:?}", unsafe { CStr::from_ptr(convlow_last_error_message()) });
}

/// A slice of the tensor as C describes it.
fn desc_of(problem: &Problem) -> ConvNdDesc {
    let layout = |layout| if layout == Layout::Nhwc { CONVLOW_LAYOUT_NHWC } else { CONVLOW_LAYOUT_NCHW };
    let strides = |layout| if layout == Layout::Nhwc { channels() } else { PIXELS };
    let mut desc = initialised(convlow_convnd_desc_init);
    desc.r#type = if problem.data_type == DataType::F64 { CONVLOW_TYPE_F64 } else { CONVLOW_TYPE_F32 };
    desc.src_layout = layout(problem.src_layout);
    desc.dst_layout = layout(problem.dst_layout);
    (desc.batch, desc.groups) = (problem.batch, problem.groups);
    (desc.in_channels, desc.out_channels) = (problem.in_channels, problem.out_channels);
    for (at, axis) in [problem.rows, problem.cols].into_iter().enumerate() {
        (desc.in_size[at], desc.kernel_size[at]) = (axis.input, axis.kernel);
        (desc.pad_before[at], desc.pad_after[at]) = (axis.pad_before, axis.pad_after);
    }
    desc.activation = match problem.activation {
        Activation::Clamp { min, max } => {
            (desc.activation_min, desc.activation_max) = (min, max);
            CONVLOW_ACTIVATION_CLAMP
        }
        Activation::Prelu => CONVLOW_ACTIVATION_PRELU,
        Activation::Silu { .. } => CONVLOW_ACTIVATION_SILU,
        _ => CONVLOW_ACTIVATION_NONE,
    };
    (desc.src_channel_stride, desc.dst_channel_stride) =
        (strides(problem.src_layout), strides(problem.dst_layout));
    (desc.src_batch_stride, desc.dst_batch_stride) = (channels() * PIXELS, channels() * PIXELS);
    desc
}

/// A branch ready to run.
struct Branch<T> {
    problem: Problem,
    /// Its first channel in the tensor.
    first: usize,
    plan: *mut PlanHandle,
    algorithm: &'static Entry,
    data: Data<T>,
    packed: Buffer,
    workspace: Buffer,
}

// SAFETY: a plan may be executed by any thread; the rest is the branch's own.
unsafe impl<T: Send> Send for Branch<T> {}

impl<T: Element> Branch<T> {
    /// By this algorithm, or where it computes another kind of problem by what AUTO takes.
    fn new(problem: Problem, first: usize, entry: &Entry, data: Data<T>) -> Self {
        let desc = desc_of(&problem);
        let mut options = initialised(convlow_plan_options_init);
        (options.math, options.algorithm) = (CONVLOW_MATH_FAST, entry.id);
        let mut plan = null_mut();
        let mut info = MaybeUninit::<PlanInfo>::zeroed();
        // SAFETY: structs that their functions filled, places to write, and an info whose first field is its size.
        let info = unsafe {
            let status = convlow_plan_create_nd(&desc, &options, &mut plan);
            if status == CONVLOW_ERROR_UNSUPPORTED {
                options.algorithm = CONVLOW_ALGORITHM_AUTO;
                succeed(convlow_plan_create_nd(&desc, &options, &mut plan));
            } else {
                succeed(status);
            }
            info.as_mut_ptr().cast::<usize>().write(size_of::<PlanInfo>());
            succeed(convlow_plan_get_info(plan, info.as_mut_ptr()));
            info.assume_init()
        };
        let algorithm = Entry::by_id(info.algorithm).expect("a plan has an algorithm of the registry");
        let mut packed = Buffer::new(info.packed_weights_bytes).expect("small weights");
        let workspace = Buffer::new(info.workspace_bytes).expect("a small workspace");
        let (weights, to) = (data.weights.as_ptr(), packed.bytes_mut().as_mut_ptr().cast::<c_void>());
        // SAFETY: weights of the plan's length and type, and as many bytes as it says.
        succeed(unsafe {
            match T::TYPE {
                DataType::F32 => convlow_pack_weights(plan, weights.cast(), to, info.packed_weights_bytes),
                DataType::F64 => {
                    convlow_pack_weights_f64(plan, weights.cast(), to, info.packed_weights_bytes)
                }
            }
        });
        Self { problem, first, plan, algorithm, data, packed, workspace }
    }

    /// Reads the first channels of one tensor and writes the branch's of the other, which may be the same.
    ///
    /// # Safety
    /// The pointers are to whole tensors. Nobody writes the first channels of `from`, nor uses the branch's of `to`.
    unsafe fn execute(&mut self, from: *const T, to: *mut T) {
        let optional =
            |values: &Option<Vec<T>>| values.as_ref().map_or(std::ptr::null(), |it| it.as_ptr().cast());
        let workspace = self.workspace.bytes_mut();
        let args = ExecuteArgs {
            src: from.cast(),
            packed_weights: self.packed.bytes().as_ptr().cast(),
            bias: optional(&self.data.bias),
            slopes: optional(&self.data.slopes),
            // SAFETY: within the tensor.
            dst: unsafe { to.add(self.first * step(self.problem.dst_layout)) }.cast(),
            workspace: workspace.as_mut_ptr().cast(),
            workspace_bytes: workspace.len(),
            ..initialised(convlow_execute_args_init)
        };
        // SAFETY: the caller's promise, and buffers of the plan's own sizes.
        succeed(unsafe { convlow_execute_with(self.plan, &args) });
    }

    /// Holds the branch's slice to the definition, and makes it nothing again.
    fn check(&self, tensor: &mut [T], expected: &[Output]) {
        let largest = expected.iter().fold(0f64, |most, output| most.max(output.magnitude));
        let scale = if T::TYPE == DataType::F64 { 2f64.powi(-29) } else { 1.0 };
        let of_sum = self.algorithm.stated_error.map_or(0.0, |share| share * scale * largest);
        for (expected, [n, m, pixel]) in expected.iter().zip(places(self.problem.out_channels)) {
            let element = &mut tensor[place(self.problem.dst_layout, [n, self.first + m, pixel])];
            let found: f64 = (*element).into();
            *element = T::from_f64(NOTHING);
            assert!(
                (found - expected.value).abs() <= of_sum + expected.of_activation,
                "{} on {}: [{n}, {m}, {pixel}] is {found}, not {}",
                self.algorithm.name(),
                self.problem,
                expected.value
            );
        }
    }
}

impl<T> Drop for Branch<T> {
    fn drop(&mut self) {
        // SAFETY: the plan is the branch's own.
        unsafe { convlow_plan_destroy(self.plan) }
    }
}

/// Addresses that several threads use.
#[derive(Clone, Copy)]
struct Shared<T>(*mut T);

// SAFETY: of what it points to, each thread uses other elements, or reads.
unsafe impl<T> Sync for Shared<T> {}
// SAFETY: as above.
unsafe impl<T> Send for Shared<T> {}

impl<T> Shared<T> {
    fn address(self) -> *mut T {
        self.0
    }
}

/// All branches several times at the same time.
fn execute_together<T: Element>(branches: &mut [Branch<T>], from: Shared<T>, to: Shared<T>) {
    let together = Barrier::new(BRANCHES);
    std::thread::scope(|scope| {
        for branch in branches {
            let together = &together;
            scope.spawn(move || {
                for _ in 0..3 {
                    together.wait();
                    // SAFETY: whole tensors, whose first channels nobody writes, and each branch has others.
                    unsafe { branch.execute(from.address(), to.address()) };
                }
            });
        }
    });
}

/// Every algorithm in these layouts; those that served a branch, and the executes.
fn try_all<T: Element>([src_layout, dst_layout]: [Layout; 2], served: &mut BTreeSet<&'static str>) -> usize {
    let mut rng = fastrand::Rng::with_seed(31);
    let problems = branches().map(|branch| {
        let problem = Problem { data_type: T::TYPE, src_layout, dst_layout, ..branch };
        Problem::new(problem).expect("a valid problem")
    });
    let mut data = problems.map(|problem| Data::<T>::integers(&problem, true, &mut rng));
    let src = data[0].src.clone();
    data.iter_mut().for_each(|data| data.src.clone_from(&src));
    let expected = [0, 1, 2, 3].map(|at| data[at].expected(&problems[at]));
    let mut read = vec![T::from_f64(NOTHING); IMAGES * channels() * PIXELS];
    let mut written = read.clone();
    for (&value, at) in src.iter().zip(places(IN)) {
        read[place(src_layout, at)] = value;
    }
    let (read_before, written_before) = (bits(&read), bits(&written));
    let mut executes = 0;
    for entry in REGISTRY {
        let mut first = IN + GAP;
        let mut branches = Vec::new();
        for (problem, data) in problems.iter().zip(&data) {
            branches.push(Branch::new(*problem, first, entry, data.clone()));
            first += problem.out_channels + GAP;
        }
        if branches.iter().all(|branch| branch.algorithm.id != entry.id) {
            continue;
        }
        served.insert(entry.name());
        let from = Shared(read.as_mut_ptr());
        // Layouts that differ are those of two tensors.
        let one_tensor = src_layout == dst_layout;
        let to = if one_tensor { from } else { Shared(written.as_mut_ptr()) };
        execute_together(&mut branches, from, to);
        let result = if one_tensor { &mut read } else { &mut written };
        for (branch, expected) in branches.iter().zip(&expected) {
            branch.check(result, expected);
        }
        assert!(
            bits(&read) == read_before && bits(&written) == written_before,
            "{} wrote elsewhere",
            entry.name()
        );
        executes += 3 * BRANCHES;
    }
    executes
}

/// Promise 11: what lies between the elements of a slice is somebody else's, who uses it meanwhile.
#[test]
fn branches_write_one_concatenation_at_the_same_time() {
    let mut served = BTreeSet::new();
    let mut executes = 0;
    for (src_layout, dst_layout) in LAYOUTS {
        for data_type in DataType::BUILT {
            executes += match data_type {
                DataType::F32 => try_all::<f32>([src_layout, dst_layout], &mut served),
                DataType::F64 => try_all::<f64>([src_layout, dst_layout], &mut served),
            };
        }
    }
    println!("slices: {executes} executes by {} algorithms, {BRANCHES} at the same time", served.len());
    // Every algorithm takes slices.
    assert_eq!(served.len(), REGISTRY.iter().filter(|entry| !entry.computes_weights()).count());
}
