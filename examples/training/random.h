/*
 * Random numbers that are the same on every machine: the generator of Knuth's MMIX.
 */

#ifndef TRAINING_RANDOM_H
#define TRAINING_RANDOM_H

#include <stdint.h>

static inline uint32_t random_bits(uint64_t *state) {
    *state = *state * 6364136223846793005U + 1442695040888963407U;
    return (uint32_t)(*state >> 32);
}

#endif
