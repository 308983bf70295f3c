//! The definition of convolution, term by term, in float64 and better. It is slow; tests compare everything else with
//! it.
//!
//! It shares nothing with the algorithms, not even the arithmetic of ranges: it computes and compares every
//! coordinate by itself.

use convlow_kernels::activation::exact;

use crate::algorithms::Element;
use crate::problem::{Activation, Axis, DataType, Layout, Operation, Problem, Propagation, WeightsLayout};

/// The arguments of one execute, weights unpacked.
#[derive(Debug, Clone, Copy)]
pub struct Tensors<'a, T = f32> {
    /// Input in the problem's src layout; for a gradient of the data that of dst, in the dst layout.
    pub src: &'a [T],
    /// Weights in the problem's weights layout.
    pub weights: &'a [T],
    /// One value an output channel, or none.
    pub bias: Option<&'a [T]>,
    /// PRELU's slopes, one an output channel; others read none.
    pub slopes: Option<&'a [T]>,
    /// What dst held before, or src's gradient; read only where the problem accumulates.
    pub dst_before: &'a [T],
}

/// Units in the last place by which an activation may miss its exact value.
const ACTIVATION_UNITS: f64 = 4.0;

/// One output, and the sum of the magnitudes of its terms, to which rounding errors are proportional.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Output {
    /// The activation of the exact sum, rounded once or, in float32, as sums of float64 are.
    pub value: f64,
    /// Σ |term|, times the largest slope of the activation.
    pub magnitude: f64,
    /// What the activation may add to the sum's error: 4 units in the last place, 0 where it only selects.
    pub of_activation: f64,
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
    match (problem.weights_layout, problem.operation == Operation::ConvTranspose) {
        (WeightsLayout::Oihw, false) => (((m * group_in + c) * kd + h) * kh + i) * kw + j,
        (WeightsLayout::Oihw, true) => (((channel * group_out + m % group_out) * kd + h) * kh + i) * kw + j,
        (WeightsLayout::Hwio, false) => (((h * kh + i) * kw + j) * group_in + c) * problem.out_channels + m,
        (WeightsLayout::Hwio, true) => {
            (((h * kh + i) * kw + j) * group_out + m % group_out) * problem.in_channels + channel
        }
        (WeightsLayout::Ohwi, _) => (((m * kd + h) * kh + i) * kw + j) * group_in + c,
    }
}

/// All outputs of packed tensors in the order of [n, m, z, y, x]; for a gradient of the data all inputs.
pub fn outputs<T: Element>(problem: &Problem, tensors: &Tensors<'_, T>) -> Vec<Output> {
    let places = places(problem.batch, written(problem).1);
    let sums = match (problem.propagation, problem.operation) {
        (Propagation::BackwardData, _) => sums_of_inputs(problem, tensors),
        (_, Operation::ConvTranspose) => scattered(problem, tensors),
        (_, Operation::Conv) => places.clone().map(|place| gathered(problem, tensors, place)).collect(),
    };
    places.zip(sums).map(|(place, sum)| finished(problem, tensors, place, sum)).collect()
}

/// Output [n, m, z, y, x] of packed tensors; for a gradient of the data input [n, c, z, y, x]. What a transposed convolution or
/// that gradient adds to it is looked for tap by tap; [`outputs`] scatters.
pub fn output<T: Element>(problem: &Problem, tensors: &Tensors<'_, T>, place: [usize; 5]) -> Output {
    finished(problem, tensors, place, gathered(problem, tensors, place))
}

fn dst_sizes(problem: &Problem) -> [usize; 4] {
    [problem.out_channels, problem.planes.output, problem.rows.output, problem.cols.output]
}

fn src_sizes(problem: &Problem) -> [usize; 4] {
    [problem.in_channels, problem.planes.input, problem.rows.input, problem.cols.input]
}

/// The layout and the sizes of what is computed.
fn written(problem: &Problem) -> (Layout, [usize; 4]) {
    match problem.propagation {
        Propagation::Forward => (problem.dst_layout, dst_sizes(problem)),
        Propagation::BackwardData => (problem.src_layout, src_sizes(problem)),
        Propagation::BackwardWeights => panic!("the gradients of weights and bias are no images"),
    }
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

/// A sum of products. Products of float32 are exact in float64, whose sums are good enough for them; those of float64
/// carry what every step rounds off, as Ogita, Rump and Oishi do ("Accurate sum and dot product", 2005).
#[derive(Debug, Clone, Copy)]
struct Sum {
    value: f64,
    rounded_off: f64,
    magnitude: f64,
}

impl Sum {
    const NOTHING: Self = Self { value: 0.0, rounded_off: 0.0, magnitude: 0.0 };

    fn add<T: Element>(&mut self, a: T, b: T) {
        let (a, b): (f64, f64) = (a.into(), b.into());
        let (before, product) = (self.value, a * b);
        self.value += product;
        self.magnitude += product.abs();
        if T::TYPE == DataType::F64 {
            let of_product = a.mul_add(b, -product);
            let back = self.value - before;
            let of_sum = (before - (self.value - back)) + (product - back);
            self.rounded_off += of_product + of_sum;
        }
    }

    /// The value with what was rounded off, which is no number beside an infinity.
    fn whole(&self) -> f64 {
        if self.rounded_off.is_finite() { self.value + self.rounded_off } else { self.value }
    }

    /// The element that the sum is.
    fn output(&self) -> Output {
        Output { value: self.whole(), magnitude: self.magnitude, of_activation: 0.0 }
    }
}

/// The input position that an output reads by a tap, if there is one.
fn input_of(operation: Operation, axis: &Axis, output: usize, tap: usize) -> Option<usize> {
    let (tap, pad) = ((tap * axis.dilation) as i128, axis.pad_before as i128);
    let position = match operation {
        Operation::Conv => (output * axis.stride) as i128 + tap - pad,
        Operation::ConvTranspose => {
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

/// The output position that reads an input by a tap, if there is one: exchanged, the operations are each other's.
fn output_of(operation: Operation, axis: &Axis, input: usize, tap: usize) -> Option<usize> {
    let exchanged = match operation {
        Operation::Conv => Operation::ConvTranspose,
        Operation::ConvTranspose => Operation::Conv,
    };
    input_of(exchanged, &Axis { input: axis.output, ..*axis }, input, tap)
}

/// The sum over the taps.
fn gathered<T: Element>(problem: &Problem, tensors: &Tensors<'_, T>, place: [usize; 5]) -> Sum {
    let (group_in, group_out) = (problem.in_channels / problem.groups, problem.out_channels / problem.groups);
    let axes = [problem.planes, problem.rows, problem.cols];
    let of_data = problem.propagation == Propagation::BackwardData;
    let (layout, sizes, [of_group, read_of_group]) = match of_data {
        true => (problem.dst_layout, dst_sizes(problem), [group_in, group_out]),
        false => (problem.src_layout, src_sizes(problem), [group_out, group_in]),
    };
    let read_by = if of_data { output_of } else { input_of };
    let [n, channel, position @ ..] = place;
    let mut sum = Sum::NOTHING;
    for other in channel / of_group * read_of_group..(channel / of_group + 1) * read_of_group {
        let [m, c] = if of_data { [other, channel] } else { [channel, other] };
        'taps: for tap in taps(problem) {
            let mut from = [n, other, 0, 0, 0];
            for at in 0..3 {
                let Some(read) = read_by(problem.operation, &axes[at], position[at], tap[at]) else {
                    continue 'taps;
                };
                from[2 + at] = read;
            }
            let src = tensors.src[index(layout, &from, &sizes)];
            sum.add(src, tensors.weights[weight_index(problem, [m, c % group_in], tap)]);
        }
    }
    sum
}

/// The sums of a transposed convolution: every input is added to all outputs that it reaches.
fn scattered<T: Element>(problem: &Problem, tensors: &Tensors<'_, T>) -> Vec<Sum> {
    let (group_in, group_out) = (problem.in_channels / problem.groups, problem.out_channels / problem.groups);
    let axes = [problem.planes, problem.rows, problem.cols];
    let sizes = dst_sizes(problem);
    let mut sums = vec![Sum::NOTHING; problem.batch * sizes.iter().product::<usize>()];
    for place in places(problem.batch, src_sizes(problem)) {
        let [n, channel, input @ ..] = place;
        let src = tensors.src[index(problem.src_layout, &place, &src_sizes(problem))];
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
                let weight = tensors.weights[weight_index(problem, [m, c], tap)];
                sums[index(Layout::Nchw, &to, &sizes)].add(src, weight);
            }
        }
    }
    sums
}

/// The gradient of the data: what an input receives from every output that reads it by a tap.
fn sums_of_inputs<T: Element>(problem: &Problem, tensors: &Tensors<'_, T>) -> Vec<Sum> {
    let (group_in, group_out) = (problem.in_channels / problem.groups, problem.out_channels / problem.groups);
    let axes = [problem.planes, problem.rows, problem.cols];
    let sizes = src_sizes(problem);
    let mut sums = vec![Sum::NOTHING; problem.batch * sizes.iter().product::<usize>()];
    for place in places(problem.batch, dst_sizes(problem)) {
        let [n, m, output @ ..] = place;
        let gradient = tensors.src[index(problem.dst_layout, &place, &dst_sizes(problem))];
        'taps: for tap in taps(problem) {
            let mut to = [n, 0, 0, 0, 0];
            for at in 0..3 {
                let Some(input) = input_of(problem.operation, &axes[at], output[at], tap[at]) else {
                    continue 'taps;
                };
                to[2 + at] = input;
            }
            for c in 0..group_in {
                to[1] = m / group_out * group_in + c;
                let weight = tensors.weights[weight_index(problem, [m, c], tap)];
                sums[index(Layout::Nchw, &to, &sizes)].add(gradient, weight);
            }
        }
    }
    sums
}

/// The gradients of the weights, in the problem's layout of weights, and of the bias: of packed tensors, where the problem
/// accumulates added to what was there before.
pub fn weight_gradients<T: Element>(
    problem: &Problem,
    [src, diff_dst]: [&[T]; 2],
    [weights_before, bias_before]: [&[T]; 2],
) -> [Vec<Output>; 2] {
    let (group_in, group_out) = (problem.in_channels / problem.groups, problem.out_channels / problem.groups);
    let axes = [problem.planes, problem.rows, problem.cols];
    let mut of_weights = vec![Sum::NOTHING; weights_before.len()];
    let mut of_bias = vec![Sum::NOTHING; problem.out_channels];
    for place in places(problem.batch, dst_sizes(problem)) {
        let [n, m, output @ ..] = place;
        let gradient = gradient_at(problem, diff_dst, [n, m], output);
        of_bias[m].add(gradient, T::ONE);
        'taps: for tap in taps(problem) {
            let mut from = [n, 0, 0, 0, 0];
            for at in 0..3 {
                let Some(input) = input_of(problem.operation, &axes[at], output[at], tap[at]) else {
                    continue 'taps;
                };
                from[2 + at] = input;
            }
            for c in 0..group_in {
                from[1] = m / group_out * group_in + c;
                let factor = src[index(problem.src_layout, &from, &src_sizes(problem))];
                of_weights[weight_index(problem, [m, c], tap)].add(gradient, factor);
            }
        }
    }
    let whole = |sums: Vec<Sum>, before: &[T]| {
        let outputs = sums.into_iter().zip(before).map(|(mut sum, &before)| {
            if problem.accumulate {
                sum.add(before, T::ONE);
            }
            sum.output()
        });
        outputs.collect()
    };
    [whole(of_weights, weights_before), whole(of_bias, bias_before)]
}

/// The gradient of the weight of output channel m and the c-th input channel of its group, tap [h, i, j]: of packed tensors, and
/// without what was there before.
pub fn weight_gradient<T: Element>(
    problem: &Problem,
    [src, diff_dst]: [&[T]; 2],
    [m, c]: [usize; 2],
    tap: [usize; 3],
) -> Output {
    let (group_in, group_out) = (problem.in_channels / problem.groups, problem.out_channels / problem.groups);
    let axes = [problem.planes, problem.rows, problem.cols];
    let mut sum = Sum::NOTHING;
    'places: for [n, _, output @ ..] in places(problem.batch, one_channel(problem)) {
        let mut from = [n, m / group_out * group_in + c, 0, 0, 0];
        for at in 0..3 {
            let Some(input) = input_of(problem.operation, &axes[at], output[at], tap[at]) else {
                continue 'places;
            };
            from[2 + at] = input;
        }
        let factor = src[index(problem.src_layout, &from, &src_sizes(problem))];
        sum.add(gradient_at(problem, diff_dst, [n, m], output), factor);
    }
    sum.output()
}

/// The gradient of the bias of output channel m, likewise.
pub fn bias_gradient<T: Element>(problem: &Problem, diff_dst: &[T], m: usize) -> Output {
    let mut sum = Sum::NOTHING;
    for [n, _, output @ ..] in places(problem.batch, one_channel(problem)) {
        sum.add(gradient_at(problem, diff_dst, [n, m], output), T::ONE);
    }
    sum.output()
}

/// The sizes of a channel of dst.
fn one_channel(problem: &Problem) -> [usize; 4] {
    let [_, d, h, w] = dst_sizes(problem);
    [1, d, h, w]
}

fn gradient_at<T: Element>(
    problem: &Problem,
    diff_dst: &[T],
    [n, m]: [usize; 2],
    [z, y, x]: [usize; 3],
) -> T {
    diff_dst[index(problem.dst_layout, &[n, m, z, y, x], &dst_sizes(problem))]
}

/// An output whose sum is bias, what dst held and clamp still to be applied to.
fn finished<T: Element>(
    problem: &Problem,
    tensors: &Tensors<'_, T>,
    place: [usize; 5],
    mut sum: Sum,
) -> Output {
    if let Some(bias) = tensors.bias {
        sum.add(bias[place[1]], T::ONE);
    }
    if problem.accumulate {
        let (layout, sizes) = written(problem);
        sum.add(tensors.dst_before[index(layout, &place, &sizes)], T::ONE);
    }
    let slope = tensors.slopes.map_or(1.0, |slopes| slopes[place[1]].into());
    let nearest = |bound: f64| T::from_f64(bound).into();
    let activation = match problem.activation {
        Activation::Clamp { min, max } => Activation::Clamp { min: nearest(min), max: nearest(max) },
        other => other,
    };
    let value = exact(activation, sum.whole(), slope);
    let of_activation = match activation {
        Activation::None | Activation::Clamp { .. } => 0.0,
        _ => ACTIVATION_UNITS * unit::<T>(value),
    };
    Output { value, magnitude: sum.magnitude * activation.steepest(slope), of_activation }
}

/// The distance between numbers of a type next to this one.
fn unit<T: Element>(value: f64) -> f64 {
    let (digits, least) = match T::TYPE {
        DataType::F32 => (23, f64::from(f32::from_bits(1))),
        DataType::F64 => (52, f64::from_bits(1)),
    };
    let power = f64::from_bits(value.abs().to_bits() & 0x7ff0_0000_0000_0000);
    if power.is_finite() { (power * 2f64.powi(-digits)).max(least) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Small integers, so that sums in any order are equal.
    fn numbers(len: usize) -> Vec<f32> {
        (0..len).map(|at| (at * 7 % 11) as f32 - 5.0).collect()
    }

    /// Of both operations, with groups, stride, dilation, uneven padding, and inputs that no window reaches.
    #[test]
    fn each_element_alone_is_the_one_among_all() {
        let axis = |input, kernel| Axis { pad_before: 1, stride: 2, ..Axis::dense(input, kernel) };
        let rows = Axis { dilation: 2, pad_after: 2, ..axis(6, 3) };
        let all = [Propagation::Forward, Propagation::BackwardData, Propagation::BackwardWeights];
        for (operation, propagation) in [Operation::Conv, Operation::ConvTranspose]
            .into_iter()
            .flat_map(|operation| all.map(|propagation| (operation, propagation)))
        {
            let sizes = Problem { batch: 2, in_channels: 4, out_channels: 6, groups: 2, ..Problem::UNIT };
            let axes = Problem { planes: axis(3, 2), rows, cols: axis(5, 2), ..sizes };
            let problem = Problem { operation, propagation, dst_layout: Layout::Nhwc, ..axes };
            let problem = Problem::new(problem).expect("a valid problem");
            let (src, diff_dst) = (numbers(problem.src_len()), numbers(problem.dst_len()));
            let weights = numbers(problem.weights_len());
            if propagation == Propagation::BackwardWeights {
                let bias = numbers(problem.out_channels);
                let [of_weights, of_bias] = weight_gradients(&problem, [&src, &diff_dst], [&weights, &bias]);
                for m in 0..problem.out_channels {
                    assert_eq!(bias_gradient(&problem, &diff_dst, m), of_bias[m]);
                    for (c, tap) in (0..2).flat_map(|c| taps(&problem).map(move |tap| (c, tap))) {
                        let alone = weight_gradient(&problem, [&src, &diff_dst], [m, c], tap);
                        assert_eq!(alone, of_weights[weight_index(&problem, [m, c], tap)]);
                    }
                }
                continue;
            }
            let read = if propagation == Propagation::Forward { &src } else { &diff_dst };
            let tensors = Tensors { src: read, weights: &weights, bias: None, slopes: None, dst_before: &[] };
            let all = outputs(&problem, &tensors);
            for (place, expected) in places(problem.batch, written(&problem).1).zip(all) {
                assert_eq!(output(&problem, &tensors, place), expected, "{problem} at {place:?}");
            }
        }
    }
}
