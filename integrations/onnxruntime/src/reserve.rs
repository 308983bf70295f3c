//! Memory kept back for when there is no more: Rust's collections end the process where an allocation fails, and a host must
//! not end because a session has no room.
//!
//! If the system refuses a small piece, the piece comes from a reserve that costs nothing until then, so that the running
//! call comes to its end. [`is_intact`] tells the calls behind it to do nothing but report the shortage. Large pieces are
//! asked for in ways that may be refused, here as in the library.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicU64, Ordering};

/// More than any one call of the host's takes in small pieces.
const BYTES: usize = 1 << 20;
/// If half of the reserve is gone, a call begins only where the system has this many bytes again.
const ENOUGH: usize = 64 << 10;

#[global_allocator]
static MEMORY: Memory = Memory { reserve: Reserve::new() };

/// Whether a call may begin: there is memory, or enough of the reserve.
pub fn is_intact() -> bool {
    MEMORY.reserve.taken() <= BYTES / 2 || system_has(ENOUGH)
}

fn system_has(bytes: usize) -> bool {
    let layout = Layout::array::<u8>(bytes).expect("it is small");
    // SAFETY: the layout has a size, and the memory is freed with it.
    unsafe {
        // The compiler may leave out memory that nobody looks at.
        let memory = std::hint::black_box(System.alloc(layout));
        if !memory.is_null() {
            System.dealloc(memory, layout);
        }
        !memory.is_null()
    }
}

/// The system's memory, then the reserve.
struct Memory {
    reserve: Reserve,
}

// SAFETY: memory is either the system's or a piece of the reserve, and goes back to where it came from.
unsafe impl GlobalAlloc for Memory {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        let memory = unsafe { System.alloc(layout) };
        if memory.is_null() { self.reserve.take(layout) } else { memory }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise; a piece of the reserve has room for the layout's bytes.
        unsafe {
            let memory = System.alloc_zeroed(layout);
            if !memory.is_null() {
                return memory;
            }
            let memory = self.reserve.take(layout);
            if !memory.is_null() {
                memory.write_bytes(0, layout.size());
            }
            memory
        }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        if self.reserve.holds(memory) {
            self.reserve.give_back();
        } else {
            // SAFETY: memory that is not the reserve's is the system's.
            unsafe { System.dealloc(memory, layout) };
        }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        // SAFETY: the caller's promise: `bytes` rounded up to the alignment does not overflow; both pieces have room for the
        // smaller number of bytes, and only one of them is new.
        unsafe {
            if !self.reserve.holds(memory) {
                let grown = System.realloc(memory, layout, bytes);
                if !grown.is_null() {
                    return grown;
                }
            }
            let grown = self.alloc(Layout::from_size_align_unchecked(bytes, layout.align()));
            if !grown.is_null() {
                grown.copy_from_nonoverlapping(memory, bytes.min(layout.size()));
                self.dealloc(memory, layout);
            }
            grown
        }
    }
}

/// Memory from which pieces are cut one behind the other; once all have come back it is whole again.
struct Reserve {
    room: Room,
    /// Bytes that are taken, from the first on, and in the lower half of the bits the pieces that are out.
    state: AtomicU64,
}

#[repr(align(64))]
struct Room(UnsafeCell<[u8; BYTES]>);

// SAFETY: the reserve hands each byte to one owner at a time, and touches none itself.
unsafe impl Sync for Room {}

impl Reserve {
    const fn new() -> Self {
        Self { room: Room(UnsafeCell::new([0; BYTES])), state: AtomicU64::new(0) }
    }

    fn taken(&self) -> usize {
        (self.state.load(Ordering::Relaxed) >> 32) as usize
    }

    /// A piece, or null where the rest is too small.
    fn take(&self, layout: Layout) -> *mut u8 {
        let first = self.room.0.get().cast::<u8>();
        let mut begin = 0;
        let taken = self.state.fetch_update(Ordering::Acquire, Ordering::Relaxed, |state| {
            let taken = (state >> 32) as usize;
            begin = (first as usize + taken).checked_next_multiple_of(layout.align())? - first as usize;
            let end = begin.checked_add(layout.size())?;
            (end <= BYTES).then(|| (end as u64) << 32 | (state as u32 + 1) as u64)
        });
        match taken {
            // SAFETY: the piece lies inside.
            Ok(_) => unsafe { first.add(begin) },
            Err(_) => std::ptr::null_mut(),
        }
    }

    fn holds(&self, memory: *mut u8) -> bool {
        (memory as usize).wrapping_sub(self.room.0.get() as usize) < BYTES
    }

    fn give_back(&self) {
        let fewer = |state: u64| Some(if state as u32 == 1 { 0 } else { state - 1 });
        let _ = self.state.fetch_update(Ordering::Release, Ordering::Relaxed, fewer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_apart_and_the_reserve_becomes_whole_again() {
        static RESERVE: Reserve = Reserve::new();
        let layout = |bytes, align| Layout::from_size_align(bytes, align).expect("a layout");
        let first = RESERVE.take(layout(3, 1)) as usize;
        let second = RESERVE.take(layout(100, 64)) as usize;
        assert!(second >= first + 3 && second.is_multiple_of(64));
        assert!(RESERVE.take(layout(BYTES, 1)).is_null());
        assert!(RESERVE.take(layout(isize::MAX as usize, 1)).is_null());
        let rest = RESERVE.take(layout(BYTES - 164, 4)) as usize;
        assert!(rest >= second + 100 && RESERVE.holds(rest as *mut u8));
        assert!(!RESERVE.holds(std::ptr::null_mut()) && !RESERVE.holds((first + BYTES) as *mut u8));
        assert!(RESERVE.take(layout(64, 1)).is_null());
        for _ in 0..3 {
            assert!(RESERVE.taken() > BYTES / 2);
            RESERVE.give_back();
        }
        assert_eq!(RESERVE.taken(), 0);
        assert_eq!(RESERVE.take(layout(3, 1)) as usize, first);
    }
}
