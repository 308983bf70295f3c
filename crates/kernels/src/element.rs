//! [`Tiles`] and [`Element`]: the kernels of each scheme and of each element type.
//!
//! Their functions are not generic. So they are compiled here, and in no other package.

use crate::copies::Copies;
use crate::data_type::Layout;
use crate::depthwise_tile::DepthwiseTile;
use crate::end::End;
use crate::finish::Finish;
use crate::flat_tile::FlatTile;
use crate::gradient::ProductSums;
use crate::matrix::{Matrix, MatrixMut};
use crate::moves::transpose_checked;
use crate::number::Number;
use crate::packed_product::PackedProduct;
use crate::pixel_tile::PixelTile;
use crate::plane_tile::PlaneTile;
use crate::scheme::Scheme;
use crate::spread_tile::SpreadTile;
#[cfg(feature = "winograd")]
use crate::winograd::{InputTransform, OutputTransform, WeightsTransform};

/// Writes a trait and, for each type of element, the functions that run its kernels. Where a build leaves a type out
/// they are never called.
macro_rules! kernels {
    (
        $(#[$of_trait:meta])*
        $trait:ident: $($super:path)|+;
        $($(#[$attribute:meta])* $name:ident($($argument:ident: $type:ty),+) => $body:expr;)+
    ) => {
        $(#[$of_trait])*
        pub trait $trait: $($super +)+ {
            $(
                $(#[$attribute])*
                fn $name($($argument: $type),+);
            )+
        }

        kernels! { @implement $trait f32, true, $($(#[$attribute])* $name($($argument: $type),+) => $body;)+ }
        kernels! {
            @implement $trait f64, cfg!(feature = "f64"), $($(#[$attribute])* $name($($argument: $type),+) => $body;)+
        }
    };
    (
        @implement $trait:ident $number:ident, $built:expr,
        $($(#[$attribute:meta])* $name:ident($($argument:ident: $type:ty),+) => $body:expr;)+
    ) => {
        impl $trait for $number {
            $(
                $(#[$attribute])*
                fn $name($($argument: $type),+) {
                    if const { $built } {
                        $body
                    } else {
                        unreachable!("no plan is of a type that the build does not have")
                    }
                }
            )+
        }
    };
}

kernels! {
    /// A scheme with its register tiles.
    Tiles: Finish;
    /// Runs a [`PixelTile`].
    pixel_tile(tile: PixelTile<'_, '_, Self>) => tile.run_checked();
    /// Runs a [`DepthwiseTile`].
    depthwise_tile(tile: DepthwiseTile<'_, '_, Self>, kept: &mut [Self::Dst]) => tile.run_checked(kept);
    /// Runs a [`FlatTile`].
    flat_tile(tile: FlatTile<'_, Self>) => tile.run_checked();
    /// to ← fromᵀ of a part of src.
    move_src(from: &Matrix<'_, Self::Src>, to: &mut MatrixMut<'_, Self::Src>) => transpose_checked(from, to, false);
}

kernels! {
    /// An element with its kernels.
    Element: Number | Scheme<Src = Self, Weight = Self, Sum = Self, Dst = Self> | Tiles;
    /// Runs a [`PlaneTile`].
    plane_tile(tile: PlaneTile<'_, '_, Self>) => tile.run_checked();
    /// Runs a [`SpreadTile`].
    spread_tile(tile: SpreadTile<'_, '_, Self>) => tile.run_checked();
    /// Transposes a matrix.
    transpose(from: &Matrix<'_, Self>, to: &mut MatrixMut<'_, Self>, add: bool) => transpose_checked(from, to, add);
    /// Fills the phases of a plane.
    fill(copies: &Copies, plane: &[Self], to: &mut [Self]) => copies.fill_checked(plane, to);
    /// Finishes sums that lie in dst.
    finish(end: &End<'_, Self>, dst: &mut MatrixMut<'_, Self>, layout: Layout) => end.finish_checked(dst, layout);
    /// Runs a [`PackedProduct`].
    packed_product(tile: PackedProduct<'_, '_, Self>) => tile.run_checked();
    /// Adds the products of some pixels.
    product_sums(sums: ProductSums<'_, Self>) => sums.run_checked();
    /// Transforms weights.
    #[cfg(feature = "winograd")]
    winograd_weights(transform: WeightsTransform<'_, Self>) => transform.run_checked();
    /// Transforms the input of tiles.
    #[cfg(feature = "winograd")]
    winograd_input(transform: InputTransform<'_, Self>) => transform.run_checked();
    /// Transforms the sums of tiles.
    #[cfg(feature = "winograd")]
    winograd_output(transform: OutputTransform<'_, '_, Self>) => transform.run_checked();
}
