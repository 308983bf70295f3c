/*
 * Hosts that make it hard: a process that forks after the library's threads have worked, and one whose memory
 * is limited. Each runs in a process of its own, which an alarm ends if it hangs.
 */

#define _GNU_SOURCE /* MAP_ANONYMOUS in strict C99 */
#include "convolution.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PATIENCE_SECONDS = 120 };

static const problem layer = {.name = "layer",
                              .in = {24, 28, 28},
                              .out_channels = 40,
                              .kernel = {3, 3},
                              .pad = {1, 1, 1, 1},
                              .bias = 1};

/* What a host has when it forks. */
typedef struct {
    tensors t;
    prepared p;
    convlow_pool *pool;
} used;

static used use_library(size_t threads) {
    used u;
    convlow_conv2d_desc desc;
    convlow_plan_options options;
    describe(&desc, &layer, 0);
    convlow_plan_options_init(&options, sizeof(options));
    REQUIRE_OK(convlow_pool_create(threads, &u.pool));
    options.pool = u.pool;
    u.t = tensors_new(&desc, 1);
    u.p = prepare(&desc, &options, &u.t);
    return u;
}

static void check_execute(const used *u) {
    guarded dst = guarded_new(u->t.dst_len * sizeof(float));
    CHECK_OK(execute_prepared(&u->p, &u->t, (float *)dst.data));
    CHECK(is_expected((const float *)dst.data, &u->t));
    guarded_free(&dst);
}

static void unuse_library(used *u) {
    prepared_free(&u->p);
    tensors_free(&u->t);
    convlow_pool_destroy(u->pool);
}

/* Runs `act` in a process of its own; whether all its checks held. */
static int in_child(void (*act)(void *), void *argument) {
    fflush(NULL);
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        alarm(PATIENCE_SECONDS);
        act(argument);
        _exit(check_failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
    }
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    return WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS;
}

/* --- fork ---------------------------------------------------------------------------------------- */

/* The copy has the plan and the pool, but none of the pool's threads. */
static void go_on_in_the_copy(void *argument) {
    used *u = (used *)argument;
    for (int run = 0; run < 3; ++run) {
        check_execute(u);
    }
    used own = use_library(3);
    check_execute(&own);
    unuse_library(&own);
    unuse_library(u);
}

static atomic_int copied;

/* What the thread writes, whose stack, and with it every pointer there, a copy has lost. */
static float *written;

static void *execute_on_and_on(void *argument) {
    used *u = (used *)argument;
    while (!copied) {
        (void)execute_prepared(&u->p, &u->t, written);
    }
    return NULL;
}

static void a_copy_by_fork_goes_on(void) {
    used u = use_library(4);
    check_execute(&u);
    CHECK(in_child(go_on_in_the_copy, &u));
    check_execute(&u);
    unuse_library(&u);
}

/* The copy finds the pool as it was: locked perhaps, and busy with a call that never ends there. */
static void a_copy_may_be_made_in_the_middle(void) {
    const int copies = check_times(3, 30, 1000);
    used u = use_library(4);
    pthread_t thread;
    written = floats_new(u.t.dst_len);
    REQUIRE(pthread_create(&thread, NULL, execute_on_and_on, &u) == 0);
    for (int copy = 0; copy < copies; ++copy) {
        CHECK(in_child(go_on_in_the_copy, &u));
    }
    copied = 1;
    REQUIRE(pthread_join(thread, NULL) == 0);
    free(written);
    check_execute(&u);
    unuse_library(&u);
    printf("copied %d times in the middle of executes\n", copies);
}

/* --- a limit of memory --------------------------------------------------------------------------- */

/* Under AddressSanitizer the addresses are not the program's own. */
#if !defined(__SANITIZE_ADDRESS__)

/* Lets this process have so many bytes of addresses beside those that it has. */
static void limit_memory(size_t more) {
    unsigned long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    REQUIRE(file != NULL && fscanf(file, "%lu", &pages) == 1);
    fclose(file);
    const rlim_t bytes = (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE) + more;
    const struct rlimit limit = {bytes, bytes};
    REQUIRE(setrlimit(RLIMIT_AS, &limit) == 0);
}

/* An execute that packs a factor of some MiB on the heap, as the embedded GEMM does. */
static const problem multiplied = {
    .name = "multiplied", .in = {256, 112, 112}, .out_channels = 256, .kernel = {1, 1}};

static void live_within(void *argument) {
    const size_t mebibytes = *(const size_t *)argument;
    used u = use_library(2);
    convlow_conv2d_desc desc;
    convlow_plan_options options;
    describe(&desc, &multiplied, 0);
    convlow_plan_options_init(&options, sizeof(options));
    options.algorithm = convlow_algorithm_from_name("conv-1x1-gemm-ab-ki");
    options.gemm = CONVLOW_GEMM_EMBEDDED;
    tensors t = tensors_without_result(&desc, 0);
    prepared p = prepare(&desc, &options, &t);
    float *dst = floats_new(t.dst_len);
    limit_memory(mebibytes << 20);
    snprintf(check_context, sizeof(check_context), "%zu MiB", mebibytes);

    /* As many threads as have no room for their stacks. */
    convlow_pool *pool = NULL;
    CHECK_FAILS(convlow_pool_create(1000, &pool), CONVLOW_ERROR_OUT_OF_MEMORY, "threads = 1000");
    CHECK(pool == NULL);

    /* The embedded GEMM has its memory, or says that it has not. */
    if (mebibytes == 1) {
        CHECK_FAILS(execute_prepared(&p, &t, dst), CONVLOW_ERROR_OUT_OF_MEMORY,
                    "bytes could not be allocated");
    } else {
        const convlow_status executed = execute_prepared(&p, &t, dst);
        CHECK(executed == CONVLOW_OK || executed == CONVLOW_ERROR_OUT_OF_MEMORY);
    }

    /* What is measured lies in more memory than there is: it is another figure then, or an error, and no end.
     */
    static const problem large = {
        .name = "large", .in = {256, 112, 112}, .out_channels = 256, .kernel = {3, 3}, .pad = {1, 1, 1, 1}};
    describe(&desc, &large, 0);
    convlow_plan_options_init(&options, sizeof(options));
    options.effort = CONVLOW_EFFORT_MEASURE;
    options.measure_budget_seconds = 0.05;
    for (options.gemm = CONVLOW_GEMM_AUTO; options.gemm <= CONVLOW_GEMM_EMBEDDED; options.gemm += 2) {
        convlow_plan *plan = NULL;
        const convlow_status status = convlow_plan_create(&desc, &options, &plan);
        CHECK(status == CONVLOW_OK || status == CONVLOW_ERROR_OUT_OF_MEMORY);
        CHECK((status == CONVLOW_OK) == (plan != NULL));
        convlow_plan_destroy(plan);
    }

    /* What was there before is as good as ever. */
    check_execute(&u);
    unuse_library(&u);
    prepared_free(&p);
    free(dst);
    tensors_free(&t);
}

/* Promise 7: a call that has no room says so, and everything else goes on. Under sanitizers and valgrind,
 * which are told apart by the loops, the addresses are not the program's own. */
static void a_limit_of_memory_is_an_error(void) {
    for (size_t mebibytes = 1; !check_quickly() && mebibytes <= 64; mebibytes *= 4) {
        CHECK(in_child(live_within, &mebibytes));
    }
}

#endif

int main(void) {
    a_copy_by_fork_goes_on();
    a_copy_may_be_made_in_the_middle();
#if !defined(__SANITIZE_ADDRESS__)
    a_limit_of_memory_is_an_error();
#endif
    return check_result();
}
