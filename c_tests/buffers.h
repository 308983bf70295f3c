/*
 * Buffers that tell whether somebody wrote beside them.
 */

#ifndef CONVLOW_TEST_BUFFERS_H
#define CONVLOW_TEST_BUFFERS_H

#include "check.h"

enum { GUARD_BYTES = 64, GUARD = 0x5c, DIRT = 0xa5 };

/* `bytes` of memory, aligned as by malloc and no better, between guard bytes; 0xa5 all over at first. */
typedef struct guarded {
    unsigned char *block;
    void *data;
    size_t bytes;
} guarded;

static inline guarded guarded_new(size_t bytes) {
    guarded buffer;
    buffer.block = (unsigned char *)malloc(bytes + 2 * GUARD_BYTES);
    REQUIRE(buffer.block != NULL);
    memset(buffer.block, GUARD, bytes + 2 * GUARD_BYTES);
    buffer.data = buffer.block + GUARD_BYTES;
    buffer.bytes = bytes;
    memset(buffer.data, DIRT, bytes);
    return buffer;
}

/* Whether all bytes have the value. */
static inline int bytes_are(const void *memory, int value, size_t bytes) {
    const unsigned char *byte = (const unsigned char *)memory;
    for (size_t i = 0; i < bytes; ++i) {
        if (byte[i] != (unsigned char)value) {
            return 0;
        }
    }
    return 1;
}

static inline int guards_are_whole(const guarded *buffer) {
    return bytes_are(buffer->block, GUARD, GUARD_BYTES) &&
           bytes_are(buffer->block + GUARD_BYTES + buffer->bytes, GUARD, GUARD_BYTES);
}

/* Whether nothing was written to the buffer since it was made. */
static inline int is_untouched(const guarded *buffer) {
    return guards_are_whole(buffer) && bytes_are(buffer->data, DIRT, buffer->bytes);
}

static inline void guarded_free(guarded *buffer) {
    free(buffer->block);
    buffer->block = NULL;
}

static inline float *floats_new(size_t count) {
    float *floats = (float *)malloc(count * sizeof(float));
    REQUIRE(floats != NULL);
    return floats;
}

/* Zeros. */
static inline double *doubles_new(size_t count) {
    double *doubles = (double *)calloc(count, sizeof(double));
    REQUIRE(doubles != NULL);
    return doubles;
}

#endif
