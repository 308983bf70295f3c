//! The tiles of a matrix on the threads of a pool.
//!
//! The tiles do not depend on the pool, and the pool does not decide on tiles. So the arithmetic of a plan does not
//! depend on the pool.

use std::sync::atomic::{AtomicUsize, Ordering};

use convlow_threads::Pool;

#[cfg(feature = "training")]
use convlow_kernels::gradient::{BlockMut, WeightsMut};
pub use convlow_kernels::tiles::{Grid, Matrices, Tile, Tiles};

use convlow_kernels::matrix::MatrixMut;
use convlow_kernels::number::Number;

/// What hands out tiles: [`Pool`].
pub trait EachTile {
    /// Calls `f` once for every tile of `grid` with the tile's view of `matrix` and a piece of `scratch`
    /// that no other call uses meanwhile: `scratch` is divided into `slots` equal pieces, and at most
    /// `slots` tiles run at once.
    ///
    /// # Panics
    /// With the panic of the first `f` that panics, after all running ones have ended.
    fn for_each_tile<T: Number>(
        &self,
        matrix: MatrixMut<'_, T>,
        grid: Grid,
        scratch: &mut [T],
        slots: usize,
        f: impl Fn(Tile, MatrixMut<'_, T>, &mut [T]) + Sync,
    );

    /// [`EachTile::for_each_tile`] without scratch, on all threads.
    fn for_each_tile_plain<T: Number>(
        &self,
        matrix: MatrixMut<'_, T>,
        grid: Grid,
        f: impl Fn(Tile, MatrixMut<'_, T>) + Sync,
    );

    /// Calls `f` once for each piece of so many elements, the last one perhaps of fewer, with its index.
    ///
    /// # Panics
    /// If pieces have no elements, or as [`EachTile::for_each_tile`].
    fn for_each_piece<T: Number>(&self, data: &mut [T], len: usize, f: impl Fn(usize, &mut [T]) + Sync);
}

impl EachTile for Pool {
    fn for_each_tile<T: Number>(
        &self,
        matrix: MatrixMut<'_, T>,
        grid: Grid,
        scratch: &mut [T],
        slots: usize,
        f: impl Fn(Tile, MatrixMut<'_, T>, &mut [T]) + Sync,
    ) {
        let tiles = Tiles::new(matrix, grid);
        for_each_of(self, &tiles, scratch, slots, |_, tile, view, scratch| f(tile, view, scratch));
    }

    fn for_each_tile_plain<T: Number>(
        &self,
        matrix: MatrixMut<'_, T>,
        grid: Grid,
        f: impl Fn(Tile, MatrixMut<'_, T>) + Sync,
    ) {
        self.for_each_tile(matrix, grid, &mut [], self.threads(), |tile, view, _| f(tile, view));
    }

    fn for_each_piece<T: Number>(&self, data: &mut [T], len: usize, f: impl Fn(usize, &mut [T]) + Sync) {
        let count = data.len();
        if count == 0 {
            return;
        }
        let grid = Grid::new(1, count, 1, len);
        self.for_each_tile_plain(MatrixMut::new(data, 1, count, count), grid, |tile, mut view| {
            view.for_each_row(|_, piece| f(tile.cols.start / len, piece));
        });
    }
}

/// [`EachTile::for_each_tile`] for the tiles of several matrices, with the index of each.
pub(crate) fn for_each_of<T: Number>(
    pool: &Pool,
    tiles: &Tiles<'_, T>,
    scratch: &mut [T],
    slots: usize,
    f: impl Fn(usize, Tile, MatrixMut<'_, T>, &mut [T]) + Sync,
) {
    for_each_index(pool, tiles.len(), scratch, slots, |index, scratch| {
        // SAFETY: each index comes once.
        let (tile, view) = unsafe { tiles.take(index) };
        f(index, tile, view, scratch);
    });
}

/// Calls `f` once for every block of a group of the weights.
#[cfg(all(feature = "training", feature = "gemm"))]
pub(crate) fn for_each_block_of_group<T: Number>(
    pool: &Pool,
    weights: &WeightsMut<'_, T>,
    group: usize,
    f: impl Fn(BlockMut<'_, T>) + Sync,
) {
    let blocks = weights.partition().parts().into_iter().product::<usize>();
    for_each_index(pool, blocks, &mut [], pool.threads(), |index, _: &mut [T]| {
        // SAFETY: each index comes once.
        f(unsafe { weights.take(group * blocks + index) });
    });
}

/// Calls `f` once for every block of the weights, with the block of the bias that belongs to the first of each range of lanes.
#[cfg(feature = "training")]
pub(crate) fn for_each_block<T: Number>(
    pool: &Pool,
    weights: &WeightsMut<'_, T>,
    bias: Option<&WeightsMut<'_, T>>,
    scratch: &mut [T],
    slots: usize,
    f: impl Fn(BlockMut<'_, T>, Option<BlockMut<'_, T>>, &mut [T]) + Sync,
) {
    let [_, inputs, taps] = weights.partition().parts();
    for_each_index(pool, weights.partition().blocks(), scratch, slots, |index, scratch| {
        let is_first = index % (inputs * taps) == 0;
        let bias = bias.filter(|_| is_first);
        // SAFETY: each index comes once, and so does that of each range of lanes.
        let (block, bias) =
            unsafe { (weights.take(index), bias.map(|bias| bias.take(index / (inputs * taps)))) };
        f(block, bias, scratch);
    });
}

/// Calls `f` once for every index, with a piece of `scratch` that no other call uses meanwhile.
fn for_each_index<T: Number>(
    pool: &Pool,
    count: usize,
    scratch: &mut [T],
    slots: usize,
    f: impl Fn(usize, &mut [T]) + Sync,
) {
    let piece = scratch.len() / slots;
    // The scratch as a matrix of one row a slot.
    let pieces = (piece > 0)
        .then(|| Tiles::new(MatrixMut::new(scratch, slots, piece, piece), Grid::new(slots, piece, 1, piece)));
    let next = AtomicUsize::new(0);
    pool.run(slots.min(count), &|slot| {
        // SAFETY: `run` never runs one slot twice at the same time.
        let mut piece = pieces.as_ref().map(|pieces| unsafe { pieces.take(slot) }.1);
        let scratch = piece.as_mut().and_then(MatrixMut::as_mut_slice).unwrap_or_default();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= count || pool.is_late() {
                break;
            }
            f(index, scratch);
        }
    });
}

#[cfg(test)]
mod tests {
    use convlow_base::panics::{self, catch_quietly};

    use super::*;

    fn count_tiles(pool: &Pool) -> Vec<f32> {
        let mut counts = vec![0.0; 100];
        pool.for_each_tile_plain(
            MatrixMut::new(&mut counts, 10, 10, 10),
            Grid::new(10, 10, 3, 4),
            |_, mut tile| {
                tile.for_each_row(|_, row| row.iter_mut().for_each(|count| *count += 1.0));
            },
        );
        counts
    }

    #[test]
    fn every_tile_runs_once_on_every_kind_of_pool() {
        for threads in [1, 2, 3, 8] {
            let pool = Pool::new(threads).expect("a few threads");
            assert_eq!(pool.threads(), threads);
            for _ in 0..200 {
                assert_eq!(count_tiles(&pool), vec![1.0; 100]);
            }
        }
    }

    #[test]
    fn every_piece_of_a_slice_comes_once_with_its_index() {
        for threads in [1, 3] {
            let pool = Pool::new(threads).expect("a few threads");
            let mut data = vec![0.0f32; 23];
            pool.for_each_piece(&mut data, 5, |index, piece| {
                assert_eq!(piece.len(), if index == 4 { 3 } else { 5 });
                piece.iter_mut().for_each(|value| *value += 1.0 + index as f32);
            });
            let expected: Vec<f32> = (0..23).map(|at| 1.0 + (at / 5) as f32).collect();
            assert_eq!(data, expected);
            pool.for_each_piece(&mut [] as &mut [f32], 5, |_, _| panic!("there is no piece"));
        }
    }

    #[test]
    fn a_panic_in_a_tile_reaches_the_caller_and_leaves_the_pool_usable() {
        let pool = Pool::new(2).expect("two threads");
        let mut data = vec![0.0; 64];
        let result = catch_quietly(|| {
            pool.for_each_tile_plain(
                MatrixMut::new(&mut data, 64, 1, 1),
                Grid::new(64, 1, 1, 1),
                |tile, _| {
                    assert!(tile.rows.start != 40, "tile 40");
                },
            );
        });
        assert_eq!(panics::text(&*result.expect_err("tile 40 panics")), "tile 40");
        assert_eq!(count_tiles(&pool), vec![1.0; 100]);
    }

    #[test]
    fn each_slot_has_its_own_scratch() {
        let pool = Pool::new(4).expect("a few threads");
        let mut data = vec![0.0; 64];
        let mut scratch = vec![0.0; 2 * 8];
        pool.for_each_tile(
            MatrixMut::new(&mut data, 64, 1, 1),
            Grid::new(64, 1, 1, 1),
            &mut scratch,
            2,
            |tile, mut view, scratch| {
                assert_eq!(scratch.len(), 8);
                scratch.fill(tile.rows.start as f32);
                std::thread::yield_now();
                view.row_mut(0)[0] = scratch.iter().sum::<f32>() / 8.0;
            },
        );
        assert!((0..64).all(|index| data[index] == index as f32));
    }
}
