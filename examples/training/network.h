/*
 * A network of three convolutions, which convlow computes forward and backward:
 *
 *   images -> 3x3, 32 channels -> ReLU, 2x2 max pooling -> 3x3, 64 channels -> ReLU, 2x2 max pooling
 *          -> a fully connected layer, as a convolution whose kernel is the whole map -> 10 scores
 *
 * All tensors are NHWC. A gradient takes the place of its tensor as soon as nothing reads the tensor any
 * more.
 */

#ifndef TRAINING_NETWORK_H
#define TRAINING_NETWORK_H

#include "block.h"

#include <convlow.h>
#include <stdbool.h>
#include <stdint.h>

enum { NETWORK_LAYERS = 3 };

typedef struct layer {
    convlow_convnd_desc desc; /* of the forward convolution */
    bool is_pooled;           /* ReLU and pooling follow */
    size_t src_count, dst_count, weights_count;
    convlow_plan *forward, *backward_weights;
    convlow_plan *backward_data; /* NULL in the first layer: nobody needs the gradient of the images */

    /* In the block. The bias lies behind the weights. */
    float *weights, *diff_weights;
    float *src, *dst;
} layer;

typedef struct network {
    layer layers[NETWORK_LAYERS];
    convlow_pool *pool;
    size_t parameter_count;
    size_t tensor_bytes, workspace_bytes;

    /* In the block: the parameters of all layers one behind the other, and what belongs to each of them. */
    float *parameters, *gradient, *velocity;
    void *workspace; /* of one execute at a time, so as large as the largest */
} network;

/* Whether a call of convlow has succeeded. If it has not, prints the message of the library. */
bool succeeds(convlow_status status, const char *doing);

/* Makes the plans. Functions that return bool have printed the reason if they return false. */
bool network_create(network *net, size_t images, size_t rows, size_t columns, size_t threads);

/* Gives the network its memory; with a block that only counts, counts it. */
void network_place(network *net, block *memory);

/* Random weights, which depend on the seed alone. */
void network_start(network *net, uint64_t seed);

/* From the images, in the src of the first layer, to the scores, in the dst of the last one. */
bool network_forward(network *net);

/* From the gradient of the scores, in their place: adds to the gradient of the parameters. */
bool network_backward(network *net);

/* One step of gradient descent by the gradient, which is 0 afterwards. */
void network_step(network *net, float rate, float momentum);

/* A number that tells whether the parameters of two networks have the same bits. */
uint64_t network_checksum(const network *net);

void network_destroy(network *net);

#endif
