//! Other engines' results, for the picture of time against memory.

use std::path::Path;

use convlow::{Problem, Propagation, descriptor};
use serde::Deserialize;

use super::record::Record;
use crate::options::{propagation_from_name, propagation_name};
use crate::outcome::{Failure, Outcome};

/// A result, of which `benches/peers/run --json` writes one a line.
#[derive(Clone, Deserialize)]
pub(super) struct Peer {
    pub(super) engine: String,
    problem: String,
    layout: String,
    threads: usize,
    median_seconds: f64,
    memory_bytes: f64,
    /// Files of before there were gradients do not say.
    propagation: Option<String>,
}

/// An engine's figures for several layers.
pub(super) struct Total {
    pub(super) engine: String,
    pub(super) seconds: f64,
    /// The most of a layer.
    pub(super) memory_bytes: f64,
}

/// Sums each engine over these problems, each as often as it occurs, in the layout in which it is the fastest. An
/// engine that has not run all of them is left out, and so are convlow's own results.
pub(super) fn totals(peers: &[Peer], problems: &[Vec<&Record>], threads: usize) -> Vec<Total> {
    let mine = || peers.iter().filter(|peer| peer.threads == threads && !peer.engine.starts_with("convlow"));
    let mut totals: Vec<Total> = Vec::new();
    let mut done = Vec::new();
    for Peer { engine, layout, .. } in mine() {
        if done.contains(&(engine, layout)) {
            continue;
        }
        done.push((engine, layout));
        let of = |record: &Record| {
            let mut same = mine().filter(|peer| (&peer.engine, &peer.layout) == (engine, layout));
            same.find(|peer| peer.problem == record.problem).map(|peer| (peer, record.count as f64))
        };
        let Some(runs) = problems.iter().map(|runs| of(runs[0])).collect::<Option<Vec<_>>>() else {
            continue;
        };
        let seconds = runs.iter().map(|(peer, count)| peer.median_seconds * count).sum();
        let memory_bytes = runs.iter().map(|(peer, _)| peer.memory_bytes).fold(0.0, f64::max);
        match totals.iter_mut().find(|total| total.engine == *engine) {
            Some(other) if other.seconds <= seconds => {}
            Some(other) => (other.seconds, other.memory_bytes) = (seconds, memory_bytes),
            None => totals.push(Total { engine: engine.clone(), seconds, memory_bytes }),
        }
    }
    totals
}

/// Reads the results; their problems get the spelling of the records', which says what was computed.
pub(super) fn load(file: &Path) -> Outcome<Vec<Peer>> {
    let refused = |text: String| Failure::Refused(format!("{}: {text}", file.display()));
    let text = std::fs::read_to_string(file).map_err(|error| refused(format!("cannot be read: {error}")))?;
    let mut peers = Vec::new();
    for peer in serde_json::Deserializer::from_str(&text).into_iter() {
        let mut peer: Peer = peer.map_err(|error| {
            refused(format!("expected objects as benches/peers/run --json writes them: {error}"))
        })?;
        let Peer { engine, problem, propagation, .. } = &peer;
        let entry =
            descriptor::parse(problem).map_err(|error| refused(format!("{engine}: {problem:?}: {error}")))?;
        let computed = propagation.as_deref().unwrap_or(propagation_name(Propagation::Forward));
        let Some(propagation) = propagation_from_name(computed) else {
            return Err(refused(format!("{engine}: {problem:?}: propagation is {computed:?}")));
        };
        if !(peer.median_seconds > 0.0 && peer.memory_bytes >= 0.0) {
            return Err(refused(format!("{engine}: {problem:?} has no time or memory")));
        }
        peer.problem = Problem { propagation, ..entry.problem }.to_string();
        peers.push(peer);
    }
    Ok(peers)
}
