/*
 * To be preloaded: the allocations that one shared library asks for can be made to fail, none of anybody
 * else's.
 */

#define _GNU_SOURCE /* dladdr, RTLD_NEXT */
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

extern void *__libc_malloc(size_t bytes);
extern void *__libc_calloc(size_t count, size_t bytes);
extern void *__libc_realloc(void *memory, size_t bytes);
extern void *__libc_memalign(size_t alignment, size_t bytes);

/* Where the library's code lies. */
static char *begin, *end;
static atomic_size_t asked, first_failing, last_failing, failed;

/* Names the library by a function of its; its code lies within so many bytes of where it begins. */
int short_memory_of(const char *path, const char *function, size_t bytes) {
    Dl_info info;
    void *library = dlopen(path, RTLD_NOW | RTLD_NOLOAD);
    void *symbol = library != NULL ? dlsym(library, function) : NULL;
    if (symbol == NULL || dladdr(symbol, &info) == 0) {
        return 0;
    }
    begin = (char *)info.dli_fbase;
    end = begin + bytes;
    return 1;
}

/* From now on the library's allocations from `first` to `last`, counted from 1, fail. With 0 none does. */
void short_memory_fail(size_t first, size_t last) {
    first_failing = first;
    last_failing = last;
    asked = 0;
    failed = 0;
}

size_t short_memory_asked(void) {
    return asked;
}

size_t short_memory_failed(void) {
    return failed;
}

static int fails(const char *caller) {
    if (caller < begin || caller >= end) {
        return 0;
    }
    const size_t at = atomic_fetch_add(&asked, 1) + 1;
    if (first_failing == 0 || at < first_failing || at > last_failing) {
        return 0;
    }
    atomic_fetch_add(&failed, 1);
    errno = ENOMEM;
    return 1;
}

void *malloc(size_t bytes) {
    return fails((const char *)__builtin_return_address(0)) ? NULL : __libc_malloc(bytes);
}

void *calloc(size_t count, size_t bytes) {
    return fails((const char *)__builtin_return_address(0)) ? NULL : __libc_calloc(count, bytes);
}

void *realloc(void *memory, size_t bytes) {
    return fails((const char *)__builtin_return_address(0)) ? NULL : __libc_realloc(memory, bytes);
}

void *aligned_alloc(size_t alignment, size_t bytes) {
    return fails((const char *)__builtin_return_address(0)) ? NULL : __libc_memalign(alignment, bytes);
}

int posix_memalign(void **memory, size_t alignment, size_t bytes) {
    if (fails((const char *)__builtin_return_address(0))) {
        return ENOMEM;
    }
    *memory = __libc_memalign(alignment, bytes);
    return *memory != NULL ? 0 : ENOMEM;
}
