//! What the limits of a session allow its layers: fast math, as far as packed weights may be large; and weights that are
//! computed in the run, if there is room to pack them.

use convlow::{Layout, Math, Plan, WeightsFrom};

use super::plans::{Asked, new_plan};
use super::problem::{usual_problem, weights_from};
use crate::fuse::Chain;
use crate::host::Result;
use crate::session::Session;

/// Whether a limit of workspace leaves room to pack weights that are computed in the run. Packed ones need none.
///
/// # Errors
/// The library's, with the limit.
pub fn fits(chain: &Chain<'_>, session: &Session) -> Result<()> {
    let weights = weights_from(chain);
    if weights == WeightsFrom::Plain {
        let problem = usual_problem(chain, [Layout::Nchw; 2])?;
        new_plan(&problem, session, Asked::first(session.options.math(), weights))?;
    }
    Ok(())
}

/// The arithmetic of these layers, whose inputs and outputs lie as told. With a limit of packed weights, those layers come
/// first that gain most time a byte; the others compute exactly, whatever their weights take.
///
/// # Errors
/// The library's.
pub fn arithmetic(layers: &[(&Chain<'_>, [Layout; 2])], session: &Session) -> Result<Vec<Math>> {
    let math = session.options.math();
    let mut chosen = vec![math; layers.len()];
    if math == Math::Exact || session.options.max_packed_weights_bytes == usize::MAX {
        return Ok(chosen);
    }
    chosen.fill(Math::Exact);
    let mut gains = Vec::new();
    for (at, (chain, layouts)) in layers.iter().enumerate() {
        let problem = usual_problem(chain, *layouts)?;
        let weights = weights_from(chain);
        let plan = |math| new_plan(&problem, session, Asked::first(math, weights));
        let [exact, fast] = [plan(Math::Exact)?, plan(Math::Fast)?];
        let bytes = |plan: &Plan| plan.info().packed_weights_bytes;
        // What exact arithmetic needs is not refused, but counts.
        if !session.take_packed(bytes(&exact)) {
            return Ok(chosen);
        }
        let more = bytes(&fast).saturating_sub(bytes(&exact));
        let seconds = exact.info().estimated_seconds - fast.info().estimated_seconds;
        gains.push((seconds / more.max(1) as f64, more, at));
    }
    gains.sort_by(|a, b| b.0.total_cmp(&a.0));
    for (_, more, at) in gains {
        if session.take_packed(more) {
            chosen[at] = Math::Fast;
        }
    }
    Ok(chosen)
}
