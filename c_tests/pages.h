/*
 * Memory between pages that nobody may touch: an access beyond its end ends the program.
 */

#ifndef CONVLOW_TEST_PAGES_H
#define CONVLOW_TEST_PAGES_H

#include "buffers.h"

#include <sys/mman.h>
#include <unistd.h>

/* Writable pages with one that is not accessible on either side. */
typedef struct pages {
    unsigned char *first;
    size_t bytes;
} pages;

/* Which forbidden page a buffer lies against. */
typedef enum side { BEHIND_THE_FRONT, BEFORE_THE_END } side;

static inline pages pages_new(size_t at_least) {
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    pages made;
    made.bytes = (at_least + page - 1) / page * page;
    made.bytes += made.bytes == 0 ? page : 0;
    void *all = mmap(NULL, made.bytes + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(all != MAP_FAILED);
    made.first = (unsigned char *)all + page;
    REQUIRE(mprotect(made.first, made.bytes, PROT_READ | PROT_WRITE) == 0);
    return made;
}

static inline void pages_free(pages *old) {
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    REQUIRE(munmap(old->first - page, old->bytes + 2 * page) == 0);
    old->first = NULL;
}

/* From here on a write to them ends the program, or no longer does. */
static inline void pages_protect(const pages *of, int read_only) {
    REQUIRE(mprotect(of->first, of->bytes, read_only ? PROT_READ : PROT_READ | PROT_WRITE) == 0);
}

/* Where a buffer of that many bytes begins that lies against one of the forbidden pages, as near as the
 * alignment lets it. */
static inline void *pages_place(const pages *in, size_t bytes, size_t alignment, side at) {
    REQUIRE(bytes <= in->bytes);
    return at == BEHIND_THE_FRONT ? in->first : in->first + (in->bytes - bytes) / alignment * alignment;
}

/* Most bytes beside a placed buffer that are looked after; they are few, so that this takes no time. */
enum { BESIDE = 64 };

typedef struct beside {
    unsigned char *first, *end;
} beside;

/* The accessible bytes near a placed buffer that are none of it. */
static inline void pages_beside(const pages *in, void *data, size_t bytes, beside found[2]) {
    unsigned char *begin = (unsigned char *)data, *end = begin + bytes;
    const size_t before = (size_t)(begin - in->first), behind = (size_t)(in->first + in->bytes - end);
    found[0].first = begin - (before < BESIDE ? before : BESIDE);
    found[0].end = begin;
    found[1].first = end;
    found[1].end = end + (behind < BESIDE ? behind : BESIDE);
}

static inline void pages_mark_beside(const pages *in, void *data, size_t bytes) {
    beside found[2];
    pages_beside(in, data, bytes, found);
    for (int at = 0; at < 2; ++at) {
        memset(found[at].first, GUARD, (size_t)(found[at].end - found[at].first));
    }
}

/* Whether the marks still are what they were. */
static inline int pages_beside_are_whole(const pages *in, void *data, size_t bytes) {
    beside found[2];
    pages_beside(in, data, bytes, found);
    return bytes_are(found[0].first, GUARD, (size_t)(found[0].end - found[0].first)) &&
           bytes_are(found[1].first, GUARD, (size_t)(found[1].end - found[1].first));
}

#endif
