//! Sums and greatest of pixels, by channel.

/// How values become one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Merge {
    Sum,
    Greatest,
}

impl Merge {
    /// The value before anything is merged.
    pub fn none(self) -> f32 {
        match self {
            Self::Sum => 0.0,
            Self::Greatest => f32::MIN,
        }
    }

    /// Merges each value with another one.
    #[inline(always)]
    pub fn values(self, to: &mut [f32], from: &[f32]) {
        let both = to.iter_mut().zip(from);
        match self {
            Self::Sum => both.for_each(|(to, &from)| *to += from),
            Self::Greatest => both.for_each(|(to, &from)| *to = greater(*to, from)),
        }
    }

    /// Merges the channels of pixels that begin at these places.
    #[inline(always)]
    pub fn pixels(self, to: &mut [f32], from: &[f32], pixels: &[usize]) {
        match self {
            Self::Sum => merge(to, from, pixels, |to, from| to + from),
            Self::Greatest => merge(to, from, pixels, greater),
        }
    }
}

#[inline(always)]
fn greater(to: f32, from: f32) -> f32 {
    if from > to { from } else { to }
}

#[inline(always)]
fn merge(to: &mut [f32], from: &[f32], pixels: &[usize], both: impl Fn(f32, f32) -> f32 + Copy) {
    let done = merge_blocks::<32>(to, from, pixels, 0, both);
    let done = merge_blocks::<8>(to, from, pixels, done, both);
    merge_blocks::<1>(to, from, pixels, done, both);
}

/// Merges the channels from one on, `WIDTH` of which are held in registers, as long as there are so many; where it ends.
#[inline(always)]
fn merge_blocks<const WIDTH: usize>(
    to: &mut [f32],
    from: &[f32],
    pixels: &[usize],
    first: usize,
    both: impl Fn(f32, f32) -> f32,
) -> usize {
    let (blocks, _) = to[first..].as_chunks_mut::<WIDTH>();
    for (at, to) in blocks.iter_mut().enumerate() {
        let mut values = *to;
        for pixel in pixels {
            let Some(from) = from[pixel + first + at * WIDTH..].first_chunk::<WIDTH>() else { break };
            for (value, &from) in values.iter_mut().zip(from) {
                *value = both(*value, from);
            }
        }
        *to = values;
    }
    first + blocks.len() * WIDTH
}
