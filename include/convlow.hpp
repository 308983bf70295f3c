/*
 * convlow for C++17: classes that own the plans, pools and buffers of convlow.h. It has only this header;
 * link the library of convlow.h.
 *
 *     convlow::descriptor desc;
 *     desc.in_channels = 64, desc.in_height = desc.in_width = 56;
 *     desc.out_channels = 128, desc.kernel_height = desc.kernel_width = 3;
 *
 *     convlow::plan plan(desc);
 *     convlow::packed_weights weights = plan.pack(oihw);
 *     convlow::workspace workspace = plan.make_workspace();
 *     plan.execute(src, weights, bias, dst, workspace);
 *
 * convlow.h documents every field and function. Errors: if a call of the library fails, it throws
 * convlow::error. If a buffer of this header cannot be allocated, std::bad_alloc or std::length_error is
 * thrown. Threads: any number of threads may call const member functions of one object at the same time.
 * While a thread calls another member function of an object, no other thread may use this object.
 *
 * The MIT or the Apache 2.0 license, at your choice.
 */

#ifndef CONVLOW_HPP
#define CONVLOW_HPP

#include <convlow.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace convlow {

/// A call of the library that failed. what() returns the reason, which names the field and its value.
class error : public std::runtime_error {
  public:
    error(convlow_status status, const char *message) : std::runtime_error(message), status_(status) {}

    /// CONVLOW_ERROR_...
    convlow_status status() const noexcept { return status_; }
    /// The name of the status, for example "CONVLOW_ERROR_UNSUPPORTED".
    const char *status_name() const noexcept { return convlow_status_name(status_); }

  private:
    convlow_status status_;
};

/// Throws an error with the last failure of the calling thread, unless the status is CONVLOW_OK.
inline void check(convlow_status status) {
    if (status != CONVLOW_OK) {
        throw error(status, convlow_last_error_message());
    }
}

/// Sizes of an image in pixels: rows and columns.
struct extent {
    std::size_t height;
    std::size_t width;
};

/// convlow_conv2d_desc, with the defaults of convlow_conv2d_desc_init.
struct descriptor : convlow_conv2d_desc {
    descriptor() noexcept : convlow_conv2d_desc() {
        convlow_conv2d_desc_init(this, sizeof(convlow_conv2d_desc));
    }

    /// Rows and columns of dst.
    extent output_size() const {
        extent size{};
        check(convlow_conv2d_output_size(this, &size.height, &size.width));
        return size;
    }
    /// Elements (floats) of src.
    std::size_t src_size() const {
        output_size(); // throws if a size overflows
        return batch * in_channels * in_height * in_width;
    }
    /// Elements (floats) of the weights.
    std::size_t weights_size() const {
        output_size();
        return out_channels * (in_channels / groups) * kernel_height * kernel_width;
    }
    /// Elements (floats) of dst.
    std::size_t dst_size() const {
        const extent size = output_size();
        return batch * out_channels * size.height * size.width;
    }

    /// Sets the activation: `kind` is CONVLOW_ACTIVATION_... NaN stands for the default of a parameter. For
    /// CONVLOW_ACTIVATION_PRELU, pass the slopes in `arguments`.
    descriptor &activate(std::int32_t kind, double alpha = std::numeric_limits<double>::quiet_NaN(),
                         double beta = std::numeric_limits<double>::quiet_NaN()) noexcept {
        activation = kind;
        activation_alpha = alpha;
        activation_beta = beta;
        return *this;
    }
    /// Sets the activation max(y, 0).
    descriptor &relu() noexcept { return clamp(0.0F, std::numeric_limits<float>::infinity()); }
    /// Sets the activation min(max(y, least), greatest).
    descriptor &clamp(float least, float greatest) noexcept {
        activation_min = least;
        activation_max = greatest;
        return activate(CONVLOW_ACTIVATION_CLAMP);
    }
    /// Sets the padding: `rows` above and below, `columns` left and right.
    descriptor &pad(std::size_t rows, std::size_t columns) noexcept {
        pad_top = pad_bottom = rows;
        pad_left = pad_right = columns;
        return *this;
    }
};

/// convlow_convnd_desc, with the defaults of convlow_convnd_desc_init.
///
///     convlow::descriptor_nd desc(3, CONVLOW_OPERATION_CONV_TRANSPOSE);
///     desc.in_channels = 32, desc.out_channels = 16;
///     desc.axis(0, 8, 2).axis(1, 28, 2).axis(2, 28, 2);
///     desc.stride[0] = desc.stride[1] = desc.stride[2] = 2;
struct descriptor_nd : convlow_convnd_desc {
    explicit descriptor_nd(std::int32_t dims = 2,
                           std::int32_t operation_kind = CONVLOW_OPERATION_CONV) noexcept
        : convlow_convnd_desc() {
        convlow_convnd_desc_init(this, sizeof(convlow_convnd_desc));
        spatial_dims = dims;
        operation = operation_kind;
    }

    /// The size of dst on each axis, the outermost first. Elements behind spatial_dims are 1.
    std::array<std::size_t, 3> output_size() const {
        std::array<std::size_t, 3> size{};
        check(convlow_convnd_output_size(this, size.data()));
        return size;
    }
    /// Elements of a dense src. For a slice the tensor has more: its strides do not count here.
    std::size_t src_size() const {
        output_size(); // throws if a size overflows
        return batch * in_channels * product(in_size);
    }
    /// Elements of the weights.
    std::size_t weights_size() const {
        output_size();
        return out_channels * (in_channels / groups) * product(kernel_size);
    }
    /// Elements of a dense dst. For a slice the tensor has more: its strides do not count here.
    std::size_t dst_size() const {
        const std::array<std::size_t, 3> size = output_size();
        return batch * out_channels * size[0] * size[1] * size[2];
    }

    /// Sets the input size, the kernel size and the padding of one axis. `padding` holds for both sides. The
    /// outermost axis has index 0. Throws std::out_of_range if `index` is above 2.
    descriptor_nd &axis(std::size_t index, std::size_t size, std::size_t kernel, std::size_t padding = 0) {
        if (index >= std::size(in_size)) {
            throw std::out_of_range("convlow::descriptor_nd::axis");
        }
        in_size[index] = size;
        kernel_size[index] = kernel;
        pad_before[index] = pad_after[index] = padding;
        return *this;
    }

    /// Sets the activation: `kind` is CONVLOW_ACTIVATION_... NaN stands for the default of a parameter. For
    /// CONVLOW_ACTIVATION_PRELU, pass the slopes in `arguments`.
    descriptor_nd &activate(std::int32_t kind, double alpha = std::numeric_limits<double>::quiet_NaN(),
                            double beta = std::numeric_limits<double>::quiet_NaN()) noexcept {
        activation = kind;
        activation_alpha = alpha;
        activation_beta = beta;
        return *this;
    }
    /// Sets the activation max(y, 0).
    descriptor_nd &relu() noexcept { return clamp(0.0, std::numeric_limits<double>::infinity()); }
    /// Sets the activation min(max(y, least), greatest).
    descriptor_nd &clamp(double least, double greatest) noexcept {
        activation_min = least;
        activation_max = greatest;
        return activate(CONVLOW_ACTIVATION_CLAMP);
    }

  private:
    /// The product of the first spatial_dims sizes.
    std::size_t product(const std::size_t (&sizes)[3]) const {
        std::size_t all = 1;
        for (std::int32_t axis = 0; axis < spatial_dims; ++axis) {
            all *= sizes[axis];
        }
        return all;
    }
};

/// convlow_execute_args, with the defaults of convlow_execute_args_init.
struct arguments : convlow_execute_args {
    arguments() noexcept : convlow_execute_args() {
        convlow_execute_args_init(this, sizeof(convlow_execute_args));
    }
};

class pool;

/// convlow_plan_options, with the defaults of convlow_plan_options_init.
struct options : convlow_plan_options {
    options() noexcept : convlow_plan_options() {
        convlow_plan_options_init(this, sizeof(convlow_plan_options));
    }
    /// Sets the pool, which must exist when the plan is made. You may destroy it before the plan.
    inline options &on(const convlow::pool &threads) noexcept;
    /// Makes a plan that packs nothing ahead: each execute reads the caller's own weights, in weights_layout.
    options &plain_weights() noexcept {
        packing = CONVLOW_PACKING_NONE;
        return *this;
    }
};

namespace detail {

struct plan_deleter {
    void operator()(convlow_plan *plan) const noexcept { convlow_plan_destroy(plan); }
};

struct pool_deleter {
    void operator()(convlow_pool *pool) const noexcept { convlow_pool_destroy(pool); }
};

/// An allocator of memory with an alignment of `Alignment` bytes.
template <class T, std::size_t Alignment> struct aligned_allocator {
    using value_type = T;
    template <class U> struct rebind { using other = aligned_allocator<U, Alignment>; };

    aligned_allocator() = default;
    template <class U> aligned_allocator(const aligned_allocator<U, Alignment> &) noexcept {}

    T *allocate(std::size_t count) {
        if (count > static_cast<std::size_t>(-1) / sizeof(T)) {
            throw std::bad_array_new_length();
        }
        return static_cast<T *>(::operator new(count * sizeof(T), std::align_val_t(Alignment)));
    }
    void deallocate(T *memory, std::size_t) noexcept {
        ::operator delete(memory, std::align_val_t(Alignment));
    }

    friend bool operator==(const aligned_allocator &, const aligned_allocator &) noexcept { return true; }
    friend bool operator!=(const aligned_allocator &, const aligned_allocator &) noexcept { return false; }
};

/// Owns bytes with an alignment of 64 bytes, a cache line. `Purpose` keeps two uses of buffers apart.
template <class Purpose> class buffer {
  public:
    buffer() = default;
    /// Allocates `bytes` bytes, all 0.
    explicit buffer(std::size_t bytes) : bytes_(bytes) {}

    void *data() noexcept { return bytes_.data(); }
    const void *data() const noexcept { return bytes_.data(); }
    /// The number of bytes.
    std::size_t size() const noexcept { return bytes_.size(); }

  private:
    std::vector<unsigned char, aligned_allocator<unsigned char, 64>> bytes_;
};

} // namespace detail

/// Memory for the intermediate results of an execute. Only one execute at a time may use it.
using workspace = detail::buffer<struct workspace_purpose>;

/// Weights in the order in which a plan reads them. The bytes hold no pointer: you may copy and store them,
/// and share them between threads and between plans with the same packing_id().
using packed_weights = detail::buffer<struct packed_weights_purpose>;

/// Threads that compute one execute together. Owns a convlow_pool; it can be moved, but not copied.
class pool {
  public:
    /// A pool of `threads` threads of the library, which include the executing thread. 0: as many as the
    /// calling thread may use cores, or fewer in a container with a CPU quota.
    explicit pool(std::size_t threads = 0) {
        convlow_pool *made = nullptr;
        check(convlow_pool_create(threads, &made));
        handle_.reset(made);
    }

    /// A pool of the host's threads. `run` and `context` must outlive the pool and all its plans.
    pool(convlow_parallel_for run, void *context, std::size_t threads) {
        convlow_pool *made = nullptr;
        check(convlow_pool_create_external(run, context, threads, &made));
        handle_.reset(made);
    }

    /// A pool of the host's threads, which the callable `parallel_for` reaches. `parallel_for(jobs, job)`
    /// calls job(0) to job(jobs - 1), on any threads and in any order, and returns when all these calls have
    /// returned. `jobs` is at most `threads`.
    ///
    /// The callable must outlive the pool and all its plans. The executing thread calls it, one execute at a
    /// time. It may throw only while no job runs. The exception is dropped; the executing thread does the
    /// rest of the work, and the result is right.
    template <class ParallelFor> static pool over(ParallelFor &parallel_for, std::size_t threads) {
        // `call` gives the pointer its type back, including const.
        void *context = const_cast<void *>(static_cast<const void *>(std::addressof(parallel_for)));
        return pool(&call<ParallelFor>, context, threads);
    }

    /// Sets the time in microseconds for which the threads wait awake for the next execute before they sleep.
    /// 0: they sleep at once. See convlow_pool_set_spin.
    pool &spin(std::uint32_t microseconds) {
        check(convlow_pool_set_spin(handle_.get(), microseconds));
        return *this;
    }

    /// Sets CONVLOW_BINDING_CORES or CONVLOW_BINDING_NONE. See convlow_pool_set_binding.
    pool &binding(std::int32_t binding) {
        check(convlow_pool_set_binding(handle_.get(), binding));
        return *this;
    }

    /// For calls of convlow.h. This object still owns the result. Null after a move from this object.
    convlow_pool *get() const noexcept { return handle_.get(); }

  private:
    using job_function = void (*)(void *argument, std::size_t index);

    template <class ParallelFor>
    static void call(void *context, std::size_t jobs, job_function job, void *argument) noexcept {
        try {
            (*static_cast<ParallelFor *>(context))(jobs, [=](std::size_t index) { job(argument, index); });
        } catch (...) {
            // No exception may pass through the library. It also runs the jobs that were not called.
        }
    }

    std::unique_ptr<convlow_pool, detail::pool_deleter> handle_;
};

inline options &options::on(const convlow::pool &threads) noexcept {
    pool = threads.get();
    return *this;
}

/// A convolution that is ready to run. Owns a convlow_plan; it can be moved, but not copied. Any number of
/// threads may execute it at the same time, each with its own dst and workspace.
class plan {
  public:
    explicit plan(const convlow_conv2d_desc &desc) : plan(desc, options()) {}

    plan(const convlow_conv2d_desc &desc, const convlow_plan_options &options) {
        convlow_plan *made = nullptr;
        check(convlow_plan_create(&desc, &options, &made));
        handle_.reset(made);
    }

    explicit plan(const convlow_convnd_desc &desc) : plan(desc, options()) {}

    plan(const convlow_convnd_desc &desc, const convlow_plan_options &options) {
        convlow_plan *made = nullptr;
        check(convlow_plan_create_nd(&desc, &options, &made));
        handle_.reset(made);
    }

    /// The choice of the planner: algorithm, sizes and times.
    convlow_plan_info info() const {
        convlow_plan_info info{};
        info.struct_size = sizeof(info);
        check(convlow_plan_get_info(get(), &info));
        return info;
    }
    /// The name of the chosen algorithm. The text is static.
    std::string_view algorithm() const { return convlow_algorithm_name(info().algorithm); }

    /// The exact number of bytes of workspace that an execute needs.
    std::size_t workspace_bytes() const noexcept { return convlow_plan_workspace_bytes(get()); }
    /// The exact number of bytes of the packed weights.
    std::size_t packed_weights_bytes() const noexcept { return convlow_plan_packed_weights_bytes(get()); }

    /// The number of the format of the packed weights. It does not identify the weights: two layers of one
    /// shape share it. The key of a cache of packed weights must be the layer and this number.
    std::uint64_t packing_id() const noexcept { return convlow_plan_packing_id(get()); }

    /// A new workspace of workspace_bytes() bytes.
    workspace make_workspace() const { return workspace(workspace_bytes()); }

    /// Packs weights, which are in weights_layout, into a new buffer. For a plan of CONVLOW_TYPE_F32.
    packed_weights pack(const float *weights) const { return packed_from(weights); }
    /// As above, for a plan of CONVLOW_TYPE_F64.
    packed_weights pack(const double *weights) const { return packed_from(weights); }
    /// Packs weights into packed_weights_bytes() bytes of the caller, with an alignment of 16 bytes.
    void pack(const float *weights, void *packed, std::size_t packed_bytes) const {
        check(convlow_pack_weights(get(), weights, packed, packed_bytes));
    }
    /// As above, for a plan of CONVLOW_TYPE_F64.
    void pack(const double *weights, void *packed, std::size_t packed_bytes) const {
        check(convlow_pack_weights_f64(get(), weights, packed, packed_bytes));
    }

    /// Computes dst, with a plan of CONVLOW_TYPE_F32. `bias` may be null. Throws if `weights` has too few
    /// bytes for the plan. The library allocates nothing; the GEMM of a plan may (docs/memory.md).
    void execute(const float *src, const packed_weights &weights, const float *bias, float *dst,
                 workspace &memory) const {
        check_size(weights);
        execute(src, weights.data(), bias, dst, memory.data(), memory.size());
    }
    /// As above, for a plan of CONVLOW_TYPE_F64.
    void execute(const double *src, const packed_weights &weights, const double *bias, double *dst,
                 workspace &memory) const {
        check_size(weights);
        execute(src, weights.data(), bias, dst, memory.data(), memory.size());
    }
    /// Computes dst with memory of the caller. `memory` is the workspace. The function cannot check that
    /// `weights` has packed_weights_bytes() bytes. For a plan of options::plain_weights(), `weights` are the
    /// caller's own.
    void execute(const float *src, const void *weights, const float *bias, float *dst, void *memory,
                 std::size_t memory_bytes) const {
        check(convlow_execute(get(), src, weights, bias, dst, memory, memory_bytes));
    }
    /// As above, for a plan of CONVLOW_TYPE_F64.
    void execute(const double *src, const void *weights, const double *bias, double *dst, void *memory,
                 std::size_t memory_bytes) const {
        check(convlow_execute_f64(get(), src, weights, bias, dst, memory, memory_bytes));
    }

    /// Computes dst with all arguments of convlow_execute_with: also a residual, slopes, a context for an
    /// external pool, and the number of bytes of the packed weights. For a plan of any type.
    void execute(const convlow_execute_args &args) const { check(convlow_execute_with(get(), &args)); }

    /// For calls of convlow.h. This object still owns the result. Null after a move from this object.
    convlow_plan *get() const noexcept { return handle_.get(); }

  private:
    template <class T> packed_weights packed_from(const T *weights) const {
        packed_weights packed(packed_weights_bytes());
        pack(weights, packed.data(), packed.size());
        return packed;
    }

    void check_size(const packed_weights &weights) const {
        if (weights.size() < packed_weights_bytes()) {
            throw error(CONVLOW_ERROR_WEIGHTS_MISMATCH,
                        ("packed_weights has " + std::to_string(weights.size()) +
                         " bytes, but the plan's have " + std::to_string(packed_weights_bytes()))
                            .c_str());
        }
    }

    std::unique_ptr<convlow_plan, detail::plan_deleter> handle_;
};

namespace detail {

/// All elements that `ask(infos, capacity, count)` writes.
template <class Ask> std::vector<convlow_plan_info> all_infos(const Ask &ask) {
    std::vector<convlow_plan_info> infos(convlow_algorithm_count());
    infos.front().struct_size = sizeof(convlow_plan_info);
    std::size_t count = 0;
    check(ask(infos.data(), infos.size(), &count));
    return infos;
}

} // namespace detail

/// Every algorithm with its sizes and times, or with the reason against it. See convlow_query.
inline std::vector<convlow_plan_info> query(const convlow_conv2d_desc &desc,
                                            const convlow_plan_options &options = convlow::options()) {
    return detail::all_infos([&](auto... infos) { return convlow_query(&desc, &options, infos...); });
}

/// As above, for a convlow_convnd_desc.
inline std::vector<convlow_plan_info> query(const convlow_convnd_desc &desc,
                                            const convlow_plan_options &options = convlow::options()) {
    return detail::all_infos([&](auto... infos) { return convlow_query_nd(&desc, &options, infos...); });
}

/// All times that this process has measured or imported, as text. See convlow_wisdom_export.
inline std::string export_wisdom() {
    for (;;) {
        std::size_t length = 0;
        check(convlow_wisdom_export(nullptr, 0, &length));
        std::string text(length + 1, '\0');
        const convlow_status status = convlow_wisdom_export(text.data(), text.size(), &length);
        if (status == CONVLOW_OK) {
            text.resize(length);
            return text;
        }
        // Another thread may have added times after the first call.
        std::size_t now = 0;
        check(convlow_wisdom_export(nullptr, 0, &now));
        if (now < text.size()) {
            throw error(status, convlow_last_error_message());
        }
    }
}

/// Adds times from a text that export_wisdom wrote on the same machine. See convlow_wisdom_import.
inline void import_wisdom(std::string_view text) {
    check(convlow_wisdom_import(text.data() != nullptr ? text.data() : "", text.size()));
}

} // namespace convlow

#endif
