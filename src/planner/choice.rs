//! The choice among candidates, by their times and by their estimates.

use std::cmp::Ordering;

use super::candidate::Candidate;

/// Estimates within this factor of the least say nothing on which is faster; the least workspace does.
const ESTIMATE_SLACK: f64 = 1.06;

/// Compares candidates by a time.
fn by(time: fn(&Candidate) -> f64) -> impl Fn(&&Candidate, &&Candidate) -> Ordering {
    move |a, b| time(a).total_cmp(&time(b))
}

/// The fastest of those that have been timed: an estimate does not compare with a time.
pub(super) fn fastest<'a>(candidates: impl Iterator<Item = &'a Candidate>) -> Option<&'a Candidate> {
    candidates
        .filter(|candidate| candidate.measured())
        .min_by(by(|candidate| candidate.info.measured_seconds))
}

/// Of those estimated about as fast as the fastest, the one with the least workspace, all on one thread.
pub(super) fn best<'a>(candidates: impl Iterator<Item = &'a Candidate> + Clone) -> Option<&'a Candidate> {
    let seconds = |candidate: &Candidate| candidate.alone.estimated_seconds;
    let fastest = candidates.clone().min_by(by(seconds))?;
    let level = ESTIMATE_SLACK * seconds(fastest);
    let least = candidates.clone().filter(|candidate| seconds(candidate) <= level);
    let least = least.map(|candidate| candidate.alone.workspace_bytes).min()?;
    candidates.filter(|candidate| candidate.alone.workspace_bytes == least).min_by(by(seconds))
}
