/*
 * convlow for C++17: classes that own what convlow.h hands out, and exceptions for its statuses. Header-only;
 * link the same library.
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
 * convlow.h says what each field and function means. Whatever the library refuses throws convlow::error;
 * where memory for a buffer of this header is short, std::bad_alloc or std::length_error. Classes here may be
 * used from several threads as their counterparts in convlow.h: const member functions at any time, others by
 * one thread.
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

/// A call that was refused: what() names the field and its value.
class error : public std::runtime_error {
  public:
    error(convlow_status status, const char *message) : std::runtime_error(message), status_(status) {}

    /// CONVLOW_ERROR_...
    convlow_status status() const noexcept { return status_; }
    /// The status as its constant spells it.
    const char *status_name() const noexcept { return convlow_status_name(status_); }

  private:
    convlow_status status_;
};

/// Throws the calling thread's last failure unless the status is CONVLOW_OK.
inline void check(convlow_status status) {
    if (status != CONVLOW_OK) {
        throw error(status, convlow_last_error_message());
    }
}

/// Rows and columns.
struct extent {
    std::size_t height;
    std::size_t width;
};

/// convlow_conv2d_desc with the defaults set.
struct descriptor : convlow_conv2d_desc {
    descriptor() noexcept : convlow_conv2d_desc() {
        convlow_conv2d_desc_init(this, sizeof(convlow_conv2d_desc));
    }

    /// Rows and columns of the output.
    extent output_size() const {
        extent size{};
        check(convlow_conv2d_output_size(this, &size.height, &size.width));
        return size;
    }
    /// Floats of src.
    std::size_t src_size() const {
        output_size(); // refuses what overflows
        return batch * in_channels * in_height * in_width;
    }
    /// Floats of the weights.
    std::size_t weights_size() const {
        output_size();
        return out_channels * (in_channels / groups) * kernel_height * kernel_width;
    }
    /// Floats of dst.
    std::size_t dst_size() const {
        const extent size = output_size();
        return batch * out_channels * size.height * size.width;
    }

    /// CONVLOW_ACTIVATION_... behind the convolution, by its own defaults where no parameters are given.
    /// Slopes of CONVLOW_ACTIVATION_PRELU go into `arguments`.
    descriptor &activate(std::int32_t kind, double alpha = std::numeric_limits<double>::quiet_NaN(),
                         double beta = std::numeric_limits<double>::quiet_NaN()) noexcept {
        activation = kind;
        activation_alpha = alpha;
        activation_beta = beta;
        return *this;
    }
    /// max(y, 0) behind the convolution.
    descriptor &relu() noexcept { return clamp(0.0F, std::numeric_limits<float>::infinity()); }
    /// min(max(y, least), greatest) behind the convolution.
    descriptor &clamp(float least, float greatest) noexcept {
        activation_min = least;
        activation_max = greatest;
        return activate(CONVLOW_ACTIVATION_CLAMP);
    }
    /// The same padding on opposite sides.
    descriptor &pad(std::size_t rows, std::size_t columns) noexcept {
        pad_top = pad_bottom = rows;
        pad_left = pad_right = columns;
        return *this;
    }
};

/// convlow_convnd_desc with the defaults set: one, two or three dimensions, transposed or not.
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

    /// The output's size on each axis, 1 behind spatial_dims.
    std::array<std::size_t, 3> output_size() const {
        std::array<std::size_t, 3> size{};
        check(convlow_convnd_output_size(this, size.data()));
        return size;
    }
    /// Elements of a packed src; its strides do not count.
    std::size_t src_size() const {
        output_size(); // refuses what overflows
        return batch * in_channels * product(in_size);
    }
    /// Elements of the weights.
    std::size_t weights_size() const {
        output_size();
        return out_channels * (in_channels / groups) * product(kernel_size);
    }
    /// Elements of a packed dst; its strides do not count.
    std::size_t dst_size() const {
        const std::array<std::size_t, 3> size = output_size();
        return batch * out_channels * size[0] * size[1] * size[2];
    }

    /// Size, kernel and the padding on both sides of an axis, 0 being the outermost.
    descriptor_nd &axis(std::size_t index, std::size_t size, std::size_t kernel, std::size_t padding = 0) {
        if (index >= std::size(in_size)) {
            throw std::out_of_range("convlow::descriptor_nd::axis");
        }
        in_size[index] = size;
        kernel_size[index] = kernel;
        pad_before[index] = pad_after[index] = padding;
        return *this;
    }

    /// CONVLOW_ACTIVATION_... behind the convolution, by its own defaults where no parameters are given.
    /// Slopes of CONVLOW_ACTIVATION_PRELU go into `arguments`.
    descriptor_nd &activate(std::int32_t kind, double alpha = std::numeric_limits<double>::quiet_NaN(),
                            double beta = std::numeric_limits<double>::quiet_NaN()) noexcept {
        activation = kind;
        activation_alpha = alpha;
        activation_beta = beta;
        return *this;
    }
    /// max(y, 0) behind the convolution.
    descriptor_nd &relu() noexcept { return clamp(0.0, std::numeric_limits<double>::infinity()); }
    /// min(max(y, least), greatest) behind the convolution.
    descriptor_nd &clamp(double least, double greatest) noexcept {
        activation_min = least;
        activation_max = greatest;
        return activate(CONVLOW_ACTIVATION_CLAMP);
    }

  private:
    /// The product of the axes that count.
    std::size_t product(const std::size_t (&sizes)[3]) const {
        std::size_t all = 1;
        for (std::int32_t axis = 0; axis < spatial_dims; ++axis) {
            all *= sizes[axis];
        }
        return all;
    }
};

/// convlow_execute_args, all of it 0.
struct arguments : convlow_execute_args {
    arguments() noexcept : convlow_execute_args() {
        convlow_execute_args_init(this, sizeof(convlow_execute_args));
    }
};

class pool;

/// convlow_plan_options with the defaults set.
struct options : convlow_plan_options {
    options() noexcept : convlow_plan_options() {
        convlow_plan_options_init(this, sizeof(convlow_plan_options));
    }
    /// Threads for execute. Plans keep what they need of the pool, so it may go before them.
    inline options &on(const convlow::pool &threads) noexcept;
};

namespace detail {

struct plan_deleter {
    void operator()(convlow_plan *plan) const noexcept { convlow_plan_destroy(plan); }
};

struct pool_deleter {
    void operator()(convlow_pool *pool) const noexcept { convlow_pool_destroy(pool); }
};

/// Allocates on a boundary of `Alignment` bytes.
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

/// Bytes on a boundary of 64, a cache line. `Purpose` keeps buffers apart that must not be confused.
template <class Purpose> class buffer {
  public:
    buffer() = default;
    /// Zeroed memory.
    explicit buffer(std::size_t bytes) : bytes_(bytes) {}

    void *data() noexcept { return bytes_.data(); }
    const void *data() const noexcept { return bytes_.data(); }
    /// In bytes.
    std::size_t size() const noexcept { return bytes_.size(); }

  private:
    std::vector<unsigned char, aligned_allocator<unsigned char, 64>> bytes_;
};

} // namespace detail

/// Memory for one execute at a time.
using workspace = detail::buffer<struct workspace_purpose>;

/// Weights in the order that a plan reads them. It holds no pointer: copy it, store its bytes, share it
/// between threads and between plans that pack alike.
using packed_weights = detail::buffer<struct packed_weights_purpose>;

/// Threads for execute. Move-only.
class pool {
  public:
    /// The library's own threads, the calling one included; 0: as many as this process may use.
    explicit pool(std::size_t threads = 0) {
        convlow_pool *made = nullptr;
        check(convlow_pool_create(threads, &made));
        handle_.reset(made);
    }

    /// The host's threads behind a C function. `run` and `context` must outlive the pool and all plans made
    /// with it.
    pool(convlow_parallel_for run, void *context, std::size_t threads) {
        convlow_pool *made = nullptr;
        check(convlow_pool_create_external(run, context, threads, &made));
        handle_.reset(made);
    }

    /// The host's threads behind a callable: `parallel_for(jobs, job)` calls job(0) ... job(jobs - 1), at
    /// most `threads` of them, on any threads in any order, and returns when all have returned.
    ///
    /// The callable must outlive the pool and all plans made with it, and is called by every thread that
    /// executes such a plan. If it throws, then only with no job running: the exception ends here, and the
    /// executing thread does what is left, so that the result is right all the same.
    template <class ParallelFor> static pool over(ParallelFor &parallel_for, std::size_t threads) {
        // `call` gives the pointer its type back, with the const that it may have.
        void *context = const_cast<void *>(static_cast<const void *>(std::addressof(parallel_for)));
        return pool(&call<ParallelFor>, context, threads);
    }

    /// For how many microseconds the threads look out for the next execute before they sleep; 0: they never
    /// spin.
    pool &spin(std::uint32_t microseconds) {
        check(convlow_pool_set_spin(handle_.get(), microseconds));
        return *this;
    }

    /// CONVLOW_BINDING_CORES or CONVLOW_BINDING_NONE: whether threads that wake are spread over the cores.
    pool &binding(std::int32_t binding) {
        check(convlow_pool_set_binding(handle_.get(), binding));
        return *this;
    }

    /// For calls of convlow.h; the pool keeps it.
    convlow_pool *get() const noexcept { return handle_.get(); }

  private:
    using job_function = void (*)(void *argument, std::size_t index);

    template <class ParallelFor>
    static void call(void *context, std::size_t jobs, job_function job, void *argument) noexcept {
        try {
            (*static_cast<ParallelFor *>(context))(jobs, [=](std::size_t index) { job(argument, index); });
        } catch (...) {
            // An exception cannot pass the library, which also runs the jobs that were not called.
        }
    }

    std::unique_ptr<convlow_pool, detail::pool_deleter> handle_;
};

inline options &options::on(const convlow::pool &threads) noexcept {
    pool = threads.get();
    return *this;
}

/// A convolution ready to run. Move-only; any number of threads may execute it at once, each with its own dst
/// and workspace.
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

    /// What was chosen.
    convlow_plan_info info() const {
        convlow_plan_info info{};
        info.struct_size = sizeof(info);
        check(convlow_plan_get_info(get(), &info));
        return info;
    }
    /// The chosen algorithm's name.
    std::string_view algorithm() const { return convlow_algorithm_name(info().algorithm); }

    /// Bytes that execute needs, exact.
    std::size_t workspace_bytes() const noexcept { return convlow_plan_workspace_bytes(get()); }
    /// Bytes of the packed weights, exact.
    std::size_t packed_weights_bytes() const noexcept { return convlow_plan_packed_weights_bytes(get()); }

    /// The same for all plans that read the same packed weights.
    std::uint64_t packing_id() const noexcept { return convlow_plan_packing_id(get()); }

    /// A workspace of the plan's size.
    workspace make_workspace() const { return workspace(workspace_bytes()); }

    /// Weights in the descriptor's layout, packed.
    packed_weights pack(const float *weights) const { return packed_from(weights); }
    /// The same for a plan of CONVLOW_TYPE_F64.
    packed_weights pack(const double *weights) const { return packed_from(weights); }
    /// Packs into memory of the caller, aligned as by malloc.
    void pack(const float *weights, void *packed, std::size_t packed_bytes) const {
        check(convlow_pack_weights(get(), weights, packed, packed_bytes));
    }
    /// The same for a plan of CONVLOW_TYPE_F64.
    void pack(const double *weights, void *packed, std::size_t packed_bytes) const {
        check(convlow_pack_weights_f64(get(), weights, packed, packed_bytes));
    }

    /// Computes dst. `bias` may be null. With a workspace of the plan's size it allocates
    /// nothing itself; convlow_execute says what a GEMM may.
    void execute(const float *src, const packed_weights &weights, const float *bias, float *dst,
                 workspace &memory) const {
        check_size(weights);
        execute(src, weights.data(), bias, dst, memory.data(), memory.size());
    }
    /// The same for a plan of CONVLOW_TYPE_F64.
    void execute(const double *src, const packed_weights &weights, const double *bias, double *dst,
                 workspace &memory) const {
        check_size(weights);
        execute(src, weights.data(), bias, dst, memory.data(), memory.size());
    }
    /// Computes dst from weights and in memory of the caller.
    void execute(const float *src, const void *weights, const float *bias, float *dst, void *memory,
                 std::size_t memory_bytes) const {
        check(convlow_execute(get(), src, weights, bias, dst, memory, memory_bytes));
    }
    /// The same for a plan of CONVLOW_TYPE_F64.
    void execute(const double *src, const void *weights, const double *bias, double *dst, void *memory,
                 std::size_t memory_bytes) const {
        check(convlow_execute_f64(get(), src, weights, bias, dst, memory, memory_bytes));
    }

    /// Computes with a residual from its own tensor, slopes of CONVLOW_ACTIVATION_PRELU, or a context for
    /// this call.
    void execute(const convlow_execute_args &args) const { check(convlow_execute_with(get(), &args)); }

    /// For calls of convlow.h; the plan keeps it. Null once it was moved from.
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

/// All that `ask(infos, capacity, count)` has to say.
template <class Ask> std::vector<convlow_plan_info> all_infos(const Ask &ask) {
    std::vector<convlow_plan_info> infos(convlow_algorithm_count());
    infos.front().struct_size = sizeof(convlow_plan_info);
    std::size_t count = 0;
    check(ask(infos.data(), infos.size(), &count));
    return infos;
}

} // namespace detail

/// Every algorithm's answer for a problem, in registry order: applicable or why not, workspace, cost.
inline std::vector<convlow_plan_info> query(const convlow_conv2d_desc &desc,
                                            const convlow_plan_options &options = convlow::options()) {
    return detail::all_infos([&](auto... infos) { return convlow_query(&desc, &options, infos...); });
}

/// The same for a descriptor of any number of dimensions.
inline std::vector<convlow_plan_info> query(const convlow_convnd_desc &desc,
                                            const convlow_plan_options &options = convlow::options()) {
    return detail::all_infos([&](auto... infos) { return convlow_query_nd(&desc, &options, infos...); });
}

/// What CONVLOW_EFFORT_MEASURE has learned in this process, as text.
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
        // Another thread may have learned more since the length was asked.
        std::size_t now = 0;
        check(convlow_wisdom_export(nullptr, 0, &now));
        if (now < text.size()) {
            throw error(status, convlow_last_error_message());
        }
    }
}

/// Adds what export_wisdom gave, on this machine, to what is known.
inline void import_wisdom(std::string_view text) {
    check(convlow_wisdom_import(text.data() != nullptr ? text.data() : "", text.size()));
}

} // namespace convlow

#endif
