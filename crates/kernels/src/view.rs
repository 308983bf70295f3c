//! [`View`]: elements that are read in place. Elements of other owners may lie between them, and may be written at
//! the same time.
//!
//! src and dst of a convolution may be slices of one tensor that take turns in memory, such as the branches of a
//! concatenation. A Rust slice over several turns would also claim the elements of the others. A view holds a pointer
//! and knows its own elements of each turn. It hands out slices of single turns.

use std::marker::PhantomData;

/// Elements to read, some of which may be somebody else's: of every `period` elements the first `dense` are the view's.
#[derive(Debug, Clone, Copy)]
pub struct View<'a, T> {
    first: *const T,
    len: usize,
    /// How many elements behind the beginning of a turn the first one lies.
    begin: usize,
    period: usize,
    dense: usize,
    borrow: PhantomData<&'a [T]>,
}

// SAFETY: a view is a shared borrow of its elements, like `&[T]`.
unsafe impl<T: Sync> Send for View<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for View<'_, T> {}

impl<'a, T: Copy> View<'a, T> {
    /// All of a slice.
    pub const fn new(data: &'a [T]) -> Self {
        let (first, len) = (data.as_ptr(), data.len());
        Self { first, len, begin: 0, period: usize::MAX, dense: usize::MAX, borrow: PhantomData }
    }

    /// `len` elements from `first` on, which is so many elements behind the beginning of a turn.
    ///
    /// # Safety
    /// They lie in one allocation, and nobody writes those of the first `dense` of each `period` during `'a`.
    pub const unsafe fn in_turns(
        first: *const T,
        len: usize,
        begin: usize,
        [period, dense]: [usize; 2],
    ) -> Self {
        Self { first, len, begin, period, dense, borrow: PhantomData }
    }

    /// How many elements there are, with those of others between them.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The first one.
    pub const fn as_ptr(&self) -> *const T {
        self.first
    }

    /// Those from one on.
    ///
    /// # Panics
    /// If there are fewer.
    #[inline]
    pub fn from(&self, at: usize) -> Self {
        assert!(at <= self.len);
        let begin = if self.period == usize::MAX { 0 } else { (self.begin + at) % self.period };
        // SAFETY: the element lies inside, as just asserted, or behind the last one.
        Self { first: unsafe { self.first.add(at) }, len: self.len - at, begin, ..*self }
    }

    /// Whether so many elements from one on are the view's.
    #[inline]
    pub fn holds(&self, at: usize, len: usize) -> bool {
        let inside = at.checked_add(len).is_some_and(|end| end <= self.len);
        inside && (self.period == usize::MAX || (self.begin + at) % self.period + len <= self.dense)
    }

    /// Whether rows of so many elements, so far apart, are the view's.
    pub fn holds_rows(&self, rows: usize, len: usize, apart: usize) -> bool {
        let Some(last) = rows.checked_sub(1).and_then(|last| last.checked_mul(apart)) else { return false };
        self.holds(0, len)
            && last.checked_add(len).is_some_and(|end| end <= self.len)
            && (self.period == usize::MAX
                || apart.is_multiple_of(self.period)
                || (1..rows).all(|row| self.holds(row * apart, len)))
    }

    /// So many elements from one on.
    ///
    /// # Panics
    /// If they are not the view's.
    #[inline]
    pub fn run(&self, at: usize, len: usize) -> &'a [T] {
        assert!(self.holds(at, len), "the elements are not in one turn of the view");
        // SAFETY: they are the view's, as just asserted.
        unsafe { std::slice::from_raw_parts(self.first.add(at), len) }
    }

    /// One element.
    ///
    /// # Panics
    /// If it is not the view's.
    #[inline]
    pub fn value(&self, at: usize) -> T {
        self.run(at, 1)[0]
    }
}

impl<'a, T: Copy> From<&'a [T]> for View<'a, T> {
    fn from(data: &'a [T]) -> Self {
        Self::new(data)
    }
}

impl<'a, T: Copy> From<&'a mut [T]> for View<'a, T> {
    fn from(data: &'a mut [T]) -> Self {
        Self::new(data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_gives_out_its_own_turns_alone() {
        let data: Vec<f32> = (0..40).map(|value| value as f32).collect();
        // Three of every ten are the view's, from the second of them on.
        // SAFETY: nobody writes any of them.
        let view = unsafe { View::in_turns(data[1..].as_ptr(), 32, 1, [10, 3]) };
        assert_eq!(view.run(0, 2), [1.0, 2.0]);
        assert_eq!(view.run(9, 3), [10.0, 11.0, 12.0]);
        assert_eq!(view.from(10).run(0, 2), [11.0, 12.0]);
        assert_eq!(view.value(29), 30.0);
        for (at, len) in [(0, 3), (2, 1), (9, 4), (29, 4), (32, 1), (usize::MAX, 2)] {
            assert!(!view.holds(at, len), "{at}, {len}");
        }
        assert!(view.holds_rows(4, 2, 10) && !view.holds_rows(4, 3, 10) && !view.holds_rows(2, 1, 5));
        assert!(!view.holds_rows(5, 1, 10), "the last row lies behind the end");
        assert!(View::new(&data).holds_rows(8, 5, 5));
    }
}
