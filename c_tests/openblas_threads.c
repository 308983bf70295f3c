/*
 * The host's number of OpenBLAS threads is the host's: it is the same behind an execute as before it, also
 * when many run at once.
 */

#define _POSIX_C_SOURCE 200809L
#include "convolution.h"

#include <pthread.h>

/* As OpenBLAS declares them in cblas.h, which distributions put into different folders. */
void openblas_set_num_threads(int threads);
int openblas_get_num_threads(void);

static const int settings[] = {1, 2, 3};
enum { SETTINGS = sizeof(settings) / sizeof(settings[0]), CALLERS = 4 };

/* A plan that calls OpenBLAS, with its tensors. */
static prepared p;
static tensors t;

static void *call_execute(void *failures) {
    const int runs = check_quickly() ? 20 : 300;
    const size_t bytes = t.dst_len * sizeof(float);
    float *dst = (float *)malloc(bytes);
    void *workspace = malloc(p.workspace.bytes + 1);
    for (int run = 0; dst != NULL && workspace != NULL && run < runs; ++run) {
        memset(dst, DIRT, bytes);
        *(int *)failures += convlow_execute(p.plan, t.src, p.packed.data, t.bias, dst, workspace,
                                            p.workspace.bytes) != CONVLOW_OK;
        *(int *)failures += memcmp(dst, t.expected, bytes) != 0;
    }
    *(int *)failures += dst == NULL || workspace == NULL;
    free(workspace);
    free(dst);
    return NULL;
}

static void one_caller(void) {
    guarded dst = guarded_new(t.dst_len * sizeof(float));
    for (int i = 0; i < SETTINGS; ++i) {
        openblas_set_num_threads(settings[i]);
        REQUIRE(openblas_get_num_threads() == settings[i]);
        CHECK_OK(execute_prepared(&p, &t, (float *)dst.data));
        CHECK_SIZE((size_t)openblas_get_num_threads(), (size_t)settings[i]);
        CHECK(is_expected((const float *)dst.data, &t));
        /* A refusal is no reason to leave another number behind. */
        CHECK_STATUS(convlow_execute(p.plan, t.src, p.packed.data, NULL, NULL, NULL, 0),
                     CONVLOW_ERROR_INVALID_ARGUMENT);
        CHECK_SIZE((size_t)openblas_get_num_threads(), (size_t)settings[i]);
    }
    guarded_free(&dst);
}

static void many_callers(void) {
    for (int i = 0; i < SETTINGS; ++i) {
        pthread_t threads[CALLERS];
        int failures[CALLERS] = {0};
        openblas_set_num_threads(settings[i]);
        for (int k = 0; k < CALLERS; ++k) {
            REQUIRE(pthread_create(&threads[k], NULL, call_execute, &failures[k]) == 0);
        }
        for (int k = 0; k < CALLERS; ++k) {
            REQUIRE(pthread_join(threads[k], NULL) == 0);
            CHECK_SIZE((size_t)failures[k], 0);
        }
        CHECK_SIZE((size_t)openblas_get_num_threads(), (size_t)settings[i]);
    }
}

int main(void) {
    convlow_conv2d_desc desc;
    convlow_plan_options options;
    convlow_plan_info info = {.struct_size = sizeof(info)};
    describe(&desc, &problems[1], 0);
    convlow_plan_options_init(&options, sizeof(options));
    options.gemm = CONVLOW_GEMM_BLAS;
    options.algorithm = convlow_algorithm_from_name("im2col-copy-short-ab-ki");
    t = tensors_new(&desc, 1);
    for (int pooled = 0; pooled < 2; ++pooled) {
        if (pooled) {
            REQUIRE_OK(convlow_pool_create(2, &options.pool));
        }
        p = prepare(&desc, &options, &t);
        REQUIRE_OK(convlow_plan_get_info(p.plan, &info));
        REQUIRE(info.gemm == CONVLOW_GEMM_BLAS);
        REQUIRE(info.gemm_calls > 0);
        one_caller();
        many_callers();
        prepared_free(&p);
    }
    convlow_pool_destroy(options.pool);
    tensors_free(&t);
    return check_result();
}
