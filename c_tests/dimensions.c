/*
 * Descriptors of any number of dimensions: one, two and three, transposed or not, on slices of wider tensors,
 * with a residual from its own tensor and a context for each call.
 */

#include "definition.h"

#include <stddef.h>
#include <stdint.h>

/* The same numbers in double. */
static double *doubles_of(const float *values, size_t count) {
    double *doubles = (double *)malloc(count * sizeof(double));
    REQUIRE(doubles != NULL);
    for (size_t i = 0; i < count; ++i) {
        doubles[i] = (double)values[i];
    }
    return doubles;
}

/* A plan of CONVLOW_TYPE_F64 gives what the one of float does, whose results are whole numbers, by both
 * calls; and neither takes the other's calls. */
static void check_doubles(const convlow_convnd_desc *of_floats, const convlow_plan_options *options,
                          const convlow_plan *plan_of_floats, const float *const tensors[4],
                          const size_t lengths[4], const float *expected) {
    convlow_convnd_desc d = *of_floats;
    d.type = CONVLOW_TYPE_F64;
    convlow_plan *plan;
    REQUIRE_OK(convlow_plan_create_nd(&d, options, &plan));
    CHECK(convlow_plan_packing_id(plan) != convlow_plan_packing_id(plan_of_floats));
    double *src = doubles_of(tensors[0], lengths[0]), *weights = doubles_of(tensors[1], lengths[1]);
    double *bias = doubles_of(tensors[2], lengths[2]), *whole = doubles_of(expected, lengths[3]);
    guarded packed = guarded_new(convlow_plan_packed_weights_bytes(plan));
    guarded workspace = guarded_new(convlow_plan_workspace_bytes(plan));
    guarded dst = guarded_new(lengths[3] * sizeof(double));
    CHECK_FAILS(convlow_pack_weights(plan, tensors[1], packed.data, packed.bytes),
                CONVLOW_ERROR_INVALID_ARGUMENT, "type = f64");
    CHECK_FAILS(convlow_pack_weights_f64(plan_of_floats, weights, packed.data, packed.bytes),
                CONVLOW_ERROR_INVALID_ARGUMENT, "type = f32");
    REQUIRE_OK(convlow_pack_weights_f64(plan, weights, packed.data, packed.bytes));
    CHECK(guards_are_whole(&packed));
    CHECK_FAILS(convlow_execute(plan, tensors[0], packed.data, NULL, (float *)dst.data, workspace.data,
                                workspace.bytes),
                CONVLOW_ERROR_INVALID_ARGUMENT, is_gradient(&d) ? "convlow_execute_with" : "type = f64");
    CHECK_FAILS(convlow_execute_f64(plan_of_floats, src, packed.data, NULL, (double *)dst.data,
                                    workspace.data, workspace.bytes),
                CONVLOW_ERROR_INVALID_ARGUMENT, is_gradient(&d) ? "convlow_execute_with" : "type = f32");
    convlow_execute_args args;
    convlow_execute_args_init(&args, sizeof(args));
    set_tensors(&args, &d, src, dst.data);
    args.packed_weights = packed.data;
    args.bias = bias;
    args.workspace = workspace.data;
    args.workspace_bytes = workspace.bytes;
    for (int turn = 0; turn < 2; ++turn) {
        double *before = doubles_of(tensors[3], lengths[3]);
        memcpy(dst.data, before, dst.bytes);
        free(before);
        if (turn == 0 && !is_gradient(&d)) {
            REQUIRE_OK(convlow_execute_f64(plan, src, packed.data, bias, (double *)dst.data, workspace.data,
                                           workspace.bytes));
        } else {
            REQUIRE_OK(convlow_execute_with(plan, &args));
        }
        CHECK(memcmp(dst.data, whole, dst.bytes) == 0);
        CHECK(guards_are_whole(&dst) && guards_are_whole(&workspace));
    }
    convlow_plan_destroy(plan);
    guarded_free(&packed);
    guarded_free(&workspace);
    guarded_free(&dst);
    free(src);
    free(weights);
    free(bias);
    free(whole);
}

/* AUTO under these options computes the definition, and touches nothing between the elements of a slice. */
static void check_definition(const convlow_convnd_desc *d, const convlow_plan_options *options,
                             size_t most_workspace) {
    size_t out_size[3];
    REQUIRE_OK(convlow_convnd_output_size(d, out_size));
    const int dims = d->spatial_dims;
    const lying read = lying_of_read(d, out_size), written = lying_of_written(d, out_size);
    const size_t src_len = length_of(&read, d->batch), dst_len = length_of(&written, d->batch);
    const size_t weights_len =
        d->out_channels * (d->in_channels / d->groups) * product_of(d->kernel_size, dims);
    float *src = floats_new(src_len), *weights = floats_new(weights_len), *bias = floats_new(d->out_channels);
    float *dst = floats_new(dst_len), *before = floats_new(dst_len), *residual = floats_new(dst_len);
    double *expected = (double *)calloc(d->batch * written.channels * written.pixels, sizeof(double));
    REQUIRE(expected != NULL);
    fill_with_integers(src, src_len, 1);
    fill_with_integers(weights, weights_len, 2);
    fill_with_integers(bias, d->out_channels, 3);
    fill_with_integers(before, dst_len, 4);
    fill_with_integers(residual, dst_len, 5);
    add_by_definition(d, out_size, src, weights, expected);

    convlow_plan *plan;
    REQUIRE_OK(convlow_plan_create_nd(d, options, &plan));
    guarded packed = guarded_new(convlow_plan_packed_weights_bytes(plan));
    guarded workspace = guarded_new(convlow_plan_workspace_bytes(plan));
    CHECK(workspace.bytes <= most_workspace);
    REQUIRE_OK(convlow_pack_weights(plan, weights, packed.data, packed.bytes));
    convlow_execute_args args;
    convlow_execute_args_init(&args, sizeof(args));
    set_tensors(&args, d, src, dst);
    args.packed_weights = packed.data;
    args.bias = bias;
    args.workspace = workspace.data;
    args.workspace_bytes = workspace.bytes;
    /* Without a residual, with dst itself as one, and with its own. */
    for (int turn = 0; turn < (d->accumulate && !is_gradient(d) ? 3 : 1); ++turn) {
        memcpy(dst, before, dst_len * sizeof(float));
        args.residual = turn == 0 ? NULL : turn == 1 ? dst : residual;
        const float *added = turn == 2 ? residual : before;
        REQUIRE_OK(convlow_execute_with(plan, &args));
        CHECK(guards_are_whole(&workspace));
        size_t wrong = 0;
        for (size_t n = 0; n < d->batch; ++n) {
            for (size_t m = 0; m < written.channels; ++m) {
                for (size_t pixel = 0; pixel < written.pixels; ++pixel) {
                    const size_t at = element_of(&written, n, m, pixel);
                    double sum = expected[(n * written.channels + m) * written.pixels + pixel];
                    sum += is_gradient(d) ? 0.0 : (double)bias[m];
                    sum += d->accumulate ? (double)added[at] : 0.0;
                    if (d->activation == CONVLOW_ACTIVATION_CLAMP) {
                        sum = fmin(fmax(sum, d->activation_min), d->activation_max);
                    }
                    wrong += (double)dst[at] != sum;
                    dst[at] = before[at]; /* for the gaps */
                }
            }
        }
        CHECK_SIZE(wrong, 0);
        CHECK(memcmp(dst, before, dst_len * sizeof(float)) == 0);
    }
    memcpy(dst, before, dst_len * sizeof(float));
    args.residual = NULL;
    REQUIRE_OK(is_gradient(d)
                   ? convlow_execute_with(plan, &args)
                   : convlow_execute(plan, src, packed.data, bias, dst, workspace.data, workspace.bytes));
    const float *const tensors[4] = {src, weights, bias, before};
    const size_t lengths[4] = {src_len, weights_len, d->out_channels, dst_len};
    check_doubles(d, options, plan, tensors, lengths, dst);
    convlow_plan_destroy(plan);
    guarded_free(&packed);
    guarded_free(&workspace);
    free(src);
    free(weights);
    free(bias);
    free(dst);
    free(before);
    free(residual);
    free(expected);
}

/* The same forward, and the gradient of the data, which has no activation. In NHWC neither needs workspace.
 */
static void check_both(const convlow_convnd_desc *forward) {
    convlow_convnd_desc d = *forward;
    check_definition(&d, NULL, d.src_layout == CONVLOW_LAYOUT_NHWC ? 0 : 256 * 1024);
    d.propagation = CONVLOW_PROPAGATION_BACKWARD_DATA;
    d.activation = CONVLOW_ACTIVATION_NONE;
    d.activation_min = -(double)INFINITY;
    check_definition(&d, NULL, d.dst_layout == CONVLOW_LAYOUT_NHWC ? 0 : 256 * 1024);
}

static convlow_convnd_desc described(int32_t dims, size_t in_channels, size_t out_channels, size_t size,
                                     size_t kernel) {
    convlow_convnd_desc d;
    convlow_convnd_desc_init(&d, sizeof(d));
    d.spatial_dims = dims;
    d.in_channels = in_channels;
    d.out_channels = out_channels;
    for (int32_t axis = 0; axis < dims; ++axis) {
        d.in_size[axis] = size + (size_t)axis;
        d.kernel_size[axis] = kernel;
        d.pad_before[axis] = d.pad_after[axis] = kernel / 2;
    }
    return d;
}

static void test_definition(void) {
    for (int32_t dims = 1; dims <= 3; ++dims) {
        for (int kind = 0; kind < 8; ++kind) {
            for (int pair = 0; pair < 4; ++pair) {
                convlow_convnd_desc d = described(dims, 6, 20, 5, 3);
                d.src_layout = pair / 2;
                d.dst_layout = pair % 2;
                d.weights_layout = (kind + pair) % 3;
                d.accumulate = kind % 2;
                if (kind >= 4) {
                    d.operation = CONVLOW_OPERATION_CONV_TRANSPOSE;
                    for (int32_t axis = 0; axis < dims; ++axis) {
                        d.stride[axis] = 2 + (size_t)(axis % 2);
                        d.output_padding[axis] = 1;
                        d.kernel_size[axis] = 2 + (size_t)(kind % 3);
                    }
                }
                if (kind % 4 == 1) {
                    d.groups = 2;
                    d.batch = 2;
                }
                if (kind % 4 == 2) {
                    d.dilation[0] = 2;
                    d.activation = CONVLOW_ACTIVATION_CLAMP;
                    d.activation_min = 0.0;
                }
                if (kind % 4 == 3) {
                    d.groups = d.out_channels = d.in_channels;
                }
                snprintf(check_context, sizeof(check_context), "%d dimensions, kind %d, layouts %d",
                         (int)dims, kind, pair);
                check_both(&d);
                /* Slices of wider tensors. */
                size_t out_size[3];
                REQUIRE_OK(convlow_convnd_output_size(&d, out_size));
                const size_t pixels = product_of(d.in_size, dims), outputs = product_of(out_size, dims);
                const int src_last = d.src_layout == CONVLOW_LAYOUT_NHWC;
                const int dst_last = d.dst_layout == CONVLOW_LAYOUT_NHWC;
                d.src_channel_stride = (src_last ? d.in_channels : pixels) + 3;
                d.dst_channel_stride = (dst_last ? d.out_channels : outputs) + 5;
                d.src_batch_stride = d.src_channel_stride * (src_last ? pixels : d.in_channels) + 7;
                d.dst_batch_stride = d.dst_channel_stride * (dst_last ? outputs : d.out_channels) + 1;
                check_both(&d);
            }
        }
    }
    /* WaveNet's: causal and heavily dilated. */
    convlow_convnd_desc causal = described(1, 8, 16, 700, 2);
    causal.dilation[0] = 512;
    causal.pad_before[0] = 512;
    causal.pad_after[0] = 0;
    snprintf(check_context, sizeof(check_context), "causal");
    check_both(&causal);
    check_context[0] = '\0';
}

/* Layers of a DenseNet block read all channels before theirs of one tensor and write their own behind them:
 * the same bits as with a tensor for each, and no concatenation. */
static void test_dense_block(int32_t layout) {
    enum {
        FIRST = 12,
        GROWTH = 5,
        LAYERS = 3,
        ALL = FIRST + GROWTH * LAYERS,
        SIDE = 6,
        PIXELS = SIDE * SIDE
    };
    const size_t batch = 2;
    float *wide = floats_new(batch * ALL * PIXELS), *whole = floats_new(batch * ALL * PIXELS);
    fill_with_integers(wide, batch * ALL * PIXELS, 9);
    memcpy(whole, wide, batch * ALL * PIXELS * sizeof(float));
    const size_t channel_step = layout == CONVLOW_LAYOUT_NHWC ? 1 : PIXELS;
    for (size_t layer = 0; layer < LAYERS; ++layer) {
        const size_t channels = FIRST + layer * GROWTH;
        convlow_convnd_desc d = described(2, channels, GROWTH, SIDE, 3);
        d.in_size[1] = SIDE;
        d.batch = batch;
        d.src_layout = d.dst_layout = layout;
        float *weights = floats_new(GROWTH * channels * 9);
        fill_with_integers(weights, GROWTH * channels * 9, (unsigned)layer);

        convlow_plan *alone;
        REQUIRE_OK(convlow_plan_create_nd(&d, NULL, &alone));
        d.src_channel_stride = d.dst_channel_stride = layout == CONVLOW_LAYOUT_NHWC ? ALL : PIXELS;
        d.src_batch_stride = d.dst_batch_stride = ALL * PIXELS;
        convlow_plan *sliced;
        REQUIRE_OK(convlow_plan_create_nd(&d, NULL, &sliced));
        /* Images of the same size: the same packed weights. */
        CHECK(convlow_plan_packing_id(alone) == convlow_plan_packing_id(sliced));
        guarded packed = guarded_new(convlow_plan_packed_weights_bytes(alone));
        REQUIRE_OK(convlow_pack_weights(alone, weights, packed.data, packed.bytes));
        guarded workspace = guarded_new(convlow_plan_workspace_bytes(alone));
        guarded own = guarded_new(convlow_plan_workspace_bytes(sliced));

        /* By way of tensors of their own. */
        float *src = floats_new(batch * channels * PIXELS), *dst = floats_new(batch * GROWTH * PIXELS);
        for (size_t n = 0; n < batch; ++n) {
            for (size_t c = 0; c < channels; ++c) {
                for (size_t pixel = 0; pixel < PIXELS; ++pixel) {
                    src[element(layout, n, c, pixel, channels, PIXELS, 0, 0)] =
                        whole[element(layout, n, c, pixel, ALL, PIXELS, 0, 0)];
                }
            }
        }
        REQUIRE_OK(convlow_execute(alone, src, packed.data, NULL, dst, workspace.data, workspace.bytes));
        for (size_t n = 0; n < batch; ++n) {
            for (size_t c = 0; c < GROWTH; ++c) {
                for (size_t pixel = 0; pixel < PIXELS; ++pixel) {
                    whole[element(layout, n, channels + c, pixel, ALL, PIXELS, 0, 0)] =
                        dst[element(layout, n, c, pixel, GROWTH, PIXELS, 0, 0)];
                }
            }
        }
        /* In place. */
        REQUIRE_OK(convlow_execute(sliced, wide, packed.data, NULL, wide + channels * channel_step, own.data,
                                   own.bytes));
        CHECK(memcmp(wide, whole, batch * ALL * PIXELS * sizeof(float)) == 0);
        /* One channel too early, dst would overlap src. */
        CHECK_FAILS(convlow_execute(sliced, wide, packed.data, NULL, wide + (channels - 1) * channel_step,
                                    own.data, own.bytes),
                    CONVLOW_ERROR_INVALID_ARGUMENT, "dst overlaps src");
        convlow_plan_destroy(alone);
        convlow_plan_destroy(sliced);
        guarded_free(&packed);
        guarded_free(&workspace);
        guarded_free(&own);
        free(src);
        free(dst);
        free(weights);
    }
    free(wide);
    free(whole);
}

static void run_here(void *context, size_t jobs, void (*job)(void *argument, size_t index), void *argument) {
    ++*(size_t *)context;
    for (size_t index = 0; index < jobs; ++index) {
        job(argument, index);
    }
}

static void test_execute_args(void) {
    convlow_convnd_desc d = described(2, 32, 32, 30, 3);
    size_t out_size[3];
    REQUIRE_OK(convlow_convnd_output_size(&d, out_size));
    CHECK_SIZE(out_size[0], 30);
    CHECK_SIZE(out_size[1], 31);
    CHECK_SIZE(out_size[2], 1);
    const size_t pixels = 30 * 31;
    float *src = floats_new(32 * pixels), *weights = floats_new((size_t)32 * 32 * 9),
          *dst = floats_new(32 * pixels);
    fill_with_integers(src, 32 * pixels, 1);
    fill_with_integers(weights, (size_t)32 * 32 * 9, 2);

    size_t general = 0, of_call = 0;
    convlow_plan_options options;
    convlow_plan_options_init(&options, sizeof(options));
    REQUIRE_OK(convlow_pool_create_external(run_here, &general, 3, &options.pool));
    convlow_plan *plan, *alone;
    REQUIRE_OK(convlow_plan_create_nd(&d, &options, &plan));
    REQUIRE_OK(convlow_plan_create_nd(&d, NULL, &alone));
    CHECK(convlow_plan_packing_id(plan) == convlow_plan_packing_id(alone));
    CHECK(convlow_plan_packing_id(NULL) == 0);
    guarded packed = guarded_new(convlow_plan_packed_weights_bytes(plan));
    guarded workspace = guarded_new(convlow_plan_workspace_bytes(plan));
    REQUIRE_OK(convlow_pack_weights(plan, weights, packed.data, packed.bytes));

    convlow_execute_args args;
    memset(&args, 0xA5, sizeof(args));
    convlow_execute_args_init(&args, sizeof(args));
    CHECK(args.src == NULL && args.residual == NULL && args.pool_context == NULL &&
          args.workspace_bytes == 0);
    CHECK_FAILS(convlow_execute_with(plan, &args), CONVLOW_ERROR_INVALID_ARGUMENT, "src is NULL");
    CHECK_FAILS(convlow_execute_with(plan, NULL), CONVLOW_ERROR_INVALID_ARGUMENT,
                "convlow_execute_args is NULL");
    args.src = src;
    args.packed_weights = packed.data;
    args.dst = dst;
    args.workspace = workspace.data;
    args.workspace_bytes = workspace.bytes;
    CHECK_FAILS(convlow_execute_with(NULL, &args), CONVLOW_ERROR_INVALID_ARGUMENT, "plan is NULL");
    CHECK_OK(convlow_execute_with(plan, &args));
    CHECK(general > 0 && of_call == 0);
    general = 0;
    args.pool_context = &of_call;
    CHECK_OK(convlow_execute_with(plan, &args));
    CHECK(general == 0 && of_call > 0);
    CHECK_FAILS(convlow_execute_with(alone, &args), CONVLOW_ERROR_INVALID_ARGUMENT, "pool_context");
    args.pool_context = NULL;
    args.residual = src;
    CHECK_FAILS(convlow_execute_with(plan, &args), CONVLOW_ERROR_INVALID_ARGUMENT, "accumulate = 0");

    /* A residual must not overlap dst unless it is dst. */
    convlow_plan *sum;
    d.accumulate = 1;
    d.out_channels = 16;
    REQUIRE_OK(convlow_plan_create_nd(&d, NULL, &sum));
    CHECK(convlow_plan_packing_id(plan) != convlow_plan_packing_id(sum));
    REQUIRE_OK(convlow_pack_weights(sum, weights, packed.data, packed.bytes));
    args.residual = dst + 1;
    CHECK_FAILS(convlow_execute_with(sum, &args), CONVLOW_ERROR_INVALID_ARGUMENT, "dst overlaps residual");
    args.residual = dst;
    CHECK_OK(convlow_execute_with(sum, &args));

    convlow_plan_destroy(plan);
    convlow_plan_destroy(alone);
    convlow_plan_destroy(sum);
    convlow_pool_destroy(options.pool);
    guarded_free(&packed);
    guarded_free(&workspace);
    free(src);
    free(weights);
    free(dst);
}

static void test_packed_limit(void) {
    convlow_convnd_desc d = described(2, 64, 64, 28, 3);
    convlow_plan_options options;
    convlow_plan_options_init(&options, sizeof(options));
    CHECK(options.max_packed_weights_bytes == SIZE_MAX);
    options.math = CONVLOW_MATH_FAST;
    convlow_plan *plan;
    REQUIRE_OK(convlow_plan_create_nd(&d, &options, &plan));
    const size_t transformed = convlow_plan_packed_weights_bytes(plan);
    convlow_plan_destroy(plan);
    const size_t plain = (size_t)64 * 64 * 9 * sizeof(float);
    CHECK(transformed > plain + 1024);
    options.max_packed_weights_bytes = plain + 1024;
    REQUIRE_OK(convlow_plan_create_nd(&d, &options, &plan));
    CHECK(convlow_plan_packed_weights_bytes(plan) <= plain + 1024);
    convlow_plan_destroy(plan);
    convlow_plan_info infos[128];
    memset(infos, 0, sizeof(infos));
    infos[0].struct_size = sizeof(infos[0]);
    size_t count = 0, limited = 0;
    REQUIRE_OK(convlow_query_nd(&d, &options, infos, 128, &count));
    for (size_t i = 0; i < count; ++i) {
        limited += infos[i].reason != NULL && strstr(infos[i].reason, "max_packed_weights_bytes") != NULL;
    }
    CHECK(limited > 0);
    options.max_packed_weights_bytes = 100;
    CHECK_FAILS(convlow_plan_create_nd(&d, &options, &plan), CONVLOW_ERROR_WORKSPACE_LIMIT,
                "max_packed_weights_bytes = 100");
    options.algorithm = convlow_algorithm_from_name("kn2row-register");
    CHECK_FAILS(convlow_plan_create_nd(&d, &options, &plan), CONVLOW_ERROR_WORKSPACE_LIMIT,
                "bytes of packed weights, more than max_packed_weights_bytes = 100");
}

/* The init functions write within the size they are given, and nothing for a size that ends within a field.
 */
static void test_init(void) {
    convlow_convnd_desc whole;
    convlow_convnd_desc_init(&whole, sizeof(whole));
    CHECK(whole.struct_size == sizeof(whole) && whole.spatial_dims == 2 && whole.batch == 1 &&
          whole.groups == 1);
    CHECK(whole.stride[2] == 1 && whole.dilation[0] == 1 && whole.activation_max == INFINITY);
    CHECK(whole.in_size[0] == 0 && whole.src_channel_stride == 0 && whole.dst_batch_stride == 0);
    const size_t ends[] = {
        offsetof(convlow_convnd_desc, batch), offsetof(convlow_convnd_desc, activation_min),
        offsetof(convlow_convnd_desc, dst_batch_stride), sizeof(whole), sizeof(whole) + 16};
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); ++i) {
        const size_t known = ends[i] < sizeof(whole) ? ends[i] : sizeof(whole);
        guarded made = guarded_new(ends[i]);
        convlow_convnd_desc_init((convlow_convnd_desc *)made.data, ends[i]);
        CHECK(memcmp(made.data, &ends[i], sizeof(ends[i])) == 0);
        CHECK(memcmp((char *)made.data + sizeof(size_t), (char *)&whole + sizeof(size_t),
                     known - sizeof(size_t)) == 0);
        CHECK(guards_are_whole(&made));
        guarded_free(&made);
    }
    convlow_convnd_desc untouched;
    convlow_execute_args args;
    memset(&untouched, 0x5A, sizeof(untouched));
    memset(&args, 0x5A, sizeof(args));
    convlow_convnd_desc_init(&untouched, 13);
    convlow_execute_args_init(&args, 9);
    CHECK(untouched.struct_size != 13 && untouched.batch != 1 && args.struct_size != 9);
    convlow_convnd_desc_init(NULL, sizeof(untouched));
    convlow_execute_args_init(NULL, sizeof(args));
}

static void test_refusals(void) {
    const convlow_convnd_desc good = described(2, 8, 8, 9, 3);
    convlow_plan *plan = NULL;
#define CHECK_REFUSED(change, status, fragment)                                     \
    do {                                                                            \
        convlow_convnd_desc d = good;                                               \
        change;                                                                     \
        CHECK_FAILS(convlow_plan_create_nd(&d, NULL, &plan), (status), (fragment)); \
        CHECK(plan == NULL);                                                        \
    } while (0)
    CHECK_REFUSED(d.spatial_dims = 0, CONVLOW_ERROR_INVALID_ARGUMENT, "spatial_dims = 0");
    CHECK_REFUSED(d.spatial_dims = 4, CONVLOW_ERROR_INVALID_ARGUMENT, "spatial_dims = 4");
    CHECK_REFUSED(d.operation = 7, CONVLOW_ERROR_INVALID_ARGUMENT, "operation = 7");
    CHECK_REFUSED(d.type = 9, CONVLOW_ERROR_INVALID_ARGUMENT, "type = 9");
    CHECK_REFUSED(d.in_size[2] = 5, CONVLOW_ERROR_INVALID_ARGUMENT, "in_size[2] = 5");
    CHECK_REFUSED(d.stride[2] = 2, CONVLOW_ERROR_INVALID_ARGUMENT, "stride[2] = 2");
    CHECK_REFUSED(d.kernel_size[2] = 1, CONVLOW_ERROR_INVALID_ARGUMENT, "kernel_size[2] = 1");
    CHECK_REFUSED((d.in_size[1] = 0, d.pad_before[1] = d.pad_after[1] = 0), CONVLOW_ERROR_INVALID_ARGUMENT,
                  "in_size[1] = 0");
    CHECK_REFUSED(d.dilation[1] = SIZE_MAX, CONVLOW_ERROR_OVERFLOW, "dilation[1] = ");
    CHECK_REFUSED(d.kernel_size[0] = 30, CONVLOW_ERROR_INVALID_ARGUMENT, "kernel_size[0] = 30");
    CHECK_REFUSED(d.output_padding[0] = 1, CONVLOW_ERROR_INVALID_ARGUMENT, "output_padding[0] = 1");
    CHECK_REFUSED((d.operation = CONVLOW_OPERATION_CONV_TRANSPOSE, d.stride[1] = 2, d.output_padding[1] = 2),
                  CONVLOW_ERROR_INVALID_ARGUMENT, "output_padding[1] = 2");
    CHECK_REFUSED((d.operation = CONVLOW_OPERATION_CONV_TRANSPOSE, d.pad_before[0] = 9, d.pad_after[0] = 9),
                  CONVLOW_ERROR_INVALID_ARGUMENT, "pad_before[0] = 9");
    CHECK_REFUSED((d.src_layout = CONVLOW_LAYOUT_NHWC, d.src_channel_stride = 7),
                  CONVLOW_ERROR_INVALID_ARGUMENT, "src_channel_stride = 7");
    CHECK_REFUSED(d.dst_channel_stride = 80, CONVLOW_ERROR_INVALID_ARGUMENT, "dst_channel_stride = 80");
    CHECK_REFUSED(d.dst_batch_stride = 100, CONVLOW_ERROR_INVALID_ARGUMENT, "dst_batch_stride = 100");
    CHECK_REFUSED(d.src_channel_stride = SIZE_MAX / 2, CONVLOW_ERROR_OVERFLOW, "src_channel_stride");
    CHECK_REFUSED((d.batch = 3, d.dst_batch_stride = SIZE_MAX / 2), CONVLOW_ERROR_OVERFLOW,
                  "dst_batch_stride");
    CHECK_REFUSED(d.struct_size = 13, CONVLOW_ERROR_INVALID_ARGUMENT, "convlow_convnd_desc.struct_size = 13");
#undef CHECK_REFUSED
    size_t size[3];
    CHECK_FAILS(convlow_convnd_output_size(NULL, size), CONVLOW_ERROR_INVALID_ARGUMENT, "is NULL");
    CHECK_FAILS(convlow_convnd_output_size(&good, NULL), CONVLOW_ERROR_INVALID_ARGUMENT, "size is NULL");
}

int main(void) {
    test_definition();
    test_dense_block(CONVLOW_LAYOUT_NCHW);
    test_dense_block(CONVLOW_LAYOUT_NHWC);
    test_execute_args();
    test_packed_limit();
    test_init();
    test_refusals();
    return check_result();
}
