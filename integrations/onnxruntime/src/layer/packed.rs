//! Packed weights that layers share: those of one format and one content are packed once a process, whichever nodes, graphs
//! and sessions they belong to, and are freed with the last layer that reads them.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};

use convlow::{Buffer, Operation, Plan};
use xxhash_rust::xxh3::xxh3_128_with_seed;

use crate::host::Result;
use crate::number::Number;

/// The properties that tell packed weights from each other: the format, the operation, which decides how the weights are
/// read, and 128 bits of a hash of the weights.
type Key = (u64, Operation, u128);

/// What layers read now, and places of what they no longer read.
static PACKED: LazyLock<Mutex<HashMap<Key, Weak<Buffer>>>> = LazyLock::new(Mutex::default);
/// Chosen anew in each process, so that nobody can make two weights of one hash.
static SEED: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one(0));

/// The weights as the plan reads them.
///
/// # Errors
/// The library's, or that there is no memory for them.
pub fn packed<T: Number>(plan: &Plan, weights: &[T]) -> Result<Arc<Buffer>> {
    let operation = plan.problem().operation;
    let key = (plan.packing_id(), operation, xxh3_128_with_seed(bytemuck::cast_slice(weights), *SEED));
    let known = || PACKED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(shared) = known().get(&key).and_then(Weak::upgrade) {
        return Ok(shared);
    }
    // Others may pack meanwhile.
    let mut own = Buffer::new(plan.info().packed_weights_bytes)?;
    plan.pack_weights(weights, own.bytes_mut())?;
    let own = Arc::new(own);
    let mut known = known();
    known.retain(|_, weights| weights.strong_count() > 0);
    match known.get(&key).and_then(Weak::upgrade) {
        Some(shared) => Ok(shared),
        None => {
            known.insert(key, Arc::downgrade(&own));
            Ok(own)
        }
    }
}
