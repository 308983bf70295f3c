/*
 * The activations by their definition, in long double, and how far the library may be from it.
 */

#ifndef CONVLOW_TEST_ACTIVATION_H
#define CONVLOW_TEST_ACTIVATION_H

#include "check.h"

#include <float.h>
#include <math.h>

enum { ACTIVATIONS = CONVLOW_ACTIVATION_PRELU + 1 };

/* One with its parameters; `slope` is PRELU's. */
typedef struct activation {
    int32_t kind;
    double alpha, beta, min, max, slope;
} activation;

/* NaN asks for the default. */
static inline activation activation_of(const convlow_convnd_desc *desc, double slope) {
    const int is_line = desc->activation == CONVLOW_ACTIVATION_HARD_SIGMOID ||
                        desc->activation == CONVLOW_ACTIVATION_HARD_SWISH;
    const int is_leaky = desc->activation == CONVLOW_ACTIVATION_LEAKY_RELU;
    const int is_double = desc->type == CONVLOW_TYPE_F64;
    const activation made = {
        desc->activation,
        !isnan(desc->activation_alpha) ? desc->activation_alpha
        : is_line                      ? 1.0 / 6.0
        : is_leaky                     ? 0.01
                                       : 1.0,
        !isnan(desc->activation_beta) ? desc->activation_beta : 0.5,
        is_double ? desc->activation_min : (double)(float)desc->activation_min,
        is_double ? desc->activation_max : (double)(float)desc->activation_max,
        slope,
    };
    return made;
}

/* Or too large for a double, which is all that Valgrind has. */
static inline int is_infinite(long double y) {
    return isinf((double)y);
}

/* slope * y, or its limit. */
static inline long double times(double slope, long double y) {
    return slope == 0.0 ? 0.0L : (long double)slope * y;
}

/* min(max(alpha * y + beta, 0), 1) */
static inline long double unit_line(const activation *a, long double y) {
    const long double line =
        is_infinite(y) ? times(a->alpha, y) : fmal((long double)a->alpha, y, (long double)a->beta);
    return fminl(fmaxl(a->alpha == 0.0 ? (long double)a->beta : line, 0.0L), 1.0L);
}

/* y / (1 + exp(-x)), where x is a multiple of y or grows as it does. */
static inline long double logistic(long double y, long double x) {
    return is_infinite(x) ? (x > 0.0L ? y : 0.0L) : y / (1.0L + expl(-x));
}

/* The activation of y; of an infinity its limit, of a NaN a NaN. */
static inline long double activated(const activation *a, long double y) {
    const long double square_root_of_half = 0.70710678118654752440084436210484904L;
    const long double square_root_of_2_by_pi = 0.79788456080286535587989211986876373L;
    if (isnan(y)) {
        return y;
    }
    switch (a->kind) {
    case CONVLOW_ACTIVATION_CLAMP:
        return fminl(fmaxl(y, (long double)a->min), (long double)a->max);
    case CONVLOW_ACTIVATION_LEAKY_RELU:
        return y < 0.0L ? times(a->alpha, y) : y;
    case CONVLOW_ACTIVATION_HARD_SIGMOID:
        return unit_line(a, y);
    case CONVLOW_ACTIVATION_HARD_SWISH:
        return unit_line(a, y) == 0.0L ? 0.0L : y * unit_line(a, y);
    case CONVLOW_ACTIVATION_SIGMOID:
        return logistic(1.0L, y);
    case CONVLOW_ACTIVATION_SILU:
        return a->alpha == 0.0 ? y / 2.0L : logistic(y, (long double)a->alpha * y);
    case CONVLOW_ACTIVATION_TANH:
        return tanhl(y);
    case CONVLOW_ACTIVATION_GELU:
        return is_infinite(y) ? logistic(y, y) : y / 2.0L * erfcl(-y * square_root_of_half);
    case CONVLOW_ACTIVATION_GELU_TANH: /* (1 + tanh(u)) / 2 = 1 / (1 + exp(-2 * u)) */
        return is_infinite(y) ? logistic(y, y)
                              : logistic(y, 2.0L * square_root_of_2_by_pi * (y + 0.044715L * y * y * y));
    case CONVLOW_ACTIVATION_PRELU:
        return y < 0.0L ? times(a->slope, y) : y;
    default:
        return y;
    }
}

/* The largest slope that it has anywhere. */
static inline double steepest(const activation *a) {
    switch (a->kind) {
    case CONVLOW_ACTIVATION_LEAKY_RELU:
        return fmax(fabs(a->alpha), 1.0);
    case CONVLOW_ACTIVATION_HARD_SIGMOID:
        return fabs(a->alpha);
    case CONVLOW_ACTIVATION_HARD_SWISH: /* of y * t it is 2 * t - beta, where t is between 0 and 1 */
        return fmax(fmax(fabs(a->beta), fabs(2.0 - a->beta)), 1.0);
    case CONVLOW_ACTIVATION_SIGMOID:
        return 0.25;
    case CONVLOW_ACTIVATION_SILU:
        return 1.1;
    case CONVLOW_ACTIVATION_GELU:
    case CONVLOW_ACTIVATION_GELU_TANH:
        return 1.13;
    case CONVLOW_ACTIVATION_PRELU:
        return fmax(fabs(a->slope), 1.0);
    default:
        return 1.0;
    }
}

/* One unit in the last place of a number of the type. */
static inline long double last_place(int32_t type, long double value) {
    const int digits = type == CONVLOW_TYPE_F64 ? DBL_MANT_DIG : FLT_MANT_DIG;
    const int least = (type == CONVLOW_TYPE_F64 ? DBL_MIN_EXP : FLT_MIN_EXP) - digits;
    int exponent;
    frexpl(value, &exponent);
    return ldexpl(1.0L, value == 0.0L || exponent - digits < least ? least : exponent - digits);
}

/* How far `exact` itself is off, in units of the last place, where long double is computed in double, as
 * Valgrind does: of e to the power of x it loses some |x| units. */
static inline long double units_lost(int32_t type, long double exact) {
    const volatile long double one = 1.0L;
    if (type != CONVLOW_TYPE_F64 || one + LDBL_EPSILON != one) {
        return 0.0L;
    }
    return exact == 0.0L ? 12.0L : 12.0L + 4.0L * fabsl(logl(fabsl(exact)));
}

/* How far a result of the type may be from `exact`, the activation of a sum that is off by `of_sum` at most:
 * 4 units in the last place, and nothing where nothing is rounded. */
static inline long double activation_bound(const activation *a, int32_t type, long double exact,
                                           double of_sum) {
    const int is_rounded = a->kind != CONVLOW_ACTIVATION_NONE && a->kind != CONVLOW_ACTIVATION_CLAMP;
    const long double units = is_rounded ? 4.0L + units_lost(type, exact) : 0.0L;
    return (long double)(steepest(a) * of_sum) + (units == 0.0L ? 0.0L : units * last_place(type, exact));
}

/* Whether a result of the type is the exact one within the bound, or as large as it gets where the exact one
 * is larger. */
static inline int is_activated(int32_t type, double found, long double exact, long double bound) {
    const long double most = type == CONVLOW_TYPE_F64 ? (long double)DBL_MAX : (long double)FLT_MAX;
    if (isnan(exact) || is_infinite(exact)) {
        return isnan(exact) ? isnan(found) : isinf(found) && (found > 0.0) == (exact > 0.0L);
    }
    if (fabsl(exact) > most && isinf(found)) {
        return (found > 0.0) == (exact > 0.0L);
    }
    return fabsl((long double)found - exact) <= bound;
}

#endif
