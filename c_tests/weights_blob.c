/*
 * Packed weights are bytes like any other: they may be copied and stored, and whatever is not the plan's
 * packing is refused before dst is touched.
 */

#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */

#include "pages.h"

#include "convolution.h"

static const char *const with_workspace = "im2col-scan-ab-ki";

static prepared prepare_named(const convlow_conv2d_desc *desc, const char *algorithm, const tensors *t) {
    convlow_plan_options options;
    convlow_plan_options_init(&options, sizeof(options));
    options.algorithm = convlow_algorithm_from_name(algorithm);
    REQUIRE(options.algorithm > 0);
    return prepare(desc, &options, t);
}

/* Executes with a blob that must be refused; dst and workspace stay as they were. */
static void check_refused(const prepared *p, const tensors *t, const void *blob, const char *fragment) {
    memset(p->workspace.data, DIRT, p->workspace.bytes);
    guarded dst = guarded_new(t->dst_len * sizeof(float));
    CHECK_FAILS(convlow_execute(p->plan, t->src, blob, t->bias, (float *)dst.data, p->workspace.data,
                                p->workspace.bytes),
                CONVLOW_ERROR_WEIGHTS_MISMATCH, fragment);
    CHECK(is_untouched(&dst));
    CHECK(is_untouched(&p->workspace));
    guarded_free(&dst);
}

static void check_accepted(const prepared *p, const tensors *t, const void *blob) {
    guarded dst = guarded_new(t->dst_len * sizeof(float));
    CHECK_OK(convlow_execute(p->plan, t->src, blob, t->bias, (float *)dst.data, p->workspace.data,
                             p->workspace.bytes));
    CHECK(is_expected((const float *)dst.data, t));
    CHECK(guards_are_whole(&dst));
    guarded_free(&dst);
}

static void copies(const prepared *p, const tensors *t) {
    guarded copy = guarded_new(p->packed.bytes);
    memcpy(copy.data, p->packed.data, p->packed.bytes);
    memset(p->packed.data, 0, p->packed.bytes);
    check_accepted(p, t, copy.data);
    check_refused(p, t, p->packed.data, "packed_weights");
    memcpy(p->packed.data, copy.data, p->packed.bytes);
    CHECK(guards_are_whole(&copy));
    guarded_free(&copy);
}

/* Packing twice, and into a larger buffer, gives the same bytes and touches no others. */
static void packing_is_repeatable(const prepared *p, const tensors *t) {
    guarded larger = guarded_new(p->packed.bytes + 40);
    CHECK_OK(convlow_pack_weights(p->plan, t->weights, larger.data, larger.bytes));
    CHECK(memcmp(larger.data, p->packed.data, p->packed.bytes) == 0);
    CHECK(bytes_are((const char *)larger.data + p->packed.bytes, DIRT, 40));
    CHECK(guards_are_whole(&larger));
    check_accepted(p, t, larger.data);
    guarded_free(&larger);
}

static void foreign_bytes(const prepared *p, const tensors *t) {
    guarded foreign = guarded_new(p->packed.bytes);
    check_refused(p, t, foreign.data, "packed_weights does not begin with the header");
    memset(foreign.data, 0, foreign.bytes);
    check_refused(p, t, foreign.data, "packed_weights does not begin with the header");
    /* The caller's own weights, never packed. */
    memcpy(foreign.data, t->weights, t->weights_len * sizeof(float));
    check_refused(p, t, foreign.data, "packed_weights does not begin with the header");
    guarded_free(&foreign);
}

/* Promise 3: every byte of the header matters. */
static void corrupted_header(const prepared *p, const tensors *t) {
    enum { HEADER_BYTES = 64 };
    for (size_t at = 0; at < HEADER_BYTES; ++at) {
        unsigned char *byte = (unsigned char *)p->packed.data + at;
        *byte ^= 0x40;
        check_refused(p, t, p->packed.data, "packed_weights");
        *byte ^= 0x40;
    }
    check_accepted(p, t, p->packed.data);
}

/* What stands in memory behind a blob that was cut short is not its end. */
static void truncated(const prepared *p, const tensors *t) {
    const size_t cuts[] = {64, 68, p->packed.bytes / 2, p->packed.bytes - 16, p->packed.bytes - 1};
    for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); ++i) {
        guarded cut = guarded_new(p->packed.bytes);
        memcpy(cut.data, p->packed.data, cuts[i]);
        check_refused(p, t, cut.data, "cut short");
        guarded_free(&cut);
    }
}

/* Promise 3: a blob that ends before a forbidden page is refused by the bytes that the caller tells, and none
 * of them is read. */
static void cut_before_a_forbidden_page(const prepared *p, const tensors *t) {
    const size_t whole = p->packed.bytes, cuts[] = {1, 63, 64, 65, whole / 2, whole - 1, whole, whole + 1, 0};
    convlow_execute_args args;
    CONVLOW_EXECUTE_ARGS_INIT(&args);
    args.src = t->src;
    args.bias = t->bias;
    args.workspace = p->workspace.data;
    args.workspace_bytes = p->workspace.bytes;
    for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); ++i) {
        const size_t there = cuts[i] == 0 || cuts[i] > whole ? whole : cuts[i];
        pages made = pages_new(there);
        /* Aligned as malloc does it, the blob may end some bytes before the page. */
        void *blob = pages_place(&made, there, 16, BEFORE_THE_END);
        guarded dst = guarded_new(t->dst_len * sizeof(float));
        memcpy(blob, p->packed.data, there);
        args.packed_weights = blob;
        args.packed_weights_bytes = cuts[i];
        args.dst = dst.data;
        if (there < whole) {
            CHECK_FAILS(convlow_execute_with(p->plan, &args), CONVLOW_ERROR_WEIGHTS_MISMATCH,
                        "packed_weights_bytes = ");
            CHECK(is_untouched(&dst));
        } else {
            CHECK_OK(convlow_execute_with(p->plan, &args));
            CHECK(is_expected((const float *)dst.data, t));
        }
        guarded_free(&dst);
        pages_free(&made);
    }
}

/* A plan that has to read weights that are packed already reads them, whatever its image; or there is none.
 */
static void packing_that_is_asked_for(void) {
    convlow_conv2d_desc desc;
    CONVLOW_CONV2D_DESC_INIT(&desc);
    convlow_plan_options options;
    CONVLOW_PLAN_OPTIONS_INIT(&options);
    desc.in_channels = desc.out_channels = 32;
    desc.kernel_height = desc.kernel_width = 3;
    desc.pad_top = desc.pad_left = desc.pad_bottom = desc.pad_right = 1;
    desc.in_height = desc.in_width = 28;
    convlow_plan *plan;
    size_t read = 0, refused = 0;
    for (int32_t layout = 0; layout < 2; ++layout) {
        desc.src_layout = desc.dst_layout = layout;
        CONVLOW_PLAN_OPTIONS_INIT(&options);
        REQUIRE_OK(convlow_plan_create(&desc, &options, &plan));
        const uint64_t id = convlow_plan_packing_id(plan);
        convlow_plan_destroy(plan);
        for (size_t size = 0; size < 40; size += size < 4 ? 1 : 7) {
            convlow_conv2d_desc other = desc;
            other.in_height = other.in_width = size;
            options.packing_id = id;
            REQUIRE_OK(convlow_plan_create(&other, &options, &plan));
            CHECK(convlow_plan_packing_id(plan) == id);
            convlow_plan_destroy(plan);
        }
        options.packing_id = id + 1;
        CHECK_FAILS(convlow_plan_create(&desc, &options, &plan), CONVLOW_ERROR_UNSUPPORTED,
                    "packing_id = 0x");
        /* By name: of the algorithms of this problem some read it. */
        size_t count;
        convlow_plan_info *infos = query_all(&desc, NULL, &count);
        for (size_t at = 0; at < count; ++at) {
            if (infos[at].applicable) {
                options.packing_id = id;
                options.algorithm = infos[at].algorithm;
                if (convlow_plan_create(&desc, &options, &plan) == CONVLOW_OK) {
                    ++read;
                    CHECK(convlow_plan_packing_id(plan) == id);
                    convlow_plan_destroy(plan);
                } else {
                    ++refused;
                    CHECK_CONTAINS(convlow_last_error_message(), "reads the packing 0x");
                }
            }
        }
        free(infos);
    }
    CHECK(read >= 2 && refused >= 2);
}

/* The header alone is enough to refuse: a foreign blob may end right behind it. */
static void short_foreign_blob(const prepared *p, const convlow_conv2d_desc *desc, const tensors *t) {
    convlow_conv2d_desc smaller = *desc;
    smaller.in_channels = 1;
    tensors smaller_t = tensors_new(&smaller, 0);
    prepared smaller_p = prepare_named(&smaller, with_workspace, &smaller_t);
    REQUIRE(smaller_p.packed.bytes < p->packed.bytes);
    void *exact = malloc(smaller_p.packed.bytes); /* where a sanitizer sees a read beyond it */
    REQUIRE(exact != NULL);
    memcpy(exact, smaller_p.packed.data, smaller_p.packed.bytes);
    check_refused(p, t, exact, "packed for in_channels / groups = 1, but the plan has 5");
    free(exact);
    prepared_free(&smaller_p);
    tensors_free(&smaller_t);
}

/* A descriptor that differs in what the packing depends on. */
static void packed_for_another_plan(const prepared *p, const convlow_conv2d_desc *desc, const tensors *t) {
    struct {
        const char *fragment;
        size_t out_channels, in_channels, kernel_height, kernel_width, groups;
    } const others[] = {
        {"out_channels / groups = 8, but the plan has 7", 8, 5, 3, 3, 1},
        {"in_channels / groups = 6, but the plan has 5", 7, 6, 3, 3, 1},
        {"kernel_height = 1, but the plan has 3", 7, 5, 1, 3, 1},
        {"kernel_width = 2, but the plan has 3", 7, 5, 3, 2, 1},
        {"groups = 2, but the plan has 1", 14, 10, 3, 3, 2},
    };
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); ++i) {
        convlow_conv2d_desc other = *desc;
        other.out_channels = others[i].out_channels;
        other.in_channels = others[i].in_channels;
        other.kernel_height = others[i].kernel_height;
        other.kernel_width = others[i].kernel_width;
        other.groups = others[i].groups;
        tensors other_t = tensors_new(&other, 0);
        prepared other_p = prepare_named(&other, with_workspace, &other_t);
        check_refused(p, t, other_p.packed.data, others[i].fragment);
        prepared_free(&other_p);
        tensors_free(&other_t);
    }
}

/* Of the algorithms that serve a problem, some read the weights in another order. Each blob either fits, and
 * then the result is right, or is refused. */
static void packed_for_another_algorithm(const convlow_conv2d_desc *desc, const tensors *t) {
    size_t count, accepted = 0, refused = 0;
    convlow_plan_info *infos = query_all(desc, NULL, &count);
    for (size_t a = 0; a < count; ++a) {
        if (!infos[a].applicable) {
            continue;
        }
        prepared packer = prepare_named(desc, convlow_algorithm_name(infos[a].algorithm), t);
        for (size_t b = 0; b < count; ++b) {
            if (!infos[b].applicable) {
                continue;
            }
            prepared reader = prepare_named(desc, convlow_algorithm_name(infos[b].algorithm), t);
            guarded dst = guarded_new(t->dst_len * sizeof(float));
            const convlow_status status =
                convlow_execute(reader.plan, t->src, packer.packed.data, t->bias, (float *)dst.data,
                                reader.workspace.data, reader.workspace.bytes);
            snprintf(check_context, sizeof(check_context), "packed for %s, read by %s",
                     convlow_algorithm_name(infos[a].algorithm), convlow_algorithm_name(infos[b].algorithm));
            if (status == CONVLOW_OK) {
                CHECK(is_expected((const float *)dst.data, t));
                ++accepted;
            } else {
                CHECK_STATUS(status, CONVLOW_ERROR_WEIGHTS_MISMATCH);
                /* The same order may come in other blocks. */
                const char *message = convlow_last_error_message();
                CHECK(strstr(message, "order") != NULL || strstr(message, "channels of a block") != NULL);
                CHECK(is_untouched(&dst));
                CHECK(a != b);
                ++refused;
            }
            guarded_free(&dst);
            prepared_free(&reader);
        }
        prepared_free(&packer);
    }
    check_context[0] = '\0';
    CHECK(accepted > 0);
    CHECK(refused > 0);
    free(infos);
}

static void too_small_buffers(const prepared *p, const tensors *t) {
    guarded dst = guarded_new(t->dst_len * sizeof(float));
    guarded packed = guarded_new(p->packed.bytes);
    for (size_t missing = 1; missing <= p->packed.bytes; missing += p->packed.bytes / 5) {
        CHECK_FAILS(convlow_pack_weights(p->plan, t->weights, packed.data, packed.bytes - missing),
                    CONVLOW_ERROR_INVALID_ARGUMENT, "packed_bytes = ");
    }
    CHECK(is_untouched(&packed));
    memset(p->workspace.data, DIRT, p->workspace.bytes);
    for (size_t missing = 1; missing <= p->workspace.bytes; missing += p->workspace.bytes / 5) {
        CHECK_FAILS(convlow_execute(p->plan, t->src, p->packed.data, t->bias, (float *)dst.data,
                                    p->workspace.data, p->workspace.bytes - missing),
                    CONVLOW_ERROR_WORKSPACE_LIMIT, "workspace_bytes = ");
    }
    CHECK(is_untouched(&dst));
    CHECK(is_untouched(&p->workspace));
    guarded_free(&packed);
    guarded_free(&dst);
}

static void no_workspace_needs_no_buffer(const convlow_conv2d_desc *desc, const tensors *t) {
    prepared p = prepare_named(desc, "direct-sum2d", t);
    guarded dst = guarded_new(t->dst_len * sizeof(float));
    CHECK_SIZE(p.workspace.bytes, 0);
    CHECK_OK(convlow_execute(p.plan, t->src, p.packed.data, t->bias, (float *)dst.data, NULL, 0));
    CHECK(is_expected((const float *)dst.data, t));
    guarded_free(&dst);
    prepared_free(&p);
}

int main(void) {
    convlow_conv2d_desc desc;
    describe(&desc, &problems[1], 0);
    tensors t = tensors_new(&desc, 1);
    prepared p = prepare_named(&desc, with_workspace, &t);
    REQUIRE(p.workspace.bytes > 0);
    copies(&p, &t);
    packing_is_repeatable(&p, &t);
    foreign_bytes(&p, &t);
    corrupted_header(&p, &t);
    truncated(&p, &t);
    cut_before_a_forbidden_page(&p, &t);
    short_foreign_blob(&p, &desc, &t);
    packed_for_another_plan(&p, &desc, &t);
    too_small_buffers(&p, &t);
    prepared_free(&p);

    packed_for_another_algorithm(&desc, &t);
    packing_that_is_asked_for();
    no_workspace_needs_no_buffer(&desc, &t);
    tensors_free(&t);
    return check_result();
}
