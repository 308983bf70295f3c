//! Attack: any bytes as descriptors and options, with any `struct_size`.
//!
//! Query, output size and plan must return a status, must read no byte behind the struct, and must write nothing if
//! they refuse.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::mem::offset_of;
use std::ptr::{NonNull, null, null_mut};

use crate::case::{answered, initialised, message};
use arbitrary::Arbitrary;
use convlow::ffi::plan::{
    PlanHandle, convlow_plan_create, convlow_plan_create_nd, convlow_plan_destroy, convlow_plan_get_info,
    convlow_plan_options_init, convlow_plan_packing_id, convlow_query, convlow_query_nd,
};
use convlow::ffi::problem::{
    convlow_conv2d_desc_init, convlow_conv2d_output_size, convlow_convnd_desc_init,
    convlow_convnd_output_size,
};
use convlow::ffi::status::{CONVLOW_ERROR_OUT_OF_MEMORY, CONVLOW_OK, Status};
use convlow::ffi::types::{CONVLOW_EFFORT_MEASURE, Conv2dDesc, ConvNdDesc, PlanInfo, PlanOptions};

/// What the bytes say.
#[derive(Arbitrary, Debug)]
pub struct Input {
    two_dimensions: bool,
    desc: Bytes,
    options: Option<Bytes>,
    info_size: Option<u64>,
    capacity: u8,
}

/// A struct: its defaults, changed by these bytes, and another `struct_size` if there is one.
#[derive(Arbitrary, Debug)]
struct Bytes {
    size: Option<u64>,
    changes: Vec<u8>,
}

/// What the library reads at most of a struct, in bytes: a larger size is refused by its first field.
const MOST_BYTES: usize = 4096;
const FIRST_FIELD: usize = size_of::<usize>();

/// A block of its own, so that a sanitizer sees every byte that is read beyond it.
struct Block {
    data: NonNull<u8>,
    layout: Layout,
}

impl Block {
    fn new(bytes: usize) -> Self {
        let layout = Layout::from_size_align(bytes, 8).expect("a few bytes");
        // SAFETY: the size is not 0.
        let data = unsafe { alloc_zeroed(layout) };
        let data = NonNull::new(data).unwrap_or_else(|| handle_alloc_error(layout));
        Self { data, layout }
    }

    /// The bytes of a struct.
    fn of<T>(defaults: T, bytes: &Bytes) -> Self {
        let size = bytes.size.map_or(size_of::<T>(), |size| size as usize);
        let held = if size > MOST_BYTES { FIRST_FIELD } else { size.max(FIRST_FIELD) };
        let mut block = Self::new(held);
        // SAFETY: as long as both.
        unsafe {
            let defaults = (&raw const defaults).cast::<u8>();
            block.data.as_ptr().copy_from_nonoverlapping(defaults, held.min(size_of::<T>()));
        }
        let fields = &mut block.bytes()[FIRST_FIELD..];
        fields.iter_mut().zip(&bytes.changes).for_each(|(byte, change)| *byte ^= change);
        block.bytes()[..FIRST_FIELD].copy_from_slice(&size.to_ne_bytes());
        block
    }

    fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: the block is initialised, and borrowed as long as the slice.
        unsafe { std::slice::from_raw_parts_mut(self.data.as_ptr(), self.layout.size()) }
    }

    /// The place of a field, if the block holds all of it.
    fn field(&mut self, offset: usize, bytes: usize) -> Option<&mut [u8]> {
        self.bytes().get_mut(offset..offset + bytes)
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout.
        unsafe { dealloc(self.data.as_ptr(), self.layout) }
    }
}

/// Options that a caller may give: no pool that is none, and little to measure.
fn options_of(bytes: &Bytes) -> Block {
    let mut block = Block::of::<PlanOptions>(initialised(convlow_plan_options_init), bytes);
    let pool = offset_of!(PlanOptions, pool);
    let bytes = block.bytes();
    let end = bytes.len().min(pool + size_of::<usize>());
    bytes[pool.min(end)..end].fill(0);
    let budget = block.field(offset_of!(PlanOptions, measure_budget_seconds), 8).map(|field| {
        let seconds = f64::from_ne_bytes((&*field).try_into().expect("8 bytes"));
        let little = if seconds > 1e-4 { 1e-4 } else { seconds };
        field.copy_from_slice(&little.to_ne_bytes());
    });
    let most = block.field(offset_of!(PlanOptions, measure_max_bytes), 8).map(|field| {
        let bytes = u64::from_ne_bytes((&*field).try_into().expect("8 bytes"));
        field.copy_from_slice(&bytes.min(1 << 20).to_ne_bytes());
    });
    if budget.is_none() || most.is_none() {
        // The defaults are seconds and hundreds of megabytes.
        if let Some(effort) = block.field(offset_of!(PlanOptions, effort), 4)
            && effort == CONVLOW_EFFORT_MEASURE.to_ne_bytes()
        {
            effort.fill(0);
        }
    }
    block
}

/// Promise 7: a status with a message, and little memory.
fn check(status: Status) -> bool {
    assert!(status != CONVLOW_ERROR_OUT_OF_MEMORY, "{}", message());
    answered(status)
}

/// Holds the promises.
pub fn run(input: &Input) {
    let desc = match input.two_dimensions {
        true => Block::of::<Conv2dDesc>(initialised(convlow_conv2d_desc_init), &input.desc),
        false => Block::of::<ConvNdDesc>(initialised(convlow_convnd_desc_init), &input.desc),
    };
    let options = input.options.as_ref().map(options_of);
    let desc = desc.data.as_ptr().cast_const();
    let (two, any) = (desc.cast::<Conv2dDesc>(), desc.cast::<ConvNdDesc>());
    let options =
        options.as_ref().map_or(null(), |block| block.data.as_ptr().cast_const().cast::<PlanOptions>());

    const UNTOUCHED: usize = 0x5c5c_5c5c;
    let mut sizes = [UNTOUCHED; 3];
    let [first, second, _] = &mut sizes;
    // SAFETY: a struct of the size that it says, and places to write.
    let sized = check(unsafe {
        match input.two_dimensions {
            true => convlow_conv2d_output_size(two, first, second),
            false => convlow_convnd_output_size(any, sizes.as_mut_ptr()),
        }
    });
    let written = sizes.iter().filter(|&&size| size != UNTOUCHED).count();
    let places = if input.two_dimensions { 2 } else { 3 };
    assert_eq!(written, if sized { places } else { 0 });

    // Infos of any size, of which so many have room.
    let capacity = usize::from(input.capacity) % 100;
    let info_size = input.info_size.map_or(size_of::<PlanInfo>(), |size| size as usize);
    let held = if info_size > MOST_BYTES { FIRST_FIELD } else { (info_size * capacity).max(FIRST_FIELD) };
    let mut infos = Block::new(held);
    infos.bytes()[..FIRST_FIELD].copy_from_slice(&info_size.to_ne_bytes());
    let mut count = UNTOUCHED;
    // SAFETY: as above, and `capacity` infos of the size that the first says.
    let queried = check(unsafe {
        let infos = infos.data.as_ptr().cast::<PlanInfo>();
        match input.two_dimensions {
            true => convlow_query(two, options, infos, capacity, &mut count),
            false => convlow_query_nd(any, options, infos, capacity, &mut count),
        }
    });
    assert!(!queried || sized, "queried, but of no size");
    assert!(queried != (count == UNTOUCHED));

    let mut plan = null_mut();
    // SAFETY: as above.
    let planned = check(unsafe {
        match input.two_dimensions {
            true => convlow_plan_create(two, options, &mut plan),
            false => convlow_plan_create_nd(any, options, &mut plan),
        }
    });
    assert!(planned != plan.is_null());
    if planned {
        assert!(sized, "planned, but of no size");
        read_and_destroy(plan);
    }
}

/// Reads what a plan says of itself, and destroys it.
fn read_and_destroy(plan: *mut PlanHandle) {
    let mut info = Block::new(size_of::<PlanInfo>());
    info.bytes()[..FIRST_FIELD].copy_from_slice(&size_of::<PlanInfo>().to_ne_bytes());
    // SAFETY: a plan and an info; the plan is destroyed once.
    unsafe {
        assert_eq!(convlow_plan_get_info(plan, info.data.as_ptr().cast()), CONVLOW_OK);
        assert_ne!(convlow_plan_packing_id(plan), 0);
        convlow_plan_destroy(plan);
    }
}
