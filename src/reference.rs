//! The definition of convolution in float64, term by term: slow, and what everything else is tested against.
//!
//! It shares nothing with the algorithms, not even the arithmetic of ranges: every coordinate is computed and
//! compared for itself.

use crate::problem::{Layout, Problem, WeightsLayout};

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

/// The place of [n, c, y, x] in a tensor of `channels` × `height` × `width` images.
pub fn index(layout: Layout, [n, c, y, x]: [usize; 4], [channels, height, width]: [usize; 3]) -> usize {
    match layout {
        Layout::Nchw => ((n * channels + c) * height + y) * width + x,
        Layout::Nhwc => ((n * height + y) * width + x) * channels + c,
    }
}

/// Output [n, m, y, x] by the definition.
pub fn output(problem: &Problem, tensors: &Tensors<'_>, [n, m, y, x]: [usize; 4]) -> Output {
    let Problem { rows, cols, .. } = problem;
    let (group_in, group_out) = (problem.in_channels / problem.groups, problem.out_channels / problem.groups);
    let (kh, kw) = (rows.kernel, cols.kernel);
    let mut out = Output { value: 0.0, magnitude: 0.0 };
    let mut add = |term: f64| {
        out.value += term;
        out.magnitude += term.abs();
    };
    for c in 0..group_in {
        for i in 0..kh {
            for j in 0..kw {
                let h = (y * rows.stride + i * rows.dilation) as i128 - rows.pad_before as i128;
                let w = (x * cols.stride + j * cols.dilation) as i128 - cols.pad_before as i128;
                if h < 0 || h >= rows.input as i128 || w < 0 || w >= cols.input as i128 {
                    continue;
                }
                let channel = m / group_out * group_in + c;
                let place = [n, channel, h as usize, w as usize];
                let src = tensors.src
                    [index(problem.src_layout, place, [problem.in_channels, rows.input, cols.input])];
                let weight = tensors.weights[match problem.weights_layout {
                    WeightsLayout::Oihw => ((m * group_in + c) * kh + i) * kw + j,
                    WeightsLayout::Hwio => ((i * kw + j) * group_in + c) * problem.out_channels + m,
                    WeightsLayout::Ohwi => ((m * kh + i) * kw + j) * group_in + c,
                }];
                add(f64::from(src) * f64::from(weight));
            }
        }
    }
    if let Some(bias) = tensors.bias {
        add(f64::from(bias[m]));
    }
    if problem.accumulate {
        let sizes = [problem.out_channels, rows.output, cols.output];
        add(f64::from(tensors.dst_before[index(problem.dst_layout, [n, m, y, x], sizes)]));
    }
    if let Some(clamp) = problem.clamp {
        out.value = out.value.clamp(clamp.min.into(), clamp.max.into());
    }
    out
}
