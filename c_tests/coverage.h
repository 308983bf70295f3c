/*
 * What a test of every algorithm has tried, held against the registry, and what each algorithm says and the
 * table of docs/algorithms.md shows that it computes: not against the loop that tried it.
 */

#ifndef CONVLOW_TEST_COVERAGE_H
#define CONVLOW_TEST_COVERAGE_H

#include "examples.h"

/* Kinds of problem; one may be of several. */
typedef enum kind { DOUBLES, SLICES, ROWS, VOLUMES, TRANSPOSED, ADDED_TO_DST, WITH_RESIDUAL, KINDS } kind;

static const char *const kind_names[KINDS] = {"float64",    "slices",       "1-D",          "3-D",
                                              "transposed", "added to dst", "with residual"};

static inline int is_of_kind(const example *e, kind kind) {
    switch (kind) {
    case DOUBLES:
        return e->desc.type == CONVLOW_TYPE_F64;
    case SLICES:
        return e->desc.src_channel_stride != 0;
    case ROWS:
        return e->desc.spatial_dims == 1;
    case VOLUMES:
        return e->desc.spatial_dims == 3;
    case TRANSPOSED:
        return e->desc.operation == CONVLOW_OPERATION_CONV_TRANSPOSE;
    case ADDED_TO_DST:
        return e->addend == DST;
    default:
        return e->addend == RESIDUAL;
    }
}

static inline int begins_with_one_of(const char *name, const char *const *begins, size_t count) {
    for (size_t at = 0; at < count; ++at) {
        if (strncmp(name, begins[at], strlen(begins[at])) == 0) {
            return 1;
        }
    }
    return 0;
}

/* Whether docs/algorithms.md says that an algorithm computes this kind. What is not named here computes all.
 */
static inline int takes(const char *name, kind kind) {
    static const char *const planes[] = {"mec",         "kn2row-aa",   "kn2row-tiled",
                                         "kn2row-flat", "kn2row-fold", "winograd"};
    static const char *const transposing[] = {"direct-sum2d", "kn2row-register", "kn2row-as",
                                              "kn2row-tiled", "kn2col",          "depthwise-register",
                                              "col2im",       "row2im"};
    switch (kind) {
    case ROWS: /* Winograd's need square kernels */
        return strncmp(name, "winograd", 8) != 0;
    case VOLUMES:
        return !begins_with_one_of(name, planes, sizeof(planes) / sizeof(planes[0]));
    case TRANSPOSED:
        return strcmp(name, "kn2row") == 0 ||
               begins_with_one_of(name, transposing, sizeof(transposing) / sizeof(transposing[0]));
    default:
        return 1;
    }
}

enum { MOST_ALGORITHMS = 256 };

/* Executes by the algorithm's place in the registry: all of them, those of each kind of problem, and those of
 * each pair of layouts. */
typedef struct coverage {
    size_t executes, of[MOST_ALGORITHMS], of_kind[MOST_ALGORITHMS][KINDS];
    size_t of_pair[MOST_ALGORITHMS][LAYOUT_PAIRS];
} coverage;

static inline size_t registered(int32_t algorithm) {
    size_t index = 0;
    while (index < convlow_algorithm_count() && convlow_algorithm_at(index) != algorithm) {
        ++index;
    }
    REQUIRE(index < convlow_algorithm_count() && index < MOST_ALGORITHMS);
    return index;
}

/* Whether it computes gradients of weights, and nothing else: other tests cover it. */
static inline int is_of_weights(const char *name) {
    return strncmp(name, "gradient-", 9) == 0;
}

/* Counts an execute of an example by an algorithm. */
static inline void cover(coverage *tried, const example *e, int32_t algorithm) {
    const size_t index = registered(algorithm);
    ++tried->executes;
    ++tried->of[index];
    ++tried->of_pair[index][e->desc.src_layout * 2 + e->desc.dst_layout];
    for (int at = 0; at < KINDS; ++at) {
        tried->of_kind[index][at] += (size_t)is_of_kind(e, (kind)at);
    }
}

/* Whether the library makes a plan of an algorithm for some shape in these layouts. */
static inline int serves_layouts(int32_t algorithm, int layout_pair) {
    convlow_plan_options options;
    convlow_plan_options_init(&options, sizeof(options));
    options.math = CONVLOW_MATH_FAST;
    options.algorithm = algorithm;
    for (size_t at = 0; at < SHAPES; ++at) {
        const convlow_convnd_desc desc = described(&shapes[at], 2, layout_pair);
        convlow_plan *plan;
        if (convlow_plan_create_nd(&desc, &options, &plan) == CONVLOW_OK) {
            convlow_plan_destroy(plan);
            return 1;
        }
    }
    return 0;
}

/* No algorithm was left out of layouts that it serves, nor of a kind that it takes, and none computed another
 * kind.
 */
static inline void check_nothing_is_left_out(const char *test, const coverage *tried) {
    size_t pairs = 0, kinds = 0;
    for (size_t index = 0; index < convlow_algorithm_count(); ++index) {
        const int32_t algorithm = convlow_algorithm_at(index);
        const char *name = convlow_algorithm_name(algorithm);
        snprintf(check_context, sizeof(check_context), "%s", name);
        CHECK((tried->of[index] > 0) == !is_of_weights(name));
        if (is_of_weights(name)) {
            continue;
        }
        for (int pair = 0; pair < LAYOUT_PAIRS; ++pair) {
            const int serves = serves_layouts(algorithm, pair);
            snprintf(check_context, sizeof(check_context), "%s, layouts %d", name, pair);
            CHECK(serves == (tried->of_pair[index][pair] > 0));
            pairs += (size_t)serves;
        }
        for (int at = 0; at < KINDS; ++at) {
            snprintf(check_context, sizeof(check_context), "%s, %s", name, kind_names[at]);
            CHECK(takes(name, (kind)at) == (tried->of_kind[index][at] > 0));
            kinds += (size_t)takes(name, (kind)at);
        }
    }
    check_context[0] = '\0';
    printf("%s: %zu executes of %zu algorithms, in all of %zu pairs of layouts and %zu kinds of problem that "
           "they "
           "have:",
           test, tried->executes, convlow_algorithm_count(), pairs, kinds);
    for (int at = 0; at < KINDS; ++at) {
        size_t executes = 0;
        for (size_t index = 0; index < convlow_algorithm_count(); ++index) {
            executes += tried->of_kind[index][at];
        }
        printf("%s %zu %s", at == 0 ? "" : ",", executes, kind_names[at]);
    }
    printf("\n");
}

#endif
