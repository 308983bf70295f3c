//! Residuals that do not lie as the output does, or are of another shape.

use convlow::{Clamp, Layout};

use crate::host::{Failure, Number, Result};

/// Elements of a square that is moved at once: its lines stay in the cache.
const SQUARE: usize = 16;

/// Writes a tensor of `channels` as `pixels` × channels to where it is to lie the other way: `to[image][c][p] =
/// from[image][p][c]`, or with both exchanged.
pub fn transpose<T: Copy>(from: &[T], to: &mut [T], rows: usize, columns: usize) {
    if rows == 0 || columns == 0 {
        return;
    }
    for (from, to) in from.chunks_exact(rows * columns).zip(to.chunks_exact_mut(rows * columns)) {
        for first_row in (0..rows).step_by(SQUARE) {
            let rows_here = first_row..rows.min(first_row + SQUARE);
            for first in (0..columns).step_by(SQUARE) {
                for column in first..columns.min(first + SQUARE) {
                    for row in rows_here.clone() {
                        to[column * rows + row] = from[row * columns + column];
                    }
                }
            }
        }
    }
}

/// A tensor of the sizes that ONNX says, and how it lies.
#[derive(Debug, Clone, Copy)]
pub struct Placed<'a, T> {
    pub elements: &'a [T],
    pub sizes: &'a [usize],
    pub layout: Layout,
}

/// The shape of what is added by broadcasting.
///
/// # Errors
/// If a size is neither the other's nor 1.
pub fn broadcast(a: &[usize], b: &[usize]) -> Result<Vec<usize>> {
    let size = |(&a, &b): (&usize, &usize)| match (a, b) {
        (a, b) if a == b || b == 1 => Some(a),
        (1, b) => Some(b),
        _ => None,
    };
    let sizes: Option<Vec<usize>> = a.iter().zip(b).map(size).collect();
    match sizes {
        Some(sizes) if a.len() == b.len() => Ok(sizes),
        _ => Err(Failure(format!("sizes {a:?} and {b:?} cannot be added"))),
    }
}

/// The distance from an element to the next of each axis, 0 where the axis is broadcast.
fn strides(sizes: &[usize], layout: Layout) -> Vec<usize> {
    let mut strides = vec![0; sizes.len()];
    let mut order: Vec<usize> = (0..sizes.len()).collect();
    if layout == Layout::Nhwc {
        order[1..].rotate_left(1);
    }
    let mut distance = 1;
    for &axis in order.iter().rev() {
        strides[axis] = if sizes[axis] == 1 { 0 } else { distance };
        distance *= sizes[axis];
    }
    strides
}

/// Writes clamp(a + b) by broadcasting to an output of these sizes, which lies as `layout` says.
pub fn add<T: Number>(
    [a, b]: [Placed<'_, T>; 2],
    to: &mut [T],
    sizes: &[usize],
    layout: Layout,
    clamp: Option<Clamp>,
) {
    let of = [strides(a.sizes, a.layout), strides(b.sizes, b.layout), strides(sizes, layout)];
    let mut index = vec![0; sizes.len()];
    for _ in 0..to.len() {
        let [from_a, from_b, at] =
            [0, 1, 2].map(|which| index.iter().zip(&of[which]).map(|(i, stride)| i * stride).sum::<usize>());
        // Rounded once more it is what the addition in their own type gives.
        let sum = T::from_f64(a.elements[from_a].into() + b.elements[from_b].into());
        to[at] = match clamp {
            None => sum,
            Some(Clamp { min, max }) => sum.clamped(Clamp { min: T::from_f64(min), max: T::from_f64(max) }),
        };
        for (i, &size) in index.iter_mut().zip(sizes).rev() {
            *i += 1;
            if *i < size {
                break;
            }
            *i = 0;
        }
    }
}
