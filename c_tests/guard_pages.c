/*
 * Promise 11: nothing is touched outside of the buffers, and what is only read is never written to. Every
 * algorithm that computes a problem does so with each of its buffers between forbidden pages, once against
 * the one in front and once against the one behind, and with all that it reads write-protected.
 */

#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#include "convolution.h"
#include "pages.h"

enum { MALLOC_ALIGNMENT = 16 };

/* Some of a plan's memory. */
typedef struct buffer {
    pages in;
    void *data;
    size_t bytes;
} buffer;

static buffer buffer_new(size_t bytes, size_t alignment, side at) {
    buffer made = {.in = pages_new(bytes), .bytes = bytes};
    made.data = pages_place(&made.in, bytes, alignment, at);
    pages_mark_beside(&made.in, made.data, bytes);
    memset(made.data, DIRT, bytes);
    return made;
}

/* One that is only read. */
static buffer buffer_of(const float *floats, size_t count, side at) {
    buffer made = buffer_new(count * sizeof(float), sizeof(float), at);
    memcpy(made.data, floats, made.bytes);
    pages_protect(&made.in, 1);
    return made;
}

static int is_whole(const buffer *b) {
    return pages_beside_are_whole(&b->in, b->data, b->bytes);
}

static size_t executed;

static void execute_between_pages(const convlow_conv2d_desc *desc, const convlow_plan_options *options,
                                  const tensors *t, side at, int rounds) {
    convlow_plan *plan;
    REQUIRE_OK(convlow_plan_create(desc, options, &plan));
    buffer src = buffer_of(t->src, t->src_len, at), weights = buffer_of(t->weights, t->weights_len, at);
    buffer bias = {0};
    if (t->bias != NULL) {
        bias = buffer_of(t->bias, t->bias_len, at);
    }
    buffer packed = buffer_new(convlow_plan_packed_weights_bytes(plan), MALLOC_ALIGNMENT, at);
    buffer workspace = buffer_new(convlow_plan_workspace_bytes(plan), MALLOC_ALIGNMENT, at);
    buffer dst = buffer_new(t->dst_len * sizeof(float), sizeof(float), at);
    memcpy(dst.data, t->dst_before, dst.bytes);
    CHECK_OK(convlow_pack_weights(plan, (const float *)weights.data, packed.data, packed.bytes));
    CHECK(is_whole(&packed));
    pages_protect(&packed.in, 1);
    CHECK_OK(convlow_execute(plan, (const float *)src.data, packed.data, (const float *)bias.data,
                             (float *)dst.data, workspace.data, workspace.bytes));
    CHECK(is_whole(&dst) && is_whole(&workspace));
    const size_t depth = desc->in_channels / desc->groups * desc->kernel_height * desc->kernel_width;
    CHECK(rounds ? is_near((const float *)dst.data, t, depth) : is_expected((const float *)dst.data, t));
    ++executed;
    convlow_plan_destroy(plan);
    pages_free(&src.in);
    pages_free(&weights.in);
    if (t->bias != NULL) {
        pages_free(&bias.in);
    }
    pages_free(&packed.in);
    pages_free(&workspace.in);
    pages_free(&dst.in);
}

static void every_algorithm(const problem *problem, int layout_pair, convlow_pool *pool) {
    convlow_conv2d_desc desc;
    describe(&desc, problem, layout_pair);
    tensors t = tensors_new(&desc, problem->bias);
    for (int32_t gemm = CONVLOW_GEMM_AUTO; gemm <= CONVLOW_GEMM_EMBEDDED; ++gemm) {
        if (gemm == CONVLOW_GEMM_BLAS && !CONVLOW_TEST_BLAS) {
            continue;
        }
        convlow_plan_options options;
        convlow_plan_options_init(&options, sizeof(options));
        options.math = CONVLOW_MATH_FAST;
        options.gemm = gemm;
        options.pool = pool;
        size_t count;
        convlow_plan_info *infos = query_all(&desc, &options, &count);
        for (size_t index = 0; index < count; ++index) {
            if (!infos[index].applicable) {
                continue;
            }
            const char *name = convlow_algorithm_name(infos[index].algorithm);
            for (int at = BEHIND_THE_FRONT; at <= BEFORE_THE_END; ++at) {
                snprintf(check_context, sizeof(check_context), "%s, layouts %d, %s, GEMM %d, side %d, %s",
                         problem->name, layout_pair, name, (int)gemm, at, pool != NULL ? "pool" : "no pool");
                options.algorithm = infos[index].algorithm;
                execute_between_pages(&desc, &options, &t, (side)at, strncmp(name, "winograd", 8) == 0);
            }
        }
        free(infos);
    }
    tensors_free(&t);
    check_context[0] = '\0';
}

/* Odd sizes, beside those that every test has. */
static const problem odd[] = {
    {.name = "odd", .in = {7, 13, 11}, .out_channels = 5, .kernel = {3, 3}, .pad = {1, 1, 1, 1}, .bias = 1},
    {.name = "long odd rows", .in = {3, 3, 37}, .out_channels = 17, .kernel = {3, 3}, .pad = {1, 1, 1, 1}},
    {.name = "odd channels",
     .batch = 3,
     .in = {19, 5, 5},
     .out_channels = 33,
     .kernel = {5, 5},
     .pad = {2, 2, 2, 2},
     .bias = 1,
     .accumulate = 1},
    {.name = "odd depthwise",
     .batch = 2,
     .groups = 13,
     .in = {13, 9, 7},
     .out_channels = 13,
     .kernel = {3, 3},
     .pad = {1, 1, 1, 1},
     .bias = 1},
};

int main(void) {
    convlow_pool *pool;
    REQUIRE_OK(convlow_pool_create(3, &pool));
    const size_t own = sizeof(odd) / sizeof(odd[0]), all = own + PROBLEMS;
    for (size_t index = 0; index < (check_quickly() ? own : all); ++index) {
        const problem *problem = index < own ? &odd[index] : &problems[index - own];
        for (int pair = 0; pair < LAYOUT_PAIRS; ++pair) {
            every_algorithm(problem, pair, NULL);
            if (!check_quickly()) {
                every_algorithm(problem, pair, pool);
            }
        }
    }
    convlow_pool_destroy(pool);
    printf("guard pages: %zu executes\n", executed);
    CHECK(executed > 500);
    return check_result();
}
