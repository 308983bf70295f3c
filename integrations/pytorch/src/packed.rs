//! Weights that stay as they are: packed once, and kept as long as their tensor.
//!
//! A tensor's weights are kept only while no gradients are recorded, and only if Python has looked at the tensor: it is no
//! inference tensor (these count no versions), and tells this module when it goes. Each later call compares its version, which
//! changes in place count up, and some elements. A tensor that needs a gradient is kept in inference mode alone.

use std::collections::HashMap;
use std::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use convlow::{Buffer, Element};

use crate::arguments::Forward;
use crate::forward::ForwardPlan;
use crate::lock::Lock;
use crate::tensor::Tensor;
use crate::torch::{Handle, symbol, torch};

/// Asks Python whether a tensor's weights may be kept: the object, and the tensor's address.
type Ask = unsafe extern "C" fn(*mut c_void, usize) -> c_int;
/// Makes a Python object of a tensor: the tensor, the type, the object.
type ToPython = unsafe extern "C-unwind" fn(Handle, *mut c_void, *mut *mut c_void) -> i32;

/// How Python is asked, and what is asked of tensors beyond PyTorch's stable functions.
struct Python {
    version: unsafe extern "C-unwind" fn(Handle) -> i64,
    to_python: ToPython,
    in_inference: unsafe extern "C-unwind" fn() -> bool,
    ensure: unsafe extern "C" fn() -> c_int,
    release: unsafe extern "C" fn(c_int),
    drop: unsafe extern "C" fn(*mut c_void),
}

/// When a tensor's weights may be kept.
#[derive(Clone, Copy, PartialEq, Eq)]
enum MayKeep {
    Never,
    /// In inference mode: it needs a gradient elsewhere.
    InInference,
    WithoutGradients,
}

/// What shows that weights have changed.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
struct State {
    data: usize,
    version: i64,
    /// Of some elements: changes through `.data` or NumPy count no version, but those of a whole tensor are seen here.
    sample: u64,
}

/// A tensor that Python has been asked about.
struct Kept {
    may_keep: MayKeep,
    state: State,
    /// By plan's packing.
    packings: Vec<(u64, Arc<Buffer>)>,
}

#[derive(Default)]
struct All {
    tensors: HashMap<usize, Kept>,
}

static PYTHON: OnceLock<Option<Python>> = OnceLock::new();
static ASK: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());
/// Bytes of all packings.
static KEPT: AtomicUsize = AtomicUsize::new(0);
static MOST_BYTES: AtomicUsize = AtomicUsize::new(0);
static ALL: Lock<Option<All>> = Lock::new(None);

fn python() -> Option<&'static Python> {
    let find = || {
        // SAFETY: the types are those of Python's and PyTorch's headers; the version is a method without arguments.
        unsafe {
            Some(Python {
                version: std::mem::transmute::<*mut c_void, unsafe extern "C-unwind" fn(Handle) -> i64>(
                    symbol(c"_ZNK2at10TensorBase8_versionEv")?,
                ),
                to_python: std::mem::transmute::<*mut c_void, ToPython>(symbol(c"torch_tensor_to_pyobject")?),
                in_inference: std::mem::transmute::<*mut c_void, unsafe extern "C-unwind" fn() -> bool>(
                    symbol(c"_ZN3c1013InferenceMode10is_enabledEv")?,
                ),
                ensure: std::mem::transmute::<*mut c_void, unsafe extern "C" fn() -> c_int>(symbol(
                    c"PyGILState_Ensure",
                )?),
                release: std::mem::transmute::<*mut c_void, unsafe extern "C" fn(c_int)>(symbol(
                    c"PyGILState_Release",
                )?),
                drop: std::mem::transmute::<*mut c_void, unsafe extern "C" fn(*mut c_void)>(symbol(
                    c"Py_DecRef",
                )?),
            })
        }
    };
    PYTHON.get_or_init(find).as_ref()
}

/// Sets how Python is asked, and how many bytes are kept at most.
pub fn set(ask: *mut c_void, most_bytes: usize) {
    ASK.store(ask, Relaxed);
    MOST_BYTES.store(most_bytes, Relaxed);
}

/// The address of what all handles of a tensor share.
fn address(weights: &Tensor) -> usize {
    // SAFETY: a handle points to an `at::Tensor`, whose only member is a pointer.
    unsafe { *weights.handle().cast::<usize>() }
}

/// Whether the weights may be packed and kept in this call. One that records gradients drops what is kept, as a step of training
/// follows, and some optimizers change weights through `.data`.
pub fn may_keep(weights: &Tensor) -> bool {
    if MOST_BYTES.load(Relaxed) == 0 {
        return false;
    }
    let address = address(weights);
    // SAFETY: the function only reads a flag of the thread.
    if unsafe { (torch().grad_enabled)() } {
        if KEPT.load(Relaxed) != 0 {
            drop_packings(address);
        }
        return false;
    }
    let known =
        ALL.with(|all| all.as_ref().and_then(|all| all.tensors.get(&address).map(|kept| kept.may_keep)));
    match known.unwrap_or_else(|| ask(weights, address)) {
        MayKeep::Never => false,
        MayKeep::WithoutGradients => true,
        // SAFETY: the function only reads a flag of the thread.
        MayKeep::InInference => python().is_some_and(|python| unsafe { (python.in_inference)() }),
    }
}

/// Asks Python, and notes the answer.
fn ask(weights: &Tensor, address: usize) -> MayKeep {
    let (ask, Some(python)) = (ASK.load(Relaxed), python()) else { return MayKeep::Never };
    if ask.is_null() {
        return MayKeep::Never;
    }
    // The note comes first, so that a tensor that goes meanwhile takes it along.
    let kept = Kept { may_keep: MayKeep::Never, state: State::default(), packings: Vec::new() };
    ALL.with(|all| all.get_or_insert_default().tensors.insert(address, kept));
    // SAFETY: the lock of Python's interpreter is held while an object is used; `ask` is the module's function of this type.
    let answer = unsafe {
        let state = (python.ensure)();
        let mut object = std::ptr::null_mut();
        let mut answer = -1;
        if (python.to_python)(weights.handle(), std::ptr::null_mut(), &mut object) == 0 && !object.is_null() {
            answer = std::mem::transmute::<*mut c_void, Ask>(ask)(object, address);
            (python.drop)(object);
        }
        (python.release)(state);
        answer
    };
    let may_keep = match answer {
        1 => MayKeep::InInference,
        2 => MayKeep::WithoutGradients,
        _ => MayKeep::Never,
    };
    ALL.with(|all| {
        let Some(all) = all else { return };
        // Python tells when the tensor goes, whatever the answer is, unless it has failed.
        if answer < 0 {
            all.tensors.remove(&address);
        } else if let Some(kept) = all.tensors.get_mut(&address) {
            kept.may_keep = may_keep;
        }
    });
    may_keep
}

/// The weights packed for the plan; none if they cannot be.
pub fn of<T: Element>(plan: &ForwardPlan, call: &Forward, dtype: i32) -> Option<Arc<Buffer>> {
    let weights = &call.weights;
    let (address, data) = (address(weights), weights.data() as usize);
    // SAFETY: the tensor is no inference tensor, as Python said, so that it has a version.
    let version = unsafe { (python()?.version)(weights.handle()) };
    let state = State { data, version, sample: plan.sample::<T>(weights) };
    let id = plan.packing_id();
    let found = ALL.with(|all| {
        let kept = all.as_ref()?.tensors.get(&address)?;
        (kept.state == state)
            .then(|| kept.packings.iter().find(|packing| packing.0 == id).map(|packing| packing.1.clone()))?
    });
    if found.is_some() {
        return found;
    }
    let mut packed = Buffer::new(plan.info().packed_weights_bytes).ok()?;
    plan.pack::<T>(weights, dtype, packed.bytes_mut())?;
    let packed = Arc::new(packed);
    let dropped = ALL.with(|all| keep(all.as_mut()?, address, state, (id, packed.clone())));
    drop(dropped);
    Some(packed)
}

/// Keeps packed weights; returns what is no longer kept.
fn keep(
    all: &mut All,
    address: usize,
    state: State,
    packing: (u64, Arc<Buffer>),
) -> Option<Vec<(u64, Arc<Buffer>)>> {
    let (bytes, most) = (packing.1.bytes().len(), MOST_BYTES.load(Relaxed));
    let mut dropped = Vec::new();
    let kept = all.tensors.get_mut(&address)?;
    if kept.state != state {
        dropped.append(&mut kept.packings);
        kept.state = state;
    }
    KEPT.fetch_sub(size_of_packings(&dropped), Relaxed);
    if KEPT.load(Relaxed) + bytes > most {
        // The weights of one network are used in turns: none of them is older than the others in a way that helps.
        all.tensors.values_mut().for_each(|kept| dropped.append(&mut kept.packings));
        KEPT.store(0, Relaxed);
    }
    if bytes <= most {
        all.tensors.get_mut(&address)?.packings.push(packing);
        KEPT.fetch_add(bytes, Relaxed);
    }
    Some(dropped)
}

fn size_of_packings(packings: &[(u64, Arc<Buffer>)]) -> usize {
    packings.iter().map(|packing| packing.1.bytes().len()).sum()
}

/// Drops what is kept of a tensor that goes.
pub fn forget(address: usize) {
    let kept = ALL.with(|all| {
        let all = all.as_mut()?;
        let kept = all.tensors.remove(&address)?;
        KEPT.fetch_sub(size_of_packings(&kept.packings), Relaxed);
        Some(kept)
    });
    drop(kept);
}

/// Drops the packed weights of one tensor.
fn drop_packings(address: usize) {
    let packings = ALL.with(|all| {
        let packings = std::mem::take(&mut all.as_mut()?.tensors.get_mut(&address)?.packings);
        KEPT.fetch_sub(size_of_packings(&packings), Relaxed);
        Some(packings)
    });
    drop(packings);
}

/// Drops all packed weights. What Python has said of the tensors stays noted, as it tells when they go.
pub fn forget_all() {
    let mut dropped = Vec::new();
    ALL.with(|all| {
        if let Some(all) = all {
            all.tensors.values_mut().for_each(|kept| dropped.append(&mut kept.packings));
            KEPT.store(0, Relaxed);
        }
    });
}

/// Bytes and tensors that are kept.
pub fn kept() -> (usize, usize) {
    let count = |all: &All| all.tensors.values().filter(|kept| !kept.packings.is_empty()).count();
    ALL.with(|all| (KEPT.load(Relaxed), all.as_ref().map_or(0, count)))
}

/// Keeps the lock while the process forks.
pub fn before_fork() {
    ALL.hold();
}

/// Gives the lock back, in both processes.
pub fn after_fork() {
    ALL.release();
}
