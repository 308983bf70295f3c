//! A copy, in NHWC, of the part of an NCHW image that some outputs see.

use std::ops::Range;

use crate::element::Tiles;
use crate::geometry::Geometry;
use crate::image::Image;
use crate::matrix::{Matrix, MatrixMut};
use crate::view::View;

/// Moves what some output planes, rows and columns see of an NCHW image's first `depth` channels to NHWC; the place
/// of its first pixel in the image.
pub fn moved<'a, X: Tiles>(
    image: &Image<'_, X::Src>,
    geometry: &Geometry,
    outputs: &[Range<usize>; 3],
    depth: usize,
    to: &'a mut [X::Src],
) -> (Image<'a, X::Src>, [usize; 3]) {
    let [zs, hs, ws]: [Range<usize>; 3] = std::array::from_fn(|at| geometry.window(at, &outputs[at]));
    let [_, rows, cols] = geometry.axes;
    let row = ws.len() * depth;
    // Whole rows lie one behind the other, and so do whole planes.
    let (planes, rows, len) = match (ws.len() == cols.input, hs.len() == rows.input) {
        (true, true) => (1, 1, zs.len() * hs.len()),
        (true, false) => (zs.len(), 1, hs.len()),
        (false, _) => (zs.len(), hs.len(), 1),
    };
    let pixels = len * ws.len();
    if pixels > 0 && !zs.is_empty() {
        let places = (0..planes).flat_map(|z| (0..rows).map(move |y| (z, y)));
        for ((z, y), to) in places.zip(to.chunks_mut(pixels * depth)) {
            let from = image.planes_from(zs.start + z).at(0, hs.start + y, ws.start);
            let from = Matrix::new(from, depth, pixels, image.channel);
            X::move_src(&from, &mut MatrixMut::new(to, pixels, depth, depth));
        }
    }
    let moved = Image { data: View::new(to), channel: 1, plane: hs.len() * row, row, pixel: depth };
    (moved, [zs.start, hs.start, ws.start])
}
