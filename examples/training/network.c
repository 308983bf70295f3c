#include "network.h"
#include "dataset.h"
#include "operators.h"
#include "random.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

bool succeeds(convlow_status status, const char *doing) {
    if (status != CONVLOW_OK) {
        fprintf(stderr, "%s: %s: %s\n", doing, convlow_status_name(status), convlow_last_error_message());
    }
    return status == CONVLOW_OK;
}

/* ---- the plans ------------------------------------------------------------------------------------- */

/* A convolution whose dst has the sides of its src, or has one pixel if the kernel is the whole src. */
static convlow_convnd_desc convolution(size_t images, size_t rows, size_t columns, size_t in_channels,
                                       size_t out_channels, bool is_whole) {
    const size_t sides[2] = {rows, columns};
    convlow_convnd_desc desc;
    CONVLOW_CONVND_DESC_INIT(&desc);
    desc.src_layout = desc.dst_layout = CONVLOW_LAYOUT_NHWC;
    desc.batch = images;
    desc.in_channels = in_channels;
    desc.out_channels = out_channels;
    for (int axis = 0; axis < 2; ++axis) {
        desc.in_size[axis] = sides[axis];
        desc.kernel_size[axis] = is_whole ? sides[axis] : 3;
        desc.pad_before[axis] = desc.pad_after[axis] = is_whole ? 0 : 1;
    }
    return desc;
}

/* Forward, the ReLU is a part of the convolution; a gradient knows no activation. */
static bool make_plan(const layer *layer, int32_t propagation, convlow_pool *pool, convlow_plan **plan) {
    convlow_convnd_desc desc = layer->desc;
    convlow_plan_options options;
    CONVLOW_PLAN_OPTIONS_INIT(&options);
    options.pool = pool;
    /* Weights change with each step, so that each execute packs them into its workspace. Packed in advance
     * they would take memory twice, in the order of the forward plan and in that of the gradient of the data,
     * and no less time. */
    options.packing = CONVLOW_PACKING_NONE;
    desc.propagation = propagation;
    if (propagation == CONVLOW_PROPAGATION_FORWARD && layer->is_pooled) {
        desc.activation = CONVLOW_ACTIVATION_CLAMP;
        desc.activation_min = 0.0;
    }
    /* A batch may be computed in micro-batches, which need less memory for the tensors between the layers:
     * each adds its gradient of the parameters to what is there, and one step follows the last of them. */
    desc.accumulate = propagation == CONVLOW_PROPAGATION_BACKWARD_WEIGHTS;
    return succeeds(convlow_plan_create_nd(&desc, &options, plan), "making a plan");
}

/* A plan that does not exist needs 0 bytes. */
static void count_workspace(network *net, const convlow_plan *plan) {
    const size_t bytes = convlow_plan_workspace_bytes(plan);
    net->workspace_bytes = bytes > net->workspace_bytes ? bytes : net->workspace_bytes;
}

static bool make_layer(network *net, layer *layer) {
    const convlow_convnd_desc *desc = &layer->desc;
    size_t out[3];
    if (!succeeds(convlow_convnd_output_size(desc, out), "the size of a layer") ||
        !make_plan(layer, CONVLOW_PROPAGATION_FORWARD, net->pool, &layer->forward) ||
        !make_plan(layer, CONVLOW_PROPAGATION_BACKWARD_WEIGHTS, net->pool, &layer->backward_weights)) {
        return false;
    }
    if (layer != net->layers &&
        !make_plan(layer, CONVLOW_PROPAGATION_BACKWARD_DATA, net->pool, &layer->backward_data)) {
        return false;
    }
    count_workspace(net, layer->forward);
    count_workspace(net, layer->backward_data);
    count_workspace(net, layer->backward_weights);
    layer->src_count = desc->batch * desc->in_size[0] * desc->in_size[1] * desc->in_channels;
    layer->dst_count = desc->batch * out[0] * out[1] * desc->out_channels;
    layer->weights_count =
        desc->out_channels * desc->in_channels * desc->kernel_size[0] * desc->kernel_size[1];
    net->tensor_bytes += (layer->src_count + layer->dst_count) * sizeof(float);
    net->parameter_count += layer->weights_count + desc->out_channels;
    return true;
}

bool network_create(network *net, size_t images, size_t rows, size_t columns, size_t threads) {
    *net = (network){0};
    layer *layers = net->layers;
    layers[0].desc = convolution(images, rows, columns, 1, 32, false);
    layers[1].desc = convolution(images, rows / 2, columns / 2, 32, 64, false);
    layers[2].desc = convolution(images, rows / 4, columns / 4, 64, DATASET_CLASSES, true);
    layers[0].is_pooled = layers[1].is_pooled = true;
    bool made = succeeds(convlow_pool_create(threads, &net->pool), "starting threads");
    for (int i = 0; i < NETWORK_LAYERS && made; ++i) {
        made = make_layer(net, &layers[i]);
    }
    if (!made) {
        network_destroy(net);
    }
    return made;
}

void network_destroy(network *net) {
    for (int i = 0; i < NETWORK_LAYERS; ++i) {
        layer *layer = &net->layers[i];
        convlow_plan_destroy(layer->forward);
        convlow_plan_destroy(layer->backward_data);
        convlow_plan_destroy(layer->backward_weights);
        layer->forward = layer->backward_data = layer->backward_weights = NULL;
    }
    convlow_pool_destroy(net->pool);
    net->pool = NULL;
}

/* ---- the memory ------------------------------------------------------------------------------------ */

static float *take_floats(block *memory, size_t count) {
    return block_take(memory, count * sizeof(float));
}

void network_place(network *net, block *memory) {
    net->parameters = take_floats(memory, net->parameter_count);
    net->gradient = take_floats(memory, net->parameter_count);
    net->velocity = take_floats(memory, net->parameter_count);
    net->workspace = block_take(memory, net->workspace_bytes);
    size_t at = 0;
    for (int i = 0; i < NETWORK_LAYERS; ++i) {
        layer *layer = &net->layers[i];
        layer->weights = memory->base != NULL ? net->parameters + at : NULL;
        layer->diff_weights = memory->base != NULL ? net->gradient + at : NULL;
        at += layer->weights_count + layer->desc.out_channels;
        layer->src = take_floats(memory, layer->src_count);
        layer->dst = take_floats(memory, layer->dst_count);
    }
}

/* ---- the parameters -------------------------------------------------------------------------------- */

/* From -1 to 1. */
static float random_number(uint64_t *state) {
    return (float)(random_bits(state) >> 8) / (float)(1 << 23) - 1.0F;
}

void network_start(network *net, uint64_t seed) {
    memset(net->parameters, 0, net->parameter_count * sizeof(float));
    memset(net->gradient, 0, net->parameter_count * sizeof(float));
    memset(net->velocity, 0, net->parameter_count * sizeof(float));
    for (int i = 0; i < NETWORK_LAYERS; ++i) {
        const layer *layer = &net->layers[i];
        /* He et al.: outputs of a ReLU keep the variance of their inputs. */
        const float bound = sqrtf(6.0F * (float)layer->desc.out_channels / (float)layer->weights_count);
        for (size_t at = 0; at < layer->weights_count; ++at) {
            layer->weights[at] = bound * random_number(&seed);
        }
    }
}

void network_step(network *net, float rate, float momentum) {
    momentum_step(net->parameter_count, net->parameters, net->velocity, net->gradient, rate, momentum);
    memset(net->gradient, 0, net->parameter_count * sizeof(float));
}

uint64_t network_checksum(const network *net) {
    const unsigned char *bytes = (const unsigned char *)net->parameters;
    uint64_t hash = 14695981039346656037U; /* FNV-1a */
    for (size_t i = 0; i < net->parameter_count * sizeof(float); ++i) {
        hash = (hash ^ bytes[i]) * 1099511628211U;
    }
    return hash;
}

/* ---- forward and backward -------------------------------------------------------------------------- */

static map map_of(const layer *layer) {
    const convlow_convnd_desc *desc = &layer->desc;
    return (map){desc->batch, desc->in_size[0], desc->in_size[1], desc->out_channels};
}

static convlow_execute_args arguments_of(const network *net) {
    convlow_execute_args args;
    CONVLOW_EXECUTE_ARGS_INIT(&args);
    args.workspace = net->workspace;
    args.workspace_bytes = net->workspace_bytes;
    return args;
}

bool network_forward(network *net) {
    for (int i = 0; i < NETWORK_LAYERS; ++i) {
        const layer *layer = &net->layers[i];
        convlow_execute_args args = arguments_of(net);
        args.src = layer->src;
        args.weights = layer->weights;
        args.bias = layer->weights + layer->weights_count;
        args.dst = layer->dst;
        if (!succeeds(convlow_execute_with(layer->forward, &args), "forward")) {
            return false;
        }
        if (layer->is_pooled) {
            const map size = map_of(layer);
            max_pool(&size, layer->dst, net->layers[i + 1].src);
        }
    }
    return true;
}

/* The gradient of dst is in its place. First the gradients of weights and bias, which read src; then that of
 * src, which takes its place. */
static bool layer_backward(const network *net, const layer *layer) {
    convlow_execute_args args = arguments_of(net);
    args.src = layer->src;
    args.diff_dst = layer->dst;
    args.diff_weights = layer->diff_weights;
    args.diff_bias = layer->diff_weights + layer->weights_count;
    if (!succeeds(convlow_execute_with(layer->backward_weights, &args), "gradient of weights")) {
        return false;
    }
    if (layer->backward_data == NULL) {
        return true;
    }
    args = arguments_of(net);
    args.weights = layer->weights;
    args.diff_dst = layer->dst;
    args.diff_src = layer->src;
    return succeeds(convlow_execute_with(layer->backward_data, &args), "gradient of data");
}

bool network_backward(network *net) {
    for (int i = NETWORK_LAYERS; i-- > 0;) {
        const layer *layer = &net->layers[i];
        if (layer->is_pooled) {
            const map size = map_of(layer);
            max_pool_and_relu_backward(&size, layer->dst, net->layers[i + 1].src);
        }
        if (!layer_backward(net, layer)) {
            return false;
        }
    }
    return true;
}
