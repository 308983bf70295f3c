//! Tests with a scheme of four different types: bytes times signed bytes, sums of 32 bits, and bytes in dst. It
//! computes lane by lane. It shows that kernels need only the operations of the trait.

use super::*;
use crate::axis::{Axis, Operation};
use crate::data_type::Layout;
use crate::depthwise_tile::DepthwiseTile;
use crate::end::End;
use crate::finish::Finish;
use crate::geometry::Geometry;
use crate::image::Image;
use crate::isa::{Length, for_each_shape};
use crate::matrix::{Matrix, MatrixMut};
use crate::moves::KEPT_BYTES;
use crate::pixel_tile::{Blocks, MOST_ALONG, PixelTile};
use crate::register::{Channels, channels_of, channels_with};
use crate::sums::{BEHIND_WEIGHTS, VECTORS};
use crate::view::View;

/// Lanes of the widest vectors.
const MOST_LANES: usize = 16;

#[derive(Debug, Clone, Copy)]
struct Bytes;

/// The elements of a slice, each converted, and zeros behind them.
fn lanes<T: Copy + Into<i32>>(from: &[T]) -> [i32; MOST_LANES] {
    std::array::from_fn(|lane| from.get(lane).map_or(0, |&value| value.into()))
}

/// A sum as it stands in dst.
fn saturated(sum: i32) -> u8 {
    sum.clamp(0, 255) as u8
}

impl Scheme for Bytes {
    type Src = u8;
    type Weight = i8;
    type Sum = i32;
    type Dst = u8;

    type Factors<S: Vectors> = [i32; MOST_LANES];
    type Weights<S: Vectors> = [i32; MOST_LANES];
    type Sums<S: Vectors> = [i32; MOST_LANES];

    fn channels<S: Vectors>() -> usize {
        f32::lanes::<S>()
    }

    fn factor<S: Vectors>(_: S, of: u8) -> [i32; MOST_LANES] {
        [of.into(); MOST_LANES]
    }

    fn load_factors<S: Vectors>(from: &[u8]) -> [i32; MOST_LANES] {
        lanes(from)
    }

    fn load_part_of_factors<S: Vectors>(_: S, from: &[u8]) -> [i32; MOST_LANES] {
        lanes(from)
    }

    fn within_fours<S: Vectors, const K: usize>(factors: [i32; MOST_LANES]) -> [i32; MOST_LANES] {
        std::array::from_fn(|lane| factors[lane / QUAD * QUAD + K])
    }

    unsafe fn factors_of_fours<S: Vectors>(_: S, from: *const u8, apart: usize) -> [i32; MOST_LANES] {
        let fours = Self::channels::<S>() / QUAD;
        std::array::from_fn(|lane| match lane / QUAD {
            // SAFETY: the caller's promise.
            four if four < fours => unsafe { *from.add(four * apart) }.into(),
            _ => 0,
        })
    }

    fn load_weights<S: Vectors>(from: &[i8]) -> [i32; MOST_LANES] {
        lanes(from)
    }

    fn load_part_of_weights<S: Vectors>(_: S, from: &[i8]) -> [i32; MOST_LANES] {
        lanes(from)
    }

    fn sum<S: Vectors>(_: S, value: i32) -> [i32; MOST_LANES] {
        [value; MOST_LANES]
    }

    fn no_sums<S: Vectors>(_: S) -> [i32; MOST_LANES] {
        [0; MOST_LANES]
    }

    fn load_sums<S: Vectors>(from: &[i32]) -> [i32; MOST_LANES] {
        lanes(from)
    }

    fn load_part_of_sums<S: Vectors>(_: S, from: &[i32]) -> [i32; MOST_LANES] {
        lanes(from)
    }

    fn add_products<S: Vectors>(
        _: S,
        factors: [i32; MOST_LANES],
        weights: [i32; MOST_LANES],
        sums: [i32; MOST_LANES],
    ) -> [i32; MOST_LANES] {
        std::array::from_fn(|lane| sums[lane] + factors[lane] * weights[lane])
    }

    fn sums_of_lanes<S: Vectors, const N: usize>(_: S, sums: [[i32; MOST_LANES]; N]) -> [i32; MOST_LANES] {
        std::array::from_fn(|lane| sums.get(lane).map_or(0, |lanes| lanes.iter().sum()))
    }

    fn add_sums<S: Vectors>(_: S, a: [i32; MOST_LANES], b: [i32; MOST_LANES]) -> [i32; MOST_LANES] {
        std::array::from_fn(|lane| a[lane] + b[lane])
    }

    fn bounds(activation: Activation) -> Option<[i32; 2]> {
        match activation {
            Activation::Clamp { min, max } => Some([min as i32, max as i32]),
            _ => None,
        }
    }

    fn bounded<S: Vectors>(
        _: S,
        sums: [i32; MOST_LANES],
        [min, max]: [[i32; MOST_LANES]; 2],
    ) -> [i32; MOST_LANES] {
        std::array::from_fn(|lane| sums[lane].clamp(min[lane], max[lane]))
    }

    fn load_dst<S: Vectors>(from: &[u8]) -> [i32; MOST_LANES] {
        lanes(from)
    }

    fn load_part_of_dst<S: Vectors>(_: S, from: &[u8]) -> [i32; MOST_LANES] {
        lanes(from)
    }

    fn store_sums<S: Vectors>(to: &mut [u8], sums: [i32; MOST_LANES]) {
        to.iter_mut().zip(sums).for_each(|(to, sum)| *to = saturated(sum));
    }

    fn store_part_of_sums<S: Vectors>(_: S, to: &mut [u8], sums: [i32; MOST_LANES]) {
        to.iter_mut().zip(sums).for_each(|(to, sum)| *to = saturated(sum));
    }
}

impl Finish for Bytes {
    fn finish_in_memory(end: &End<'_, Self>, _: &mut MatrixMut<'_, u8>, _: Layout) {
        assert!(end.activation == Activation::None && !end.accumulate);
    }

    fn finish_planes(from: &Matrix<'_, u8>, to: &mut MatrixMut<'_, u8>, end: &End<'_, Self>) {
        assert!(end.activation == Activation::None && !end.accumulate);
        for row in 0..from.rows() {
            from.row(row).iter().enumerate().for_each(|(col, &value)| to.row_mut(col)[row] = value);
        }
    }
}

/// A convolution of 3 × 3 taps, padded by one pixel, on an image of 7 × 9 pixels.
struct Case {
    groups: usize,
    /// Input and output channels of a group.
    of_group: [usize; 2],
    layout: Layout,
    is_clamped: bool,
}

const IMAGE: [usize; 2] = [6, 9];
const TAPS: usize = 9;

fn axis(input: usize) -> Axis {
    Axis { input, kernel: 3, output: input, pad_before: 1, pad_after: 1, ..Axis::dense(input, 3) }
}

impl Case {
    fn channels(&self) -> [usize; 2] {
        self.of_group.map(|channels| channels * self.groups)
    }

    fn activation(&self) -> Activation {
        if self.is_clamped { Activation::Clamp { min: 3.0, max: 200.0 } } else { Activation::None }
    }

    fn src(&self, pixel: usize, channel: usize) -> u8 {
        ((pixel * 31 + channel * 17) % 23) as u8
    }

    fn weight(&self, output: usize, input: usize, tap: usize) -> i8 {
        ((output * 5 + input * 3 + tap * 7) % 5) as i8 - 2
    }

    fn bias(&self) -> Vec<i32> {
        (0..self.channels()[1]).map(|channel| channel as i32 % 50 + 20).collect()
    }

    /// What dst holds by the definition of convolution.
    fn exact(&self, y: usize, x: usize, output: usize) -> u8 {
        let [height, width] = IMAGE;
        let [c, m] = self.of_group;
        let mut sum = self.bias()[output];
        for tap in 0..TAPS {
            let (y, x) = (y + tap / 3, x + tap % 3);
            if (1..=height).contains(&y) && (1..=width).contains(&x) {
                let pixel = (y - 1) * width + x - 1;
                for input in 0..c {
                    let value = i32::from(self.src(pixel, output / m * c + input));
                    sum += value * i32::from(self.weight(output, input, tap));
                }
            }
        }
        saturated(if self.is_clamped { sum.clamp(3, 200) } else { sum })
    }

    /// Weights in blocks of so many channels, with what may be read behind them.
    fn packed(&self, block: usize) -> Vec<i8> {
        let ([c, _], [_, all]) = (self.of_group, self.channels());
        let mut packed = Vec::new();
        for first in (0..all).step_by(block) {
            for (tap, input) in (0..TAPS).flat_map(|tap| (0..c).map(move |input| (tap, input))) {
                packed.extend((first..all.min(first + block)).map(|output| self.weight(output, input, tap)));
            }
        }
        packed.resize(packed.len() + BEHIND_WEIGHTS, 77);
        packed
    }

    fn check(&self, run: impl FnOnce(&Image<'_, u8>, &Geometry, End<'_, Bytes>, MatrixMut<'_, u8>)) {
        let ([height, width], [inputs, outputs]) = (IMAGE, self.channels());
        let pixels = height * width;
        let src: Vec<u8> = (0..pixels * inputs).map(|at| self.src(at / inputs, at % inputs)).collect();
        let data = View::new(&src);
        let image = Image { data, channel: 1, plane: 0, row: width * inputs, pixel: inputs };
        let axes = [Axis::ONE, axis(height), axis(width)];
        let geometry = Geometry { operation: Operation::Conv, axes };
        let bias = self.bias();
        let end = End { bias: Some(&bias), accumulate: false, activation: self.activation(), slopes: None };
        let (rows, cols) = if self.layout == Layout::Nhwc { (pixels, outputs) } else { (outputs, pixels) };
        let mut dst = vec![0xa5; rows * cols];
        run(&image, &geometry, end, MatrixMut::new(&mut dst, rows, cols, cols));
        let mut between = 0;
        for (pixel, output) in (0..pixels).flat_map(|pixel| (0..outputs).map(move |output| (pixel, output))) {
            let at = if self.layout == Layout::Nhwc { pixel * cols + output } else { output * cols + pixel };
            let exact = self.exact(pixel / width, pixel % width, output);
            assert_eq!(dst[at], exact, "pixel {pixel}, output channel {output}");
            between += usize::from(exact > 0 && exact < 255);
        }
        assert!(between * 4 > pixels * outputs, "sums are hardly ever within what dst holds");
    }
}

#[test]
fn pixel_tiles_of_all_shapes_compute_with_four_types() {
    for_each_shape(pixel_tiles_compute_with_four_types);
}

fn pixel_tiles_compute_with_four_types() {
    let Channels { of_vector, of_pixels } = channels_of::<Bytes>();
    let shared = VECTORS * of_vector;
    for (groups, of_group) in [
        (1, [5, 1]),
        (1, [6, of_pixels]),
        (1, [7, of_pixels - of_vector]),
        (1, [3, 2 * of_pixels + 3]),
        (1, [3, of_pixels - 3]),
        (3, [2, 7]),
        (1, [5, 2]),
        (2, [37, 5]),
        (1, [32, 3]),
        (shared, [4, QUAD]),
        (4, [3, of_vector]),
    ] {
        let share = groups > 1 && (of_group[1] == QUAD || of_group[1] == of_vector);
        let lengths = if share { &[Length::Whole][..] } else { &[Length::Whole, Length::Half] };
        let cases = [(Layout::Nhwc, false), (Layout::Nchw, true)];
        for (&length, (layout, is_clamped)) in
            lengths.iter().flat_map(|length| cases.map(|case| (length, case)))
        {
            let case = Case { groups, of_group, layout, is_clamped };
            let [group_in, group_out] = of_group;
            let of_pixels = channels_with::<Bytes>(length).of_pixels;
            let channels = if share { shared } else { group_out.min(of_pixels) };
            let along = !share && group_out <= MOST_ALONG;
            let blocks = Blocks { channels, of_group: group_out, length, along };
            // Groups that share no block are packed one by one, and so are channels where the lanes are input channels.
            let packed = case.packed(if along { 1 } else { blocks.channels });
            case.check(|image, geometry, end, dst| {
                PixelTile::<Bytes> {
                    geometry,
                    image,
                    origin: [0; 3],
                    group_in,
                    depth: 0..group_in,
                    blocks,
                    weights: &packed,
                    end,
                    outputs: [0..1, 0..IMAGE[0], 0..IMAGE[1]],
                    layout,
                    dst,
                }
                .run_checked();
            });
        }
    }
}

#[test]
fn depthwise_tiles_compute_with_four_types() {
    let block = VECTORS * channels_of::<Bytes>().of_vector;
    for groups in [2, block, 2 * block + 5] {
        for (layout, is_clamped) in [(Layout::Nhwc, true), (Layout::Nchw, false)] {
            let case = Case { groups, of_group: [1, 1], layout, is_clamped };
            let packed = case.packed(block);
            let mut kept = vec![0; KEPT_BYTES];
            case.check(|image, geometry, end, dst| {
                let outputs = [0..1, 0..IMAGE[0], 0..IMAGE[1]];
                DepthwiseTile::<Bytes> {
                    geometry,
                    image,
                    origin: [0; 3],
                    weights: &packed,
                    end,
                    outputs,
                    layout,
                    dst,
                }
                .run_checked(&mut kept);
            });
        }
    }
}
