/*
 * Every activation by every algorithm, held against its definition: in one, two and three dimensions, float
 * and double, all layouts, with bias, with dst and with a residual of its own; by default parameters and by
 * given ones, 0 among them; of NaN and of infinities, of sums whose activation is denormal. All values are
 * multiples of powers of 2, so that sums are exact in any order, and equal sums have equal activations
 * whatever computes them.
 */

#include "activation.h"
#include "coverage.h"

/* What the descriptor says beside the problem. */
typedef struct trial {
    int32_t activation;
    double alpha, beta, min, max;
} trial;

#define DEFAULT ((double)NAN)
static const trial trials[] = {
    {CONVLOW_ACTIVATION_NONE, DEFAULT, DEFAULT, 0.0, 0.0},
    {CONVLOW_ACTIVATION_CLAMP, DEFAULT, DEFAULT, -1.25, 2.5},
    {CONVLOW_ACTIVATION_CLAMP, DEFAULT, DEFAULT, 0.0, (double)INFINITY},
    {CONVLOW_ACTIVATION_LEAKY_RELU, DEFAULT, DEFAULT, 0.0, 0.0},
    {CONVLOW_ACTIVATION_LEAKY_RELU, 0.3, DEFAULT, 0.0, 0.0},
    {CONVLOW_ACTIVATION_LEAKY_RELU, 0.0, DEFAULT, 0.0, 0.0},
    {CONVLOW_ACTIVATION_LEAKY_RELU, -2.0, DEFAULT, 0.0, 0.0},
    {CONVLOW_ACTIVATION_HARD_SIGMOID, DEFAULT, DEFAULT, 0.0, 0.0},
    {CONVLOW_ACTIVATION_HARD_SIGMOID, 0.2, DEFAULT, 0.0, 0.0},
    {CONVLOW_ACTIVATION_HARD_SIGMOID, -0.3, 0.4, 0.0, 0.0},
    {CONVLOW_ACTIVATION_HARD_SIGMOID, 0.0, 0.25, 0.0, 0.0},
    {CONVLOW_ACTIVATION_HARD_SWISH, DEFAULT, DEFAULT, 0.0, 0.0},
    {CONVLOW_ACTIVATION_HARD_SWISH, 0.3, 0.4, 0.0, 0.0},
    {CONVLOW_ACTIVATION_HARD_SWISH, DEFAULT, 0.0, 0.0, 0.0},
    {CONVLOW_ACTIVATION_HARD_SWISH, 0.0, 0.0, 0.0, 0.0},
    {CONVLOW_ACTIVATION_SIGMOID, 5.0, 5.0, 0.0, 0.0}, /* it has no parameters */
    {CONVLOW_ACTIVATION_SILU, DEFAULT, DEFAULT, 0.0, 0.0},
    {CONVLOW_ACTIVATION_SILU, 1.702, DEFAULT, 0.0, 0.0},
    {CONVLOW_ACTIVATION_SILU, 0.0, DEFAULT, 0.0, 0.0},
    {CONVLOW_ACTIVATION_SILU, -1.0, DEFAULT, 0.0, 0.0},
    {CONVLOW_ACTIVATION_TANH, DEFAULT, DEFAULT, 0.0, 0.0},
    {CONVLOW_ACTIVATION_GELU, DEFAULT, DEFAULT, 0.0, 0.0},
    {CONVLOW_ACTIVATION_GELU_TANH, DEFAULT, DEFAULT, 0.0, 0.0},
    {CONVLOW_ACTIVATION_PRELU, 7.0, DEFAULT, 0.0, 0.0}, /* no alpha, but slopes */
};

enum { TRIALS = sizeof(trials) / sizeof(trials[0]) };

static void set_activation(convlow_convnd_desc *desc, const trial *t) {
    desc->activation = t->activation;
    desc->activation_alpha = t->alpha;
    desc->activation_beta = t->beta;
    desc->activation_min = t->min;
    desc->activation_max = t->max;
}

/* ---- sums ------------------------------------------------------------------------------------------- */

/* A problem without activation whose sums are multiples of 1/32 of middling size. */
typedef struct sums {
    example e;
    float *slopes;
} sums;

static void scale(float *values, const lie *in, float factor) {
    for (size_t index = 0; index < elements_of(in); ++index) {
        values[place_in(in, index)] *= factor;
    }
}

/* With `special` numbers: whatever the sum is, biases make it NaN, infinite, or of an activation that is
 * denormal. */
static sums sums_new(const convlow_convnd_desc *desc, int with_bias, addend added, int special) {
    const float specials[] = {NAN, INFINITY, -INFINITY, -100.0f, 100.0f};
    enum { SPECIALS = sizeof(specials) / sizeof(specials[0]) };
    convlow_convnd_desc plain = *desc;
    plain.activation = CONVLOW_ACTIVATION_NONE;
    plain.activation_min = -INFINITY;
    plain.activation_max = INFINITY;
    sums made = {example_without_result(&plain, with_bias || special, added), floats_new(desc->out_channels)};
    example *e = &made.e;
    scale(e->src, &e->src_lie, 0.25f);
    scale(e->before, &e->dst_lie, 0.25f);
    if (e->residual != NULL) {
        scale(e->residual, &e->dst_lie, 0.25f);
    }
    for (size_t at = 0; at < e->weights_len; ++at) {
        e->weights[at] *= 0.125f;
    }
    fill_with_integers(made.slopes, desc->out_channels, 6);
    for (size_t m = 0; m < desc->out_channels; ++m) {
        made.slopes[m] *= 0.3f;
        if (e->bias != NULL) {
            e->bias[m] =
                special && m % (SPECIALS + 1) < SPECIALS ? specials[m % (SPECIALS + 1)] : e->bias[m] * 0.25f;
        }
    }
    compute_expected(e);
    return made;
}

static void sums_free(sums *s) {
    example_free(&s->e);
    free(s->slopes);
}

/* ---- one plan --------------------------------------------------------------------------------------- */

static guarded guarded_of(int32_t type, const float *floats, size_t count) {
    guarded made = guarded_new(floats != NULL ? bytes_of(type, count) : 0);
    if (floats != NULL) {
        copy_as(type, made.data, floats, count);
    }
    return made;
}

/* Executes a plan of an example; dst is the caller's to free. */
static guarded executed(const sums *s, convlow_plan *plan, int32_t activation) {
    const example *e = &s->e;
    const int32_t type = e->desc.type;
    const size_t channels = e->desc.out_channels;
    guarded src = guarded_of(type, e->src, span_of(&e->src_lie));
    guarded weights = guarded_of(type, e->weights, e->weights_len);
    guarded bias = guarded_of(type, e->bias, channels);
    guarded slopes = guarded_of(type, s->slopes, channels);
    guarded residual = guarded_of(type, e->residual, span_of(&e->dst_lie));
    guarded dst = guarded_of(type, e->before, span_of(&e->dst_lie));
    guarded packed = guarded_new(convlow_plan_packed_weights_bytes(plan));
    guarded workspace = guarded_new(convlow_plan_workspace_bytes(plan));
    REQUIRE_OK(pack_as(type, plan, weights.data, packed.data, packed.bytes));
    convlow_execute_args args;
    convlow_execute_args_init(&args, sizeof(args));
    args.src = src.data;
    args.packed_weights = packed.data;
    args.bias = e->bias != NULL ? bias.data : NULL;
    args.dst = dst.data;
    args.workspace = workspace.data;
    args.workspace_bytes = workspace.bytes;
    args.residual = e->residual != NULL ? residual.data : NULL;
    if (activation == CONVLOW_ACTIVATION_PRELU) {
        args.slopes = slopes.data;
        CHECK_OK(convlow_execute_with(plan, &args));
    } else {
        CHECK_OK(execute_as(type, plan, &args));
    }
    CHECK(guards_are_whole(&dst) && guards_are_whole(&workspace));
    guarded *const all[] = {&src, &weights, &bias, &slopes, &residual, &packed, &workspace};
    for (size_t index = 0; index < sizeof(all) / sizeof(all[0]); ++index) {
        guarded_free(all[index]);
    }
    return dst;
}

static double number_at(int32_t type, const guarded *numbers, size_t at) {
    return type == CONVLOW_TYPE_F64 ? ((const double *)numbers->data)[at]
                                    : (double)((const float *)numbers->data)[at];
}

/* What an activation makes of the sums: exactly, and by the algorithms that do not round sums, once one of
 * them has run. */
typedef struct results {
    long double *exact;
    double *found; /* NULL before */
} results;

/* Whether dst has the activation of each sum, and where sums are exact the same one as all other algorithms.
 */
static void check_results(const sums *s, const convlow_convnd_desc *desc, const guarded *dst,
                          int32_t algorithm, results *r) {
    const int rounds = strncmp(convlow_algorithm_name(algorithm), "winograd", 8) == 0;
    const double share = desc->type == CONVLOW_TYPE_F64 ? 1e-4 / 536870912.0 : 1e-4;
    const double of_sum = rounds ? share * (0.5 * (double)(s->e.depth + 1) + 100.0) : 0.0;
    const size_t count = elements_of(&s->e.dst_lie);
    double *found = (double *)malloc(count * sizeof(double));
    REQUIRE(found != NULL);
    size_t wrong = 0, different = 0;
    for (size_t index = 0; index < count; ++index) {
        const size_t m = index / s->e.dst_lie.pixels % desc->out_channels;
        const activation a = activation_of(desc, (double)s->slopes[m]);
        found[index] = number_at(desc->type, dst, place_in(&s->e.dst_lie, index));
        const int right = is_activated(desc->type, found[index], r->exact[index],
                                       activation_bound(&a, desc->type, r->exact[index], of_sum));
        if (!right && wrong++ == 0) {
            fprintf(stderr, "of %.20Lg: %.17g, not %.20Lg\n", s->e.expected[index], found[index],
                    r->exact[index]);
        }
        different += !rounds && r->found != NULL && !isnan(found[index]) && found[index] != r->found[index];
    }
    CHECK_SIZE(wrong, 0);
    CHECK_SIZE(different, 0);
    if (rounds || r->found != NULL) {
        free(found);
    } else {
        r->found = found;
    }
}

static size_t plans, of_activation[MOST_ALGORITHMS][ACTIVATIONS][2];
static coverage tried;

/* ---- every algorithm -------------------------------------------------------------------------------- */

/* The short form of a problem, with the activation of the long one. */
static convlow_conv2d_desc short_form(const convlow_conv2d_desc *two, const convlow_convnd_desc *desc) {
    convlow_conv2d_desc made = *two;
    made.activation = desc->activation;
    made.activation_alpha = desc->activation_alpha;
    made.activation_beta = desc->activation_beta;
    made.activation_min = (float)desc->activation_min;
    made.activation_max = (float)desc->activation_max;
    return made;
}

/* An activation of sums by every algorithm that computes the problem; `two` is its short form, or NULL. */
static void every_algorithm(const sums *s, const convlow_conv2d_desc *two, const trial *t, const char *name,
                            convlow_plan_options options) {
    convlow_convnd_desc desc = s->e.desc;
    convlow_conv2d_desc short_desc;
    set_activation(&desc, t);
    if (two != NULL) {
        short_desc = short_form(two, &desc);
    }
    const size_t elements = elements_of(&s->e.dst_lie);
    results r = {(long double *)malloc(elements * sizeof(long double)), NULL};
    REQUIRE(r.exact != NULL);
    for (size_t index = 0; index < elements; ++index) {
        const activation a =
            activation_of(&desc, (double)s->slopes[index / s->e.dst_lie.pixels % desc.out_channels]);
        r.exact[index] = activated(&a, s->e.expected[index]);
    }
    convlow_plan_info infos[MOST_ALGORITHMS] = {{.struct_size = sizeof(infos[0])}};
    size_t count;
    options.algorithm = CONVLOW_ALGORITHM_AUTO;
    REQUIRE_OK(two != NULL ? convlow_query(&short_desc, &options, infos, MOST_ALGORITHMS, &count)
                           : convlow_query_nd(&desc, &options, infos, MOST_ALGORITHMS, &count));
    CHECK_SIZE(count, convlow_algorithm_count());
    for (size_t at = 0; at < count; ++at) {
        if (!infos[at].applicable) {
            continue;
        }
        convlow_plan *plan;
        options.algorithm = infos[at].algorithm;
        snprintf(
            check_context, sizeof(check_context),
            "activation %d (%g, %g) on %s in %d dimensions, layouts %d > %d, type %d, addend %d, %s, GEMM %d",
            (int)t->activation, t->alpha, t->beta, name, (int)desc.spatial_dims, (int)desc.src_layout,
            (int)desc.dst_layout, (int)desc.type, (int)s->e.addend, convlow_algorithm_name(options.algorithm),
            (int)options.gemm);
        REQUIRE_OK(two != NULL ? convlow_plan_create(&short_desc, &options, &plan)
                               : convlow_plan_create_nd(&desc, &options, &plan));
        guarded dst = executed(s, plan, t->activation);
        check_results(s, &desc, &dst, options.algorithm, &r);
        guarded_free(&dst);
        convlow_plan_destroy(plan);
        ++plans;
        ++of_activation[at][t->activation][desc.type];
        cover(&tried, &s->e, options.algorithm);
    }
    check_context[0] = '\0';
    free(r.exact);
    free(r.found);
}

static convlow_plan_options options_for(size_t lot, convlow_pool *pool) {
    convlow_plan_options options;
    convlow_plan_options_init(&options, sizeof(options));
    options.math = CONVLOW_MATH_FAST;
    options.gemm = (int32_t)(lot % 3);
    if (options.gemm == CONVLOW_GEMM_BLAS && !CONVLOW_TEST_BLAS) {
        options.gemm = CONVLOW_GEMM_EMBEDDED;
    }
    options.pool = lot / 3 % 2 == 0 ? NULL : pool;
    return options;
}

/* Every activation of problems in two dimensions: of all in float, by the short descriptor, and of some that
 * leave no algorithm out in double. */
static void planes(int32_t type, convlow_pool *pool) {
    for (size_t number = 0; number < PROBLEMS * LAYOUT_PAIRS; ++number) {
        const problem *of = &problems[number / LAYOUT_PAIRS];
        const int pair = (int)(number % LAYOUT_PAIRS), is_double = type == CONVLOW_TYPE_F64;
        const int is_chosen =
            of->groups > 3 || (of->kernel[0] == of->kernel[1] && of->in[0] > 3 && !of->clamp);
        convlow_convnd_desc desc = long_form(of);
        convlow_conv2d_desc two;
        describe(&two, of, pair);
        desc.type = type;
        desc.src_layout = two.src_layout;
        desc.dst_layout = two.dst_layout;
        desc.weights_layout = two.weights_layout;
        sums s = sums_new(&desc, of->bias, of->accumulate ? DST : NOTHING, number / LAYOUT_PAIRS % 2 == 0);
        for (size_t at = 0; at < TRIALS && (!is_double || is_chosen); ++at) {
            if (!check_quickly() || (at + number) % TRIALS == 0) {
                every_algorithm(&s, is_double ? NULL : &two, &trials[at], of->name,
                                options_for(at + number, pool));
            }
        }
        sums_free(&s);
    }
}

/* The long descriptor: whatever else a problem may be, with some of the activations, others for the next one.
 */
static void every_kind(convlow_pool *pool) {
    const size_t variants_tried = check_quickly() ? QUICK_VARIANTS : VARIANTS;
    const size_t step = check_quickly() ? TRIALS : TRIALS / 4;
    for (size_t number = 0; number < count_examples(variants_tried); ++number) {
        const size_t lot = number + number / variants_tried;
        const char *name;
        example of = example_at(number, variants_tried, &name);
        sums s = sums_new(&of.desc, of.bias != NULL, of.addend, lot % 5 < 2);
        for (size_t at = lot % step; at < TRIALS; at += step) {
            every_algorithm(&s, NULL, &trials[at], name, options_for(at + lot / 2, pool));
        }
        sums_free(&s);
        example_free(&of);
    }
}

static void check_every_activation_was_tried(void) {
    for (size_t at = 0; at < convlow_algorithm_count() && !check_quickly(); ++at) {
        if (is_of_weights(convlow_algorithm_name(convlow_algorithm_at(at)))) {
            continue; /* a gradient has no activation */
        }
        for (int32_t kind = 0; kind < ACTIVATIONS; ++kind) {
            snprintf(check_context, sizeof(check_context), "%s, activation %d",
                     convlow_algorithm_name(convlow_algorithm_at(at)), (int)kind);
            CHECK(of_activation[at][kind][CONVLOW_TYPE_F32] > 0);
            CHECK(of_activation[at][kind][CONVLOW_TYPE_F64] > 0);
        }
    }
    check_context[0] = '\0';
}

/* ---- older headers ---------------------------------------------------------------------------------- */

/* A descriptor of a header that ends before the parameters asks for the defaults, whatever lies behind it. */
static void descriptors_without_parameters(void) {
    convlow_convnd_desc desc = long_form(&problems[1]);
    convlow_conv2d_desc two;
    describe(&two, &problems[1], 0);
    for (int32_t kind = 0; kind < ACTIVATIONS; ++kind) {
        snprintf(check_context, sizeof(check_context), "an older descriptor, activation %d", (int)kind);
        const int bound = kind != CONVLOW_ACTIVATION_NONE;
        const double least = bound ? 0.0 : -INFINITY, most = bound ? 6.0 : INFINITY;
        const trial defaults = {kind, DEFAULT, DEFAULT, least, most}, others = {kind, 3.0, 3.0, least, most};
        sums s = sums_new(&desc, 1, NOTHING, 0);
        guarded of[3];
        for (int which = 0; which < 3; ++which) {
            convlow_convnd_desc longer = desc;
            convlow_plan *plan;
            set_activation(&longer, which == 0 ? &defaults : &others);
            convlow_conv2d_desc shorter = short_form(&two, &longer);
            if (which == 1) {
                longer.struct_size = offsetof(convlow_convnd_desc, activation_alpha);
            }
            shorter.struct_size = offsetof(convlow_conv2d_desc, activation_alpha);
            REQUIRE_OK(which == 2 ? convlow_plan_create(&shorter, NULL, &plan)
                                  : convlow_plan_create_nd(&longer, NULL, &plan));
            of[which] = executed(&s, plan, kind);
            convlow_plan_destroy(plan);
        }
        CHECK(memcmp(of[0].data, of[1].data, of[0].bytes) == 0);
        CHECK(memcmp(of[0].data, of[2].data, of[0].bytes) == 0);
        for (int which = 0; which < 3; ++which) {
            guarded_free(&of[which]);
        }
        sums_free(&s);
    }
    check_context[0] = '\0';
}

int main(void) {
    convlow_pool *pool;
    REQUIRE_OK(convlow_pool_create(3, &pool));
    planes(CONVLOW_TYPE_F32, pool);
    planes(CONVLOW_TYPE_F64, pool);
    every_kind(pool);
    convlow_pool_destroy(pool);
    printf("activations: %zu plans, each executed, of %d activations with %d choices of parameters\n", plans,
           ACTIVATIONS, TRIALS);
    check_nothing_is_left_out("activations", &tried);
    check_every_activation_was_tried();
    descriptors_without_parameters();
    return check_result();
}
