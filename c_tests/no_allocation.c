/*
 * An execute allocates nothing itself, from the first on: every allocation of this process is counted.
 *
 * A GEMM may: the embedded one packs a factor on the heap for the time of a call, and keeps a buffer of the
 * size of the second cache level for each thread; OpenBLAS does likewise with memory of its own. What the
 * embedded one comes to is printed, and bounded as the documentation says.
 */

#define _GNU_SOURCE /* dl_iterate_phdr */
#include "allocations.h"
#include "convolution.h"

#include <link.h>

/* For dl_iterate_phdr: notes the code of the library with OpenBLAS's name. */
static int find_openblas(struct dl_phdr_info *object, size_t size, void *unused) {
    (void)size;
    (void)unused;
    if (strstr(object->dlpi_name, "libopenblas") == NULL) {
        return 0;
    }
    for (size_t i = 0; i < object->dlpi_phnum; ++i) {
        if (object->dlpi_phdr[i].p_type == PT_LOAD && (object->dlpi_phdr[i].p_flags & PF_X) != 0) {
            allocations.openblas = object->dlpi_addr + object->dlpi_phdr[i].p_vaddr;
            allocations.openblas_end = allocations.openblas + object->dlpi_phdr[i].p_memsz;
        }
    }
    return 1;
}

/* Allocations of convlow and its embedded GEMM. */
static size_t counted(void) {
    return read_count(&allocations.calls) - read_count(&allocations.calls_of_openblas);
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

enum { THREADS = 3 };

/* Of a thread, the size of the second cache level: no more than 4 MiB on the machines of today. */
#define MOST_KEPT_BYTES ((size_t)4 << 20)

/* What the embedded GEMM came to. */
static struct { size_t set_up, plans, allocating, worst, kept_bytes; } embedded;

/* Executes a plan several times, and counts from the first on. */
static void count_executes(const convlow_conv2d_desc *desc, const convlow_plan_options *options, int bias) {
    enum { RUNS = 3 };
    tensors t = tensors_without_result(desc, bias);
    float *dst = floats_new(t.dst_len);
    prepared p = prepare(desc, options, &t);
    convlow_plan_info info = {.struct_size = sizeof(info)};
    REQUIRE_OK(convlow_plan_get_info(p.plan, &info));
    if (info.gemm == CONVLOW_GEMM_EMBEDDED && embedded.set_up == 0) {
        const size_t before = counted();
        CHECK_OK(execute_prepared(&p, &t, dst));
        embedded.set_up = counted() - before;
    }
    const size_t before = counted(), bytes_before = read_count(&allocations.live_bytes);
    for (int run = 0; run < RUNS; ++run) {
        CHECK_OK(execute_prepared(&p, &t, dst));
    }
    const size_t made = counted() - before;
    if (info.gemm != CONVLOW_GEMM_EMBEDDED) {
        CHECK_SIZE(made, 0);
    } else {
        /* Two a call, of which the library makes two where one would fill the kernel badly; and what each
         * thread sets up with its buffer. */
        CHECK(made <= RUNS * 4 * info.gemm_calls + 8 * THREADS);
        embedded.plans += 1;
        embedded.allocating += made > 0;
        embedded.worst = made / RUNS > embedded.worst ? made / RUNS : embedded.worst;
        embedded.kept_bytes += read_count(&allocations.live_bytes) - bytes_before;
    }
    prepared_free(&p);
    free(dst);
    tensors_free(&t);
}

static void every_algorithm(const problem *problem, int layout_pair, int32_t gemm, convlow_pool *pool,
                            size_t *executed) {
    size_t count;
    convlow_conv2d_desc desc;
    convlow_plan_options options;
    describe(&desc, problem, layout_pair);
    convlow_plan_options_init(&options, sizeof(options));
    options.gemm = gemm;
    options.math = CONVLOW_MATH_FAST;
    options.pool = pool;
    convlow_plan_info *infos = query_all(&desc, &options, &count);
    for (size_t i = 0; i < count; ++i) {
        if (!infos[i].applicable) {
            continue;
        }
        snprintf(check_context, sizeof(check_context), "%s on %s, layouts %d, gemm %d",
                 convlow_algorithm_name(infos[i].algorithm), problem->name, layout_pair, (int)gemm);
        options.algorithm = infos[i].algorithm;
        count_executes(&desc, &options, problem->bias);
        ++*executed;
    }
    check_context[0] = '\0';
    free(infos);
}

/* What AUTO picks on layers of real networks. */
static void what_auto_picks(const problem *layer, int32_t math, convlow_pool *pool) {
    for (int layout_pair = 0; layout_pair < LAYOUT_PAIRS; ++layout_pair) {
        convlow_conv2d_desc desc;
        convlow_plan_options options;
        describe(&desc, layer, layout_pair);
        convlow_plan_options_init(&options, sizeof(options));
        options.math = math;
        options.pool = pool;
        snprintf(check_context, sizeof(check_context), "AUTO on %s, layouts %d", layer->name, layout_pair);
        count_executes(&desc, &options, 1);
    }
    check_context[0] = '\0';
}

/* A refusal before it changes nothing. */
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

static const problem layers[] = {
    {.name = "VGG-16 conv1_1",
     .in = {3, 224, 224},
     .out_channels = 64,
     .kernel = {3, 3},
     .pad = {1, 1, 1, 1}},
    {.name = "ResNet-50 conv1",
     .in = {3, 224, 224},
     .out_channels = 64,
     .kernel = {7, 7},
     .stride = {2, 2},
     .pad = {3, 3, 3, 3}},
    {.name = "ResNet-50 res2", .in = {64, 56, 56}, .out_channels = 64, .kernel = {3, 3}, .pad = {1, 1, 1, 1}},
    {.name = "ResNet-50 res4", .in = {256, 14, 14}, .out_channels = 1024, .kernel = {1, 1}},
    {.name = "GoogLeNet 5x5", .in = {16, 28, 28}, .out_channels = 32, .kernel = {5, 5}, .pad = {2, 2, 2, 2}},
};

int main(void) {
    size_t executed = 0;
    convlow_pool *pool;
    dl_iterate_phdr(find_openblas, NULL);
    the_library_is_counted();
    REQUIRE_OK(convlow_pool_create(THREADS, &pool));
    for (int pooled = 0; pooled < 2; ++pooled) {
        for (int layout_pair = 0; layout_pair < LAYOUT_PAIRS; ++layout_pair) {
            for (int32_t gemm = CONVLOW_GEMM_EMBEDDED; gemm >= CONVLOW_GEMM_BLAS; --gemm) {
                if (gemm == CONVLOW_GEMM_BLAS && !CONVLOW_TEST_BLAS) {
                    continue;
                }
                for (int i = 0; i < PROBLEMS; ++i) {
                    every_algorithm(&problems[i], layout_pair, gemm, pooled ? pool : NULL, &executed);
                }
                every_algorithm(&large, layout_pair, gemm, pooled ? pool : NULL, &executed);
            }
        }
    }
    CHECK(executed >= 2 * LAYOUT_PAIRS * (PROBLEMS + 1)); /* direct-sum2d at least serves every problem */
    printf("every algorithm: %zu of %zu plans on the embedded GEMM allocate, at worst %zu times an execute\n",
           embedded.allocating, embedded.plans, embedded.worst);
    printf("it keeps %zu bytes for %d threads, and asks for the caches by %zu allocations once a process\n",
           embedded.kept_bytes, THREADS, embedded.set_up);
    CHECK(embedded.set_up < 1000);
    CHECK(embedded.kept_bytes <= THREADS * MOST_KEPT_BYTES);

    embedded.plans = embedded.allocating = embedded.worst = 0;
    for (size_t i = 0; i < sizeof(layers) / sizeof(layers[0]); ++i) {
        what_auto_picks(&layers[i], CONVLOW_MATH_EXACT, i % 2 == 0 ? pool : NULL);
        what_auto_picks(&layers[i], CONVLOW_MATH_FAST, i % 2 == 0 ? NULL : pool);
    }
    printf("AUTO on real layers: %zu of %zu plans on the embedded GEMM allocate, at worst %zu times an "
           "execute\n",
           embedded.allocating, embedded.plans, embedded.worst);
    after_a_refusal();
    convlow_pool_destroy(pool);
    return check_result();
}
