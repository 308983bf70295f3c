/*
 * Every algorithm computes every problem that it says it can, and says why where it cannot.
 */

#include "convolution.h"

enum { MAX_ALGORITHMS = 1024 };

/* How many problems each algorithm has computed, in registry order. */
static size_t computed[MAX_ALGORITHMS];

static int is_winograd(int32_t algorithm) {
    return strncmp(convlow_algorithm_name(algorithm), "winograd-", strlen("winograd-")) == 0;
}

/* One algorithm, one problem: the right result, from nothing but the buffers it was given. */
static void compute(const convlow_conv2d_desc *desc, const convlow_plan_options *options, const tensors *t,
                    const convlow_plan_info *queried) {
    prepared p = prepare(desc, options, t);
    convlow_plan_info info = {.struct_size = sizeof(info)};
    CHECK_OK(convlow_plan_get_info(p.plan, &info));
    CHECK_SIZE((size_t)info.algorithm, (size_t)queried->algorithm);
    CHECK(info.applicable == 1);
    CHECK(info.reason == NULL);
    CHECK(info.gemm == queried->gemm);
    CHECK_SIZE(info.workspace_bytes, queried->workspace_bytes);
    CHECK_SIZE(info.packed_weights_bytes, queried->packed_weights_bytes);
    CHECK_SIZE(info.workspace_bytes, p.workspace.bytes);
    CHECK_SIZE(info.packed_weights_bytes, p.packed.bytes);
    CHECK_SIZE(info.gemm_calls, queried->gemm_calls);
    CHECK_SIZE(info.dst_height * info.dst_width * desc->batch * desc->out_channels, t->dst_len);
    CHECK_SIZE(info.macs, t->dst_len * (t->weights_len / desc->out_channels));
    CHECK((info.gemm_calls == 0) == (info.gemm == CONVLOW_GEMM_AUTO || info.gemm == CONVLOW_GEMM_KERNELS));

    guarded dst = guarded_new(t->dst_len * sizeof(float));
    guarded src = guarded_new(t->src_len * sizeof(float));
    guarded packed = guarded_new(p.packed.bytes);
    memcpy(src.data, t->src, src.bytes);
    memcpy(packed.data, p.packed.data, packed.bytes);
    /* The second time over, the workspace holds what the first has left in it. */
    for (int run = 0; run < 2; ++run) {
        CHECK_OK(execute_prepared(&p, t, (float *)dst.data));
        CHECK(is_winograd(info.algorithm)
                  ? is_near((const float *)dst.data, t, t->weights_len / desc->out_channels)
                  : is_expected((const float *)dst.data, t));
    }
    CHECK(guards_are_whole(&dst));
    CHECK(guards_are_whole(&p.workspace));
    CHECK(memcmp(src.data, t->src, src.bytes) == 0);
    CHECK(memcmp(packed.data, p.packed.data, packed.bytes) == 0);
    guarded_free(&dst);
    guarded_free(&src);
    guarded_free(&packed);
    prepared_free(&p);
}

/* An algorithm that cannot serve a problem refuses the plan for the reason that the query gives. */
static void refuse(const convlow_conv2d_desc *desc, const convlow_plan_options *options,
                   const convlow_plan_info *queried) {
    convlow_plan *plan = NULL;
    REQUIRE(queried->reason != NULL);
    CHECK_FAILS(convlow_plan_create(desc, options, &plan), CONVLOW_ERROR_UNSUPPORTED, queried->reason);
    CHECK_CONTAINS(convlow_last_error_message(), convlow_algorithm_name(queried->algorithm));
    CHECK(plan == NULL);
    CHECK_SIZE(queried->workspace_bytes, 0);
    CHECK_SIZE(queried->packed_weights_bytes, 0);
}

static void all_algorithms(const problem *problem, int layout_pair, int32_t gemm) {
    convlow_conv2d_desc desc;
    convlow_plan_options options;
    size_t count;
    describe(&desc, problem, layout_pair);
    convlow_plan_options_init(&options, sizeof(options));
    options.gemm = gemm;
    options.math = CONVLOW_MATH_FAST;
    tensors t = tensors_new(&desc, problem->bias);
    convlow_plan_info *infos = query_all(&desc, &options, &count);
    for (size_t i = 0; i < count; ++i) {
        const char *name = convlow_algorithm_name(infos[i].algorithm);
        REQUIRE(name != NULL);
        snprintf(check_context, sizeof(check_context), "%s, layouts %d, gemm %d, %s", problem->name,
                 layout_pair, (int)gemm, name);
        options.algorithm = infos[i].algorithm;
        const int kernels = infos[i].applicable && infos[i].gemm == CONVLOW_GEMM_KERNELS;
        CHECK((infos[i].isa != NULL) == kernels);
        CHECK(infos[i].isa == NULL || strstr(convlow_build_info(), infos[i].isa) != NULL);
        if (infos[i].applicable) {
            compute(&desc, &options, &t, &infos[i]);
            ++computed[i];
        } else {
            refuse(&desc, &options, &infos[i]);
        }
    }
    free(infos);
    tensors_free(&t);
}

static void automatic_choice(void) {
    convlow_conv2d_desc desc;
    describe(&desc, &problems[1], 0);
    tensors t = tensors_new(&desc, 0);
    prepared p = prepare(&desc, NULL, &t);
    guarded dst = guarded_new(t.dst_len * sizeof(float));
    CHECK_OK(execute_prepared(&p, &t, (float *)dst.data));
    CHECK(is_expected((const float *)dst.data, &t));
    guarded_free(&dst);
    prepared_free(&p);
    tensors_free(&t);
}

/* Without leave to round, Winograd is neither offered nor to be had by name. */
static void exact_arithmetic(void) {
    convlow_conv2d_desc desc;
    convlow_plan_options options;
    size_t count, refused = 0;
    describe(&desc, &problems[1], 0);
    convlow_plan_options_init(&options, sizeof(options));
    CHECK(options.math == CONVLOW_MATH_EXACT);
    convlow_plan_info *infos = query_all(&desc, &options, &count);
    for (size_t i = 0; i < count; ++i) {
        if (is_winograd(infos[i].algorithm)) {
            CHECK(!infos[i].applicable);
            options.algorithm = infos[i].algorithm;
            refuse(&desc, &options, &infos[i]);
            refused += strstr(infos[i].reason, "math") != NULL;
        }
    }
    CHECK_SIZE(refused, 3); /* Those for 3x3 kernels. */
    free(infos);
}

static void names(void) {
    CHECK_SIZE(convlow_version(),
               CONVLOW_VERSION_MAJOR << 16 | CONVLOW_VERSION_MINOR << 8 | CONVLOW_VERSION_PATCH);
    CHECK_CONTAINS(convlow_build_info(), "convlow ");
    CHECK(strcmp(convlow_last_error_message(), "") == 0);
    for (size_t i = 0; i < convlow_algorithm_count(); ++i) {
        const int32_t id = convlow_algorithm_at(i);
        CHECK(id > CONVLOW_ALGORITHM_AUTO);
        CHECK(convlow_algorithm_from_name(convlow_algorithm_name(id)) == id);
    }
    CHECK(convlow_algorithm_from_name(convlow_algorithm_name(CONVLOW_ALGORITHM_AUTO)) ==
          CONVLOW_ALGORITHM_AUTO);
}

int main(void) {
    names();
    automatic_choice();
    exact_arithmetic();
    REQUIRE(convlow_algorithm_count() <= MAX_ALGORITHMS);
    for (int i = 0; i < PROBLEMS; ++i) {
        for (int layout_pair = 0; layout_pair < LAYOUT_PAIRS; ++layout_pair) {
            all_algorithms(&problems[i], layout_pair, CONVLOW_GEMM_EMBEDDED);
            if (CONVLOW_TEST_BLAS) {
                all_algorithms(&problems[i], layout_pair, CONVLOW_GEMM_BLAS);
            }
        }
    }
    check_context[0] = '\0';
    for (size_t i = 0; i < convlow_algorithm_count(); ++i) {
        const char *name = convlow_algorithm_name(convlow_algorithm_at(i));
        if (!CHECK((computed[i] > 0) == (strncmp(name, "gradient-", 9) != 0))) {
            fprintf(stderr, "%s has computed %zu problems\n", name, computed[i]);
        }
    }
    return check_result();
}
