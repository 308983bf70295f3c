// convlow.hpp from C++17: ownership, defaults, exceptions, a host's threads, query and wisdom.

#include "buffers.h"

#include <convlow.hpp>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <thread>
#include <type_traits>

namespace {

static_assert(!std::is_copy_constructible_v<convlow::plan> && !std::is_copy_assignable_v<convlow::plan>);
static_assert(std::is_nothrow_move_constructible_v<convlow::plan> &&
              std::is_nothrow_move_assignable_v<convlow::plan>);
static_assert(!std::is_copy_constructible_v<convlow::pool> && !std::is_copy_assignable_v<convlow::pool>);
static_assert(std::is_nothrow_move_constructible_v<convlow::pool> &&
              std::is_nothrow_move_assignable_v<convlow::pool>);
static_assert(std::is_copy_constructible_v<convlow::packed_weights>);
static_assert(!std::is_convertible_v<convlow::workspace, convlow::packed_weights>);
static_assert(sizeof(convlow::descriptor) == sizeof(convlow_conv2d_desc));
static_assert(sizeof(convlow::options) == sizeof(convlow_plan_options));

// 3x3 over 4 channels of 12 x 10, all ones: an output counts the taps of its window that lie inside.
struct counting {
    convlow::descriptor desc;
    std::vector<float> src, weights, bias;

    counting() {
        desc.in_channels = 4;
        desc.in_height = 12;
        desc.in_width = 10;
        desc.out_channels = 6;
        desc.kernel_height = desc.kernel_width = 3;
        desc.pad(1, 1);
        src.assign(desc.src_size(), 1.0F);
        weights.assign(desc.weights_size(), 1.0F);
        bias.assign(desc.out_channels, 0.5F);
    }

    bool is_result(const std::vector<float> &dst) const {
        bool right = dst.size() == 6 * 12 * 10;
        for (std::size_t i = 0; right && i < dst.size(); ++i) {
            const std::size_t y = i / 10 % 12, x = i % 10;
            const float rows = y == 0 || y == 11 ? 2.0F : 3.0F, columns = x == 0 || x == 9 ? 2.0F : 3.0F;
            right = dst[i] == 4.0F * rows * columns + 0.5F;
        }
        return right;
    }

    std::vector<float> run(const convlow::plan &plan) const {
        std::vector<float> dst(desc.dst_size(), NAN);
        const convlow::packed_weights packed = plan.pack(weights.data());
        convlow::workspace workspace = plan.make_workspace();
        plan.execute(src.data(), packed, bias.data(), dst.data(), workspace);
        return dst;
    }
};

// Runs `call`, which must throw this status.
template <class Call> void check_throws(const Call &call, convlow_status status, const char *fragment) {
    try {
        call();
        CHECK(!"the call throws");
    } catch (const convlow::error &failure) {
        CHECK_STATUS(failure.status(), status);
        CHECK_CONTAINS(failure.what(), fragment);
        CHECK_CONTAINS(failure.status_name(), convlow_status_name(status));
    }
}

void defaults() {
    const convlow::descriptor desc;
    CHECK_SIZE(desc.struct_size, sizeof(convlow_conv2d_desc));
    CHECK_SIZE(desc.batch, 1);
    CHECK_SIZE(desc.groups, 1);
    CHECK_SIZE(desc.in_channels, 0);
    CHECK(desc.activation == CONVLOW_ACTIVATION_NONE);
    const convlow::options options;
    CHECK_SIZE(options.struct_size, sizeof(convlow_plan_options));
    CHECK_SIZE(options.max_workspace_bytes, SIZE_MAX);
    CHECK(options.pool == nullptr);

    convlow::descriptor relu;
    CHECK(relu.relu().activation == CONVLOW_ACTIVATION_CLAMP);
    CHECK(relu.activation_min == 0.0F && relu.activation_max == std::numeric_limits<float>::infinity());
    relu.clamp(-1.0F, 6.0F);
    CHECK(relu.activation_min == -1.0F && relu.activation_max == 6.0F);
    relu.relu();
    CHECK(relu.activation_min == 0.0F && relu.activation_max == std::numeric_limits<float>::infinity());
}

void plans() {
    const counting c;
    const convlow::extent size = c.desc.output_size();
    CHECK_SIZE(size.height, 12);
    CHECK_SIZE(size.width, 10);

    convlow::plan first(c.desc);
    CHECK(c.is_result(c.run(first)));
    CHECK(!first.algorithm().empty());
    CHECK_SIZE(first.info().dst_height, 12);
    CHECK_SIZE(first.info().workspace_bytes, first.workspace_bytes());

    convlow::plan second(std::move(first));
    CHECK(first.get() == nullptr); // NOLINT: what a moved-from plan is, is the question
    CHECK(c.is_result(c.run(second)));
    check_throws([&] { first.info(); }, CONVLOW_ERROR_INVALID_ARGUMENT, "plan is NULL");
    first = std::move(second);
    CHECK(c.is_result(c.run(first)));
}

// Every algorithm by its id, with buffers on a cache line.
void algorithms() {
    const counting c;
    std::size_t applicable = 0;
    for (const convlow_plan_info &answer : convlow::query(c.desc)) {
        convlow::options options;
        options.algorithm = answer.algorithm;
        if (answer.applicable == 0) {
            check_throws([&] { convlow::plan(c.desc, options); }, CONVLOW_ERROR_UNSUPPORTED, answer.reason);
            continue;
        }
        ++applicable;
        const convlow::plan plan(c.desc, options);
        CHECK(plan.info().algorithm == answer.algorithm);
        CHECK(c.is_result(c.run(plan)));
        const convlow::packed_weights packed = plan.pack(c.weights.data());
        CHECK_SIZE(packed.size(), answer.packed_weights_bytes);
        CHECK_SIZE(reinterpret_cast<std::uintptr_t>(packed.data()) % 64, 0);
        convlow::workspace workspace = plan.make_workspace();
        CHECK_SIZE(workspace.size(), answer.workspace_bytes);
        CHECK_SIZE(reinterpret_cast<std::uintptr_t>(workspace.data()) % 64, 0);
    }
    CHECK(applicable > 0);
}

void exceptions() {
    const counting c;
    convlow::descriptor wrong = c.desc;
    wrong.groups = 3;
    check_throws([&] { wrong.output_size(); }, CONVLOW_ERROR_INVALID_ARGUMENT, "groups = 3");
    check_throws([&] { wrong.dst_size(); }, CONVLOW_ERROR_INVALID_ARGUMENT, "groups = 3");
    check_throws([&] { wrong.src_size(); }, CONVLOW_ERROR_INVALID_ARGUMENT, "groups = 3");
    check_throws([&] { wrong.weights_size(); }, CONVLOW_ERROR_INVALID_ARGUMENT, "groups = 3");
    check_throws([&] { convlow::plan{wrong}; }, CONVLOW_ERROR_INVALID_ARGUMENT, "groups = 3");
    check_throws([&] { convlow::query(wrong); }, CONVLOW_ERROR_INVALID_ARGUMENT, "groups = 3");
    check_throws([] { convlow::pool(SIZE_MAX); }, CONVLOW_ERROR_INVALID_ARGUMENT, "threads = ");
    check_throws([] { convlow::import_wisdom("no wisdom"); }, CONVLOW_ERROR_INVALID_ARGUMENT, "wisdom");
    check_throws([] { convlow::import_wisdom({}); }, CONVLOW_ERROR_INVALID_ARGUMENT, "wisdom");

    convlow::options options;
    options.algorithm = convlow_algorithm_from_name("im2col-scan-ab-ki");
    const convlow::plan plan(c.desc, options);
    const convlow::packed_weights packed = plan.pack(c.weights.data()), empty;
    std::vector<float> dst(c.desc.dst_size(), 7.0F);
    convlow::workspace workspace = plan.make_workspace(), small(plan.workspace_bytes() - 1);
    check_throws([&] { plan.execute(c.src.data(), packed, nullptr, dst.data(), small); },
                 CONVLOW_ERROR_WORKSPACE_LIMIT, "workspace_bytes = ");
    check_throws([&] { plan.execute(c.src.data(), empty, nullptr, dst.data(), workspace); },
                 CONVLOW_ERROR_WEIGHTS_MISMATCH, "packed_weights has 0 bytes");
    check_throws([&] { plan.execute(nullptr, packed, nullptr, dst.data(), workspace); },
                 CONVLOW_ERROR_INVALID_ARGUMENT, "src is NULL");
    CHECK(dst == std::vector<float>(dst.size(), 7.0F));

    bool no_memory = false;
    try {
        convlow::workspace impossible(SIZE_MAX);
    } catch (const std::length_error &) {
        no_memory = true;
    }
    CHECK(no_memory);
}

void own_pool() {
    const counting c;
    convlow::options options;
    convlow::pool threads(3);
    threads.spin(0).spin(50).binding(CONVLOW_BINDING_NONE).binding(CONVLOW_BINDING_CORES);
    convlow::pool moved(std::move(threads));
    CHECK(threads.get() == nullptr); // NOLINT
    const convlow::plan plan(c.desc, options.on(moved));
    moved = convlow::pool(1);
    CHECK(c.is_result(c.run(plan)));
}

// A parallel-for over std::thread.
struct threads_of_a_host {
    std::atomic<int> calls{0};
    std::atomic<std::size_t> most_jobs{0};

    template <class Job> void operator()(std::size_t jobs, const Job &job) {
        ++calls;
        most_jobs = std::max(most_jobs.load(), jobs);
        std::vector<std::thread> running;
        for (std::size_t index = 1; index < jobs; ++index) {
            running.emplace_back([&job, index] { job(index); });
        }
        job(0);
        for (std::thread &thread : running) {
            thread.join();
        }
    }
};

void pool_over_a_host() {
    const counting c;
    threads_of_a_host host;
    const convlow::pool threads = convlow::pool::over(host, 3);
    convlow::options options;
    options.algorithm = convlow_algorithm_from_name("direct-sum2d");
    const convlow::plan plan(c.desc, options.on(threads));
    CHECK(c.is_result(c.run(plan)));
    CHECK(host.calls > 0);
    CHECK(host.most_jobs > 1 && host.most_jobs <= 3);

    // An exception of the host's ends in the pool, and the result is right all the same.
    int thrown = 0;
    const auto throwing = [&thrown](std::size_t, const auto &job) {
        job(0);
        ++thrown;
        throw std::runtime_error("the host has no threads left");
    };
    const convlow::pool unreliable = convlow::pool::over(throwing, 3);
    const convlow::plan unimpressed(c.desc, options.on(unreliable));
    CHECK(c.is_result(c.run(unimpressed)));
    CHECK(thrown > 0);
}

// Transposed 2x2x2 of stride 2 over ones: every output sees one tap, and a residual of its own tensor is
// added.
void any_dimensions() {
    convlow::descriptor_nd desc(3, CONVLOW_OPERATION_CONV_TRANSPOSE);
    CHECK_SIZE(desc.struct_size, sizeof(convlow_convnd_desc));
    desc.in_channels = 4, desc.out_channels = 6, desc.accumulate = 1;
    desc.axis(0, 3, 2).axis(1, 4, 2).axis(2, 5, 2);
    desc.stride[0] = desc.stride[1] = desc.stride[2] = 2;
    const std::array<std::size_t, 3> size = desc.output_size();
    CHECK(size[0] == 6 && size[1] == 8 && size[2] == 10);
    CHECK_SIZE(desc.src_size(), 4 * 3 * 4 * 5);
    CHECK_SIZE(desc.weights_size(), 4 * 6 * 8);
    CHECK_SIZE(desc.dst_size(), 6 * 6 * 8 * 10);
    CHECK_SIZE(convlow::descriptor_nd(desc).relu().dst_size(), 6 * 6 * 8 * 10);
    bool thrown = false;
    try {
        desc.axis(3, 1, 1);
    } catch (const std::out_of_range &) {
        thrown = true;
    }
    CHECK(thrown);

    const convlow::plan plan(desc);
    const convlow::plan again(desc, convlow::options());
    CHECK(plan.packing_id() != 0 && plan.packing_id() == again.packing_id());
    CHECK_SIZE(convlow::query(desc).size(), convlow_algorithm_count());
    const std::vector<float> src(4 * 3 * 4 * 5, 1.0F), weights(4 * 6 * 8, 1.0F);
    const std::vector<float> residual(6 * size[0] * size[1] * size[2], 0.25F);
    std::vector<float> dst(residual.size(), NAN);
    const convlow::packed_weights packed = plan.pack(weights.data());
    convlow::workspace workspace = plan.make_workspace();
    convlow::arguments args;
    args.src = src.data();
    args.packed_weights = packed.data();
    args.dst = dst.data();
    args.residual = residual.data();
    args.workspace = workspace.data();
    args.workspace_bytes = workspace.size();
    plan.execute(args);
    CHECK(std::all_of(dst.begin(), dst.end(), [](float value) { return value == 4.25F; }));
    // The caller's own weights.
    const convlow::plan of_plain(desc, convlow::options().plain_weights());
    CHECK(of_plain.packed_weights_bytes() == 0 && of_plain.packing_id() == 0);
    convlow::workspace for_packing = of_plain.make_workspace();
    std::fill(dst.begin(), dst.end(), 0.25F);
    of_plain.execute(src.data(), weights.data(), nullptr, dst.data(), for_packing.data(), for_packing.size());
    CHECK(std::all_of(dst.begin(), dst.end(), [](float value) { return value == 4.25F; }));
    std::fill(dst.begin(), dst.end(), NAN);
    args.weights = weights.data();
    args.packed_weights = nullptr;
    args.workspace = for_packing.data();
    args.workspace_bytes = for_packing.size();
    of_plain.execute(args);
    CHECK(std::all_of(dst.begin(), dst.end(), [](float value) { return value == 4.25F; }));
    check_throws([&] { of_plain.pack(weights.data()); }, CONVLOW_ERROR_INVALID_ARGUMENT, "nothing to pack");
    args.packed_weights = packed.data();
    // The same in double.
    desc.type = CONVLOW_TYPE_F64, desc.accumulate = 0;
    const convlow::plan twice_as_long(desc);
    const std::vector<double> more_src(src.size(), 0.5), more_weights(weights.size(), 1.0);
    std::vector<double> more_dst(dst.size(), NAN);
    convlow::workspace memory = twice_as_long.make_workspace();
    twice_as_long.execute(more_src.data(), twice_as_long.pack(more_weights.data()), nullptr, more_dst.data(),
                          memory);
    CHECK(std::all_of(more_dst.begin(), more_dst.end(), [](double value) { return value == 2.0; }));
    check_throws([&] { plan.pack(more_weights.data()); }, CONVLOW_ERROR_INVALID_ARGUMENT, "type = f32");
    args.pool_context = &args;
    check_throws([&] { plan.execute(args); }, CONVLOW_ERROR_INVALID_ARGUMENT, "pool_context");
}

// Parameters go where they belong, and slopes with the arguments: one channel of each sign, in both
// descriptors.
void activations() {
    convlow::descriptor two;
    CHECK(std::isnan(two.activation_alpha) && std::isnan(two.activation_beta));
    CHECK(&two.activate(CONVLOW_ACTIVATION_HARD_SWISH, 0.25, 0.375) == &two);
    CHECK(two.activation == CONVLOW_ACTIVATION_HARD_SWISH);
    CHECK(two.activation_alpha == 0.25 && two.activation_beta == 0.375);
    two.activate(CONVLOW_ACTIVATION_SILU);
    CHECK(two.activation == CONVLOW_ACTIVATION_SILU);
    CHECK(std::isnan(two.activation_alpha) && std::isnan(two.activation_beta));

    convlow::descriptor_nd desc(1);
    CHECK(desc.relu().activation == CONVLOW_ACTIVATION_CLAMP);
    CHECK(desc.activation_min == 0.0 && desc.activation_max == std::numeric_limits<double>::infinity());
    CHECK(desc.clamp(-1.0, 6.0).activation == CONVLOW_ACTIVATION_CLAMP);
    CHECK(desc.activation_min == -1.0 && desc.activation_max == 6.0);
    CHECK(desc.activate(CONVLOW_ACTIVATION_HARD_SIGMOID, 0.5, 0.25).activation_alpha == 0.5);
    CHECK(desc.activation_beta == 0.25);

    desc.in_channels = 1, desc.out_channels = 3;
    desc.axis(0, 4, 1).activate(CONVLOW_ACTIVATION_PRELU);
    two.in_channels = 1, two.out_channels = 3, two.in_height = 1, two.in_width = 4;
    two.kernel_height = two.kernel_width = 1;
    two.activate(CONVLOW_ACTIVATION_PRELU);
    const std::vector<float> src{-2.0F, -1.0F, 1.0F, 2.0F}, weights{1.0F, -1.0F, 1.0F},
        slopes{0.5F, 0.25F, 0.0F};
    const std::vector<float> expected{-1.0F,  -0.5F, 1.0F, 2.0F, 2.0F, 1.0F,
                                      -0.25F, -0.5F, 0.0F, 0.0F, 1.0F, 2.0F};
    const convlow::plan of_two(two), of_any(desc);
    for (const convlow::plan *plan : {&of_two, &of_any}) {
        std::vector<float> dst(expected.size(), 7.0F);
        const convlow::packed_weights packed = plan->pack(weights.data());
        convlow::workspace workspace = plan->make_workspace();
        check_throws([&] { plan->execute(src.data(), packed, nullptr, dst.data(), workspace); },
                     CONVLOW_ERROR_INVALID_ARGUMENT, "slopes is NULL");
        convlow::arguments args;
        CHECK(args.slopes == nullptr);
        args.src = src.data();
        args.packed_weights = packed.data();
        args.dst = dst.data();
        args.workspace = workspace.data();
        args.workspace_bytes = workspace.size();
        check_throws([&] { plan->execute(args); }, CONVLOW_ERROR_INVALID_ARGUMENT, "slopes is NULL");
        CHECK(dst == std::vector<float>(dst.size(), 7.0F));
        args.slopes = slopes.data();
        plan->execute(args);
        CHECK(dst == expected);
    }
}

void wisdom() {
    const counting c;
    convlow::options options;
    options.effort = CONVLOW_EFFORT_MEASURE;
    options.measure_budget_seconds = 60.0; // milliseconds on a machine that is not busy
    const convlow::plan measured(c.desc, options);
    CHECK(measured.info().measured_seconds > 0.0);
    const std::string text = convlow::export_wisdom();
    CHECK(!text.empty() && text.find('\0') == std::string::npos);
    convlow::import_wisdom(text);
    CHECK(convlow::export_wisdom() == text);
}

} // namespace

// A step of training: inputs and gradients of 1, so that each tap sums the outputs that it has.
void gradients() {
    convlow::descriptor_nd desc(2);
    desc.batch = 2, desc.in_channels = 3, desc.out_channels = 5;
    desc.axis(0, 6, 3, 1).axis(1, 7, 3, 1);
    const std::vector<float> src(desc.src_size(), 1.0F), weights(desc.weights_size(), 1.0F);
    const std::vector<float> diff_dst(desc.dst_size(), 1.0F);
    std::vector<float> diff_src(src.size(), NAN), diff_weights(weights.size(), NAN), diff_bias(5, NAN);
    convlow::arguments args;
    args.src = src.data();
    args.weights = weights.data();
    args.diff_dst = diff_dst.data();
    args.diff_src = diff_src.data();
    args.diff_weights = diff_weights.data();
    args.diff_bias = diff_bias.data();
    for (const std::int32_t propagation :
         {CONVLOW_PROPAGATION_BACKWARD_DATA, CONVLOW_PROPAGATION_BACKWARD_WEIGHTS}) {
        desc.propagation = propagation;
        const convlow::plan plan(desc, convlow::options().plain_weights());
        CHECK_SIZE(plan.packed_weights_bytes(), 0);
        convlow::workspace workspace = plan.make_workspace();
        args.workspace = workspace.data();
        args.workspace_bytes = workspace.size();
        plan.execute(args);
    }
    CHECK(diff_src[0] == 5 * 4.0F && diff_src[8] == 5 * 9.0F);
    CHECK(diff_weights[4] == 2 * 42.0F && diff_weights[0] == 2 * 30.0F);
    CHECK(std::all_of(diff_bias.begin(), diff_bias.end(), [](float value) { return value == 2 * 42.0F; }));
}

int main() {
    defaults();
    plans();
    algorithms();
    exceptions();
    own_pool();
    pool_over_a_host();
    any_dimensions();
    activations();
    wisdom();
    gradients();
    return check_result();
}
