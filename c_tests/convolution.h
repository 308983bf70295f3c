/*
 * Convolutions to test with: problems, tensors of small integers, and the definition in float64.
 *
 * All values are integers, and no sum of theirs comes near 2^24, so float32 arithmetic is exact in any order
 * and results are compared for equality.
 */

#ifndef CONVLOW_TEST_CONVOLUTION_H
#define CONVLOW_TEST_CONVOLUTION_H

#include "buffers.h"

#include <math.h>

/* A problem, pairs being { height, width }; what is 0 here keeps the default of convlow_conv2d_desc_init. */
typedef struct problem {
    const char *name;
    size_t batch, groups;
    size_t in[3]; /* channels, height, width */
    size_t out_channels;
    size_t kernel[2], stride[2], dilation[2];
    size_t pad[4]; /* top, left, bottom, right */
    int bias, accumulate, clamp;
} problem;

static const problem problems[] = {
    {.name = "1x1", .in = {6, 5, 7}, .out_channels = 9, .kernel = {1, 1}, .bias = 1},
    {.name = "same size", .in = {5, 9, 8}, .out_channels = 7, .kernel = {3, 3}, .pad = {1, 1, 1, 1}},
    {.name = "ReLU6", .in = {4, 6, 6}, .out_channels = 3, .kernel = {3, 3}, .bias = 1, .clamp = 1},
    {.name = "uneven padding", .in = {2, 4, 9}, .out_channels = 5, .kernel = {5, 2}, .pad = {3, 0, 1, 2}},
    {.name = "wide padding", .in = {2, 3, 3}, .out_channels = 2, .kernel = {2, 2}, .pad = {4, 3, 4, 5}},
    {.name = "1x1 stride", .in = {4, 7, 7}, .out_channels = 4, .kernel = {1, 1}, .stride = {2, 2}},
    {.name = "one pixel", .in = {1, 1, 1}, .out_channels = 1, .kernel = {1, 1}},
    {.name = "residual sum", /* of three images */
     .batch = 3,
     .in = {3, 5, 5},
     .out_channels = 3,
     .kernel = {3, 3},
     .pad = {1, 1, 1, 1},
     .bias = 1,
     .accumulate = 1,
     .clamp = 1},
    {.name = "stride",
     .in = {3, 11, 10},
     .out_channels = 4,
     .kernel = {3, 3},
     .stride = {2, 3},
     .pad = {1, 1, 1, 1},
     .accumulate = 1},
    {.name = "dilation",
     .in = {3, 12, 11},
     .out_channels = 4,
     .kernel = {3, 3},
     .dilation = {2, 3},
     .pad = {2, 3, 2, 3},
     .bias = 1},
    {.name = "5x5", .in = {4, 9, 10}, .out_channels = 6, .kernel = {5, 5}, .pad = {2, 2, 2, 2}, .bias = 1},
    {.name = "groups",
     .batch = 2,
     .groups = 3,
     .in = {6, 5, 6},
     .out_channels = 9,
     .kernel = {3, 3},
     .pad = {1, 1, 1, 1},
     .bias = 1},
    {.name = "depthwise",
     .groups = 8,
     .in = {8, 7, 7},
     .out_channels = 8,
     .kernel = {3, 3},
     .stride = {2, 2},
     .pad = {1, 1, 1, 1}},
};

enum { PROBLEMS = sizeof(problems) / sizeof(problems[0]) };

/* The four pairs of src_layout and dst_layout; the layout of the weights goes round with them. */
enum { LAYOUT_PAIRS = 4 };

static inline size_t or_default(size_t given, size_t otherwise) {
    return given != 0 ? given : otherwise;
}

static inline void describe(convlow_conv2d_desc *desc, const problem *problem, int layout_pair) {
    convlow_conv2d_desc_init(desc, sizeof(*desc));
    desc->src_layout = layout_pair / 2 == 0 ? CONVLOW_LAYOUT_NCHW : CONVLOW_LAYOUT_NHWC;
    desc->dst_layout = layout_pair % 2 == 0 ? CONVLOW_LAYOUT_NCHW : CONVLOW_LAYOUT_NHWC;
    desc->weights_layout = layout_pair % 3;
    desc->batch = or_default(problem->batch, desc->batch);
    desc->groups = or_default(problem->groups, desc->groups);
    desc->in_channels = problem->in[0];
    desc->in_height = problem->in[1];
    desc->in_width = problem->in[2];
    desc->out_channels = problem->out_channels;
    desc->kernel_height = problem->kernel[0];
    desc->kernel_width = problem->kernel[1];
    desc->stride_height = or_default(problem->stride[0], desc->stride_height);
    desc->stride_width = or_default(problem->stride[1], desc->stride_width);
    desc->dilation_height = or_default(problem->dilation[0], desc->dilation_height);
    desc->dilation_width = or_default(problem->dilation[1], desc->dilation_width);
    desc->pad_top = problem->pad[0];
    desc->pad_left = problem->pad[1];
    desc->pad_bottom = problem->pad[2];
    desc->pad_right = problem->pad[3];
    desc->accumulate = problem->accumulate;
    if (problem->clamp) {
        desc->activation = CONVLOW_ACTIVATION_CLAMP;
        desc->activation_min = 0.0f;
        desc->activation_max = 6.0f;
    }
}

/* The tensors of one problem, and what dst must hold behind an execute. */
typedef struct tensors {
    size_t src_len, weights_len, bias_len, dst_len;
    float *src, *weights, *bias; /* bias is NULL where the problem has none */
    float *dst_before;           /* NaN all over unless the problem accumulates */
    float *expected;
} tensors;

/* Integers in -4 ... 4 that look like noise and are the same in every run. */
static inline void fill_with_integers(float *floats, size_t count, unsigned seed) {
    unsigned state = 2463534242u ^ (seed * 2654435761u);
    for (size_t i = 0; i < count; ++i) {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        floats[i] = (float)((int)(state % 9u) - 4);
    }
}

static inline size_t tensor_index(int32_t layout, size_t n, size_t c, size_t y, size_t x, size_t channels,
                                  size_t height, size_t width) {
    return layout == CONVLOW_LAYOUT_NCHW ? ((n * channels + c) * height + y) * width + x
                                         : ((n * height + y) * width + x) * channels + c;
}

static inline size_t weights_index(const convlow_conv2d_desc *desc, size_t m, size_t c, size_t i, size_t j) {
    const size_t group_in = desc->in_channels / desc->groups;
    const size_t rows = desc->kernel_height, columns = desc->kernel_width;
    switch (desc->weights_layout) {
    case CONVLOW_WEIGHTS_OIHW:
        return ((m * group_in + c) * rows + i) * columns + j;
    case CONVLOW_WEIGHTS_HWIO:
        return ((i * columns + j) * group_in + c) * desc->out_channels + m;
    default:
        return ((m * rows + i) * columns + j) * group_in + c;
    }
}

/* dst[n, m, y, x] by the definition, every coordinate computed and compared for itself. */
static inline double reference_output(const convlow_conv2d_desc *desc, const tensors *t, size_t n, size_t m,
                                      size_t y, size_t x, double before) {
    const size_t group_in = desc->in_channels / desc->groups, group_out = desc->out_channels / desc->groups;
    double sum = 0.0;
    for (size_t c = 0; c < group_in; ++c) {
        for (size_t i = 0; i < desc->kernel_height; ++i) {
            for (size_t j = 0; j < desc->kernel_width; ++j) {
                const long long row = (long long)(y * desc->stride_height + i * desc->dilation_height) -
                                      (long long)desc->pad_top;
                const long long column = (long long)(x * desc->stride_width + j * desc->dilation_width) -
                                         (long long)desc->pad_left;
                if (row < 0 || row >= (long long)desc->in_height || column < 0 ||
                    column >= (long long)desc->in_width) {
                    continue;
                }
                sum += (double)t->weights[weights_index(desc, m, c, i, j)] *
                       (double)t->src[tensor_index(desc->src_layout, n, m / group_out * group_in + c,
                                                   (size_t)row, (size_t)column, desc->in_channels,
                                                   desc->in_height, desc->in_width)];
            }
        }
    }
    sum += t->bias != NULL ? (double)t->bias[m] : 0.0;
    sum += desc->accumulate != 0 ? before : 0.0;
    if (desc->activation == CONVLOW_ACTIVATION_CLAMP) {
        sum = fmin(fmax(sum, (double)desc->activation_min), (double)desc->activation_max);
    }
    return sum;
}

/* Tensors full of integers, without what is expected of them. */
static inline tensors tensors_without_result(const convlow_conv2d_desc *desc, int with_bias) {
    tensors t;
    size_t height, width;
    REQUIRE_OK(convlow_conv2d_output_size(desc, &height, &width));
    t.src_len = desc->batch * desc->in_channels * desc->in_height * desc->in_width;
    t.weights_len =
        desc->out_channels * (desc->in_channels / desc->groups) * desc->kernel_height * desc->kernel_width;
    t.bias_len = desc->out_channels;
    t.dst_len = desc->batch * desc->out_channels * height * width;
    t.src = floats_new(t.src_len);
    t.weights = floats_new(t.weights_len);
    t.bias = with_bias ? floats_new(t.bias_len) : NULL;
    t.dst_before = floats_new(t.dst_len);
    t.expected = NULL;
    fill_with_integers(t.src, t.src_len, 1);
    fill_with_integers(t.weights, t.weights_len, 2);
    if (t.bias != NULL) {
        fill_with_integers(t.bias, t.bias_len, 3);
    }
    fill_with_integers(t.dst_before, t.dst_len, 4);
    for (size_t i = 0; desc->accumulate == 0 && i < t.dst_len; ++i) {
        t.dst_before[i] = NAN;
    }
    return t;
}

/* What dst must hold behind an execute with the tensors as they are now. */
static inline void expect(const convlow_conv2d_desc *desc, tensors *t) {
    size_t height, width;
    REQUIRE_OK(convlow_conv2d_output_size(desc, &height, &width));
    for (size_t n = 0; n < desc->batch; ++n) {
        for (size_t m = 0; m < desc->out_channels; ++m) {
            for (size_t y = 0; y < height; ++y) {
                for (size_t x = 0; x < width; ++x) {
                    const size_t at =
                        tensor_index(desc->dst_layout, n, m, y, x, desc->out_channels, height, width);
                    t->expected[at] = (float)reference_output(desc, t, n, m, y, x, (double)t->dst_before[at]);
                }
            }
        }
    }
}

static inline tensors tensors_new(const convlow_conv2d_desc *desc, int with_bias) {
    tensors t = tensors_without_result(desc, with_bias);
    t.expected = floats_new(t.dst_len);
    expect(desc, &t);
    return t;
}

static inline void tensors_free(tensors *t) {
    free(t->src);
    free(t->weights);
    free(t->bias);
    free(t->dst_before);
    free(t->expected);
}

/* Whether dst is what was expected; says where it is not. */
static inline int is_expected(const float *dst, const tensors *t) {
    for (size_t i = 0; i < t->dst_len; ++i) {
        if (dst[i] != t->expected[i]) {
            fprintf(stderr, "dst[%zu] is %g, expected %g\n", i, (double)dst[i], (double)t->expected[i]);
            return 0;
        }
    }
    return 1;
}

/* The same for an algorithm that rounds: within 1e-4 of the largest sum that integers of -4 ... 4 can have.
 */
static inline int is_near(const float *dst, const tensors *t, size_t depth) {
    const double bound = 1e-4 * 16.0 * (double)(depth + 1);
    for (size_t i = 0; i < t->dst_len; ++i) {
        if (!(fabs((double)dst[i] - (double)t->expected[i]) <= bound)) {
            fprintf(stderr, "dst[%zu] is %g, expected %g\n", i, (double)dst[i], (double)t->expected[i]);
            return 0;
        }
    }
    return 1;
}

/* Every algorithm's answer; *count is how many there are. The caller frees them. */
static inline convlow_plan_info *query_all(const convlow_conv2d_desc *desc,
                                           const convlow_plan_options *options, size_t *count) {
    const size_t capacity = convlow_algorithm_count();
    convlow_plan_info *infos = (convlow_plan_info *)calloc(capacity, sizeof(*infos));
    REQUIRE(infos != NULL);
    infos[0].struct_size = sizeof(*infos);
    REQUIRE_OK(convlow_query(desc, options, infos, capacity, count));
    REQUIRE(*count == capacity);
    return infos;
}

/* A plan with its weights packed. */
typedef struct prepared {
    convlow_plan *plan;
    guarded packed, workspace;
} prepared;

static inline prepared prepare(const convlow_conv2d_desc *desc, const convlow_plan_options *options,
                               const tensors *t) {
    prepared p;
    REQUIRE_OK(convlow_plan_create(desc, options, &p.plan));
    p.packed = guarded_new(convlow_plan_packed_weights_bytes(p.plan));
    p.workspace = guarded_new(convlow_plan_workspace_bytes(p.plan));
    REQUIRE_OK(convlow_pack_weights(p.plan, t->weights, p.packed.data, p.packed.bytes));
    CHECK(guards_are_whole(&p.packed));
    return p;
}

static inline convlow_status execute_prepared(const prepared *p, const tensors *t, float *dst) {
    memcpy(dst, t->dst_before, t->dst_len * sizeof(float));
    return convlow_execute(p->plan, t->src, p->packed.data, t->bias, dst, p->workspace.data,
                           p->workspace.bytes);
}

static inline void prepared_free(prepared *p) {
    convlow_plan_destroy(p->plan);
    guarded_free(&p->packed);
    guarded_free(&p->workspace);
}

#endif
