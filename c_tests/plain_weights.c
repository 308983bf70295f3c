/*
 * Plans made with CONVLOW_PACKING_NONE read the caller's own weights at each execute: every algorithm on
 * every problem, with weights that change between two executes.
 */

#include "convolution.h"

static size_t executes, plans_of_auto;

static convlow_plan_options options_of(int32_t algorithm) {
    convlow_plan_options options;
    CONVLOW_PLAN_OPTIONS_INIT(&options);
    options.algorithm = algorithm;
    options.math = CONVLOW_MATH_FAST;
    options.packing = CONVLOW_PACKING_NONE;
    return options;
}

static int is_right(const convlow_plan *plan, const float *dst, const tensors *t, size_t depth) {
    convlow_plan_info info = {.struct_size = sizeof(info)};
    REQUIRE_OK(convlow_plan_get_info(plan, &info));
    CHECK(info.packed_weights_bytes == 0);
    const int is_exact = strncmp(convlow_algorithm_name(info.algorithm), "winograd", 8) != 0;
    return !is_exact ? is_near(dst, t, depth) : is_expected(dst, t);
}

static void run(const convlow_conv2d_desc *desc, const convlow_plan *plan, const tensors *t, int by_args) {
    const size_t bytes = convlow_plan_workspace_bytes(plan);
    const size_t depth = desc->in_channels / desc->groups * desc->kernel_height * desc->kernel_width;
    guarded dst = guarded_new(t->dst_len * sizeof(float)), workspace = guarded_new(bytes);
    memcpy(dst.data, t->dst_before, t->dst_len * sizeof(float));
    if (by_args) {
        convlow_execute_args args;
        CONVLOW_EXECUTE_ARGS_INIT(&args);
        args.src = t->src;
        args.weights = t->weights;
        args.packed_weights = t; /* ignored */
        args.packed_weights_bytes = 1;
        args.bias = t->bias;
        args.dst = dst.data;
        args.workspace = workspace.data;
        args.workspace_bytes = bytes;
        CHECK_OK(convlow_execute_with(plan, &args));
    } else {
        CHECK_OK(
            convlow_execute(plan, t->src, t->weights, t->bias, (float *)dst.data, workspace.data, bytes));
    }
    CHECK(is_right(plan, (const float *)dst.data, t, depth));
    CHECK(guards_are_whole(&dst) && guards_are_whole(&workspace));
    guarded_free(&dst);
    guarded_free(&workspace);
    ++executes;
}

/* One plan, two sets of weights. */
static void check_algorithm(const convlow_conv2d_desc *desc, int32_t algorithm, const tensors both[2]) {
    const convlow_plan_options options = options_of(algorithm);
    convlow_plan *plan = NULL;
    const convlow_status status = convlow_plan_create(desc, &options, &plan);
    if (status != CONVLOW_OK) {
        CHECK(status == CONVLOW_ERROR_UNSUPPORTED && algorithm != CONVLOW_ALGORITHM_AUTO);
        return;
    }
    plans_of_auto += algorithm == CONVLOW_ALGORITHM_AUTO;
    CHECK(convlow_plan_packed_weights_bytes(plan) == 0 && convlow_plan_packing_id(plan) == 0);
    for (int turn = 0; turn < 4; ++turn) {
        run(desc, plan, &both[turn % 2], turn / 2);
    }
    convlow_plan_destroy(plan);
}

static void check_all(const convlow_conv2d_desc *desc, int with_bias, int by_name) {
    tensors both[2] = {tensors_new(desc, with_bias), tensors_new(desc, with_bias)};
    /* The second has the weights of the first the other way round. */
    for (size_t i = 0; i < both[1].weights_len / 2; ++i) {
        const float first = both[1].weights[i];
        both[1].weights[i] = both[1].weights[both[1].weights_len - 1 - i];
        both[1].weights[both[1].weights_len - 1 - i] = first;
    }
    expect(desc, &both[1]);
    check_algorithm(desc, CONVLOW_ALGORITHM_AUTO, both);
    for (size_t i = 0; by_name && i < convlow_algorithm_count(); ++i) {
        check_algorithm(desc, convlow_algorithm_at(i), both);
    }
    tensors_free(&both[0]);
    tensors_free(&both[1]);
}

/* Weights larger than 256 KiB are packed in parts: the workspace grows by so much at most. */
static void large_weights(void) {
    for (int layout = 0; layout < LAYOUT_PAIRS; ++layout) {
        convlow_conv2d_desc desc;
        describe(&desc, &problems[1], layout);
        desc.in_channels = 64;
        desc.out_channels = 130; /* 300 KB */
        check_all(&desc, 1, 0);
        convlow_plan_options options = options_of(CONVLOW_ALGORITHM_AUTO);
        options.math = CONVLOW_MATH_EXACT;
        convlow_plan *plain, *packed;
        REQUIRE_OK(convlow_plan_create(&desc, &options, &plain));
        options.packing = CONVLOW_PACKING_CALLER;
        REQUIRE_OK(convlow_plan_create(&desc, &options, &packed));
        CHECK(convlow_plan_workspace_bytes(plain) <= convlow_plan_workspace_bytes(packed) + (256 << 10) + 64);
        convlow_plan_destroy(plain);
        convlow_plan_destroy(packed);
    }
}

static void refusals(void) {
    convlow_conv2d_desc desc;
    describe(&desc, &problems[1], 0);
    tensors t = tensors_new(&desc, 0);
    convlow_plan_options options = options_of(CONVLOW_ALGORITHM_AUTO);
    convlow_plan *plan;
    REQUIRE_OK(convlow_plan_create(&desc, &options, &plan));
    guarded workspace = guarded_new(convlow_plan_workspace_bytes(plan));
    guarded dst = guarded_new(t.dst_len * sizeof(float)), blob = guarded_new(4096);
    const convlow_status invalid = CONVLOW_ERROR_INVALID_ARGUMENT;
    CHECK_FAILS(convlow_pack_weights(plan, t.weights, blob.data, blob.bytes), invalid, "nothing to pack");
    CHECK_FAILS(convlow_execute(plan, t.src, NULL, NULL, (float *)dst.data, workspace.data, workspace.bytes),
                invalid, "weights is NULL");
    CHECK_FAILS(
        convlow_execute(plan, t.src, dst.data, NULL, (float *)dst.data, workspace.data, workspace.bytes),
        invalid, "weights");
    CHECK_FAILS(
        convlow_execute(plan, t.src, t.weights, NULL, (float *)dst.data, workspace.data, workspace.bytes - 1),
        CONVLOW_ERROR_WORKSPACE_LIMIT, "workspace_bytes");
    CHECK(is_untouched(&dst) && is_untouched(&workspace) && is_untouched(&blob));
    convlow_plan_destroy(plan);
    options.packing_id = 1;
    CHECK_FAILS(convlow_plan_create(&desc, &options, &plan), invalid, "packing_id = 0x1");
    options.packing_id = 0;
    options.packing = 2;
    CHECK_FAILS(convlow_plan_create(&desc, &options, &plan), invalid, "packing = 2");
    options.packing = CONVLOW_PACKING_NONE;
    options.reserved0 = 1;
    CHECK_FAILS(convlow_plan_create(&desc, &options, &plan), invalid, "reserved0 = 1");
    options.reserved0 = 0;
    options.max_workspace_bytes = 32;
    CHECK_FAILS(convlow_plan_create(&desc, &options, &plan), CONVLOW_ERROR_WORKSPACE_LIMIT, "32");
    guarded_free(&workspace);
    guarded_free(&dst);
    guarded_free(&blob);
    tensors_free(&t);
}

int main(void) {
    for (size_t i = 0; i < PROBLEMS; ++i) {
        for (int layout = 0; layout < LAYOUT_PAIRS; ++layout) {
            convlow_conv2d_desc desc;
            describe(&desc, &problems[i], layout);
            check_all(&desc, problems[i].bias, 1);
        }
    }
    large_weights();
    refusals();
    printf("plain weights: %zu executes\n", executes);
    CHECK(executes > 2000 && plans_of_auto == (PROBLEMS + 1) * LAYOUT_PAIRS);
    return check_result();
}
