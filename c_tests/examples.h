/*
 * Examples of every kind of problem: in one, two and three dimensions, transposed or not, of float and
 * double, packed and slices of wider tensors, with nothing added, with dst, and with a residual of its own.
 * All values are integers, so that sums are exact in any order.
 */

#ifndef CONVLOW_TEST_EXAMPLES_H
#define CONVLOW_TEST_EXAMPLES_H

#include "activation.h"
#include "definition.h"

/* ---- problems --------------------------------------------------------------------------------------- */

/* A problem in `dims` dimensions whose axes are alike but for their lengths; what is 0 keeps its default. */
typedef struct shape {
    const char *name;
    size_t batch, groups, in_channels, out_channels;
    size_t in, kernel, stride, dilation, pad, output_padding;
    int transposed, bias;
    int32_t activation;
} shape;

static const shape shapes[] = {
    {.name = "3, odd", .in_channels = 7, .out_channels = 5, .in = 9, .kernel = 3, .pad = 1, .bias = 1},
    {.name = "5",
     .batch = 2,
     .in_channels = 4,
     .out_channels = 6,
     .in = 7,
     .kernel = 5,
     .pad = 2,
     .activation = CONVLOW_ACTIVATION_SILU},
    {.name = "1",
     .in_channels = 6,
     .out_channels = 9,
     .in = 5,
     .kernel = 1,
     .bias = 1,
     .activation = CONVLOW_ACTIVATION_CLAMP},
    {.name = "17 channels",
     .in_channels = 17,
     .out_channels = 33,
     .in = 5,
     .kernel = 3,
     .pad = 1,
     .activation = CONVLOW_ACTIVATION_GELU},
    {.name = "stride, dilation and groups",
     .batch = 2,
     .groups = 2,
     .in_channels = 6,
     .out_channels = 10,
     .in = 9,
     .kernel = 3,
     .stride = 2,
     .dilation = 2,
     .pad = 3,
     .bias = 1,
     .activation = CONVLOW_ACTIVATION_PRELU},
    {.name = "depthwise",
     .batch = 2,
     .groups = 13,
     .in_channels = 13,
     .out_channels = 13,
     .in = 7,
     .kernel = 3,
     .pad = 1,
     .bias = 1,
     .activation = CONVLOW_ACTIVATION_PRELU},
    {.name = "transposed",
     .in_channels = 7,
     .out_channels = 5,
     .in = 4,
     .kernel = 3,
     .stride = 2,
     .pad = 1,
     .output_padding = 1,
     .transposed = 1,
     .bias = 1,
     .activation = CONVLOW_ACTIVATION_HARD_SWISH},
    {.name = "transposed with gaps",
     .batch = 2,
     .groups = 2,
     .in_channels = 6,
     .out_channels = 34,
     .in = 3,
     .kernel = 2,
     .stride = 3,
     .transposed = 1,
     .activation = CONVLOW_ACTIVATION_PRELU},
    {.name = "transposed depthwise",
     .groups = 13,
     .in_channels = 13,
     .out_channels = 13,
     .in = 4,
     .kernel = 4,
     .stride = 2,
     .pad = 1,
     .transposed = 1,
     .bias = 1,
     .activation = CONVLOW_ACTIVATION_CLAMP},
};

enum { SHAPES = sizeof(shapes) / sizeof(shapes[0]), MOST_DIMS = 3 };

/* What is added to the convolution. */
typedef enum addend { NOTHING, DST, RESIDUAL } addend;

/* How a shape is tried. */
typedef struct variant {
    int32_t type;
    int sliced;
    addend addend;
} variant;

/* Any two of type, slices and addend meet in every way. The first two have each of them between them. */
static const variant variants[] = {
    {CONVLOW_TYPE_F64, 1, RESIDUAL}, {CONVLOW_TYPE_F32, 1, DST},      {CONVLOW_TYPE_F32, 0, NOTHING},
    {CONVLOW_TYPE_F64, 0, DST},      {CONVLOW_TYPE_F32, 0, RESIDUAL}, {CONVLOW_TYPE_F64, 1, NOTHING},
};

enum { VARIANTS = sizeof(variants) / sizeof(variants[0]), QUICK_VARIANTS = 2 };

static inline convlow_convnd_desc described(const shape *s, int dims, int layout_pair) {
    convlow_convnd_desc d;
    convlow_convnd_desc_init(&d, sizeof(d));
    d.spatial_dims = dims;
    d.operation = s->transposed ? CONVLOW_OPERATION_CONV_TRANSPOSE : CONVLOW_OPERATION_CONV;
    d.src_layout = layout_pair / 2;
    d.dst_layout = layout_pair % 2;
    d.weights_layout = (layout_pair + dims) % 3;
    d.batch = or_default(s->batch, d.batch);
    d.groups = or_default(s->groups, d.groups);
    d.in_channels = s->in_channels;
    d.out_channels = s->out_channels;
    for (int axis = 0; axis < dims; ++axis) {
        d.in_size[axis] = s->in + (size_t)axis; /* volumes are wider than they are deep */
        d.kernel_size[axis] = s->kernel;
        d.stride[axis] = or_default(s->stride, 1);
        d.dilation[axis] = or_default(s->dilation, 1);
        d.pad_before[axis] = d.pad_after[axis] = s->pad;
        d.output_padding[axis] = s->output_padding;
    }
    d.activation = s->activation;
    if (d.activation != CONVLOW_ACTIVATION_NONE) {
        d.activation_min = -7.0;
        d.activation_max = 9.0;
    }
    return d;
}

/* Makes src and dst slices of wider tensors. */
static inline void slice(convlow_convnd_desc *d) {
    size_t out_size[3];
    REQUIRE_OK(convlow_convnd_output_size(d, out_size));
    const size_t pixels = product_of(d->in_size, d->spatial_dims);
    const size_t outputs = product_of(out_size, d->spatial_dims);
    const int src_last = d->src_layout == CONVLOW_LAYOUT_NHWC,
              dst_last = d->dst_layout == CONVLOW_LAYOUT_NHWC;
    d->src_channel_stride = (src_last ? d->in_channels : pixels) + 3;
    d->dst_channel_stride = (dst_last ? d->out_channels : outputs) + 5;
    d->src_batch_stride = d->src_channel_stride * (src_last ? pixels : d->in_channels) + 7;
    d->dst_batch_stride = d->dst_channel_stride * (dst_last ? outputs : d->out_channels) + 1;
}

/* ---- tensors ---------------------------------------------------------------------------------------- */

/* Where the elements of src or dst lie. */
typedef struct lie {
    int32_t layout;
    size_t batch, channels, pixels, channel_stride, batch_stride;
} lie;

/* The place of an element that is counted image by image, channel by channel, pixel by pixel. */
static inline size_t place_in(const lie *in, size_t index) {
    return element(in->layout, index / in->pixels / in->channels, index / in->pixels % in->channels,
                   index % in->pixels, in->channels, in->pixels, in->channel_stride, in->batch_stride);
}

static inline size_t elements_of(const lie *of) {
    return of->batch * of->channels * of->pixels;
}

/* From the first element to behind the last. */
static inline size_t span_of(const lie *of) {
    return length(of->layout, of->batch, of->channels, of->pixels, of->channel_stride, of->batch_stride);
}

/* A problem with its values, all of them integers, and what dst must hold. */
typedef struct example {
    convlow_convnd_desc desc;
    addend addend;
    lie src_lie, dst_lie;
    size_t weights_len, depth;
    float *src, *weights, *bias, *slopes, *before, *residual;
    long double *expected; /* element by element, as they are counted */
} example;

/* What lies between the elements of dst, and no sum comes near. */
static const float between_outputs = 1234567.0f;

/* Random integers, or NaN where there is no seed, and `between` the elements of a slice. */
static inline float *values_new(const lie *lie, unsigned seed, float between) {
    float *values = floats_new(span_of(lie)), *integers = floats_new(elements_of(lie));
    fill_with_integers(integers, elements_of(lie), seed);
    for (size_t at = 0; at < span_of(lie); ++at) {
        values[at] = between;
    }
    for (size_t index = 0; index < elements_of(lie); ++index) {
        values[place_in(lie, index)] = seed == 0 ? NAN : integers[index];
    }
    free(integers);
    return values;
}

static inline size_t channel_of(const example *e, size_t index) {
    return index / e->dst_lie.pixels % e->desc.out_channels;
}

/* What an element of dst goes through. */
static inline activation activation_at(const example *e, size_t index) {
    return activation_of(&e->desc, e->slopes != NULL ? (double)e->slopes[channel_of(e, index)] : 0.0);
}

static inline void compute_expected(example *e) {
    const convlow_convnd_desc *d = &e->desc;
    size_t out_size[3];
    REQUIRE_OK(convlow_convnd_output_size(d, out_size));
    const float *added = e->addend == RESIDUAL ? e->residual : e->before;
    double *sums = (double *)calloc(elements_of(&e->dst_lie), sizeof(double));
    e->expected = (long double *)calloc(elements_of(&e->dst_lie), sizeof(long double));
    REQUIRE(sums != NULL && e->expected != NULL);
    add_by_definition(d, out_size, e->src, e->weights, sums);
    for (size_t index = 0; index < elements_of(&e->dst_lie); ++index) {
        const activation a = activation_at(e, index);
        sums[index] += e->bias != NULL ? (double)e->bias[channel_of(e, index)] : 0.0;
        sums[index] += e->addend != NOTHING ? (double)added[place_in(&e->dst_lie, index)] : 0.0;
        e->expected[index] = activated(&a, (long double)sums[index]);
    }
    free(sums);
}

/* Without what is expected. */
static inline example example_without_result(const convlow_convnd_desc *desc, int with_bias, addend addend) {
    example e = {.desc = *desc, .addend = addend};
    size_t out_size[3];
    REQUIRE_OK(convlow_convnd_output_size(desc, out_size));
    const lie src = {desc->src_layout,         desc->batch,
                     desc->in_channels,        product_of(desc->in_size, desc->spatial_dims),
                     desc->src_channel_stride, desc->src_batch_stride};
    const lie dst = {desc->dst_layout,         desc->batch,
                     desc->out_channels,       product_of(out_size, desc->spatial_dims),
                     desc->dst_channel_stride, desc->dst_batch_stride};
    e.desc.accumulate = addend != NOTHING;
    e.src_lie = src;
    e.dst_lie = dst;
    e.depth = desc->in_channels / desc->groups * product_of(desc->kernel_size, desc->spatial_dims);
    e.weights_len = desc->out_channels * e.depth;
    e.src = values_new(&src, 1, NAN);
    e.weights = floats_new(e.weights_len);
    fill_with_integers(e.weights, e.weights_len, 2);
    if (with_bias) {
        e.bias = floats_new(desc->out_channels);
        fill_with_integers(e.bias, desc->out_channels, 3);
    }
    if (desc->activation == CONVLOW_ACTIVATION_PRELU) {
        e.slopes = floats_new(desc->out_channels);
        fill_with_integers(e.slopes, desc->out_channels, 6);
    }
    e.before = values_new(&dst, addend == DST ? 4 : 0, between_outputs);
    e.residual = addend == RESIDUAL ? values_new(&dst, 5, NAN) : NULL;
    return e;
}

static inline example example_new(const convlow_convnd_desc *desc, int with_bias, addend addend) {
    example e = example_without_result(desc, with_bias, addend);
    compute_expected(&e);
    return e;
}

static inline void example_free(example *e) {
    free(e->src);
    free(e->weights);
    free(e->bias);
    free(e->slopes);
    free(e->before);
    free(e->residual);
    free(e->expected);
}

/* How many examples there are of so many variants of each shape, in one to three dimensions and every pair of
 * layouts. */
static inline size_t count_examples(size_t variants_tried) {
    return SHAPES * (size_t)MOST_DIMS * LAYOUT_PAIRS * variants_tried;
}

/* One of them. */
static inline example example_at(size_t number, size_t variants_tried, const char **name) {
    const variant *v = &variants[number % variants_tried];
    const int pair = (int)(number / variants_tried % LAYOUT_PAIRS);
    const int dims = 1 + (int)(number / variants_tried / LAYOUT_PAIRS % MOST_DIMS);
    const shape *s = &shapes[number / variants_tried / LAYOUT_PAIRS / MOST_DIMS];
    convlow_convnd_desc desc = described(s, dims, pair);
    desc.type = v->type;
    if (v->sliced) {
        slice(&desc);
    }
    *name = s->name;
    return example_new(&desc, s->bias, v->addend);
}

/* ---- of the type of the plan ------------------------------------------------------------------------ */

static inline size_t bytes_of(int32_t type, size_t count) {
    return count * (type == CONVLOW_TYPE_F64 ? sizeof(double) : sizeof(float));
}

/* The same numbers. */
static inline void copy_as(int32_t type, void *to, const float *floats, size_t count) {
    if (type != CONVLOW_TYPE_F64) {
        memcpy(to, floats, count * sizeof(float));
        return;
    }
    for (size_t index = 0; index < count; ++index) {
        ((double *)to)[index] = (double)floats[index];
    }
}

static inline convlow_status pack_as(int32_t type, const convlow_plan *plan, const void *weights,
                                     void *packed, size_t bytes) {
    return type == CONVLOW_TYPE_F64 ? convlow_pack_weights_f64(plan, (const double *)weights, packed, bytes)
                                    : convlow_pack_weights(plan, (const float *)weights, packed, bytes);
}

/* By the shortest of the functions that can. */
static inline convlow_status execute_as(int32_t type, const convlow_plan *plan,
                                        const convlow_execute_args *args) {
    if (args->residual != NULL || args->slopes != NULL) {
        return convlow_execute_with(plan, args);
    }
    return type == CONVLOW_TYPE_F64
               ? convlow_execute_f64(plan, (const double *)args->src, args->packed_weights,
                                     (const double *)args->bias, (double *)args->dst, args->workspace,
                                     args->workspace_bytes)
               : convlow_execute(plan, (const float *)args->src, args->packed_weights,
                                 (const float *)args->bias, (float *)args->dst, args->workspace,
                                 args->workspace_bytes);
}

/* Whether dst holds what it must: the results where its elements lie, within the rounding of the activation
 * and of Winograd's algorithms, and between them what it held. It then holds the latter everywhere. */
static inline int is_right(const example *e, void *dst, int32_t algorithm) {
    const size_t span = span_of(&e->dst_lie);
    /* A share of the largest sum that integers of -4 ... 4 can have. */
    const int rounds = strncmp(convlow_algorithm_name(algorithm), "winograd", 8) == 0;
    const double of_sum = rounds ? 1e-4 * 16.0 * (double)(e->depth + 1) : 0.0;
    size_t wrong = 0;
    for (size_t index = 0; index < elements_of(&e->dst_lie); ++index) {
        const size_t at = place_in(&e->dst_lie, index);
        double found;
        if (e->desc.type == CONVLOW_TYPE_F64) {
            found = ((double *)dst)[at];
            ((double *)dst)[at] = (double)between_outputs;
        } else {
            found = (double)((float *)dst)[at];
            ((float *)dst)[at] = between_outputs;
        }
        const activation a = activation_at(e, index);
        wrong += !is_activated(e->desc.type, found, e->expected[index],
                               activation_bound(&a, e->desc.type, e->expected[index], of_sum));
    }
    size_t touched = 0;
    for (size_t at = 0; at < span; ++at) {
        touched += (e->desc.type == CONVLOW_TYPE_F64 ? ((double *)dst)[at] : (double)((float *)dst)[at]) !=
                   (double)between_outputs;
    }
    return CHECK_SIZE(wrong, 0) & CHECK_SIZE(touched, 0);
}

#endif
