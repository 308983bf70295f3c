//! [`TileTransform`]: the order in which the channels of a strip's tiles are transformed.

use super::matrices::MOST_ALPHA;
use crate::data_type::Layout;
use crate::lanes::{Filled, LANES};
use crate::number::Number;
use crate::vectors::Vectors;

/// Some channels of one tile: up to [`LANES`], as so many whole vectors, or as a part of one vector.
#[derive(Clone, Copy)]
pub struct ChannelsOfTile<const ALL: bool> {
    /// The tile's number in the strip.
    pub number: usize,
    pub first: usize,
    pub vectors: usize,
    pub lanes: Filled<ALL>,
}

/// One of the transforms of a strip's tiles.
pub trait TileTransform {
    /// What the tiles hold.
    type Number: Number;

    /// What all channels of a tile share.
    type Place;

    /// Channels, and the layout of the image in which they lie.
    fn channels(&self) -> (usize, Layout);

    /// Of the tile of this number in the strip.
    fn place(&self, number: usize) -> Self::Place;

    fn transform<S: Vectors, const ALL: bool>(
        &mut self,
        simd: S,
        part: ChannelsOfTile<ALL>,
        place: &Self::Place,
        buffers: &mut Buffers<Self::Number>,
    );
}

/// Transforms all channels of the tiles.
#[inline(always)]
pub fn run_tiles<S: Vectors, T: TileTransform>(simd: S, mut transform: T, tiles: usize) {
    let of_vector = T::Number::lanes::<S>();
    let (channels, layout) = transform.channels();
    let mut buffers = Buffers::default();
    // Neighbours in memory one after the other: of NCHW the tiles, of NHWC the channels.
    let parts = channels.div_ceil(LANES);
    let (outer, inner) = if layout == Layout::Nchw { (parts, tiles) } else { (tiles, parts) };
    let mut place = (usize::MAX, None);
    for far in 0..outer {
        for near in 0..inner {
            let (number, part) = if layout == Layout::Nchw { (near, far) } else { (far, near) };
            if place.0 != number {
                place = (number, Some(transform.place(number)));
            }
            let Some(place) = &place.1 else { continue };
            let first = part * LANES;
            let (vectors, rest) =
                ((channels - first).min(LANES) / of_vector, (channels - first).min(LANES) % of_vector);
            if vectors > 0 {
                let part = ChannelsOfTile { number, first, vectors, lanes: Filled::<true>(of_vector) };
                transform.transform(simd, part, place, &mut buffers);
            }
            if rest > 0 {
                let first = first + vectors * of_vector;
                let part = ChannelsOfTile { number, first, vectors: 1, lanes: Filled::<false>(rest) };
                transform.transform(simd, part, place, &mut buffers);
            }
        }
    }
}

/// Memory of one strip's transforms. It is not cleared for every tile.
#[derive(Default)]
pub struct Buffers<T> {
    /// Vectors between the two passes, row by row.
    pub half: [[[T; LANES]; MOST_ALPHA]; MOST_ALPHA],
    pub pixels: Pixels<T>,
}

/// A line of pixels of every channel.
pub type Pixels<T> = [[T; MOST_ALPHA]; LANES];
