/*
 * Measuring keeps its budget of time and memory, whatever the size of the problem, and learns something
 * within it.
 *
 * Each attempt is a process of its own, since what was measured once is known from then on. Memory is counted
 * and holds in every attempt. Other programs take time, so that of several attempts the quickest counts.
 */

#define _GNU_SOURCE
#include "allocations.h"
#include "convolution.h"

#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

typedef struct budgeted {
    problem problem;
    int32_t math;
    double budget;
    int learns; /* whether the budget is enough for anything */
} budgeted;

static const budgeted cases[] = {
    {.problem = {.name = "9 multiplications in 3.4 GiB",
                 .in = {1, 30000, 30000},
                 .out_channels = 1,
                 .kernel = {3, 3},
                 .stride = {1000000, 1000000}},
     .budget = 1e-4,
     .learns = 1},
    {.problem = {.name = "4 GiB of dst",
                 .in = {3, 4096, 4096},
                 .out_channels = 64,
                 .kernel = {3, 3},
                 .pad = {1, 1, 1, 1}},
     .math = CONVLOW_MATH_FAST,
     .budget = 1,
     .learns = 1},
    {.problem = {.name = "one run is longer than the budget",
                 .in = {512, 56, 56},
                 .out_channels = 512,
                 .kernel = {3, 3},
                 .pad = {1, 1, 1, 1}},
     .budget = 0.1,
     .learns = 1},
    {.problem = {.name = "nothing of it fits the budget",
                 .in = {512, 56, 56},
                 .out_channels = 512,
                 .kernel = {3, 3}},
     .budget = 1e-6},
    {.problem = {.name = "many images and groups",
                 .batch = 1000,
                 .groups = 64,
                 .in = {256, 64, 64},
                 .out_channels = 256,
                 .kernel = {5, 5}},
     .budget = 0.2,
     .learns = 1},
    {.problem = {.name = "long rows", .in = {16, 1, 50000000}, .out_channels = 16, .kernel = {1, 9}},
     .math = CONVLOW_MATH_FAST,
     .budget = 0.2,
     .learns = 1},
    {.problem = {.name = "padding far beyond the input",
                 .in = {8, 3, 3},
                 .out_channels = 8,
                 .kernel = {3, 3},
                 .pad = {3000, 3000, 3000, 3000}},
     .budget = 0.2,
     .learns = 1},
};

/* What measuring needs, and what the host has for it. */
typedef struct means {
    int layout_pair;
    size_t most_bytes; /* of memory; 0: the default */
    int pool;          /* whether there are two threads */
    double slow;       /* seconds that the host's threads sleep at each call; 0: they are the library's */
} means;

/* What an attempt came to. */
typedef struct attempt {
    double planning, seconds;     /* for a plan that measures nothing, and for one that does */
    size_t planning_bytes, bytes; /* the most memory that each had at one time */
    size_t measured;              /* algorithms that have a time */
    size_t calls;                 /* of the slow host's threads */
} attempt;

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* Makes a plan; the most memory that it had at one time. */
static size_t plan_once(const convlow_conv2d_desc *desc, const convlow_plan_options *options,
                        double *seconds) {
    convlow_plan *plan;
    allocations.most_bytes = read_count(&allocations.live_bytes);
    const size_t before = allocations.most_bytes;
    const double start = now();
    REQUIRE_OK(convlow_plan_create(desc, options, &plan));
    *seconds = now() - start;
    convlow_plan_destroy(plan);
    return read_count(&allocations.most_bytes) - before;
}

static size_t count_measured(const convlow_conv2d_desc *desc, const convlow_plan_options *options) {
    size_t count, measured = 0;
    convlow_plan_info *infos = query_all(desc, options, &count);
    for (size_t i = 0; i < count; ++i) {
        measured += infos[i].measured_seconds > 0;
    }
    free(infos);
    return measured;
}

/* A host whose threads are busy with other things. */
typedef struct slow_host {
    double seconds;
    size_t calls;
} slow_host;

static void run_slowly(void *context, size_t jobs, void (*job)(void *argument, size_t index),
                       void *argument) {
    slow_host *host = (slow_host *)context;
    const double end = now() + host->seconds;
    ++host->calls;
    for (size_t index = 0; index < jobs; ++index) {
        job(argument, index);
    }
    while (now() < end) {
        usleep(1000);
    }
}

static attempt plan_in_this_process(const budgeted *b, const means *m) {
    convlow_conv2d_desc desc;
    convlow_plan_options options;
    attempt found = {0};
    slow_host host = {.seconds = m->slow};
    double again;
    describe(&desc, &b->problem, m->layout_pair);
    convlow_plan_options_init(&options, sizeof(options));
    CHECK_SIZE(options.measure_max_bytes, (size_t)256 << 20);
    options.math = b->math;
    if (m->slow > 0) {
        REQUIRE_OK(convlow_pool_create_external(run_slowly, &host, 2, &options.pool));
    } else if (m->pool) {
        REQUIRE_OK(convlow_pool_create(2, &options.pool));
    }
    plan_once(&desc, &options, &again); /* what a process does once */
    found.planning_bytes = plan_once(&desc, &options, &found.planning);
    CHECK_SIZE(count_measured(&desc, &options), 0);
    options.effort = CONVLOW_EFFORT_MEASURE;
    options.measure_budget_seconds = b->budget;
    options.measure_max_bytes = m->most_bytes != 0 ? m->most_bytes : options.measure_max_bytes;
    found.bytes = plan_once(&desc, &options, &found.seconds);
    options.effort = CONVLOW_EFFORT_ESTIMATE;
    found.measured = count_measured(&desc, &options);
    found.calls = host.calls;
    convlow_pool_destroy(options.pool);
    return found;
}

static attempt plan_in_a_new_process(const budgeted *b, const means *m) {
    int ends[2], status;
    attempt found;
    REQUIRE(pipe(ends) == 0);
    fflush(NULL);
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        check_failures = 0; /* of its own */
        found = plan_in_this_process(b, m);
        REQUIRE(write(ends[1], &found, sizeof(found)) == (ssize_t)sizeof(found));
        exit(check_result());
    }
    close(ends[1]);
    const ssize_t got = read(ends[0], &found, sizeof(found));
    close(ends[0]);
    REQUIRE(waitpid(child, &status, 0) == child);
    REQUIRE(status == 0 && got == (ssize_t)sizeof(found));
    return found;
}

/* What a plan has beside the tensors: the candidates, a few times in the wisdom, pages that are whole. */
static const size_t beside_tensors = (size_t)64 << 10;
/* A clock's and a system's own time. */
static const double tick = 2e-4;

enum { ATTEMPTS = 12 };

/* Promise 10: as much again as the budget is the noise of a machine with other work, and the one run. */
static void plan_within(const budgeted *b, const means *m) {
    const size_t most_bytes = m->most_bytes != 0 ? m->most_bytes : (size_t)256 << 20;
    const int learns = b->learns && most_bytes > 1;
    attempt quickest = {0};
    double least_over = INFINITY;
    size_t most_measured = 0;
    int attempts = 0;
    snprintf(check_context, sizeof(check_context), "%s, layouts %d, %zu bytes", b->problem.name,
             m->layout_pair, most_bytes);
    while (attempts < ATTEMPTS && (least_over > 0 || (learns && most_measured == 0))) {
        const attempt found = plan_in_a_new_process(b, m);
        ++attempts;
        CHECK(found.bytes <= found.planning_bytes + most_bytes + beside_tensors);
        if (m->slow > 0) {
            /* Each begins before the deadline, but for the one that is never given up. */
            CHECK(found.calls >= found.measured && (double)found.calls <= b->budget / m->slow + 1);
        }
        most_measured = found.measured > most_measured ? found.measured : most_measured;
        const double over = found.seconds - found.planning - 2 * b->budget - m->slow - tick;
        if (over < least_over) {
            least_over = over;
            quickest = found;
        }
    }
    printf("%-34s layouts %d%s: %2zu measured in %.6f of %.6f s, planned in %.6f; %9zu of %9zu bytes, "
           "planned in "
           "%zu; %d attempts\n",
           b->problem.name, m->layout_pair,
           m->slow > 0 ? ", slow"
           : m->pool   ? ", pool"
                       : "",
           most_measured, quickest.seconds, b->budget, quickest.planning, quickest.bytes, most_bytes,
           quickest.planning_bytes, attempts);
    CHECK(least_over <= 0);
    CHECK((most_measured > 0) == learns);
    check_context[0] = '\0';
}

/* Runs take far longer than any estimate, so that the budget ends amid them. */
static const problem slow_problem = {
    .name = "a slow host", .in = {16, 14, 14}, .out_channels = 64, .kernel = {3, 3}, .pad = {1, 1, 1, 1}};
static const double slow_run = 0.02;
/* Amid the first, which only warms up; the second; and the fourth. */
static const double slow_budgets[] = {0.5 * 0.02, 1.5 * 0.02, 3.5 * 0.02};

int main(void) {
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); ++i) {
        const means all[] = {
            {.most_bytes = 1},
            {.most_bytes = 0},
            {.layout_pair = 3, .most_bytes = (size_t)1 << 20, .pool = 1},
        };
        for (size_t at = 0; at < sizeof(all) / sizeof(all[0]); ++at) {
            plan_within(&cases[i], &all[at]);
        }
    }
    for (size_t i = 0; i < sizeof(slow_budgets) / sizeof(slow_budgets[0]); ++i) {
        for (int layout_pair = 0; layout_pair < LAYOUT_PAIRS; layout_pair += 3) {
            const budgeted slowed = {
                .problem = slow_problem, .math = CONVLOW_MATH_FAST, .budget = slow_budgets[i], .learns = 1};
            const means slow = {.layout_pair = layout_pair, .slow = slow_run};
            plan_within(&slowed, &slow);
        }
    }
    return check_result();
}
