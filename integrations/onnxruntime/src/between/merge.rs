//! Sums and greatest of pixels, by channel.

/// The sums or the greatest of the channels of pixels that begin at these places.
#[inline(always)]
pub fn merge<const IS_SUM: bool>(from: &[f32], pixels: &[usize], to: &mut [f32]) {
    let done = merge_blocks::<IS_SUM, 32>(from, pixels, to, 0);
    let done = merge_blocks::<IS_SUM, 8>(from, pixels, to, done);
    merge_blocks::<IS_SUM, 1>(from, pixels, to, done);
}

/// The same from one channel on, `WIDTH` of which are held in registers, as long as there are so many; where it ends.
#[inline(always)]
fn merge_blocks<const IS_SUM: bool, const WIDTH: usize>(
    from: &[f32],
    pixels: &[usize],
    to: &mut [f32],
    first: usize,
) -> usize {
    let (blocks, _) = to[first..].as_chunks_mut::<WIDTH>();
    for (at, to) in blocks.iter_mut().enumerate() {
        let mut values = [if IS_SUM { 0.0 } else { f32::MIN }; WIDTH];
        for pixel in pixels {
            let Some(from) = from[pixel + first + at * WIDTH..].first_chunk::<WIDTH>() else { break };
            for (value, &from) in values.iter_mut().zip(from) {
                if IS_SUM {
                    *value += from;
                } else {
                    *value = if from > *value { from } else { *value };
                }
            }
        }
        *to = values;
    }
    first + blocks.len() * WIDTH
}
