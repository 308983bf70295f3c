/*
 * What the planner is asked and what it learns: measuring, its text form between two processes, and the
 * answers of a query.
 */

#define _POSIX_C_SOURCE 200809L
#include "convolution.h"

#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>

static convlow_conv2d_desc plain(void) {
    convlow_conv2d_desc desc;
    describe(&desc, &problems[1], 0);
    return desc;
}

static convlow_plan_options defaults(void) {
    convlow_plan_options options;
    convlow_plan_options_init(&options, sizeof(options));
    return options;
}

/* Options that measure. Tiny problems take milliseconds of the budget, and seconds on a busy machine under
 * valgrind. */
static convlow_plan_options measuring(void) {
    convlow_plan_options options = defaults();
    options.effort = CONVLOW_EFFORT_MEASURE;
    options.measure_budget_seconds = 60.0;
    return options;
}

/* How many algorithms this process has a measured time of. */
static size_t known_times(const convlow_conv2d_desc *desc) {
    size_t count, known = 0;
    convlow_plan_info *infos = query_all(desc, NULL, &count);
    for (size_t i = 0; i < count; ++i) {
        known += infos[i].measured_seconds > 0.0;
    }
    free(infos);
    return known;
}

/* All wisdom of this process, with its NUL; *length is without. The caller frees it. */
static char *export_all(size_t *length) {
    REQUIRE_OK(convlow_wisdom_export(NULL, 0, length));
    char *text = (char *)malloc(*length + 1);
    REQUIRE(text != NULL);
    REQUIRE_OK(convlow_wisdom_export(text, *length + 1, length));
    REQUIRE(strlen(text) == *length);
    return text;
}

/* Measures in a process of its own, whose wisdom comes back as text with a NUL. */
static char *measure_elsewhere(const convlow_conv2d_desc *desc, size_t *length) {
    int ends[2];
    const size_t capacity = 1 << 16;
    char *text = (char *)malloc(capacity);
    REQUIRE(text != NULL);
    REQUIRE(pipe(ends) == 0);
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        const convlow_plan_options options = measuring();
        convlow_plan *plan;
        size_t written;
        REQUIRE(known_times(desc) == 0);
        REQUIRE_OK(convlow_plan_create(desc, &options, &plan));
        convlow_plan_destroy(plan);
        REQUIRE(known_times(desc) > 0);
        char *wisdom = export_all(&written);
        REQUIRE(write(ends[1], wisdom, written) == (ssize_t)written); /* fits the pipe */
        free(wisdom);
        free(text);
        _exit(check_result());
    }
    close(ends[1]);
    *length = 0;
    for (ssize_t got = 1; got > 0; *length += (size_t)got) {
        got = read(ends[0], text + *length, capacity - 1 - *length);
        REQUIRE(got >= 0);
    }
    close(ends[0]);
    text[*length] = '\0';
    int status;
    REQUIRE(waitpid(child, &status, 0) == child);
    REQUIRE(WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS);
    return text;
}

static void refuse(const char *text, size_t length) {
    CHECK_STATUS(convlow_wisdom_import(text, length), CONVLOW_ERROR_INVALID_ARGUMENT);
}

/* Text that no export wrote is refused as a whole. */
static void garbage(const convlow_conv2d_desc *desc, const char *wisdom, size_t length) {
    char *copy = (char *)malloc(length);
    REQUIRE(copy != NULL);
    refuse("", 0);
    refuse("\0\0\0\0", 4);
    refuse("\xff\xfe garbage", 10);
    refuse("wisdom", 6);

    /* The first line must be whole, and so must each other one, of which the last is damaged here. */
    const char *last = wisdom + length - 2;
    while (last > wisdom && last[-1] != '\n') {
        --last;
    }
    const size_t before_last = (size_t)(last - wisdom);
    REQUIRE(before_last > 0);
    for (size_t at = 0; at < 4; ++at) {
        memcpy(copy, wisdom, length);
        copy[at] ^= 0x20;
        refuse(copy, length);
    }
    for (const char *blank = strchr(last, ' '); blank != NULL; blank = strchr(blank + 1, ' ')) {
        refuse(wisdom, (size_t)(blank - wisdom));
    }
    memcpy(copy, wisdom, length);
    memset(copy + before_last, 'x', length - before_last);
    refuse(copy, length);
    memcpy(copy, wisdom, length);
    copy[before_last] = '\xff';
    refuse(copy, length);
    CHECK_SIZE(known_times(desc), 0);
    free(copy);
}

/* Anything that this build does not know is refused by its line. */
static void unknown_words(const convlow_conv2d_desc *desc) {
    static const char *const lines[] = {
        "ic3ih9oc4oh7kh3ph0 1 none no-such-algorithm 1e-3",
        "ic3ih9oc4oh7kh3ph0 1 mkl direct-sum2d 1e-3",
        "ic3ih9oc4oh7kh3ph0 0 none direct-sum2d 1e-3",
        "ic3ih9oc4oh7kh3ph0 1 none direct-sum2d 1e-3 more",
        "ic3ih9oc4oh7kh3ph0 1 none direct-sum2d 1e-3more",
        "ic3ih9oc4oh7kh3ph0 1 none direct-sum2d -1",
        "ic3ih9oc4oh7kh3ph0 1 none direct-sum2d inf",
        "ic3ih9oc4oh7kh3ph0 1 none direct-sum2d",
        "ic3ih9oc4oh7kh3ph0more 1 none direct-sum2d 1e-3",
        "ic3ih9oc4oh7kh3ph0:nchw>nchwc 1 none direct-sum2d 1e-3",
        "ic0ih9oc4oh7kh3ph0 1 none direct-sum2d 1e-3",
        "a problem",
        "",
    };
    static const char good[] = "ic3ih9oc4oh7kh3ph0 1 none direct-sum2d 1e-3\n";
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); ++i) {
        char text[512];
        const int length = snprintf(text, sizeof(text), "convlow-wisdom 1\n%s%s\n", good, lines[i]);
        CHECK_FAILS(convlow_wisdom_import(text, (size_t)length), CONVLOW_ERROR_INVALID_ARGUMENT,
                    "line 3 of the wisdom");
    }
    /* A NUL within a line, and one behind the text. */
    static const char within[] = "convlow-wisdom 1\nic3ih9oc4oh7kh3ph0 1 none direct\0sum2d 1e-3\n";
    static const char behind[] = "convlow-wisdom 1\nic3ih9oc4oh7kh3ph0 1 none direct-sum2d 1e-3\n";
    CHECK_FAILS(convlow_wisdom_import(within, sizeof(within) - 1), CONVLOW_ERROR_INVALID_ARGUMENT, "line 2");
    refuse(behind, sizeof(behind));
    CHECK_SIZE(known_times(desc), 0);
}

/* What is kept has a bound, and what was kept before stays. */
static void too_much_wisdom(void) {
    enum { MOST = 65536, LINES = MOST + 1, LINE = 64 };
    size_t before, after;
    char *text = (char *)malloc((size_t)LINES * LINE);
    REQUIRE(text != NULL);
    size_t length = (size_t)sprintf(text, "convlow-wisdom 1\n");
    for (int line = 0; line < LINES; ++line) {
        length += (size_t)sprintf(text + length, "ic%dih9oc4oh7kh3ph0 1 none direct-sum2d 1e-3\n", line + 1);
    }
    REQUIRE_OK(convlow_wisdom_export(NULL, 0, &before));
    CHECK_FAILS(convlow_wisdom_import(text, length), CONVLOW_ERROR_INVALID_ARGUMENT, "65536");
    REQUIRE_OK(convlow_wisdom_export(NULL, 0, &after));
    CHECK_SIZE(after, before);
    free(text);
}

/* Wherever a text is cut, the import says yes or no, and reads nothing behind the cut. */
static void truncated(const char *wisdom, size_t length) {
    for (size_t cut = 0; cut < length; ++cut) {
        char *exact = (char *)malloc(cut > 0 ? cut : 1);
        REQUIRE(exact != NULL);
        memcpy(exact, wisdom, cut);
        const convlow_status status = convlow_wisdom_import(exact, cut);
        CHECK(status == CONVLOW_OK || status == CONVLOW_ERROR_INVALID_ARGUMENT);
        CHECK(cut > 4 || status != CONVLOW_OK);
        free(exact);
    }
}

static void round_trip(const convlow_conv2d_desc *desc, const char *wisdom, size_t length) {
    size_t exported;
    CHECK_SIZE(known_times(desc), 0);
    CHECK_SIZE(strlen(wisdom), length);
    CHECK_OK(convlow_wisdom_import(wisdom, strlen(wisdom)));
    CHECK(known_times(desc) > 0);
    char *text = export_all(&exported);
    CHECK_SIZE(exported, length);
    CHECK(exported == length && memcmp(text, wisdom, length) == 0);
    free(text);

    /* A plan now takes the fastest measured one without measuring. */
    size_t count;
    convlow_plan *plan;
    convlow_plan_info chosen = {.struct_size = sizeof(chosen)};
    REQUIRE_OK(convlow_plan_create(desc, NULL, &plan));
    CHECK_OK(convlow_plan_get_info(plan, &chosen));
    CHECK(chosen.measured_seconds > 0.0);
    convlow_plan_info *infos = query_all(desc, NULL, &count);
    for (size_t i = 0; i < count; ++i) {
        CHECK(infos[i].measured_seconds == 0.0 || infos[i].measured_seconds >= chosen.measured_seconds);
    }
    free(infos);
    convlow_plan_destroy(plan);
}

static void too_little_room(void) {
    size_t length = 0, untouched = 333;
    REQUIRE_OK(convlow_wisdom_export(NULL, 0, &length));
    for (size_t capacity = 1; capacity <= length; capacity += 1 + length / 3) {
        guarded text = guarded_new(capacity);
        CHECK_FAILS(convlow_wisdom_export((char *)text.data, capacity, &untouched),
                    CONVLOW_ERROR_INVALID_ARGUMENT, "capacity = ");
        CHECK(is_untouched(&text));
        guarded_free(&text);
    }
    guarded text = guarded_new(length); /* no room for the NUL */
    CHECK_STATUS(convlow_wisdom_export((char *)text.data, length, &untouched),
                 CONVLOW_ERROR_INVALID_ARGUMENT);
    CHECK(is_untouched(&text));
    guarded_free(&text);
    CHECK_SIZE(untouched, 333);

    text = guarded_new(length + 1);
    CHECK_OK(convlow_wisdom_export((char *)text.data, length + 1, &untouched));
    CHECK_SIZE(untouched, length);
    CHECK(((const char *)text.data)[length] == '\0');
    CHECK(guards_are_whole(&text));
    guarded_free(&text);
}

/* Measuring keeps to the limits: what does not fit the workspace is not timed. */
static void measuring_within_limits(void) {
    size_t count;
    convlow_conv2d_desc desc;
    convlow_plan_options options = measuring();
    describe(&desc, &problems[2], 0);
    options.max_workspace_bytes = 0;
    convlow_plan_info *infos = query_all(&desc, &options, &count);
    size_t measured = 0, chosen = 0;
    for (size_t i = 0; i < count; ++i) {
        measured += infos[i].measured_seconds > 0.0;
        chosen += infos[i].reason == NULL;
        CHECK(infos[i].measured_seconds == 0.0 || infos[i].workspace_bytes == 0);
        CHECK(infos[i].reason != NULL || infos[i].workspace_bytes == 0);
    }
    CHECK(measured > 0);
    CHECK_SIZE(chosen, 1);
    free(infos);
}

/* However small the budget, there is a plan, and what was not measured says so. */
static void measuring_within_no_time(void) {
    static const problem large = {.in = {64, 60, 60}, .out_channels = 64, .kernel = {3, 3}};
    const double budgets[] = {0.0, 1e-9, 1e-3};
    for (size_t i = 0; i < sizeof(budgets) / sizeof(budgets[0]); ++i) {
        convlow_conv2d_desc desc;
        convlow_plan_options options = measuring();
        convlow_plan *plan;
        size_t count, unmeasured = 0;
        describe(&desc, &large, 0);
        options.measure_budget_seconds = budgets[i];
        CHECK_OK(convlow_plan_create(&desc, &options, &plan));
        convlow_plan_destroy(plan);
        convlow_plan_info *infos = query_all(&desc, &options, &count);
        for (size_t k = 0; k < count; ++k) {
            unmeasured += infos[k].applicable && infos[k].measured_seconds == 0.0;
        }
        CHECK(unmeasured > 0);
        free(infos);
    }
}

/* Without a byte of workspace there is still an algorithm, for whatever problem. */
static void no_workspace_for_odd_problems(void) {
    for (int i = 0; i < PROBLEMS; ++i) {
        for (int layout_pair = 0; layout_pair < LAYOUT_PAIRS; ++layout_pair) {
            convlow_conv2d_desc desc;
            convlow_plan_options options = defaults();
            describe(&desc, &problems[i], layout_pair);
            snprintf(check_context, sizeof(check_context), "%s, layouts %d, no workspace", problems[i].name,
                     layout_pair);
            options.max_workspace_bytes = 0;
            tensors t = tensors_new(&desc, problems[i].bias);
            prepared p = prepare(&desc, &options, &t);
            guarded dst = guarded_new(t.dst_len * sizeof(float));
            CHECK_SIZE(p.workspace.bytes, 0);
            memcpy(dst.data, t.dst_before, dst.bytes);
            CHECK_OK(convlow_execute(p.plan, t.src, p.packed.data, t.bias, (float *)dst.data, NULL, 0));
            CHECK(is_expected((const float *)dst.data, &t));
            guarded_free(&dst);
            prepared_free(&p);
            tensors_free(&t);
        }
    }
    check_context[0] = '\0';
}

static void counts_and_capacities(void) {
    const convlow_conv2d_desc desc = plain();
    const size_t all = convlow_algorithm_count();
    size_t count = 0;
    convlow_plan_info *full = query_all(&desc, NULL, &count);
    const size_t capacities[] = {0, 1, 2, all - 1, all, all + 3};
    CHECK_OK(convlow_query(&desc, NULL, NULL, 0, &count));
    CHECK_SIZE(count, all);
    for (size_t k = 0; k < sizeof(capacities) / sizeof(capacities[0]); ++k) {
        const size_t capacity = capacities[k], written = capacity < all ? capacity : all;
        convlow_plan_info *infos = (convlow_plan_info *)calloc(capacity + 1, sizeof(*infos));
        REQUIRE(infos != NULL);
        infos[0].struct_size = sizeof(*infos);
        count = 0;
        CHECK_OK(convlow_query(&desc, NULL, infos, capacity, &count));
        CHECK_SIZE(count, all); /* how many there are, not how many were written */
        for (size_t i = 0; i < written; ++i) {
            CHECK_SIZE(infos[i].struct_size, sizeof(*infos));
            CHECK(infos[i].algorithm == convlow_algorithm_at(i));
            CHECK_SIZE(infos[i].workspace_bytes, full[i].workspace_bytes);
            CHECK(infos[i].reason == full[i].reason);
        }
        if (capacity >= written && capacity > 0) {
            CHECK(bytes_are(&infos[written], 0, (capacity + 1 - written) * sizeof(*infos)));
        }
        free(infos);
    }
    free(full);
}

/* The query tells which one a plan would take: the one without a reason. */
static void the_query_and_the_plan_agree(void) {
    for (int i = 0; i < PROBLEMS; ++i) {
        size_t count, chosen = 0;
        convlow_conv2d_desc desc;
        convlow_plan *plan;
        convlow_plan_info info = {.struct_size = sizeof(info)};
        describe(&desc, &problems[i], i % LAYOUT_PAIRS);
        REQUIRE_OK(convlow_plan_create(&desc, NULL, &plan));
        CHECK_OK(convlow_plan_get_info(plan, &info));
        convlow_plan_info *infos = query_all(&desc, NULL, &count);
        for (size_t k = 0; k < count; ++k) {
            if (infos[k].reason == NULL) {
                ++chosen;
                CHECK(infos[k].algorithm == info.algorithm);
                CHECK(infos[k].applicable == 1);
            }
        }
        CHECK_SIZE(chosen, 1);
        free(infos);
        convlow_plan_destroy(plan);
    }
}

/* How many algorithms this process has a measured time of, for elements of this type. */
static size_t known_times_of(convlow_convnd_desc desc, int32_t type) {
    const size_t capacity = convlow_algorithm_count();
    convlow_plan_info *infos = (convlow_plan_info *)calloc(capacity, sizeof(*infos));
    size_t count, known = 0;
    REQUIRE(infos != NULL);
    infos[0].struct_size = sizeof(*infos);
    desc.type = type;
    REQUIRE_OK(convlow_query_nd(&desc, NULL, infos, capacity, &count));
    for (size_t i = 0; i < count; ++i) {
        known += infos[i].measured_seconds > 0.0;
    }
    free(infos);
    return known;
}

/* What was measured in float says nothing of double, and the text keeps them apart. */
static void types_are_measured_apart(void) {
    const convlow_plan_options options = measuring();
    convlow_convnd_desc desc;
    convlow_convnd_desc_init(&desc, sizeof(desc));
    desc.spatial_dims = 1;
    desc.in_channels = desc.out_channels = 3;
    desc.in_size[0] = 29;
    desc.kernel_size[0] = 5;
    for (int32_t type = CONVLOW_TYPE_F32; type <= CONVLOW_TYPE_F64; ++type) {
        convlow_plan *plan;
        CHECK_SIZE(known_times_of(desc, type), 0);
        desc.type = type;
        REQUIRE_OK(convlow_plan_create_nd(&desc, &options, &plan));
        convlow_plan_destroy(plan);
        CHECK(known_times_of(desc, type) > 0);
    }
    size_t length;
    char *text = export_all(&length);
    CHECK_CONTAINS(text, ":f64 ");
    CHECK_OK(convlow_wisdom_import(text, length));
    size_t again;
    char *same = export_all(&again);
    CHECK_SIZE(again, length);
    CHECK(strcmp(same, text) == 0);
    free(same);
    free(text);
}

/* What was measured of slices in any layouts, and of what forms no product, is read back as it was written.
 */
static void slices_and_nothing(void) {
    size_t measured = 0;
    for (int kind = 0; kind < 2 * LAYOUT_PAIRS; ++kind) {
        convlow_convnd_desc d;
        CONVLOW_CONVND_DESC_INIT(&d);
        d.src_layout = kind % 2;
        d.dst_layout = kind / 2 % 2;
        d.in_channels = d.out_channels = 6;
        d.in_size[0] = d.in_size[1] = 4;
        d.kernel_size[0] = d.kernel_size[1] = 1;
        if (kind < LAYOUT_PAIRS) {
            /* Of pixels or planes; 16 is as packed planes have it, and none as pixels do. */
            d.src_channel_stride = d.dst_channel_stride = 16;
            d.src_batch_stride = d.dst_batch_stride = 300;
        } else {
            /* No output sees the one pixel. */
            d.in_channels = d.out_channels = 1;
            d.in_size[0] = d.in_size[1] = 1;
            d.stride[1] = 2;
            d.pad_before[1] = d.pad_after[1] = 1;
        }
        size_t count;
        REQUIRE_OK(convlow_query_nd(&d, NULL, NULL, 0, &count));
        for (size_t at = 0; at < count; ++at) {
            convlow_plan_options options = measuring();
            convlow_plan *plan;
            convlow_plan_info info = {.struct_size = sizeof(info)};
            options.algorithm = convlow_algorithm_at(at);
            if (convlow_plan_create_nd(&d, &options, &plan) == CONVLOW_OK) {
                CHECK_OK(convlow_plan_get_info(plan, &info));
                CHECK(info.measured_seconds >= 0.0); /* and no NaN */
                measured += info.measured_seconds > 0.0;
                convlow_plan_destroy(plan);
            }
        }
    }
    CHECK(measured > 20);
    size_t length, again;
    char *wisdom = export_all(&length);
    CHECK(strstr(wisdom, "NaN") == NULL);
    CHECK_OK(convlow_wisdom_import(wisdom, length));
    char *same = export_all(&again);
    CHECK(length == again && memcmp(wisdom, same, length) == 0);
    free(wisdom);
    free(same);
}

int main(void) {
    const convlow_conv2d_desc desc = plain();
    size_t length;
    char *wisdom = measure_elsewhere(&desc, &length); /* first: a fork copies no threads */
    garbage(&desc, wisdom, length);
    unknown_words(&desc);
    round_trip(&desc, wisdom, length);
    truncated(wisdom, length);
    too_much_wisdom();
    free(wisdom);
    too_little_room();
    measuring_within_limits();
    measuring_within_no_time();
    types_are_measured_apart();
    slices_and_nothing();
    no_workspace_for_odd_problems();
    counts_and_capacities();
    the_query_and_the_plan_agree();
    return check_result();
}
