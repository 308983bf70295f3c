//! [`Places`]: the places in src and dst of outputs that see the same taps.

use std::ops::Range;

use crate::class::Class;
use crate::geometry::Geometry;
use crate::image::Image;
use crate::scheme::Stored;

/// Where an output's data lie, in elements.
#[derive(Clone, Copy)]
pub struct Place {
    /// Where in the image its class's tap (0, 0, 0) would lie. That may be before the image, or farther away than
    /// numbers reach: places wrap around, and those of the taps that the output sees come out right.
    pub src: usize,
    /// Where in dst, from the part's first output on.
    pub dst: usize,
}

impl Place {
    /// So many steps farther.
    #[inline(always)]
    pub fn plus(self, step: Self, count: usize) -> Self {
        Self {
            src: self.src.wrapping_add(step.src.wrapping_mul(count)),
            dst: self.dst.wrapping_add(step.dst.wrapping_mul(count)),
        }
    }
}

/// The outputs of a class among those of a tile.
pub struct Places {
    /// The planes, rows and columns, as the class counts them.
    pub outputs: [Range<usize>; 3],
    /// Where the class's output (0, 0, 0) lies.
    first: Place,
    /// From one output of each axis to the next.
    pub steps: [Place; 3],
}

impl Places {
    /// Those of `outputs` that are of this class, in an image that begins at the input position `origin`, with so many
    /// elements from one pixel of each axis to the next, and so many from one pixel of dst to the next.
    #[inline(always)]
    pub fn new(
        image_steps: [usize; 3],
        origin: [usize; 3],
        classes: [&Class; 3],
        outputs: [&Range<usize>; 3],
        ld: usize,
    ) -> Self {
        let mut first = Place { src: 0, dst: 0 };
        let mut steps = [Place { src: 0, dst: 0 }; 3];
        let mut pixels = ld;
        for at in (0..3).rev() {
            let Class { axis, first_output, output_step, first_input, .. } = classes[at];
            let src = first_input.wrapping_sub(axis.pad_before).wrapping_sub(origin[at]);
            let dst = first_output.wrapping_sub(outputs[at].start);
            first.src = first.src.wrapping_add(src.wrapping_mul(image_steps[at]));
            first.dst = first.dst.wrapping_add(dst.wrapping_mul(pixels));
            steps[at] = Place {
                src: axis.stride.wrapping_mul(image_steps[at]),
                dst: output_step.wrapping_mul(pixels),
            };
            pixels *= outputs[at].len();
        }
        Self { outputs: std::array::from_fn(|at| classes[at].outputs(outputs[at])), first, steps }
    }

    /// Whether all of them lie among the outputs that they are some of, with so many elements from one pixel of dst
    /// to the next.
    pub fn lie_inside(&self, outputs: [&Range<usize>; 3], ld: usize) -> bool {
        let pixels = outputs.iter().map(|outputs| outputs.len()).product::<usize>();
        if self.outputs.iter().any(Range::is_empty) {
            return true;
        }
        let first = self.of(self.outputs.each_ref().map(|outputs| outputs.start)).dst;
        let last = self.of(self.outputs.each_ref().map(|outputs| outputs.end - 1)).dst;
        first <= last && last <= (pixels - 1) * ld
    }

    /// Where an output lies.
    #[inline(always)]
    pub fn of(&self, output: [usize; 3]) -> Place {
        let [z, y, x] = output;
        self.first.plus(self.steps[0], z).plus(self.steps[1], y).plus(self.steps[2], x)
    }
}

/// From one tap of a class to the next on each axis: elements of the image, and taps as the weights count them. Both
/// wrap around.
pub fn tap_steps<T: Stored>(geometry: &Geometry, image: &Image<'_, T>) -> [(usize, usize); 3] {
    let (classes, image) = (geometry.class_steps(), image.steps());
    std::array::from_fn(|at| (classes[at].0.wrapping_mul(image[at]), classes[at].1))
}

/// Where the last pixel that these outputs see lies in an image that begins at the input position `origin`, if they
/// see any.
///
/// # Panics
/// If outputs are not of the axes, or see what lies before the image.
pub fn last_seen<T: Stored>(
    geometry: &Geometry,
    image: &Image<'_, T>,
    origin: [usize; 3],
    outputs: &[Range<usize>; 3],
) -> Option<usize> {
    let mut last = Some(0);
    for (at, (axis, step)) in geometry.axes.iter().zip(image.steps()).enumerate() {
        assert!(outputs[at].end <= axis.output);
        let window = geometry.window(at, &outputs[at]);
        assert!(window.is_empty() || origin[at] <= window.start);
        last = last.filter(|_| !window.is_empty()).map(|last| last + (window.end - 1 - origin[at]) * step);
    }
    last
}
