/*
 * The host's number of OpenBLAS threads is the host's: it is the same behind an execute as before it, also
 * when many run at once. A host may change it meanwhile, and may have a second OpenBLAS beside the library's.
 */

#define _GNU_SOURCE /* dladdr, RTLD_DEEPBIND */
#include "convolution.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <unistd.h>

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

/* What the host does while executes run, until they have ended. */
static atomic_int ended;

static void *change_settings(void *unused) {
    for (int i = 0; !ended; ++i) {
        openblas_set_num_threads(settings[i % SETTINGS]);
        usleep(200);
    }
    return unused;
}

static void execute_beside(void *(*host)(void *)) {
    pthread_t other, threads[CALLERS];
    int failures[CALLERS] = {0}, of_host = 0;
    ended = 0;
    REQUIRE(pthread_create(&other, NULL, host, &of_host) == 0);
    for (int k = 0; k < CALLERS; ++k) {
        REQUIRE(pthread_create(&threads[k], NULL, call_execute, &failures[k]) == 0);
    }
    for (int k = 0; k < CALLERS; ++k) {
        REQUIRE(pthread_join(threads[k], NULL) == 0);
        CHECK_SIZE((size_t)failures[k], 0);
    }
    ended = 1;
    REQUIRE(pthread_join(other, NULL) == 0);
    CHECK_SIZE((size_t)of_host, 0);
}

/* --- a second OpenBLAS --------------------------------------------------------------------------- */

/* AddressSanitizer replaces functions in every library, and allows no deep binding. */
#if !defined(__SANITIZE_ADDRESS__)
typedef void (*sgemm_function)(int order, int trans_a, int trans_b, int m, int n, int k, float alpha,
                               const float *a, int lda, const float *b, int ldb, float beta, float *c,
                               int ldc);
typedef void (*set_function)(int threads);
enum { SIDE = 200 };

static sgemm_function second_sgemm;
static set_function second_set;

/* Products of ones, with the second one's own number of threads. */
static void *multiply_ones(void *failures) {
    float *ones = floats_new(SIDE * SIDE), *products = floats_new(SIDE * SIDE);
    for (int i = 0; i < SIDE * SIDE; ++i) {
        ones[i] = 1.0f;
    }
    for (int round = 0; !ended; ++round) {
        second_set(1 + round % 3);
        second_sgemm(101, 111, 111, SIDE, SIDE, SIDE, 1.0f, ones, SIDE, ones, SIDE, 0.0f, products, SIDE);
        for (int i = 0; i < SIDE * SIDE; ++i) {
            *(int *)failures += products[i] != (float)SIDE;
        }
    }
    free(ones);
    free(products);
    return NULL;
}

/* Copies a file, which the loader then takes for another library. */
static void copy_file(const char *from, const char *to) {
    char buffer[1 << 16];
    FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
    REQUIRE(in != NULL && out != NULL);
    for (size_t n = fread(buffer, 1, sizeof(buffer), in); n > 0; n = fread(buffer, 1, sizeof(buffer), in)) {
        REQUIRE(fwrite(buffer, 1, n, out) == n);
    }
    fclose(in);
    REQUIRE(fclose(out) == 0);
}

static void a_second_openblas(void) {
    Dl_info first;
    char path[] = "second_openblas_XXXXXX";
    const int file = mkstemp(path);
    REQUIRE(file >= 0);
    close(file);
    char by_path[64];
    snprintf(by_path, sizeof(by_path), "./%s", path);
    REQUIRE(dladdr((void *)(intptr_t)openblas_set_num_threads, &first) != 0);
    copy_file(first.dli_fname, path);
    /* Its own symbols are its own, as in a program that brings an OpenBLAS along. */
    void *second = dlopen(by_path, RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);
    remove(path);
    if (second == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        exit(EXIT_FAILURE);
    }
    second_sgemm = (sgemm_function)(intptr_t)dlsym(second, "cblas_sgemm");
    second_set = (set_function)(intptr_t)dlsym(second, "openblas_set_num_threads");
    REQUIRE(second_sgemm != NULL && second_set != NULL && second_set != openblas_set_num_threads);
    openblas_set_num_threads(2);
    execute_beside(multiply_ones);
    CHECK_SIZE((size_t)openblas_get_num_threads(), 2);
}
#endif

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
        execute_beside(change_settings);
#if !defined(__SANITIZE_ADDRESS__)
        a_second_openblas();
#endif
        prepared_free(&p);
    }
    convlow_pool_destroy(options.pool);
    tensors_free(&t);
    return check_result();
}
