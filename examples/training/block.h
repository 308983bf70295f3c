/*
 * All memory of the program in one block: the same code counts it first and hands it out afterwards.
 */

#ifndef TRAINING_BLOCK_H
#define TRAINING_BLOCK_H

#include <stddef.h>

/* The alignment of each part: a line of the cache. */
#define BLOCK_ALIGNMENT ((size_t)64)

typedef struct block {
    char *base; /* NULL: it only counts */
    size_t used;
} block;

/* The next part of the block; NULL while it counts. */
static inline void *block_take(block *from, size_t bytes) {
    void *part = from->base != NULL ? from->base + from->used : NULL;
    from->used += (bytes + BLOCK_ALIGNMENT - 1) / BLOCK_ALIGNMENT * BLOCK_ALIGNMENT;
    return part;
}

#endif
