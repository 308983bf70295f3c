//! [`ProductSums`]: sums of products over the pixels of a strip.

use crate::isa;
use crate::number::Number;
use crate::vectors::{Apart, Kernel, Vectors};

/// Rows of a register tile at most.
const MOST_ROWS: usize = 6;
/// Vectors of a register tile with 32 registers, and with 16.
const MANY_VECTORS: usize = 4;
const FEW_VECTORS: usize = 2;

/// Elements of a vector on this machine.
pub fn lanes_of_vector<T: Number>() -> usize {
    struct Length<T>(std::marker::PhantomData<T>);
    impl<T: Number> Kernel for Length<T> {
        type Output = usize;
        #[inline(always)]
        fn run<S: Vectors>(self, _: S) -> usize {
            T::lanes::<S>()
        }
    }
    isa::dispatch(Length::<T>(std::marker::PhantomData))
}

/// Neighbouring pixels: where the factors of the first one lie, and how many there are.
#[derive(Debug, Clone, Copy)]
pub struct Run {
    /// In the factors of rows.
    pub rows: usize,
    /// In those of lanes.
    pub lanes: usize,
    /// Pixels.
    pub pixels: usize,
}

/// Rows in two loops, the inner one first: how many there are, where their factors lie behind each other, and their sums.
#[derive(Debug, Clone, Copy)]
pub struct Rows {
    /// Rows of each loop.
    pub counts: [usize; 2],
    /// Elements from the factor of one row to that of the next.
    pub factors: [usize; 2],
    /// Rows of sums from one to the next.
    pub sums: [isize; 2],
    /// The row of sums of the first one.
    pub first: usize,
}

/// sums\[row, lane\] += Σ over the pixels of all runs of a factor of the row times one of the lane. The sum of the pixels is
/// built alone, and then added.
pub struct ProductSums<'a, T> {
    /// A factor for each row of a pixel.
    pub of_rows: &'a [T],
    /// Elements from pixel to pixel there.
    pub row_step: usize,
    /// Whether each lane has its own factors there, side by side, rather than all lanes the same.
    pub each_lane: bool,
    /// A factor for each lane of a pixel.
    pub of_lanes: &'a [T],
    /// Elements from pixel to pixel there.
    pub lane_step: usize,
    /// The pixels.
    pub runs: &'a [Run],
    /// The rows.
    pub rows: Rows,
    /// Lanes: whole vectors.
    pub lanes: usize,
    /// Rows × lanes.
    pub sums: &'a mut [T],
}

/// Whether the last of some places so far apart lies inside.
fn ends_inside(first: usize, steps: &[(usize, usize)], len: usize) -> bool {
    let last = steps.iter().try_fold(first, |at, &(count, step)| {
        count.checked_sub(1).and_then(|last| last.checked_mul(step)).and_then(|far| far.checked_add(at))
    });
    last.is_some_and(|last| last < len)
}

impl<T: Number> ProductSums<'_, T> {
    /// Adds them.
    ///
    /// # Panics
    /// If a factor or a sum does not lie inside, or the lanes are not whole vectors.
    pub(crate) fn run_checked(self) {
        let Rows { counts: [inner, outer], factors, sums, first } = self.rows;
        if inner * outer == 0 || self.runs.is_empty() || self.lanes == 0 {
            return;
        }
        assert!(self.lanes.is_multiple_of(lanes_of_vector::<T>()));
        let of_row = if self.each_lane { self.lanes } else { 1 };
        for run in self.runs {
            let rows = [(run.pixels, self.row_step), (inner, factors[0]), (outer, factors[1]), (of_row, 1)];
            assert!(run.pixels > 0 && ends_inside(run.rows, &rows, self.of_rows.len()));
            let lanes = [(run.pixels, self.lane_step), (self.lanes, 1)];
            assert!(ends_inside(run.lanes, &lanes, self.of_lanes.len()));
        }
        for [i, o] in [[0, 0], [inner - 1, 0], [0, outer - 1], [inner - 1, outer - 1]] {
            let row = first as isize + i as isize * sums[0] + o as isize * sums[1];
            assert!(row >= 0 && (row as usize + 1) * self.lanes <= self.sums.len());
        }
        isa::dispatch(self);
    }
}

impl<T: Number> Kernel for ProductSums<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Vectors>(self, simd: S) {
        let most = if const { S::MANY_REGISTERS } { MANY_VECTORS } else { FEW_VECTORS };
        let vectors = self.lanes / T::lanes::<S>();
        let mut vector = 0;
        while vector < vectors {
            let some = most.min(vectors - vector);
            let tile =
                Tile { all: &self, lane: vector * T::lanes::<S>(), sums: self.sums.as_ptr().cast_mut() };
            match some {
                1 => tile.rows::<S, 1>(simd),
                2 => tile.rows::<S, 2>(simd),
                3 if const { S::MANY_REGISTERS } => tile.rows::<S, 3>(simd),
                _ if const { S::MANY_REGISTERS } => tile.rows::<S, MANY_VECTORS>(simd),
                _ => {}
            }
            vector += some;
        }
    }
}

/// All rows of some vectors.
struct Tile<'a, 'b, T> {
    all: &'a ProductSums<'b, T>,
    /// The first lane.
    lane: usize,
    sums: *mut T,
}

impl<T: Number> Tile<'_, '_, T> {
    #[inline(always)]
    fn rows<S: Vectors, const V: usize>(&self, simd: S) {
        let Rows { counts: [inner, outer], factors, sums, first } = self.all.rows;
        let all = inner * outer;
        // Tiles of about as many rows.
        let tiles = all.div_ceil(MOST_ROWS);
        let [mut i, mut o] = [0, 0];
        for tile in 0..tiles {
            let rows = (tile + 1) * all / tiles - tile * all / tiles;
            let mut places = [(0, 0); MOST_ROWS];
            for place in &mut places[..rows] {
                let row = first as isize + i as isize * sums[0] + o as isize * sums[1];
                *place = (i * factors[0] + o * factors[1], row as usize * self.all.lanes + self.lane);
                i += 1;
                if i == inner {
                    (i, o) = (0, o + 1);
                }
            }
            match rows {
                1 => self.apart::<S, 1, V>(simd, &places),
                2 => self.apart::<S, 2, V>(simd, &places),
                3 => self.apart::<S, 3, V>(simd, &places),
                4 => self.apart::<S, 4, V>(simd, &places),
                5 => self.apart::<S, 5, V>(simd, &places),
                _ => self.apart::<S, MOST_ROWS, V>(simd, &places),
            }
        }
    }

    #[inline(always)]
    fn apart<S: Vectors, const R: usize, const V: usize>(
        &self,
        simd: S,
        places: &[(usize, usize); MOST_ROWS],
    ) {
        let (of_rows, of_lanes) = (self.all.of_rows.as_ptr(), self.all.of_lanes.as_ptr());
        let tile = RegisterTile::<S, T, R, V> {
            simd,
            of_rows: std::array::from_fn(|r| {
                of_rows.wrapping_add(places[r].0 + if self.all.each_lane { self.lane } else { 0 })
            }),
            of_lanes: of_lanes.wrapping_add(self.lane),
            steps: [self.all.row_step, self.all.lane_step],
            runs: self.all.runs,
            sums: std::array::from_fn(|r| self.sums.wrapping_add(places[r].1)),
        };
        match self.all.each_lane {
            false => simd.apart(Sum::<_, false>(tile)),
            true => simd.apart(Sum::<_, true>(tile)),
        }
    }
}

/// `R` rows × `V` vectors.
struct RegisterTile<'a, S, T, const R: usize, const V: usize> {
    simd: S,
    of_rows: [*const T; R],
    of_lanes: *const T,
    steps: [usize; 2],
    runs: &'a [Run],
    sums: [*mut T; R],
}

/// The same, to be run; `EACH`: each lane has factors of its own.
struct Sum<Tile, const EACH: bool>(Tile);

impl<S: Vectors, T: Number, const R: usize, const V: usize, const EACH: bool> Apart
    for Sum<RegisterTile<'_, S, T, R, V>, EACH>
{
    #[inline(always)]
    fn run(self) {
        let RegisterTile { simd, of_rows, of_lanes, steps, runs, sums: to } = self.0;
        let lanes = T::lanes::<S>();
        let mut sums = [[T::splat(simd, T::ZERO); V]; R];
        // SAFETY: `run_checked` saw that the factors of all pixels, rows and lanes are there.
        let load = |from: *const T| T::load::<S>(unsafe { std::slice::from_raw_parts(from, lanes) });
        for run in runs {
            let (mut row_at, mut at) = (run.rows, of_lanes.wrapping_add(run.lanes));
            for _ in 0..run.pixels {
                let mut vectors = [T::splat(simd, T::ZERO); V];
                let mut v = 0;
                while v < V {
                    vectors[v] = load(at.wrapping_add(v * lanes));
                    v += 1;
                }
                let mut r = 0;
                while r < R {
                    let from = of_rows[r].wrapping_add(row_at);
                    if EACH {
                        let mut v = 0;
                        while v < V {
                            let factors = load(from.wrapping_add(v * lanes));
                            sums[r][v] = T::multiply_add(simd, factors, vectors[v], sums[r][v]);
                            v += 1;
                        }
                    } else {
                        // SAFETY: as above.
                        let factor = T::splat(simd, unsafe { *from });
                        let mut v = 0;
                        while v < V {
                            sums[r][v] = T::multiply_add(simd, factor, vectors[v], sums[r][v]);
                            v += 1;
                        }
                    }
                    r += 1;
                }
                row_at += steps[0];
                at = at.wrapping_add(steps[1]);
            }
        }
        let mut r = 0;
        while r < R {
            let mut v = 0;
            while v < V {
                // SAFETY: `run_checked` saw that the sums of all rows and lanes are there; the tile alone uses them.
                let to = unsafe { std::slice::from_raw_parts_mut(to[r].wrapping_add(v * lanes), lanes) };
                T::store::<S>(to, T::add_vectors(simd, T::load::<S>(to), sums[r][v]));
                v += 1;
            }
            r += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::for_each_shape;

    /// Products of small integers are exact, and so all shapes give the definition's.
    #[test]
    fn sums_of_all_shapes_hold_the_products() {
        for_each_shape(|| {
            for (inner, outer, vectors) in [(13, 1, 4), (5, 3, 3), (1, 7, 2), (6, 2, 1), (64, 1, 9)] {
                for each_lane in [false, true] {
                    check::<f32>([inner, outer], vectors, each_lane);
                    check::<f64>([inner, outer], vectors, each_lane);
                }
            }
        });
    }

    fn check<T: Number>(counts: [usize; 2], vectors: usize, each_lane: bool) {
        let [inner, outer] = counts;
        let value = |at: usize| T::from_f64((at * 7 % 11) as f64 - 5.0);
        let lanes = vectors * lanes_of_vector::<T>();
        let of_row = if each_lane { lanes } else { 1 };
        let runs = [Run { rows: 0, lanes: 0, pixels: 3 }, Run { rows: of_row, lanes: 2 * lanes, pixels: 5 }];
        // Each pixel has the factors of the inner rows; the outer ones read the pixels behind it.
        let row_step = inner * of_row;
        let of_rows: Vec<T> = (0..(6 + outer + 1) * row_step + of_row).map(value).collect();
        let of_lanes: Vec<T> = (0..7 * lanes).map(|at| value(3 * at + 1)).collect();
        let mut sums = vec![T::ONE; inner * outer * lanes];
        ProductSums {
            of_rows: &of_rows,
            row_step,
            each_lane,
            of_lanes: &of_lanes,
            lane_step: lanes,
            runs: &runs,
            // Outer rows are counted from the last one.
            rows: Rows {
                counts,
                factors: [of_row, row_step],
                sums: [1, -(inner as isize)],
                first: (outer - 1) * inner,
            },
            lanes,
            sums: &mut sums,
        }
        .run_checked();
        for (at, &sum) in sums.iter().enumerate() {
            let (row, lane) = (at / lanes, at % lanes);
            let (i, o) = (row % inner, outer - 1 - row / inner);
            let mut exact = 1.0;
            for run in runs {
                for pixel in 0..run.pixels {
                    let place = run.rows + (pixel + o) * row_step + i * of_row;
                    let factor: f64 = of_rows[place + if each_lane { lane } else { 0 }].into();
                    let of_lane: f64 = of_lanes[run.lanes + pixel * lanes + lane].into();
                    exact += factor * of_lane;
                }
            }
            assert_eq!(sum.into(), exact, "row {row}, lane {lane}");
        }
    }
}
