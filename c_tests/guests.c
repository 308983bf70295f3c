/*
 * A good guest: the library's threads take no signals, compute as the caller's floating-point mode says and
 * beside the caller, also after a pause; the host's threads stay where they are; and a small stack is enough.
 */

#define _GNU_SOURCE /* sched_getcpu, affinities, gettid */
#include "convolution.h"

#include <dirent.h>
#include <errno.h>
#include <fenv.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

static void pause_for(long milliseconds) {
    struct timespec left = {milliseconds / 1000, milliseconds % 1000 * 1000000};
    while (nanosleep(&left, &left) != 0 && errno == EINTR) {
    }
}

/* Reads the line of /proc/self/task/<thread>/status that begins with `field`. */
static void read_status(const char *thread, const char *field, char *value, size_t size) {
    char path[512], line[512];
    value[0] = '\0';
    snprintf(path, sizeof(path), "/proc/self/task/%s/status", thread);
    FILE *file = fopen(path, "r");
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        if (strncmp(line, field, strlen(field)) == 0) {
            snprintf(value, size, "%.200s", line + strlen(field));
        }
    }
    if (file != NULL) {
        fclose(file);
    }
}

/* Calls `see` for each thread of the library, told by its name. */
static size_t for_each_worker(void (*see)(const char *thread)) {
    size_t workers = 0;
    DIR *threads = opendir("/proc/self/task");
    REQUIRE(threads != NULL);
    for (struct dirent *entry = readdir(threads); entry != NULL; entry = readdir(threads)) {
        char name[256] = "";
        if (entry->d_name[0] != '.') {
            read_status(entry->d_name, "Name:", name, sizeof(name));
        }
        if (strstr(name, "convlow-") != NULL) {
            ++workers;
            see(entry->d_name);
        }
    }
    closedir(threads);
    return workers;
}

/* --- signals ------------------------------------------------------------------------------------- */

static void blocks_all_signals(const char *thread) {
    char blocked[256];
    read_status(thread, "SigBlk:", blocked, sizeof(blocked));
    const unsigned long long mask = strtoull(blocked, NULL, 16);
    for (int signal = 1; signal < 32; ++signal) {
        if (signal != SIGKILL && signal != SIGSTOP) {
            CHECK((mask >> (signal - 1) & 1) == 1);
        }
    }
}

/* Promise 9: a host that blocks SIGTERM and then sends it to itself lives on, to read it when it likes. */
static void signals_are_the_hosts(void) {
    sigset_t term, before, after;
    convlow_pool *pool;
    REQUIRE(pthread_sigmask(SIG_SETMASK, NULL, &before) == 0);
    REQUIRE_OK(convlow_pool_create(4, &pool));
    REQUIRE(pthread_sigmask(SIG_SETMASK, NULL, &after) == 0);
    for (int signal = 1; signal < 32; ++signal) {
        CHECK(sigismember(&before, signal) == sigismember(&after, signal));
    }
    CHECK_SIZE(for_each_worker(blocks_all_signals), 3);

    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    REQUIRE(pthread_sigmask(SIG_BLOCK, &term, NULL) == 0);
    REQUIRE(kill(getpid(), SIGTERM) == 0);
    pause_for(20);
    int received = 0;
    CHECK(sigwait(&term, &received) == 0);
    CHECK(received == SIGTERM);
    REQUIRE(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
    convlow_pool_destroy(pool);
}

/* --- floating-point modes ------------------------------------------------------------------------ */

static const problem fractions = {.name = "fractions",
                                  .in = {24, 40, 40},
                                  .out_channels = 40,
                                  .kernel = {3, 3},
                                  .pad = {1, 1, 1, 1},
                                  .bias = 1};

/* Under valgrind as many tiles, of less arithmetic. */
static void describe_fractions(convlow_conv2d_desc *desc, int layout_pair) {
    problem chosen = fractions;
    if (check_quickly()) {
        chosen.in[0] = 3;
        chosen.out_channels = 10;
    }
    describe(desc, &chosen, layout_pair);
}

static void fill_with_fractions(tensors *t, float scale) {
    for (size_t i = 0; i < t->src_len; ++i) {
        t->src[i] = (t->src[i] / 7.0f + (float)(i % 101) / 13.0f) * scale;
    }
    for (size_t i = 0; i < t->weights_len; ++i) {
        t->weights[i] = (t->weights[i] / 11.0f - (float)(i % 53) / 17.0f) * scale;
    }
}

#if defined(__x86_64__)
static unsigned get_mode(void) {
    return __builtin_ia32_stmxcsr();
}
static void set_mode(unsigned mode) {
    __builtin_ia32_ldmxcsr(mode);
}
static const unsigned flush_to_zero = 0x8040;
#else
static unsigned get_mode(void) {
    return (unsigned)fegetround();
}
static void set_mode(unsigned mode) {
    fesetround((int)mode);
}
static const unsigned flush_to_zero = 0;
#endif

/* One execute in a mode; whether the mode outlives it. */
static void execute_in_mode(const prepared *p, const tensors *t, unsigned mode, int rounding, float *dst) {
    const unsigned before = get_mode();
    set_mode(before | mode);
    REQUIRE(fesetround(rounding) == 0);
    const convlow_status status = execute_prepared(p, t, dst);
    const int kept = fegetround();
    REQUIRE(fesetround(FE_TONEAREST) == 0);
    set_mode(before);
    CHECK_OK(status);
    CHECK(kept == rounding);
}

/* Promise 9: what a thread of the library computes is what the caller would have. */
static void modes_reach_every_thread(void) {
    static const int roundings[] = {FE_TONEAREST, FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO};
    size_t count, differing = 0;
    convlow_conv2d_desc desc;
    convlow_plan_options options;
    convlow_pool *pool;
    describe_fractions(&desc, 0);
    convlow_plan_options_init(&options, sizeof(options));
    options.math = CONVLOW_MATH_FAST;
    REQUIRE_OK(convlow_pool_create(4, &pool));
    tensors t = tensors_without_result(&desc, 1);
    float *serial = floats_new(t.dst_len), *pooled = floats_new(t.dst_len), *plain = floats_new(t.dst_len);
    convlow_plan_info *infos = query_all(&desc, &options, &count);
    for (int tiny = 0; tiny < 2; ++tiny) {
        /* With 1e-20 in both factors, products lie below the normal numbers. */
        fill_with_fractions(&t, tiny ? 1e-20f : 1.0f);
        for (size_t i = 0; i < count; i += check_quickly() ? 9 : 1) {
            for (size_t r = 0; infos[i].applicable && r < sizeof(roundings) / sizeof(roundings[0]); ++r) {
                snprintf(check_context, sizeof(check_context), "%s, rounding %d, %s",
                         convlow_algorithm_name(infos[i].algorithm), roundings[r], tiny ? "tiny" : "plain");
                options.algorithm = infos[i].algorithm;
                options.pool = NULL;
                prepared alone = prepare(&desc, &options, &t);
                execute_in_mode(&alone, &t, 0, FE_TONEAREST, plain);
                execute_in_mode(&alone, &t, tiny ? flush_to_zero : 0, roundings[r], serial);
                options.pool = pool;
                prepared together = prepare(&desc, &options, &t);
                for (int run = 0; run < 3; ++run) {
                    memset(pooled, DIRT, t.dst_len * sizeof(float));
                    execute_in_mode(&together, &t, tiny ? flush_to_zero : 0, roundings[r], pooled);
                    CHECK(memcmp(pooled, serial, t.dst_len * sizeof(float)) == 0);
                }
                differing += memcmp(plain, serial, t.dst_len * sizeof(float)) != 0;
                prepared_free(&together);
                prepared_free(&alone);
            }
        }
    }
    check_context[0] = '\0';
    /* Or the modes would not have mattered, as under valgrind, which knows one of them. */
    CHECK(differing > 0 || check_quickly());
    free(infos);
    free(serial);
    free(pooled);
    free(plain);
    tensors_free(&t);
    convlow_pool_destroy(pool);
}

/* --- cores --------------------------------------------------------------------------------------- */

enum { MOST_CORES = 64 };

/* How many of the library's threads were last on each core. */
static int workers_on[MOST_CORES];

static void note_core(const char *thread) {
    char path[512], line[1024] = "";
    snprintf(path, sizeof(path), "/proc/self/task/%s/stat", thread);
    FILE *file = fopen(path, "r");
    REQUIRE(file != NULL);
    const char *field = fgets(line, sizeof(line), file) != NULL ? strrchr(line, ')') : NULL;
    fclose(file);
    for (int number = 2; field != NULL && number < 39;
         ++number) { /* field 39 is the core, the name field 2 */
        field = strchr(field + 1, ' ');
    }
    const int core = field != NULL ? atoi(field) : MOST_CORES;
    if (core < MOST_CORES) {
        ++workers_on[core];
    }
}

static void allowed_cores(cpu_set_t *cores) {
    REQUIRE(sched_getaffinity(0, sizeof(*cores), cores) == 0);
}

/* Binds the calling thread to the `nth` of some cores. */
static int move_to(const cpu_set_t *cores, int nth) {
    cpu_set_t one;
    int core = 0;
    for (int seen = 0; core < MOST_CORES; ++core) {
        if (CPU_ISSET(core, cores) && seen++ == nth) {
            break;
        }
    }
    CPU_ZERO(&one);
    CPU_SET(core, &one);
    REQUIRE(sched_setaffinity(0, sizeof(one), &one) == 0);
    return core;
}

/* A layer long enough to see where its threads are. */
static const problem layer = {
    .name = "layer", .in = {64, 56, 56}, .out_channels = 64, .kernel = {3, 3}, .pad = {1, 1, 1, 1}};

enum { ROUNDS = 10 };

/* In how many rounds the pool's thread worked beside its caller, which pauses, and moves from core to core.
 */
static int rounds_beside(int32_t binding) {
    cpu_set_t all, now;
    convlow_conv2d_desc desc;
    convlow_plan_options options;
    int beside = 0;
    allowed_cores(&all);
    describe(&desc, &layer, 3);
    convlow_plan_options_init(&options, sizeof(options));
    REQUIRE_OK(convlow_pool_create(2, &options.pool));
    REQUIRE_OK(convlow_pool_set_binding(options.pool, binding));
    tensors t = tensors_without_result(&desc, 0);
    float *dst = floats_new(t.dst_len);
    prepared p = prepare(&desc, &options, &t);
    for (int round = 0; round < ROUNDS; ++round) {
        const int core = move_to(&all, round / 2 % 2);
        pause_for(20);
        CHECK_OK(execute_prepared(&p, &t, dst));
        memset(workers_on, 0, sizeof(workers_on));
        CHECK_SIZE(for_each_worker(note_core), 1);
        beside += workers_on[core] == 0;
        /* The host's thread is where it put itself. */
        allowed_cores(&now);
        CHECK(CPU_COUNT(&now) == 1 && CPU_ISSET(core, &now));
    }
    REQUIRE(sched_setaffinity(0, sizeof(all), &all) == 0);
    prepared_free(&p);
    free(dst);
    tensors_free(&t);
    convlow_pool_destroy(options.pool);
    return beside;
}

/* Promise 9: on a machine that others keep busy the system may move a thread at any time, or let it wait: one
 * attempt is enough, and a busy minute is waited for. */
static void a_worker_wakes_beside_its_caller(void) {
    enum { PATIENCE_SECONDS = 60 };
    const time_t begun = time(NULL);
    int best = 0;
    for (int attempt = 0;
         best < ROUNDS && (attempt < 5 || (best < ROUNDS - 1 && time(NULL) - begun < PATIENCE_SECONDS));
         ++attempt) {
        const int beside = rounds_beside(CONVLOW_BINDING_CORES);
        best = beside > best ? beside : best;
    }
    printf("the pool's thread was beside its caller in %d of %d rounds, and left to the system in %d\n", best,
           ROUNDS, rounds_beside(CONVLOW_BINDING_NONE));
    CHECK(best >= ROUNDS - 1);
}

static void keeps_all_cores(const char *thread) {
    cpu_set_t all, of_worker;
    allowed_cores(&all);
    REQUIRE(sched_getaffinity((pid_t)atoi(thread), sizeof(of_worker), &of_worker) == 0);
    CHECK(CPU_EQUAL(&all, &of_worker));
}

/* Several pools, each with more threads than there are cores, and unbound ones, compute as they should. */
static void more_threads_than_cores(void) {
    enum { POOLS = 3 };
    convlow_conv2d_desc desc;
    convlow_plan_options options;
    convlow_pool *pools[POOLS];
    describe_fractions(&desc, 3);
    convlow_plan_options_init(&options, sizeof(options));
    tensors t = tensors_without_result(&desc, 0);
    float *serial = floats_new(t.dst_len), *dst = floats_new(t.dst_len);
    prepared alone = prepare(&desc, &options, &t);
    CHECK_OK(execute_prepared(&alone, &t, serial));
    for (int i = 0; i < POOLS; ++i) {
        REQUIRE_OK(convlow_pool_create((size_t)sysconf(_SC_NPROCESSORS_ONLN) * 2 + (size_t)i, &pools[i]));
        CHECK_OK(convlow_pool_set_binding(pools[i], i == 1 ? CONVLOW_BINDING_NONE : CONVLOW_BINDING_CORES));
    }
    for (int round = 0; round < 12; ++round) {
        options.pool = pools[round % POOLS];
        prepared p = prepare(&desc, &options, &t);
        CHECK_OK(execute_prepared(&p, &t, dst));
        CHECK(memcmp(dst, serial, t.dst_len * sizeof(float)) == 0);
        pause_for(round % 2);
        prepared_free(&p);
    }
    convlow_pool_destroy(pools[0]);
    convlow_pool_destroy(pools[2]);
    CHECK(for_each_worker(keeps_all_cores) > 0); /* of the pool that was never bound */
    convlow_pool_destroy(pools[1]);
    CHECK_FAILS(convlow_pool_set_binding(NULL, CONVLOW_BINDING_NONE), CONVLOW_ERROR_INVALID_ARGUMENT,
                "pool is NULL");
    REQUIRE_OK(convlow_pool_create(2, &pools[0]));
    CHECK_FAILS(convlow_pool_set_binding(pools[0], 7), CONVLOW_ERROR_INVALID_ARGUMENT, "binding = 7");
    convlow_pool_destroy(pools[0]);
    prepared_free(&alone);
    free(serial);
    free(dst);
    tensors_free(&t);
}

/* --- a small stack ------------------------------------------------------------------------------- */

/* What convlow.h says that a thread needs; sanitizers need far more of it for themselves. */
#if defined(__SANITIZE_ADDRESS__)
enum { STACK_BYTES = 2048 * 1024 };
#else
enum { STACK_BYTES = (CONVLOW_TEST_BLAS ? 128 : 64) * 1024 };
#endif

static void execute_all(const convlow_conv2d_desc *desc) {
    size_t count;
    convlow_plan_options options;
    convlow_plan_options_init(&options, sizeof(options));
    options.math = CONVLOW_MATH_FAST;
    tensors t = tensors_without_result(desc, 1);
    float *dst = floats_new(t.dst_len);
    for (options.gemm = CONVLOW_GEMM_AUTO; options.gemm <= CONVLOW_GEMM_EMBEDDED; ++options.gemm) {
        if (options.gemm == CONVLOW_GEMM_BLAS && !CONVLOW_TEST_BLAS) {
            continue;
        }
        options.algorithm = CONVLOW_ALGORITHM_AUTO;
        convlow_plan_info *infos = query_all(desc, &options, &count);
        for (size_t i = 0; i < count; ++i) {
            if (infos[i].applicable) {
                options.algorithm = infos[i].algorithm;
                prepared p = prepare(desc, &options, &t);
                CHECK_OK(execute_prepared(&p, &t, dst));
                prepared_free(&p);
            }
        }
        free(infos);
    }
    free(dst);
    tensors_free(&t);
}

static void *execute_everything(void *unused) {
    (void)unused;
    for (int layout_pair = 0; layout_pair < LAYOUT_PAIRS; ++layout_pair) {
        convlow_conv2d_desc desc;
        describe_fractions(&desc, layout_pair);
        execute_all(&desc);
        desc.groups = desc.out_channels = desc.in_channels;
        execute_all(&desc);
    }
    return NULL;
}

static void a_small_stack_is_enough(void) {
    pthread_t thread;
    pthread_attr_t attributes;
    REQUIRE(pthread_attr_init(&attributes) == 0);
    REQUIRE(pthread_attr_setstacksize(&attributes, STACK_BYTES) == 0);
    REQUIRE(pthread_create(&thread, &attributes, execute_everything, NULL) == 0);
    REQUIRE(pthread_join(thread, NULL) == 0);
    pthread_attr_destroy(&attributes);
}

int main(void) {
    cpu_set_t cores;
    signals_are_the_hosts();
    modes_reach_every_thread();
    a_small_stack_is_enough();
    more_threads_than_cores();
    allowed_cores(&cores);
    if (CPU_COUNT(&cores) >= 2 && !check_quickly()) { /* valgrind runs one thread at a time */
        a_worker_wakes_beside_its_caller();
    }
    return check_result();
}
