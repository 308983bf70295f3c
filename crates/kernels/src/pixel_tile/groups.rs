//! [`Groups`]: the pixels of a part of a tile in the order in which register tiles compute them.

use std::mem::MaybeUninit;
use std::ops::Range;

use crate::axis::{Axis, common};
use crate::class::Class;
use crate::geometry::Geometry;
use crate::pixel_tile::window::{Window, of_first_class};
use crate::places::{Place, Places};
use crate::sums::FEW;

/// Pixels that are put into groups at once; their list is on the stack.
pub const LISTED: usize = 480;

/// Pixels that see the same taps, in whole groups.
#[derive(Clone, Copy)]
pub struct Kind {
    pub window: Window,
    /// Where in the list they end.
    pub end: usize,
}

/// The pixels of a part of a tile in the order in which they are computed.
pub struct Groups {
    /// The first `all` are there.
    places: [MaybeUninit<Place>; LISTED],
    /// What those see that are left over from the kinds.
    windows: [MaybeUninit<Window>; LISTED],
    pub all: usize,
    /// The first `len` are there.
    kinds: [MaybeUninit<Kind>; LISTED / FEW],
    len: usize,
    /// Pixels of a group.
    pub most: usize,
}

/// What a list of pixels is made of.
pub struct Listing<'a> {
    pub geometry: &'a Geometry,
    /// Elements of the image from one plane, row and column to the next.
    pub steps: [usize; 3],
    /// The input plane, row and column with which the image's data begin.
    pub origin: [usize; 3],
    /// Elements from one pixel of dst to the next.
    pub ld: usize,
}

/// Ranges of neighbouring outputs that see the same taps, and these.
#[inline(always)]
fn for_each_kind(axis: &Axis, outputs: &Range<usize>, mut f: impl FnMut(Range<usize>, [u32; 2])) {
    let inside = common(outputs, &axis.outputs_of_all_taps());
    let mut at = outputs.start;
    while at < outputs.end {
        let (mut end, taps) = (at + 1, axis.taps_of_output(at));
        if inside.contains(&at) {
            end = inside.end;
        } else {
            while end < outputs.end && !inside.contains(&end) && axis.taps_of_output(end) == taps {
                end += 1;
            }
        }
        // `run` has checked that they fit.
        f(at..end, [taps.start as u32, taps.end as u32]);
        at = end;
    }
}

impl Groups {
    /// No pixels, of which so many will be a group.
    pub fn new(most: usize) -> Self {
        let (places, windows) =
            ([const { MaybeUninit::uninit() }; LISTED], [const { MaybeUninit::uninit() }; LISTED]);
        Self { places, windows, all: 0, kinds: [const { MaybeUninit::uninit() }; LISTED / FEW], len: 0, most }
    }

    /// Those of whole groups.
    pub fn kinds(&self) -> &[Kind] {
        let kinds = &self.kinds[..self.len];
        // SAFETY: `list` has written the first `len`.
        unsafe { std::slice::from_raw_parts(kinds.as_ptr().cast(), kinds.len()) }
    }

    /// Pixels of whole groups.
    fn uniform(&self) -> usize {
        self.kinds().last().map_or(0, |kind| kind.end)
    }

    /// Where some of the pixels lie.
    pub fn places(&self, range: Range<usize>) -> &[Place] {
        let places = &self.places[..self.all][range];
        // SAFETY: `list` has written the first `all`.
        unsafe { std::slice::from_raw_parts(places.as_ptr().cast(), places.len()) }
    }

    /// The windows of pixels that are left over.
    pub fn windows(&self, range: Range<usize>) -> &[Window] {
        assert!(self.uniform() <= range.start);
        let windows = &self.windows[..self.all][range];
        // SAFETY: as above.
        unsafe { std::slice::from_raw_parts(windows.as_ptr().cast(), windows.len()) }
    }

    /// Lists some outputs, class by class.
    pub fn list(&mut self, listing: &Listing<'_>, outputs: [&Range<usize>; 3]) {
        // Whole groups grow from the front of the list, what is left from its back.
        let (mut front, mut back) = (0, LISTED);
        self.len = 0;
        for z in listing.geometry.classes(0, outputs[0]) {
            for y in listing.geometry.classes(1, outputs[1]) {
                for x in listing.geometry.classes(2, outputs[2]) {
                    self.list_class(listing, [&z, &y, &x], outputs, (&mut front, &mut back));
                }
            }
        }
        self.places.copy_within(back.., front);
        self.windows.copy_within(back.., front);
        self.all = front + LISTED - back;
        self.bring_together();
    }

    /// Lists those of a class.
    #[inline(always)]
    fn list_class(
        &mut self,
        listing: &Listing<'_>,
        classes: [&Class; 3],
        outputs: [&Range<usize>; 3],
        (front, back): (&mut usize, &mut usize),
    ) {
        let places = Places::new(listing.steps, listing.origin, classes, outputs, listing.ld);
        assert!(places.lie_inside(outputs, listing.ld));
        let [zs, ys, xs] = &places.outputs;
        let first_tap = listing.geometry.first_tap(classes);
        for_each_kind(&classes[0].axis, zs, |zs, of_planes| {
            for_each_kind(&classes[1].axis, ys, |ys, of_rows| {
                for_each_kind(&classes[2].axis, xs, |xs, of_cols| {
                    let all = zs.len() * ys.len() * xs.len();
                    let end = *front + all / self.most * self.most;
                    let window = Window { taps: [of_planes, of_rows, of_cols], first_tap };
                    if *front < end {
                        self.kinds[self.len].write(Kind { window, end });
                        self.len += 1;
                    }
                    for z in zs.clone() {
                        for y in ys.clone() {
                            let mut at = places.of([z, y, xs.start]);
                            for _ in xs.clone() {
                                if *front < end {
                                    self.places[*front].write(at);
                                    *front += 1;
                                } else {
                                    *back -= 1;
                                    self.places[*back].write(at);
                                    self.windows[*back].write(window);
                                }
                                at = at.plus(places.steps[2], 1);
                            }
                        }
                    }
                });
            });
        });
    }

    /// Orders what is left so that those of a group see nearly the same taps.
    fn bring_together(&mut self) {
        /// Pixels among which the next one of a group is looked for.
        const NEAR: usize = 24;
        let mut at = self.uniform();
        while at < self.all {
            // Groups of one class.
            let end = at + of_first_class(self.windows(at..self.all));
            let first = at;
            let mut around = None;
            while at < end {
                let windows = self.windows(at..end.min(at + NEAR));
                let group = around.filter(|_| !(at - first).is_multiple_of(self.most));
                let taps = |other: &Window| group.map_or(0, |group: Window| group.around(other).count());
                let near = windows.iter().enumerate().min_by_key(|(_, other)| taps(other));
                let (best, window) = near.map_or((at, windows[0]), |(next, &window)| (at + next, window));
                around = Some(group.map_or(window, |group| group.around(&window)));
                self.places.swap(at, best);
                self.windows.swap(at, best);
                at += 1;
            }
        }
    }
}
