//! The common ground of a session's layers: options, threads, workspaces, and the report.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError, Weak};

use convlow::{Buffer, EachTile, Element, Pool};

use crate::host::{Call, Lent, Result};
use crate::options::Options;

/// The layers' common ground.
pub struct Session {
    pub options: Options,
    /// convlow's own threads, if the options ask for them.
    pub pool: Option<Pool>,
    /// Threads that compute a layer.
    pub threads: usize,
    workspaces: Mutex<Workspaces>,
    /// Bytes of packed weights that the layers to come may take.
    packed_left: Mutex<usize>,
    begun: Once,
    told: Mutex<BTreeMap<String, Told>>,
}

/// The line of the report of a Conv or ConvTranspose.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Told {
    pub node: String,
    /// Its number in its graph.
    pub id: usize,
    /// The nodes behind it that its end computes.
    pub fused: Vec<String>,
    pub algorithm: String,
    /// The sizes of the input that the algorithm and the bytes are for.
    pub input: Vec<usize>,
    /// Whether some of these sizes are assumed, because no run has told them yet.
    pub is_assumed: bool,
    pub workspace_bytes: usize,
    pub packed_bytes: usize,
    /// Why it is left to ONNX Runtime.
    pub reason: Option<String>,
}

/// Threads that compute a call.
pub enum Threads<'c> {
    /// convlow's own.
    Own(&'c Pool),
    /// The host's.
    Lent(Lent<'c>),
}

impl Threads<'_> {
    /// [`EachTile::for_each_piece`] on these threads.
    pub fn for_each_piece<T: Element>(&self, data: &mut [T], len: usize, f: impl Fn(usize, &mut [T]) + Sync) {
        match self {
            Self::Own(pool) => pool.for_each_piece(data, len, f),
            Self::Lent(lent) => lent.for_each_piece(data, len, f),
        }
    }

    /// The pool that takes the place of a plan's for the call; none where the plan has convlow's own threads already.
    ///
    /// # Safety
    /// The pool and everything that is made of it are gone before these threads are.
    pub unsafe fn in_place_of_plans(&self) -> Option<Pool> {
        match self {
            Self::Own(_) => None,
            // SAFETY: the caller's promise.
            Self::Lent(lent) => Some(unsafe { lent.pool() }),
        }
    }
}

/// Workspaces that no call has now, all as large as the largest layer's.
#[derive(Default)]
struct Workspaces {
    free: Vec<Buffer>,
    bytes: usize,
}

/// The sessions that are open, in case somebody asks for the report of one.
static SESSIONS: Mutex<Vec<Weak<Session>>> = Mutex::new(Vec::new());

/// The guarded value stays whole if a thread panics: every change is one assignment.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Session {
    /// # Errors
    /// If the threads that the options ask for do not start.
    pub fn new(options: Options) -> Result<Arc<Self>> {
        let pool = match options.threads {
            0 => None,
            threads => Some(Pool::new(threads)?),
        };
        let threads = options.threads_of_layer();
        let packed_left = Mutex::new(options.max_packed_weights_bytes);
        let session = Arc::new(Self {
            options,
            pool,
            threads,
            workspaces: Mutex::default(),
            packed_left,
            begun: Once::new(),
            told: Mutex::default(),
        });
        let mut sessions = lock(&SESSIONS);
        sessions.retain(|session| session.strong_count() > 0);
        sessions.push(Arc::downgrade(&session));
        Ok(session)
    }

    /// Gives the system back the memory of the model's own weights, when the first run begins: by then the host has dropped
    /// them.
    pub fn begin(&self) {
        self.begun.call_once(|| {
            #[cfg(target_env = "gnu")]
            // SAFETY: it gives back free memory only.
            unsafe {
                libc::malloc_trim(0)
            };
        });
    }

    /// The threads that compute a call, for as long as it lasts.
    ///
    /// # Errors
    /// For very many threads.
    pub fn threads_of<'c>(&'c self, call: &'c Call<'_>) -> Result<Threads<'c>> {
        match &self.pool {
            Some(pool) => Ok(Threads::Own(pool)),
            None => call.lend(self.threads).map(Threads::Lent),
        }
    }

    /// The open sessions of this id, the oldest first.
    pub fn named(id: &str) -> Vec<Arc<Self>> {
        let sessions = lock(&SESSIONS);
        sessions.iter().filter_map(Weak::upgrade).filter(|session| session.options.id == id).collect()
    }

    /// Takes so many bytes of what packed weights may take, if there are as many; whether there are.
    pub fn take_packed(&self, bytes: usize) -> bool {
        let mut left = lock(&self.packed_left);
        let rest = left.checked_sub(bytes);
        *left = rest.unwrap_or(*left);
        rest.is_some()
    }

    /// Runs `f` with a workspace of so many bytes at least, which nobody else has meanwhile.
    ///
    /// # Errors
    /// If there is no memory for one.
    pub fn with_workspace<R>(&self, bytes: usize, f: impl FnOnce(&mut Buffer) -> R) -> Result<R> {
        if bytes == 0 {
            return Ok(f(&mut Buffer::new(0)?));
        }
        let (free, size) = {
            let mut workspaces = lock(&self.workspaces);
            if workspaces.bytes < bytes {
                workspaces.bytes = bytes;
                workspaces.free.clear();
            }
            (workspaces.free.pop(), workspaces.bytes)
        };
        let mut workspace = match free {
            Some(workspace) => workspace,
            None => Buffer::new(size)?,
        };
        let result = f(&mut workspace);
        let mut workspaces = lock(&self.workspaces);
        if workspace.bytes().len() >= workspaces.bytes {
            workspaces.free.push(workspace);
        }
        Ok(result)
    }

    /// Notes the line of a node, which is known by the name of its output: numbers and names of nodes are not unique where
    /// graphs are nested, and a host may show a graph again when it has changed it.
    pub fn tell(&self, output: String, told: Told) {
        lock(&self.told).insert(output, told);
    }

    /// Changes the line of a node.
    pub fn correct(&self, output: &str, change: impl FnOnce(&mut Told)) {
        if let Some(told) = lock(&self.told).get_mut(output) {
            change(told);
        }
    }

    /// The report, one line a node: name, fused nodes, algorithm, sizes of the input (behind `~` if some are assumed), bytes
    /// of workspace and of packed weights, and the reason if it is not claimed; with tabs between.
    pub fn report(&self) -> String {
        let told = lock(&self.told);
        let word = |text: &str| text.replace(char::is_control, " ");
        let line = |told: &Told| {
            let sizes: Vec<_> = told.input.iter().map(usize::to_string).collect();
            format!(
                "{}\t{}\t{}\t{}{}\t{}\t{}\t{}\n",
                word(&told.node),
                told.fused.join(" "),
                told.algorithm,
                if told.is_assumed { "~" } else { "" },
                sizes.join("x"),
                told.workspace_bytes,
                told.packed_bytes,
                word(told.reason.as_deref().unwrap_or_default()),
            )
        };
        let mut lines: Vec<&Told> = told.values().collect();
        lines.sort_by_key(|told| told.id);
        lines.into_iter().map(line).collect()
    }
}
