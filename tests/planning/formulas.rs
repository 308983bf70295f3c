//! The workspace figure is the formula of each family, written here a second time: from the papers, and from the heads of the
//! sources. Letters that an algorithm chooses (the rows of a strip, the channels of a block) may be any that there are; that
//! no element is left over then is scanned by `c_tests/workspace.c`.

use std::collections::BTreeMap;
use std::fs;

use convlow::algorithms::{Entry, REGISTRY};
use convlow::gemm::BackendChoice;
use convlow::{
    Axis, DataType, Layout, Operation, Plan, Pool, Problem, Propagation, WeightsLayout, descriptor,
};

use crate::common::{self, LAYOUTS, plan_for};

/// Every line of every list: plain layers, grouped and depthwise ones, volumes, rows, and transposed ones.
fn layers() -> Vec<Problem> {
    let read = |file| fs::read_to_string(file).expect("a list of problems/");
    let lists: Vec<String> = common::lists().into_iter().map(read).collect();
    let entries = lists.iter().flat_map(|list| descriptor::parse_list(list).expect("the lists are valid"));
    entries.map(|entry| entry.problem).collect()
}

/// An image that is its own patches is one long row.
fn flattened(p: &Problem) -> Problem {
    let plain = |axis: &Axis| {
        (axis.kernel, axis.stride, axis.pad_before, axis.pad_after, axis.output_padding) == (1, 1, 0, 0, 0)
    };
    if !p.axes().into_iter().all(plain) {
        return *p;
    }
    let pixels = p.in_pixels();
    Problem {
        planes: Axis::ONE,
        rows: Axis::ONE,
        cols: Axis { input: pixels, output: pixels, ..p.cols },
        ..*p
    }
}

/// Input positions from the first that these outputs see to the last, where a border may cut some off.
fn seen(p: &Problem, axis: &Axis, first: usize, end: usize) -> usize {
    let (s, pad, reach) =
        (axis.stride as i128, axis.pad_before as i128, ((axis.kernel - 1) * axis.dilation) as i128);
    let (first, last) = (first as i128, end as i128 - 1);
    let [from, to] = match p.operation {
        // Input i reaches outputs i·s − pad … i·s + reach − pad.
        Operation::ConvTranspose => [(first + pad - reach + s - 1).div_euclid(s), (last + pad).div_euclid(s)],
        Operation::Conv => [first * s - pad, last * s + reach - pad],
    };
    usize::try_from(to.min(axis.input as i128 - 1) - from.max(0) + 1).unwrap_or(0)
}

/// The most that any run of so many outputs sees: those of a tiling from the first output on, or any.
fn most_seen(p: &Problem, axis: &Axis, outputs: usize) -> [usize; 2] {
    let most = |step: usize| {
        let firsts = (0..axis.output).step_by(step);
        firsts.map(|first| seen(p, axis, first, axis.output.min(first + outputs))).max().expect("an output")
    };
    [most(outputs), most(1)]
}

/// Channels of a block: all of them, or some vectors.
fn blocks(channels: usize) -> impl Iterator<Item = usize> {
    (16..channels).step_by(16).chain([channels])
}

/// Whether it is the product of a number of rows and of the channels of a block.
fn is_rows_of_a_block(elements: usize, rows: usize, channels: usize) -> bool {
    blocks(channels).any(|block| elements.is_multiple_of(block) && (1..=rows).contains(&(elements / block)))
}

/// Columns of a row that a tap on the right fills with what belongs to the next row, or with `accumulate` on either side.
fn wrapped_columns(p: &Problem) -> usize {
    let Axis { kernel, dilation, pad_before, input, .. } = p.cols;
    let shifts = (0..kernel).map(|tap| (tap * dilation) as isize - pad_before as isize);
    let junk = shifts.filter(|&shift| shift > 0 || p.accumulate).map(isize::unsigned_abs);
    junk.filter(|&columns| columns < input).max().unwrap_or(0)
}

/// kn2row-fold: input rows by phases of the stride, and what is moved from and to planes; at most 448 KiB, unless the least
/// strip needs more.
fn is_folded(p: &Problem, elements: usize) -> bool {
    let p = &flattened(p);
    let (c, m) = (p.group_in(), p.group_out());
    let divisor = (1..=p.rows.stride)
        .rev()
        .find(|g| p.rows.stride.is_multiple_of(*g) && p.rows.dilation.is_multiple_of(*g));
    let divisor = divisor.expect("1 divides both");
    let (back, ahead) = (p.rows.stride / divisor, p.rows.dilation / divisor);
    let phases = back.min(p.rows.kernel);
    let of_phase =
        |rows: usize| (rows + (p.rows.kernel - 1) / back * ahead).min(p.rows.input.div_ceil(p.rows.stride));
    let parts: Vec<[usize; 2]> = match p.rows.output {
        1 => (1..=p.cols.output).map(|columns| [1, columns]).collect(),
        rows => (1..=rows).map(|rows| [rows, p.cols.output]).collect(),
    };
    let fits = elements * p.data_type.bytes() <= 448 << 10;
    parts.into_iter().enumerate().any(|(number, [rows, columns])| {
        let of_row =
            ((columns - 1) * p.cols.stride + (p.cols.kernel - 1) * p.cols.dilation + 1).min(p.cols.input);
        let moved = if p.src_layout == Layout::Nchw { of_row * c } else { 0 };
        let rest = elements.checked_sub(moved + phases * of_phase(rows) * columns * p.cols.kernel * c);
        let is_rest = |rest: usize| match p.dst_layout {
            Layout::Nhwc => rest == 0,
            Layout::Nchw => blocks(m).any(|block| rest == rows * columns * block),
        };
        (fits || number == 0) && rest.is_some_and(is_rest)
    })
}

/// kn2row-register: what a tile sees of an NCHW src.
fn is_moved(p: &Problem, elements: usize) -> bool {
    let (c, m) = (p.group_in(), p.group_out());
    let small_groups = if c.max(m) <= 64 { p.groups } else { 1 };
    let p = &flattened(p);
    if p.src_layout == Layout::Nhwc || p.in_pixels() == 1 {
        return elements == 0;
    }
    // Parts of C, or the channels of several groups.
    let depths: Vec<usize> = match small_groups {
        1 => halved(c).collect(),
        groups => (1..=groups).map(|groups| groups * c).collect(),
    };
    // It stays where it lies if the window of a single pixel is too much.
    let window = p.axes().map(|axis| {
        let reach = (axis.kernel - 1) * axis.dilation;
        axis.input.min(1 + if p.operation == Operation::ConvTranspose { reach / axis.stride } else { reach })
    });
    let least = depths.iter().min().expect("a part") * window.iter().product::<usize>();
    if elements == 0 {
        return least * p.data_type.bytes() > 256 << 10;
    }
    windows(p, 480).any(|[_, window]| depths.iter().any(|depth| window * depth == elements))
}

/// So many channels, and halves of them as long as they are not few.
fn halved(channels: usize) -> impl Iterator<Item = usize> {
    std::iter::successors(Some(channels), |c| Some(c.div_ceil(2)).filter(|&half| half >= 32))
}

/// The pixels of tiles of whole planes, of whole rows, and of so many pixels of a row at most, each with the input pixels that
/// it sees.
fn windows(p: &Problem, most: usize) -> impl Iterator<Item = [usize; 2]> {
    let [planes, rows, cols] = p.axes();
    let all = |axis: &Axis| seen(p, axis, 0, axis.output);
    let of = move |axis: &Axis, outputs: usize, (pixels, inputs): (usize, usize)| {
        most_seen(p, axis, outputs).map(|seen| [outputs * pixels, seen * inputs])
    };
    let of_plane = (rows.output * cols.output, all(rows) * all(cols));
    let of_row = (cols.output, most_seen(p, planes, 1)[0] * all(cols));
    let of_pixel = (1, most_seen(p, planes, 1)[0] * most_seen(p, rows, 1)[0]);
    let of_planes = (1..=planes.output).flat_map(move |z| of(planes, z, of_plane));
    let of_rows = (1..=rows.output).flat_map(move |y| of(rows, y, of_row));
    of_planes.chain(of_rows).chain((1..=cols.output.min(most)).flat_map(move |x| of(cols, x, of_pixel)))
}

/// depthwise-register: what some rows, or a part of one, see of some channels.
fn is_moved_by_channels(p: &Problem, elements: usize) -> bool {
    windows(p, usize::MAX)
        .any(|[_, window]| elements.is_multiple_of(window) && elements / window <= p.out_channels)
}

/// kn2col-register: what a tile sees of a part of an NCHW src's channels, and the sums of its pixels for an NCHW dst.
fn is_spread(p: &Problem, elements: usize) -> bool {
    let moved: Vec<usize> = match p.src_layout {
        Layout::Nchw => halved(p.group_in()).collect(),
        Layout::Nhwc => vec![0],
    };
    let sums = if p.dst_layout == Layout::Nchw { p.group_out() } else { 0 };
    // From a row on, a tile is of as many pixels as fit.
    (elements == 0 && moved == [0] && sums == 0)
        || windows(p, usize::MAX)
            .any(|[pixels, window]| moved.iter().any(|moved| window * moved + pixels * sums == elements))
}

/// Winograd's: α² values of whole tiles for a part of C, which is C halved or not, and for a block of channels.
fn is_transformed(entry: &Entry, p: &Problem, elements: usize) -> bool {
    let [m, r] = [15, 19].map(|at| usize::from(entry.name().as_bytes()[at] - b'0'));
    let (c, outputs) = (p.group_in(), p.group_out());
    let parts = |channels: usize, most: usize| {
        channels.div_ceil(channels.div_ceil(most)).next_multiple_of(16).min(channels)
    };
    let panels = parts(outputs, 32);
    let blocks = [64, 128, 256].map(|most| parts(outputs, most).next_multiple_of(panels).min(outputs));
    let halved = |&c: &usize| (c >= 128).then(|| parts(c, c / 2));
    let depths: Vec<usize> = std::iter::successors(Some(c), halved).collect();
    let tiles = p.rows.output.div_ceil(m) * p.cols.output.div_ceil(m);
    let of_tile = |depth: usize, block: usize| (m + r - 1).pow(2) * (depth + block);
    depths.into_iter().any(|depth| {
        blocks.iter().any(|&block| {
            let of_tile = of_tile(depth, block);
            elements.is_multiple_of(of_tile) && (1..=tiles.min(96)).contains(&(elements / of_tile))
        })
    })
}

/// gradient-register: the sums of a block of taps, inputs and lanes, with a row for the bias, and what a strip of at most 512
/// pixels reads of both tensors, where it does not lie side by side.
fn is_of_blocks(p: &Problem, elements: usize) -> bool {
    let most = p.group_in().max(p.group_out());
    let taps: Vec<usize> = (1..=p.taps()).filter(|&taps| p.taps().is_multiple_of(taps)).collect();
    let in_place = (p.src_layout, p.dst_layout) == (Layout::Nhwc, Layout::Nhwc);
    let is_rest = |rest: usize, inputs: usize, lanes: usize| match rest {
        0 => in_place,
        _ => (0..=512.min(rest / lanes)).any(|pixels| (rest - pixels * lanes).is_multiple_of(inputs)),
    };
    (4..=64).step_by(4).any(|lanes| {
        taps.iter().any(|&taps| {
            // Those of the weights, which may lie there, and a row for the bias.
            (1..=most).any(|inputs| {
                let sums = [1, taps * inputs + 1].map(|rows| rows * lanes);
                sums.into_iter().any(|sums| sums <= elements && is_rest(elements - sums, inputs, lanes))
            })
        })
    })
}

/// gradient-kn2row: the columns of a row of NCHW that lie a stride apart, of some channels, and a block of a tap's gradient where
/// the weights do not hold it as a matrix.
fn is_of_a_tap(p: &Problem, elements: usize) -> bool {
    let (c, m) = (p.group_in(), p.group_out());
    let (layout, columns, reads_outputs) = match p.operation {
        Operation::Conv => (p.src_layout, p.cols.output, false),
        Operation::ConvTranspose => (p.dst_layout, p.cols.input, true),
    };
    let written = if reads_outputs { c } else { m };
    let is_matrix = p.taps() == 1 || p.weights_layout != WeightsLayout::Oihw || written == 1;
    let copied = layout == Layout::Nchw && p.cols.stride > 1 && columns > 1;
    let most = 1024 / p.data_type.bytes();
    blocks(c).filter(|&block| block <= most).any(|inputs| {
        blocks(m).filter(|&block| block <= most).any(|outputs| {
            let of_copied = if reads_outputs { outputs } else { inputs };
            let most = ((64 << 10) / p.data_type.bytes() / of_copied).clamp(1, columns);
            let columns = if copied { most * of_copied } else { 0 };
            elements == columns + if is_matrix { 0 } else { inputs * outputs }
        })
    })
}

/// Whether so many elements are what the family's formula says of one image and group, or of the groups that are computed
/// together, on one thread.
fn is_formula(entry: &Entry, p: &Problem, elements: usize) -> bool {
    let (c, m) = (p.group_in(), p.group_out());
    let (inputs, outputs, taps) = (p.in_pixels(), p.out_pixels(), p.taps());
    match entry.family {
        "direct" | "conv-1x1" | "tiled" => elements == 0,
        "depthwise" => elements == 0 || p.src_layout == Layout::Nchw && is_moved_by_channels(p, elements),
        "im2col" | "im2row" => elements == c * taps * outputs,
        "mec" => elements == p.cols.kernel * c * p.rows.input * p.cols.output,
        "kn2" | "col2im" => elements == taps * m * inputs,
        "kn2-as" => elements == m * inputs,
        "kn2-aa" => {
            let columns = if p.cols.output == p.cols.input { wrapped_columns(p) } else { 0 };
            match (elements, columns) {
                (0, columns) => columns * m * p.data_type.bytes() > 64 << 10 || columns == 0,
                (_, 0) => false,
                (_, columns) => {
                    elements.is_multiple_of(columns)
                        && is_rows_of_a_block(elements / columns, p.rows.output, m)
                }
            }
        }
        "flat" => {
            let p = &flattened(p);
            match (elements, wrapped_columns(p)) {
                (0, columns) => columns == 0 || p.rows.output == 1,
                (_, 0) => false,
                (_, columns) => {
                    elements.is_multiple_of(columns)
                        && is_rows_of_a_block(elements / columns, p.rows.output, m)
                }
            }
        }
        "folded" => is_folded(p, elements),
        "register" => is_moved(p, elements),
        "spread" => is_spread(p, elements),
        "patches" => {
            // Planes are patches where an image is one row.
            let (depth, own_patches) = (c * taps, flattened(p) != *p || (taps, inputs) == (1, 1));
            (elements == 0 && own_patches)
                || (elements.is_multiple_of(depth) && (1..=outputs.min(240)).contains(&(elements / depth)))
        }
        "winograd" => is_transformed(entry, p, elements),
        "weight gradient" => is_of_blocks(p, elements),
        "weight gradient by taps" => is_of_a_tap(p, elements),
        "weight gradient by patches" => match p.operation {
            Operation::Conv => elements == c * taps * outputs,
            Operation::ConvTranspose => elements == m * taps * inputs,
        },
        other => panic!("{other} has no formula here"),
    }
}

/// The most bytes of a thread.
fn most_bytes(entry: &Entry) -> usize {
    match entry.family {
        "kn2-aa" => 64 << 10,
        "depthwise" => 128 << 10,
        "register" | "spread" | "patches" | "weight gradient" => 256 << 10,
        "winograd" => 2 << 20,
        _ => usize::MAX,
    }
}

/// What was compared, by family: figures, those that are not 0, and the most bytes.
type Compared = BTreeMap<&'static str, [usize; 3]>;

/// Every algorithm's figure for one problem, on one thread and on two.
fn compare(problem: &Problem, two: &Pool, compared: &mut Compared) {
    let bytes_of = |problem: &Problem, entry: &'static Entry, pool: &Pool| {
        let plan: Plan = plan_for(problem, &common::options(entry, BackendChoice::Auto, pool)).ok()?;
        Some(plan.info().workspace_bytes)
    };
    let weights = &Problem { propagation: Propagation::BackwardWeights, ..*problem };
    for entry in REGISTRY {
        let problem = if entry.computes_weights() { weights } else { problem };
        let Some(alone) = bytes_of(problem, entry, &Pool::SERIAL) else { continue };
        let together = bytes_of(problem, entry, two).expect("as on one thread");
        let name = entry.name();
        assert_eq!(alone % problem.data_type.bytes(), 0, "{name} on {problem}");
        let elements = alone / problem.data_type.bytes();
        assert!(is_formula(entry, problem, elements), "{name} on {problem}: {elements} elements");
        // Units under 4 million multiplications run side by side; else tiles share one scratch, or have one each. Those of a
        // transposed convolution of stride 1 are counted as those of the ordinary one that it is.
        let units = problem.batch * problem.groups;
        let macs = match problem.unit_stride() {
            true => problem.batch * problem.out_channels * problem.out_pixels() * problem.depth(),
            false => problem.macs(),
        };
        let side_by_side = units > 1 && macs / units < 1 << 22;
        match entry.family {
            "im2col" | "im2row" | "mec" | "kn2" | "kn2-as" | "col2im" => {
                assert_eq!(
                    together,
                    if side_by_side { 2 * alone } else { alone },
                    "{name} on {problem}, two threads"
                );
            }
            // Smaller blocks, so that both threads have as much to do.
            "weight gradient" if ![alone, 2 * alone].contains(&together) => assert!(
                together < 2 * alone && is_formula(entry, problem, together / 2 / problem.data_type.bytes()),
                "{name} on {problem}: {alone}, of two threads {together}"
            ),
            _ => assert!(
                [alone, 2 * alone].contains(&together),
                "{name} on {problem}: {alone}, of two threads {together}"
            ),
        }
        let [figures, used, most] = compared.entry(entry.family).or_default();
        *figures += 1;
        *used += usize::from(alone > 0);
        *most = alone.max(*most);
    }
}

/// Promise 2: exact workspace.
#[test]
fn every_figure_is_its_formula() {
    let two = Pool::new(2).expect("two threads");
    let mut compared = Compared::new();
    let mut count = 0;
    for (number, layer) in layers().into_iter().enumerate() {
        for (src_layout, dst_layout) in LAYOUTS {
            // Types, batches and sums take turns.
            let lot = count + number;
            let data_type = DataType::BUILT[lot / 2 % DataType::BUILT.len()];
            let problem = Problem {
                src_layout,
                dst_layout,
                data_type,
                batch: 1 + lot % 2,
                accumulate: lot % 3 == 0,
                ..layer
            };
            compare(&problem, &two, &mut compared);
            count += 1;
        }
    }
    println!("formulas: {count} problems");
    for (family, [figures, used, most]) in &compared {
        println!("  {family}: {figures} figures, {used} of them not 0, at most {most} bytes");
    }
    for entry in REGISTRY {
        let [figures, used, most] = compared.get(entry.family).copied().unwrap_or_default();
        let needs_none = ["direct", "depthwise", "conv-1x1", "tiled"].contains(&entry.family);
        assert!(
            figures > 90 && (used > 90) != needs_none,
            "{}: {figures} figures, {used} not 0",
            entry.family
        );
        assert!(most <= most_bytes(entry), "{}: {most}", entry.family);
    }
}
