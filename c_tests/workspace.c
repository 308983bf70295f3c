/*
 * Promise 2: the workspace is as large as the plan says. Every algorithm computes every kind of problem, and
 * layers of networks, in exactly so many bytes between guard bytes, refuses a byte less before it touches
 * anything, and uses every element: without a pool, none holds afterwards what was in it before.
 */

#define _GNU_SOURCE /* scandir */
#include "coverage.h"
#include "lists.h"

/* ---- what a plan computes with ---------------------------------------------------------------------- */

/* A problem's inputs, in its type. */
typedef struct inputs {
    const convlow_convnd_desc *desc;
    guarded src, weights, bias, slopes, residual, before;
} inputs;

/* The same numbers; of nothing, no bytes. */
static guarded numbers_of(int32_t type, const float *floats, size_t count) {
    guarded made = guarded_new(floats != NULL ? bytes_of(type, count) : 0);
    if (floats != NULL) {
        copy_as(type, made.data, floats, count);
    }
    return made;
}

static inputs inputs_of(const example *e) {
    const int32_t type = e->desc.type;
    const inputs made = {.desc = &e->desc,
                         .src = numbers_of(type, e->src, span_of(&e->src_lie)),
                         .weights = numbers_of(type, e->weights, e->weights_len),
                         .bias = numbers_of(type, e->bias, e->desc.out_channels),
                         .slopes = numbers_of(type, e->slopes, e->desc.out_channels),
                         .residual = numbers_of(type, e->residual, span_of(&e->dst_lie)),
                         .before = numbers_of(type, e->before, span_of(&e->dst_lie))};
    return made;
}

static void inputs_free(inputs *old) {
    guarded_free(&old->src);
    guarded_free(&old->weights);
    guarded_free(&old->bias);
    guarded_free(&old->slopes);
    guarded_free(&old->residual);
    guarded_free(&old->before);
}

static const void *or_null(const guarded *buffer) {
    return buffer->bytes > 0 ? buffer->data : NULL;
}

/* ---- what is left over ------------------------------------------------------------------------------ */

/* kn2row-fold keeps the input rows of a strip of `rows` output rows by phases of the stride, of equal length:
 * as many places as the head of its source says. */
static size_t places_of_fold(const convlow_convnd_desc *d, size_t rows) {
    size_t divisor = d->stride[0];
    while (d->stride[0] % divisor != 0 || d->dilation[0] % divisor != 0) {
        --divisor;
    }
    const size_t back = d->stride[0] / divisor, ahead = d->dilation[0] / divisor;
    const size_t phases = back < d->kernel_size[0] ? back : d->kernel_size[0];
    const size_t of_phase = rows + (d->kernel_size[0] - 1) / back * ahead;
    const size_t of_image = (d->in_size[0] + d->stride[0] - 1) / d->stride[0];
    return phases * (of_phase < of_image ? of_phase : of_image);
}

/* Input rows that such a strip reads. */
static size_t rows_read(const convlow_convnd_desc *d, size_t first, size_t end) {
    size_t read = 0;
    for (size_t row = 0; row < d->in_size[0]; ++row) {
        int is_read = 0;
        for (size_t tap = 0; tap < d->kernel_size[0]; ++tap) {
            const size_t place = row + d->pad_before[0];
            const size_t reach = tap * d->dilation[0];
            is_read |= place >= reach && (place - reach) % d->stride[0] == 0 &&
                       (place - reach) / d->stride[0] >= first && (place - reach) / d->stride[0] < end;
        }
        read += (size_t)is_read;
    }
    return read;
}

/* The most elements that may be left over, which are none but with kn2row-fold: of rows of its phases that
 * the image does not have, or that no tap reads. With an NCHW src or dst other things lie beside them. */
static size_t most_unused(const convlow_convnd_desc *d, const size_t *out_size, const char *algorithm,
                          size_t elements) {
    /* An image that is its own patches is one row. */
    const size_t taps = product_of(d->kernel_size, 2) * d->stride[0] * d->stride[1];
    if (strcmp(algorithm, "kn2row-fold") != 0 || d->spatial_dims != 2 || out_size[0] == 1 || taps == 1) {
        return 0;
    }
    const size_t row = out_size[1] * d->kernel_size[1] * (d->in_channels / d->groups);
    size_t rows = 1, most = 0;
    while (rows <= out_size[0] && places_of_fold(d, rows) * row < elements) {
        ++rows;
    }
    const int is_alone = d->src_layout == CONVLOW_LAYOUT_NHWC && d->dst_layout == CONVLOW_LAYOUT_NHWC;
    CHECK(!is_alone || places_of_fold(d, rows) * row == elements);
    for (size_t first = 0; first < out_size[0]; first += rows) {
        const size_t end = first + rows < out_size[0] ? first + rows : out_size[0];
        const size_t read = rows_read(d, first, end);
        most = read > most ? read : most;
    }
    return is_alone ? elements - most * row : elements / 2;
}

/* ---- executes --------------------------------------------------------------------------------------- */

static struct { size_t plans, with_workspace, elements, unused; } counts;

/* In a workspace of exactly as many bytes. */
static void execute_exactly(const inputs *in, const convlow_plan_options *options, guarded *dst) {
    const int32_t type = in->desc->type;
    size_t out_size[3];
    convlow_plan *plan;
    REQUIRE_OK(convlow_convnd_output_size(in->desc, out_size));
    REQUIRE_OK(convlow_plan_create_nd(in->desc, options, &plan));
    guarded packed = guarded_new(convlow_plan_packed_weights_bytes(plan));
    guarded workspace = guarded_new(convlow_plan_workspace_bytes(plan));
    REQUIRE_OK(pack_as(type, plan, in->weights.data, packed.data, packed.bytes));
    convlow_execute_args args;
    convlow_execute_args_init(&args, sizeof(args));
    args.src = in->src.data;
    args.packed_weights = packed.data;
    args.bias = or_null(&in->bias);
    args.dst = dst->data;
    args.workspace = workspace.data;
    args.residual = or_null(&in->residual);
    args.slopes = or_null(&in->slopes);
    if (workspace.bytes > 0) {
        args.workspace_bytes = workspace.bytes - 1;
        memset(dst->data, DIRT, dst->bytes);
        CHECK_STATUS(execute_as(type, plan, &args), CONVLOW_ERROR_WORKSPACE_LIMIT);
        CHECK(is_untouched(dst) && is_untouched(&workspace));
    }
    memcpy(dst->data, in->before.data, dst->bytes);
    args.workspace_bytes = workspace.bytes;
    CHECK_OK(execute_as(type, plan, &args));
    CHECK(guards_are_whole(&workspace) && guards_are_whole(dst));
    const size_t element = bytes_of(type, 1), elements = workspace.bytes / element;
    CHECK_SIZE(elements * element, workspace.bytes);
    /* With a pool a thread may find nothing left to do. */
    if (options->pool == NULL) {
        size_t unused = 0;
        for (size_t at = 0; at < elements; ++at) {
            unused += (size_t)bytes_are((unsigned char *)workspace.data + at * element, DIRT, element);
        }
        CHECK(unused <=
              most_unused(in->desc, out_size, convlow_algorithm_name(options->algorithm), elements));
        counts.elements += elements;
        counts.unused += unused;
    }
    ++counts.plans;
    counts.with_workspace += elements > 0;
    convlow_plan_destroy(plan);
    guarded_free(&packed);
    guarded_free(&workspace);
}

/* The answers of all algorithms, with whatever rounding. */
static size_t query(const convlow_convnd_desc *desc, convlow_plan_options *options,
                    convlow_plan_info infos[MOST_ALGORITHMS]) {
    size_t count;
    options->math = CONVLOW_MATH_FAST;
    options->algorithm = CONVLOW_ALGORITHM_AUTO;
    infos[0].struct_size = sizeof(infos[0]);
    REQUIRE_OK(convlow_query_nd(desc, options, infos, MOST_ALGORITHMS, &count));
    return count;
}

static void note_context(const convlow_convnd_desc *desc, const char *name, int32_t algorithm) {
    snprintf(check_context, sizeof(check_context), "%s in %d dimensions, layouts %d > %d, type %d, %s", name,
             (int)desc->spatial_dims, (int)desc->src_layout, (int)desc->dst_layout, (int)desc->type,
             convlow_algorithm_name(algorithm));
}

static void every_algorithm(const example *e, const char *name, convlow_pool *pool, coverage *tried) {
    convlow_plan_info infos[MOST_ALGORITHMS];
    convlow_plan_options options;
    convlow_plan_options_init(&options, sizeof(options));
    options.pool = pool;
    inputs in = inputs_of(e);
    guarded dst = guarded_new(in.before.bytes);
    const size_t count = query(&e->desc, &options, infos);
    for (size_t index = 0; index < count; ++index) {
        if (infos[index].applicable) {
            options.algorithm = infos[index].algorithm;
            note_context(&e->desc, name, options.algorithm);
            execute_exactly(&in, &options, &dst);
            is_right(e, dst.data, options.algorithm);
            cover(tried, e, options.algorithm);
        }
    }
    guarded_free(&dst);
    inputs_free(&in);
    check_context[0] = '\0';
}

static void every_kind(convlow_pool *pool, coverage *tried) {
    for (size_t index = 0; index < PROBLEMS * (size_t)LAYOUT_PAIRS; ++index) {
        const problem *problem = &problems[index / LAYOUT_PAIRS];
        convlow_convnd_desc desc = long_form(problem);
        desc.src_layout = (int32_t)(index % LAYOUT_PAIRS / 2);
        desc.dst_layout = (int32_t)(index % 2);
        example e = example_new(&desc, problem->bias, problem->accumulate ? DST : NOTHING);
        every_algorithm(&e, problem->name, NULL, tried);
        example_free(&e);
    }
    const size_t variants_tried = check_quickly() ? QUICK_VARIANTS : VARIANTS;
    for (size_t number = 0; number < count_examples(variants_tried); ++number) {
        const char *name;
        example e = example_at(number, variants_tried, &name);
        every_algorithm(&e, name, NULL, tried);
        if (number % 5 == 0) {
            every_algorithm(&e, name, pool, tried);
        }
        example_free(&e);
    }
}

/* ---- layers of networks ----------------------------------------------------------------------------- */

static guarded integers_new(int32_t type, size_t count, unsigned seed) {
    float *floats = floats_new(count);
    fill_with_integers(floats, count, seed);
    const guarded made = numbers_of(type, floats, count);
    free(floats);
    return made;
}

/* Every algorithm that needs memory, but not so much that it takes long; the results are compared elsewhere.
 */
static void layer(const convlow_convnd_desc *desc, const char *name) {
    const size_t most_bytes = (size_t)16 << 20;
    convlow_plan_info infos[MOST_ALGORITHMS];
    convlow_plan_options options;
    size_t out_size[3];
    convlow_plan_options_init(&options, sizeof(options));
    REQUIRE_OK(convlow_convnd_output_size(desc, out_size));
    const size_t pixels = product_of(desc->in_size, desc->spatial_dims);
    const size_t outputs = product_of(out_size, desc->spatial_dims);
    const size_t depth = desc->in_channels / desc->groups * product_of(desc->kernel_size, desc->spatial_dims);
    inputs in = {.desc = desc,
                 .src = integers_new(desc->type, desc->batch * desc->in_channels * pixels, 1),
                 .weights = integers_new(desc->type, desc->out_channels * depth, 2),
                 .bias = integers_new(desc->type, desc->out_channels, 3),
                 .slopes = numbers_of(desc->type, NULL, 0),
                 .residual = numbers_of(desc->type, NULL, 0),
                 .before = integers_new(desc->type, desc->batch * desc->out_channels * outputs, 4)};
    guarded dst = guarded_new(in.before.bytes);
    const size_t count = query(desc, &options, infos);
    for (size_t index = 0; index < count; ++index) {
        const size_t bytes = infos[index].workspace_bytes;
        if (infos[index].applicable && bytes > 0 && bytes <= most_bytes) {
            options.algorithm = infos[index].algorithm;
            note_context(desc, name, options.algorithm);
            execute_exactly(&in, &options, &dst);
        }
    }
    guarded_free(&dst);
    inputs_free(&in);
    check_context[0] = '\0';
}

static size_t macs_of(const convlow_convnd_desc *desc) {
    size_t out_size[3];
    REQUIRE_OK(convlow_convnd_output_size(desc, out_size));
    return desc->batch * desc->out_channels * (desc->in_channels / desc->groups) *
           product_of(desc->kernel_size, desc->spatial_dims) * product_of(out_size, desc->spatial_dims);
}

/* Layers of every list, with strips in the middle of the image; types and layouts take turns. */
static size_t layers(const char *folder) {
    const size_t most_macs = 40000000;
    lists lists = lists_read(folder);
    size_t small = 0, tried = 0;
    for (size_t at = 0; at < lists.count; ++at) {
        convlow_convnd_desc desc = lists.lines[at].desc;
        if (macs_of(&desc) > most_macs || ++small % (check_quickly() ? 19 : 1) != 0) {
            continue;
        }
        desc.src_layout = (int32_t)(small % LAYOUT_PAIRS / 2);
        desc.dst_layout = (int32_t)(small % 2);
        desc.type = (int32_t)(small / LAYOUT_PAIRS % 2);
        layer(&desc, lists.lines[at].text);
        ++tried;
    }
    lists_free(&lists);
    return tried;
}

int main(int count, char **arguments) {
    convlow_pool *pool;
    coverage tried = {.executes = 0};
    REQUIRE(count == 2); /* the folder of the lists */
    REQUIRE_OK(convlow_pool_create(3, &pool));
    every_kind(pool, &tried);
    convlow_pool_destroy(pool);
    check_nothing_is_left_out("workspace", &tried);
    const size_t layers_tried = layers(arguments[1]);
    CHECK(layers_tried >= (check_quickly() ? 5 : 100));
    printf("workspace: with %zu layers of networks %zu plans, %zu of them with a workspace; of %zu elements "
           "%zu were not "
           "used\n",
           layers_tried, counts.plans, counts.with_workspace, counts.elements, counts.unused);
    return check_result();
}
