/*
 * The definition for descriptors of any number of dimensions, position by position.
 */

#ifndef CONVLOW_TEST_DEFINITION_H
#define CONVLOW_TEST_DEFINITION_H

#include "convolution.h"

/* A problem of two dimensions as the longer descriptor has it. */
static inline convlow_convnd_desc long_form(const problem *problem) {
    convlow_convnd_desc desc;
    convlow_convnd_desc_init(&desc, sizeof(desc));
    desc.batch = or_default(problem->batch, desc.batch);
    desc.groups = or_default(problem->groups, desc.groups);
    desc.in_channels = problem->in[0];
    desc.out_channels = problem->out_channels;
    for (int axis = 0; axis < 2; ++axis) {
        desc.in_size[axis] = problem->in[1 + axis];
        desc.kernel_size[axis] = problem->kernel[axis];
        desc.stride[axis] = or_default(problem->stride[axis], 1);
        desc.dilation[axis] = or_default(problem->dilation[axis], 1);
        desc.pad_before[axis] = problem->pad[axis];
        desc.pad_after[axis] = problem->pad[2 + axis];
    }
    desc.accumulate = problem->accumulate;
    if (problem->clamp) {
        desc.activation = CONVLOW_ACTIVATION_CLAMP;
        desc.activation_min = 0.0;
        desc.activation_max = 6.0;
    }
    return desc;
}

/* Positions and sizes of up to three axes, outermost first; those behind spatial_dims are 0 and 1. */
typedef struct place {
    size_t at[3];
} place;

static inline size_t product_of(const size_t *sizes, int dims) {
    size_t product = 1;
    for (int axis = 0; axis < dims; ++axis) {
        product *= sizes[axis];
    }
    return product;
}

static inline place place_of(size_t index, const size_t *sizes, int dims) {
    place p = {{0, 0, 0}};
    for (int axis = dims - 1; axis >= 0; --axis) {
        p.at[axis] = index % sizes[axis];
        index /= sizes[axis];
    }
    return p;
}

static inline size_t index_of(const place *p, const size_t *sizes, int dims) {
    size_t index = 0;
    for (int axis = 0; axis < dims; ++axis) {
        index = index * sizes[axis] + p->at[axis];
    }
    return index;
}

/* A tensor's element in the descriptor's layout, with its strides. */
static inline size_t element(int32_t layout, size_t n, size_t c, size_t pixel, size_t channels, size_t pixels,
                             size_t channel_stride, size_t batch_stride) {
    const size_t run = layout == CONVLOW_LAYOUT_NHWC ? channels : pixels;
    const size_t runs = layout == CONVLOW_LAYOUT_NHWC ? pixels : channels;
    const size_t step = channel_stride != 0 ? channel_stride : run;
    const size_t image = batch_stride != 0 ? batch_stride : step * runs;
    return n * image + (layout == CONVLOW_LAYOUT_NHWC ? pixel * step + c : c * step + pixel);
}

static inline size_t weight_of(const convlow_convnd_desc *d, size_t m, size_t channel, size_t tap,
                               size_t taps) {
    const size_t in = d->in_channels / d->groups, out = d->out_channels / d->groups;
    const size_t c = channel % in, k = m % out;
    const int transposed = d->operation == CONVLOW_OPERATION_CONV_TRANSPOSE;
    switch (d->weights_layout) {
    case CONVLOW_WEIGHTS_OIHW:
        return transposed ? (channel * out + k) * taps + tap : (m * in + c) * taps + tap;
    case CONVLOW_WEIGHTS_HWIO:
        return transposed ? (tap * out + k) * d->in_channels + channel : (tap * in + c) * d->out_channels + m;
    default:
        return (m * taps + tap) * in + c;
    }
}

/* How a tensor lies. */
typedef struct lying {
    int32_t layout;
    size_t channels, pixels, channel_stride, batch_stride;
} lying;

static inline size_t element_of(const lying *l, size_t n, size_t channel, size_t pixel) {
    return element(l->layout, n, channel, pixel, l->channels, l->pixels, l->channel_stride, l->batch_stride);
}

static inline lying lying_of_src(const convlow_convnd_desc *d) {
    const lying src = {d->src_layout, d->in_channels, product_of(d->in_size, d->spatial_dims),
                       d->src_channel_stride, d->src_batch_stride};
    return src;
}

static inline lying lying_of_dst(const convlow_convnd_desc *d, const size_t *out_size) {
    const lying dst = {d->dst_layout, d->out_channels, product_of(out_size, d->spatial_dims),
                       d->dst_channel_stride, d->dst_batch_stride};
    return dst;
}

static inline int is_gradient(const convlow_convnd_desc *d) {
    return d->propagation == CONVLOW_PROPAGATION_BACKWARD_DATA;
}

/* What an execute reads beside the weights, and what it writes. */
static inline lying lying_of_read(const convlow_convnd_desc *d, const size_t *out_size) {
    return is_gradient(d) ? lying_of_dst(d, out_size) : lying_of_src(d);
}

static inline lying lying_of_written(const convlow_convnd_desc *d, const size_t *out_size) {
    return is_gradient(d) ? lying_of_src(d) : lying_of_dst(d, out_size);
}

/* What multiplies in a convolution: elements [n, channel, pixel] of src and [n, m, output] of dst meet by a
 * tap. */
typedef struct product {
    size_t n, channel, pixel, m, output, tap;
} product;

/* Calls visit for each product of the definition. Each input meets each tap: what they give belongs to the
 * output where they meet, if there is one. */
static inline void for_each_product(const convlow_convnd_desc *d, const size_t *out_size,
                                    void (*visit)(void *context, const product *), void *context) {
    const int dims = d->spatial_dims, transposed = d->operation == CONVLOW_OPERATION_CONV_TRANSPOSE;
    const size_t pixels = product_of(d->in_size, dims), taps = product_of(d->kernel_size, dims);
    const size_t in = d->in_channels / d->groups, out = d->out_channels / d->groups;
    for (size_t pixel = 0; pixel < pixels; ++pixel) {
        const place from = place_of(pixel, d->in_size, dims);
        for (size_t tap = 0; tap < taps; ++tap) {
            const place at = place_of(tap, d->kernel_size, dims);
            place to = {{0, 0, 0}};
            int meets = 1;
            for (int axis = 0; axis < dims; ++axis) {
                const long long step = (long long)d->stride[axis];
                const long long reach = (long long)(at.at[axis] * d->dilation[axis]);
                const long long pad = (long long)d->pad_before[axis], input = (long long)from.at[axis];
                const long long met = transposed ? input * step + reach - pad : input + pad - reach;
                meets &= met >= 0 && (transposed || met % step == 0);
                to.at[axis] = (size_t)(meets == 0 ? 0 : transposed ? met : met / step);
                meets &= to.at[axis] < out_size[axis];
            }
            if (!meets) {
                continue;
            }
            const size_t output = index_of(&to, out_size, dims);
            for (size_t n = 0; n < d->batch; ++n) {
                for (size_t channel = 0; channel < d->in_channels; ++channel) {
                    for (size_t k = 0; k < out; ++k) {
                        const product found = {n, channel, pixel, channel / in * out + k, output, tap};
                        visit(context, &found);
                    }
                }
            }
        }
    }
}

/* The tensors that products are added of. */
typedef struct factors {
    const convlow_convnd_desc *desc;
    lying src, dst;
    const float *read, *other;
    double *sums;
} factors;

static inline factors factors_of(const convlow_convnd_desc *d, const size_t *out_size, const float *read,
                                 const float *other, double *sums) {
    const factors found = {d, lying_of_src(d), lying_of_dst(d, out_size), read, other, sums};
    return found;
}

static inline void add_to_tensor(void *context, const product *p) {
    const factors *f = (const factors *)context;
    const convlow_convnd_desc *d = f->desc;
    const size_t of_src = (p->n * d->in_channels + p->channel) * f->src.pixels + p->pixel;
    const size_t of_dst = (p->n * d->out_channels + p->m) * f->dst.pixels + p->output;
    const size_t from = is_gradient(d) ? element_of(&f->dst, p->n, p->m, p->output)
                                       : element_of(&f->src, p->n, p->channel, p->pixel);
    const size_t weight = weight_of(d, p->m, p->channel, p->tap, product_of(d->kernel_size, d->spatial_dims));
    f->sums[is_gradient(d) ? of_src : of_dst] += (double)f->read[from] * (double)f->other[weight];
}

/* written += the convolution by the definition, in NCHW without strides. In the gradient of the data an
 * output's gradient times the tap belongs to the input. */
static inline void add_by_definition(const convlow_convnd_desc *d, const size_t *out_size, const float *read,
                                     const float *weights, double *written) {
    factors f = factors_of(d, out_size, read, weights, written);
    for_each_product(d, out_size, add_to_tensor, &f);
}

static inline void add_to_weight(void *context, const product *p) {
    const factors *f = (const factors *)context;
    const convlow_convnd_desc *d = f->desc;
    const size_t weight = weight_of(d, p->m, p->channel, p->tap, product_of(d->kernel_size, d->spatial_dims));
    f->sums[weight] += (double)f->read[element_of(&f->src, p->n, p->channel, p->pixel)] *
                       (double)f->other[element_of(&f->dst, p->n, p->m, p->output)];
}

/* weights += their gradient by the definition, in weights_layout, and bias += its own. */
static inline void add_gradients_by_definition(const convlow_convnd_desc *d, const size_t *out_size,
                                               const float *src, const float *diff_dst, double *weights,
                                               double *bias) {
    factors f = factors_of(d, out_size, src, diff_dst, weights);
    for_each_product(d, out_size, add_to_weight, &f);
    for (size_t n = 0; n < d->batch; ++n) {
        for (size_t m = 0; m < d->out_channels; ++m) {
            for (size_t output = 0; output < f.dst.pixels; ++output) {
                bias[m] += (double)diff_dst[element_of(&f.dst, n, m, output)];
            }
        }
    }
}

/* The last element of a tensor, and one more. */
static inline size_t length(int32_t layout, size_t batch, size_t channels, size_t pixels,
                            size_t channel_stride, size_t batch_stride) {
    if (batch == 0 || channels == 0 || pixels == 0) {
        return 0;
    }
    return element(layout, batch - 1, channels - 1, pixels - 1, channels, pixels, channel_stride,
                   batch_stride) +
           1;
}

static inline size_t length_of(const lying *l, size_t batch) {
    return length(l->layout, batch, l->channels, l->pixels, l->channel_stride, l->batch_stride);
}

/* What the plan reads and writes, under the names of its propagation. */
static inline void set_tensors(convlow_execute_args *args, const convlow_convnd_desc *d, const void *read,
                               void *written) {
    if (is_gradient(d)) {
        args->diff_dst = read;
        args->diff_src = written;
    } else {
        args->src = read;
        args->dst = written;
    }
}

#endif
