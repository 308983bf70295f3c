//! The plans that are kept, by what they were made for, with the counts of their calls.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::backward::BackwardPlan;
use crate::forward::ForwardPlan;
use crate::geometry::Geometry;
use crate::lock::Lock;
use crate::settings::Settings;
use crate::tensor::{AXES, Shape};

/// Most plans that are kept; beyond, all are dropped, and those in use are made anew.
const MOST: usize = 1024;

/// What is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Pass {
    /// The output, from plain or packed weights.
    Forward { packed: bool },
    /// The gradients that are asked for.
    Backward { mask: [bool; 3] },
}

/// A tensor as plans tell it apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Lies {
    /// Its sizes.
    pub sizes: [i64; AXES],
    /// The number of axes, and by bits in which orders it lies.
    bits: u32,
}

/// What a plan was made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key {
    /// The settings.
    pub settings: Settings,
    /// What is computed.
    pub pass: Pass,
    /// PyTorch's number of the elements' type.
    pub dtype: i32,
    /// Whether there is a bias.
    pub bias: bool,
    /// Input, weights and, for gradients, the gradient of the output.
    pub tensors: [Lies; 3],
    /// The other arguments.
    pub geometry: Geometry,
    /// What speaks against serving it, beside what the others say.
    pub objection: Option<&'static str>,
}

/// What was made for a key.
pub enum Made {
    Forward(Box<ForwardPlan>),
    Backward(Box<BackwardPlan>),
    /// Why it goes to PyTorch.
    Declined(String),
}

/// A kept plan.
pub struct Entry {
    pub key: Key,
    pub made: Made,
    pub calls: AtomicU64,
}

/// A hash of short keys that nobody attacks: multiply and rotate.
#[derive(Default)]
pub struct Mixed(u64);

impl Hasher for Mixed {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_ne_bytes(word));
        }
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
    }

    fn finish(&self) -> u64 {
        self.0 ^ self.0 >> 32
    }
}

type Plans = HashMap<Key, Arc<Entry>, BuildHasherDefault<Mixed>>;

/// All kept plans.
static PLANS: Lock<Option<Plans>> = Lock::new(None);

impl Lies {
    /// As it lies.
    pub fn of(shape: &Shape) -> Self {
        let with_rows = shape.axes == 3 && shape.with_rows().suggests_last();
        let facts = [shape.is_packed(false), shape.is_packed(true), shape.suggests_last(), with_rows];
        let bits = facts.iter().fold(shape.axes as u32, |bits, &fact| bits << 1 | u32::from(fact));
        Self { sizes: shape.sizes, bits }
    }

    /// Its sizes, without those of axes that it does not have.
    pub fn sizes(&self) -> &[i64] {
        &self.sizes[..(self.bits >> 4) as usize]
    }

    /// Whether channels lie last.
    pub fn is_last(&self) -> bool {
        self.bits & 8 == 0 && self.bits & 4 != 0
    }
}

impl std::hash::Hash for Geometry {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self { axes, stride, padding, dilation, output_padding, transposed, groups } = self;
        for values in [stride, padding, dilation, output_padding] {
            values.iter().for_each(|&value| state.write_u64(value as u64));
        }
        state.write_u64(*axes as u64 | u64::from(*transposed) << 8 | (*groups as u64) << 16);
    }
}

/// The plan for the key, made where there is none.
pub fn entry(key: &Key, make: impl FnOnce() -> Made) -> Arc<Entry> {
    if let Some(entry) = PLANS.with(|plans| plans.as_ref().and_then(|plans| plans.get(key).cloned())) {
        entry.calls.fetch_add(1, Relaxed);
        return entry;
    }
    // Made without the lock: another thread may make the same, and one of both is kept.
    let entry = Arc::new(Entry { key: *key, made: make(), calls: AtomicU64::new(1) });
    let dropped = PLANS.with(|plans| {
        let plans = plans.get_or_insert_default();
        let dropped = (plans.len() >= MOST).then(|| std::mem::take(plans));
        plans.insert(*key, entry.clone());
        dropped
    });
    drop(dropped);
    entry
}

/// All kept plans.
pub fn all() -> Vec<Arc<Entry>> {
    PLANS.with(|plans| plans.as_ref().map_or_else(Vec::new, |plans| plans.values().cloned().collect()))
}

/// Drops all plans.
pub fn forget() {
    drop(PLANS.with(Option::take));
}

/// Keeps the lock while the process forks.
pub fn before_fork() {
    PLANS.hold();
}

/// Gives the lock back, in both processes.
pub fn after_fork() {
    PLANS.release();
}
