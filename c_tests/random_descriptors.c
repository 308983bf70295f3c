/*
 * Random descriptors: random_descriptors [SEED [COUNT [FIRST]]]
 *
 * Most are valid and small, some have one field that makes no sense, and some are huge. Each is queried and
 * planned, and what is small is packed and executed with all memory between forbidden pages, the workspace
 * exactly as large as the plan says, and compared with the definition. Whatever is refused is refused with a
 * status and a message, and touches nothing. Case N of a seed is the same whatever the count: a failure is
 * repeated by its seed, 1, and its number.
 */

#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#include "activation.h"
#include "definition.h"
#include "pages.h"

#include <inttypes.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <time.h>

/* ---- random numbers -------------------------------------------------------------------------------------
 */

static uint64_t random_state;

/* splitmix64 */
static uint64_t random_bits(void) {
    uint64_t bits = random_state += 0x9e3779b97f4a7c15u;
    bits = (bits ^ bits >> 30) * 0xbf58476d1ce4e5b9u;
    bits = (bits ^ bits >> 27) * 0x94d049bb133111ebu;
    return bits ^ bits >> 31;
}

static size_t below(size_t end) {
    return (size_t)(random_bits() % end);
}

static size_t between(size_t first, size_t last) {
    return first + below(last - first + 1);
}

static int one_in(size_t count) {
    return below(count) == 0;
}

/* Of any magnitude. */
static size_t random_size(void) {
    return (size_t)(random_bits() >> below(64));
}

/* ---- memory ---------------------------------------------------------------------------------------------
 */

enum {
    MOST_ELEMENTS = 1 << 16,
    MOST_PACKED_BYTES = 4 << 20,
    MOST_WORKSPACE_BYTES = 16 << 20,
    MALLOC_ALIGNMENT = 16, /* less on no machine that this runs on */
};

/* What execute reads; nobody ever writes to it after it is filled. The same small integers as float and
 * double. */
enum { SRC, WEIGHTS, BIAS, SLOPES, BEFORE, RESIDUAL, INPUTS };
static pages inputs_of[2][INPUTS]; /* by CONVLOW_TYPE_ */

static pages dst_pages, packed_pages, workspace_pages;
static double expected[MOST_ELEMENTS];

static size_t element_bytes(int32_t type) {
    return type == CONVLOW_TYPE_F64 ? sizeof(double) : sizeof(float);
}

static void make_memory(void) {
    float *floats = floats_new(MOST_ELEMENTS);
    for (int input = 0; input < INPUTS; ++input) {
        const pages *of_floats = &inputs_of[CONVLOW_TYPE_F32][input];
        const pages *of_doubles = &inputs_of[CONVLOW_TYPE_F64][input];
        inputs_of[CONVLOW_TYPE_F32][input] = pages_new(MOST_ELEMENTS * sizeof(float));
        inputs_of[CONVLOW_TYPE_F64][input] = pages_new(MOST_ELEMENTS * sizeof(double));
        REQUIRE(of_floats->bytes == MOST_ELEMENTS * sizeof(float));
        REQUIRE(of_doubles->bytes == MOST_ELEMENTS * sizeof(double));
        fill_with_integers(floats, MOST_ELEMENTS, (unsigned)input);
        memcpy(of_floats->first, floats, of_floats->bytes);
        for (size_t at = 0; at < MOST_ELEMENTS; ++at) {
            ((double *)(void *)of_doubles->first)[at] = (double)floats[at];
        }
        pages_protect(of_floats, 1);
        pages_protect(of_doubles, 1);
    }
    free(floats);
    dst_pages = pages_new(MOST_ELEMENTS * sizeof(double));
    packed_pages = pages_new(MOST_PACKED_BYTES);
    workspace_pages = pages_new(MOST_WORKSPACE_BYTES);
}

/* One kind of input for a case, of the plan's type and as floats of the same values. */
typedef struct input {
    const void *data;
    const float *floats;
} input;

static input input_of(int kind, int32_t type, size_t count, side at) {
    const size_t bytes = element_bytes(type);
    const input found = {pages_place(&inputs_of[type][kind], count * bytes, bytes, at),
                         (const float *)pages_place(&inputs_of[CONVLOW_TYPE_F32][kind], count * sizeof(float),
                                                    sizeof(float), at)};
    return found;
}

/* ---- what was tried -------------------------------------------------------------------------------------
 */

static struct {
    size_t tried, executed, plain, planned_only, refused[8];
    size_t by_kind[3];
    double longest_seconds;
    uint64_t longest_case;
} counts;

static convlow_pool *threads_pool, *hosts_pool;
static uint64_t seed, number;

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static void run_in_reverse(void *context, size_t jobs, void (*job)(void *argument, size_t index),
                           void *argument) {
    (void)context;
    while (jobs > 0) {
        job(argument, --jobs);
    }
}

/* ---- descriptors ----------------------------------------------------------------------------------------
 */

static size_t reach_of(const convlow_convnd_desc *d, int axis) {
    return (d->kernel_size[axis] - 1) * d->dilation[axis] + 1;
}

/* Few outputs of an axis, as far apart as they come, and mostly in the padding. */
static void spread_apart(convlow_convnd_desc *d, int axis) {
    if (one_in(2)) {
        d->stride[axis] = (random_size() & SIZE_MAX / 2) | 1;
        d->pad_before[axis] += one_in(2) ? d->stride[axis] / 4 : 0;
        d->pad_after[axis] += one_in(2) ? d->stride[axis] / 8 : 0;
    } else {
        const size_t most = SIZE_MAX / 8;
        d->dilation[axis] = (random_size() & most) | 1;
        d->kernel_size[axis] = between(1, 2);
        d->pad_before[axis] = one_in(2) ? d->dilation[axis] : 0;
        d->pad_after[axis] = one_in(2) || d->pad_before[axis] == 0 ? d->dilation[axis] : 0;
        d->stride[axis] = one_in(2) ? d->dilation[axis] : d->dilation[axis] / 2 + 1;
    }
}

/* A valid descriptor of a small problem. */
static convlow_convnd_desc small_descriptor(void) {
    convlow_convnd_desc d;
    convlow_convnd_desc_init(&d, sizeof(d));
    d.operation = one_in(4) ? CONVLOW_OPERATION_CONV_TRANSPOSE : CONVLOW_OPERATION_CONV;
    d.type = one_in(4) ? CONVLOW_TYPE_F64 : CONVLOW_TYPE_F32;
    d.spatial_dims = one_in(2) ? 2 : (int32_t)between(1, 3);
    d.src_layout = (int32_t)below(2);
    d.dst_layout = one_in(4) ? (int32_t)below(2) : d.src_layout;
    d.weights_layout = (int32_t)below(3);
    d.accumulate = one_in(3) ? (int32_t)random_bits() : 0;
    d.batch = one_in(2) ? 1 : between(1, 3);
    d.groups = one_in(3) ? between(1, 4) : 1;
    d.in_channels = d.groups * between(1, one_in(4) ? 40 : 7);
    d.out_channels = d.groups * between(1, one_in(4) ? 40 : 7);
    if (one_in(6)) { /* depthwise */
        d.groups = d.in_channels = between(1, 40);
        d.out_channels = d.in_channels * between(1, 2);
    }
    const size_t longest = d.spatial_dims == 1 ? 40 : d.spatial_dims == 2 ? 12 : 6;
    const int alike = one_in(2); /* what networks have, and the only ones that some algorithms take */
    for (int axis = 0; axis < d.spatial_dims; ++axis) {
        d.in_size[axis] = between(1, longest);
        d.kernel_size[axis] = one_in(3) ? 3 : between(1, d.spatial_dims == 3 ? 3 : 5);
        d.stride[axis] = one_in(2) ? 1 : between(1, 4);
        d.dilation[axis] = one_in(2) ? 1 : between(1, 3);
        d.pad_before[axis] = one_in(3) ? between(0, 4) : d.kernel_size[axis] / 2;
        d.pad_after[axis] = one_in(3) ? between(0, 4) : d.kernel_size[axis] / 2;
        if (alike && axis > 0) {
            d.kernel_size[axis] = d.kernel_size[0];
            d.stride[axis] = d.stride[0];
            d.dilation[axis] = d.dilation[0];
            d.pad_before[axis] = d.pad_after[axis] = d.pad_before[0];
        }
        if (d.operation == CONVLOW_OPERATION_CONV_TRANSPOSE) {
            const size_t most = d.stride[axis] > d.dilation[axis] ? d.stride[axis] : d.dilation[axis];
            d.output_padding[axis] = below(most);
            const size_t reached =
                (d.in_size[axis] - 1) * d.stride[axis] + reach_of(&d, axis) + d.output_padding[axis];
            if (d.pad_before[axis] + d.pad_after[axis] >= reached) {
                d.pad_before[axis] = d.pad_after[axis] = 0;
            }
        } else if (reach_of(&d, axis) > d.in_size[axis] + d.pad_before[axis] + d.pad_after[axis]) {
            d.in_size[axis] = reach_of(&d, axis);
        }
    }
    if (d.operation == CONVLOW_OPERATION_CONV && one_in(8)) {
        spread_apart(&d, (int)below((size_t)d.spatial_dims));
    }
    if (one_in(3)) {
        d.activation = CONVLOW_ACTIVATION_CLAMP;
        d.activation_min = one_in(2) ? 0.0 : -(double)below(20);
        d.activation_max = one_in(2) ? INFINITY : (double)below(20);
    } else if (one_in(2)) {
        d.activation = (int32_t)below(ACTIVATIONS);
        d.activation_alpha = one_in(2) ? (double)NAN : ((double)below(33) - 16.0) / 8.0;
        d.activation_beta = one_in(2) ? (double)NAN : ((double)below(17) - 8.0) / 8.0;
    }
    if (d.activation == CONVLOW_ACTIVATION_NONE && one_in(2)) {
        d.propagation = one_in(2) ? CONVLOW_PROPAGATION_BACKWARD_DATA : CONVLOW_PROPAGATION_BACKWARD_WEIGHTS;
    }
    return d;
}

/* Makes tensors slices of wider ones. */
static void widen(convlow_convnd_desc *d, const size_t *out_size) {
    const size_t pixels[2] = {product_of(d->in_size, d->spatial_dims), product_of(out_size, d->spatial_dims)};
    const size_t channels[2] = {d->in_channels, d->out_channels};
    const int32_t layouts[2] = {d->src_layout, d->dst_layout};
    size_t *const strides[2][2] = {{&d->src_channel_stride, &d->src_batch_stride},
                                   {&d->dst_channel_stride, &d->dst_batch_stride}};
    for (int tensor = 0; tensor < 2; ++tensor) {
        const size_t run = layouts[tensor] == CONVLOW_LAYOUT_NHWC ? channels[tensor] : pixels[tensor];
        const size_t runs = layouts[tensor] == CONVLOW_LAYOUT_NHWC ? pixels[tensor] : channels[tensor];
        const size_t step = run + (one_in(2) ? below(5) : 0);
        *strides[tensor][0] = one_in(3) ? 0 : step;
        const size_t used = *strides[tensor][0] == 0 ? run : step;
        *strides[tensor][1] = one_in(2) ? 0 : (runs - 1) * used + run + below(7);
    }
}

/* The fields that may take a senseless value, behind struct_size. */
#define SIZE_FIELD(name) \
    { offsetof(convlow_convnd_desc, name), sizeof(size_t) }
#define ARRAY_FIELD(name) SIZE_FIELD(name[0]), SIZE_FIELD(name[1]), SIZE_FIELD(name[2])
#define ENUM_FIELD(name) \
    { offsetof(convlow_convnd_desc, name), sizeof(int32_t) }
static const struct {
    size_t offset, bytes;
} fields[] = {
    ENUM_FIELD(operation),
    ENUM_FIELD(type),
    ENUM_FIELD(spatial_dims),
    ENUM_FIELD(src_layout),
    ENUM_FIELD(dst_layout),
    ENUM_FIELD(weights_layout),
    ENUM_FIELD(activation),
    ENUM_FIELD(accumulate),
    SIZE_FIELD(batch),
    SIZE_FIELD(in_channels),
    SIZE_FIELD(out_channels),
    SIZE_FIELD(groups),
    ARRAY_FIELD(in_size),
    ARRAY_FIELD(kernel_size),
    ARRAY_FIELD(stride),
    ARRAY_FIELD(dilation),
    ARRAY_FIELD(pad_before),
    ARRAY_FIELD(pad_after),
    ARRAY_FIELD(output_padding),
    SIZE_FIELD(activation_min),
    SIZE_FIELD(activation_max),
    SIZE_FIELD(src_channel_stride),
    SIZE_FIELD(src_batch_stride),
    SIZE_FIELD(dst_channel_stride),
    SIZE_FIELD(dst_batch_stride),
    SIZE_FIELD(activation_alpha),
    SIZE_FIELD(activation_beta),
    ENUM_FIELD(propagation),
    ENUM_FIELD(reserved1),
    SIZE_FIELD(struct_size),
};
enum { FIELDS = sizeof(fields) / sizeof(fields[0]) };

static void break_one_field(convlow_convnd_desc *d) {
    static const uint64_t senseless[] = {0,
                                         1,
                                         2,
                                         3,
                                         5,
                                         7,
                                         64,
                                         0x7fffffff,
                                         0x80000000,
                                         0xffffffff,
                                         0x100000000,
                                         0x3fffffffffffffff,
                                         0x4000000000000000,
                                         0x7fffffffffffffff,
                                         0x8000000000000000,
                                         0x7ff8000000000000, /* NaN as a double */
                                         0xfffffffffffffff0,
                                         0xfffffffffffffffe,
                                         0xffffffffffffffff};
    const size_t field = below(FIELDS);
    const uint64_t value = one_in(3) ? random_size() : senseless[below(sizeof(senseless) / 8)];
    unsigned char *place = (unsigned char *)d + fields[field].offset;
    if (fields[field].bytes == sizeof(int32_t)) {
        const int32_t narrow = (int32_t)(uint32_t)value;
        memcpy(place, &narrow, sizeof(narrow));
    } else {
        const size_t wide = (size_t)value;
        memcpy(place, &wide, sizeof(wide));
    }
}

static void make_huge(convlow_convnd_desc *d) {
    for (size_t field = 0; field < FIELDS; ++field) {
        /* Constants stay, or nothing would get past them, and so does struct_size. */
        if (fields[field].bytes == sizeof(size_t) && fields[field].offset > 0 && one_in(9)) {
            const size_t value = random_size();
            memcpy((unsigned char *)d + fields[field].offset, &value, sizeof(value));
        }
    }
    if (one_in(2)) {
        d->groups = 1;
    }
}

/* ---- options --------------------------------------------------------------------------------------------
 */

static convlow_plan_options random_options(void) {
    convlow_plan_options options;
    convlow_plan_options_init(&options, sizeof(options));
    options.math = one_in(3) ? CONVLOW_MATH_FAST : CONVLOW_MATH_EXACT;
    options.gemm = one_in(2) ? CONVLOW_GEMM_AUTO : (int32_t)below(3);
    if (options.gemm == CONVLOW_GEMM_BLAS && !CONVLOW_TEST_BLAS) {
        options.gemm = CONVLOW_GEMM_AUTO;
    }
    options.max_workspace_bytes = one_in(3) ? random_size() : SIZE_MAX;
    options.max_packed_weights_bytes = one_in(8) ? random_size() : SIZE_MAX;
    options.packing = one_in(4) ? CONVLOW_PACKING_NONE : CONVLOW_PACKING_CALLER;
    options.pool = one_in(12) ? threads_pool : one_in(12) ? hosts_pool : NULL;
    if (one_in(1000)) {
        options.effort = CONVLOW_EFFORT_MEASURE;
        options.measure_budget_seconds = 1e-6;
        options.measure_max_bytes = (size_t)1 << 20;
    }
    return options;
}

/* Promise 6: the output sizes of ONNX, counted: the windows that fit the padded input, or where a transposed
 * convolution ends. */
static void check_output_size(const convlow_convnd_desc *d, const size_t *out_size) {
    for (int axis = 0; axis < 3; ++axis) {
        size_t expected_size = 1;
        if (axis < d->spatial_dims && d->operation == CONVLOW_OPERATION_CONV_TRANSPOSE) {
            expected_size = (d->in_size[axis] - 1) * d->stride[axis] + reach_of(d, axis) +
                            d->output_padding[axis] - d->pad_before[axis] - d->pad_after[axis];
        } else if (axis < d->spatial_dims) {
            const size_t padded = d->in_size[axis] + d->pad_before[axis] + d->pad_after[axis];
            size_t left = padded - reach_of(d, axis);
            for (; left >= d->stride[axis]; left -= d->stride[axis]) {
                ++expected_size;
            }
        }
        CHECK_SIZE(out_size[axis], expected_size);
    }
}

/* ---- the calls ------------------------------------------------------------------------------------------
 */

enum { MOST_ALGORITHMS = 256 };
static convlow_plan_info infos[MOST_ALGORITHMS];

/* Whatever is refused is refused for a reason of the caller's. */
static void check_refusal(convlow_status status) {
    CHECK(status > CONVLOW_OK && status < CONVLOW_ERROR_INTERNAL);
    CHECK_STATUS(status == CONVLOW_ERROR_OUT_OF_MEMORY ? status : CONVLOW_OK, CONVLOW_OK);
    CHECK(convlow_last_error_message()[0] != '\0');
    ++counts.refused[status > 0 && status < 8 ? status : 0];
}

/* The same as a short descriptor, where there is one. */
static int short_form(const convlow_convnd_desc *d, convlow_conv2d_desc *found) {
    convlow_convnd_desc untouched;
    convlow_convnd_desc_init(&untouched, sizeof(untouched));
    if (d->struct_size != sizeof(*d) || d->in_size[2] != untouched.in_size[2] ||
        d->kernel_size[2] != untouched.kernel_size[2] || d->stride[2] != untouched.stride[2] ||
        d->dilation[2] != untouched.dilation[2] || d->pad_before[2] != untouched.pad_before[2] ||
        d->pad_after[2] != untouched.pad_after[2] || d->output_padding[2] != untouched.output_padding[2] ||
        d->propagation != CONVLOW_PROPAGATION_FORWARD || d->reserved1 != 0 ||
        d->operation != CONVLOW_OPERATION_CONV || d->type != CONVLOW_TYPE_F32 || d->spatial_dims != 2 ||
        d->src_channel_stride != 0 || d->src_batch_stride != 0 || d->dst_channel_stride != 0 ||
        d->dst_batch_stride != 0 || d->output_padding[0] != 0 || d->output_padding[1] != 0 ||
        d->activation_min != (double)(float)d->activation_min ||
        d->activation_max != (double)(float)d->activation_max) {
        return 0;
    }
    convlow_conv2d_desc_init(found, sizeof(*found));
    found->src_layout = d->src_layout;
    found->dst_layout = d->dst_layout;
    found->weights_layout = d->weights_layout;
    found->activation = d->activation;
    found->batch = d->batch;
    found->in_channels = d->in_channels;
    found->in_height = d->in_size[0];
    found->in_width = d->in_size[1];
    found->out_channels = d->out_channels;
    found->kernel_height = d->kernel_size[0];
    found->kernel_width = d->kernel_size[1];
    found->stride_height = d->stride[0];
    found->stride_width = d->stride[1];
    found->dilation_height = d->dilation[0];
    found->dilation_width = d->dilation[1];
    found->pad_top = d->pad_before[0];
    found->pad_left = d->pad_before[1];
    found->pad_bottom = d->pad_after[0];
    found->pad_right = d->pad_after[1];
    found->groups = d->groups;
    found->activation_min = (float)d->activation_min;
    found->activation_max = (float)d->activation_max;
    found->accumulate = d->accumulate;
    found->activation_alpha = d->activation_alpha;
    found->activation_beta = d->activation_beta;
    return 1;
}

/* Compares whole numbers of the plan's type; how many differ. */
static size_t differing(int32_t type, const void *found, const double *exact, size_t count) {
    size_t wrong = 0;
    for (size_t at = 0; at < count; ++at) {
        const double value =
            type == CONVLOW_TYPE_F64 ? ((const double *)found)[at] : (double)((const float *)found)[at];
        wrong += value != exact[at];
    }
    return wrong;
}

/* The same for a plan of the gradients of the weights and of the bias. */
static int execute_gradient(const convlow_convnd_desc *d, const convlow_plan *plan, const size_t *out_size) {
    const lying of_src = lying_of_src(d), of_dst = lying_of_dst(d, out_size);
    const size_t src_len = length_of(&of_src, d->batch), dst_len = length_of(&of_dst, d->batch);
    const size_t taps = product_of(d->kernel_size, d->spatial_dims);
    const size_t weights_len = d->out_channels * (d->in_channels / d->groups) * taps;
    const size_t workspace_bytes = convlow_plan_workspace_bytes(plan);
    const double work = (double)(d->batch == 0 ? 1 : d->batch) * (double)d->in_channels *
                        (double)(d->out_channels / d->groups) * (double)taps * (double)of_src.pixels;
    if (src_len > MOST_ELEMENTS || dst_len > MOST_ELEMENTS || weights_len > MOST_ELEMENTS ||
        d->out_channels > MOST_ELEMENTS || d->batch * d->out_channels * of_dst.pixels > MOST_ELEMENTS ||
        work > 4e6 || workspace_bytes > MOST_WORKSPACE_BYTES) {
        return 0;
    }
    const side at = one_in(2) ? BEHIND_THE_FRONT : BEFORE_THE_END;
    const size_t bytes = element_bytes(d->type);
    const input src = input_of(SRC, d->type, src_len, at);
    const input diff_dst = input_of(RESIDUAL, d->type, dst_len, at);
    const input before = input_of(BEFORE, d->type, weights_len, at);
    const input bias_before = input_of(BIAS, d->type, d->out_channels, at);
    const int with_weights = !one_in(4), with_bias = !with_weights || one_in(2);
    void *diff_weights = pages_place(&dst_pages, weights_len * bytes, bytes, at);
    void *diff_bias = pages_place(&packed_pages, d->out_channels * bytes, bytes, at);
    void *workspace = pages_place(&workspace_pages, workspace_bytes, MALLOC_ALIGNMENT, at);
    CHECK_SIZE(convlow_plan_packed_weights_bytes(plan), 0);
    pages_mark_beside(&dst_pages, diff_weights, weights_len * bytes);
    pages_mark_beside(&packed_pages, diff_bias, d->out_channels * bytes);
    pages_mark_beside(&workspace_pages, workspace, workspace_bytes);
    memcpy(diff_weights, before.data, weights_len * bytes);
    memcpy(diff_bias, bias_before.data, d->out_channels * bytes);
    memset(workspace, DIRT, workspace_bytes);
    convlow_execute_args args;
    convlow_execute_args_init(&args, sizeof(args));
    args.src = src.data;
    args.diff_dst = diff_dst.data;
    args.diff_weights = with_weights ? diff_weights : NULL;
    args.diff_bias = with_bias ? diff_bias : NULL;
    args.workspace = workspace_bytes == 0 && one_in(2) ? NULL : workspace;
    args.workspace_bytes = workspace_bytes;
    const int computed = CHECK_OK(convlow_execute_with(plan, &args));
    CHECK(pages_beside_are_whole(&dst_pages, diff_weights, weights_len * bytes));
    CHECK(pages_beside_are_whole(&packed_pages, diff_bias, d->out_channels * bytes));
    CHECK(pages_beside_are_whole(&workspace_pages, workspace, workspace_bytes));
    if (!computed) {
        return 1;
    }
    double *const of_bias = doubles_new(d->out_channels);
    for (size_t i = 0; i < weights_len; ++i) {
        expected[i] = d->accumulate != 0 || !with_weights ? (double)before.floats[i] : 0.0;
    }
    for (size_t i = 0; i < d->out_channels; ++i) {
        of_bias[i] = d->accumulate != 0 || !with_bias ? (double)bias_before.floats[i] : 0.0;
    }
    double *const nowhere = doubles_new(weights_len > d->out_channels ? weights_len : d->out_channels);
    add_gradients_by_definition(d, out_size, src.floats, diff_dst.floats, with_weights ? expected : nowhere,
                                with_bias ? of_bias : nowhere);
    CHECK_SIZE(differing(d->type, diff_weights, expected, weights_len), 0);
    CHECK_SIZE(differing(d->type, diff_bias, of_bias, d->out_channels), 0);
    free(of_bias);
    free(nowhere);
    return 1;
}

/* Promise 11: executes a plan between forbidden pages and compares; 0 where it is too large for that. */
static int execute_plan(const convlow_convnd_desc *d, const convlow_plan *plan, const char *algorithm,
                        int packs, const size_t *out_size) {
    if (d->propagation == CONVLOW_PROPAGATION_BACKWARD_WEIGHTS) {
        return execute_gradient(d, plan, out_size);
    }
    const int dims = d->spatial_dims;
    const size_t pixels = product_of(d->in_size, dims);
    const size_t taps = product_of(d->kernel_size, dims);
    const lying read = lying_of_read(d, out_size), written = lying_of_written(d, out_size);
    const size_t src_len = length_of(&read, d->batch), dst_len = length_of(&written, d->batch);
    const size_t depth = read.channels / d->groups * taps;
    const size_t weights_len = written.channels * depth;
    const double most_work = 4e6;
    /* The definition looks at each pixel, also where there are no images. */
    const double work = (double)(d->batch == 0 ? 1 : d->batch) * (double)d->in_channels *
                        (double)(d->out_channels / d->groups) * (double)taps * (double)pixels;
    const size_t packed_bytes = convlow_plan_packed_weights_bytes(plan);
    const size_t workspace_bytes = convlow_plan_workspace_bytes(plan);
    if (src_len > MOST_ELEMENTS || dst_len > MOST_ELEMENTS || weights_len > MOST_ELEMENTS ||
        d->out_channels > MOST_ELEMENTS || d->batch * written.channels * written.pixels > MOST_ELEMENTS ||
        work > most_work || packed_bytes > MOST_PACKED_BYTES || workspace_bytes > MOST_WORKSPACE_BYTES) {
        return 0;
    }

    const side at = one_in(2) ? BEHIND_THE_FRONT : BEFORE_THE_END;
    const size_t bytes = element_bytes(d->type);
    const input src = input_of(SRC, d->type, src_len, at);
    const input weights = input_of(WEIGHTS, d->type, weights_len, at);
    const input bias = input_of(BIAS, d->type, d->out_channels, at);
    const input slopes = input_of(SLOPES, d->type, d->out_channels, at);
    const input before = input_of(BEFORE, d->type, dst_len, at);
    const input residual = input_of(RESIDUAL, d->type, dst_len, at);
    const int forward = !is_gradient(d);
    const int with_bias = forward && !one_in(3);
    const int with_residual = forward && d->accumulate != 0 && one_in(2);
    void *dst = pages_place(&dst_pages, dst_len * bytes, bytes, at);
    void *packed = pages_place(&packed_pages, packed_bytes, MALLOC_ALIGNMENT, at);
    void *workspace = pages_place(&workspace_pages, workspace_bytes, MALLOC_ALIGNMENT, at);
    pages_mark_beside(&packed_pages, packed, packed_bytes);
    memset(packed, DIRT, packed_bytes);
    const convlow_status status =
        d->type == CONVLOW_TYPE_F64
            ? convlow_pack_weights_f64(plan, (const double *)weights.data, packed, packed_bytes)
            : convlow_pack_weights(plan, (const float *)weights.data, packed, packed_bytes);
    REQUIRE(status == (packs ? CONVLOW_OK : CONVLOW_ERROR_INVALID_ARGUMENT));
    CHECK(pages_beside_are_whole(&packed_pages, packed, packed_bytes));
    pages_protect(&packed_pages, 1);

    pages_mark_beside(&dst_pages, dst, dst_len * bytes);
    memcpy(dst, before.data, dst_len * bytes);
    pages_mark_beside(&workspace_pages, workspace, workspace_bytes);
    memset(workspace, DIRT, workspace_bytes);
    convlow_execute_args args;
    convlow_execute_args_init(&args, sizeof(args));
    set_tensors(&args, d, src.data, dst);
    args.packed_weights = packs ? packed : NULL;
    args.weights = packs ? NULL : weights.data;
    args.bias = with_bias ? bias.data : NULL;
    args.workspace = workspace_bytes == 0 && one_in(2) ? NULL : workspace;
    args.workspace_bytes = workspace_bytes;
    args.residual = with_residual ? residual.data : NULL;
    args.slopes = d->activation == CONVLOW_ACTIVATION_PRELU ? slopes.data : NULL;
    if (workspace_bytes > 0 && one_in(4)) {
        args.workspace_bytes = workspace_bytes - 1;
        CHECK_STATUS(convlow_execute_with(plan, &args), CONVLOW_ERROR_WORKSPACE_LIMIT);
        CHECK(memcmp(dst, before.data, dst_len * bytes) == 0);
        CHECK(bytes_are(workspace, DIRT, workspace_bytes));
        args.workspace_bytes = workspace_bytes;
    }
    const int computed = CHECK_OK(convlow_execute_with(plan, &args));
    CHECK(pages_beside_are_whole(&dst_pages, dst, dst_len * bytes));
    CHECK(pages_beside_are_whole(&workspace_pages, workspace, workspace_bytes));
    pages_protect(&packed_pages, 0);
    if (!computed) {
        return 1;
    }

    const size_t count = d->batch * written.channels * written.pixels;
    memset(expected, 0, count * sizeof(*expected));
    add_by_definition(d, out_size, src.floats, weights.floats, expected);
    const float *added = with_residual ? residual.floats : before.floats;
    /* Winograd's algorithms round: as a share of the largest sum that integers of -4 ... 4 can have. */
    const double of_sum = strncmp(algorithm, "winograd", 8) == 0 ? 1e-4 * 16.0 * (double)(depth + 1) : 0.0;
    size_t wrong = 0;
    for (size_t n = 0; n < d->batch; ++n) {
        for (size_t m = 0; m < written.channels; ++m) {
            const activation a = activation_of(d, forward ? (double)slopes.floats[m] : 0.0);
            for (size_t pixel = 0; pixel < written.pixels; ++pixel) {
                const size_t place = element_of(&written, n, m, pixel);
                double sum = expected[(n * written.channels + m) * written.pixels + pixel];
                sum += with_bias ? (double)bias.floats[m] : 0.0;
                sum += d->accumulate != 0 ? (double)added[place] : 0.0;
                double found;
                if (d->type == CONVLOW_TYPE_F64) {
                    found = ((double *)dst)[place];
                    ((double *)dst)[place] = (double)before.floats[place]; /* for the gaps */
                } else {
                    found = (double)((float *)dst)[place];
                    ((float *)dst)[place] = before.floats[place];
                }
                const long double exact = activated(&a, (long double)sum);
                wrong += !is_activated(d->type, found, exact, activation_bound(&a, d->type, exact, of_sum));
            }
        }
    }
    CHECK_SIZE(wrong, 0);
    CHECK(memcmp(dst, before.data, dst_len * bytes) == 0);
    return 1;
}

static void print_numbers(const char *name, const size_t *numbers, int count) {
    fprintf(stderr, " %s", name);
    for (int at = 0; at < count; ++at) {
        fprintf(stderr, "%c%zu", at == 0 ? ' ' : ',', numbers[at]);
    }
}

/* What a failure is about. */
static void print_case(const convlow_convnd_desc *d, const convlow_plan_options *options,
                       const char *algorithm) {
    fprintf(stderr,
            "operation %d type %d dims %d layouts %d > %d weights %d activation %d [%g, %g] (%g, %g) "
            "accumulate %d propagation %d",
            (int)d->operation, (int)d->type, (int)d->spatial_dims, (int)d->src_layout, (int)d->dst_layout,
            (int)d->weights_layout, (int)d->activation, d->activation_min, d->activation_max,
            d->activation_alpha, d->activation_beta, (int)d->accumulate, (int)d->propagation);
    print_numbers("batch, in, out, groups", &d->batch, 4);
    print_numbers("in_size", d->in_size, 3);
    print_numbers("kernel_size", d->kernel_size, 3);
    print_numbers("stride", d->stride, 3);
    print_numbers("dilation", d->dilation, 3);
    print_numbers("pad_before", d->pad_before, 3);
    print_numbers("pad_after", d->pad_after, 3);
    print_numbers("output_padding", d->output_padding, 3);
    print_numbers("strides of src and dst", &d->src_channel_stride, 4);
    fprintf(stderr, "; algorithm %s, math %d, gemm %d, packing %d, at most %zu bytes, pool %p\n", algorithm,
            (int)options->math, (int)options->gemm, (int)options->packing, options->max_workspace_bytes,
            (void *)options->pool);
}

/* Bytes of workspace in which every small problem is computed on plain weights: those of one output channel,
 * and 64 behind them. */
static size_t least_for_plain(const convlow_convnd_desc *d) {
    const size_t read = is_gradient(d) ? d->out_channels : d->in_channels;
    const size_t depth = read / d->groups * product_of(d->kernel_size, d->spatial_dims);
    return depth * element_bytes(d->type) + 64;
}

/* Promise 7: whatever the descriptor, the library answers. */
static void try_one(void) {
    random_state = seed * 0xd1342543de82ef95u + number;
    random_state = random_bits();
    const size_t lot = below(100);
    const int kind = lot < 80 ? 0 : lot < 92 ? 1 : 2;
    convlow_convnd_desc d = small_descriptor();
    size_t out_size[3] = {7, 7, 7};
    REQUIRE_OK(convlow_convnd_output_size(&d, out_size));
    check_output_size(&d, out_size);
    if (one_in(3)) {
        widen(&d, out_size);
    }
    if (kind == 1) {
        break_one_field(&d);
    } else if (kind == 2) {
        make_huge(&d);
    }
    convlow_plan_options options = random_options();
    if (kind > 0) {
        options.effort = CONVLOW_EFFORT_ESTIMATE;
    }

    /* A struct that says it is longer than the library knows has a tail, which must be zero. */
    unsigned char longer[4096];
    const convlow_convnd_desc *given = &d;
    if (d.struct_size > sizeof(d)) {
        memset(longer, 0, sizeof(longer));
        memcpy(longer, &d, sizeof(d));
        given = (const convlow_convnd_desc *)(const void *)longer;
    }

    const double begin = now();
    const convlow_status sizes = convlow_convnd_output_size(given, out_size);
    if (sizes != CONVLOW_OK) {
        CHECK(kind > 0);
        check_refusal(sizes);
    }
    convlow_conv2d_desc two;
    const int is_short = one_in(2) && short_form(&d, &two);
    size_t count = 0;
    infos[0].struct_size = sizeof(infos[0]);
    const convlow_status asked = is_short ? convlow_query(&two, &options, infos, MOST_ALGORITHMS, &count)
                                          : convlow_query_nd(given, &options, infos, MOST_ALGORITHMS, &count);
    CHECK_STATUS(asked, sizes);
    if (asked == CONVLOW_OK && one_in(2)) {
        /* Mostly one that computes it. */
        size_t index = below(count);
        for (size_t turn = 0; turn < 20 && !infos[index].applicable; ++turn) {
            index = below(count);
        }
        options.algorithm = infos[index].algorithm;
    }
    convlow_plan *const nothing = (convlow_plan *)(void *)&counts;
    convlow_plan *plan = nothing;
    const convlow_status made = is_short ? convlow_plan_create(&two, &options, &plan)
                                         : convlow_plan_create_nd(given, &options, &plan);
    const double seconds = now() - begin;
    if (seconds > counts.longest_seconds) {
        counts.longest_seconds = seconds;
        counts.longest_case = number;
    }
    ++counts.tried;
    ++counts.by_kind[kind];
    if (made != CONVLOW_OK) {
        CHECK(plan == nothing);
        if (asked == CONVLOW_OK) {
            CHECK(made != CONVLOW_ERROR_INVALID_ARGUMENT);
            /* There is always something for small problems, unless limits or names forbid it. */
            if (!CHECK(kind > 0 || options.algorithm != CONVLOW_ALGORITHM_AUTO ||
                       options.gemm != CONVLOW_GEMM_AUTO || options.max_packed_weights_bytes != SIZE_MAX ||
                       (options.packing == CONVLOW_PACKING_NONE &&
                        options.max_workspace_bytes < least_for_plain(&d)))) {
                print_case(&d, &options, convlow_last_error_message());
            }
            check_refusal(made);
        } else {
            CHECK_STATUS(made, asked);
        }
        return;
    }
    CHECK(sizes == CONVLOW_OK);
    convlow_plan_info info = {.struct_size = sizeof(info)};
    REQUIRE_OK(convlow_plan_get_info(plan, &info));
    CHECK(info.applicable == 1 && info.reason == NULL);
    CHECK(info.workspace_bytes <= options.max_workspace_bytes);
    CHECK(info.packed_weights_bytes <= options.max_packed_weights_bytes ||
          options.algorithm != CONVLOW_ALGORITHM_AUTO);
    CHECK_SIZE(convlow_plan_workspace_bytes(plan), info.workspace_bytes);
    CHECK_SIZE(convlow_plan_packed_weights_bytes(plan), info.packed_weights_bytes);
    /* The fields that a shorter struct leaves out are at their defaults. */
    if (d.struct_size < sizeof(d)) {
        convlow_convnd_desc whole;
        convlow_convnd_desc_init(&whole, sizeof(whole));
        memcpy(&whole, &d, d.struct_size);
        d = whole;
    }
    const int failures = check_failures;
    const char *algorithm = convlow_algorithm_name(info.algorithm);
    const int packs = options.packing == CONVLOW_PACKING_CALLER;
    CHECK(packs || (info.packed_weights_bytes == 0 && convlow_plan_packing_id(plan) == 0));
    if (execute_plan(&d, plan, algorithm, packs, out_size)) {
        ++counts.executed;
        counts.plain += !packs;
    } else {
        ++counts.planned_only;
    }
    if (check_failures > failures) {
        print_case(&d, &options, algorithm);
    }
    convlow_plan_destroy(plan);
}

int main(int count, char **arguments) {
    seed = count > 1 ? strtoull(arguments[1], NULL, 0) : 1;
    const uint64_t cases = count > 2 ? strtoull(arguments[2], NULL, 0) : check_quickly() ? 200 : 5000;
    const uint64_t first = count > 3 ? strtoull(arguments[3], NULL, 0) : 0;
    REQUIRE(convlow_algorithm_count() <= MOST_ALGORITHMS);
    make_memory();
    REQUIRE_OK(convlow_pool_create(3, &threads_pool));
    REQUIRE_OK(convlow_pool_create_external(run_in_reverse, NULL, 3, &hosts_pool));
    for (number = first; number < first + cases && check_failures < 20; ++number) {
        snprintf(check_context, sizeof(check_context), "random_descriptors %" PRIu64 " 1 %" PRIu64, seed,
                 number);
        try_one();
    }
    convlow_pool_destroy(threads_pool);
    convlow_pool_destroy(hosts_pool);
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    printf("random descriptors: seed %" PRIu64
           ", %zu tried (%zu valid and small, %zu with a broken field, %zu "
           "huge): %zu executed, %zu of them on plain weights, %zu planned only; refused:",
           seed, counts.tried, counts.by_kind[0], counts.by_kind[1], counts.by_kind[2], counts.executed,
           counts.plain, counts.planned_only);
    for (convlow_status status = 1; status < 8; ++status) {
        printf(" %s %zu", convlow_status_name(status) + strlen("CONVLOW_ERROR_"), counts.refused[status]);
    }
    printf("; longest planning %.1f ms (case %" PRIu64 "), %ld MiB at most\n", counts.longest_seconds * 1e3,
           counts.longest_case, used.ru_maxrss / 1024);
    CHECK((counts.executed > counts.tried / 2 && counts.plain > counts.executed / 8) || cases < 100);
    /* Nothing takes long to plan, whatever its sizes; under valgrind everything does. */
    CHECK(check_quickly() || counts.longest_seconds < 5.0);
    return check_result();
}
