/*
 * Measuring keeps its budget of time and memory, whatever the size of the problem, and learns something
 * within it.
 */

#define _GNU_SOURCE
#include "allocations.h"
#include "convolution.h"

#include <time.h>

typedef struct budgeted {
    problem problem;
    int32_t math;
    double budget;
    double most_seconds; /* far above budget and a run of the fastest on any machine, far below unbounded
                            measuring */
    int learns;          /* whether the budget is enough for anything */
} budgeted;

static const budgeted cases[] = {
    {.problem = {.name = "9 multiplications in 3.4 GiB",
                 .in = {1, 30000, 30000},
                 .out_channels = 1,
                 .kernel = {3, 3},
                 .stride = {1000000, 1000000}},
     .budget = 1e-4,
     .most_seconds = 1,
     .learns = 1},
    {.problem = {.name = "4 GiB of dst",
                 .in = {3, 4096, 4096},
                 .out_channels = 64,
                 .kernel = {3, 3},
                 .pad = {1, 1, 1, 1}},
     .math = CONVLOW_MATH_FAST,
     .budget = 1,
     .most_seconds = 4,
     .learns = 1},
    {.problem = {.name = "one run is longer than the budget",
                 .in = {512, 56, 56},
                 .out_channels = 512,
                 .kernel = {3, 3},
                 .pad = {1, 1, 1, 1}},
     .budget = 0.1,
     .most_seconds = 2,
     .learns = 1},
    {.problem = {.name = "nothing of it fits the budget",
                 .in = {512, 56, 56},
                 .out_channels = 512,
                 .kernel = {3, 3}},
     .budget = 1e-6,
     .most_seconds = 1},
    {.problem = {.name = "many images and groups",
                 .batch = 1000,
                 .groups = 64,
                 .in = {256, 64, 64},
                 .out_channels = 256,
                 .kernel = {5, 5}},
     .budget = 0.2,
     .most_seconds = 2,
     .learns = 1},
    {.problem = {.name = "long rows", .in = {16, 1, 50000000}, .out_channels = 16, .kernel = {1, 9}},
     .math = CONVLOW_MATH_FAST,
     .budget = 0.2,
     .most_seconds = 2,
     .learns = 1},
    {.problem = {.name = "padding far beyond the input",
                 .in = {8, 3, 3},
                 .out_channels = 8,
                 .kernel = {3, 3},
                 .pad = {3000, 3000, 3000, 3000}},
     .budget = 0.2,
     .most_seconds = 2,
     .learns = 1},
};

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* Beside the tensors: the plan, the answers of all algorithms, what a GEMM packs for the time of a call. */
static const size_t beside_tensors = (size_t)8 << 20;

/* Promise 10: plans with a budget; returns how many algorithms have a measured time. */
static size_t plan_within(const budgeted *b, int layout_pair, size_t max_bytes, convlow_pool *pool) {
    convlow_conv2d_desc desc;
    convlow_plan_options options;
    convlow_plan *plan;
    size_t count, measured = 0, most = 256u << 20;
    describe(&desc, &b->problem, layout_pair);
    convlow_plan_options_init(&options, sizeof(options));
    CHECK_SIZE(options.measure_max_bytes, most);
    options.effort = CONVLOW_EFFORT_MEASURE;
    options.math = b->math;
    options.measure_budget_seconds = b->budget;
    options.pool = pool;
    if (max_bytes != 0) {
        options.measure_max_bytes = most = max_bytes;
    }
    snprintf(check_context, sizeof(check_context), "%s, layouts %d, %zu bytes", b->problem.name, layout_pair,
             most);
    allocations.most_bytes = read_count(&allocations.live_bytes);
    const size_t before = allocations.most_bytes;
    const double start = now();
    REQUIRE_OK(convlow_plan_create(&desc, &options, &plan));
    const double seconds = now() - start;
    const size_t bytes = read_count(&allocations.most_bytes) - before;
    convlow_plan_destroy(plan);
    options.effort = CONVLOW_EFFORT_ESTIMATE;
    convlow_plan_info *infos = query_all(&desc, &options, &count);
    for (size_t i = 0; i < count; ++i) {
        measured += infos[i].measured_seconds > 0;
    }
    free(infos);
    printf("%-34s layouts %d: %2zu measured in %.6f of %.6f s, %9zu of %9zu bytes\n", b->problem.name,
           layout_pair, measured, seconds, b->budget, bytes, most);
    CHECK(seconds < b->most_seconds);
    CHECK(bytes <= most + beside_tensors);
    check_context[0] = '\0';
    return measured;
}

int main(void) {
    convlow_pool *pool;
    REQUIRE_OK(convlow_pool_create(2, &pool));
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); ++i) {
        /* First with hardly any memory: what is learned is known from then on. */
        plan_within(&cases[i], 0, 1, NULL);
        for (int layout_pair = 0; layout_pair < LAYOUT_PAIRS; layout_pair += 3) {
            const size_t measured =
                plan_within(&cases[i], layout_pair, layout_pair == 0 ? 0 : (size_t)48 << 20,
                            layout_pair == 0 ? NULL : pool);
            CHECK((measured > 0) == cases[i].learns);
        }
    }
    convlow_pool_destroy(pool);
    return check_result();
}
