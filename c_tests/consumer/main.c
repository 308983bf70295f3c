/* Another project's program: it knows convlow by its installed package only. */

#include <convlow.h>
#include <stdio.h>
#include <stdlib.h>

static void check(convlow_status status) {
    if (status != CONVLOW_OK) {
        fprintf(stderr, "%s: %s\n", convlow_status_name(status), convlow_last_error_message());
        exit(EXIT_FAILURE);
    }
}

int main(void) {
    enum { CHANNELS = 3, SIZE = 8, OUTPUTS = 2, KERNEL = 3 };
    static float src[CHANNELS * SIZE * SIZE], weights[OUTPUTS * CHANNELS * KERNEL * KERNEL];
    static float dst[OUTPUTS * (SIZE - KERNEL + 1) * (SIZE - KERNEL + 1)];
    convlow_conv2d_desc desc;
    convlow_plan *plan;
    convlow_plan_info info = {.struct_size = sizeof(info)};

    convlow_conv2d_desc_init(&desc, sizeof(desc));
    desc.in_channels = CHANNELS;
    desc.in_height = desc.in_width = SIZE;
    desc.out_channels = OUTPUTS;
    desc.kernel_height = desc.kernel_width = KERNEL;
    check(convlow_plan_create(&desc, NULL, &plan));
    check(convlow_plan_get_info(plan, &info));

    for (size_t i = 0; i < sizeof(src) / sizeof(src[0]); ++i) {
        src[i] = 1.0f;
    }
    for (size_t i = 0; i < sizeof(weights) / sizeof(weights[0]); ++i) {
        weights[i] = 1.0f;
    }
    void *packed = malloc(info.packed_weights_bytes);
    void *workspace = malloc(info.workspace_bytes + 1);
    if (packed == NULL || workspace == NULL) {
        return EXIT_FAILURE;
    }
    check(convlow_pack_weights(plan, weights, packed, info.packed_weights_bytes));
    check(convlow_execute(plan, src, packed, NULL, dst, workspace, info.workspace_bytes));
    free(workspace);
    free(packed);
    convlow_plan_destroy(plan);

    for (size_t i = 0; i < sizeof(dst) / sizeof(dst[0]); ++i) {
        if (dst[i] != CHANNELS * KERNEL * KERNEL) {
            fprintf(stderr, "dst[%zu] is %g, expected %d\n", i, (double)dst[i], CHANNELS * KERNEL * KERNEL);
            return EXIT_FAILURE;
        }
    }
    printf("%s: %s\n", convlow_build_info(), convlow_algorithm_name(info.algorithm));
    return EXIT_SUCCESS;
}
