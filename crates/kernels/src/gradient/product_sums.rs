//! [`ProductSums`]: sums of products over the pixels of a strip.

use crate::isa::{self, Length};
use crate::matrix::MatrixMut;
use crate::number::Number;
use crate::vectors::{Apart, Kernel, Vectors};

/// Rows of a register tile of several vectors at most, and vectors with 32 registers.
const ROWS: usize = 6;
const VECTORS: usize = 4;
/// Rows of a register tile that is half as wide: as many sums.
const MANY_ROWS: usize = 2 * ROWS;
/// Rows of one of a single vector whose factors lie side by side: they need one address.
const MOST_ROWS: usize = 16;
/// The same where each lane has its own factors, whose loads take no register: the taps of a kernel of 3 × 3.
const ROWS_OF_LANES: usize = 9;
const VECTORS_OF_LANES: usize = 2;

/// Elements of a vector of this length on this machine.
pub fn lanes_of_vector<T: Number>(length: Length) -> usize {
    struct Lanes<T>(std::marker::PhantomData<T>);
    impl<T: Number> Kernel for Lanes<T> {
        type Output = usize;
        #[inline(always)]
        fn run<S: Vectors>(self, _: S) -> usize {
            T::lanes::<S>()
        }
    }
    isa::dispatch_with(length, Lanes::<T>(std::marker::PhantomData))
}

/// Lanes of a register tile at most, where all lanes of a pixel have the same factors of rows.
pub fn lanes_of_tile<T: Number>(length: Length) -> usize {
    struct Lanes<T>(std::marker::PhantomData<T>);
    impl<T: Number> Kernel for Lanes<T> {
        type Output = usize;
        #[inline(always)]
        fn run<S: Vectors>(self, _: S) -> usize {
            most_vectors::<S>(false) * T::lanes::<S>()
        }
    }
    isa::dispatch_with(length, Lanes::<T>(std::marker::PhantomData))
}

/// Vectors of a register tile at most.
fn most_vectors<S: Vectors>(each_lane: bool) -> usize {
    match (const { S::MANY_REGISTERS }, each_lane) {
        (true, false) => VECTORS,
        (false, false) => VECTORS / 2,
        (true, true) => VECTORS_OF_LANES,
        (false, true) => VECTORS_OF_LANES / 2,
    }
}

/// Where the factors of lanes lie.
#[derive(Debug, Clone, Copy)]
pub enum LanePlaces {
    /// Those of a pixel side by side, so many elements from pixel to pixel.
    ByPixel(usize),
    /// Those of a register tile side by side, so many pixels one behind the other; then those of the next tile.
    ByTile(usize),
}

impl LanePlaces {
    /// Where a register tile of so many lanes begins, the first of which is `lane`, and how far its pixels lie apart.
    fn of_tile(self, lane: usize, lanes: usize) -> (usize, usize) {
        match self {
            Self::ByPixel(step) => (lane, step),
            Self::ByTile(pixels) => (lane * pixels, lanes),
        }
    }
}

/// Neighbouring pixels: where the factors of the first one lie, and how many there are.
#[derive(Debug, Clone, Copy)]
pub struct Run {
    /// The element in the factors of rows.
    pub rows: usize,
    /// The pixel in those of lanes.
    pub lanes: usize,
    /// Pixels.
    pub pixels: usize,
}

/// Rows in three loops, the inner one first: how many there are, where their factors lie behind each other, and their sums.
#[derive(Debug, Clone, Copy)]
pub struct Rows {
    /// Rows of each loop.
    pub counts: [usize; 3],
    /// Elements from the factor of one row to that of the next.
    pub factors: [usize; 3],
    /// Rows of sums from one to the next.
    pub sums: [isize; 3],
    /// The row of sums of the first one.
    pub first: usize,
}

impl Rows {
    /// How many there are.
    fn count(&self) -> usize {
        self.counts.iter().product()
    }

    /// The row of sums of one.
    pub fn sums_of(&self, at: [usize; 3]) -> usize {
        self.place(at).1
    }

    /// Where the factors of one lie, and the row of its sums.
    fn place(&self, at: [usize; 3]) -> (usize, usize) {
        let [i, j, k] = at;
        let [factors, sums] = [self.factors.map(|step| step as isize), self.sums];
        let place = |steps: [isize; 3]| i as isize * steps[0] + j as isize * steps[1] + k as isize * steps[2];
        (place(factors) as usize, (self.first as isize + place(sums)) as usize)
    }
}

/// sums\[row, lane\] += Σ over the pixels of all runs of a factor of the row times one of the lane, pixel by pixel: in how many
/// calls they come changes no bit.
pub struct ProductSums<'a, T> {
    /// The vectors that serve.
    pub length: Length,
    /// Whether they are the first sums, and added to nothing.
    pub is_first: bool,
    /// A factor for each row of a pixel.
    pub of_rows: &'a [T],
    /// Elements from pixel to pixel there.
    pub row_step: usize,
    /// Whether each lane has its own factors there, side by side, rather than all lanes the same.
    pub each_lane: bool,
    /// A factor for each lane of a pixel.
    pub of_lanes: &'a [T],
    /// Where they lie; by tile only where all lanes have the same factors of rows.
    pub lane_places: LanePlaces,
    /// The pixels.
    pub runs: &'a [Run],
    /// The rows.
    pub rows: Rows,
    /// Lanes: whole vectors.
    pub lanes: usize,
    /// Rows × lanes.
    pub sums: MatrixMut<'a, T>,
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
        let Rows { counts, factors, .. } = self.rows;
        if self.rows.count() == 0 || self.runs.is_empty() || self.lanes == 0 {
            return;
        }
        assert_eq!(self.lanes, self.sums.cols());
        assert!(self.lanes.is_multiple_of(lanes_of_vector::<T>(self.length)));
        let of_row = if self.each_lane { self.lanes } else { 1 };
        for run in self.runs {
            let [inner, middle, outer] = std::array::from_fn(|at| (counts[at], factors[at]));
            let rows = [(run.pixels, self.row_step), inner, middle, outer, (of_row, 1)];
            assert!(run.pixels > 0 && ends_inside(run.rows, &rows, self.of_rows.len()));
            match self.lane_places {
                LanePlaces::ByPixel(step) => {
                    let lanes = [(run.lanes + run.pixels, step), (self.lanes, 1)];
                    assert!(ends_inside(0, &lanes, self.of_lanes.len()));
                }
                LanePlaces::ByTile(pixels) => {
                    assert!(!self.each_lane && run.pixels <= pixels && run.lanes <= pixels - run.pixels);
                    assert!(ends_inside(0, &[(pixels, self.lanes), (self.lanes, 1)], self.of_lanes.len()));
                }
            }
        }
        let (mut least, mut most) = (self.rows.first as isize, self.rows.first as isize);
        for (count, step) in counts.into_iter().zip(self.rows.sums) {
            let far = (count as isize - 1) * step;
            (least, most) = (least + far.min(0), most + far.max(0));
        }
        assert!(least >= 0 && (most as usize) < self.sums.rows());
        isa::dispatch_with(self.length, self);
    }
}

impl<T: Number> Kernel for ProductSums<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Vectors>(mut self, simd: S) {
        let sums = self.sums.as_mut_ptr();
        let vectors = self.lanes / T::lanes::<S>();
        let most = most_vectors::<S>(self.each_lane);
        let mut vector = 0;
        while vector < vectors {
            let some = most.min(vectors - vector);
            let tile = Tile { all: &self, lane: vector * T::lanes::<S>(), sums };
            match (some, self.each_lane) {
                (1, true) => tile.rows::<S, 1, true>(simd),
                (_, true) if const { S::MANY_REGISTERS } => tile.rows::<S, VECTORS_OF_LANES, true>(simd),
                (1, false) => tile.rows::<S, 1, false>(simd),
                (2, false) => tile.rows::<S, 2, false>(simd),
                (3, false) if const { S::MANY_REGISTERS } => tile.rows::<S, 3, false>(simd),
                (_, false) if const { S::MANY_REGISTERS } => tile.rows::<S, VECTORS, false>(simd),
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
    fn rows<S: Vectors, const V: usize, const EACH: bool>(&self, simd: S) {
        let Rows { counts, .. } = self.all.rows;
        let all = self.all.rows.count();
        // Tiles of about as many rows.
        let most = match EACH {
            true => ROWS_OF_LANES,
            false if const { V == 1 && S::MANY_REGISTERS } && self.all.rows.factors[0] == 1 => MOST_ROWS,
            false if const { V == 1 || V == 2 && S::MANY_REGISTERS } => MANY_ROWS,
            false => ROWS,
        };
        // Many rows whose factors lie side by side are not torn apart.
        let is_joined = most > ROWS_OF_LANES && self.all.rows.factors[0] == 1 && counts[0] > ROWS;
        let group = if is_joined { counts[0] } else { all };
        let tiles = group.div_ceil(most);
        let (mut at, mut done) = ([0; 3], 0);
        for tile in 0..all / group * tiles {
            let rows = (group - done % group).div_ceil(tiles - tile % tiles);
            let mut places = [(0, 0); MOST_ROWS];
            for place in &mut places[..rows] {
                let (factor, sums) = self.all.rows.place(at);
                *place = (factor, sums * self.all.sums.ld() + self.lane);
                at[0] += 1;
                if at[0] == counts[0] {
                    at = [0, at[1] + 1, at[2]];
                }
                if at[1] == counts[1] {
                    at = [0, 0, at[2] + 1];
                }
            }
            done += rows;
            match rows {
                1 => self.apart::<S, 1, V, EACH>(simd, &places),
                2 => self.apart::<S, 2, V, EACH>(simd, &places),
                3 => self.apart::<S, 3, V, EACH>(simd, &places),
                4 => self.apart::<S, 4, V, EACH>(simd, &places),
                5 => self.apart::<S, 5, V, EACH>(simd, &places),
                ROWS => self.apart::<S, ROWS, V, EACH>(simd, &places),
                7 if const { V <= 2 } => self.apart::<S, 7, V, EACH>(simd, &places),
                8 if const { V <= 2 } => self.apart::<S, 8, V, EACH>(simd, &places),
                9 if const { V <= 2 } => self.apart::<S, ROWS_OF_LANES, V, EACH>(simd, &places),
                10 if const { V <= 2 && !EACH } => self.apart::<S, 10, V, EACH>(simd, &places),
                11 if const { V <= 2 && !EACH } => self.apart::<S, 11, V, EACH>(simd, &places),
                MANY_ROWS if const { V <= 2 && !EACH } => self.apart::<S, MANY_ROWS, V, EACH>(simd, &places),
                13 if const { V == 1 && !EACH } => self.apart::<S, 13, V, EACH>(simd, &places),
                14 if const { V == 1 && !EACH } => self.apart::<S, 14, V, EACH>(simd, &places),
                15 if const { V == 1 && !EACH } => self.apart::<S, 15, V, EACH>(simd, &places),
                MOST_ROWS if const { V == 1 && !EACH } => self.apart::<S, MOST_ROWS, V, EACH>(simd, &places),
                _ => {}
            }
        }
    }

    #[inline(always)]
    fn apart<S: Vectors, const R: usize, const V: usize, const EACH: bool>(
        &self,
        simd: S,
        places: &[(usize, usize); MOST_ROWS],
    ) {
        let (of_rows, of_lanes) = (self.all.of_rows.as_ptr(), self.all.of_lanes.as_ptr());
        let (first, step) = self.all.lane_places.of_tile(self.lane, V * T::lanes::<S>());
        let tile = RegisterTile::<S, T, R, V> {
            simd,
            of_rows: std::array::from_fn(|r| {
                of_rows.wrapping_add(places[r].0 + if EACH { self.lane } else { 0 })
            }),
            of_lanes: of_lanes.wrapping_add(first),
            steps: [self.all.row_step, step],
            runs: self.all.runs,
            is_first: self.all.is_first,
            sums: std::array::from_fn(|r| self.sums.wrapping_add(places[r].1)),
        };
        let joined = (1..R).all(|r| places[r].0 == places[0].0 + r);
        if const { !EACH && R > ROWS } && joined {
            simd.apart(Sum::<_, EACH, true>(tile));
        } else {
            simd.apart(Sum::<_, EACH, false>(tile));
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
    is_first: bool,
    sums: [*mut T; R],
}

/// Neighbouring vectors.
///
/// # Safety
/// Their elements are there.
#[inline(always)]
unsafe fn load_vectors<S: Vectors, T: Number, const V: usize>(simd: S, from: *const T) -> [T::Vector<S>; V] {
    let lanes = T::lanes::<S>();
    let mut vectors = [T::splat(simd, T::ZERO); V];
    let mut v = 0;
    while v < V {
        // SAFETY: the caller's promise.
        vectors[v] = T::load::<S>(unsafe { std::slice::from_raw_parts(from.wrapping_add(v * lanes), lanes) });
        v += 1;
    }
    vectors
}

/// The same, to be run; `EACH`: each lane has factors of its own; `JOINED`: those of the rows lie side by side.
struct Sum<Tile, const EACH: bool, const JOINED: bool>(Tile);

impl<S: Vectors, T: Number, const R: usize, const V: usize, const EACH: bool, const JOINED: bool> Apart
    for Sum<RegisterTile<'_, S, T, R, V>, EACH, JOINED>
{
    #[inline(always)]
    fn run(self) {
        let RegisterTile { simd, of_rows, of_lanes, steps, runs, is_first, sums: to } = self.0;
        let lanes = T::lanes::<S>();
        let mut sums = [[T::splat(simd, T::ZERO); V]; R];
        let mut r = 0;
        while r < R && !is_first {
            // SAFETY: `run_checked` saw that the factors of all pixels, rows and lanes are there, and the sums of all rows and lanes.
            sums[r] = unsafe { load_vectors::<S, T, V>(simd, to[r]) };
            r += 1;
        }
        for run in runs {
            let (mut row_at, mut at) = (run.rows, of_lanes.wrapping_add(run.lanes * steps[1]));
            for _ in 0..run.pixels {
                // SAFETY: as above.
                let vectors = unsafe { load_vectors::<S, T, V>(simd, at) };
                let mut r = 0;
                while r < R {
                    // Rows side by side need one address.
                    let from = match JOINED {
                        true => of_rows[0].wrapping_add(row_at + r),
                        false => of_rows[r].wrapping_add(row_at),
                    };
                    let factors = match EACH {
                        // SAFETY: as above.
                        true => unsafe { load_vectors::<S, T, V>(simd, from) },
                        // SAFETY: as above.
                        false => [T::splat(simd, unsafe { *from }); V],
                    };
                    let mut v = 0;
                    while v < V {
                        sums[r][v] = T::multiply_add(simd, factors[v], vectors[v], sums[r][v]);
                        v += 1;
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
                T::store::<S>(to, sums[r][v]);
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
            for (counts, vectors) in [
                ([13, 1, 1], 4),
                ([5, 3, 2], 3),
                ([1, 7, 1], 2),
                ([6, 2, 1], 1),
                ([64, 1, 1], 9),
                ([1, 3, 3], 6),
            ] {
                for [each_lane, is_first, by_tile] in
                    [[false; 3], [true, false, false], [false, true, false], [false, false, true]]
                {
                    for length in [Length::Whole, Length::Half] {
                        check::<f32>(counts, vectors, [each_lane, is_first, by_tile], length);
                        check::<f64>(counts, vectors, [each_lane, is_first, by_tile], length);
                    }
                }
            }
        });
    }

    fn check<T: Number>(counts: [usize; 3], vectors: usize, ways: [bool; 3], length: Length) {
        let [each_lane, is_first, by_tile] = ways;
        let [inner, middle, outer] = counts;
        let value = |at: usize| T::from_f64((at * 7 % 11) as f64 - 5.0);
        let lanes = vectors * lanes_of_vector::<T>(length);
        let of_row = if each_lane { lanes } else { 1 };
        let runs = [Run { rows: 0, lanes: 0, pixels: 3 }, Run { rows: of_row, lanes: 2, pixels: 5 }];
        // Each pixel has the factors of the inner rows; the other ones read the pixels behind it.
        let row_step = inner * of_row;
        let of_rows: Vec<T> = (0..(6 + middle + outer + 1) * row_step + of_row).map(value).collect();
        let of_lanes: Vec<T> = (0..7 * lanes).map(|at| value(3 * at + 1)).collect();
        let of_tile = if by_tile { lanes_of_tile::<T>(length) } else { lanes };
        let (lanes_of, pixels) = (|first: usize| first..lanes.min(first + of_tile), 0..7);
        let placed: Vec<T> = (0..lanes)
            .step_by(of_tile)
            .flat_map(|first| {
                pixels.clone().flat_map(move |pixel| lanes_of(first).map(move |lane| (pixel, lane)))
            })
            .map(|(pixel, lane)| of_lanes[pixel * lanes + lane])
            .collect();
        let lane_places = if by_tile { LanePlaces::ByTile(7) } else { LanePlaces::ByPixel(lanes) };
        let mut sums = vec![T::ONE; inner * middle * outer * lanes];
        ProductSums {
            length,
            is_first,
            of_rows: &of_rows,
            row_step,
            each_lane,
            of_lanes: &placed,
            lane_places,
            runs: &runs,
            // Middle rows are counted from the last one.
            rows: Rows {
                counts,
                factors: [of_row, row_step, row_step],
                sums: [1, -(inner as isize), (inner * middle) as isize],
                first: (middle - 1) * inner,
            },
            lanes,
            sums: MatrixMut::new(&mut sums, inner * middle * outer, lanes, lanes),
        }
        .run_checked();
        for (at, &sum) in sums.iter().enumerate() {
            let (row, lane) = (at / lanes, at % lanes);
            let (i, j, k) = (row % inner, middle - 1 - row / inner % middle, row / inner / middle);
            let mut exact = if is_first { 0.0 } else { 1.0 };
            for run in runs {
                for pixel in 0..run.pixels {
                    let place = run.rows + (pixel + j + k) * row_step + i * of_row;
                    let factor: f64 = of_rows[place + if each_lane { lane } else { 0 }].into();
                    let of_lane: f64 = of_lanes[(run.lanes + pixel) * lanes + lane].into();
                    exact += factor * of_lane;
                }
            }
            assert_eq!(sum.into(), exact, "row {row}, lane {lane}");
        }
    }
}
