//! What the integration tests share: problems, seeded tensors, the oracle's answer, and a run with dirty
//! memory and guards around every buffer.

#![allow(dead_code)] // Each test program uses its part.

use std::io::Write;
use std::process::Command;

use convlow::algorithms::Entry;
use convlow::gemm::{Backend, BackendChoice};
use convlow::reference::{self, Output, Tensors, index, weight_index};
use convlow::{
    Activation, AlgorithmChoice, Arguments, Axis, Buffer, DataType, Element, Error, Isa, Layout, Math,
    Options, Plan, Pool, Problem, Propagation, Strides, WeightsLayout,
};

pub const LAYOUTS: [(Layout, Layout); 4] = Layout::PAIRS;
pub const WEIGHTS: [WeightsLayout; 3] = [WeightsLayout::Oihw, WeightsLayout::Hwio, WeightsLayout::Ohwi];

fn lists_folder() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("problems")
}

/// The file of a network's list.
pub fn list(network: &str) -> std::path::PathBuf {
    lists_folder().join(network).with_extension("txt")
}

/// The files of all lists, so that a test of every list takes in one that is added later.
pub fn lists() -> Vec<std::path::PathBuf> {
    let files = std::fs::read_dir(lists_folder()).expect("the folder of the lists");
    let files = files.map(|file| file.expect("a file of the folder").path());
    let mut lists: Vec<_> = files.filter(|file| file.extension().is_some_and(|end| end == "txt")).collect();
    lists.sort();
    assert!(lists.len() >= 18, "{lists:?}");
    lists
}

/// One image, one group, stride 1, dense, not padded, NCHW and OIHW: what most tests begin with.
pub fn plain(channels: [usize; 2], input: [usize; 2], kernel: [usize; 2]) -> Problem {
    Problem {
        in_channels: channels[0],
        out_channels: channels[1],
        rows: Axis::dense(input[0], kernel[0]),
        cols: Axis::dense(input[1], kernel[1]),
        ..Problem::UNIT
    }
}

/// [`plain`] with the same padding on all sides.
pub fn padded(channels: [usize; 2], input: [usize; 2], kernel: [usize; 2], pad: usize) -> Problem {
    let mut problem = plain(channels, input, kernel);
    for axis in [&mut problem.rows, &mut problem.cols] {
        (axis.pad_before, axis.pad_after) = (pad, pad);
    }
    Problem::new(problem).expect("the padded problem is valid")
}

/// The same with taps so far apart on both axes. Its output size follows when it is checked.
pub fn dilated(problem: Problem, dilation: usize) -> Problem {
    let [rows, cols] = [problem.rows, problem.cols].map(|axis| Axis { dilation, ..axis });
    Problem { rows, cols, ..problem }
}

/// Values of one problem in its canonical layouts: src and dst NCHW, weights OIHW.
#[derive(Clone)]
pub struct Data<T = f32> {
    pub src: Vec<T>,
    pub weights: Vec<T>,
    pub bias: Option<Vec<T>>,
    /// PRELU's, of every problem that has it.
    pub slopes: Option<Vec<T>>,
    pub dst_before: Vec<T>,
}

impl<T: Element> Data<T> {
    pub fn new(problem: &Problem, bias: bool, mut value: impl FnMut() -> T) -> Self {
        let mut tensor = |len: usize| -> Vec<T> { (0..len).map(|_| value()).collect() };
        Self {
            src: tensor(reads(problem).elements()),
            weights: tensor(problem.weights_len()),
            bias: (bias && problem.propagation == Propagation::Forward).then(|| tensor(problem.out_channels)),
            slopes: (problem.activation == Activation::Prelu).then(|| tensor(problem.out_channels)),
            dst_before: tensor(writes(problem).elements()),
        }
    }

    /// Small integers: every product and partial sum is exact.
    pub fn integers(problem: &Problem, bias: bool, rng: &mut fastrand::Rng) -> Self {
        Self::new(problem, bias, || T::from_f64(rng.i32(-4..=4).into()))
    }

    /// Values in -1..1.
    pub fn random(problem: &Problem, bias: bool, rng: &mut fastrand::Rng) -> Self {
        match T::TYPE {
            DataType::F32 => Self::new(problem, bias, || T::from_f64((rng.f32() * 2.0 - 1.0).into())),
            DataType::F64 => Self::new(problem, bias, || T::from_f64(rng.f64() * 2.0 - 1.0)),
        }
    }

    /// What the definition says, in NCHW order.
    pub fn expected(&self, problem: &Problem) -> Vec<Output> {
        let canonical = Problem { weights_layout: WeightsLayout::Oihw, ..packed(problem) };
        let canonical = Problem { src_layout: Layout::Nchw, dst_layout: Layout::Nchw, ..canonical };
        let tensors = Tensors {
            src: &self.src,
            weights: &self.weights,
            bias: self.bias.as_deref(),
            slopes: self.slopes.as_deref(),
            dst_before: &self.dst_before,
        };
        reference::outputs(&canonical, &tensors)
    }
}

/// The same problem on tensors that are no slices.
pub fn packed(problem: &Problem) -> Problem {
    Problem { src_strides: Strides::PACKED, dst_strides: Strides::PACKED, ..*problem }
}

pub fn src_sizes(problem: &Problem) -> [usize; 5] {
    let [d, h, w] = problem.axes().map(|axis| axis.input);
    [problem.batch, problem.in_channels, d, h, w]
}

pub fn dst_sizes(problem: &Problem) -> [usize; 5] {
    let [d, h, w] = problem.axes().map(|axis| axis.output);
    [problem.batch, problem.out_channels, d, h, w]
}

/// A tensor of an execute: how it lies, [n, c, z, y, x], elements from channel to channel or pixel to pixel and from image to
/// image, and all elements with those between.
pub struct Lying {
    pub layout: Layout,
    pub sizes: [usize; 5],
    pub strides: [usize; 2],
    pub len: usize,
}

impl Lying {
    /// Those that count.
    pub fn elements(&self) -> usize {
        self.sizes.iter().product()
    }

    /// Where one lies.
    pub fn place(&self, place: [usize; 5]) -> usize {
        place_in(self.layout, place, self.sizes, self.strides)
    }
}

pub fn src_and_dst(problem: &Problem) -> [Lying; 2] {
    let ([src_channel, dst_channel], [src_batch, dst_batch]) =
        (problem.channel_strides(), problem.batch_strides());
    let (src_strides, dst_strides) = ([src_channel, src_batch], [dst_channel, dst_batch]);
    let Problem { src_layout, dst_layout, .. } = *problem;
    [
        Lying { layout: src_layout, sizes: src_sizes(problem), strides: src_strides, len: problem.src_len() },
        Lying { layout: dst_layout, sizes: dst_sizes(problem), strides: dst_strides, len: problem.dst_len() },
    ]
}

/// What an execute reads beside the weights.
pub fn reads(problem: &Problem) -> Lying {
    let [src, dst] = src_and_dst(problem);
    if problem.propagation == Propagation::Forward { src } else { dst }
}

/// What it writes.
pub fn writes(problem: &Problem) -> Lying {
    let [src, dst] = src_and_dst(problem);
    if problem.propagation == Propagation::Forward { dst } else { src }
}

/// Every [n, c, z, y, x] in NCHW order.
pub fn places([n, c, d, h, w]: [usize; 5]) -> impl Iterator<Item = [usize; 5]> {
    (0..n * c * d * h * w)
        .map(move |at| [at / (c * d * h * w), at / (d * h * w) % c, at / (h * w) % d, at / w % h, at % w])
}

/// The place of [n, c, z, y, x] in a tensor of these sizes whose strides are given.
fn place_in(layout: Layout, [n, c, z, y, x]: [usize; 5], sizes: [usize; 5], strides: [usize; 2]) -> usize {
    let [_, _, _, h, w] = sizes;
    let pixel = (z * h + y) * w + x;
    let [channel, batch] = strides;
    n * batch
        + match layout {
            Layout::Nchw => c * channel + pixel,
            Layout::Nhwc => pixel * channel + c,
        }
}

/// NCHW values in another layout.
pub fn to_layout<T: Element>(values: &[T], layout: Layout, sizes: [usize; 5]) -> Vec<T> {
    let mut moved = vec![T::ZERO; values.len()];
    for (value, place) in values.iter().zip(places(sizes)) {
        moved[index(layout, &place, &sizes[1..])] = *value;
    }
    moved
}

/// Values in another layout back in NCHW.
pub fn from_layout<T: Element>(values: &[T], layout: Layout, sizes: [usize; 5]) -> Vec<T> {
    places(sizes).map(|place| values[index(layout, &place, &sizes[1..])]).collect()
}

/// OIHW weights, transposed ones C × M/groups × axes, in another layout.
pub fn weights_to_layout<T: Element>(values: &[T], problem: &Problem) -> Vec<T> {
    let [kd, kh, kw] = problem.axes().map(|axis| axis.kernel);
    let canonical = Problem { weights_layout: WeightsLayout::Oihw, ..*problem };
    let mut moved = vec![T::ZERO; values.len()];
    for [m, c, taps @ ..] in places([problem.out_channels, problem.group_in(), kd, kh, kw]) {
        moved[weight_index(problem, [m, c], taps)] = values[weight_index(&canonical, [m, c], taps)];
    }
    moved
}

/// Every GEMM of this build, by the choice that names it.
pub fn backends() -> Vec<(BackendChoice, Backend)> {
    let named = |choice| Some((choice, *Backend::candidates(choice).ok()?.first()?));
    [BackendChoice::Blas, BackendChoice::Embedded].into_iter().filter_map(named).collect()
}

/// Set in programs that [`on_other_instructions`] starts: they try a part, which is what depends on the instructions.
const PART: &str = "CONVLOW_TEST_PART";

/// Whether only what depends on the vector instructions is tried.
pub fn in_part() -> bool {
    std::env::var_os(PART).is_some()
}

/// Says which instructions serve, and holds them to those that were asked for.
pub fn instructions() -> &'static str {
    let name = Isa::in_use().expect("no others are asked for than there are").name();
    if let Ok(wanted) = std::env::var("CONVLOW_ISA") {
        assert_eq!(name, wanted);
    }
    println!("instructions: {name}");
    name
}

/// The instructions of this machine, for a test that tries each; none but those of `CONVLOW_ISA` where that is set. Says which
/// they are, and past the capture of a test's output which it does not try.
pub fn instructions_to_try() -> Vec<Isa> {
    let asked_for = std::env::var("CONVLOW_ISA").ok();
    let is_asked_for = |isa: &Isa| asked_for.as_ref().is_none_or(|name| name == isa.name());
    let tried: Vec<Isa> = Isa::of_this_machine().filter(is_asked_for).collect();
    let names: Vec<&str> = tried.iter().map(|isa| isa.name()).collect();
    println!("instructions tried: {}", names.join(", "));
    for isa in Isa::of_this_architecture().filter(|isa| !tried.contains(isa) && !in_part()) {
        let reason = match &asked_for {
            Some(other) => format!("CONVLOW_ISA = {other}"),
            None => "this machine has none, or this build".to_string(),
        };
        let test = std::thread::current().name().unwrap_or("a test").to_string();
        writeln!(std::io::stderr(), "NOT TESTED: {} ({reason}), {test}", isa.name()).expect("a line");
    }
    tried
}

/// Runs tests of a module of this program once more, in part, for each of the machine's instructions that do not serve here. The choice
/// is a process's, so that each is a process.
pub fn on_other_instructions(module: &str, tests: &[&str]) {
    let own = instructions();
    for isa in instructions_to_try().into_iter().filter(|isa| isa.name() != own) {
        let text = with_instructions(isa, module, tests);
        assert!(text.contains(&format!("instructions: {}", isa.name())), "{text}");
        assert!(text.contains(&format!("{} passed", tests.len())), "{text}");
        println!("{text}");
    }
}

/// What these tests of a module of this program print on other instructions.
pub fn with_instructions(isa: Isa, module: &str, tests: &[&str]) -> String {
    // The program's own name is no part of theirs.
    let (_, module) = module.split_once("::").expect("a module of a program");
    let output = Command::new(std::env::current_exe().expect("a running program has a path"))
        .args(tests.iter().map(|test| format!("{module}::{test}")))
        .args(["--exact", "--nocapture"])
        .env("CONVLOW_ISA", isa.name())
        .env(PART, "1")
        .output()
        .expect("the program starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}: {text}{}", isa.name(), String::from_utf8_lossy(&output.stderr));
    text
}

/// The options for one algorithm, whatever its arithmetic.
pub fn options(entry: &'static Entry, gemm: BackendChoice, pool: &Pool) -> Options {
    let algorithm = AlgorithmChoice::One(entry);
    Options { algorithm, gemm, math: Math::Fast, pool: pool.clone(), ..Options::default() }
}

/// The plan for one algorithm; `Err(reason)` if the algorithm declines the problem.
pub fn plan_for(problem: &Problem, options: &Options) -> Result<Plan, String> {
    match Plan::new(problem, options) {
        Ok(plan) => Ok(plan),
        Err(Error::Unsupported(reason)) => Err(reason),
        Err(other) => panic!("{problem}: {other:?}"),
    }
}

/// The bits of what a plan computes of random values.
pub fn bits_of(plan: &Plan, seed: u64) -> Vec<u64> {
    let (problem, mut rng) = (plan.problem(), fastrand::Rng::with_seed(seed));
    match problem.data_type {
        DataType::F32 => bits(&run(plan, &Data::<f32>::random(problem, true, &mut rng))),
        DataType::F64 => bits(&run(plan, &Data::<f64>::random(problem, true, &mut rng))),
    }
}

/// The bits of some numbers: what a comparison of numbers, which finds no NaN equal to itself, leaves out.
pub fn bits<T: Element>(values: &[T]) -> Vec<u64> {
    // Every float32 is a float64 of its own.
    values.iter().map(|&value| Into::<f64>::into(value).to_bits()).collect()
}

/// 32 bytes of a pattern on both sides of what an algorithm may write.
const GUARD: usize = 32;
const DIRT: u8 = 0xA5;

/// Runs a plan with NaN in dst, 0xA5 bytes in the workspace and guards around both, and returns dst in NCHW.
///
/// # Panics
/// If a guard was written or an input changed.
pub fn run<T: Element>(plan: &Plan, data: &Data<T>) -> Vec<T> {
    let info = plan.info();
    let pack =
        |weights: &[T], packed: &mut [u8]| plan.pack_weights(weights, packed).expect("the lengths agree");
    run_by(
        info.entry.name(),
        plan.problem(),
        [info.packed_weights_bytes, info.workspace_bytes],
        data,
        pack,
        |arguments| {
            plan.execute_with(arguments).expect("a valid call");
        },
    )
}

/// [`run`] of what has this name through other functions: `bytes` are those of the packed weights and of the workspace.
///
/// # Panics
/// If a guard was written or an input changed.
pub fn run_by<T: Element>(
    name: &str,
    problem: &Problem,
    bytes: [usize; 2],
    data: &Data<T>,
    pack: impl FnOnce(&[T], &mut [u8]),
    execute: impl FnOnce(Arguments<'_, T>),
) -> Vec<T> {
    let [packed_bytes, workspace_bytes] = bytes;
    let (read, written) = (reads(problem), writes(problem));
    let guard = T::from_f64(f32::from_bits(0xDEAD_BEEF).into());
    let nan = T::from_f64(f64::NAN);
    // What lies between the elements of a slice is never read: it would show.
    let mut src = vec![nan; read.len];
    for (value, place) in data.src.iter().zip(places(read.sizes)) {
        src[read.place(place)] = *value;
    }
    let weights = weights_to_layout(&data.weights, problem);
    let mut packed = Buffer::new(packed_bytes).expect("small weights");
    pack(&weights, packed.bytes_mut());

    let mut workspace = Buffer::new(workspace_bytes + 2 * GUARD).expect("a small workspace");
    workspace.bytes_mut().fill(DIRT);
    let guards = GUARD / size_of::<T>();
    let place_of = |place| guards + written.place(place);
    let mut dst = vec![guard; written.len + 2 * guards];
    for (before, place) in data.dst_before.iter().zip(places(written.sizes)) {
        dst[place_of(place)] = if problem.accumulate { *before } else { nan };
    }
    let (src_copy, packed_copy) = (src.clone(), packed.bytes().to_vec());
    execute(Arguments {
        src: &src,
        packed: packed.bytes(),
        weights: None,
        bias: data.bias.as_deref(),
        slopes: data.slopes.as_deref(),
        residual: None,
        dst: &mut dst[guards..guards + written.len],
        workspace: &mut workspace.elements_mut()[guards..guards + workspace_bytes / size_of::<T>()],
        pool: None,
    });
    assert!(bits(&src) == bits(&src_copy), "{name} wrote to src of {problem}");
    assert_eq!(packed.bytes(), packed_copy, "{name} wrote to the weights of {problem}");
    let found: Vec<T> = places(written.sizes).map(|place| dst[place_of(place)]).collect();
    // Guards lie around dst, and between the elements of a slice.
    places(written.sizes).for_each(|place| dst[place_of(place)] = guard);
    assert!(bits(&dst) == bits(&vec![guard; dst.len()]), "{name} wrote outside dst of {problem}");
    let workspace = workspace.bytes();
    let behind = &workspace[GUARD + workspace_bytes..];
    assert!(
        workspace[..GUARD].iter().chain(behind).all(|&byte| byte == DIRT),
        "{name} wrote outside its {workspace_bytes} bytes of workspace for {problem}"
    );
    found
}
