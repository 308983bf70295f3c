//! [`Job`]: a problem that is measured.

use convlow::descriptor::Entry;

use super::measure::Timing;
use super::select::Selection;

/// A problem to measure.
pub(super) struct Job {
    /// The list that it is from.
    pub(super) network: Option<String>,
    pub(super) entry: Entry,
    /// Whether the gradient of the bias is computed with that of the weights.
    pub(super) bias_gradient: bool,
    pub(super) selection: Selection,
    /// In the order of the candidates; none before the measurement, or if it was broken off.
    pub(super) timings: Option<Vec<Timing>>,
}
