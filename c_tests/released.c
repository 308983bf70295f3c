/*
 * A program of an older version: compiled with the header in released/VERSION, and linked with the library of
 * today. It describes, plans, packs, executes, queries and shares a pool, and its structs, which may be
 * shorter than today's, are read and written no farther than they reach.
 */

#include "convolution.h"

/* What the header of the version promises of its defaults. */
static void defaults(void) {
    guarded of_desc = guarded_new(sizeof(convlow_conv2d_desc));
    convlow_conv2d_desc *desc = (convlow_conv2d_desc *)of_desc.data;
    convlow_conv2d_desc_init(desc, sizeof(*desc));
    CHECK(guards_are_whole(&of_desc));
    CHECK_SIZE(desc->struct_size, sizeof(*desc));
    CHECK(desc->src_layout == CONVLOW_LAYOUT_NCHW && desc->dst_layout == CONVLOW_LAYOUT_NCHW);
    CHECK(desc->weights_layout == CONVLOW_WEIGHTS_OIHW && desc->activation == CONVLOW_ACTIVATION_NONE);
    CHECK(desc->batch == 1 && desc->groups == 1 && desc->accumulate == 0);
    CHECK(desc->stride_height == 1 && desc->stride_width == 1);
    CHECK(desc->dilation_height == 1 && desc->dilation_width == 1);
    CHECK(desc->pad_top == 0 && desc->pad_left == 0 && desc->pad_bottom == 0 && desc->pad_right == 0);
    CHECK(desc->activation_min == -INFINITY && desc->activation_max == INFINITY);
    guarded_free(&of_desc);

    guarded of_options = guarded_new(sizeof(convlow_plan_options));
    convlow_plan_options *options = (convlow_plan_options *)of_options.data;
    convlow_plan_options_init(options, sizeof(*options));
    CHECK(guards_are_whole(&of_options));
    CHECK_SIZE(options->struct_size, sizeof(*options));
    CHECK(options->algorithm == CONVLOW_ALGORITHM_AUTO && options->math == CONVLOW_MATH_EXACT);
    CHECK(options->effort == CONVLOW_EFFORT_ESTIMATE && options->gemm == CONVLOW_GEMM_AUTO);
    CHECK(options->max_workspace_bytes == SIZE_MAX && options->measure_budget_seconds == 1.0);
    CHECK(options->pool == NULL);
#if CONVLOW_VERSION_PATCH >= 1
    CHECK_SIZE(options->measure_max_bytes, (size_t)256 << 20);
#endif
    guarded_free(&of_options);
}

/* Every algorithm, in infos as long as this header has them, and an executed plan of each that serves. */
static size_t all_algorithms(const problem *problem, int layout_pair, convlow_pool *pool) {
    convlow_conv2d_desc desc;
    convlow_plan_options options;
    size_t count, chosen = 0, executed = 0;
    describe(&desc, problem, layout_pair);
    convlow_plan_options_init(&options, sizeof(options));
    options.pool = pool;
    tensors t = tensors_new(&desc, problem->bias);

    REQUIRE_OK(convlow_query(&desc, &options, NULL, 0, &count));
    guarded memory = guarded_new(count * sizeof(convlow_plan_info));
    memset(memory.data, 0, memory.bytes);
    convlow_plan_info *infos = (convlow_plan_info *)memory.data;
    infos[0].struct_size = sizeof(*infos);
    REQUIRE_OK(convlow_query(&desc, &options, infos, count, &count));
    CHECK(guards_are_whole(&memory));
    for (size_t i = 0; i < count; ++i) {
        REQUIRE(infos[i].algorithm == convlow_algorithm_at(i));
        snprintf(check_context, sizeof(check_context), "%s, layouts %d, %s", problem->name, layout_pair,
                 convlow_algorithm_name(infos[i].algorithm));
        chosen += infos[i].reason == NULL;
        if (!infos[i].applicable) {
            CHECK(infos[i].reason != NULL);
            continue;
        }
        options.algorithm = infos[i].algorithm;
        prepared p = prepare(&desc, &options, &t);
        guarded of_plan = guarded_new(sizeof(convlow_plan_info));
        convlow_plan_info *info = (convlow_plan_info *)of_plan.data;
        memset(info, 0, sizeof(*info));
        info->struct_size = sizeof(*info);
        CHECK_OK(convlow_plan_get_info(p.plan, info));
        CHECK(guards_are_whole(&of_plan));
        CHECK(info->algorithm == infos[i].algorithm && info->applicable == 1);
        CHECK_SIZE(info->workspace_bytes, p.workspace.bytes);
        CHECK_SIZE(info->packed_weights_bytes, p.packed.bytes);
        CHECK_SIZE(info->dst_height * info->dst_width * desc.batch * desc.out_channels, t.dst_len);
        guarded dst = guarded_new(t.dst_len * sizeof(float));
        CHECK_OK(execute_prepared(&p, &t, (float *)dst.data));
        CHECK(is_expected((const float *)dst.data, &t));
        CHECK(guards_are_whole(&dst) && guards_are_whole(&p.workspace));
        guarded_free(&dst);
        guarded_free(&of_plan);
        prepared_free(&p);
        ++executed;
    }
    check_context[0] = '\0';
    CHECK_SIZE(chosen, 1); /* The reason is NULL for the chosen one. */
    guarded_free(&memory);
    tensors_free(&t);
    return executed;
}

static void refusals(void) {
    convlow_conv2d_desc desc;
    convlow_plan *plan = NULL;
    describe(&desc, &problems[1], 0);
    desc.groups = 2; /* of 5 channels */
    CHECK_FAILS(convlow_plan_create(&desc, NULL, &plan), CONVLOW_ERROR_INVALID_ARGUMENT, "groups = 2");
    describe(&desc, &problems[1], 0);
    desc.struct_size = 9;
    CHECK_FAILS(convlow_plan_create(&desc, NULL, &plan), CONVLOW_ERROR_INVALID_ARGUMENT, "struct_size = 9");
    CHECK(plan == NULL);
}

static void wisdom(void) {
    char text[1 << 16];
    size_t length;
    CHECK_OK(convlow_wisdom_export(NULL, 0, &length));
    REQUIRE(length < sizeof(text));
    CHECK_OK(convlow_wisdom_export(text, sizeof(text), &length));
    CHECK_OK(convlow_wisdom_import(text, length));
}

/* Runs the jobs in reverse on the calling thread. */
static void in_reverse(void *context, size_t jobs, void (*job)(void *argument, size_t index),
                       void *argument) {
    for (size_t i = jobs; i > 0; --i) {
        job(argument, i - 1);
        ++*(size_t *)context;
    }
}

int main(void) {
    size_t executed = 0, jobs = 0;
    convlow_pool *pool, *external;
    char version[32];
    snprintf(version, sizeof(version), "%d.%d.%d", CONVLOW_VERSION_MAJOR, CONVLOW_VERSION_MINOR,
             CONVLOW_VERSION_PATCH);
    REQUIRE(strcmp(version, CONVLOW_TEST_RELEASED) == 0);
    /* A program may ask whether the library is as new as its header. */
    CHECK(convlow_version() >=
          (CONVLOW_VERSION_MAJOR << 16 | CONVLOW_VERSION_MINOR << 8 | CONVLOW_VERSION_PATCH));
    CHECK(strcmp(convlow_status_name(CONVLOW_ERROR_INTERNAL), "CONVLOW_ERROR_INTERNAL") == 0);
    CHECK_CONTAINS(convlow_build_info(), "convlow ");
    defaults();
    refusals();
    REQUIRE_OK(convlow_pool_create(2, &pool));
    CHECK_OK(convlow_pool_set_spin(pool, 0));
#if CONVLOW_VERSION_PATCH >= 1
    CHECK_OK(convlow_pool_set_binding(pool, CONVLOW_BINDING_NONE));
#endif
    REQUIRE_OK(convlow_pool_create_external(in_reverse, &jobs, 3, &external));
    for (int i = 0; i < PROBLEMS; ++i) {
        for (int layout_pair = 0; layout_pair < LAYOUT_PAIRS; ++layout_pair) {
            convlow_pool *const pools[] = {NULL, pool, external};
            executed += all_algorithms(&problems[i], layout_pair, pools[(i + layout_pair) % 3]);
        }
    }
    wisdom();
    convlow_pool_destroy(external);
    convlow_pool_destroy(pool);
    CHECK(jobs > 0);
    printf("%s: %zu plans executed\n", CONVLOW_TEST_RELEASED, executed);
    CHECK(executed > 500);
    return check_result();
}
