/*
 * An execute allocates nothing itself, from the first on: every allocation of this process is counted.
 *
 * What AUTO takes runs on kernels of the library or on plain loops, so that nobody at all allocates: that is
 * counted on every line of every list in the folder that is the argument, before anything else is executed.
 *
 * A GEMM that is asked for may: the embedded one packs a factor on the heap for the time of a call, and keeps
 * a buffer of the size of the second cache level for each thread; OpenBLAS does likewise with memory of its
 * own. What they come to is printed, and of the embedded one bounded as the documentation says.
 */

#define _GNU_SOURCE /* dl_iterate_phdr, scandir */
#include "allocations.h"
#include "coverage.h"
#include "lists.h"

#include <link.h>
#include <pthread.h>

/* For dl_iterate_phdr: notes the code of the library with OpenBLAS's name. */
static int find_openblas(struct dl_phdr_info *object, size_t size, void *unused) {
    (void)size;
    (void)unused;
    if (strstr(object->dlpi_name, "libopenblas") == NULL) {
        return 0;
    }
    for (size_t i = 0; i < object->dlpi_phnum; ++i) {
        if (object->dlpi_phdr[i].p_type == PT_LOAD && (object->dlpi_phdr[i].p_flags & PF_X) != 0) {
            allocations.openblas = object->dlpi_addr + object->dlpi_phdr[i].p_vaddr;
            allocations.openblas_end = allocations.openblas + object->dlpi_phdr[i].p_memsz;
        }
    }
    return 1;
}

/* Allocations of convlow and its embedded GEMM. */
static size_t counted(void) {
    return read_count(&allocations.calls) - read_count(&allocations.calls_of_openblas);
}

/* What the library allocates for a plan must be seen here, or the zeros below would mean nothing. */
static void the_library_is_counted(void) {
    convlow_conv2d_desc desc;
    convlow_plan *plan;
    describe(&desc, &problems[1], 0);
    const size_t before = counted();
    REQUIRE_OK(convlow_plan_create(&desc, NULL, &plan));
    REQUIRE(counted() > before);
    convlow_plan_destroy(plan);
}

/* Plans of plain weights pack into the workspace. */
static void plain_weights(void) {
    size_t executes = 0;
    for (size_t i = 0; i < PROBLEMS; ++i) {
        for (int layout = 0; layout < LAYOUT_PAIRS; ++layout) {
            convlow_conv2d_desc desc;
            convlow_plan_options options;
            convlow_plan *plan;
            describe(&desc, &problems[i], layout);
            CONVLOW_PLAN_OPTIONS_INIT(&options);
            options.packing = CONVLOW_PACKING_NONE;
            REQUIRE_OK(convlow_plan_create(&desc, &options, &plan));
            tensors t = tensors_without_result(&desc, problems[i].bias);
            guarded dst = guarded_new(t.dst_len * sizeof(float));
            guarded workspace = guarded_new(convlow_plan_workspace_bytes(plan));
            memcpy(dst.data, t.dst_before, t.dst_len * sizeof(float));
            const size_t before = counted();
            CHECK_OK(convlow_execute(plan, t.src, t.weights, t.bias, (float *)dst.data, workspace.data,
                                     workspace.bytes));
            CHECK(counted() == before);
            ++executes;
            convlow_plan_destroy(plan);
            guarded_free(&dst);
            guarded_free(&workspace);
            tensors_free(&t);
        }
    }
    CHECK(executes == PROBLEMS * LAYOUT_PAIRS);
}

enum { THREADS = 3 };

/* Of a thread, the size of the second cache level: no more than 4 MiB on the machines of today. */
#define MOST_KEPT_BYTES ((size_t)4 << 20)

/* What the GEMMs came to: of plans on one of them, how many allocate, the most in an execute, and what is
 * live behind their executes and was not before. */
typedef struct came_to {
    size_t set_up, plans, allocating, worst, kept_bytes;
} came_to;
static came_to embedded, openblas;

static void note(came_to *of, size_t runs, size_t made, size_t kept_bytes) {
    of->plans += 1;
    of->allocating += made > 0;
    of->worst = made / runs > of->worst ? made / runs : of->worst;
    of->kept_bytes += kept_bytes;
}

/* What an execute of an example takes, and the plan. */
typedef struct call {
    convlow_plan *plan;
    convlow_execute_args args;
    guarded src, bias, slopes, residual, dst, packed, workspace;
} call;

static guarded numbers_of(int32_t type, const float *floats, size_t count) {
    guarded made = guarded_new(floats != NULL ? bytes_of(type, count) : 0);
    if (floats != NULL) {
        copy_as(type, made.data, floats, count);
    }
    return made;
}

static call call_new(const example *e, const convlow_plan_options *options) {
    const int32_t type = e->desc.type;
    call c;
    REQUIRE_OK(convlow_plan_create_nd(&e->desc, options, &c.plan));
    guarded weights = numbers_of(type, e->weights, e->weights_len);
    c.src = numbers_of(type, e->src, span_of(&e->src_lie));
    c.bias = numbers_of(type, e->bias, e->desc.out_channels);
    c.slopes = numbers_of(type, e->slopes, e->desc.out_channels);
    c.residual = numbers_of(type, e->residual, span_of(&e->dst_lie));
    c.dst = numbers_of(type, e->before, span_of(&e->dst_lie));
    c.packed = guarded_new(convlow_plan_packed_weights_bytes(c.plan));
    c.workspace = guarded_new(convlow_plan_workspace_bytes(c.plan));
    REQUIRE_OK(pack_as(type, c.plan, weights.data, c.packed.data, c.packed.bytes));
    guarded_free(&weights);
    convlow_execute_args_init(&c.args, sizeof(c.args));
    c.args.src = c.src.data;
    c.args.packed_weights = c.packed.data;
    c.args.bias = e->bias != NULL ? c.bias.data : NULL;
    c.args.dst = c.dst.data;
    c.args.workspace = c.workspace.data;
    c.args.workspace_bytes = c.workspace.bytes;
    c.args.residual = e->residual != NULL ? c.residual.data : NULL;
    c.args.slopes = e->slopes != NULL ? c.slopes.data : NULL;
    return c;
}

static void call_free(call *c) {
    convlow_plan_destroy(c->plan);
    guarded *const all[] = {&c->src, &c->bias, &c->slopes, &c->residual, &c->dst, &c->packed, &c->workspace};
    for (size_t index = 0; index < sizeof(all) / sizeof(all[0]); ++index) {
        guarded_free(all[index]);
    }
}

static coverage tried_by_name, tried_by_auto;
static size_t gradients;

/* Executes a plan several times, and counts from the first on. */
static void count_executes(const example *e, const convlow_plan_options *options, coverage *tried) {
    enum { RUNS = 3 };
    const int32_t type = e->desc.type;
    call c = call_new(e, options);
    convlow_plan_info info = {.struct_size = sizeof(info)};
    REQUIRE_OK(convlow_plan_get_info(c.plan, &info));
    if (info.gemm == CONVLOW_GEMM_EMBEDDED && embedded.set_up == 0) {
        const size_t before = counted();
        CHECK_OK(execute_as(type, c.plan, &c.args));
        embedded.set_up = counted() - before;
    }
    const size_t all_before = read_count(&allocations.calls), before = counted();
    const size_t bytes_before = read_count(&allocations.live_bytes);
    for (int run = 0; run < RUNS; ++run) {
        CHECK_OK(execute_as(type, c.plan, &c.args));
        cover(tried, e, info.algorithm);
    }
    const size_t made = counted() - before, made_by_all = read_count(&allocations.calls) - all_before;
    const size_t kept_bytes = read_count(&allocations.live_bytes) - bytes_before;
    if (info.gemm == CONVLOW_GEMM_EMBEDDED) {
        /* Three a call, of which the library makes two where one would fill the kernel badly; and what each
         * thread sets up with its buffer. */
        CHECK(made <= RUNS * 6 * info.gemm_calls + 8 * THREADS);
        note(&embedded, RUNS, made, kept_bytes);
    } else if (info.gemm == CONVLOW_GEMM_BLAS) {
        CHECK_SIZE(made, 0);
        note(&openblas, RUNS, made_by_all, kept_bytes);
    } else {
        CHECK_SIZE(made_by_all, 0);
        CHECK_SIZE(kept_bytes, 0);
    }
    call_free(&c);
}

static void every_algorithm(const example *e, const char *name, int32_t gemm, convlow_pool *pool) {
    convlow_plan_info infos[MOST_ALGORITHMS] = {{.struct_size = sizeof(infos[0])}};
    convlow_plan_options options;
    size_t count;
    convlow_plan_options_init(&options, sizeof(options));
    options.gemm = gemm;
    options.math = CONVLOW_MATH_FAST;
    options.pool = pool;
    REQUIRE_OK(convlow_query_nd(&e->desc, &options, infos, MOST_ALGORITHMS, &count));
    for (size_t i = 0; i < count; ++i) {
        if (!infos[i].applicable) {
            continue;
        }
        snprintf(check_context, sizeof(check_context),
                 "%s on %s in %d dimensions, layouts %d > %d, type %d, gemm %d",
                 convlow_algorithm_name(infos[i].algorithm), name, (int)e->desc.spatial_dims,
                 (int)e->desc.src_layout, (int)e->desc.dst_layout, (int)e->desc.type, (int)gemm);
        options.algorithm = infos[i].algorithm;
        count_executes(e, &options, &tried_by_name);
    }
    check_context[0] = '\0';
}

/* Both gradients of an example, from packed weights, by what AUTO takes. */
static void gradients_of(const example *e, convlow_pool *pool) {
    enum { RUNS = 3 };
    const int32_t type = e->desc.type;
    convlow_plan_options options;
    convlow_plan_options_init(&options, sizeof(options));
    options.pool = pool;
    convlow_convnd_desc desc = e->desc;
    desc.activation = CONVLOW_ACTIVATION_NONE;
    desc.activation_min = -INFINITY;
    desc.activation_max = INFINITY;
    guarded weights = numbers_of(type, e->weights, e->weights_len);
    guarded src = numbers_of(type, e->src, span_of(&e->src_lie));
    guarded dst = numbers_of(type, e->before, span_of(&e->dst_lie));
    guarded bias = guarded_new(bytes_of(type, e->desc.out_channels));
    memset(bias.data, 0, bias.bytes);
    for (int32_t propagation = CONVLOW_PROPAGATION_BACKWARD_DATA;
         propagation <= CONVLOW_PROPAGATION_BACKWARD_WEIGHTS; ++propagation) {
        desc.propagation = propagation;
        convlow_plan *plan;
        REQUIRE_OK(convlow_plan_create_nd(&desc, &options, &plan));
        guarded packed = guarded_new(convlow_plan_packed_weights_bytes(plan));
        guarded workspace = guarded_new(convlow_plan_workspace_bytes(plan));
        if (propagation == CONVLOW_PROPAGATION_BACKWARD_DATA) {
            REQUIRE_OK(pack_as(type, plan, weights.data, packed.data, packed.bytes));
        }
        convlow_execute_args args;
        convlow_execute_args_init(&args, sizeof(args));
        args.packed_weights = packed.data;
        args.src = args.diff_src = src.data;
        args.diff_dst = dst.data;
        args.diff_weights = weights.data;
        args.diff_bias = bias.data;
        args.workspace = workspace.data;
        args.workspace_bytes = workspace.bytes;
        const size_t before = read_count(&allocations.calls);
        for (int run = 0; run < RUNS; ++run) {
            CHECK_OK(convlow_execute_with(plan, &args));
        }
        CHECK_SIZE(read_count(&allocations.calls) - before, 0);
        ++gradients;
        convlow_plan_destroy(plan);
        guarded_free(&packed);
        guarded_free(&workspace);
    }
    guarded_free(&weights);
    guarded_free(&src);
    guarded_free(&dst);
    guarded_free(&bias);
}

/* Beyond what fits a small-matrix kernel, so that OpenBLAS packs its factors. */
static const problem large = {.name = "large",
                              .in = {40, 40, 40},
                              .out_channels = 48,
                              .kernel = {3, 3},
                              .pad = {1, 1, 1, 1},
                              .bias = 1};

/* The planes of all tests, on every GEMM; and whatever else a problem may be, on one after the other. */
static void every_kind(convlow_pool *pool) {
    for (int at = 0; at < (PROBLEMS + 1) * LAYOUT_PAIRS * 2; ++at) {
        const problem *problem = at / LAYOUT_PAIRS / 2 < PROBLEMS ? &problems[at / LAYOUT_PAIRS / 2] : &large;
        convlow_convnd_desc desc = long_form(problem);
        desc.src_layout = at / 2 % LAYOUT_PAIRS / 2;
        desc.dst_layout = at / 2 % 2;
        desc.weights_layout = at / 2 % 3;
        example e = example_without_result(&desc, problem->bias, problem->accumulate ? DST : NOTHING);
        every_algorithm(&e, problem->name, CONVLOW_GEMM_EMBEDDED, at % 2 == 0 ? NULL : pool);
        if (CONVLOW_TEST_BLAS) {
            every_algorithm(&e, problem->name, CONVLOW_GEMM_BLAS, at % 2 == 0 ? NULL : pool);
        }
        example_free(&e);
    }
    for (size_t number = 0; number < count_examples(QUICK_VARIANTS); ++number) {
        const char *name;
        const int32_t gemm =
            number / 2 % 2 == 0 && CONVLOW_TEST_BLAS ? CONVLOW_GEMM_BLAS : CONVLOW_GEMM_EMBEDDED;
        example e = example_at(number, QUICK_VARIANTS, &name);
        every_algorithm(&e, name, gemm, number / 4 % 2 == 0 ? NULL : pool);
        gradients_of(&e, number / 4 % 2 == 0 ? NULL : pool);
        example_free(&e);
    }
}

/* Memory that serves one plan after the other. */
typedef struct shared {
    size_t bytes;
    void *data;
} shared;

/* At least so many bytes, all of which have been written, so that no denormal number slows a kernel down. */
static void *at_least(shared *shared, size_t bytes) {
    if (shared->data == NULL || shared->bytes < bytes) {
        free(shared->data);
        shared->bytes = bytes;
        shared->data = malloc(bytes > 0 ? bytes : 1);
        REQUIRE(shared->data != NULL);
        fill_with_integers((float *)shared->data, bytes / sizeof(float), 1);
    }
    return shared->data;
}

/* What was executed by AUTO's choice. */
static struct {
    shared src, weights, bias, dst, packed, workspace;
    size_t plans, executes, on_kernels, allocations;
    size_t of_type[2][LAYOUT_PAIRS][2][2]; /* executes by type, layouts, math, and whether there was a pool */
    size_t picked[MOST_ALGORITHMS];        /* plans by the algorithm's place in the registry */
} automatic;

/* A plan and what an execute of it takes. */
typedef struct execution {
    convlow_plan *plan;
    convlow_execute_args args;
    convlow_status status;
    size_t made, live_before, live_behind;
} execution;

/* Executes and counts, on the thread that calls it. */
static void *execute_counted(void *of) {
    execution *e = (execution *)of;
    const size_t before = read_count(&allocations.calls);
    e->live_before = read_count(&allocations.live_bytes);
    e->status = convlow_execute_with(e->plan, &e->args);
    e->live_behind = read_count(&allocations.live_bytes);
    e->made = read_count(&allocations.calls) - before;
    return NULL;
}

/* What AUTO picks for a layer: nobody allocates, and nothing is kept. With `fresh` on a thread that has never
 * executed anything. */
static void what_auto_picks(const convlow_convnd_desc *layer, const char *name, int layout_pair, int32_t math,
                            convlow_pool *pool, int fresh) {
    const size_t bytes = layer->type == CONVLOW_TYPE_F64 ? sizeof(double) : sizeof(float);
    convlow_convnd_desc desc = *layer;
    convlow_plan_options options;
    convlow_plan_info info = {.struct_size = sizeof(info)};
    execution e;
    memset(&e, 0, sizeof(e));
    convlow_execute_args_init(&e.args, sizeof(e.args));
    desc.src_layout = layout_pair / 2;
    desc.dst_layout = layout_pair % 2;
    convlow_plan_options_init(&options, sizeof(options));
    options.math = math;
    options.pool = pool;
    REQUIRE_OK(convlow_plan_create_nd(&desc, &options, &e.plan));
    REQUIRE_OK(convlow_plan_get_info(e.plan, &info));
    snprintf(check_context, sizeof(check_context), "AUTO: %s on %s, type %d, layouts %d, math %d%s",
             convlow_algorithm_name(info.algorithm), name, (int)layer->type, layout_pair, (int)math,
             pool != NULL ? ", pool" : "");
    CHECK(info.gemm == CONVLOW_GEMM_KERNELS ||
          (info.gemm == CONVLOW_GEMM_AUTO &&
           strcmp(convlow_algorithm_name(info.algorithm), "direct-sum2d") == 0));
    size_t out_size[3];
    REQUIRE_OK(convlow_convnd_output_size(&desc, out_size));
    size_t weights = desc.out_channels * (desc.in_channels / desc.groups);
    size_t src = desc.batch * desc.in_channels, dst = desc.batch * desc.out_channels;
    for (int32_t axis = 0; axis < desc.spatial_dims; ++axis) {
        weights *= desc.kernel_size[axis];
        src *= desc.in_size[axis];
        dst *= out_size[axis];
    }
    void *packed = at_least(&automatic.packed, info.packed_weights_bytes);
    e.args.src = at_least(&automatic.src, src * bytes);
    e.args.bias = at_least(&automatic.bias, desc.out_channels * bytes);
    e.args.dst = at_least(&automatic.dst, dst * bytes);
    e.args.packed_weights = packed;
    e.args.workspace = at_least(&automatic.workspace, info.workspace_bytes);
    e.args.workspace_bytes = info.workspace_bytes;
    const void *unpacked = at_least(&automatic.weights, weights * bytes);
    if (desc.type == CONVLOW_TYPE_F64) {
        REQUIRE_OK(
            convlow_pack_weights_f64(e.plan, (const double *)unpacked, packed, info.packed_weights_bytes));
    } else {
        REQUIRE_OK(convlow_pack_weights(e.plan, (const float *)unpacked, packed, info.packed_weights_bytes));
    }
    /* Large ones once: that nothing is allocated later either is seen on the others. */
    const int runs = info.macs < (size_t)20000000 ? 3 : 1;
    for (int run = 0; run < runs; ++run) {
        if (fresh) {
            pthread_t thread;
            REQUIRE(pthread_create(&thread, NULL, execute_counted, &e) == 0);
            REQUIRE(pthread_join(thread, NULL) == 0);
        } else {
            execute_counted(&e);
        }
        CHECK_STATUS(e.status, CONVLOW_OK);
        CHECK_SIZE(e.made, 0);
        CHECK_SIZE(e.live_behind, e.live_before);
        automatic.allocations += e.made;
        automatic.executes += 1;
        automatic.of_type[desc.type][layout_pair][math][pool != NULL] += 1;
    }
    automatic.plans += 1;
    automatic.picked[registered(info.algorithm)] += 1;
    automatic.on_kernels += info.gemm == CONVLOW_GEMM_KERNELS;
    convlow_plan_destroy(e.plan);
    check_context[0] = '\0';
}

/* About as many multiplications as the layer has by its definition. */
static size_t macs_of(const line *line) {
    const convlow_convnd_desc *desc = &line->desc;
    size_t out_size[3], macs = desc->batch * desc->out_channels * (desc->in_channels / desc->groups);
    REQUIRE_OK(convlow_convnd_output_size(desc, out_size));
    for (int32_t axis = 0; axis < desc->spatial_dims; ++axis) {
        require_in(line, line->out[axis] == 0 || line->out[axis] == out_size[axis],
                   "the sizes contradict each other");
        macs *= desc->kernel_size[axis] * out_size[axis];
    }
    return macs;
}

/* Each line was executed in float by both kinds of arithmetic, in both layouts, without a pool and with one,
 * and most in double; by each of the algorithms that are AUTO's own. */
static void check_auto_did_all(size_t lines) {
    static const char *const own[] = {"kn2row-register",        "kn2col-register",
                                      "im2col-register",        "depthwise-register",
                                      "winograd-strip-4x4-3x3", "winograd-strip-6x6-3x3"};
    for (int at = 0; at < 2 * 2 * 2; ++at) {
        const int layout_pair = at / 4 * 3, math = at / 2 % 2, pooled = at % 2;
        snprintf(check_context, sizeof(check_context), "layouts %d, math %d, pool %d", layout_pair, math,
                 pooled);
        CHECK(automatic.of_type[CONVLOW_TYPE_F32][layout_pair][math][pooled] >= lines);
        CHECK(math == CONVLOW_MATH_FAST ||
              automatic.of_type[CONVLOW_TYPE_F64][layout_pair][math][pooled] >= lines / 4 * 3);
    }
    for (size_t at = 0; at < sizeof(own) / sizeof(own[0]); ++at) {
        snprintf(check_context, sizeof(check_context), "%s", own[at]);
        CHECK(check_quickly() || automatic.picked[registered(convlow_algorithm_from_name(own[at]))] > 0);
    }
    check_context[0] = '\0';
}

/* Promise 2: every line of every list; where it has to be quick, every tenth of those that are small. */
static void auto_on_all_lists(const char *folder, convlow_pool *pool) {
    const size_t quick_macs = 30000000;
    static const int layout_pairs[] = {0, 3}; /* NCHW -> NCHW, NHWC -> NHWC */
    lists lists = lists_read(folder);
    size_t taken = 0, small = 0, doubles = 0;
    CHECK(lists.files >= 18 && lists.count >= 390);
    for (size_t i = 0; i < lists.count; ++i) {
        const line *line = &lists.lines[i];
        const size_t macs = macs_of(line);
        small += macs < quick_macs;
        if (check_quickly() && (macs >= quick_macs || small % 10 != 0)) {
            continue;
        }
        ++taken;
        for (int at = 0; at < 4 * 2; ++at) {
            const int32_t math = at / 2 % 2 == 0 ? CONVLOW_MATH_EXACT : CONVLOW_MATH_FAST;
            what_auto_picks(&line->desc, line->text, layout_pairs[at / 4], math, at % 2 == 0 ? NULL : pool,
                            0);
        }
        /* In double, what is quick enough. */
        for (int at = 0; at < 4 && macs < 4 * quick_macs; ++at, ++doubles) {
            convlow_convnd_desc desc = line->desc;
            desc.type = CONVLOW_TYPE_F64;
            what_auto_picks(&desc, line->text, layout_pairs[at / 2], CONVLOW_MATH_EXACT,
                            at % 2 == 0 ? NULL : pool, 0);
        }
    }
    printf("AUTO on %zu of %zu lines of %zu lists: %zu plans (%zu in double), %zu on the library's kernels "
           "and %zu on plain loops; %zu executes, %zu allocations\n",
           taken, lists.count, lists.files, automatic.plans, doubles, automatic.on_kernels,
           automatic.plans - automatic.on_kernels, automatic.executes, automatic.allocations);
    check_auto_did_all(check_quickly() ? 10 : 390);
    lists_free(&lists);
}

/* Batches, groups, uneven padding, sums and clamps, src and dst of different layouts; and threads that are
 * new. */
static void auto_on_small_problems(convlow_pool *pool) {
    const size_t plans = automatic.plans, executes = automatic.executes, made = automatic.allocations;
    for (int i = 0; i < PROBLEMS * LAYOUT_PAIRS; ++i) {
        for (int at = 0; at < 2 * 2 * 2; ++at) {
            const convlow_convnd_desc desc = long_form(&problems[i / LAYOUT_PAIRS]);
            what_auto_picks(&desc, problems[i / LAYOUT_PAIRS].name, i % LAYOUT_PAIRS,
                            at % 2 == 0 ? CONVLOW_MATH_EXACT : CONVLOW_MATH_FAST,
                            at / 2 % 2 == 0 ? NULL : pool, at / 4);
        }
    }
    printf("AUTO on small problems, also on new threads: %zu plans, %zu executes, %zu allocations\n",
           automatic.plans - plans, automatic.executes - executes, automatic.allocations - made);
    for (size_t number = 0; number < count_examples(VARIANTS); ++number) {
        convlow_plan_options options;
        const char *name;
        example e = example_at(number, VARIANTS, &name);
        convlow_plan_options_init(&options, sizeof(options));
        options.pool = number % 2 == 0 ? NULL : pool;
        snprintf(check_context, sizeof(check_context),
                 "AUTO on %s in %d dimensions, layouts %d > %d, type %d", name, (int)e.desc.spatial_dims,
                 (int)e.desc.src_layout, (int)e.desc.dst_layout, (int)e.desc.type);
        count_executes(&e, &options, &tried_by_auto);
        example_free(&e);
    }
    /* Every kind, and none of it on a GEMM. */
    const size_t general = registered(convlow_algorithm_from_name("kn2row-register"));
    for (int at = 0; at < KINDS; ++at) {
        snprintf(check_context, sizeof(check_context), "AUTO, %s", kind_names[at]);
        CHECK(tried_by_auto.of_kind[general][at] > 0);
    }
    CHECK_SIZE(embedded.plans + openblas.plans, 0);
    printf("AUTO on every kind of problem: %zu executes\n", tried_by_auto.executes);
    check_context[0] = '\0';
}

static void free_shared(void) {
    free(automatic.src.data);
    free(automatic.weights.data);
    free(automatic.bias.data);
    free(automatic.dst.data);
    free(automatic.packed.data);
    free(automatic.workspace.data);
}

/* A refusal before it changes nothing. */
static void after_a_refusal(void) {
    convlow_conv2d_desc desc;
    convlow_plan_options options;
    describe(&desc, &problems[1], 0);
    convlow_plan_options_init(&options, sizeof(options));
    options.algorithm = convlow_algorithm_from_name("direct-sum2d");
    tensors t = tensors_without_result(&desc, 0);
    float *dst = floats_new(t.dst_len);
    prepared p = prepare(&desc, &options, &t);
    CHECK_STATUS(convlow_execute(p.plan, NULL, p.packed.data, NULL, dst, NULL, 0),
                 CONVLOW_ERROR_INVALID_ARGUMENT);
    const size_t before = counted();
    CHECK_OK(execute_prepared(&p, &t, dst));
    CHECK_SIZE(counted() - before, 0);
    prepared_free(&p);
    free(dst);
    tensors_free(&t);
}

int main(int count, char **arguments) {
    convlow_pool *pool;
    REQUIRE(count == 2); /* the folder of the lists */
    dl_iterate_phdr(find_openblas, NULL);
    the_library_is_counted();
    plain_weights();
    REQUIRE_OK(convlow_pool_create(THREADS, &pool));
    auto_on_all_lists(arguments[1], pool);
    auto_on_small_problems(pool);
    free_shared();

    every_kind(pool);
    check_nothing_is_left_out("every algorithm", &tried_by_name);
    CHECK(gradients > 20);
    printf("gradients: %zu plans\n", gradients);
    printf("every algorithm: %zu of %zu plans on the embedded GEMM allocate, at worst %zu times an execute\n",
           embedded.allocating, embedded.plans, embedded.worst);
    printf("it keeps %zu bytes for %d threads, and asks for the caches by %zu allocations once a process\n",
           embedded.kept_bytes, THREADS, embedded.set_up);
    printf("every algorithm: %zu of %zu plans on OpenBLAS allocate by malloc, at worst %zu times an execute, "
           "and keep "
           "%zu bytes\n",
           openblas.allocating, openblas.plans, openblas.worst, openblas.kept_bytes);
    CHECK(embedded.set_up < 1000);
    CHECK(embedded.kept_bytes <= THREADS * MOST_KEPT_BYTES);
    after_a_refusal();
    convlow_pool_destroy(pool);
    return check_result();
}
