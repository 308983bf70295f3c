#include "operators.h"

#include <math.h>

void max_pool(const map *size, const float *restrict src, float *restrict pooled) {
    const size_t channels = size->channels, row = size->columns * channels;
    for (size_t y = 0; y < size->images * size->rows; y += 2) {
        for (size_t x = 0; x < size->columns; x += 2, pooled += channels) {
            const float *at = src + y * row + x * channels;
            for (size_t c = 0; c < channels; ++c) {
                const float first = at[c], second = at[channels + c];
                const float third = at[row + c], fourth = at[row + channels + c];
                const float upper = first > second ? first : second;
                const float lower = third > fourth ? third : fourth;
                pooled[c] = upper > lower ? upper : lower;
            }
        }
    }
}

void max_pool_and_relu_backward(const map *size, float *restrict src, const float *restrict diff_pooled) {
    const size_t channels = size->channels, row = size->columns * channels;
    for (size_t y = 0; y < size->images * size->rows; y += 2) {
        for (size_t x = 0; x < size->columns; x += 2, diff_pooled += channels) {
            float *upper = src + y * row + x * channels, *lower = upper + row;
            for (size_t c = 0; c < channels; ++c) {
                const float first = upper[c], second = upper[channels + c];
                const float third = lower[c], fourth = lower[channels + c];
                const float above = first > second ? first : second;
                const float below = third > fourth ? third : fourth;
                const float largest = above > below ? above : below;
                /* Factors of 0 and 1 in place of branches: so compilers make vectors of the loop. */
                const int is_on = largest > 0.0F, is_above = above >= below;
                const int is_first = first >= second, is_third = third >= fourth;
                const float diff = diff_pooled[c] * (float)is_on;
                const float diff_above = diff * (float)is_above, diff_below = diff - diff_above;
                const float diff_first = diff_above * (float)is_first,
                            diff_third = diff_below * (float)is_third;
                upper[c] = diff_first;
                upper[channels + c] = diff_above - diff_first;
                lower[c] = diff_third;
                lower[channels + c] = diff_below - diff_third;
            }
        }
    }
}

double softmax_cross_entropy(size_t images, size_t classes, float *scores, const unsigned char *labels,
                             float scale, size_t *right) {
    double loss = 0.0;
    for (size_t n = 0; n < images; ++n, scores += classes) {
        const size_t label = labels[n];
        size_t best = 0;
        for (size_t c = 1; c < classes; ++c) {
            best = scores[c] > scores[best] ? c : best;
        }
        *right += best == label;
        const float largest = scores[best], of_label = scores[label];
        float sum = 0.0F;
        for (size_t c = 0; c < classes; ++c) {
            scores[c] = expf(scores[c] - largest);
            sum += scores[c];
        }
        loss += log((double)sum) + (double)largest - (double)of_label;
        for (size_t c = 0; c < classes; ++c) {
            scores[c] = scale * (scores[c] / sum - (c == label ? 1.0F : 0.0F));
        }
    }
    return loss;
}

void momentum_step(size_t count, float *restrict values, float *restrict velocity,
                   const float *restrict gradient, float rate, float momentum) {
    for (size_t i = 0; i < count; ++i) {
        velocity[i] = momentum * velocity[i] + gradient[i];
        values[i] -= rate * velocity[i];
    }
}
