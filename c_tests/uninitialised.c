/*
 * Promise 12: nothing uninitialised leaves the library. Whatever it writes is written whole and the same on
 * whatever lay there and in the workspace before; under valgrind, no bit of it comes from memory that nobody
 * has written.
 */

#include "convolution.h"

#if defined(__has_include)
#if __has_include(<valgrind/memcheck.h>)
#include <valgrind/memcheck.h>
#endif
#endif
#ifndef VALGRIND_CHECK_MEM_IS_DEFINED
#define VALGRIND_CHECK_MEM_IS_DEFINED(address, bytes) ((void)(address), (void)(bytes), 0)
#define VALGRIND_MAKE_MEM_UNDEFINED(address, bytes) ((void)(address), (void)(bytes))
#define RUNNING_ON_VALGRIND 0
#endif

enum { MOST_OUTPUTS = 1 << 20 };

/* All that was written, one piece behind the other, so that two runs may be compared. */
typedef struct written {
    unsigned char *bytes;
    size_t count, pieces;
} written;

static written written_new(void) {
    written made = {.bytes = (unsigned char *)malloc(MOST_OUTPUTS)};
    REQUIRE(made.bytes != NULL);
    return made;
}

static void note(written *to, const void *data, size_t bytes, const char *what) {
    snprintf(check_context, sizeof(check_context), "%s", what);
    CHECK(VALGRIND_CHECK_MEM_IS_DEFINED(data, bytes) == 0);
    check_context[0] = '\0';
    REQUIRE(to->count + bytes <= MOST_OUTPUTS);
    memcpy(to->bytes + to->count, data, bytes);
    to->count += bytes;
    ++to->pieces;
}

/* Memory with something in it that is nothing. */
static void dirty(void *data, size_t bytes, int pattern) {
    memset(data, pattern, bytes);
    VALGRIND_MAKE_MEM_UNDEFINED(data, bytes);
}

static void *dirty_new(size_t bytes, int pattern) {
    void *made = malloc(bytes + 1);
    REQUIRE(made != NULL);
    dirty(made, bytes, pattern);
    return made;
}

static void note_structs(written *to, int pattern) {
    convlow_conv2d_desc two;
    dirty(&two, sizeof(two), pattern);
    convlow_conv2d_desc_init(&two, sizeof(two));
    note(to, &two, sizeof(two), "convlow_conv2d_desc_init");
    convlow_convnd_desc any;
    dirty(&any, sizeof(any), pattern);
    convlow_convnd_desc_init(&any, sizeof(any));
    note(to, &any, sizeof(any), "convlow_convnd_desc_init");
    convlow_plan_options options;
    dirty(&options, sizeof(options), pattern);
    convlow_plan_options_init(&options, sizeof(options));
    note(to, &options, sizeof(options), "convlow_plan_options_init");
    convlow_execute_args args;
    dirty(&args, sizeof(args), pattern);
    convlow_execute_args_init(&args, sizeof(args));
    note(to, &args, sizeof(args), "convlow_execute_args_init");
    size_t size[3];
    dirty(size, sizeof(size), pattern);
    any.spatial_dims = 1;
    any.in_channels = any.out_channels = any.in_size[0] = any.kernel_size[0] = 1;
    CHECK_OK(convlow_convnd_output_size(&any, size));
    note(to, size, sizeof(size), "convlow_convnd_output_size");
}

static void note_texts(written *to, int pattern) {
    size_t length;
    dirty(&length, sizeof(length), pattern);
    CHECK_OK(convlow_wisdom_export(NULL, 0, &length));
    note(to, &length, sizeof(length), "length of the wisdom");
    char *wisdom = (char *)dirty_new(length + 1, pattern);
    CHECK_OK(convlow_wisdom_export(wisdom, length + 1, &length));
    note(to, wisdom, length + 1, "the wisdom");
    free(wisdom);
    CHECK(convlow_pool_create(1, NULL) == CONVLOW_ERROR_INVALID_ARGUMENT);
    note(to, convlow_last_error_message(), strlen(convlow_last_error_message()) + 1, "the last message");
    note(to, convlow_build_info(), strlen(convlow_build_info()) + 1, "the build's text");
}

/* Plan, packed weights and results of every algorithm that computes the problem. */
static void note_problem(written *to, const problem *problem, int layout_pair, int pattern) {
    convlow_conv2d_desc desc;
    describe(&desc, problem, layout_pair);
    tensors t = tensors_without_result(&desc, problem->bias);
    convlow_plan_options options;
    convlow_plan_options_init(&options, sizeof(options));
    options.math = CONVLOW_MATH_FAST;
    const size_t capacity = convlow_algorithm_count();
    convlow_plan_info *infos = (convlow_plan_info *)dirty_new(capacity * sizeof(convlow_plan_info), pattern);
    infos[0].struct_size = sizeof(*infos);
    size_t count;
    dirty(&count, sizeof(count), pattern);
    REQUIRE_OK(convlow_query(&desc, &options, infos, capacity, &count));
    note(to, &count, sizeof(count), "count of the query");
    note(to, infos, capacity * sizeof(*infos), "infos of the query");
    for (size_t index = 0; index < count; ++index) {
        if (!infos[index].applicable) {
            continue;
        }
        options.algorithm = infos[index].algorithm;
        const char *name = convlow_algorithm_name(options.algorithm);
        convlow_plan *plan;
        REQUIRE_OK(convlow_plan_create(&desc, &options, &plan));
        convlow_plan_info info;
        dirty(&info, sizeof(info), pattern);
        info.struct_size = sizeof(info);
        CHECK_OK(convlow_plan_get_info(plan, &info));
        note(to, &info, sizeof(info), name);
        const uint64_t id = convlow_plan_packing_id(plan);
        note(to, &id, sizeof(id), name);
        void *packed = dirty_new(info.packed_weights_bytes, pattern);
        void *workspace = dirty_new(info.workspace_bytes, pattern);
        float *dst = (float *)dirty_new(t.dst_len * sizeof(float), pattern);
        CHECK_OK(convlow_pack_weights(plan, t.weights, packed, info.packed_weights_bytes));
        note(to, packed, info.packed_weights_bytes, name);
        if (desc.accumulate) {
            memcpy(dst, t.dst_before, t.dst_len * sizeof(float));
        }
        CHECK_OK(convlow_execute(plan, t.src, packed, t.bias, dst, workspace, info.workspace_bytes));
        note(to, dst, t.dst_len * sizeof(float), name);
        free(packed);
        free(workspace);
        free(dst);
        convlow_plan_destroy(plan);
    }
    free(infos);
    tensors_free(&t);
}

static written write_all(const problem *problem, int layout_pair, int pattern) {
    written all = written_new();
    note_structs(&all, pattern);
    note_texts(&all, pattern);
    note_problem(&all, problem, layout_pair, pattern);
    return all;
}

int main(void) {
    size_t pieces = 0, bytes = 0;
    for (size_t index = 0; index < PROBLEMS; index += check_quickly() ? 3 : 1) {
        for (int pair = 0; pair < LAYOUT_PAIRS; ++pair) {
            written one = write_all(&problems[index], pair, 0x00);
            written other = write_all(&problems[index], pair, 0xff);
            CHECK_SIZE(one.count, other.count);
            CHECK(memcmp(one.bytes, other.bytes, one.count) == 0);
            pieces += one.pieces;
            bytes += one.count;
            free(one.bytes);
            free(other.bytes);
        }
    }
    printf("uninitialised: %zu pieces, %zu bytes, %s valgrind\n", pieces, bytes,
           RUNNING_ON_VALGRIND ? "under" : "without");
    return check_result();
}
