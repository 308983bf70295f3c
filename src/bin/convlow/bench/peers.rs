//! Other engines' results, for the picture of time against memory.

use std::path::Path;

use convlow::descriptor;
use serde::Deserialize;

use crate::{Failure, Outcome};

/// A result: an object of a JSON list, or of a file with one object a line.
#[derive(Clone, Deserialize)]
pub(super) struct Peer {
    pub(super) engine: String,
    /// Sum over this network; else the time of one problem.
    network: Option<String>,
    problem: Option<String>,
    pub(super) seconds: f64,
    pub(super) memory_bytes: f64,
    pub(super) threads: usize,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Item {
    List(Vec<Peer>),
    One(Peer),
}

impl Peer {
    pub(super) fn of_network(&self, name: &str) -> bool {
        self.network.as_deref() == Some(name)
    }

    /// Whether it is for this problem, however that is written.
    pub(super) fn of_problem(&self, sizes: &str) -> bool {
        let parsed = self.problem.as_deref().map(descriptor::parse);
        parsed.is_some_and(|parsed| parsed.is_ok_and(|entry| entry.problem.to_string() == sizes))
    }
}

pub(super) fn load(file: &Path) -> Outcome<Vec<Peer>> {
    let refused = |text: String| Failure::Refused(format!("{}: {text}", file.display()));
    let text = std::fs::read_to_string(file).map_err(|error| refused(format!("cannot be read: {error}")))?;
    let mut peers = Vec::new();
    for item in serde_json::Deserializer::from_str(&text).into_iter() {
        match item.map_err(|error| {
            refused(format!(
                "expected objects with engine, network or problem, seconds, memory_bytes and threads: {error}"
            ))
        })? {
            Item::List(list) => peers.extend(list),
            Item::One(peer) => peers.push(peer),
        }
    }
    for peer in &peers {
        let Peer { engine, network, problem, seconds, memory_bytes, .. } = peer;
        if network.is_some() == problem.is_some() {
            return Err(refused(format!("{engine} needs either a network or a problem")));
        }
        if let Some(problem) = problem {
            descriptor::parse(problem).map_err(|error| refused(format!("{engine}: {problem:?}: {error}")))?;
        }
        if !(*seconds > 0.0 && *memory_bytes >= 0.0) {
            return Err(refused(format!("{engine} has no time or memory")));
        }
    }
    Ok(peers)
}
