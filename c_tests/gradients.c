/*
 * The gradient of the data: from packed weights and from plain ones, by every algorithm that takes it, with
 * the same bits for any number of threads; and what such plans refuse.
 */

#include "definition.h"

#include <stddef.h>

/* A convolution, and its gradient of the data with tensors of whole numbers. */
typedef struct gradient {
    convlow_convnd_desc desc;
    size_t diff_dst_len, diff_src_len, weights_len;
    float *diff_dst, *weights, *expected;
} gradient;

static convlow_convnd_desc described(int32_t operation, int32_t layout) {
    convlow_convnd_desc d;
    CONVLOW_CONVND_DESC_INIT(&d);
    d.operation = operation;
    d.propagation = CONVLOW_PROPAGATION_BACKWARD_DATA;
    d.src_layout = d.dst_layout = layout;
    d.batch = 2;
    d.groups = 2;
    d.in_channels = 6;
    d.out_channels = 20;
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
    const size_t pixels = product_of(desc->in_size, dims);
    g.diff_dst_len = desc->batch * desc->out_channels * product_of(out_size, dims);
    g.diff_src_len = desc->batch * desc->in_channels * pixels;
    g.weights_len =
        desc->out_channels * (desc->in_channels / desc->groups) * product_of(desc->kernel_size, dims);
    g.diff_dst = floats_new(g.diff_dst_len);
    g.weights = floats_new(g.weights_len);
    g.expected = floats_new(g.diff_src_len);
    fill_with_integers(g.diff_dst, g.diff_dst_len, 1);
    fill_with_integers(g.weights, g.weights_len, 2);
    double *sums = doubles_new(g.diff_src_len);
    add_by_definition(desc, out_size, g.diff_dst, g.weights, sums);
    const lying src = lying_of_src(desc);
    for (size_t n = 0; n < desc->batch; ++n) {
        for (size_t c = 0; c < desc->in_channels; ++c) {
            for (size_t pixel = 0; pixel < pixels; ++pixel) {
                g.expected[element_of(&src, n, c, pixel)] =
                    (float)sums[(n * desc->in_channels + c) * pixels + pixel];
            }
        }
    }
    free(sums);
    return g;
}

static void gradient_free(gradient *g) {
    free(g->diff_dst);
    free(g->weights);
    free(g->expected);
}

/* The plan's arguments, with memory that it does not read where it reads nothing. */
static convlow_execute_args arguments_of(const gradient *g, const guarded *packed, const guarded *diff_src,
                                         const guarded *workspace) {
    convlow_execute_args args;
    CONVLOW_EXECUTE_ARGS_INIT(&args);
    args.src = args.bias = args.residual = args.slopes = (const char *)diff_src->data + 1;
    args.dst = (char *)diff_src->data + 1;
    args.packed_weights = packed->data;
    args.weights = g->weights;
    args.diff_dst = g->diff_dst;
    args.diff_src = diff_src->data;
    args.workspace = workspace->data;
    args.workspace_bytes = workspace->bytes;
    return args;
}

/* Of Winograd's algorithms, whose arithmetic is not exact on whole numbers, the error that docs/numerics.md
 * states. */
static int is_right(const convlow_plan *plan, const gradient *g, const float *found, float times) {
    convlow_plan_info info = {.struct_size = sizeof(info)};
    REQUIRE_OK(convlow_plan_get_info(plan, &info));
    const int exact = strncmp(convlow_algorithm_name(info.algorithm), "winograd", 8) != 0;
    float largest = 0.0F, worst = 0.0F;
    int numbers = 1;
    for (size_t i = 0; i < g->diff_src_len; ++i) {
        numbers &= !isnan(found[i]);
        largest = fmaxf(largest, fabsf(g->expected[i]));
        worst = fmaxf(worst, fabsf(found[i] - times * g->expected[i]));
    }
    return numbers && largest > 0.0F && worst <= (exact ? 0.0F : 1e-3F * largest);
}

/* One plan, executed twice if it accumulates; whether the algorithm takes the problem. */
static int check_plan(const gradient *g, const convlow_plan_options *options, size_t threads) {
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
    guarded packed = guarded_new(convlow_plan_packed_weights_bytes(plan));
    guarded workspace = guarded_new(convlow_plan_workspace_bytes(plan));
    guarded diff_src = guarded_new(g->diff_src_len * sizeof(float));
    if (options->packing == CONVLOW_PACKING_CALLER) {
        REQUIRE_OK(convlow_pack_weights(plan, g->weights, packed.data, packed.bytes));
    }
    const convlow_execute_args args = arguments_of(g, &packed, &diff_src, &workspace);
    /* What does not accumulate overwrites. */
    memset(diff_src.data, g->desc.accumulate ? 0 : 0xff, diff_src.bytes);
    const int turns = g->desc.accumulate ? 2 : 1;
    for (int turn = 0; turn < turns; ++turn) {
        CHECK_OK(convlow_execute_with(plan, &args));
    }
    CHECK(is_right(plan, g, (const float *)diff_src.data, (float)turns));
    CHECK(guards_are_whole(&packed) && guards_are_whole(&workspace) && guards_are_whole(&diff_src));
    convlow_plan_destroy(plan);
    guarded_free(&packed);
    guarded_free(&workspace);
    guarded_free(&diff_src);
    return 1;
}

static size_t plans;

static void check_all(const convlow_convnd_desc *desc) {
    gradient g = gradient_new(desc);
    convlow_plan_options options;
    CONVLOW_PLAN_OPTIONS_INIT(&options);
    for (int plain = 0; plain < 2; ++plain) {
        options.packing = plain ? CONVLOW_PACKING_NONE : CONVLOW_PACKING_CALLER;
        for (size_t threads = 1; threads <= 3; threads += 2) {
            options.algorithm = CONVLOW_ALGORITHM_AUTO;
            options.math = CONVLOW_MATH_EXACT;
            CHECK(check_plan(&g, &options, threads));
            options.math = CONVLOW_MATH_FAST;
            for (size_t i = 0; i < convlow_algorithm_count(); ++i) {
                options.algorithm = convlow_algorithm_at(i);
                plans += (size_t)check_plan(&g, &options, threads);
            }
        }
    }
    gradient_free(&g);
}

static void test_values(void) {
    for (int32_t operation = 0; operation < 2; ++operation) {
        for (int32_t layout = 0; layout < 2; ++layout) {
            for (size_t stride = 1; stride <= 2; ++stride) {
                convlow_convnd_desc d = described(operation, layout);
                d.stride[0] = d.stride[1] = stride;
                d.weights_layout = (int32_t)((size_t)(operation + layout) + stride) % 3;
                snprintf(check_context, sizeof(check_context), "operation %d, layout %d, stride %zu",
                         (int)operation, (int)layout, stride);
                check_all(&d);
                d.accumulate = 1;
                check_all(&d);
            }
        }
    }
    /* An output padding of a stride and more: outputs that see no input. */
    convlow_convnd_desc d = described(CONVLOW_OPERATION_CONV_TRANSPOSE, CONVLOW_LAYOUT_NHWC);
    d.dilation[0] = 4;
    d.stride[0] = 2;
    d.output_padding[0] = 3;
    check_all(&d);
    check_context[0] = '\0';
    CHECK(plans > 700);
}

/* Promise 4: a NaN in diff_dst reaches exactly the inputs that its window holds. */
static void test_reach_of_a_nan(void) {
    convlow_convnd_desc d = described(CONVLOW_OPERATION_CONV, CONVLOW_LAYOUT_NHWC);
    d.batch = d.groups = 1;
    d.stride[0] = 2;
    gradient g = gradient_new(&d);
    size_t out_size[3];
    REQUIRE_OK(convlow_convnd_output_size(&d, out_size));
    convlow_plan *plan = NULL;
    REQUIRE_OK(convlow_plan_create_nd(&d, NULL, &plan));
    guarded packed = guarded_new(convlow_plan_packed_weights_bytes(plan));
    guarded workspace = guarded_new(convlow_plan_workspace_bytes(plan));
    guarded diff_src = guarded_new(g.diff_src_len * sizeof(float));
    REQUIRE_OK(convlow_pack_weights(plan, g.weights, packed.data, packed.bytes));
    const size_t y = 1, x = 3;
    g.diff_dst[(y * out_size[1] + x) * d.out_channels + 5] = NAN;
    const convlow_execute_args args = arguments_of(&g, &packed, &diff_src, &workspace);
    REQUIRE_OK(convlow_execute_with(plan, &args));
    size_t wrong = 0;
    for (size_t i = 0; i < g.diff_src_len; ++i) {
        const size_t pixel = i / d.in_channels;
        const size_t row = pixel / d.in_size[1] + d.pad_before[0],
                     column = pixel % d.in_size[1] + d.pad_before[1];
        const int sees = row >= 2 * y && row < 2 * y + 3 && column >= x && column < x + 3;
        wrong += isnan(((const float *)diff_src.data)[i]) != sees;
    }
    CHECK_SIZE(wrong, 0);
    convlow_plan_destroy(plan);
    guarded_free(&packed);
    guarded_free(&workspace);
    guarded_free(&diff_src);
    gradient_free(&g);
}

/* Nothing to sum, and nothing to write. */
static void test_empty(void) {
    convlow_convnd_desc d = described(CONVLOW_OPERATION_CONV, CONVLOW_LAYOUT_NCHW);
    convlow_execute_args args;
    CONVLOW_EXECUTE_ARGS_INIT(&args);
    convlow_plan *plan = NULL;
    for (int kind = 0; kind < 2; ++kind) {
        d.batch = kind == 0 ? 0 : 2;
        d.in_size[0] = kind == 0 ? 7 : 0;
        d.pad_before[0] = 3; /* one row of outputs that see no input, where there is none */
        float diff_dst[2 * 20 * 9] = {0};
        REQUIRE_OK(convlow_plan_create_nd(&d, NULL, &plan));
        guarded packed = guarded_new(convlow_plan_packed_weights_bytes(plan));
        float *weights = floats_new((size_t)20 * 3 * 9);
        REQUIRE_OK(convlow_pack_weights(plan, weights, packed.data, packed.bytes));
        args.packed_weights = packed.data;
        args.diff_dst = kind == 0 ? NULL : diff_dst;
        CHECK(convlow_plan_workspace_bytes(plan) == 0);
        CHECK_OK(convlow_execute_with(plan, &args));
        convlow_plan_destroy(plan);
        guarded_free(&packed);
        free(weights);
    }
}

static void test_refused_descriptors(void) {
    const convlow_convnd_desc good = described(CONVLOW_OPERATION_CONV, CONVLOW_LAYOUT_NCHW);
    const convlow_status invalid = CONVLOW_ERROR_INVALID_ARGUMENT;
    convlow_plan *plan = NULL;
    convlow_convnd_desc d = good;
    d.propagation = 3;
    CHECK_FAILS(convlow_plan_create_nd(&d, NULL, &plan), invalid, "propagation = 3");
    d.propagation = -1;
    CHECK_FAILS(convlow_plan_create_nd(&d, NULL, &plan), invalid, "propagation = -1");
    d = good;
    d.reserved1 = 1;
    CHECK_FAILS(convlow_plan_create_nd(&d, NULL, &plan), invalid, "reserved1 = 1");
    d = good;
    d.activation = CONVLOW_ACTIVATION_TANH;
    CHECK_FAILS(convlow_plan_create_nd(&d, NULL, &plan), CONVLOW_ERROR_UNSUPPORTED, "activation");
    CHECK(plan == NULL);
    /* A descriptor of an older header describes the forward convolution. */
    d = good;
    d.struct_size = offsetof(convlow_convnd_desc, propagation);
    REQUIRE_OK(convlow_plan_create_nd(&d, NULL, &plan));
    convlow_plan *backward = NULL;
    REQUIRE_OK(convlow_plan_create_nd(&good, NULL, &backward));
    CHECK(convlow_plan_packing_id(plan) != convlow_plan_packing_id(backward));
    /* Sizes stay those of the forward dst. */
    convlow_plan_info infos[2] = {{.struct_size = sizeof(infos[0])}, {.struct_size = sizeof(infos[0])}};
    REQUIRE_OK(convlow_plan_get_info(plan, &infos[0]));
    REQUIRE_OK(convlow_plan_get_info(backward, &infos[1]));
    CHECK_SIZE(infos[1].dst_height, infos[0].dst_height);
    CHECK_SIZE(infos[1].dst_width, infos[0].dst_width);
    CHECK_SIZE(infos[1].macs, infos[0].macs);
    convlow_plan_destroy(plan);
    convlow_plan_destroy(backward);
}

static void test_refused_arguments(void) {
    const convlow_convnd_desc desc = described(CONVLOW_OPERATION_CONV, CONVLOW_LAYOUT_NCHW);
    gradient g = gradient_new(&desc);
    convlow_plan *plan = NULL, *forward = NULL;
    REQUIRE_OK(convlow_plan_create_nd(&desc, NULL, &plan));
    guarded packed = guarded_new(convlow_plan_packed_weights_bytes(plan));
    guarded workspace = guarded_new(convlow_plan_workspace_bytes(plan));
    guarded diff_src = guarded_new(g.diff_src_len * sizeof(float));
    REQUIRE_OK(convlow_pack_weights(plan, g.weights, packed.data, packed.bytes));
    const convlow_execute_args good = arguments_of(&g, &packed, &diff_src, &workspace);
    const convlow_status invalid = CONVLOW_ERROR_INVALID_ARGUMENT;
    CHECK(workspace.bytes > 0);
    CHECK_FAILS(convlow_execute(plan, g.diff_dst, packed.data, NULL, (float *)diff_src.data, workspace.data,
                                workspace.bytes),
                invalid, "call convlow_execute_with");
    const struct {
        size_t field;
        void *value;
        const char *message;
    } refused[] = {
        {offsetof(convlow_execute_args, diff_dst), NULL, "diff_dst is NULL"},
        {offsetof(convlow_execute_args, diff_src), NULL, "diff_src is NULL"},
        {offsetof(convlow_execute_args, diff_dst), (char *)g.diff_dst + 1, "diff_dst = "},
        {offsetof(convlow_execute_args, diff_src), (char *)diff_src.data + 1, "diff_src = "},
        {offsetof(convlow_execute_args, diff_src), g.diff_dst, "diff_src overlaps diff_dst"},
        {offsetof(convlow_execute_args, diff_src), packed.data, "diff_src overlaps packed_weights"},
        {offsetof(convlow_execute_args, workspace), diff_src.data, "workspace overlaps"},
        {offsetof(convlow_execute_args, packed_weights), NULL, "packed_weights is NULL"},
        {offsetof(convlow_execute_args, pool_context), packed.data, "pool"},
    };
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); ++i) {
        convlow_execute_args args = good;
        memcpy((char *)&args + refused[i].field, &refused[i].value, sizeof(void *));
        CHECK_FAILS(convlow_execute_with(plan, &args), invalid, refused[i].message);
    }
    convlow_execute_args args = good;
    args.workspace_bytes -= 1;
    CHECK_FAILS(convlow_execute_with(plan, &args), CONVLOW_ERROR_WORKSPACE_LIMIT, "workspace_bytes");
    /* Arguments of an older header have no gradients. */
    args = good;
    args.struct_size = offsetof(convlow_execute_args, diff_dst);
    CHECK_FAILS(convlow_execute_with(plan, &args), invalid, "diff_dst is NULL");
    /* Weights that were packed for the forward convolution are others. */
    convlow_convnd_desc of_forward = desc;
    of_forward.propagation = CONVLOW_PROPAGATION_FORWARD;
    of_forward.out_channels = of_forward.in_channels = 6;
    convlow_convnd_desc of_backward = of_forward;
    of_backward.propagation = CONVLOW_PROPAGATION_BACKWARD_DATA;
    convlow_plan *backward = NULL;
    REQUIRE_OK(convlow_plan_create_nd(&of_forward, NULL, &forward));
    REQUIRE_OK(convlow_plan_create_nd(&of_backward, NULL, &backward));
    guarded other = guarded_new(convlow_plan_packed_weights_bytes(forward));
    REQUIRE_OK(convlow_pack_weights(forward, g.weights, other.data, other.bytes));
    args = good;
    args.packed_weights = other.data;
    CHECK_FAILS(convlow_execute_with(backward, &args), CONVLOW_ERROR_WEIGHTS_MISMATCH, "packed_weights");
    CHECK(is_untouched(&diff_src) && is_untouched(&workspace));
    convlow_plan_destroy(plan);
    convlow_plan_destroy(forward);
    convlow_plan_destroy(backward);
    guarded_free(&other);
    guarded_free(&packed);
    guarded_free(&workspace);
    guarded_free(&diff_src);
    gradient_free(&g);
}

int main(void) {
    test_values();
    test_reach_of_a_nan();
    test_empty();
    test_refused_descriptors();
    test_refused_arguments();
    printf("gradients: %zu plans\n", plans);
    return check_result();
}
