/*
 * Every status can be had through the C surface, names what is wrong and its value, and leaves outputs alone.
 */

#define _GNU_SOURCE /* RTLD_NEXT */
#include "convolution.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdint.h>

/* The system's pthread_create, until a test refuses threads. */
static int refuse_threads;

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *),
                   void *argument) {
    typedef int (*create)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    create next;
    void *symbol = dlsym(RTLD_NEXT, "pthread_create");
    if (refuse_threads) {
        return EAGAIN;
    }
    memcpy(&next, &symbol, sizeof(next)); /* ISO C has no cast from an object to a function */
    return next(thread, attributes, start, argument);
}

static convlow_conv2d_desc plain(void) {
    convlow_conv2d_desc desc;
    describe(&desc, &problems[1], 0);
    return desc;
}

static convlow_plan_options defaults(void) {
    convlow_plan_options options;
    convlow_plan_options_init(&options, sizeof(options));
    return options;
}

static void names_of_codes(void) {
    static const char *const codes[] = {
        "CONVLOW_OK",
        "CONVLOW_ERROR_INVALID_ARGUMENT",
        "CONVLOW_ERROR_UNSUPPORTED",
        "CONVLOW_ERROR_WORKSPACE_LIMIT",
        "CONVLOW_ERROR_OVERFLOW",
        "CONVLOW_ERROR_OUT_OF_MEMORY",
        "CONVLOW_ERROR_WEIGHTS_MISMATCH",
        "CONVLOW_ERROR_INTERNAL",
    };
    for (int32_t code = 0; code < (int32_t)(sizeof(codes) / sizeof(codes[0])); ++code) {
        CHECK(strcmp(convlow_status_name(code), codes[code]) == 0);
    }
    CHECK(strcmp(convlow_status_name(-1), "unknown status") == 0);
    CHECK(strcmp(convlow_status_name(INT32_MAX), "unknown status") == 0);
}

static void success(void) {
    size_t height = 0, width = 0;
    convlow_conv2d_desc desc = plain();
    CHECK(strcmp(convlow_last_error_message(), "") == 0);
    CHECK_OK(convlow_conv2d_output_size(&desc, &height, &width));
    CHECK_SIZE(height, desc.in_height);
    CHECK_SIZE(width, desc.in_width);
    CHECK(strcmp(convlow_last_error_message(), "") == 0);
}

static void invalid_argument(void) {
    size_t height = 111, width = 222;
    convlow_conv2d_desc desc = plain();
    desc.groups = 3;
    CHECK_FAILS(convlow_conv2d_output_size(&desc, &height, &width), CONVLOW_ERROR_INVALID_ARGUMENT,
                "groups = 3 does not divide in_channels = 5");
    CHECK_SIZE(height, 111);
    CHECK_SIZE(width, 222);

    /* A failure's text stays until the next failure. */
    desc = plain();
    CHECK_OK(convlow_conv2d_output_size(&desc, &height, &width));
    CHECK_CONTAINS(convlow_last_error_message(), "groups = 3");
}

static void unsupported(void) {
    convlow_plan *const pattern = (convlow_plan *)(uintptr_t)0x1234;
    convlow_plan *plan = pattern;
    convlow_conv2d_desc desc;
    convlow_plan_options options = defaults();
    describe(&desc, &problems[1], 0);
    desc.stride_width = 2;
    options.algorithm = convlow_algorithm_from_name("kn2row-as");
    REQUIRE(options.algorithm > 0);
    CHECK_FAILS(convlow_plan_create(&desc, &options, &plan), CONVLOW_ERROR_UNSUPPORTED,
                "algorithm = kn2row-as: needs stride 1");
    CHECK(plan == pattern);

    if (!CONVLOW_TEST_BLAS) {
        options = defaults();
        options.gemm = CONVLOW_GEMM_BLAS;
        CHECK_FAILS(convlow_plan_create(&desc, &options, &plan), CONVLOW_ERROR_UNSUPPORTED, "gemm = ");
        CHECK_CONTAINS(convlow_last_error_message(), "this build has no BLAS");
        CHECK(plan == pattern);
    }
}

/* An algorithm for the plain problem that needs workspace. */
static convlow_plan_info one_with_workspace(void) {
    size_t count, i;
    convlow_conv2d_desc desc = plain();
    convlow_plan_info *infos = query_all(&desc, NULL, &count);
    for (i = 0; i < count && infos[i].workspace_bytes == 0; ++i) {
    }
    REQUIRE(i < count);
    const convlow_plan_info found = infos[i];
    free(infos);
    return found;
}

static void workspace_limit(void) {
    convlow_plan *const pattern = (convlow_plan *)(uintptr_t)0x1234;
    convlow_plan *plan = pattern;
    convlow_conv2d_desc desc = plain();
    convlow_plan_options options = defaults();
    char needed[64];
    options.algorithm = one_with_workspace().algorithm;
    options.max_workspace_bytes = 3;
    CHECK_FAILS(convlow_plan_create(&desc, &options, &plan), CONVLOW_ERROR_WORKSPACE_LIMIT,
                "max_workspace_bytes = 3");
    CHECK_CONTAINS(convlow_last_error_message(), convlow_algorithm_name(options.algorithm));
    CHECK(plan == pattern);

    tensors t = tensors_new(&desc, 0);
    guarded dst = guarded_new(t.dst_len * sizeof(float));
    options.max_workspace_bytes = SIZE_MAX;
    prepared p = prepare(&desc, &options, &t);
    snprintf(needed, sizeof(needed), "workspace_bytes = %zu is less than the plan's %zu",
             p.workspace.bytes - 1, p.workspace.bytes);
    CHECK_FAILS(convlow_execute(p.plan, t.src, p.packed.data, NULL, (float *)dst.data, p.workspace.data,
                                p.workspace.bytes - 1),
                CONVLOW_ERROR_WORKSPACE_LIMIT, needed);
    CHECK(is_untouched(&dst));
    CHECK(is_untouched(&p.workspace));
    prepared_free(&p);
    guarded_free(&dst);
    tensors_free(&t);
}

static void overflow(void) {
    convlow_plan *const pattern = (convlow_plan *)(uintptr_t)0x1234;
    convlow_plan *plan = pattern;
    size_t height = 111, width = 222;
    convlow_conv2d_desc desc = plain();
    desc.pad_top = SIZE_MAX;
    CHECK_FAILS(convlow_conv2d_output_size(&desc, &height, &width), CONVLOW_ERROR_OVERFLOW, "height");
    desc = plain();
    desc.batch = SIZE_MAX / 64;
    CHECK_FAILS(convlow_conv2d_output_size(&desc, &height, &width), CONVLOW_ERROR_OVERFLOW, "src");
    desc = plain();
    desc.out_channels = SIZE_MAX / 64;
    CHECK_FAILS(convlow_conv2d_output_size(&desc, &height, &width), CONVLOW_ERROR_OVERFLOW, "dst");
    CHECK_SIZE(height, 111);
    CHECK_SIZE(width, 222);

    if (CONVLOW_TEST_BLAS) {
        /* 2^32 output pixels are too many columns for a BLAS with 32-bit integers. */
        convlow_plan_options options = defaults();
        desc = plain();
        desc.in_height = desc.in_width = (size_t)1 << 16;
        options.gemm = CONVLOW_GEMM_BLAS;
        options.algorithm = convlow_algorithm_from_name("im2col-scan-ab-ki");
        REQUIRE(options.algorithm > 0);
        CHECK_FAILS(convlow_plan_create(&desc, &options, &plan), CONVLOW_ERROR_OVERFLOW, "im2col-scan-ab-ki");
        CHECK_CONTAINS(convlow_last_error_message(), "BLAS");
        CHECK(plan == pattern);
    }
}

static void out_of_memory(void) {
    convlow_pool *const pattern = (convlow_pool *)(uintptr_t)0x1234;
    convlow_pool *pool = pattern;
    refuse_threads = 1;
    CHECK_FAILS(convlow_pool_create(4, &pool), CONVLOW_ERROR_OUT_OF_MEMORY, "threads = 4");
    refuse_threads = 0;
    CHECK(pool == pattern);
}

static void weights_mismatch(void) {
    convlow_conv2d_desc desc = plain();
    tensors t = tensors_new(&desc, 0);
    guarded dst = guarded_new(t.dst_len * sizeof(float));
    prepared p = prepare(&desc, NULL, &t);
    memset(p.packed.data, 0, p.packed.bytes);
    CHECK_FAILS(convlow_execute(p.plan, t.src, p.packed.data, NULL, (float *)dst.data, p.workspace.data,
                                p.workspace.bytes),
                CONVLOW_ERROR_WEIGHTS_MISMATCH, "packed_weights");
    CHECK(is_untouched(&dst));
    prepared_free(&p);
    guarded_free(&dst);
    tensors_free(&t);
}

/* A host that counts its jobs from 1. */
static void off_by_one(void *context, size_t jobs, void (*job)(void *argument, size_t index),
                       void *argument) {
    (void)context;
    for (size_t index = 1; index <= jobs; ++index) {
        job(argument, index);
    }
}

static void internal(void) {
    convlow_conv2d_desc desc = plain();
    convlow_plan_options options = defaults();
    tensors t = tensors_new(&desc, 0);
    guarded dst = guarded_new(t.dst_len * sizeof(float));
    REQUIRE_OK(convlow_pool_create_external(off_by_one, NULL, 2, &options.pool));
    CHECK_FAILS(convlow_pool_set_spin(options.pool, 5), CONVLOW_ERROR_UNSUPPORTED, "external pool");
    options.algorithm = convlow_algorithm_from_name("direct-sum2d");
    REQUIRE(options.algorithm > 0);
    prepared p = prepare(&desc, &options, &t);
    CHECK_FAILS(execute_prepared(&p, &t, (float *)dst.data), CONVLOW_ERROR_INTERNAL,
                "the external pool called a job outside 0..2");
    CHECK(guards_are_whole(&dst));
    prepared_free(&p);
    convlow_pool_destroy(options.pool);
    guarded_free(&dst);
    tensors_free(&t);
}

/* Promise 7: outputs that no test above has seen fail. */
static void outputs_stay_as_they_were(void) {
    guarded infos = guarded_new(2 * sizeof(convlow_plan_info));
    convlow_plan_info *first = (convlow_plan_info *)infos.data;
    convlow_conv2d_desc desc = plain();
    convlow_plan_options options = defaults();
    convlow_pool *pool = NULL;
    size_t count = 333, length = 444;
    char text[64];

    desc.kernel_width = 0;
    first->struct_size = sizeof(*first);
    CHECK_FAILS(convlow_query(&desc, &options, first, 2, &count), CONVLOW_ERROR_INVALID_ARGUMENT,
                "kernel_width = 0");
    desc = plain();
    options.math = 7;
    CHECK_FAILS(convlow_query(&desc, &options, first, 2, &count), CONVLOW_ERROR_INVALID_ARGUMENT, "math = 7");
    CHECK_SIZE(count, 333);
    CHECK_FAILS(convlow_plan_get_info(NULL, first), CONVLOW_ERROR_INVALID_ARGUMENT, "plan is NULL");
    CHECK_SIZE(first->struct_size, sizeof(*first));
    memset(first, DIRT, sizeof(first->struct_size));
    CHECK(is_untouched(&infos));

    tensors t = tensors_new(&desc, 0);
    prepared p = prepare(&desc, NULL, &t);
    memset(p.packed.data, DIRT, p.packed.bytes);
    CHECK_FAILS(convlow_pack_weights(p.plan, t.weights, p.packed.data, p.packed.bytes - 1),
                CONVLOW_ERROR_INVALID_ARGUMENT, "packed_bytes = ");
    CHECK(is_untouched(&p.packed));
    prepared_free(&p);
    tensors_free(&t);

    CHECK_FAILS(convlow_pool_create_external(off_by_one, NULL, 0, &pool), CONVLOW_ERROR_INVALID_ARGUMENT,
                "threads = 0");
    CHECK(pool == NULL);

    memset(text, DIRT, sizeof(text));
    CHECK_FAILS(convlow_wisdom_export(text, 1, &length), CONVLOW_ERROR_INVALID_ARGUMENT, "capacity = 1");
    CHECK_SIZE(length, 444);
    CHECK(bytes_are(text, DIRT, sizeof(text)));
    guarded_free(&infos);
}

static void *messages_of_a_thread(void *found) {
    size_t height, width;
    convlow_conv2d_desc desc = plain();
    *(int *)found = strcmp(convlow_last_error_message(), "") == 0;
    desc.in_channels = 0;
    if (convlow_conv2d_output_size(&desc, &height, &width) != CONVLOW_ERROR_INVALID_ARGUMENT ||
        strstr(convlow_last_error_message(), "in_channels = 0") == NULL) {
        *(int *)found = 0;
    }
    return NULL;
}

static void each_thread_has_its_own_message(void) {
    pthread_t thread;
    int found = 0;
    size_t height, width;
    convlow_conv2d_desc desc = plain();
    desc.groups = 0;
    CHECK_FAILS(convlow_conv2d_output_size(&desc, &height, &width), CONVLOW_ERROR_INVALID_ARGUMENT,
                "groups = 0");
    REQUIRE(pthread_create(&thread, NULL, messages_of_a_thread, &found) == 0);
    REQUIRE(pthread_join(thread, NULL) == 0);
    CHECK(found);
    CHECK_CONTAINS(convlow_last_error_message(), "groups = 0");
}

int main(void) {
    success(); /* first: no call has failed yet */
    names_of_codes();
    invalid_argument();
    unsupported();
    workspace_limit();
    overflow();
    out_of_memory();
    weights_mismatch();
    internal();
    outputs_stay_as_they_were();
    each_thread_has_its_own_message();
    convlow_plan_destroy(NULL);
    convlow_pool_destroy(NULL);
    return check_result();
}
