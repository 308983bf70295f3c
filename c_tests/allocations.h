/*
 * Every allocation of a program that includes this goes through the functions here, which count it and may
 * let it fail. Include it in one file of the program.
 */

#ifndef CONVLOW_TEST_ALLOCATIONS_H
#define CONVLOW_TEST_ALLOCATIONS_H

#include <errno.h>
#include <malloc.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* glibc's own names for what is replaced. */
void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *pointer, size_t bytes);
void *__libc_memalign(size_t alignment, size_t bytes);
void __libc_free(void *pointer);

static struct {
    size_t calls;                     /* made so far, by whomever */
    size_t calls_of_openblas;         /* those from its code among them */
    size_t live_bytes, live_blocks;   /* not yet freed */
    size_t most_bytes;                /* live at one time, since it was last set to live_bytes */
    size_t fail_in;                   /* the allocation that fails is so many away; 0: none */
    size_t failed;                    /* how many have */
    uintptr_t openblas, openblas_end; /* where its code is loaded, if the program has said so */
} allocations;

static inline size_t read_count(const size_t *count) {
    return __atomic_load_n(count, __ATOMIC_SEQ_CST);
}

/* Any thread may allocate. */
static inline size_t add_to(size_t *count, size_t number) {
    return __atomic_add_fetch(count, number, __ATOMIC_SEQ_CST);
}

/* Counts an allocation that is made from this return address; whether it is to fail. */
static int begins(const void *caller) {
    const uintptr_t address = (uintptr_t)caller;
    add_to(&allocations.calls, 1);
    add_to(&allocations.calls_of_openblas,
           address >= allocations.openblas && address < allocations.openblas_end);
    if (read_count(&allocations.fail_in) == 0 || add_to(&allocations.fail_in, (size_t)-1) > 0) {
        return 0;
    }
    add_to(&allocations.failed, 1);
    errno = ENOMEM;
    return 1;
}

static void *made(void *block) {
    if (block != NULL) {
        add_to(&allocations.live_blocks, 1);
        const size_t live = add_to(&allocations.live_bytes, malloc_usable_size(block));
        size_t most = read_count(&allocations.most_bytes);
        while (live > most && !__atomic_compare_exchange_n(&allocations.most_bytes, &most, live, 0,
                                                           __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
        }
    }
    return block;
}

static void gone(void *block) {
    if (block != NULL) {
        add_to(&allocations.live_blocks, (size_t)-1);
        add_to(&allocations.live_bytes, (size_t)0 - malloc_usable_size(block));
    }
}

void *malloc(size_t bytes) {
    return begins(__builtin_return_address(0)) ? NULL : made(__libc_malloc(bytes));
}

void *calloc(size_t count, size_t bytes) {
    return begins(__builtin_return_address(0)) ? NULL : made(__libc_calloc(count, bytes));
}

void *realloc(void *pointer, size_t bytes) {
    if (begins(__builtin_return_address(0))) {
        return NULL;
    }
    gone(pointer);
    void *moved = __libc_realloc(pointer, bytes);
    if (moved != NULL) {
        made(moved);
    } else if (bytes > 0) {
        made(pointer); /* which is as it was */
    }
    return moved;
}

void *memalign(size_t alignment, size_t bytes) {
    return begins(__builtin_return_address(0)) ? NULL : made(__libc_memalign(alignment, bytes));
}

void *aligned_alloc(size_t alignment, size_t bytes) {
    return begins(__builtin_return_address(0)) ? NULL : made(__libc_memalign(alignment, bytes));
}

int posix_memalign(void **pointer, size_t alignment, size_t bytes) {
    if (begins(__builtin_return_address(0))) {
        return ENOMEM;
    }
    *pointer = made(__libc_memalign(alignment, bytes));
    return *pointer != NULL ? 0 : ENOMEM;
}

void free(void *pointer) {
    gone(pointer);
    __libc_free(pointer);
}

#endif
