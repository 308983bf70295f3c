//! [`Groups`]: the pixels of a part of a tile, in the order in which register tiles compute them.

use std::mem::MaybeUninit;
use std::ops::Range;

use crate::axis::{Axis, common};
use crate::class::Class;
use crate::geometry::Geometry;
use crate::pixel_tile::tap_box::{TapBox, of_first_class};
use crate::places::{Place, Places};
use crate::sums::{FEW, FOUR};

/// The most pixels that are put into groups at once.
pub const LISTED: usize = 480;

/// Pixels that see the same taps, in whole groups: of [`FEW`], and perhaps a last one of [`FOUR`].
#[derive(Clone, Copy)]
pub struct SameTaps {
    pub tap_box: TapBox,
    /// Where in the list they end.
    pub end: usize,
}

/// Of so many pixels, those in whole groups. Four by themselves share a register tile with others better.
const fn in_groups(pixels: usize) -> usize {
    match pixels % FEW {
        FOUR if pixels > FOUR => pixels,
        rest => pixels - rest,
    }
}

/// The pixels of a part of a tile in the order in which they are computed.
pub struct Groups<'a> {
    /// The first `all` are there.
    places: &'a mut [MaybeUninit<Place>],
    /// What those see that are left over from whole groups.
    tap_boxes: &'a mut [MaybeUninit<TapBox>],
    pub all: usize,
    /// The first `len` are there.
    same_taps: &'a mut [MaybeUninit<SameTaps>],
    len: usize,
}

/// Bytes of room for the groups of so many pixels.
pub const fn room_for(pixels: usize) -> usize {
    pixels * (size_of::<Place>() + size_of::<TapBox>()) + pixels / FEW * size_of::<SameTaps>()
}

/// The front of some room, for so many values, and what is left.
///
/// # Panics
/// If there is too little, or not aligned.
#[inline(always)]
fn split<T>(room: &mut [MaybeUninit<u8>], count: usize) -> (&mut [MaybeUninit<T>], &mut [MaybeUninit<u8>]) {
    let (front, rest) = room.split_at_mut(count * size_of::<T>());
    // SAFETY: what need not be initialised may be of any type.
    let (before, values, _) = unsafe { front.align_to_mut::<MaybeUninit<T>>() };
    assert!(before.is_empty() && values.len() == count, "the room is aligned");
    (values, rest)
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
fn for_each_same_taps(axis: &Axis, outputs: &Range<usize>, mut f: impl FnMut(Range<usize>, [u32; 2])) {
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

impl<'a> Groups<'a> {
    /// No pixels in room for so many.
    pub fn new(room: &'a mut [MaybeUninit<u8>], pixels: usize) -> Self {
        let (same_taps, room) = split(room, pixels / FEW);
        let (tap_boxes, room) = split(room, pixels);
        let (places, _) = split(room, pixels);
        Self { places, tap_boxes, all: 0, same_taps, len: 0 }
    }

    /// Those of whole groups.
    pub fn same_taps(&self) -> &[SameTaps] {
        let same_taps = &self.same_taps[..self.len];
        // SAFETY: `list` has written the first `len`.
        unsafe { std::slice::from_raw_parts(same_taps.as_ptr().cast(), same_taps.len()) }
    }

    /// Pixels of whole groups.
    fn uniform(&self) -> usize {
        self.same_taps().last().map_or(0, |group| group.end)
    }

    /// Where some of the pixels lie.
    pub fn places(&self, range: Range<usize>) -> &[Place] {
        let places = &self.places[..self.all][range];
        // SAFETY: `list` has written the first `all`.
        unsafe { std::slice::from_raw_parts(places.as_ptr().cast(), places.len()) }
    }

    /// The tap boxes of pixels that are left over.
    pub fn tap_boxes(&self, range: Range<usize>) -> &[TapBox] {
        assert!(self.uniform() <= range.start);
        let tap_boxes = &self.tap_boxes[..self.all][range];
        // SAFETY: as above.
        unsafe { std::slice::from_raw_parts(tap_boxes.as_ptr().cast(), tap_boxes.len()) }
    }

    /// Lists some outputs, class by class.
    pub fn list(&mut self, listing: &Listing<'_>, outputs: [&Range<usize>; 3]) {
        // Whole groups grow from the front of the list, what is left from its back.
        let listed = self.places.len();
        let (mut front, mut back) = (0, listed);
        self.len = 0;
        for z in listing.geometry.classes(0, outputs[0]) {
            for y in listing.geometry.classes(1, outputs[1]) {
                for x in listing.geometry.classes(2, outputs[2]) {
                    self.list_class(listing, [&z, &y, &x], outputs, (&mut front, &mut back));
                }
            }
        }
        self.places.copy_within(back.., front);
        self.tap_boxes.copy_within(back.., front);
        self.all = front + listed - back;
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
        for_each_same_taps(&classes[0].axis, zs, |zs, of_planes| {
            for_each_same_taps(&classes[1].axis, ys, |ys, of_rows| {
                for_each_same_taps(&classes[2].axis, xs, |xs, of_cols| {
                    let all = zs.len() * ys.len() * xs.len();
                    let end = *front + in_groups(all);
                    let tap_box = TapBox { taps: [of_planes, of_rows, of_cols], first_tap };
                    if *front < end {
                        self.same_taps[self.len].write(SameTaps { tap_box, end });
                        self.len += 1;
                    }
                    for z in zs.clone() {
                        for y in ys.clone() {
                            let mut at = places.of([z, y, xs.start]);
                            let of_groups = xs.len().min(end.saturating_sub(*front));
                            let rest = *back + of_groups - xs.len()..*back;
                            for place in &mut self.places[*front..*front + of_groups] {
                                place.write(at);
                                at = at.plus(places.steps[2], 1);
                            }
                            for place in self.places[rest.clone()].iter_mut().rev() {
                                place.write(at);
                                at = at.plus(places.steps[2], 1);
                            }
                            (*front, *back) = (*front + of_groups, rest.start);
                            self.tap_boxes[rest].fill(MaybeUninit::new(tap_box));
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
            let end = at + of_first_class(self.tap_boxes(at..self.all));
            let first = at;
            let mut around = None;
            while at < end {
                let tap_boxes = self.tap_boxes(at..end.min(at + NEAR));
                let group = around.filter(|_| !(at - first).is_multiple_of(FEW));
                let taps = |other: &TapBox| group.map_or(0, |group: TapBox| group.around(other).count());
                let near = tap_boxes.iter().enumerate().min_by_key(|(_, other)| taps(other));
                let (best, tap_box) =
                    near.map_or((at, tap_boxes[0]), |(next, &tap_box)| (at + next, tap_box));
                around = Some(group.map_or(tap_box, |group| group.around(&tap_box)));
                self.places.swap(at, best);
                self.tap_boxes.swap(at, best);
                at += 1;
            }
        }
    }
}
