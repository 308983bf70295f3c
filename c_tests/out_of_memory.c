/*
 * Where memory is short, a call says so: each allocation of each call fails in turn, and the call comes back
 * with CONVLOW_ERROR_OUT_OF_MEMORY (or, where it needed the memory for a message, with what it had to say
 * anyway), nothing leaked, nothing half-made, and not a word on the host's stderr.
 */

#define _GNU_SOURCE
#include "allocations.h"
#include "definition.h"

#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static convlow_conv2d_desc desc;
static convlow_convnd_desc long_desc;
static convlow_plan *existing; /* a plan that every call may use */
static convlow_plan_info infos[256];

/* Each makes one call, undoes what it did, and returns the call's status. Outputs must keep their first value
 * on failure. */

static convlow_status create_plan_with(int32_t effort) {
    convlow_plan_options options;
    convlow_plan *const untouched = (convlow_plan *)&desc;
    convlow_plan *plan = untouched;
    convlow_plan_options_init(&options, sizeof(options));
    options.effort = effort;
    options.math = CONVLOW_MATH_FAST;
    options.measure_budget_seconds = 0.01;
    const convlow_status status = convlow_plan_create(&desc, &options, &plan);
    CHECK((status == CONVLOW_OK) == (plan != untouched));
    if (status == CONVLOW_OK) {
        convlow_plan_destroy(plan);
    }
    return status;
}

static convlow_status create_plan(void) {
    return create_plan_with(CONVLOW_EFFORT_ESTIMATE);
}

static convlow_status query(void) {
    size_t count = 4711;
    infos[0].struct_size = sizeof(infos[0]);
    const convlow_status status = convlow_query(&desc, NULL, infos, sizeof(infos) / sizeof(infos[0]), &count);
    CHECK_SIZE(count, status == CONVLOW_OK ? convlow_algorithm_count() : 4711);
    return status;
}

static convlow_status query_nd(void) {
    size_t count;
    infos[0].struct_size = sizeof(infos[0]);
    return convlow_query_nd(&long_desc, NULL, infos, sizeof(infos) / sizeof(infos[0]), &count);
}

static convlow_status output_size(void) {
    size_t height, width;
    return convlow_conv2d_output_size(&desc, &height, &width);
}

static convlow_status create_pool_of(size_t threads) {
    convlow_pool *const untouched = (convlow_pool *)&desc;
    convlow_pool *pool = untouched;
    const convlow_status status = convlow_pool_create(threads, &pool);
    CHECK((status == CONVLOW_OK) == (pool != untouched));
    if (status == CONVLOW_OK) {
        convlow_pool_destroy(pool);
    }
    return status;
}

static convlow_status create_pool(void) {
    return create_pool_of(3);
}

static convlow_status create_pool_of_all_cores(void) {
    return create_pool_of(0);
}

static convlow_status build_info(void) {
    CHECK_CONTAINS(convlow_build_info(), "convlow ");
    return CONVLOW_OK;
}

/* Text of times that nothing has measured before, so that there is something to keep. */
static convlow_status import_wisdom(void) {
    enum { LINES = 2000 };
    static char text[LINES * 64];
    static unsigned channels = 1;
    size_t length = (size_t)snprintf(text, sizeof(text), "convlow-wisdom 1\n");
    for (int line = 0; line < LINES; ++line) {
        length += (size_t)snprintf(text + length, sizeof(text) - length,
                                   "ic%uih9oc4oh7kh3ph0 1 none direct-sum2d 1e-3\n", channels++);
    }
    return convlow_wisdom_import(text, length);
}

static convlow_status export_wisdom(void) {
    static char text[1 << 20];
    size_t length = 4711;
    const convlow_status status = convlow_wisdom_export(text, sizeof(text), &length);
    CHECK_SIZE(length, status == CONVLOW_OK ? strlen(text) : 4711);
    return status;
}

static convlow_status measure(void) {
    return create_plan_with(CONVLOW_EFFORT_MEASURE);
}

static convlow_status refused_descriptor(void) {
    convlow_conv2d_desc wrong = desc;
    size_t height, width;
    wrong.groups = 1000;
    return convlow_conv2d_output_size(&wrong, &height, &width);
}

static convlow_status refused_size(void) {
    convlow_conv2d_desc wrong = desc;
    size_t height, width;
    wrong.batch = SIZE_MAX / 2;
    return convlow_conv2d_output_size(&wrong, &height, &width);
}

static convlow_status refused_plan(void) {
    convlow_plan_options options;
    convlow_plan *plan = NULL;
    convlow_plan_options_init(&options, sizeof(options));
    options.algorithm = convlow_algorithm_from_name("conv-1x1-gemm-ab-ki");
    return convlow_plan_create(&desc, &options, &plan);
}

static convlow_status refused_wisdom(void) {
    static const char text[] = "convlow-wisdom 1\nic3ih9oc4oh7kh3ph0 1 blas no-such-algorithm 1e-3\n";
    return convlow_wisdom_import(text, strlen(text));
}

static convlow_status refused_weights(void) {
    static long double not_packed[1 << 12], workspace[1 << 12]; /* aligned as by malloc */
    static float src[1 << 16], dst[1 << 16];
    return convlow_execute(existing, src, not_packed, NULL, dst, workspace, sizeof(workspace));
}

static const struct {
    const char *name;
    convlow_status (*call)(void);
    convlow_status expected; /* where nothing fails */
} calls[] = {
    {"build_info", build_info, CONVLOW_OK},
    {"output_size", output_size, CONVLOW_OK},
    {"query", query, CONVLOW_OK},
    {"plan_create", create_plan, CONVLOW_OK},
    {"pool_create", create_pool, CONVLOW_OK},
    {"pool_create(0)", create_pool_of_all_cores, CONVLOW_OK},
    {"wisdom_import", import_wisdom, CONVLOW_OK},
    {"wisdom_export", export_wisdom, CONVLOW_OK},
    {"plan_create, measuring", measure, CONVLOW_OK},
    {"a refused descriptor", refused_descriptor, CONVLOW_ERROR_INVALID_ARGUMENT},
    {"a refused size", refused_size, CONVLOW_ERROR_OVERFLOW},
    {"a refused plan", refused_plan, CONVLOW_ERROR_UNSUPPORTED},
    {"refused wisdom", refused_wisdom, CONVLOW_ERROR_INVALID_ARGUMENT},
    {"refused weights", refused_weights, CONVLOW_ERROR_WEIGHTS_MISMATCH},
};

/* Promise 7: lets each allocation of one call fail in turn; returns how many there were. */
static size_t fail_each(convlow_status (*call)(void), convlow_status expected) {
    size_t failures = 0;
    for (size_t nth = 1; nth < 1000; ++nth) {
        const size_t blocks = read_count(&allocations.live_blocks);
        const size_t failed = read_count(&allocations.failed);
        allocations.fail_in = nth;
        const convlow_status status = call();
        allocations.fail_in = 0;
        if (read_count(&allocations.failed) == failed) {
            CHECK_STATUS(status, expected);
            return failures;
        }
        ++failures;
        CHECK(status == CONVLOW_ERROR_OUT_OF_MEMORY || status == expected);
        CHECK(status == CONVLOW_OK || convlow_last_error_message()[0] != '\0');
        CHECK_SIZE(read_count(&allocations.live_blocks), blocks);
    }
    CHECK(!"an end of the allocations");
    return failures;
}

/* Each algorithm plans every kind of problem in its own way. */
static size_t fail_each_of_every_problem(void) {
    size_t failures = 0;
    for (int at = 0; at < PROBLEMS * LAYOUT_PAIRS * 2; ++at) {
        const problem *problem = &problems[at / LAYOUT_PAIRS / 2];
        long_desc = long_form(problem);
        long_desc.src_layout = at & 1;
        long_desc.dst_layout = at >> 1 & 1;
        long_desc.operation = at >> 2 & 1;
        snprintf(check_context, sizeof(check_context), "%s, operation %d, layouts %d to %d", problem->name,
                 (int)long_desc.operation, (int)long_desc.src_layout, (int)long_desc.dst_layout);
        failures += fail_each(query_nd, query_nd());
    }
    check_context[0] = '\0';
    printf("every problem            %zu allocations\n", failures);
    return failures;
}

/* A thread that the system does not start is an error too, and ends those that it did start. */
static void threads_that_cannot_be_had(void) {
    struct rlimit before, tight;
    convlow_pool *pool = NULL;
    REQUIRE(getrlimit(RLIMIT_AS, &before) == 0);
    tight = before;
    tight.rlim_cur = (rlim_t)1 << 30; /* each thread has a stack of 2 MiB */
    REQUIRE(setrlimit(RLIMIT_AS, &tight) == 0);
    CHECK_FAILS(convlow_pool_create(1024, &pool), CONVLOW_ERROR_OUT_OF_MEMORY, "of threads = 1024");
    CHECK(pool == NULL);
    REQUIRE(setrlimit(RLIMIT_AS, &before) == 0);
    CHECK_OK(convlow_pool_create(4, &pool));
    convlow_pool_destroy(pool);
}

int main(void) {
    size_t total = 0;
    struct stat printed;
    char name[] = "/tmp/convlow-stderr-XXXXXX";
    const int real_stderr = dup(STDERR_FILENO), file = mkstemp(name);
    REQUIRE(real_stderr >= 0 && file >= 0);

    describe(&desc, &problems[1], 0);
    desc.in_channels = desc.out_channels = 16;
    REQUIRE(dup2(file, STDERR_FILENO) == STDERR_FILENO);
    /* The very first calls of the process, when the library sets up what it needs once. */
    for (size_t i = 0; i < 4; ++i) {
        total += fail_each(calls[i].call, calls[i].expected);
    }
    REQUIRE_OK(convlow_plan_create(&desc, NULL, &existing));
    CHECK_OK(create_pool()); /* the C library keeps a few stacks for the next threads */
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); ++i) {
        snprintf(check_context, sizeof(check_context), "%s", calls[i].name);
        const size_t failures = fail_each(calls[i].call, calls[i].expected);
        printf("%-24s %zu allocations\n", calls[i].name, failures);
        total += failures;
    }
    check_context[0] = '\0';
    threads_that_cannot_be_had();
    convlow_plan_destroy(existing);
    total += fail_each_of_every_problem();

    REQUIRE(fstat(file, &printed) == 0);
    if (printed.st_size > 0) { /* ours or the library's: it belongs on the screen */
        char text[4096];
        lseek(file, 0, SEEK_SET);
        const ssize_t got = read(file, text, sizeof(text));
        REQUIRE(got > 0 && write(real_stderr, text, (size_t)got) == got);
    }
    REQUIRE(dup2(real_stderr, STDERR_FILENO) == STDERR_FILENO);
    CHECK_SIZE((size_t)printed.st_size, 0);
    unlink(name);
    CHECK(total >= 20); /* or the failures would mean nothing */
    return check_result();
}
