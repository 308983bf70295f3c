//! A chain made ready: packed weights, and plans for the sizes of input that were seen.

mod activate;
mod arithmetic;
mod behind;
mod execute;
mod folded;
mod joined;
mod packed;
mod places;
mod plans;
mod problem;
mod typed;

use std::sync::Arc;

use convlow::Math;

use crate::fuse::Chain;
use crate::host::{Listed, Result};
use crate::session::Session;

pub use arithmetic::{arithmetic, fits};
pub use joined::{JoinedLayer, JoinedPart, can_be_joined};
pub use places::{Input, Layer, PIECE, Places, output_of, shown};
pub use problem::usual_problem;
pub use typed::Typed;

/// The layer of a chain.
///
/// # Errors
/// The reason why convlow does not compute it.
pub fn layer(
    chain: &Chain<'_>,
    places: Places,
    output: String,
    session: &Arc<Session>,
    math: Math,
) -> Result<Box<dyn Layer>> {
    match chain.weights.element {
        f32::ELEMENT => Ok(Box::new(Typed::<f32>::new(chain, places, output, session, math)?)),
        _ => Ok(Box::new(Typed::<f64>::new(chain, places, output, session, math)?)),
    }
}
