/*
 * The gradients of the weights and of the bias: by every algorithm that computes them, in every layout, alone
 * and together, with the same bits for any number of threads; and what such plans refuse.
 */

#include "definition.h"

#include <stddef.h>

/* A convolution, and its gradients of whole numbers. */
typedef struct gradient {
    convlow_convnd_desc desc;
    size_t src_len, diff_dst_len, weights_len;
    float *src, *diff_dst;
    double *weights, *bias;
} gradient;

static convlow_convnd_desc described(int32_t operation, int32_t layout) {
    convlow_convnd_desc d;
    CONVLOW_CONVND_DESC_INIT(&d);
    d.operation = operation;
    d.propagation = CONVLOW_PROPAGATION_BACKWARD_WEIGHTS;
    d.src_layout = d.dst_layout = layout;
    d.batch = 3;
    d.in_channels = 20;
    d.out_channels = 36;
    for (int axis = 0; axis < 2; ++axis) {
        d.in_size[axis] = 7 + 2 * (size_t)axis;
        d.kernel_size[axis] = 3;
        d.pad_before[axis] = 1;
        d.pad_after[axis] = (size_t)axis;
    }
    return d;
}

static gradient gradient_new(const convlow_convnd_desc *desc) {
    gradient g = {.desc = *desc};
    size_t out_size[3];
    REQUIRE_OK(convlow_convnd_output_size(desc, out_size));
    const int dims = desc->spatial_dims;
    g.src_len = desc->batch * desc->in_channels * product_of(desc->in_size, dims);
    g.diff_dst_len = desc->batch * desc->out_channels * product_of(out_size, dims);
    g.weights_len =
        desc->out_channels * (desc->in_channels / desc->groups) * product_of(desc->kernel_size, dims);
    g.src = floats_new(g.src_len);
    g.diff_dst = floats_new(g.diff_dst_len);
    g.weights = doubles_new(g.weights_len);
    g.bias = doubles_new(desc->out_channels);
    fill_with_integers(g.src, g.src_len, 1);
    fill_with_integers(g.diff_dst, g.diff_dst_len, 2);
    add_gradients_by_definition(desc, out_size, g.src, g.diff_dst, g.weights, g.bias);
    return g;
}

static void gradient_free(gradient *g) {
    free(g->src);
    free(g->diff_dst);
    free(g->weights);
    free(g->bias);
}

/* What a plan writes, between guards. */
typedef struct results {
    guarded weights, bias, workspace;
} results;

static results results_new(const gradient *g, const convlow_plan *plan) {
    const results r = {guarded_new(g->weights_len * sizeof(float)),
                       guarded_new(g->desc.out_channels * sizeof(float)),
                       guarded_new(convlow_plan_workspace_bytes(plan))};
    return r;
}

static void results_free(results *r) {
    guarded_free(&r->weights);
    guarded_free(&r->bias);
    guarded_free(&r->workspace);
}

/* The plan's arguments, with memory that it does not read where it reads nothing. */
static convlow_execute_args arguments_of(const gradient *g, const results *r) {
    convlow_execute_args args;
    CONVLOW_EXECUTE_ARGS_INIT(&args);
    args.packed_weights = args.weights = args.bias = args.residual = args.slopes =
        (const char *)r->weights.data + 1;
    args.dst = args.diff_src = (char *)r->weights.data + 1;
    args.src = g->src;
    args.diff_dst = g->diff_dst;
    args.diff_weights = r->weights.data;
    args.diff_bias = r->bias.data;
    args.workspace = r->workspace.data;
    args.workspace_bytes = r->workspace.bytes;
    return args;
}

static int is_right(const float *found, const double *exact, size_t count, double times) {
    size_t wrong = 0, some = 0;
    for (size_t i = 0; i < count; ++i) {
        wrong += (double)found[i] != times * exact[i];
        some += exact[i] != 0.0;
    }
    return wrong == 0 && some > 0;
}

static size_t plans;

/* One plan, executed twice if it accumulates; asked for: 1 the weights, 2 the bias, 3 both. */
static int check_plan(const gradient *g, const convlow_plan_options *options, size_t threads, int asked_for) {
    convlow_plan_options own = *options;
    convlow_pool *pool = NULL;
    REQUIRE_OK(convlow_pool_create(threads, &pool));
    own.pool = pool;
    convlow_plan *plan = NULL;
    const convlow_status status = convlow_plan_create_nd(&g->desc, &own, &plan);
    convlow_pool_destroy(pool);
    if (status != CONVLOW_OK) {
        CHECK(status == CONVLOW_ERROR_UNSUPPORTED);
        return 0;
    }
    CHECK_SIZE(convlow_plan_packed_weights_bytes(plan), 0);
    CHECK(convlow_plan_packing_id(plan) == 0);
    CHECK(convlow_plan_workspace_bytes(plan) <= threads * ((size_t)256 << 10));
    CHECK(convlow_plan_workspace_bytes(plan) <= options->max_workspace_bytes);
    results r = results_new(g, plan);
    convlow_execute_args args = arguments_of(g, &r);
    args.diff_weights = (asked_for & 1) != 0 ? args.diff_weights : NULL;
    args.diff_bias = (asked_for & 2) != 0 ? args.diff_bias : NULL;
    /* What does not accumulate overwrites. */
    memset(r.weights.data, g->desc.accumulate ? 0 : 0xff, r.weights.bytes);
    memset(r.bias.data, g->desc.accumulate ? 0 : 0xff, r.bias.bytes);
    const int turns = g->desc.accumulate ? 2 : 1;
    for (int turn = 0; turn < turns; ++turn) {
        CHECK_OK(convlow_execute_with(plan, &args));
    }
    if ((asked_for & 1) != 0) {
        CHECK(is_right((const float *)r.weights.data, g->weights, g->weights_len, (double)turns));
    }
    if ((asked_for & 2) != 0) {
        CHECK(is_right((const float *)r.bias.data, g->bias, g->desc.out_channels, (double)turns));
    }
    CHECK(guards_are_whole(&r.weights) && guards_are_whole(&r.bias) && guards_are_whole(&r.workspace));
    convlow_plan_destroy(plan);
    results_free(&r);
    return 1;
}

static void check_all(const convlow_convnd_desc *desc) {
    gradient g = gradient_new(desc);
    convlow_plan_options options;
    CONVLOW_PLAN_OPTIONS_INIT(&options);
    for (size_t threads = 1; threads <= 3; threads += 2) {
        for (int asked_for = 1; asked_for <= 3; ++asked_for) {
            options.algorithm = CONVLOW_ALGORITHM_AUTO;
            options.max_workspace_bytes = SIZE_MAX;
            CHECK(check_plan(&g, &options, threads, asked_for));
            options.max_workspace_bytes = 0;
            CHECK(check_plan(&g, &options, threads, asked_for));
            options.max_workspace_bytes = SIZE_MAX;
            for (size_t i = 0; i < convlow_algorithm_count(); ++i) {
                options.algorithm = convlow_algorithm_at(i);
                plans += (size_t)check_plan(&g, &options, threads, asked_for);
            }
        }
    }
    gradient_free(&g);
}

static void test_values(void) {
    for (int32_t operation = 0; operation < 2; ++operation) {
        for (int32_t layout = 0; layout < 2; ++layout) {
            for (size_t groups = 1; groups <= 4; groups += 3) {
                convlow_convnd_desc d = described(operation, layout);
                d.groups = groups;
                d.stride[0] = d.stride[1] = groups == 1 ? 1 : 2;
                d.weights_layout = (int32_t)((size_t)(operation + layout) + groups) % 3;
                snprintf(check_context, sizeof(check_context), "operation %d, layout %d, groups %zu",
                         (int)operation, (int)layout, groups);
                check_all(&d);
                d.accumulate = 1;
                check_all(&d);
            }
        }
    }
    check_context[0] = '\0';
    CHECK(plans > 90);
}

/* Promise 4: a NaN in diff_dst reaches exactly the taps that read an input for its output. */
static void test_reach_of_a_nan(void) {
    convlow_convnd_desc d = described(CONVLOW_OPERATION_CONV, CONVLOW_LAYOUT_NHWC);
    gradient g = gradient_new(&d);
    convlow_plan *plan = NULL;
    REQUIRE_OK(convlow_plan_create_nd(&d, NULL, &plan));
    results r = results_new(&g, plan);
    const size_t m = 5;
    /* The first pixel reads inputs by the taps behind the padding alone. */
    g.diff_dst[m] = NAN;
    const convlow_execute_args args = arguments_of(&g, &r);
    REQUIRE_OK(convlow_execute_with(plan, &args));
    size_t wrong = 0;
    for (size_t i = 0; i < g.weights_len; ++i) {
        const size_t row = i / 3 % 3, column = i % 3;
        const int reads = i / (d.in_channels * 9) == m && row >= 1 && column >= 1;
        wrong += isnan(((const float *)r.weights.data)[i]) != reads;
    }
    for (size_t i = 0; i < d.out_channels; ++i) {
        wrong += isnan(((const float *)r.bias.data)[i]) != (i == m);
    }
    CHECK_SIZE(wrong, 0);
    convlow_plan_destroy(plan);
    results_free(&r);
    gradient_free(&g);
}

/* Nothing to sum: gradients of 0, but for the bias of outputs that see no input. */
static void test_empty(void) {
    for (int kind = 0; kind < 2; ++kind) {
        convlow_convnd_desc d = described(CONVLOW_OPERATION_CONV, CONVLOW_LAYOUT_NCHW);
        d.batch = kind == 0 ? 0 : 2;
        d.in_size[0] = kind == 0 ? 7 : 0;
        d.pad_before[0] = 3; /* one row of outputs that see no input, where there is none */
        gradient g = gradient_new(&d);
        convlow_plan *plan = NULL;
        REQUIRE_OK(convlow_plan_create_nd(&d, NULL, &plan));
        results r = results_new(&g, plan);
        convlow_execute_args args = arguments_of(&g, &r);
        args.src = NULL;
        args.diff_dst = kind == 0 ? NULL : g.diff_dst;
        memset(r.weights.data, 0xff, r.weights.bytes);
        CHECK_OK(convlow_execute_with(plan, &args));
        size_t wrong = 0;
        for (size_t i = 0; i < g.weights_len; ++i) {
            wrong += ((const float *)r.weights.data)[i] != 0.0F;
        }
        for (size_t i = 0; i < d.out_channels; ++i) {
            wrong += (double)((const float *)r.bias.data)[i] != g.bias[i];
        }
        CHECK_SIZE(wrong, 0);
        convlow_plan_destroy(plan);
        results_free(&r);
        gradient_free(&g);
    }
}

static void test_refused(void) {
    const convlow_convnd_desc desc = described(CONVLOW_OPERATION_CONV, CONVLOW_LAYOUT_NCHW);
    const convlow_status invalid = CONVLOW_ERROR_INVALID_ARGUMENT;
    gradient g = gradient_new(&desc);
    convlow_plan *plan = NULL, *forward = NULL;
    REQUIRE_OK(convlow_plan_create_nd(&desc, NULL, &plan));
    results r = results_new(&g, plan);
    const convlow_execute_args good = arguments_of(&g, &r);
    CHECK(r.workspace.bytes > 0);
    CHECK_FAILS(convlow_pack_weights(plan, g.src, r.weights.data, r.weights.bytes), invalid,
                "nothing to pack");
    CHECK_FAILS(convlow_execute(plan, g.src, r.weights.data, NULL, (float *)r.bias.data, r.workspace.data,
                                r.workspace.bytes),
                invalid, "call convlow_execute_with");
    const struct {
        size_t field;
        const void *value;
        const char *message;
    } refused[] = {
        {offsetof(convlow_execute_args, src), NULL, "src is NULL"},
        {offsetof(convlow_execute_args, src), (const char *)g.src + 1, "src = "},
        {offsetof(convlow_execute_args, diff_dst), NULL, "diff_dst is NULL"},
        {offsetof(convlow_execute_args, diff_dst), (const char *)g.diff_dst + 1, "diff_dst = "},
        {offsetof(convlow_execute_args, diff_weights), (const char *)r.weights.data + 1, "diff_weights = "},
        {offsetof(convlow_execute_args, diff_bias), (const char *)r.bias.data + 1, "diff_bias = "},
        {offsetof(convlow_execute_args, diff_weights), g.src, "diff_weights overlaps src"},
        {offsetof(convlow_execute_args, diff_weights), g.diff_dst, "diff_weights overlaps diff_dst"},
        {offsetof(convlow_execute_args, diff_bias), g.src, "diff_bias overlaps src"},
        {offsetof(convlow_execute_args, diff_bias), r.weights.data, "diff_bias overlaps diff_weights"},
        {offsetof(convlow_execute_args, workspace), r.weights.data, "workspace overlaps"},
        {offsetof(convlow_execute_args, workspace), g.src, "workspace overlaps"},
    };
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); ++i) {
        convlow_execute_args args = good;
        memcpy((char *)&args + refused[i].field, &refused[i].value, sizeof(void *));
        CHECK_FAILS(convlow_execute_with(plan, &args), invalid, refused[i].message);
    }
    convlow_execute_args args = good;
    args.diff_weights = args.diff_bias = NULL;
    CHECK_FAILS(convlow_execute_with(plan, &args), invalid, "diff_weights and diff_bias are NULL");
    args = good;
    args.workspace_bytes = r.workspace.bytes - 1;
    CHECK_FAILS(convlow_execute_with(plan, &args), CONVLOW_ERROR_WORKSPACE_LIMIT, "workspace_bytes = ");
    /* Arguments of an older header ask for nothing. */
    args = good;
    args.struct_size = offsetof(convlow_execute_args, diff_weights);
    CHECK_FAILS(convlow_execute_with(plan, &args), invalid, "diff_weights and diff_bias are NULL");
    CHECK(is_untouched(&r.weights) && is_untouched(&r.bias) && is_untouched(&r.workspace));

    /* Algorithms compute the one or the other. */
    convlow_plan_options options;
    CONVLOW_PLAN_OPTIONS_INIT(&options);
    options.algorithm = convlow_algorithm_from_name("kn2row-register");
    CHECK_FAILS(convlow_plan_create_nd(&desc, &options, &forward), CONVLOW_ERROR_UNSUPPORTED,
                "computes no gradient of the weights");
    options.algorithm = convlow_algorithm_from_name("gradient-register");
    convlow_convnd_desc of_forward = desc;
    of_forward.propagation = CONVLOW_PROPAGATION_FORWARD;
    CHECK_FAILS(convlow_plan_create_nd(&of_forward, &options, &forward), CONVLOW_ERROR_UNSUPPORTED,
                "computes the gradient of the weights alone");
    options.algorithm = CONVLOW_ALGORITHM_AUTO;
    options.packing_id = 1;
    CHECK_FAILS(convlow_plan_create_nd(&desc, &options, &forward), CONVLOW_ERROR_UNSUPPORTED, "packing_id");
    convlow_convnd_desc d = desc;
    d.activation = CONVLOW_ACTIVATION_TANH;
    CHECK_FAILS(convlow_plan_create_nd(&d, NULL, &forward), CONVLOW_ERROR_UNSUPPORTED,
                "propagation = BACKWARD_WEIGHTS");
    convlow_plan_destroy(plan);
    results_free(&r);
    gradient_free(&g);
}

int main(void) {
    test_values();
    test_reach_of_a_nan();
    test_empty();
    test_refused();
    printf("weight gradients: %zu plans\n", plans);
    return check_result();
}
