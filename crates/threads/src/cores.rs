//! Cores: those that a thread may use, the one on which it runs, and those on which threads of convlow compute.
//!
//! On systems other than Linux nothing is known, and no thread is bound. A *core* is a unit on which the system
//! schedules threads. Two cores that are hardware threads of one physical core are *neighbours*.

use std::fs::File;
use std::io::{Read, Write};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU16, AtomicU32, Ordering};

/// The most cores that are told apart; Linux's `cpu_set_t` ends there too.
const MOST: usize = 1024;
const WORD: usize = u64::BITS as usize;

/// A set of cores.
#[derive(Clone, Copy, Default)]
pub(crate) struct Cores([u64; MOST / WORD]);

impl Cores {
    pub const NONE: Self = Self([0; MOST / WORD]);

    fn one(core: usize) -> Self {
        let mut cores = Self::NONE;
        cores.0[core / WORD] |= 1 << (core % WORD);
        cores
    }

    pub fn len(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    fn iter(&self) -> impl Iterator<Item = usize> {
        let words = self.0.iter().enumerate().filter(|(_, word)| **word != 0);
        words.flat_map(|(index, word)| {
            (0..WORD).filter(move |bit| word >> bit & 1 != 0).map(move |bit| index * WORD + bit)
        })
    }

    /// Those that the calling thread may use; none where that is not known.
    #[cfg(target_os = "linux")]
    pub fn of_this_thread() -> Self {
        let mut cores = Self::NONE;
        // SAFETY: the set has the bytes that the call may write. It fails on machines with more cores.
        let status = unsafe { libc::sched_getaffinity(0, size_of::<Self>(), (&raw mut cores).cast()) };
        if status == 0 { cores } else { Self::NONE }
    }

    #[cfg(not(target_os = "linux"))]
    pub fn of_this_thread() -> Self {
        Self::NONE
    }

    /// Lets a thread run on these alone; whether the system did so. `thread` is one of the library's own.
    #[cfg(target_os = "linux")]
    fn bind(&self, thread: i32) -> bool {
        // SAFETY: the set has the bytes that are read.
        unsafe { libc::sched_setaffinity(thread, size_of::<Self>(), (&raw const *self).cast()) == 0 }
    }

    #[cfg(not(target_os = "linux"))]
    fn bind(&self, _: i32) -> bool {
        false
    }
}

/// The core that the calling thread is on, unless that is not known.
fn current() -> Option<usize> {
    #[cfg(target_os = "linux")]
    // SAFETY: a plain call without preconditions.
    return usize::try_from(unsafe { libc::sched_getcpu() }).ok().filter(|&core| core < MOST);
    #[cfg(not(target_os = "linux"))]
    None
}

/// The number by which the system knows the calling thread.
fn this_thread() -> i32 {
    #[cfg(target_os = "linux")]
    // SAFETY: a plain call without preconditions.
    return unsafe { libc::gettid() };
    #[cfg(not(target_os = "linux"))]
    0
}

/// How many threads of this process are in an execute, by core.
static BUSY: [AtomicU16; MOST] = [const { AtomicU16::new(0) }; MOST];

/// The calling thread is in an execute, for as long as this lives.
pub(crate) struct Busy(Option<usize>);

impl Busy {
    pub fn begin() -> Self {
        let core = current();
        if let Some(core) = core {
            BUSY[core].fetch_add(1, Ordering::Relaxed);
        }
        Self(core)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        if let Some(core) = self.0 {
            BUSY[core].fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Where a worker is, as far as it has said.
pub(crate) struct Whereabouts {
    thread: AtomicI32,
    core: AtomicU32,
    /// It was bound to one core, and has not yet undone that.
    bound: AtomicBool,
}

const NOWHERE: u32 = u32::MAX;

impl Whereabouts {
    pub fn unknown() -> Self {
        Self { thread: AtomicI32::new(0), core: AtomicU32::new(NOWHERE), bound: AtomicBool::new(false) }
    }

    /// Called by the worker when it begins.
    pub fn begin(&self) {
        self.thread.store(this_thread(), Ordering::Relaxed);
        self.note();
    }

    /// Called by the worker before and while it waits.
    pub fn note(&self) {
        self.core.store(current().map_or(NOWHERE, |core| core as u32), Ordering::Relaxed);
    }

    /// Called by the worker when it is awake: from there on it may use all its cores again, so that the system can
    /// move it where others need its place.
    pub fn release(&self, home: &Cores) {
        if self.bound.swap(false, Ordering::Acquire) {
            home.bind(0);
        }
    }

    /// Whether it is on the same core as the calling thread.
    pub fn is_here(&self) -> bool {
        self.core().is_some_and(|core| current() == Some(core))
    }

    fn core(&self) -> Option<usize> {
        let core = self.core.load(Ordering::Relaxed) as usize;
        (core < MOST).then_some(core)
    }
}

/// Gives workers that would not compute beside the calling thread a core where they do. The system by itself often
/// wakes a thread on the core of the one that woke it, and leaves both there for milliseconds.
pub(crate) struct Placement {
    home: Cores,
    load: Load,
}

impl Placement {
    /// Beside what is in an execute now, and the workers that stay where they are. `home` are the cores to choose from.
    pub fn new<'a>(home: Cores, staying: impl Iterator<Item = &'a Whereabouts>) -> Self {
        let mut load = Load::new(&home);
        staying.filter_map(Whereabouts::core).for_each(|core| load.add(core, 1));
        Self { home, load }
    }

    /// Moves a worker to the core with the least on it; where it was, if that is one. A worker that sleeps is bound
    /// there all the same: it would else be woken elsewhere.
    pub fn place(&mut self, worker: &Whereabouts, asleep: bool) {
        let Some(core) = self.load.least(&self.home, worker.core()) else { return };
        self.load.add(core, 1);
        let stays = !asleep && worker.core() == Some(core);
        // The system may forbid it, as some sandboxes do.
        if !stays && Cores::one(core).bind(worker.thread.load(Ordering::Relaxed)) {
            // Behind the binding: a worker that was faster undoes it when it is next called.
            worker.bound.store(true, Ordering::Release);
            worker.core.store(core as u32, Ordering::Relaxed);
        }
    }
}

/// Threads on each core, and on each with its neighbours.
struct Load {
    alone: [u8; MOST],
    with_neighbours: [u8; MOST],
}

impl Load {
    /// Those that are in an execute.
    fn new(home: &Cores) -> Self {
        let mut load = Self { alone: [0; MOST], with_neighbours: [0; MOST] };
        for core in home.iter() {
            load.add(core, BUSY[core].load(Ordering::Relaxed).min(100) as u8);
        }
        load
    }

    fn add(&mut self, core: usize, threads: u8) {
        self.alone[core] = self.alone[core].saturating_add(threads);
        let first = first_neighbour(core);
        self.with_neighbours[first] = self.with_neighbours[first].saturating_add(threads);
    }

    /// The core with the fewest threads on it and its neighbours; where there are several, `last` if it is one.
    fn least(&self, home: &Cores, last: Option<usize>) -> Option<usize> {
        home.iter().min_by_key(|&core| {
            (self.with_neighbours[first_neighbour(core)], self.alone[core], Some(core) != last)
        })
    }
}

/// Asks once which cores are neighbours, so that no execute has to.
pub(crate) fn learn() {
    first_neighbour(0);
}

/// The first hardware thread of the physical core that `core` is one of.
fn first_neighbour(core: usize) -> usize {
    static FIRST: OnceLock<[u16; MOST]> = OnceLock::new();
    let first = FIRST.get_or_init(|| {
        let mut first = std::array::from_fn(|core| core as u16);
        for (core, first) in first.iter_mut().enumerate().take(configured()) {
            let mut text = [0; 64];
            let list = read(
                format_args!("/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list"),
                &mut text,
            );
            let number = list.map(|list| list.split(|char: char| !char.is_ascii_digit()).next());
            if let Some(Ok(number)) = number.flatten().map(str::parse::<u16>) {
                *first = number.min(*first);
            }
        }
        first
    });
    first[core].into()
}

/// The cores that the machine has, used or not.
fn configured() -> usize {
    // SAFETY: a plain call without preconditions.
    usize::try_from(unsafe { libc::sysconf(libc::_SC_NPROCESSORS_CONF) }).unwrap_or(0).min(MOST)
}

/// Reads the beginning of a file without allocating.
fn read<'a>(path: std::fmt::Arguments<'_>, text: &'a mut [u8]) -> Option<&'a str> {
    // Paths of fewer bytes are handed to the system from the stack.
    let mut buffer = [0; 380];
    let mut rest = &mut buffer[..];
    rest.write_fmt(path).ok()?;
    let len = 380 - rest.len();
    let mut file = File::open(std::str::from_utf8(&buffer[..len]).ok()?).ok()?;
    let mut filled = 0;
    while filled < text.len() {
        match file.read(&mut text[filled..]).ok()? {
            0 => break,
            more => filled += more,
        }
    }
    std::str::from_utf8(&text[..filled]).ok()
}

/// How many threads this process may keep busy: its cores, or fewer where a container's quota gives less time.
pub(crate) fn usable() -> usize {
    let cores = match Cores::of_this_thread().len() {
        0 => configured(),
        cores => cores,
    };
    cores.min(quota().unwrap_or(usize::MAX)).max(1)
}

/// Whole cores' worth of time that the control groups of this process allow; none where they set no limit.
fn quota() -> Option<usize> {
    let mut groups = [0; 2048];
    let groups = read(format_args!("/proc/self/cgroup"), &mut groups)?;
    let of_line = |line: &str| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, group) = (fields.next()?, fields.next()?);
        if controllers.is_empty() {
            least_quota(group, unified_quota)
        } else if controllers.split(',').any(|controller| controller == "cpu") {
            least_quota(group, separate_quota)
        } else {
            None
        }
    };
    groups.lines().filter_map(of_line).min()
}

/// The least quota of a group and those that it lies in.
fn least_quota(group: &str, quota_of: fn(&str) -> Option<f64>) -> Option<usize> {
    let mut group = group.trim_end_matches('/');
    let mut least = f64::INFINITY;
    loop {
        least = least.min(quota_of(group).unwrap_or(f64::INFINITY));
        match group.rfind('/') {
            Some(end) => group = &group[..end],
            None => return least.is_finite().then_some(least as usize),
        }
    }
}

/// Version 2 of control groups: quota and period on one line.
fn unified_quota(group: &str) -> Option<f64> {
    let mut text = [0; 64];
    let mut fields = read(format_args!("/sys/fs/cgroup{group}/cpu.max"), &mut text)?.split_ascii_whitespace();
    cores_worth(fields.next()?, fields.next()?)
}

/// Version 1: a file each.
fn separate_quota(group: &str) -> Option<f64> {
    let (mut quota, mut period) = ([0; 64], [0; 64]);
    cores_worth(
        read(format_args!("/sys/fs/cgroup/cpu{group}/cpu.cfs_quota_us"), &mut quota)?,
        read(format_args!("/sys/fs/cgroup/cpu{group}/cpu.cfs_period_us"), &mut period)?,
    )
}

/// How many cores' time a quota is; none if it is no limit, which is written `max` or −1.
fn cores_worth(quota: &str, period: &str) -> Option<f64> {
    let [quota, period] = [quota, period].map(|text| text.trim().parse::<f64>().unwrap_or(-1.0));
    (quota > 0.0 && period > 0.0).then(|| quota / period)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_is_read_in_cores() {
        assert_eq!(cores_worth("150000", "100000\n"), Some(1.5));
        for none in ["max", "-1\n", "0", ""] {
            assert_eq!(cores_worth(none, "100000"), None);
        }
        assert!((1..=MOST).contains(&usable()));
    }

    /// On cores that no machine has, which are nobody's neighbours.
    #[test]
    fn the_core_with_least_on_it_is_chosen_and_the_last_one_kept_if_it_may_be() {
        let mut home = Cores::NONE;
        (1020..1024).for_each(|core| home.0[core / WORD] |= 1 << (core % WORD));
        assert_eq!(home.iter().collect::<Vec<_>>(), [1020, 1021, 1022, 1023]);
        assert_eq!(home.len(), 4);
        let mut load = Load { alone: [0; MOST], with_neighbours: [0; MOST] };
        assert_eq!(load.least(&home, None), Some(1020));
        assert_eq!(load.least(&home, Some(1022)), Some(1022));
        load.add(1022, 1);
        assert_eq!(load.least(&home, Some(1022)), Some(1020));
        (1020..1022).for_each(|core| load.add(core, 2));
        assert_eq!(load.least(&home, Some(7)), Some(1023));
        load.add(1023, 1);
        // Two are level: more threads than cores share them evenly, and none moves without need.
        assert_eq!(load.least(&home, Some(1023)), Some(1023));
        assert_eq!(load.least(&Cores::NONE, Some(1)), None);
    }

    /// A core whose neighbour is busy counts as busy, and less so than one that is busy itself.
    #[test]
    fn a_neighbour_s_work_weighs() {
        let home = Cores([0b1111, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        let mut load = Load { alone: [0; MOST], with_neighbours: [0; MOST] };
        load.add(0, 1);
        let chosen = load.least(&home, Some(0)).expect("a core");
        assert_ne!(chosen, 0);
        assert_eq!(
            first_neighbour(chosen) == first_neighbour(0),
            home.iter().all(|core| first_neighbour(core) == first_neighbour(0))
        );
    }
}
