/*
 * What the network needs besides convolutions, in plain loops of fixed order on one thread.
 */

#ifndef TRAINING_OPERATORS_H
#define TRAINING_OPERATORS_H

#include <stddef.h>

/* An NHWC tensor whose sides are even. */
typedef struct map {
    size_t images, rows, columns, channels;
} map;

/* pooled becomes the largest of each 2 x 2 pixels of src. */
void max_pool(const map *size, const float *restrict src, float *restrict pooled);

/* src holds outputs of a ReLU and becomes their gradient before the ReLU: the gradient of pooled, where the
 * first largest of each 2 x 2 pixels is above 0, and 0 elsewhere. */
void max_pool_and_relu_backward(const map *size, float *restrict src, const float *restrict diff_pooled);

/* The sum over `images` of the cross entropy of the softmax of their scores; adds to *right how many have
 * their largest score at their label. The scores become the gradient of the sum times `scale`. */
double softmax_cross_entropy(size_t images, size_t classes, float *scores, const unsigned char *labels,
                             float scale, size_t *right);

/* Gradient descent: velocity becomes momentum * velocity + gradient, and values lose rate * velocity. */
void momentum_step(size_t count, float *restrict values, float *restrict velocity,
                   const float *restrict gradient, float rate, float momentum);

#endif
