/*
 * instructions LISTS: executes what AUTO picks for each line of the lists once, in every layout and
 * arithmetic, and prints a line of comma-separated values for each. tools/instructions.py counts the
 * instructions that they retire.
 */

#define _DEFAULT_SOURCE /* scandir */
#include "definition.h"
#include "lists.h"

static float *integers_new(size_t count) {
    float *floats = floats_new(count);
    fill_with_integers(floats, count, 1);
    return floats;
}

static void execute(const line *line, convlow_convnd_desc desc, int32_t math) {
    static const char *const layouts[] = {"nchw", "nhwc"}, *const maths[] = {"exact", "fast"};
    convlow_plan_options options;
    convlow_plan *plan;
    size_t out_size[3];
    convlow_plan_options_init(&options, sizeof(options));
    options.math = math;
    REQUIRE_OK(convlow_convnd_output_size(&desc, out_size));
    REQUIRE_OK(convlow_plan_create_nd(&desc, &options, &plan));
    convlow_plan_info info = {.struct_size = sizeof(info)};
    REQUIRE_OK(convlow_plan_get_info(plan, &info));
    const char *algorithm = convlow_algorithm_name(info.algorithm);
    if (math == CONVLOW_MATH_FAST && strncmp(algorithm, "winograd", 8) != 0) {
        convlow_plan_destroy(plan); /* as with exact arithmetic */
        return;
    }
    const int dims = desc.spatial_dims;
    const size_t depth = desc.in_channels / desc.groups * product_of(desc.kernel_size, dims);
    float *src = integers_new(desc.batch * desc.in_channels * product_of(desc.in_size, dims));
    float *dst = integers_new(desc.batch * desc.out_channels * product_of(out_size, dims));
    float *weights = integers_new(desc.out_channels * depth), *bias = integers_new(desc.out_channels);
    guarded packed = guarded_new(info.packed_weights_bytes), workspace = guarded_new(info.workspace_bytes);
    REQUIRE_OK(convlow_pack_weights(plan, weights, packed.data, packed.bytes));
    REQUIRE_OK(convlow_execute(plan, src, packed.data, bias, dst, workspace.data, workspace.bytes));
    printf("%s,%s,%s,%s\n", line->text, layouts[desc.src_layout], maths[math], algorithm);
    guarded_free(&packed);
    guarded_free(&workspace);
    free(src);
    free(dst);
    free(weights);
    free(bias);
    convlow_plan_destroy(plan);
}

int main(int count, char **arguments) {
    REQUIRE(count == 2);
    lists lists = lists_read(arguments[1]);
    for (size_t at = 0; at < lists.count; ++at) {
        convlow_convnd_desc desc = lists.lines[at].desc;
        for (int32_t layout = CONVLOW_LAYOUT_NCHW; layout <= CONVLOW_LAYOUT_NHWC; ++layout) {
            desc.src_layout = desc.dst_layout = layout;
            for (int32_t math = CONVLOW_MATH_EXACT; math <= CONVLOW_MATH_FAST; ++math) {
                execute(&lists.lines[at], desc, math);
            }
        }
    }
    lists_free(&lists);
    return check_result();
}
