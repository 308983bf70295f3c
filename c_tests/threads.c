/*
 * One plan, any number of threads: results are the same to the last bit without a pool, with the library's
 * own pool of any size, with a host's parallel-for of any kind, and with many threads in execute at once.
 */

#define _POSIX_C_SOURCE 200809L
#include "convolution.h"

#include <pthread.h>
#include <sched.h>
#include <stdint.h>

/* Fractions, whose sums depend on the order of summation. */
static void fill_with_fractions(float *floats, size_t count, unsigned seed) {
    fill_with_integers(floats, count, seed);
    for (size_t i = 0; i < count; ++i) {
        floats[i] = floats[i] / 7.0f + (float)(i % 101) / 13.0f - 3.7f;
    }
}

static tensors fractions_new(const convlow_conv2d_desc *desc) {
    tensors t = tensors_without_result(desc, 1);
    fill_with_fractions(t.src, t.src_len, 5);
    fill_with_fractions(t.weights, t.weights_len, 6);
    fill_with_fractions(t.bias, t.bias_len, 7);
    return t;
}

/* --- parallel-fors of a host --------------------------------------------------------------------- */

/* What a parallel-for sees of the calls it gets. */
typedef struct host {
    size_t threads;
    size_t calls;
    int too_many_jobs;
} host;

typedef void (*job_function)(void *argument, size_t index);

static void seen(void *context, size_t jobs) {
    host *h = (host *)context;
    ++h->calls;
    h->too_many_jobs |= jobs > h->threads || jobs == 0;
}

static void in_order(void *context, size_t jobs, job_function job, void *argument) {
    seen(context, jobs);
    for (size_t index = 0; index < jobs; ++index) {
        job(argument, index);
    }
}

static void in_reverse(void *context, size_t jobs, job_function job, void *argument) {
    seen(context, jobs);
    for (size_t index = jobs; index > 0; --index) {
        job(argument, index - 1);
    }
}

/* Breaks its promise to run them all; the library does the rest itself. */
static void only_odd_ones(void *context, size_t jobs, job_function job, void *argument) {
    seen(context, jobs);
    for (size_t index = 1; index < jobs; index += 2) {
        job(argument, index);
    }
}

static void none_at_all(void *context, size_t jobs, job_function job, void *argument) {
    seen(context, jobs);
    (void)job;
    (void)argument;
}

typedef struct one_job {
    job_function job;
    void *argument;
    size_t index;
} one_job;

static void *run_one_job(void *one) {
    const one_job *j = (const one_job *)one;
    j->job(j->argument, j->index);
    return NULL;
}

static void on_pthreads(void *context, size_t jobs, job_function job, void *argument) {
    enum { MOST = 8 };
    pthread_t threads[MOST];
    one_job parts[MOST];
    seen(context, jobs);
    REQUIRE(jobs <= MOST);
    for (size_t index = 0; index < jobs; ++index) {
        const one_job part = {job, argument, index};
        parts[index] = part;
        REQUIRE(pthread_create(&threads[index], NULL, run_one_job, &parts[index]) == 0);
    }
    for (size_t index = 0; index < jobs; ++index) {
        REQUIRE(pthread_join(threads[index], NULL) == 0);
    }
}

/* --- every pool, every algorithm ----------------------------------------------------------------- */

static void check_same(const tensors *t, const float *dst, const float *serial) {
    CHECK(memcmp(dst, serial, t->dst_len * sizeof(float)) == 0);
}

/* The plan that these options make gives the serial result, bit for bit. */
static void compare(const convlow_conv2d_desc *desc, const convlow_plan_options *options, const tensors *t,
                    const float *serial) {
    prepared p = prepare(desc, options, t);
    guarded dst = guarded_new(t->dst_len * sizeof(float));
    for (int run = check_quickly(); run < 2; ++run) {
        CHECK_OK(execute_prepared(&p, t, (float *)dst.data));
        check_same(t, (const float *)dst.data, serial);
    }
    CHECK(guards_are_whole(&dst));
    CHECK(guards_are_whole(&p.workspace));
    guarded_free(&dst);
    prepared_free(&p);
}

static const size_t own_pools[] = {1, 2, 3, 4, 7};

static const struct {
    const char *name;
    convlow_parallel_for run;
    size_t threads;
} host_pools[] = {
    {"in order", in_order, 3},           {"in reverse", in_reverse, 5},   {"one thread", in_order, 1},
    {"only odd ones", only_odd_ones, 4}, {"none at all", none_at_all, 2}, {"pthreads", on_pthreads, 4},
};

enum {
    OWN_POOLS = sizeof(own_pools) / sizeof(own_pools[0]),
    HOSTS = sizeof(host_pools) / sizeof(host_pools[0])
};

static host hosts[HOSTS];
static convlow_pool *pools[OWN_POOLS + HOSTS];

static void make_pools(void) {
    for (size_t i = 0; i < OWN_POOLS; ++i) {
        REQUIRE_OK(convlow_pool_create(own_pools[i], &pools[i]));
    }
    for (size_t i = 0; i < HOSTS; ++i) {
        hosts[i].threads = host_pools[i].threads;
        REQUIRE_OK(convlow_pool_create_external(host_pools[i].run, &hosts[i], host_pools[i].threads,
                                                &pools[OWN_POOLS + i]));
    }
}

static void destroy_pools(void) {
    for (size_t i = 0; i < HOSTS; ++i) {
        snprintf(check_context, sizeof(check_context), "host %s", host_pools[i].name);
        CHECK(!hosts[i].too_many_jobs);
        CHECK((hosts[i].calls > 0) == (hosts[i].threads > 1));
    }
    check_context[0] = '\0';
    for (size_t i = 0; i < OWN_POOLS + HOSTS; ++i) {
        convlow_pool_destroy(pools[i]);
    }
}

/* Promise 5: the same bits with every pool as without one. */
static void every_pool(const convlow_conv2d_desc *desc, int32_t gemm) {
    size_t count, served = 0;
    convlow_plan_options options;
    convlow_plan_options_init(&options, sizeof(options));
    options.gemm = gemm;
    tensors t = fractions_new(desc);
    float *serial = floats_new(t.dst_len);
    convlow_plan_info *infos = query_all(desc, &options, &count);
    /* Under valgrind every third algorithm has to do. */
    for (size_t i = 0; i < count; i += check_quickly() ? 3 : 1) {
        if (!infos[i].applicable) {
            continue;
        }
        CHECK(infos[i].gemm == gemm || infos[i].gemm_calls == 0);
        served += infos[i].gemm == gemm;
        options.algorithm = infos[i].algorithm;
        options.pool = NULL;
        prepared p = prepare(desc, &options, &t);
        CHECK_OK(execute_prepared(&p, &t, serial));
        prepared_free(&p);
        for (size_t k = 0; k < OWN_POOLS + HOSTS; ++k) {
            snprintf(check_context, sizeof(check_context), "%s, layouts %d and %d, gemm %d, pool %zu",
                     convlow_algorithm_name(options.algorithm), (int)desc->src_layout, (int)desc->dst_layout,
                     (int)gemm, k);
            options.pool = pools[k];
            compare(desc, &options, &t, serial);
        }
    }
    check_context[0] = '\0';
    CHECK(served > 0);
    free(infos);
    free(serial);
    tensors_free(&t);
}

/* One large image, whose rows or channels are divided; several small ones, which are not. */
static const problem divided[] = {
    {.name = "one image",
     .in = {16, 21, 19},
     .out_channels = 70,
     .kernel = {3, 3},
     .pad = {1, 1, 1, 1},
     .bias = 1},
    {.name = "many units",
     .batch = 3,
     .groups = 2,
     .in = {4, 9, 7},
     .out_channels = 6,
     .kernel = {1, 1},
     .bias = 1},
};

static void describe_divided(convlow_conv2d_desc *desc, size_t index, int layout_pair) {
    problem chosen = divided[index];
    if (check_quickly() && chosen.groups == 0) {
        chosen.in[0] = 3; /* as many tiles, of less arithmetic */
    }
    describe(desc, &chosen, layout_pair);
    desc->activation = layout_pair < LAYOUT_PAIRS / 2 ? CONVLOW_ACTIVATION_SILU : CONVLOW_ACTIVATION_GELU;
}

/* --- many threads in execute --------------------------------------------------------------------- */

typedef struct caller {
    const prepared *p;
    const tensors *t;
    const float *serial;
    int runs;
    int failures; /* written by the caller's thread alone */
} caller;

static void *call_execute(void *of_caller) {
    caller *c = (caller *)of_caller;
    const size_t bytes = c->t->dst_len * sizeof(float);
    float *dst = (float *)malloc(bytes);
    void *workspace = malloc(c->p->workspace.bytes + 1);
    for (int run = 0; dst != NULL && workspace != NULL && run < c->runs; ++run) {
        memset(dst, DIRT, bytes);
        memset(workspace, DIRT, c->p->workspace.bytes);
        c->failures += convlow_execute(c->p->plan, c->t->src, c->p->packed.data, c->t->bias, dst, workspace,
                                       c->p->workspace.bytes) != CONVLOW_OK;
        c->failures += memcmp(dst, c->serial, bytes) != 0;
    }
    c->failures += dst == NULL || workspace == NULL;
    free(workspace);
    free(dst);
    return NULL;
}

/* Promise 1: one plan for many callers at once. */
static void many_callers(const char *algorithm, convlow_pool *pool) {
    enum { CALLERS = 6 };
    pthread_t threads[CALLERS];
    caller callers[CALLERS];
    convlow_conv2d_desc desc;
    convlow_plan_options options;
    describe_divided(&desc, 0, 0);
    convlow_plan_options_init(&options, sizeof(options));
    options.algorithm = convlow_algorithm_from_name(algorithm);
    REQUIRE(options.algorithm > 0);
    tensors t = fractions_new(&desc);
    float *serial = floats_new(t.dst_len);
    prepared alone = prepare(&desc, &options, &t);
    CHECK_OK(execute_prepared(&alone, &t, serial));
    options.pool = pool;
    prepared p = prepare(&desc, &options, &t);
    for (int i = 0; i < CALLERS; ++i) {
        const caller made = {&p, &t, serial, check_quickly() ? 3 : 30, 0};
        callers[i] = made;
        REQUIRE(pthread_create(&threads[i], NULL, call_execute, &callers[i]) == 0);
    }
    for (int i = 0; i < CALLERS; ++i) {
        REQUIRE(pthread_join(threads[i], NULL) == 0);
        CHECK_SIZE((size_t)callers[i].failures, 0);
    }
    prepared_free(&p);
    prepared_free(&alone);
    free(serial);
    tensors_free(&t);
}

/* --- lifetimes ----------------------------------------------------------------------------------- */

/* --- a host whose pool takes one job at a time ----------------------------------------------------- */

/* Ends the program where it is called while a call runs. */
static void one_at_a_time(void *context, size_t jobs, job_function job, void *argument) {
    host *h = (host *)context;
    static int busy;
    if (__atomic_exchange_n(&busy, 1, __ATOMIC_SEQ_CST) != 0) {
        fputs("two calls of one pool at once\n", stderr);
        abort();
    }
    seen(h, jobs);
    sched_yield();
    for (size_t index = 0; index < jobs; ++index) {
        job(argument, index);
    }
    __atomic_store_n(&busy, 0, __ATOMIC_SEQ_CST);
}

/* Executes of different plans of a pool, each with a context of its own for the call. */
typedef struct guest {
    const convlow_plan *plan;
    convlow_execute_args args;
    const tensors *t;
    const float *serial;
    size_t dst_bytes;
    int wrong;
} guest;

static void *execute_often(void *of_guest) {
    guest *g = (guest *)of_guest;
    for (int turn = 0; turn < check_times(20, 200, 2000); ++turn) {
        memset(g->args.dst, DIRT, g->dst_bytes);
        g->wrong |= convlow_execute_with(g->plan, &g->args) != CONVLOW_OK ||
                    memcmp(g->args.dst, g->serial, g->dst_bytes) != 0;
    }
    return NULL;
}

/* Promise 9: a host whose pool takes one job at a time is never called twice at once. */
static void one_call_at_a_time(void) {
    enum { GUESTS = 4 };
    convlow_conv2d_desc desc;
    describe_divided(&desc, 0, 0);
    tensors t = fractions_new(&desc);
    const size_t bytes = t.dst_len * sizeof(float);
    prepared alone = prepare(&desc, NULL, &t);
    float *serial = floats_new(t.dst_len);
    REQUIRE_OK(execute_prepared(&alone, &t, serial));

    host h = {.threads = 4}, other = {.threads = 4};
    convlow_plan_options options;
    CONVLOW_PLAN_OPTIONS_INIT(&options);
    REQUIRE_OK(convlow_pool_create_external(one_at_a_time, &h, h.threads, &options.pool));
    prepared plans[GUESTS];
    guest guests[GUESTS];
    pthread_t threads[GUESTS];
    for (int at = 0; at < GUESTS; ++at) {
        plans[at] = prepare(&desc, &options, &t);
        guests[at] = (guest){.plan = plans[at].plan, .t = &t, .serial = serial, .dst_bytes = bytes};
        CONVLOW_EXECUTE_ARGS_INIT(&guests[at].args);
        guests[at].args.src = t.src;
        guests[at].args.packed_weights = plans[at].packed.data;
        guests[at].args.bias = t.bias;
        guests[at].args.dst = floats_new(t.dst_len);
        guests[at].args.workspace = plans[at].workspace.data;
        guests[at].args.workspace_bytes = plans[at].workspace.bytes;
        /* Another context is the same pool. */
        guests[at].args.pool_context = at % 2 ? &other : NULL;
    }
    convlow_pool_destroy(options.pool);
    /* Alone, each context is called. */
    for (int at = 0; at < 2; ++at) {
        CHECK_OK(convlow_execute_with(guests[at].plan, &guests[at].args));
        CHECK(memcmp(guests[at].args.dst, serial, bytes) == 0);
    }
    CHECK(h.calls > 0 && other.calls > 0);
    for (int at = 0; at < GUESTS; ++at) {
        REQUIRE(pthread_create(&threads[at], NULL, execute_often, &guests[at]) == 0);
    }
    for (int at = 0; at < GUESTS; ++at) {
        REQUIRE(pthread_join(threads[at], NULL) == 0);
        CHECK(!guests[at].wrong);
        free(guests[at].args.dst);
        prepared_free(&plans[at]);
    }
    CHECK(!h.too_many_jobs && !other.too_many_jobs);
    printf("threads: %zu calls of a pool that takes one at a time\n", h.calls + other.calls);
    free(serial);
    prepared_free(&alone);
    tensors_free(&t);
}

static void pool_destroyed_before_its_plans(void) {
    convlow_conv2d_desc desc;
    convlow_plan_options options;
    describe_divided(&desc, 0, 0);
    convlow_plan_options_init(&options, sizeof(options));
    options.algorithm = convlow_algorithm_from_name("direct-sum2d");
    tensors t = fractions_new(&desc);
    float *serial = floats_new(t.dst_len), *dst = floats_new(t.dst_len);
    prepared alone = prepare(&desc, &options, &t);
    CHECK_OK(execute_prepared(&alone, &t, serial));
    REQUIRE_OK(convlow_pool_create(3, &options.pool));
    prepared first = prepare(&desc, &options, &t), second = prepare(&desc, &options, &t);
    CHECK_OK(execute_prepared(&first, &t, dst));
    convlow_pool_destroy(options.pool);
    CHECK_OK(execute_prepared(&first, &t, dst));
    check_same(&t, dst, serial);
    prepared_free(&first);
    CHECK_OK(execute_prepared(&second, &t, dst));
    check_same(&t, dst, serial);
    prepared_free(&second);
    prepared_free(&alone);
    free(serial);
    free(dst);
    tensors_free(&t);
}

int main(void) {
    static const char *const called_at_once[] = {"direct-sum2d", "im2col-copy-short-ab-ki", "kn2row-aa-ab"};
    make_pools();
    for (size_t i = 0; i < sizeof(divided) / sizeof(divided[0]); ++i) {
        for (int layout_pair = 0; layout_pair < LAYOUT_PAIRS; ++layout_pair) {
            convlow_conv2d_desc desc;
            describe_divided(&desc, i, layout_pair);
            every_pool(&desc, CONVLOW_GEMM_EMBEDDED);
            if (CONVLOW_TEST_BLAS) {
                every_pool(&desc, CONVLOW_GEMM_BLAS);
            }
        }
    }
    destroy_pools();

    for (size_t i = 0; i < sizeof(called_at_once) / sizeof(called_at_once[0]); ++i) {
        convlow_pool *pool;
        snprintf(check_context, sizeof(check_context), "%s, called at once", called_at_once[i]);
        many_callers(called_at_once[i], NULL);
        REQUIRE_OK(convlow_pool_create(3, &pool));
        many_callers(called_at_once[i], pool);
        convlow_pool_destroy(pool);
        /* 0 is as many as the machine has. */
        REQUIRE_OK(convlow_pool_create(0, &pool));
        many_callers(called_at_once[i], pool);
        convlow_pool_destroy(pool);
    }
    check_context[0] = '\0';
    one_call_at_a_time();
    pool_destroyed_before_its_plans();
    return check_result();
}
