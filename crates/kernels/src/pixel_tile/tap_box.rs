//! [`TapBox`]: the taps that a pixel sees.

/// The taps that a pixel sees, or that some pixel of a group sees: of each axis those from one to before another, as the
/// pixel's class counts them.
#[derive(Clone, Copy, PartialEq)]
pub struct TapBox {
    pub taps: [[u32; 2]; 3],
    /// The tap (0, 0, 0) of the class, as the weights count taps.
    pub first_tap: usize,
}

impl TapBox {
    /// No tap.
    pub const NONE: Self = Self { taps: [[0; 2]; 3], first_tap: 0 };

    /// Whether this tap is seen.
    pub fn holds(&self, taps: [usize; 3]) -> bool {
        self.taps.iter().zip(taps).all(|([first, end], tap)| (*first as usize..*end as usize).contains(&tap))
    }

    /// The first tap of an axis.
    pub fn first(&self, axis: usize) -> usize {
        self.taps[axis][0] as usize
    }

    /// How many taps of an axis are seen.
    pub fn len(&self, axis: usize) -> usize {
        let [first, end] = self.taps[axis];
        end.saturating_sub(first) as usize
    }

    /// How many taps are seen.
    pub fn count(&self) -> usize {
        self.len(0).saturating_mul(self.len(1)).saturating_mul(self.len(2))
    }

    /// All taps between those of both, which are of one class.
    pub fn around(&self, other: &Self) -> Self {
        let around = |[a, b]: [u32; 2], [c, d]: [u32; 2]| match (a < b, c < d) {
            (true, true) => [a.min(c), b.max(d)],
            (true, false) => [a, b],
            (false, _) => [c, d],
        };
        Self { taps: std::array::from_fn(|at| around(self.taps[at], other.taps[at])), ..*self }
    }
}

/// How many tap boxes are of the first one's class.
pub fn of_first_class(tap_boxes: &[TapBox]) -> usize {
    tap_boxes.iter().take_while(|tap_box| tap_box.first_tap == tap_boxes[0].first_tap).count()
}

/// All taps between those of some tap boxes, which are of one class.
///
/// # Panics
/// If there are none.
pub fn around_all(tap_boxes: &[TapBox]) -> TapBox {
    tap_boxes[1..].iter().fold(tap_boxes[0], |all, tap_box| all.around(tap_box))
}
