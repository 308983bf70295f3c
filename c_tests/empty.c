/*
 * Empty tensors: no images, images of no rows, and outputs that see no input. Every algorithm that plans such
 * a problem writes bias, residual and activation there, and nothing anywhere else; packed weights are those
 * of every other image.
 */

#include "definition.h"

#include <math.h>
#include <stddef.h>
#include <stdint.h>

enum { CHANNELS_IN = 4, CHANNELS_OUT = 6 };

/* Sizes, kernel and padding on each axis. */
typedef struct empty_case {
    const char *name;
    size_t batch, in[3], kernel[3], before[3], after[3];
} empty_case;

static const empty_case cases[] = {
    {"no images", 0, {5, 4, 3}, {2, 3, 1}, {1, 1, 0}, {0, 1, 0}},
    {"no images of nothing", 0, {0, 4, 3}, {2, 3, 1}, {1, 1, 0}, {1, 1, 0}},
    {"padding holds the kernel", 2, {0, 5, 3}, {2, 2, 2}, {1, 1, 1}, {1, 1, 1}},
    {"padding holds more than the kernel", 2, {0, 0, 0}, {1, 1, 2}, {2, 3, 2}, {0, 1, 1}},
    {"no rows under one tap", 2, {0, 3, 2}, {1, 1, 1}, {0, 0, 0}, {0, 0, 0}},
    {"one position short of the kernel", 2, {0, 3, 2}, {3, 3, 1}, {1, 1, 0}, {1, 1, 0}},
};

static convlow_convnd_desc describe_case(const empty_case *c, int32_t dims) {
    convlow_convnd_desc d;
    CONVLOW_CONVND_DESC_INIT(&d);
    d.spatial_dims = dims;
    d.batch = c->batch;
    d.in_channels = CHANNELS_IN;
    d.out_channels = CHANNELS_OUT;
    for (int32_t axis = 0; axis < dims; ++axis) {
        d.in_size[axis] = c->in[axis];
        d.kernel_size[axis] = c->kernel[axis];
        d.pad_before[axis] = c->before[axis];
        d.pad_after[axis] = c->after[axis];
    }
    return d;
}

static double value_of(size_t index, size_t salt) {
    return (double)((index * 7 + salt * 5) % 11) - 4.0;
}

/* What an output is that sees no input: clamp(bias + what is added), where there is either. */
static double expected_of(const convlow_convnd_desc *d, double bias, double addend) {
    const double sum = bias + (d->accumulate ? addend : 0.0);
    return d->activation == CONVLOW_ACTIVATION_CLAMP ? fmin(fmax(sum, d->activation_min), d->activation_max)
                                                     : sum;
}

static double get(const void *tensor, int32_t type, size_t at) {
    return type == CONVLOW_TYPE_F64 ? ((const double *)tensor)[at] : (double)((const float *)tensor)[at];
}

static void put(void *tensor, int32_t type, size_t at, double value) {
    if (type == CONVLOW_TYPE_F64) {
        ((double *)tensor)[at] = value;
    } else {
        ((float *)tensor)[at] = (float)value;
    }
}

/* An execute by one algorithm; a residual of its own where `own` says so. Tensors of nothing are NULL. */
static void check_plan(const convlow_convnd_desc *d, int32_t algorithm, int own, size_t outputs) {
    const size_t element = d->type == CONVLOW_TYPE_F64 ? sizeof(double) : sizeof(float);
    const size_t step = d->dst_layout == CONVLOW_LAYOUT_NHWC && d->dst_channel_stride != 0
                            ? d->dst_channel_stride
                            : CHANNELS_OUT;
    const size_t dst_len = d->batch * outputs * step, weights_len = 4096;
    convlow_plan_options options;
    CONVLOW_PLAN_OPTIONS_INIT(&options);
    options.algorithm = algorithm;
    options.max_workspace_bytes = 0;
    convlow_plan *plan;
    if (!CHECK_OK(convlow_plan_create_nd(d, &options, &plan))) {
        return;
    }
    CHECK_SIZE(convlow_plan_workspace_bytes(plan), 0);
    guarded packed = guarded_new(convlow_plan_packed_weights_bytes(plan));
    guarded dst = guarded_new(dst_len * element), residual = guarded_new(dst_len * element);
    double bias[CHANNELS_OUT];
    void *weights = calloc(weights_len, element);
    REQUIRE(weights != NULL);
    for (size_t m = 0; m < CHANNELS_OUT; ++m) {
        put(bias, d->type, m, value_of(m, 1));
    }
    for (size_t at = 0; at < dst_len; ++at) {
        put(dst.data, d->type, at, value_of(at, 2));
        put(residual.data, d->type, at, value_of(at, 3));
    }
    if (d->type == CONVLOW_TYPE_F64) {
        REQUIRE_OK(convlow_pack_weights_f64(plan, (const double *)weights, packed.data, packed.bytes));
    } else {
        REQUIRE_OK(convlow_pack_weights(plan, (const float *)weights, packed.data, packed.bytes));
    }
    convlow_execute_args args;
    CONVLOW_EXECUTE_ARGS_INIT(&args);
    args.packed_weights = packed.data;
    args.packed_weights_bytes = packed.bytes;
    args.bias = bias;
    args.dst = dst_len > 0 ? dst.data : NULL;
    args.residual = own && dst_len > 0 ? residual.data : NULL;
    CHECK_OK(convlow_execute_with(plan, &args));
    CHECK(guards_are_whole(&dst) && guards_are_whole(&packed));
    for (size_t at = 0; at < dst_len; ++at) {
        const size_t m = d->dst_layout == CONVLOW_LAYOUT_NHWC ? at % step : at / outputs % CHANNELS_OUT;
        double right = value_of(at, 2); /* between the pixels of a slice */
        if (m < CHANNELS_OUT) {
            right = expected_of(d, value_of(m, 1), value_of(at, own ? 3 : 2));
        }
        if (!CHECK(get(dst.data, d->type, at) == right)) {
            break;
        }
    }
    free(weights);
    convlow_plan_destroy(plan);
    guarded_free(&packed);
    guarded_free(&dst);
    guarded_free(&residual);
}

static int plans;

/* AUTO, and every algorithm that computes the problem. */
static void check_all_algorithms(const convlow_convnd_desc *d) {
    size_t out[3], count;
    if (!CHECK_OK(convlow_convnd_output_size(d, out))) {
        return;
    }
    const size_t outputs = product_of(out, 3);
    REQUIRE_OK(convlow_query_nd(d, NULL, NULL, 0, &count));
    convlow_plan_info *infos = (convlow_plan_info *)calloc(count, sizeof(*infos));
    REQUIRE(infos != NULL);
    infos[0].struct_size = sizeof(*infos);
    REQUIRE_OK(convlow_query_nd(d, NULL, infos, count, &count));
    for (int own = 0; own <= d->accumulate; ++own) {
        check_plan(d, CONVLOW_ALGORITHM_AUTO, own, outputs);
        ++plans;
        for (size_t at = 0; at < count; ++at) {
            if (infos[at].applicable) {
                check_plan(d, infos[at].algorithm, own, outputs);
                ++plans;
            }
        }
    }
    free(infos);
}

/* Promise 6: sizes of nothing mean what ONNX says. */
static void every_kind(void) {
    for (size_t at = 0; at < sizeof(cases) / sizeof(cases[0]); ++at) {
        for (int kind = 0; kind < 3 * 2 * 4 * 2 * 2; ++kind) {
            convlow_convnd_desc d = describe_case(&cases[at], 1 + kind % 3);
            d.type = kind / 3 % 2 ? CONVLOW_TYPE_F64 : CONVLOW_TYPE_F32;
            d.src_layout = kind / 6 % 2;
            d.dst_layout = kind / 12 % 2;
            d.accumulate = kind / 24 % 2;
            d.groups = kind / 48 % 2 ? 2 : 1;
            if (d.accumulate) {
                d.activation = CONVLOW_ACTIVATION_CLAMP;
                d.activation_min = -1.0;
                d.activation_max = 3.0;
            }
            if (d.groups == 2 && d.dst_layout == CONVLOW_LAYOUT_NHWC) {
                d.dst_channel_stride = CHANNELS_OUT + 3;
            }
            snprintf(check_context, sizeof(check_context), "%s, kind %d", cases[at].name, kind);
            check_all_algorithms(&d);
        }
    }
    check_context[0] = '\0';
}

/* No images of a transposed convolution are fine; nothing to spread is not. */
static void transposed(void) {
    for (int32_t dims = 1; dims <= 3; ++dims) {
        for (int32_t layout = 0; layout < 2; ++layout) {
            convlow_convnd_desc d = describe_case(&cases[0], dims);
            size_t size[3];
            d.operation = CONVLOW_OPERATION_CONV_TRANSPOSE;
            d.src_layout = d.dst_layout = layout;
            check_all_algorithms(&d);
            d.batch = 1;
            d.in_size[0] = 0;
            CHECK_FAILS(convlow_convnd_output_size(&d, size), CONVLOW_ERROR_INVALID_ARGUMENT,
                        "in_size[0] = 0, but a transposed convolution needs at least 1");
        }
    }
}

/* What is too small for the kernel stays refused, and so does a kernel or a channel that was forgotten. */
static void what_is_no_image(void) {
    size_t size[3];
    convlow_convnd_desc d = describe_case(&cases[4], 2);
    d.kernel_size[0] = 3;
    CHECK_FAILS(
        convlow_convnd_output_size(&d, size), CONVLOW_ERROR_INVALID_ARGUMENT,
        "kernel_size[0] = 3 with dilation[0] = 1 reaches over 3 positions, but the padded input has 0");
    d = describe_case(&cases[0], 2);
    d.in_size[0] = 1;
    d.kernel_size[0] = 3;
    CHECK_FAILS(convlow_convnd_output_size(&d, size), CONVLOW_ERROR_INVALID_ARGUMENT, "kernel_size[0] = 3");
    CONVLOW_CONVND_DESC_INIT(&d);
    CHECK_FAILS(convlow_convnd_output_size(&d, size), CONVLOW_ERROR_INVALID_ARGUMENT, "in_channels = 0");
    d.in_channels = d.out_channels = 1;
    CHECK_FAILS(convlow_convnd_output_size(&d, size), CONVLOW_ERROR_INVALID_ARGUMENT, "kernel_size[0] = 0");
    d.kernel_size[0] = d.kernel_size[1] = 1;
    CHECK_OK(convlow_convnd_output_size(&d, size));
    CHECK(size[0] == 0 && size[1] == 0 && size[2] == 1);
}

/* Sizes beside a 0 have to fit memory by themselves: whatever their order, the answer is the same, and names
 * them. */
static void huge_sizes_beside_nothing(void) {
    const size_t large = (size_t)1 << 40;
    const size_t sizes[][4] = {
        /* batch, and the input's sizes */
        {1, large, large, 0}, {1, large, 0, large}, {1, 0, large, large},
        {0, large, large, 1}, {0, 1, large, large}, {0, large, 1, large},
    };
    for (size_t at = 0; at < sizeof(sizes) / sizeof(sizes[0]); ++at) {
        for (int32_t layout = 0; layout < 2; ++layout) {
            convlow_convnd_desc d = describe_case(&cases[4], 3);
            convlow_plan *plan = NULL;
            size_t size[3];
            d.src_layout = d.dst_layout = layout;
            d.batch = sizes[at][0];
            memcpy(d.in_size, sizes[at] + 1, sizeof(d.in_size));
            CHECK_FAILS(convlow_convnd_output_size(&d, size), CONVLOW_ERROR_OVERFLOW, "in_size[1] = ");
            CHECK_FAILS(convlow_plan_create_nd(&d, NULL, &plan), CONVLOW_ERROR_OVERFLOW, "in_size[1] = ");
            /* Two of them fit. */
            for (int axis = 0; axis < 3; ++axis) {
                d.in_size[axis] = d.in_size[axis] == large ? (size_t)1 << 20 : d.in_size[axis];
            }
            CHECK_OK(convlow_plan_create_nd(&d, NULL, &plan));
            convlow_plan_destroy(plan);
        }
    }
    /* An image of nothing is shorter than any stride. */
    for (int32_t layout = 0; layout < 2; ++layout) {
        convlow_convnd_desc d = describe_case(&cases[4], 2);
        size_t size[3];
        d.src_layout = d.dst_layout = layout;
        d.src_batch_stride = d.dst_batch_stride = 3;
        CHECK_OK(convlow_convnd_output_size(&d, size));
    }
}

/* A net of dynamic sizes packs once: an empty image reads the packing of any other. */
static void packing_of_other_images(void) {
    for (int32_t layout = 0; layout < 2; ++layout) {
        convlow_convnd_desc d = describe_case(&cases[2], 2);
        d.src_layout = d.dst_layout = layout;
        d.in_channels = d.out_channels = 64;
        convlow_plan *empty, *other;
        REQUIRE_OK(convlow_plan_create_nd(&d, NULL, &empty));
        d.in_size[0] = d.in_size[1] = 56;
        REQUIRE_OK(convlow_plan_create_nd(&d, NULL, &other));
        CHECK(convlow_plan_packing_id(empty) == convlow_plan_packing_id(other));
        convlow_plan_destroy(empty);
        convlow_plan_destroy(other);
    }
}

/* Measuring finds nothing to measure. */
static void measured(void) {
    convlow_convnd_desc d = describe_case(&cases[2], 2);
    convlow_plan_options options;
    CONVLOW_PLAN_OPTIONS_INIT(&options);
    options.effort = CONVLOW_EFFORT_MEASURE;
    convlow_plan *plan;
    convlow_plan_info info = {.struct_size = sizeof(info)};
    REQUIRE_OK(convlow_plan_create_nd(&d, &options, &plan));
    CHECK_OK(convlow_plan_get_info(plan, &info));
    CHECK(info.measured_seconds == 0.0);
    convlow_plan_destroy(plan);
}

int main(void) {
    every_kind();
    transposed();
    what_is_no_image();
    huge_sizes_beside_nothing();
    packing_of_other_images();
    measured();
    printf("empty: %d executes of outputs that see nothing\n", plans);
    CHECK(plans > 5000);
    return check_result();
}
