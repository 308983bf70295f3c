//! Tensors of another layout or shape than their operation needs.

use convlow::Layout;
use convlow::matrix::{Matrix, MatrixMut};

use crate::host::{Failure, Result};
use crate::number::Number;
use crate::session::Threads;

/// Columns that a thread moves at once.
const PIECE: usize = 64;

/// Writes images of `rows` × `columns` to where they are to lie the other way: `to[image][c][r] = from[image][r][c]`.
pub fn transpose<T: Number>(from: &[T], to: &mut [T], rows: usize, columns: usize, threads: &Threads<'_>) {
    if rows == 0 || columns == 0 {
        return;
    }
    for (from, to) in from.chunks_exact(rows * columns).zip(to.chunks_exact_mut(rows * columns)) {
        let from = Matrix::new(from, rows, columns, columns);
        threads.for_each_piece(to, PIECE * rows, |index, to| {
            let (first, count) = (index * PIECE, to.len() / rows);
            let mut to = MatrixMut::new(to, count, rows, rows);
            T::transpose(&from.part(0..rows, first..first + count), &mut to, false);
        });
    }
}

/// A tensor of the sizes that ONNX says, and how it lies.
#[derive(Debug, Clone, Copy)]
pub struct Placed<'a, T> {
    pub elements: &'a [T],
    pub sizes: &'a [usize],
    pub layout: Layout,
}

/// The shape of two tensors that are combined by broadcasting.
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
        _ => Err(Failure(format!("sizes {a:?} and {b:?} do not fit each other"))),
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

/// Writes f(a, b) by broadcasting to an output of these sizes, which lies as `layout` says.
pub fn combine<T: Copy>(
    [a, b]: [Placed<'_, T>; 2],
    to: &mut [T],
    sizes: &[usize],
    layout: Layout,
    f: impl Fn(T, T) -> T,
) {
    let of = [strides(a.sizes, a.layout), strides(b.sizes, b.layout), strides(sizes, layout)];
    let mut index = vec![0; sizes.len()];
    for _ in 0..to.len() {
        let [from_a, from_b, at] =
            [0, 1, 2].map(|which| index.iter().zip(&of[which]).map(|(i, stride)| i * stride).sum::<usize>());
        to[at] = f(a.elements[from_a], b.elements[from_b]);
        for (i, &size) in index.iter_mut().zip(sizes).rev() {
            *i += 1;
            if *i < size {
                break;
            }
            *i = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use convlow::Pool;

    use super::*;

    #[test]
    fn a_tensor_moved_there_and_back_is_the_same() {
        let from: Vec<f32> = (0..2 * 19 * 135).map(|at| at as f32).collect();
        let (mut there, mut back) = (vec![0.0; from.len()], vec![0.0; from.len()]);
        let pool = Pool::new(2).expect("two threads");
        let threads = Threads::Own(&pool);
        transpose(&from, &mut there, 19, 135, &threads);
        assert_eq!((there[1], there[19 * 135 + 20]), (135.0, (19 * 135 + 136) as f32));
        transpose(&there, &mut back, 135, 19, &threads);
        assert_eq!(from, back);
    }

    #[test]
    fn what_is_broadcast_may_lie_either_way() {
        // Two channels of 1 × 3 pixels, and a value a channel.
        let (planes, pixels) = ([0, 1, 2, 10, 11, 12], [0, 10, 1, 11, 2, 12]);
        let (sizes, gates) = ([1, 2, 1, 3], [100, 200]);
        let placed = |elements, layout| Placed { elements, sizes: &sizes, layout };
        let by_channel = Placed { elements: &gates[..], sizes: &[1, 2, 1, 1], layout: Layout::Nchw };
        let mut sum = [0; 6];
        for a in [placed(&planes[..], Layout::Nchw), placed(&pixels[..], Layout::Nhwc)] {
            combine([a, by_channel], &mut sum, &sizes, Layout::Nhwc, |a, b| a + b);
            assert_eq!(sum, [100, 210, 101, 211, 102, 212]);
        }
        assert_eq!(broadcast(&[2, 1, 3], &[1, 4, 3]).expect("they fit"), [2, 4, 3]);
        assert!(broadcast(&[2, 3], &[2, 2]).is_err());
    }
}
