/*
 * An execute allocates nothing: every allocation of this process goes through the counting functions here.
 *
 * The embedded GEMM packs large factors on the heap, which its documentation says, so the algorithms that
 * call a GEMM are counted with the system's BLAS. What OpenBLAS itself allocates is not counted: its kernels
 * of small products for AVX-512 pack a factor on the heap, which the documentation says too.
 */

#define _GNU_SOURCE /* dl_iterate_phdr */
#include "convolution.h"

#include <dirent.h>
#include <errno.h>
#include <link.h>
#include <stdint.h>
#include <time.h>

/* glibc's own names for what this program replaces. */
void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *pointer, size_t bytes);
void *__libc_memalign(size_t alignment, size_t bytes);

static size_t allocations;
static uintptr_t openblas_begin, openblas_end; /* where it is loaded */

/* Counts an allocation that is made at this return address. */
static void count_one(const void *caller) {
    const uintptr_t address = (uintptr_t)caller;
    if (address < openblas_begin || address >= openblas_end) {
        __atomic_add_fetch(&allocations, 1, __ATOMIC_SEQ_CST); /* any thread may allocate */
    }
}

/* For dl_iterate_phdr: notes the code of the library with OpenBLAS's name. */
static int find_openblas(struct dl_phdr_info *object, size_t size, void *unused) {
    (void)size;
    (void)unused;
    if (strstr(object->dlpi_name, "libopenblas") == NULL) {
        return 0;
    }
    for (size_t i = 0; i < object->dlpi_phnum; ++i) {
        if (object->dlpi_phdr[i].p_type == PT_LOAD && (object->dlpi_phdr[i].p_flags & PF_X) != 0) {
            openblas_begin = object->dlpi_addr + object->dlpi_phdr[i].p_vaddr;
            openblas_end = openblas_begin + object->dlpi_phdr[i].p_memsz;
        }
    }
    return 1;
}

static size_t counted(void) {
    return __atomic_load_n(&allocations, __ATOMIC_SEQ_CST);
}

void *malloc(size_t bytes) {
    count_one(__builtin_return_address(0));
    return __libc_malloc(bytes);
}

void *calloc(size_t count, size_t bytes) {
    count_one(__builtin_return_address(0));
    return __libc_calloc(count, bytes);
}

void *realloc(void *pointer, size_t bytes) {
    count_one(__builtin_return_address(0));
    return __libc_realloc(pointer, bytes);
}

void *memalign(size_t alignment, size_t bytes) {
    count_one(__builtin_return_address(0));
    return __libc_memalign(alignment, bytes);
}

void *aligned_alloc(size_t alignment, size_t bytes) {
    count_one(__builtin_return_address(0));
    return __libc_memalign(alignment, bytes);
}

int posix_memalign(void **pointer, size_t alignment, size_t bytes) {
    count_one(__builtin_return_address(0));
    *pointer = __libc_memalign(alignment, bytes);
    return *pointer != NULL ? 0 : ENOMEM;
}

/* What the library allocates for a plan must be seen here, or the zeros below would mean nothing. */
static void the_library_is_counted(void) {
    convlow_conv2d_desc desc;
    convlow_plan *plan;
    describe(&desc, &problems[1], 0);
    const size_t before = counted();
    REQUIRE_OK(convlow_plan_create(&desc, NULL, &plan));
    REQUIRE(counted() > before);
    convlow_plan_destroy(plan);
}

/* Whether this thread of the process sleeps, by the letter behind its name in /proc. */
static int sleeps(const char *thread) {
    char path[512], line[256] = "";
    snprintf(path, sizeof(path), "/proc/self/task/%s/stat", thread);
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        return 1; /* ended meanwhile */
    }
    const char *name_end = fgets(line, sizeof(line), file) != NULL ? strrchr(line, ')') : NULL;
    const int asleep = name_end != NULL && strncmp(name_end, ") S", 3) == 0;
    fclose(file);
    return asleep;
}

/* Waits until all threads but this one sleep: those of a new pool are still starting, and allocate for that.
 */
static void settle(void) {
    const struct timespec a_moment = {0, 1000000};
    for (size_t awake = 2; awake > 1;) {
        DIR *threads = opendir("/proc/self/task");
        REQUIRE(threads != NULL);
        awake = 0;
        for (struct dirent *entry = readdir(threads); entry != NULL; entry = readdir(threads)) {
            awake += entry->d_name[0] != '.' && !sleeps(entry->d_name);
        }
        closedir(threads);
        nanosleep(&a_moment, NULL);
    }
}

static void every_algorithm(const problem *problem, int layout_pair, convlow_pool *pool, size_t *executed) {
    size_t count;
    convlow_conv2d_desc desc;
    convlow_plan_options options;
    describe(&desc, problem, layout_pair);
    convlow_plan_options_init(&options, sizeof(options));
    options.gemm = CONVLOW_TEST_BLAS ? CONVLOW_GEMM_BLAS : CONVLOW_GEMM_AUTO;
    options.pool = pool;
    tensors t = tensors_without_result(&desc, problem->bias);
    float *dst = floats_new(t.dst_len);
    convlow_plan_info *infos = query_all(&desc, &options, &count);
    for (size_t i = 0; i < count; ++i) {
        if (!infos[i].applicable || infos[i].gemm == CONVLOW_GEMM_EMBEDDED) {
            continue;
        }
        options.algorithm = infos[i].algorithm;
        snprintf(check_context, sizeof(check_context), "%s, layouts %d, %s, %s", problem->name, layout_pair,
                 pool != NULL ? "pool" : "no pool", convlow_algorithm_name(options.algorithm));
        prepared p = prepare(&desc, &options, &t);
        CHECK_OK(execute_prepared(&p, &t, dst)); /* what OpenBLAS sets up once is its own */
        const size_t before = counted();
        for (int run = 0; run < 10; ++run) {
            CHECK_OK(execute_prepared(&p, &t, dst));
        }
        CHECK_SIZE(counted() - before, 0);
        prepared_free(&p);
        ++*executed;
    }
    check_context[0] = '\0';
    free(infos);
    free(dst);
    tensors_free(&t);
}

/* Refusals may allocate their message, and successes behind them still nothing. */
static void after_a_refusal(void) {
    convlow_conv2d_desc desc;
    convlow_plan_options options;
    describe(&desc, &problems[1], 0);
    convlow_plan_options_init(&options, sizeof(options));
    options.algorithm = convlow_algorithm_from_name("direct-sum2d");
    tensors t = tensors_without_result(&desc, 0);
    float *dst = floats_new(t.dst_len);
    prepared p = prepare(&desc, &options, &t);
    CHECK_STATUS(convlow_execute(p.plan, NULL, p.packed.data, NULL, dst, NULL, 0),
                 CONVLOW_ERROR_INVALID_ARGUMENT);
    const size_t before = counted();
    CHECK_OK(execute_prepared(&p, &t, dst));
    CHECK_SIZE(counted() - before, 0);
    prepared_free(&p);
    free(dst);
    tensors_free(&t);
}

/* Beyond what fits a small-matrix kernel, so that OpenBLAS packs its factors. */
static const problem large = {.name = "large",
                              .in = {40, 40, 40},
                              .out_channels = 48,
                              .kernel = {3, 3},
                              .pad = {1, 1, 1, 1},
                              .bias = 1};

int main(void) {
    size_t executed = 0;
    convlow_pool *pool;
    dl_iterate_phdr(find_openblas, NULL);
    the_library_is_counted();
    REQUIRE_OK(convlow_pool_create(3, &pool));
    settle();
    for (int pooled = 0; pooled < 2; ++pooled) {
        for (int layout_pair = 0; layout_pair < LAYOUT_PAIRS; ++layout_pair) {
            for (int i = 0; i < PROBLEMS; ++i) {
                every_algorithm(&problems[i], layout_pair, pooled ? pool : NULL, &executed);
            }
            every_algorithm(&large, layout_pair, pooled ? pool : NULL, &executed);
        }
    }
    CHECK(executed >= 2 * LAYOUT_PAIRS * (PROBLEMS + 1)); /* direct-sum2d at least serves every problem */
    after_a_refusal();
    convlow_pool_destroy(pool);
    return check_result();
}
