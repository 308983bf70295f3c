//! A fused node that is being computed: its inputs, its output, and the host's threads.

use std::ffi::c_void;
use std::marker::PhantomData;

use convlow::{EachTile, Element, Pool};
use ort_sys::OrtKernelContext;

use super::failure::Result;
use super::handle::Handle;
use super::table::Host;
use super::tensor::{Listed, Tensor, check_place, type_of};

/// The inputs of a fused node that is being computed, and the threads that compute it.
#[derive(Clone, Copy)]
pub struct Call<'a>(Handle<'a, OrtKernelContext>);

/// The output of a fused node that is being computed. There is one of a call, and asking for its memory takes it: nobody gets
/// the same memory twice.
pub struct Output<'a>(Handle<'a, OrtKernelContext>);

/// Threads of the host's, for no longer than the call that lends them.
pub struct Lent<'c> {
    pool: Pool,
    call: PhantomData<&'c Call<'c>>,
}

/// Begins to compute a fused node.
///
/// # Errors
/// If there is no context.
///
/// # Safety
/// The context is this host's, lives as long as `'a`, and no other call of this function gets it.
pub unsafe fn begin<'a>(host: Host, context: *mut OrtKernelContext) -> Result<(Call<'a>, Output<'a>)> {
    // SAFETY: the caller's promise.
    let context = unsafe { Handle::new(host, context) };
    let context = context.ok_or("ONNX Runtime has a defect: a call without a context")?;
    Ok((Call(context), Output(context)))
}

impl<'a> Call<'a> {
    /// The input of this number.
    ///
    /// # Errors
    /// The host's, or that there is none.
    pub fn input(self, index: usize) -> Result<Tensor<'a>> {
        let host = self.0.host();
        let mut value = std::ptr::null();
        // SAFETY: `Handle` holds a live context, and one pointer is written.
        host.check(unsafe { (host.api.KernelContext_GetInput)(self.0.as_ptr(), index, &mut value) })?;
        // SAFETY: the inputs of a call live as long as its context.
        let value = unsafe { Handle::new(host, value) };
        Tensor::new(value.ok_or_else(|| format!("input {index} is missing"))?)
    }

    /// The host's threads, of which so many may compute at once.
    ///
    /// # Errors
    /// For 0 threads or very many.
    pub fn lend(&self, threads: usize) -> Result<Lent<'_>> {
        let context = std::ptr::from_ref(self).cast_mut().cast();
        // SAFETY: `parallel_for` keeps the contract of `ParallelFor` with this call as its context. The pool lives in the
        // `Lent`, which borrows the call; whoever takes it out there promises the same.
        let pool = unsafe { Pool::external(parallel_for, context, threads) }?;
        Ok(Lent { pool, call: PhantomData })
    }
}

impl Lent<'_> {
    /// [`EachTile::for_each_piece`] on these threads.
    pub fn for_each_piece<T: Element>(&self, data: &mut [T], len: usize, f: impl Fn(usize, &mut [T]) + Sync) {
        self.pool.for_each_piece(data, len, f);
    }

    /// The threads as a pool.
    ///
    /// # Safety
    /// The pool and everything that is made of it are gone before these threads are.
    pub unsafe fn pool(&self) -> Pool {
        self.pool.clone()
    }
}

impl<'a> Output<'a> {
    /// Memory for the node's output of these sizes.
    ///
    /// # Errors
    /// The host's, or that the output's elements are of another type.
    pub fn of<T: Listed>(self, sizes: &[usize]) -> Result<&'a mut [T]> {
        let Self(context) = self;
        let host = context.host();
        let sizes: Vec<i64> =
            sizes.iter().map(|&size| i64::try_from(size)).collect::<std::result::Result<_, _>>()?;
        let mut value = std::ptr::null_mut();
        // SAFETY: `Handle` holds a live context, `sizes` has as many elements as are told, and one pointer is written.
        let status = unsafe {
            (host.api.KernelContext_GetOutput)(
                context.as_ptr().cast_mut(),
                0,
                sizes.as_ptr(),
                sizes.len(),
                &mut value,
            )
        };
        host.check(status)?;
        // SAFETY: the output of a call lives as long as its context.
        let tensor = unsafe { Handle::new(host, value) }.ok_or("nobody reads what is computed")?;
        let (element, sizes) = type_of(tensor)?;
        let mut data = std::ptr::null_mut();
        // SAFETY: `value` is the live tensor of `tensor`, and one pointer is written.
        host.check(unsafe { (host.api.GetTensorMutableData)(value, &mut data) })?;
        let (data, len) = (data.cast::<T>(), sizes.iter().product());
        check_place(data, element, len)?;
        if len == 0 {
            return Ok(&mut []);
        }
        // SAFETY: the host has made a tensor of so many elements of this type for this call alone, and nobody else touches it
        // before the call returns: `begin` made one `Output` of the context, which is gone now.
        Ok(unsafe { std::slice::from_raw_parts_mut(data, len) })
    }
}

/// [`convlow::ParallelFor`] on the host's threads.
unsafe extern "C" fn parallel_for(
    context: *mut c_void,
    jobs: usize,
    job: unsafe extern "C" fn(*mut c_void, usize),
    argument: *mut c_void,
) {
    // SAFETY: `Call::lend` passes a call that lives as long as its pool.
    let Call(context) = unsafe { *context.cast::<Call<'_>>() };
    let host = context.host();
    // SAFETY: `Handle` holds a live context, and whoever calls promises that the job may run on any thread.
    let status = unsafe { (host.api.KernelContext_ParallelFor)(context.as_ptr(), job, jobs, 0, argument) };
    if host.check(status).is_err() {
        // It refuses before it begins.
        // SAFETY: as above.
        (0..jobs).for_each(|index| unsafe { job(argument, index) });
    }
}
