/*
 * Every field of every struct with values that make no sense, every pointer NULL or misaligned, buffers that
 * overlap: all are refused with a status, and nothing is read or written beyond what the caller gave.
 */

#include "definition.h"

#include <limits.h>
#include <stdint.h>

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

/* What all functions that take a descriptor and options say, if they say the same. */
static convlow_status status_of(const convlow_conv2d_desc *desc, const convlow_plan_options *options) {
    size_t count;
    convlow_plan *plan = NULL;
    const convlow_status created = convlow_plan_create(desc, options, &plan);
    CHECK((plan != NULL) == (created == CONVLOW_OK));
    CHECK_STATUS(convlow_query(desc, options, NULL, 0, &count), created);
    convlow_plan_destroy(plan);
    return created;
}

static convlow_status status_of_desc(const convlow_conv2d_desc *desc) {
    size_t height, width;
    const convlow_status status = convlow_conv2d_output_size(desc, &height, &width);
    CHECK_STATUS(status_of(desc, NULL), status);
    return status;
}

/* --- values -------------------------------------------------------------------------------------- */

typedef struct field {
    const char *name;
    size_t offset, bytes;
} field;

#define FIELD(type, name) \
    { #name, offsetof(type, name), sizeof(((type *)NULL)->name) }
#define DESC_FIELD(name) FIELD(convlow_conv2d_desc, name)
#define OPTIONS_FIELD(name) FIELD(convlow_plan_options, name)
#define INFO_FIELD(name) FIELD(convlow_plan_info, name)
#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static void sizes_of_the_descriptor(void) {
    static const struct {
        field field;
        convlow_status at_0, at_half, at_max; /* at 0, SIZE_MAX / 2, SIZE_MAX */
    } rows[] = {
        /* No images are none; the sizes are padded by 1 on both sides, under a kernel of 3. */
        {DESC_FIELD(batch), CONVLOW_OK, CONVLOW_ERROR_OVERFLOW, CONVLOW_ERROR_OVERFLOW},
        {DESC_FIELD(in_channels), CONVLOW_ERROR_INVALID_ARGUMENT, CONVLOW_ERROR_OVERFLOW,
         CONVLOW_ERROR_OVERFLOW},
        {DESC_FIELD(in_height), CONVLOW_OK, CONVLOW_ERROR_OVERFLOW, CONVLOW_ERROR_OVERFLOW},
        {DESC_FIELD(in_width), CONVLOW_OK, CONVLOW_ERROR_OVERFLOW, CONVLOW_ERROR_OVERFLOW},
        {DESC_FIELD(out_channels), CONVLOW_ERROR_INVALID_ARGUMENT, CONVLOW_ERROR_OVERFLOW,
         CONVLOW_ERROR_OVERFLOW},
        {DESC_FIELD(kernel_height), CONVLOW_ERROR_INVALID_ARGUMENT, CONVLOW_ERROR_INVALID_ARGUMENT,
         CONVLOW_ERROR_INVALID_ARGUMENT},
        {DESC_FIELD(kernel_width), CONVLOW_ERROR_INVALID_ARGUMENT, CONVLOW_ERROR_INVALID_ARGUMENT,
         CONVLOW_ERROR_INVALID_ARGUMENT},
        /* A stride beyond the input is odd, but has one output; one beyond ptrdiff_t is a negative number. */
        {DESC_FIELD(stride_height), CONVLOW_ERROR_INVALID_ARGUMENT, CONVLOW_OK, CONVLOW_ERROR_OVERFLOW},
        {DESC_FIELD(stride_width), CONVLOW_ERROR_INVALID_ARGUMENT, CONVLOW_OK, CONVLOW_ERROR_OVERFLOW},
        {DESC_FIELD(dilation_height), CONVLOW_ERROR_INVALID_ARGUMENT, CONVLOW_ERROR_INVALID_ARGUMENT,
         CONVLOW_ERROR_OVERFLOW},
        {DESC_FIELD(dilation_width), CONVLOW_ERROR_INVALID_ARGUMENT, CONVLOW_ERROR_INVALID_ARGUMENT,
         CONVLOW_ERROR_OVERFLOW},
        {DESC_FIELD(pad_top), CONVLOW_OK, CONVLOW_ERROR_OVERFLOW, CONVLOW_ERROR_OVERFLOW},
        {DESC_FIELD(pad_left), CONVLOW_OK, CONVLOW_ERROR_OVERFLOW, CONVLOW_ERROR_OVERFLOW},
        {DESC_FIELD(pad_bottom), CONVLOW_OK, CONVLOW_ERROR_OVERFLOW, CONVLOW_ERROR_OVERFLOW},
        {DESC_FIELD(pad_right), CONVLOW_OK, CONVLOW_ERROR_OVERFLOW, CONVLOW_ERROR_OVERFLOW},
        {DESC_FIELD(groups), CONVLOW_ERROR_INVALID_ARGUMENT, CONVLOW_ERROR_INVALID_ARGUMENT,
         CONVLOW_ERROR_INVALID_ARGUMENT},
    };
    for (size_t i = 0; i < COUNT_OF(rows); ++i) {
        const struct {
            size_t value;
            convlow_status expected;
        } cases[] = {{0, rows[i].at_0}, {SIZE_MAX / 2, rows[i].at_half}, {SIZE_MAX, rows[i].at_max}};
        for (size_t k = 0; k < COUNT_OF(cases); ++k) {
            char named[64];
            convlow_conv2d_desc desc = plain();
            memcpy((char *)&desc + rows[i].field.offset, &cases[k].value, sizeof(size_t));
            snprintf(named, sizeof(named), "%s = %zu", rows[i].field.name, cases[k].value);
            snprintf(check_context, sizeof(check_context), "%s", named);
            CHECK_STATUS(status_of_desc(&desc), cases[k].expected);
            if (cases[k].expected == CONVLOW_ERROR_INVALID_ARGUMENT) {
                CHECK_CONTAINS(convlow_last_error_message(), named);
            }
        }
    }
    check_context[0] = '\0';
}

static void sizes_that_disagree(void) {
    convlow_conv2d_desc desc = plain(); /* 5 channels in, 7 out */
    desc.groups = 5;
    CHECK_FAILS(status_of_desc(&desc), CONVLOW_ERROR_INVALID_ARGUMENT,
                "groups = 5 does not divide out_channels = 7");
    desc.groups = 7;
    CHECK_FAILS(status_of_desc(&desc), CONVLOW_ERROR_INVALID_ARGUMENT,
                "groups = 7 does not divide in_channels = 5");
    desc = plain();
    desc.kernel_height = 12;
    CHECK_FAILS(status_of_desc(&desc), CONVLOW_ERROR_INVALID_ARGUMENT, "kernel_height = 12");
    desc = plain();
    desc.dilation_width = 5;
    CHECK_FAILS(status_of_desc(&desc), CONVLOW_ERROR_INVALID_ARGUMENT, "dilation_width = 5");
    /* Each size by itself is possible, their product is not. */
    desc = plain();
    desc.batch = desc.in_height = desc.in_width = (size_t)1 << 21;
    CHECK_STATUS(status_of_desc(&desc), CONVLOW_ERROR_OVERFLOW);
    desc = plain();
    desc.in_channels = desc.out_channels = (size_t)1 << 31;
    CHECK_STATUS(status_of_desc(&desc), CONVLOW_ERROR_OVERFLOW);
}

/* Valid, though no memory holds it: planned as quickly as any other. */
static void sizes_beyond_memory(void) {
    convlow_conv2d_desc desc = plain();
    desc.pad_left = (size_t)1 << 50;
    CHECK_OK(status_of_desc(&desc));
    desc = plain();
    desc.in_width = (size_t)1 << 50;
    CHECK_OK(status_of_desc(&desc));
    desc = plain();
    desc.batch = (size_t)1 << 44;
    CHECK_OK(status_of_desc(&desc));
}

/* The widest strides that still have two outputs, and one: the arithmetic of positions must not wrap. */
static void strides_at_the_limit(void) {
    for (int both = 0; both < 2; ++both) {
        size_t count;
        convlow_conv2d_desc desc = plain();
        desc.stride_height = SIZE_MAX / 2;
        desc.stride_width = both ? SIZE_MAX / 2 : desc.in_width + 1;
        tensors t = tensors_new(&desc, 0);
        CHECK_SIZE(t.dst_len, desc.out_channels);
        convlow_plan_options options = defaults();
        convlow_plan_info *infos = query_all(&desc, &options, &count);
        for (size_t i = 0; i < count; ++i) {
            if (infos[i].applicable) {
                options.algorithm = infos[i].algorithm;
                snprintf(check_context, sizeof(check_context), "%s",
                         convlow_algorithm_name(options.algorithm));
                guarded dst = guarded_new(t.dst_len * sizeof(float));
                prepared p = prepare(&desc, &options, &t);
                CHECK_OK(execute_prepared(&p, &t, (float *)dst.data));
                CHECK(is_expected((const float *)dst.data, &t));
                CHECK(guards_are_whole(&dst));
                prepared_free(&p);
                guarded_free(&dst);
            }
        }
        free(infos);
        tensors_free(&t);
    }
    check_context[0] = '\0';
}

static const int32_t no_constants[] = {-1, 5, 1000, INT32_MIN, INT32_MAX};

enum { FIRST_ACTIVATION = CONVLOW_ACTIVATION_NONE, LAST_ACTIVATION = CONVLOW_ACTIVATION_PRELU };

static void constants_of_the_activation(void) {
    const int32_t no_activations[] = {FIRST_ACTIVATION - 1, LAST_ACTIVATION + 1, 1000, INT32_MIN, INT32_MAX};
    char named[64];
    size_t size[3];
    for (size_t k = 0; k < COUNT_OF(no_activations); ++k) {
        convlow_conv2d_desc desc = plain();
        convlow_convnd_desc longer = long_form(&problems[1]);
        desc.activation = longer.activation = no_activations[k];
        snprintf(named, sizeof(named), "activation = %d", (int)no_activations[k]);
        CHECK_FAILS(status_of_desc(&desc), CONVLOW_ERROR_INVALID_ARGUMENT, named);
        CHECK_FAILS(convlow_convnd_output_size(&longer, size), CONVLOW_ERROR_INVALID_ARGUMENT, named);
    }
    for (int32_t activation = FIRST_ACTIVATION; activation <= LAST_ACTIVATION; ++activation) {
        convlow_conv2d_desc desc = plain();
        desc.activation = activation;
        CHECK_OK(status_of_desc(&desc));
    }
}

static void constants(void) {
    static const field in_desc[] = {DESC_FIELD(src_layout), DESC_FIELD(dst_layout),
                                    DESC_FIELD(weights_layout)};
    static const field in_options[] = {OPTIONS_FIELD(algorithm), OPTIONS_FIELD(math), OPTIONS_FIELD(effort),
                                       OPTIONS_FIELD(gemm), OPTIONS_FIELD(packing)};
    for (size_t k = 0; k < COUNT_OF(no_constants); ++k) {
        char named[64];
        for (size_t i = 0; i < COUNT_OF(in_desc); ++i) {
            convlow_conv2d_desc desc = plain();
            memcpy((char *)&desc + in_desc[i].offset, &no_constants[k], sizeof(int32_t));
            snprintf(named, sizeof(named), "%s = %d", in_desc[i].name, (int)no_constants[k]);
            CHECK_FAILS(status_of_desc(&desc), CONVLOW_ERROR_INVALID_ARGUMENT, named);
        }
        for (size_t i = 0; i < COUNT_OF(in_options); ++i) {
            const convlow_conv2d_desc desc = plain();
            convlow_plan_options options = defaults();
            int32_t value = no_constants[k];
            if (i == 0 && convlow_algorithm_name(value) != NULL) {
                continue; /* an id */
            }
            memcpy((char *)&options + in_options[i].offset, &value, sizeof(value));
            snprintf(named, sizeof(named), "%s = %d", in_options[i].name, (int)value);
            CHECK_FAILS(status_of(&desc, &options), CONVLOW_ERROR_INVALID_ARGUMENT, named);
        }
        CHECK(no_constants[k] == 5 || convlow_algorithm_name(no_constants[k]) == NULL);
    }
    CHECK(convlow_algorithm_at(convlow_algorithm_count()) == -1);
    CHECK(convlow_algorithm_at(SIZE_MAX) == -1);
    CHECK(convlow_algorithm_from_name("im2col") == -1);
    CHECK(convlow_algorithm_from_name("") == -1);
    const convlow_conv2d_desc desc = plain();
    convlow_plan_options options = defaults();
    options.gemm = CONVLOW_GEMM_KERNELS; /* an answer, not an option */
    CHECK_FAILS(status_of(&desc, &options), CONVLOW_ERROR_INVALID_ARGUMENT,
                "gemm = 3 (CONVLOW_GEMM_KERNELS)");
}

static void bounds_of_the_activation(void) {
    const float bounds[][2] = {{NAN, 1.0f}, {0.0f, NAN}, {NAN, NAN}, {1.0f, 0.0f}, {INFINITY, -INFINITY}};
    for (size_t i = 0; i < COUNT_OF(bounds); ++i) {
        convlow_conv2d_desc desc = plain();
        desc.activation_min = bounds[i][0];
        desc.activation_max = bounds[i][1];
        desc.activation = CONVLOW_ACTIVATION_TANH;
        CHECK_OK(status_of_desc(&desc)); /* nobody looks at them */
        desc.activation = CONVLOW_ACTIVATION_CLAMP;
        CHECK_FAILS(status_of_desc(&desc), CONVLOW_ERROR_INVALID_ARGUMENT, "activation_min = ");
        CHECK_CONTAINS(convlow_last_error_message(), "activation_max = ");
    }
    convlow_conv2d_desc desc = plain();
    desc.activation = CONVLOW_ACTIVATION_CLAMP;
    desc.activation_min = desc.activation_max = 1.0f;
    CHECK_OK(status_of_desc(&desc));
    /* A clamp whose activation was forgotten does nothing: said, and not done in silence. */
    desc.activation = CONVLOW_ACTIVATION_NONE;
    CHECK_FAILS(status_of_desc(&desc), CONVLOW_ERROR_INVALID_ARGUMENT,
                "activation_min = 1 and activation_max = 1, but activation = CONVLOW_ACTIVATION_NONE: set");
    desc.activation_min = -INFINITY;
    desc.activation_max = 6.0f;
    CHECK_FAILS(status_of_desc(&desc), CONVLOW_ERROR_INVALID_ARGUMENT, "activation_max = 6");
    /* As a descriptor has it that was filled with zeros. */
    desc.activation_min = desc.activation_max = 0.0f;
    CHECK_OK(status_of_desc(&desc));
}

/* Any finite number will do, and a NaN asks for the default; whether the activation has the parameter or not.
 */
static void parameters_of_the_activation(void) {
    const double numbers[] = {0.0, -0.0, 1e300, -1e300, 5e-324, (double)NAN};
    for (int32_t activation = FIRST_ACTIVATION; activation <= LAST_ACTIVATION; ++activation) {
        snprintf(check_context, sizeof(check_context), "activation %d", (int)activation);
        for (size_t i = 0; i < 2 + COUNT_OF(numbers); ++i) {
            const int refused = i < 2;
            const double value = i == 0 ? (double)INFINITY : i == 1 ? -(double)INFINITY : numbers[i - 2];
            for (int beta = 0; beta < 2; ++beta) {
                convlow_conv2d_desc desc = plain();
                convlow_convnd_desc longer = long_form(&problems[1]);
                size_t size[3];
                desc.activation = longer.activation = activation;
                *(beta ? &desc.activation_beta : &desc.activation_alpha) = value;
                *(beta ? &longer.activation_beta : &longer.activation_alpha) = value;
                if (refused) {
                    const char *named = beta ? "activation_beta = " : "activation_alpha = ";
                    CHECK_FAILS(status_of_desc(&desc), CONVLOW_ERROR_INVALID_ARGUMENT, named);
                    CHECK_FAILS(convlow_convnd_output_size(&longer, size), CONVLOW_ERROR_INVALID_ARGUMENT,
                                named);
                } else {
                    CHECK_OK(status_of_desc(&desc));
                    CHECK_OK(convlow_convnd_output_size(&longer, size));
                }
            }
        }
    }
    check_context[0] = '\0';
}

/* Any non-zero value means yes. */
static void flags(void) {
    convlow_conv2d_desc desc;
    describe(&desc, &problems[1], 0);
    desc.accumulate = INT32_MIN;
    tensors t = tensors_new(&desc, 0);
    prepared p = prepare(&desc, NULL, &t);
    guarded dst = guarded_new(t.dst_len * sizeof(float));
    CHECK_OK(execute_prepared(&p, &t, (float *)dst.data));
    CHECK(is_expected((const float *)dst.data, &t));
    guarded_free(&dst);
    prepared_free(&p);
    tensors_free(&t);
}

/* Refusals say what to do: the constant to set, the function to call, the limit that fits. */
static void messages_that_help(void) {
    convlow_conv2d_desc desc = plain();
    convlow_plan_options options = defaults();
    convlow_plan *plan;
    options.algorithm = convlow_algorithm_from_name("winograd-strip-4x4-3x3");
    CHECK_FAILS(convlow_plan_create(&desc, &options, &plan), CONVLOW_ERROR_UNSUPPORTED,
                "needs math = CONVLOW_MATH_FAST");
    desc.src_layout = 7;
    CHECK_FAILS(status_of_desc(&desc), CONVLOW_ERROR_INVALID_ARGUMENT,
                "CONVLOW_LAYOUT_NCHW (0) or CONVLOW_LAYOUT_NHWC (1)");
    desc = plain();
    desc.struct_size = 0;
    CHECK_FAILS(status_of_desc(&desc), CONVLOW_ERROR_INVALID_ARGUMENT,
                "call CONVLOW_CONV2D_DESC_INIT(&desc)");

    /* The limit that the message names is the least. */
    desc = plain();
    options = defaults();
    options.max_packed_weights_bytes = 1;
    const char *unlimited =
        "max_workspace_bytes = unlimited and max_packed_weights_bytes = 1: the least of each alone is 0 and ";
    CHECK_FAILS(convlow_plan_create(&desc, &options, &plan), CONVLOW_ERROR_WORKSPACE_LIMIT, unlimited);
    const char *least = strstr(convlow_last_error_message(), " is 0 and ");
    REQUIRE(least != NULL);
    options.max_packed_weights_bytes = strtoull(least + strlen(" is 0 and "), NULL, 10);
    CHECK_OK(status_of(&desc, &options));
    --options.max_packed_weights_bytes;
    CHECK_STATUS(convlow_plan_create(&desc, &options, &plan), CONVLOW_ERROR_WORKSPACE_LIMIT);
}

static void budgets(void) {
    const double no_times[] = {(double)NAN, -1.0, (double)INFINITY, -(double)INFINITY};
    const convlow_conv2d_desc desc = plain();
    for (size_t i = 0; i < COUNT_OF(no_times); ++i) {
        convlow_plan_options options = defaults();
        options.measure_budget_seconds = no_times[i];
        CHECK_OK(status_of(&desc, &options)); /* nobody looks at it */
        options.effort = CONVLOW_EFFORT_MEASURE;
        CHECK_FAILS(status_of(&desc, &options), CONVLOW_ERROR_INVALID_ARGUMENT, "measure_budget_seconds = ");
    }
    convlow_plan_options options = defaults();
    options.effort = CONVLOW_EFFORT_MEASURE;
    options.measure_budget_seconds = 0.0;
    options.max_workspace_bytes = 0;
    CHECK_OK(status_of(&desc, &options));
}

/* --- struct_size --------------------------------------------------------------------------------- */

enum { LARGEST_STRUCT = 4096 };

static const field desc_fields[] = {
    DESC_FIELD(src_layout),      DESC_FIELD(dst_layout),      DESC_FIELD(weights_layout),
    DESC_FIELD(activation),      DESC_FIELD(batch),           DESC_FIELD(in_channels),
    DESC_FIELD(in_height),       DESC_FIELD(in_width),        DESC_FIELD(out_channels),
    DESC_FIELD(kernel_height),   DESC_FIELD(kernel_width),    DESC_FIELD(stride_height),
    DESC_FIELD(stride_width),    DESC_FIELD(dilation_height), DESC_FIELD(dilation_width),
    DESC_FIELD(pad_top),         DESC_FIELD(pad_left),        DESC_FIELD(pad_bottom),
    DESC_FIELD(pad_right),       DESC_FIELD(groups),          DESC_FIELD(activation_min),
    DESC_FIELD(activation_max),  DESC_FIELD(accumulate),      DESC_FIELD(activation_alpha),
    DESC_FIELD(activation_beta),
};

static const field options_fields[] = {
    OPTIONS_FIELD(algorithm),
    OPTIONS_FIELD(math),
    OPTIONS_FIELD(effort),
    OPTIONS_FIELD(gemm),
    OPTIONS_FIELD(max_workspace_bytes),
    OPTIONS_FIELD(measure_budget_seconds),
    OPTIONS_FIELD(pool),
    OPTIONS_FIELD(measure_max_bytes),
    OPTIONS_FIELD(max_packed_weights_bytes),
    OPTIONS_FIELD(packing_id),
    OPTIONS_FIELD(packing),
    OPTIONS_FIELD(reserved0),
};

static const field info_fields[] = {
    INFO_FIELD(algorithm),
    INFO_FIELD(applicable),
    INFO_FIELD(gemm),
    INFO_FIELD(reserved),
    INFO_FIELD(workspace_bytes),
    INFO_FIELD(packed_weights_bytes),
    INFO_FIELD(dst_height),
    INFO_FIELD(dst_width),
    INFO_FIELD(macs),
    INFO_FIELD(gemm_calls),
    INFO_FIELD(estimated_seconds),
    INFO_FIELD(measured_seconds),
    INFO_FIELD(reason),
    INFO_FIELD(isa),
};

/* Whether a struct of `size` bytes ends where a field begins, behind another one, or is whole. */
static int is_possible(size_t size, const field *fields, size_t count, size_t whole) {
    for (size_t i = 1; i < count; ++i) {
        if (size == fields[i].offset) {
            return 1;
        }
    }
    return size >= whole && size <= LARGEST_STRUCT;
}

/* Whether two structs of `size` bytes agree in the fields that they have. Padding says nothing. */
static int fields_agree(const void *a, const void *b, const field *fields, size_t count, size_t size) {
    for (size_t i = 0; i < count; ++i) {
        const size_t at = fields[i].offset, bytes = fields[i].bytes;
        if (at + bytes <= size && memcmp((const char *)a + at, (const char *)b + at, bytes) != 0) {
            return 0;
        }
    }
    return 1;
}

/* A copy of a struct that says it has `size` bytes, in memory of exactly that many: what `whole` does not
 * have is zero. */
static void *resized(const void *original, size_t whole, size_t size) {
    const size_t bytes = size < sizeof(size_t) ? sizeof(size_t) : size;
    void *copy = calloc(1, bytes);
    REQUIRE(copy != NULL);
    memcpy(copy, original, bytes < whole ? bytes : whole);
    memcpy(copy, &size, sizeof(size));
    return copy;
}

static void sizes_of_descriptors(void) {
    /* The last size without a default is kernel_width; whatever lies behind it may be missing. */
    const convlow_conv2d_desc original = plain();
    for (size_t size = 0; size <= sizeof(original) + 24; ++size) {
        convlow_conv2d_desc *desc = (convlow_conv2d_desc *)resized(&original, sizeof(original), size);
        snprintf(check_context, sizeof(check_context), "struct_size %zu of a descriptor", size);
        if (!is_possible(size, desc_fields, COUNT_OF(desc_fields), sizeof(original))) {
            CHECK_FAILS(status_of_desc(desc), CONVLOW_ERROR_INVALID_ARGUMENT,
                        "convlow_conv2d_desc.struct_size = ");
            CHECK_CONTAINS(convlow_last_error_message(), "call CONVLOW_CONV2D_DESC_INIT");
        } else if (size <= offsetof(convlow_conv2d_desc, kernel_width)) {
            CHECK_FAILS(status_of_desc(desc), CONVLOW_ERROR_INVALID_ARGUMENT,
                        " = 0, but it must be at least 1");
        } else {
            size_t height, width;
            const int padded = size > offsetof(convlow_conv2d_desc, pad_right);
            CHECK_OK(status_of_desc(desc));
            CHECK_OK(convlow_conv2d_output_size(desc, &height, &width));
            CHECK_SIZE(width,
                       original.in_width - 2 + (size > offsetof(convlow_conv2d_desc, pad_left)) + padded);
        }
        free(desc);
    }
    check_context[0] = '\0';
}

static void sizes_of_options(void) {
    const convlow_conv2d_desc desc = plain();
    convlow_plan_options original = defaults();
    original.algorithm = convlow_algorithm_from_name("direct-sum2d");
    for (size_t size = 0; size <= sizeof(original) + 24; ++size) {
        convlow_plan_options *options = (convlow_plan_options *)resized(&original, sizeof(original), size);
        snprintf(check_context, sizeof(check_context), "struct_size %zu of options", size);
        if (!is_possible(size, options_fields, COUNT_OF(options_fields), sizeof(original))) {
            CHECK_FAILS(status_of(&desc, options), CONVLOW_ERROR_INVALID_ARGUMENT,
                        "convlow_plan_options.struct_size = ");
        } else if (CHECK_OK(status_of(&desc, options)) && size > offsetof(convlow_plan_options, algorithm)) {
            convlow_plan *plan;
            convlow_plan_info info = {.struct_size = sizeof(info)};
            REQUIRE_OK(convlow_plan_create(&desc, options, &plan));
            CHECK_OK(convlow_plan_get_info(plan, &info));
            CHECK(info.algorithm == original.algorithm);
            convlow_plan_destroy(plan);
        }
        free(options);
    }
    check_context[0] = '\0';
}

/* Infos are written within the size that the caller gives, one behind the other. */
static void sizes_of_infos(void) {
    const convlow_conv2d_desc desc = plain();
    convlow_plan *plan;
    convlow_plan_info chosen = {.struct_size = sizeof(chosen)};
    size_t all, count;
    REQUIRE_OK(convlow_plan_create(&desc, NULL, &plan));
    REQUIRE_OK(convlow_plan_get_info(plan, &chosen));
    convlow_plan_info *infos = query_all(&desc, NULL, &all);
    for (size_t size = 0; size <= sizeof(chosen) + 24; ++size) {
        const int possible = is_possible(size, info_fields, COUNT_OF(info_fields), sizeof(chosen));
        const size_t known = size < sizeof(chosen) ? size : sizeof(chosen);
        const convlow_plan_info empty = {.struct_size = 0};
        convlow_plan_info *info = (convlow_plan_info *)resized(&empty, sizeof(empty), size);
        snprintf(check_context, sizeof(check_context), "struct_size %zu of an info", size);
        CHECK_STATUS(convlow_plan_get_info(plan, info),
                     possible ? CONVLOW_OK : CONVLOW_ERROR_INVALID_ARGUMENT);
        CHECK_SIZE(info->struct_size, size);
        if (possible) {
            CHECK(fields_agree(info, &chosen, info_fields, COUNT_OF(info_fields), size));
        } else {
            CHECK_CONTAINS(convlow_last_error_message(), "convlow_plan_info.struct_size = ");
        }
        free(info);

        if (size >= sizeof(size_t)) {
            unsigned char *queried = (unsigned char *)calloc(all, size);
            REQUIRE(queried != NULL);
            memcpy(queried, &size, sizeof(size));
            count = 333;
            CHECK_STATUS(convlow_query(&desc, NULL, (convlow_plan_info *)(void *)queried, all, &count),
                         possible ? CONVLOW_OK : CONVLOW_ERROR_INVALID_ARGUMENT);
            CHECK_SIZE(count, possible ? all : 333);
            for (size_t i = 0; possible && i < all; ++i) {
                const unsigned char *element = queried + i * size;
                CHECK(memcmp(element, &size, sizeof(size)) == 0);
                CHECK(fields_agree(element, &infos[i], info_fields, COUNT_OF(info_fields), size));
                CHECK(bytes_are(element + known, 0, size - known));
            }
            free(queried);
        }
    }
    check_context[0] = '\0';
    free(infos);
    convlow_plan_destroy(plan);
}

static void tails_that_are_not_zero(void) {
    const convlow_conv2d_desc plain_desc = plain();
    const convlow_plan_options plain_options = defaults();
    for (size_t at = 0; at < 16; ++at) {
        convlow_conv2d_desc *desc =
            (convlow_conv2d_desc *)resized(&plain_desc, sizeof(plain_desc), sizeof(plain_desc) + 16);
        convlow_plan_options *options = (convlow_plan_options *)resized(&plain_options, sizeof(plain_options),
                                                                        sizeof(plain_options) + 16);
        ((unsigned char *)desc)[sizeof(plain_desc) + at] = 1;
        CHECK_FAILS(status_of_desc(desc), CONVLOW_ERROR_INVALID_ARGUMENT, "is not zero");
        ((unsigned char *)options)[sizeof(plain_options) + at] = 0x80;
        CHECK_FAILS(status_of(&plain_desc, options), CONVLOW_ERROR_INVALID_ARGUMENT, "is not zero");
        free(desc);
        free(options);
    }
}

static void sizes_that_are_garbage(void) {
    const convlow_conv2d_desc desc = plain();
    const convlow_plan_options options = defaults();
    const size_t garbage[] = {LARGEST_STRUCT + 1, (size_t)1 << 32, SIZE_MAX / 2, SIZE_MAX - 7, SIZE_MAX};
    for (size_t i = 0; i < COUNT_OF(garbage); ++i) {
        convlow_conv2d_desc wrong_desc = desc;
        convlow_plan_options wrong_options = options;
        wrong_desc.struct_size = garbage[i];
        wrong_options.struct_size = garbage[i];
        CHECK_FAILS(status_of_desc(&wrong_desc), CONVLOW_ERROR_INVALID_ARGUMENT, "struct_size = ");
        CHECK_FAILS(status_of(&desc, &wrong_options), CONVLOW_ERROR_INVALID_ARGUMENT, "struct_size = ");
    }
    void *largest = resized(&desc, sizeof(desc), LARGEST_STRUCT);
    CHECK_OK(status_of_desc((const convlow_conv2d_desc *)largest));
    free(largest);
}

/* The init functions write within the size they are given, and nothing for an impossible one. */
static void sizes_for_init(void) {
    const convlow_conv2d_desc desc = {
        .struct_size = sizeof(desc),
        .batch = 1,
        .stride_height = 1,
        .stride_width = 1,
        .dilation_height = 1,
        .dilation_width = 1,
        .groups = 1,
        .activation_min = -INFINITY,
        .activation_max = INFINITY,
        .activation_alpha = (double)NAN,
        .activation_beta = (double)NAN,
    };
    const convlow_plan_options options = {
        .struct_size = sizeof(options),
        .max_workspace_bytes = SIZE_MAX,
        .measure_budget_seconds = 1.0,
        .measure_max_bytes = (size_t)256 << 20,
        .max_packed_weights_bytes = SIZE_MAX,
    };
    for (size_t size = 0; size <= sizeof(desc) + 24; ++size) {
        guarded made = guarded_new(size);
        convlow_conv2d_desc_init((convlow_conv2d_desc *)made.data, size);
        if (is_possible(size, desc_fields, COUNT_OF(desc_fields), sizeof(desc))) {
            CHECK(memcmp(made.data, &size, sizeof(size)) == 0);
            CHECK(fields_agree(made.data, &desc, desc_fields, COUNT_OF(desc_fields), size));
            CHECK(size <= sizeof(desc) ||
                  bytes_are((char *)made.data + sizeof(desc), 0, size - sizeof(desc)));
            CHECK(guards_are_whole(&made));
        } else {
            CHECK(is_untouched(&made));
        }
        guarded_free(&made);
    }
    for (size_t size = 0; size <= sizeof(options) + 24; ++size) {
        guarded made = guarded_new(size);
        convlow_plan_options_init((convlow_plan_options *)made.data, size);
        if (is_possible(size, options_fields, COUNT_OF(options_fields), sizeof(options))) {
            CHECK(memcmp(made.data, &size, sizeof(size)) == 0);
            CHECK(fields_agree(made.data, &options, options_fields, COUNT_OF(options_fields), size));
            CHECK(size <= sizeof(options) ||
                  bytes_are((char *)made.data + sizeof(options), 0, size - sizeof(options)));
            CHECK(guards_are_whole(&made));
        } else {
            CHECK(is_untouched(&made));
        }
        guarded_free(&made);
    }
}

/* --- pointers ------------------------------------------------------------------------------------ */

/* The same address, one byte on. */
static void *off(const void *pointer) {
    return (void *)((uintptr_t)pointer + 1);
}

static void run_nothing(void *context, size_t jobs, void (*job)(void *argument, size_t index),
                        void *argument) {
    (void)context;
    (void)jobs;
    (void)job;
    (void)argument;
}

static void pointers_of_descriptors_and_options(void) {
    const convlow_conv2d_desc desc = plain();
    const convlow_plan_options options = defaults();
    size_t height, width, count;
    convlow_plan_info info = {.struct_size = sizeof(info)};
    convlow_plan *plan = NULL;

    convlow_conv2d_desc_init(NULL, sizeof(desc));
    convlow_plan_options_init(NULL, sizeof(options));
    CHECK_FAILS(convlow_conv2d_output_size(NULL, &height, &width), CONVLOW_ERROR_INVALID_ARGUMENT,
                "convlow_conv2d_desc is NULL");
    CHECK_FAILS(convlow_conv2d_output_size(&desc, NULL, &width), CONVLOW_ERROR_INVALID_ARGUMENT,
                "height is NULL");
    CHECK_FAILS(convlow_conv2d_output_size(&desc, &height, NULL), CONVLOW_ERROR_INVALID_ARGUMENT,
                "width is NULL");
    CHECK_FAILS(convlow_query(NULL, &options, &info, 1, &count), CONVLOW_ERROR_INVALID_ARGUMENT,
                "convlow_conv2d_desc is NULL");
    CHECK_FAILS(convlow_query(&desc, &options, NULL, 1, &count), CONVLOW_ERROR_INVALID_ARGUMENT, "is NULL");
    CHECK_FAILS(convlow_query(&desc, &options, &info, 1, NULL), CONVLOW_ERROR_INVALID_ARGUMENT,
                "count is NULL");
    CHECK_OK(convlow_query(&desc, NULL, &info, 1, &count));
    CHECK_FAILS(convlow_plan_create(NULL, &options, &plan), CONVLOW_ERROR_INVALID_ARGUMENT,
                "convlow_conv2d_desc is NULL");
    CHECK_FAILS(convlow_plan_create(&desc, &options, NULL), CONVLOW_ERROR_INVALID_ARGUMENT, "plan is NULL");
    CHECK(plan == NULL);

    CHECK_FAILS(convlow_conv2d_output_size((const convlow_conv2d_desc *)off(&desc), &height, &width),
                CONVLOW_ERROR_INVALID_ARGUMENT, "aligned");
    CHECK_FAILS(convlow_conv2d_output_size(&desc, (size_t *)off(&height), &width),
                CONVLOW_ERROR_INVALID_ARGUMENT, "aligned");
    CHECK_FAILS(convlow_conv2d_output_size(&desc, &height, (size_t *)off(&width)),
                CONVLOW_ERROR_INVALID_ARGUMENT, "aligned");
    CHECK_FAILS(convlow_query(&desc, (const convlow_plan_options *)off(&options), &info, 1, &count),
                CONVLOW_ERROR_INVALID_ARGUMENT, "aligned");
    CHECK_FAILS(convlow_query(&desc, &options, (convlow_plan_info *)off(&info), 1, &count),
                CONVLOW_ERROR_INVALID_ARGUMENT, "aligned");
    CHECK_FAILS(convlow_query(&desc, &options, &info, 1, (size_t *)off(&count)),
                CONVLOW_ERROR_INVALID_ARGUMENT, "aligned");
    CHECK_FAILS(convlow_plan_create(&desc, &options, (convlow_plan **)off(&plan)),
                CONVLOW_ERROR_INVALID_ARGUMENT, "aligned");
    convlow_plan_options wrong_pool = options;
    wrong_pool.pool = (convlow_pool *)off(&options);
    CHECK_FAILS(convlow_plan_create(&desc, &wrong_pool, &plan), CONVLOW_ERROR_INVALID_ARGUMENT, "pool");
    CHECK(plan == NULL);
}

static void pointers_of_everything_else(void) {
    convlow_pool *pool = NULL;
    convlow_plan_info info = {.struct_size = sizeof(info)};
    size_t length;
    char text[8];

    CHECK(convlow_algorithm_from_name(NULL) == -1);
    convlow_plan_destroy(NULL);
    convlow_pool_destroy(NULL);
    CHECK_SIZE(convlow_plan_workspace_bytes(NULL), 0);
    CHECK_SIZE(convlow_plan_packed_weights_bytes(NULL), 0);
    CHECK_FAILS(convlow_plan_get_info(NULL, &info), CONVLOW_ERROR_INVALID_ARGUMENT, "plan is NULL");

    CHECK_FAILS(convlow_pool_create(2, NULL), CONVLOW_ERROR_INVALID_ARGUMENT, "pool is NULL");
    CHECK_FAILS(convlow_pool_create(2, (convlow_pool **)off(&pool)), CONVLOW_ERROR_INVALID_ARGUMENT,
                "aligned");
    CHECK_FAILS(convlow_pool_create(SIZE_MAX, &pool), CONVLOW_ERROR_INVALID_ARGUMENT, "threads = ");
    CHECK_FAILS(convlow_pool_set_spin(NULL, 0), CONVLOW_ERROR_INVALID_ARGUMENT, "pool is NULL");
    CHECK_FAILS(convlow_pool_create_external(NULL, NULL, 2, &pool), CONVLOW_ERROR_INVALID_ARGUMENT,
                "run is NULL");
    CHECK_FAILS(convlow_pool_create_external(run_nothing, NULL, 2, NULL), CONVLOW_ERROR_INVALID_ARGUMENT,
                "pool is NULL");
    CHECK_FAILS(convlow_pool_create_external(run_nothing, NULL, SIZE_MAX, &pool),
                CONVLOW_ERROR_INVALID_ARGUMENT, "threads = ");
    CHECK(pool == NULL);

    REQUIRE_OK(convlow_pool_create(2, &pool));
    CHECK_FAILS(convlow_pool_set_spin(pool, 1000001), CONVLOW_ERROR_INVALID_ARGUMENT, "spin = ");
    CHECK(convlow_pool_set_spin(pool, 0) == CONVLOW_OK);
    convlow_pool_destroy(pool);

    CHECK_FAILS(convlow_wisdom_export(NULL, 0, NULL), CONVLOW_ERROR_INVALID_ARGUMENT, "length is NULL");
    CHECK_FAILS(convlow_wisdom_export(NULL, 100000, &length), CONVLOW_ERROR_INVALID_ARGUMENT, "text is NULL");
    CHECK_FAILS(convlow_wisdom_export(text, sizeof(text), (size_t *)off(&length)),
                CONVLOW_ERROR_INVALID_ARGUMENT, "aligned");
    CHECK_FAILS(convlow_wisdom_import(NULL, 0), CONVLOW_ERROR_INVALID_ARGUMENT, "text is NULL");
    CHECK_FAILS(convlow_wisdom_import(NULL, 10), CONVLOW_ERROR_INVALID_ARGUMENT, "text is NULL");
    CHECK_FAILS(convlow_wisdom_import("", SIZE_MAX), CONVLOW_ERROR_INVALID_ARGUMENT, "length = ");
}

/* A plan that needs workspace, with its tensors. */
typedef struct execution {
    tensors t;
    prepared p;
    guarded dst;
} execution;

static execution execution_new(void) {
    execution e;
    const convlow_conv2d_desc desc = plain();
    convlow_plan_options options = defaults();
    options.algorithm = convlow_algorithm_from_name("im2col-scan-ab-ki");
    e.t = tensors_new(&desc, 1);
    e.p = prepare(&desc, &options, &e.t);
    REQUIRE(e.p.workspace.bytes > 0);
    e.dst = guarded_new(e.t.dst_len * sizeof(float));
    return e;
}

static void execution_free(execution *e) {
    tensors_free(&e->t);
    prepared_free(&e->p);
    guarded_free(&e->dst);
}

static void pointers_of_packing(void) {
    execution e = execution_new();
    const prepared *p = &e.p;
    convlow_plan_info *info = (convlow_plan_info *)NULL;
    memset(p->packed.data, DIRT, p->packed.bytes);
    CHECK_FAILS(convlow_plan_get_info(p->plan, info), CONVLOW_ERROR_INVALID_ARGUMENT, "is NULL");
    CHECK_FAILS(convlow_pack_weights(NULL, e.t.weights, p->packed.data, p->packed.bytes),
                CONVLOW_ERROR_INVALID_ARGUMENT, "plan is NULL");
    CHECK_FAILS(convlow_pack_weights(p->plan, NULL, p->packed.data, p->packed.bytes),
                CONVLOW_ERROR_INVALID_ARGUMENT, "weights is NULL");
    CHECK_FAILS(convlow_pack_weights(p->plan, e.t.weights, NULL, p->packed.bytes),
                CONVLOW_ERROR_INVALID_ARGUMENT, "packed is NULL");
    CHECK_FAILS(
        convlow_pack_weights(p->plan, (const float *)off(e.t.weights), p->packed.data, p->packed.bytes),
        CONVLOW_ERROR_INVALID_ARGUMENT, "weights");
    CHECK_FAILS(convlow_pack_weights(p->plan, e.t.weights, off(p->packed.data), p->packed.bytes),
                CONVLOW_ERROR_INVALID_ARGUMENT, "packed");
    CHECK_FAILS(convlow_pack_weights(p->plan, e.t.weights, (char *)p->packed.data + 8, p->packed.bytes),
                CONVLOW_ERROR_INVALID_ARGUMENT, "packed");
    CHECK_FAILS(convlow_pack_weights(p->plan, (const float *)p->packed.data, p->packed.data, p->packed.bytes),
                CONVLOW_ERROR_INVALID_ARGUMENT, "packed overlaps weights");
    CHECK(is_untouched(&p->packed));
    execution_free(&e);
}

/* Executes with one argument replaced, which must be refused, naming it. */
#define REFUSED(plan, src, packed, bias, dst, scratch, fragment)                             \
    CHECK_FAILS(convlow_execute(plan, src, packed, bias, dst, scratch, e.p.workspace.bytes), \
                CONVLOW_ERROR_INVALID_ARGUMENT, fragment)

/* Promise 2: less aligned memory is refused. */
static void pointers_of_execute(void) {
    execution e = execution_new();
    convlow_plan *plan = e.p.plan;
    const float *src = e.t.src, *bias = e.t.bias;
    void *packed = e.p.packed.data, *workspace = e.p.workspace.data;
    float *dst = (float *)e.dst.data;

    REFUSED(NULL, src, packed, bias, dst, workspace, "plan is NULL");
    REFUSED(plan, NULL, packed, bias, dst, workspace, "src is NULL");
    REFUSED(plan, src, NULL, bias, dst, workspace, "packed_weights is NULL");
    REFUSED(plan, src, packed, bias, NULL, workspace, "dst is NULL");
    REFUSED(plan, src, packed, bias, dst, NULL, "workspace is NULL");

    REFUSED((const convlow_plan *)off(plan), src, packed, bias, dst, workspace, "plan = ");
    REFUSED(plan, (const float *)off(src), packed, bias, dst, workspace, "src = ");
    REFUSED(plan, src, off(packed), bias, dst, workspace, "packed_weights = ");
    REFUSED(plan, src, (char *)packed + 8, bias, dst, workspace, "packed_weights = ");
    REFUSED(plan, src, packed, (const float *)off(bias), dst, workspace, "bias = ");
    REFUSED(plan, src, packed, bias, (float *)off(dst), workspace, "dst = ");
    REFUSED(plan, src, packed, bias, dst, off(workspace), "workspace = ");
    REFUSED(plan, src, packed, bias, dst, (char *)workspace + 8, "workspace = ");

    CHECK(is_untouched(&e.dst));
    CHECK(is_untouched(&e.p.workspace));
    execution_free(&e);
}

/* The slopes of PRELU: one an output channel, in memory of their own; of no other activation. */
static void slopes(void) {
    execution e = execution_new();
    convlow_conv2d_desc desc = plain();
    convlow_plan_options options = defaults();
    options.algorithm = convlow_algorithm_from_name("im2col-scan-ab-ki");
    desc.activation = CONVLOW_ACTIVATION_PRELU;
    prepared p = prepare(&desc, &options, &e.t);
    const char *missing =
        "slopes is NULL, but activation = CONVLOW_ACTIVATION_PRELU in the descriptor: set slopes";
    CHECK_FAILS(convlow_execute(p.plan, e.t.src, p.packed.data, e.t.bias, (float *)e.dst.data,
                                p.workspace.data, p.workspace.bytes),
                CONVLOW_ERROR_INVALID_ARGUMENT, missing);
    CHECK_CONTAINS(convlow_last_error_message(), "call convlow_execute_with");
    convlow_execute_args args;
    convlow_execute_args_init(&args, sizeof(args));
    args.src = e.t.src;
    args.packed_weights = p.packed.data;
    args.bias = e.t.bias;
    args.dst = e.dst.data;
    args.workspace = p.workspace.data;
    args.workspace_bytes = p.workspace.bytes;
    const size_t bytes = desc.out_channels * sizeof(float);
    const struct {
        const void *slopes;
        const char *message;
    } refused[] = {
        {NULL, missing},
        {off(e.t.weights), "slopes = "},
        {e.dst.data, "dst overlaps slopes"},
        {(char *)e.dst.data + e.dst.bytes - sizeof(float), "dst overlaps slopes"},
        {(char *)e.dst.data + sizeof(float) - bytes, "dst overlaps slopes"},
        {p.workspace.data, "workspace overlaps slopes"},
    };
    for (size_t i = 0; i < COUNT_OF(refused); ++i) {
        args.slopes = refused[i].slopes;
        CHECK_FAILS(convlow_execute_with(p.plan, &args), CONVLOW_ERROR_INVALID_ARGUMENT, refused[i].message);
    }
    /* Arguments of an older header end before them. */
    args.slopes = e.t.weights;
    args.struct_size = offsetof(convlow_execute_args, slopes);
    CHECK_FAILS(convlow_execute_with(p.plan, &args), CONVLOW_ERROR_INVALID_ARGUMENT, missing);
    CHECK(is_untouched(&e.dst));
    CHECK(is_untouched(&p.workspace));
    args.struct_size = sizeof(args);
    CHECK_OK(convlow_execute_with(p.plan, &args));
    /* Nobody looks at those of another activation. */
    args.packed_weights = e.p.packed.data;
    args.workspace = e.p.workspace.data;
    args.slopes = off(e.dst.data);
    CHECK_OK(convlow_execute_with(e.p.plan, &args));
    CHECK(is_expected((const float *)e.dst.data, &e.t));
    prepared_free(&p);
    execution_free(&e);
}

static void overlapping_buffers(void) {
    execution e = execution_new();
    convlow_plan *plan = e.p.plan;
    const float *bias = e.t.bias;
    void *packed = e.p.packed.data, *workspace = e.p.workspace.data;
    const size_t bytes = e.dst.bytes;
    char *dst = (char *)e.dst.data;
    /* Each tensor where it shares its first or last float with dst: dst's first bytes hold malloc's
     * alignment. */
    const float *src_at_end = (const float *)(void *)(dst + bytes - sizeof(float));
    const float *src_at_start = (const float *)(void *)(dst + sizeof(float) - e.t.src_len * sizeof(float));

    REFUSED(plan, (const float *)(void *)dst, packed, bias, (float *)(void *)dst, workspace,
            "dst overlaps src");
    REFUSED(plan, src_at_end, packed, bias, (float *)(void *)dst, workspace, "dst overlaps src");
    REFUSED(plan, src_at_start, packed, bias, (float *)(void *)dst, workspace, "dst overlaps src");
    REFUSED(plan, e.t.src, packed, (const float *)(void *)dst, (float *)(void *)dst, workspace,
            "dst overlaps bias");
    /* Two that begin together, in memory that holds both: the larger one may reach what lies behind the
     * other. */
    void *shared = malloc(bytes + e.p.workspace.bytes + e.p.packed.bytes + e.t.src_len * sizeof(float));
    REQUIRE(shared != NULL);
    memcpy(shared, packed, e.p.packed.bytes);
    REFUSED(plan, e.t.src, shared, bias, (float *)shared, workspace, "dst overlaps packed_weights");
    REFUSED(plan, e.t.src, packed, bias, (float *)shared, shared, "workspace overlaps dst");
    REFUSED(plan, (const float *)shared, packed, bias, (float *)(void *)dst, shared,
            "workspace overlaps src");
    REFUSED(plan, e.t.src, packed, (const float *)shared, (float *)(void *)dst, shared,
            "workspace overlaps bias");
    REFUSED(plan, e.t.src, shared, bias, (float *)(void *)dst, shared, "workspace overlaps packed_weights");
    free(shared);
    CHECK(is_untouched(&e.dst));
    CHECK(is_untouched(&e.p.workspace));

    /* Side by side is apart. */
    guarded both = guarded_new((e.t.src_len + e.t.dst_len) * sizeof(float));
    float *src = (float *)both.data;
    memcpy(src, e.t.src, e.t.src_len * sizeof(float));
    CHECK_OK(convlow_execute(plan, src, packed, bias, src + e.t.src_len, workspace, e.p.workspace.bytes));
    CHECK(is_expected(src + e.t.src_len, &e.t));
    CHECK(guards_are_whole(&both));
    guarded_free(&both);
    execution_free(&e);
}

int main(void) {
    sizes_of_the_descriptor();
    sizes_that_disagree();
    sizes_beyond_memory();
    strides_at_the_limit();
    constants();
    constants_of_the_activation();
    bounds_of_the_activation();
    parameters_of_the_activation();
    flags();
    messages_that_help();
    budgets();
    sizes_of_descriptors();
    sizes_of_options();
    sizes_of_infos();
    tails_that_are_not_zero();
    sizes_that_are_garbage();
    sizes_for_init();
    pointers_of_descriptors_and_options();
    pointers_of_everything_else();
    pointers_of_packing();
    pointers_of_execute();
    slopes();
    overlapping_buffers();
    return check_result();
}
