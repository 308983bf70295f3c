//! The definition of convolution in float64, term by term: slow, and what everything else is tested against.
//!
//! It shares nothing with the algorithms, not even the arithmetic of ranges: every coordinate is computed and
//! compared for itself.

use crate::problem::{Axis, Layout, Problem, WeightsLayout};

/// The arguments of one execute, weights unpacked.
#[derive(Debug, Clone, Copy)]
pub struct Tensors<'a> {
    /// Input in the problem's src layout.
    pub src: &'a [f32],
    /// Weights in the problem's weights layout.
    pub weights: &'a [f32],
    /// One float an output channel, or none.
    pub bias: Option<&'a [f32]>,
    /// What dst held before; read only where the problem accumulates.
    pub dst_before: &'a [f32],
}

/// One output, and the sum of the magnitudes of its terms, to which rounding errors are proportional.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Output {
    /// The exact value up to float64 rounding, clamped.
    pub value: f64,
    /// Σ |term|.
    pub magnitude: f64,
}

/// The place of [n, c, and a position on each axis] in a packed tensor of images of these channels and axes.
pub fn index(layout: Layout, place: &[usize], sizes: &[usize]) -> usize {
    let [n, c, position @ ..] = place else { panic!("a place has an image and a channel") };
    let [channels, axes @ ..] = sizes else { panic!("an image has channels") };
    assert_eq!(position.len(), axes.len());
    let pixel = position.iter().zip(axes).fold(0, |pixel, (at, size)| pixel * size + at);
    let pixels: usize = axes.iter().product();
    match layout {
        Layout::Nchw => (n * channels + c) * pixels + pixel,
        Layout::Nhwc => (n * pixels + pixel) * channels + c,
    }
}

/// The place of the weight of output channel m and the c-th input channel of its group, tap [h, i, j].
pub fn weight_index(problem: &Problem, [m, c]: [usize; 2], tap: [usize; 3]) -> usize {
    let (group_in, group_out) = (problem.in_channels / problem.groups, problem.out_channels / problem.groups);
    let [kd, kh, kw] = [problem.planes.kernel, problem.rows.kernel, problem.cols.kernel];
    let [h, i, j] = tap;
    let channel = m / group_out * group_in + c;
    match (problem.weights_layout, problem.cols.transposed) {
        (WeightsLayout::Oihw, false) => (((m * group_in + c) * kd + h) * kh + i) * kw + j,
        (WeightsLayout::Oihw, true) => (((channel * group_out + m % group_out) * kd + h) * kh + i) * kw + j,
        (WeightsLayout::Hwio, false) => (((h * kh + i) * kw + j) * group_in + c) * problem.out_channels + m,
        (WeightsLayout::Hwio, true) => {
            (((h * kh + i) * kw + j) * group_out + m % group_out) * problem.in_channels + channel
        }
        (WeightsLayout::Ohwi, _) => (((m * kd + h) * kh + i) * kw + j) * group_in + c,
    }
}

/// All outputs of packed tensors in the order of [n, m, z, y, x].
pub fn outputs(problem: &Problem, tensors: &Tensors<'_>) -> Vec<Output> {
    let sizes = dst_sizes(problem);
    let places = places(problem.batch, sizes);
    let sums = match problem.cols.transposed {
        true => scattered(problem, tensors),
        false => places.clone().map(|place| gathered(problem, tensors, place)).collect(),
    };
    places.zip(sums).map(|(place, sum)| finished(problem, tensors, place, sum)).collect()
}

/// Output [n, m, z, y, x] of packed tensors. What a transposed convolution adds to it is looked for tap by tap; [`outputs`]
/// scatters.
pub fn output(problem: &Problem, tensors: &Tensors<'_>, place: [usize; 5]) -> Output {
    finished(problem, tensors, place, gathered(problem, tensors, place))
}

fn dst_sizes(problem: &Problem) -> [usize; 4] {
    [problem.out_channels, problem.planes.output, problem.rows.output, problem.cols.output]
}

fn src_sizes(problem: &Problem) -> [usize; 4] {
    [problem.in_channels, problem.planes.input, problem.rows.input, problem.cols.input]
}

/// Every [n, c, z, y, x].
fn places(batch: usize, [c, d, h, w]: [usize; 4]) -> impl Iterator<Item = [usize; 5]> + Clone {
    (0..batch * c * d * h * w)
        .map(move |at| [at / (c * d * h * w), at / (d * h * w) % c, at / (h * w) % d, at / w % h, at % w])
}

/// Every tap [h, i, j].
fn taps(problem: &Problem) -> impl Iterator<Item = [usize; 3]> + Clone + use<> {
    let [kd, kh, kw] = [problem.planes.kernel, problem.rows.kernel, problem.cols.kernel];
    (0..kd * kh * kw).map(move |at| [at / (kh * kw), at / kw % kh, at % kw])
}

impl Output {
    const NOTHING: Self = Self { value: 0.0, magnitude: 0.0 };

    fn add(&mut self, term: f64) {
        self.value += term;
        self.magnitude += term.abs();
    }
}

/// The input position that an output reads by a tap, if there is one.
fn input_of(axis: &Axis, output: usize, tap: usize) -> Option<usize> {
    let (tap, pad) = ((tap * axis.dilation) as i128, axis.pad_before as i128);
    let position = match axis.transposed {
        false => (output * axis.stride) as i128 + tap - pad,
        true => {
            let steps = output as i128 + pad - tap;
            let stride = axis.stride as i128;
            if steps % stride != 0 {
                return None;
            }
            steps / stride
        }
    };
    (0..axis.input as i128).contains(&position).then_some(position as usize)
}

/// The sum over the taps.
fn gathered(problem: &Problem, tensors: &Tensors<'_>, [n, m, z, y, x]: [usize; 5]) -> Output {
    let (group_in, group_out) = (problem.in_channels / problem.groups, problem.out_channels / problem.groups);
    let axes = [problem.planes, problem.rows, problem.cols];
    let mut sum = Output::NOTHING;
    for c in 0..group_in {
        'taps: for tap in taps(problem) {
            let mut place = [n, m / group_out * group_in + c, 0, 0, 0];
            for (at, output) in [z, y, x].into_iter().enumerate() {
                let Some(position) = input_of(&axes[at], output, tap[at]) else { continue 'taps };
                place[2 + at] = position;
            }
            let src = tensors.src[index(problem.src_layout, &place, &src_sizes(problem))];
            sum.add(f64::from(src) * f64::from(tensors.weights[weight_index(problem, [m, c], tap)]));
        }
    }
    sum
}

/// The sums of a transposed convolution: every input is added to all outputs that it reaches.
fn scattered(problem: &Problem, tensors: &Tensors<'_>) -> Vec<Output> {
    let (group_in, group_out) = (problem.in_channels / problem.groups, problem.out_channels / problem.groups);
    let axes = [problem.planes, problem.rows, problem.cols];
    let sizes = dst_sizes(problem);
    let mut sums = vec![Output::NOTHING; problem.batch * sizes.iter().product::<usize>()];
    for place in places(problem.batch, src_sizes(problem)) {
        let [n, channel, input @ ..] = place;
        let src = f64::from(tensors.src[index(problem.src_layout, &place, &src_sizes(problem))]);
        let (group, c) = (channel / group_in, channel % group_in);
        for m in group * group_out..(group + 1) * group_out {
            'taps: for tap in taps(problem) {
                let mut to = [n, m, 0, 0, 0];
                for at in 0..3 {
                    let axis = axes[at];
                    let position =
                        (input[at] * axis.stride + tap[at] * axis.dilation) as i128 - axis.pad_before as i128;
                    if position < 0 || position >= axis.output as i128 {
                        continue 'taps;
                    }
                    to[2 + at] = position as usize;
                }
                let weight = f64::from(tensors.weights[weight_index(problem, [m, c], tap)]);
                sums[index(Layout::Nchw, &to, &sizes)].add(src * weight);
            }
        }
    }
    sums
}

/// An output whose sum is bias, what dst held and clamp still to be applied to.
fn finished(problem: &Problem, tensors: &Tensors<'_>, place: [usize; 5], mut out: Output) -> Output {
    if let Some(bias) = tensors.bias {
        out.add(f64::from(bias[place[1]]));
    }
    if problem.accumulate {
        out.add(f64::from(tensors.dst_before[index(problem.dst_layout, &place, &dst_sizes(problem))]));
    }
    if let Some(clamp) = problem.clamp {
        out.value = out.value.clamp(clamp.min.into(), clamp.max.into());
    }
    out
}
