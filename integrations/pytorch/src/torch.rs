//! PyTorch's C functions, found in the process at run time: no build of this library belongs to one version of PyTorch.

use std::ffi::{CStr, c_char, c_void};
use std::sync::OnceLock;

/// An `at::Tensor` behind a pointer.
pub type Handle = *mut c_void;
/// A kernel that PyTorch's dispatcher calls: arguments, their number, that of results. It owns the arguments, and writes its
/// results over them.
pub type Kernel = unsafe extern "C-unwind" fn(stack: *mut u64, arguments: u64, results: u64);
/// What one thread of [`Torch::parallel_for`] runs: from, to, context.
pub type Range = unsafe extern "C" fn(begin: i64, end: i64, context: *mut c_void);
/// 0, or a failure whose text [`Torch::last_error`] has.
pub type Status = i32;

/// Declares the table of functions, and how it is filled.
macro_rules! table {
    ($($(#[$doc:meta])* $field:ident: $symbol:literal ($($argument:ty),*) $(-> $result:ty)?;)*) => {
        /// The functions.
        pub struct Torch {
            $($(#[$doc])* pub $field: unsafe extern "C-unwind" fn($($argument),*) $(-> $result)?,)*
        }

        impl Torch {
            /// All functions, or the name of one that this PyTorch lacks.
            fn find(library: *mut c_void) -> Result<Self, &'static CStr> {
                Ok(Self { $($field: {
                    // SAFETY: the handle is of an open library, and the name ends with a zero.
                    let found = unsafe { libc::dlsym(library, $symbol.as_ptr()) };
                    if found.is_null() {
                        return Err($symbol);
                    }
                    // SAFETY: PyTorch's headers declare this type of the function with this name.
                    unsafe { std::mem::transmute::<
                        *mut c_void,
                        unsafe extern "C-unwind" fn($($argument),*) $(-> $result)?,
                    >(found) }
                },)* })
            }
        }
    };
}

table! {
    /// A registration of kernels: namespace, key, file, line.
    library_init: c"aoti_torch_library_init_impl" (*const c_char, *const c_char, *const c_char, u32, *mut Handle) -> Status;
    /// Adds a kernel, which expects arguments as the given version of PyTorch passed them.
    library_impl: c"torch_library_impl" (Handle, *const c_char, Kernel, u64) -> Status;
    /// Undoes a registration.
    library_delete: c"aoti_torch_delete_library_object" (Handle) -> Status;
    /// Throws PyTorch's exception: condition, function, file, line, text.
    check: c"aoti_torch_check" (bool, *const c_char, *const c_char, u32, *const c_char);
    /// The text of this thread's last exception.
    last_error: c"torch_exception_get_what_without_backtrace" () -> *const c_char;
    /// Frees what stands for an optional argument.
    delete_optional: c"torch_delete_stable_ivalue" (*mut u64) -> Status;
    /// Length of a list.
    list_size: c"torch_list_size" (Handle, *mut usize) -> Status;
    /// An element of a list.
    list_item: c"torch_list_get_item" (Handle, usize, *mut u64) -> Status;
    /// Frees a list.
    list_delete: c"torch_delete_list" (Handle) -> Status;
    /// Runs parts of a range on PyTorch's threads: from, to, least length of a part.
    parallel_for: c"torch_parallel_for" (i64, i64, i64, Range, *mut c_void) -> Status;
    /// How many threads `torch.set_num_threads` allows.
    num_threads: c"torch_get_num_threads" (*mut u32) -> Status;
    /// Frees a handle.
    tensor_delete: c"aoti_torch_delete_tensor_object" (Handle) -> Status;
    /// A handle of no tensor.
    tensor_none: c"aoti_torch_new_uninitialized_tensor" (*mut Handle) -> Status;
    /// Whether there is a tensor behind a handle.
    is_defined: c"aoti_torch_is_defined" (Handle, *mut bool) -> Status;
    /// Number of axes.
    dim: c"aoti_torch_get_dim" (Handle, *mut i64) -> Status;
    /// The sizes, which belong to the tensor.
    sizes: c"aoti_torch_get_sizes" (Handle, *mut *const i64) -> Status;
    /// The strides, which belong to the tensor.
    strides: c"aoti_torch_get_strides" (Handle, *mut *const i64) -> Status;
    /// The type of elements.
    dtype: c"aoti_torch_get_dtype" (Handle, *mut i32) -> Status;
    /// The kind of device.
    device_type: c"aoti_torch_get_device_type" (Handle, *mut i32) -> Status;
    /// Strided, sparse and so on.
    layout: c"aoti_torch_get_layout" (Handle, *mut i32) -> Status;
    /// The first element, to be read.
    data: c"torch_get_const_data_ptr" (Handle, *mut *const c_void) -> Status;
    /// The first element, to be written.
    data_mut: c"torch_get_mutable_data_ptr" (Handle, *mut *mut c_void) -> Status;
    /// A new tensor: axes, sizes, strides, type, device.
    empty: c"aoti_torch_empty_strided" (i64, *const i64, *const i64, i32, i32, i32, *mut Handle) -> Status;
    /// Copies the second tensor into the first.
    copy: c"aoti_torch_copy_" (Handle, Handle, i32) -> Status;
    /// `torch.float32`.
    float32: c"aoti_torch_dtype_float32" () -> i32;
    /// `torch.float64`.
    float64: c"aoti_torch_dtype_float64" () -> i32;
    /// The CPU.
    cpu: c"aoti_torch_device_type_cpu" () -> i32;
    /// The layout of ordinary tensors.
    strided: c"aoti_torch_layout_strided" () -> i32;
    /// Whether operations are recorded for gradients.
    grad_enabled: c"aoti_torch_grad_mode_is_enabled" () -> bool;
    /// PyTorch's own convolution, below the dispatcher.
    convolution: c"aoti_torch_cpu_convolution" (
        Handle, Handle, *const Handle, *const i64, i64, *const i64, i64, *const i64, i64, i32, *const i64, i64, i64,
        *mut Handle
    ) -> Status;
    /// PyTorch's own gradients, below the dispatcher.
    convolution_backward: c"aoti_torch_cpu_convolution_backward" (
        Handle, Handle, Handle, *const *const i64, i64, *const i64, i64, *const i64, i64, *const i64, i64, i32,
        *const i64, i64, i64, *const i32, i64, *mut Handle, *mut Handle, *mut Handle
    ) -> Status;
}

static TORCH: OnceLock<Torch> = OnceLock::new();

/// Finds PyTorch in the process.
///
/// # Errors
/// A sentence for the user.
pub fn load() -> Result<&'static Torch, String> {
    if let Some(torch) = TORCH.get() {
        return Ok(torch);
    }
    // SAFETY: the name ends with a zero; the library is not loaded, only found.
    let library = unsafe { libc::dlopen(c"libtorch_cpu.so".as_ptr(), libc::RTLD_NOLOAD | libc::RTLD_LAZY) };
    if library.is_null() {
        return Err("PyTorch's library libtorch_cpu.so is not loaded in this process".to_owned());
    }
    let torch = Torch::find(library).map_err(|name| {
        format!("this PyTorch is too old: convlow needs 2.13 or newer, which has {}", name.to_string_lossy())
    })?;
    Ok(TORCH.get_or_init(|| torch))
}

/// PyTorch, which [`load`] has found before any kernel is registered.
#[inline]
pub fn torch() -> &'static Torch {
    TORCH.get().expect("kernels are registered after load() only")
}

/// A function of the process that not every PyTorch has.
pub fn symbol(name: &CStr) -> Option<*mut c_void> {
    // SAFETY: the name ends with a zero; the library is not loaded, only found.
    let library = unsafe { libc::dlopen(c"libtorch_cpu.so".as_ptr(), libc::RTLD_NOLOAD | libc::RTLD_LAZY) };
    [library, libc::RTLD_DEFAULT].into_iter().find_map(|library| {
        // SAFETY: as above.
        let found = unsafe { libc::dlsym(library, name.as_ptr()) };
        (!found.is_null()).then_some(found)
    })
}
