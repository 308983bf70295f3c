/*
 * Promise 11: nothing is touched outside of the buffers, and what is only read is never written to. Every
 * algorithm that computes a problem does so with each of its buffers between forbidden pages, once against
 * the one in front and once against the one behind, and with all that it reads write-protected. What lies
 * between the elements of a slice is NaN where it is read, and stays as it was where it is written.
 */

#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#include "coverage.h"
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

/* The same numbers in the type of the plan. */
static buffer buffer_of(const float *floats, size_t count, int32_t type, side at) {
    buffer made = buffer_new(bytes_of(type, count), bytes_of(type, 1), at);
    copy_as(type, made.data, floats, count);
    return made;
}

/* One that is only read; of nothing, none. */
static buffer input_of(const float *floats, size_t count, int32_t type, side at) {
    buffer made = {.data = NULL};
    if (floats != NULL) {
        made = buffer_of(floats, count, type, at);
        pages_protect(&made.in, 1);
    }
    return made;
}

static void buffer_free(buffer *old) {
    if (old->data != NULL) {
        pages_free(&old->in);
    }
}

static int is_whole(const buffer *b) {
    return pages_beside_are_whole(&b->in, b->data, b->bytes);
}

static void execute_between_pages(const example *e, const convlow_plan_options *options, side at) {
    const int32_t type = e->desc.type;
    const size_t dst_len = span_of(&e->dst_lie);
    convlow_plan *plan;
    REQUIRE_OK(convlow_plan_create_nd(&e->desc, options, &plan));
    buffer src = input_of(e->src, span_of(&e->src_lie), type, at);
    buffer weights = input_of(e->weights, e->weights_len, type, at);
    buffer bias = input_of(e->bias, e->desc.out_channels, type, at);
    buffer slopes = input_of(e->slopes, e->desc.out_channels, type, at);
    buffer residual = input_of(e->residual, dst_len, type, at);
    buffer packed = buffer_new(convlow_plan_packed_weights_bytes(plan), MALLOC_ALIGNMENT, at);
    buffer workspace = buffer_new(convlow_plan_workspace_bytes(plan), MALLOC_ALIGNMENT, at);
    buffer dst = buffer_of(e->before, dst_len, type, at);
    CHECK_OK(pack_as(type, plan, weights.data, packed.data, packed.bytes));
    CHECK(is_whole(&packed));
    pages_protect(&packed.in, 1);
    convlow_execute_args args;
    convlow_execute_args_init(&args, sizeof(args));
    args.src = src.data;
    args.packed_weights = packed.data;
    args.bias = bias.data;
    args.dst = dst.data;
    args.workspace = workspace.data;
    args.workspace_bytes = workspace.bytes;
    args.residual = residual.data;
    args.slopes = slopes.data;
    CHECK_OK(execute_as(type, plan, &args));
    CHECK(is_whole(&dst) && is_whole(&workspace));
    is_right(e, dst.data, options->algorithm);
    convlow_plan_destroy(plan);
    buffer *const all[] = {&src, &weights, &bias, &slopes, &residual, &packed, &workspace, &dst};
    for (size_t index = 0; index < sizeof(all) / sizeof(all[0]); ++index) {
        buffer_free(all[index]);
    }
}

static size_t plans;
static coverage tried;

/* Every algorithm that computes an example, on these GEMMs. */
static void every_algorithm(const example *e, const char *name, convlow_pool *pool, int32_t first_gemm,
                            int32_t last_gemm) {
    convlow_plan_options options;
    convlow_plan_options_init(&options, sizeof(options));
    options.math = CONVLOW_MATH_FAST;
    options.pool = pool;
    for (options.gemm = first_gemm; options.gemm <= last_gemm; ++options.gemm) {
        if (options.gemm == CONVLOW_GEMM_BLAS && !CONVLOW_TEST_BLAS) {
            continue;
        }
        convlow_plan_info infos[MOST_ALGORITHMS] = {{.struct_size = sizeof(infos[0])}};
        size_t count;
        options.algorithm = CONVLOW_ALGORITHM_AUTO;
        REQUIRE_OK(convlow_query_nd(&e->desc, &options, infos, MOST_ALGORITHMS, &count));
        for (size_t index = 0; index < count; ++index) {
            if (!infos[index].applicable) {
                continue;
            }
            options.algorithm = infos[index].algorithm;
            ++plans;
            for (int at = BEHIND_THE_FRONT; at <= BEFORE_THE_END; ++at) {
                snprintf(
                    check_context, sizeof(check_context),
                    "%s in %d dimensions, layouts %d > %d, type %d, %s, addend %d, %s, GEMM %d, side %d, %s",
                    name, (int)e->desc.spatial_dims, (int)e->desc.src_layout, (int)e->desc.dst_layout,
                    (int)e->desc.type, is_of_kind(e, SLICES) ? "slices" : "packed", (int)e->addend,
                    convlow_algorithm_name(options.algorithm), (int)options.gemm, at,
                    pool != NULL ? "pool" : "no pool");
                execute_between_pages(e, &options, (side)at);
                cover(&tried, e, options.algorithm);
            }
        }
    }
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

/* Packed float32 planes: every GEMM, without a pool and with one. */
static void packed_planes(convlow_pool *pool) {
    const size_t own = sizeof(odd) / sizeof(odd[0]), all = own + PROBLEMS;
    for (size_t index = 0; index < (check_quickly() ? own : all); ++index) {
        const problem *problem = index < own ? &odd[index] : &problems[index - own];
        for (int pair = 0; pair < LAYOUT_PAIRS; ++pair) {
            convlow_convnd_desc desc = long_form(problem);
            desc.src_layout = pair / 2;
            desc.dst_layout = pair % 2;
            desc.weights_layout = pair % 3;
            example e = example_new(&desc, problem->bias, problem->accumulate ? DST : NOTHING);
            every_algorithm(&e, problem->name, NULL, CONVLOW_GEMM_AUTO, CONVLOW_GEMM_EMBEDDED);
            if (!check_quickly()) {
                every_algorithm(&e, problem->name, pool, CONVLOW_GEMM_AUTO, CONVLOW_GEMM_EMBEDDED);
            }
            example_free(&e);
        }
    }
}

/* Whatever else a problem may be. GEMMs take turns, and so do a pool and none. */
static void every_kind(convlow_pool *pool) {
    const size_t variants_tried = check_quickly() ? QUICK_VARIANTS : VARIANTS;
    for (size_t number = 0; number < count_examples(variants_tried); ++number) {
        const size_t lot = number + number / variants_tried; /* another in the next pair of layouts */
        int32_t gemm = (int32_t)(lot % 3);
        if (gemm == CONVLOW_GEMM_BLAS && !CONVLOW_TEST_BLAS) {
            gemm = CONVLOW_GEMM_EMBEDDED;
        }
        const char *name;
        example e = example_at(number, variants_tried, &name);
        every_algorithm(&e, name, lot / 3 % 2 == 0 ? NULL : pool, gemm, gemm);
        example_free(&e);
    }
}

int main(void) {
    convlow_pool *pool;
    REQUIRE_OK(convlow_pool_create(3, &pool));
    packed_planes(pool);
    every_kind(pool);
    convlow_pool_destroy(pool);
    printf("guard pages: %zu plans\n", plans);
    check_nothing_is_left_out("guard pages", &tried);
    return check_result();
}
