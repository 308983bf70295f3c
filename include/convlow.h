/*
 * convlow: low-memory convolution by matrix multiplication.
 *
 * Written by cbindgen from src/ffi; do not edit. `./dev generate` writes it anew.
 *
 * dst[n,m,y,x] = sum over c,i,j of weights[m,c,i,j] * src[n, c, y*s + i*d - pad_top, x*s + j*d - pad_left],
 * where terms outside the input are absent; in one and three dimensions and transposed, accordingly. All tensors of a
 * plan are of one type: float32, or float64.
 *
 * Every function that can fail returns a convlow_status; outputs are written only on success, and the reason
 * of a failure is in convlow_last_error_message() of the same thread.
 *
 * The MIT or the Apache 2.0 license, at your choice.
 */

#ifndef CONVLOW_H
#define CONVLOW_H

#include <stddef.h>
#include <stdint.h>
/*
 * Each fills the struct that p points to with defaults, and passes its size by itself: CONVLOW_CONV2D_DESC_INIT(&desc).
 * A pointer to another struct does not compile.
 */
#define CONVLOW_CONV2D_DESC_INIT(p) CONVLOW_INIT_(convlow_conv2d_desc, p)
#define CONVLOW_CONVND_DESC_INIT(p) CONVLOW_INIT_(convlow_convnd_desc, p)
#define CONVLOW_PLAN_OPTIONS_INIT(p) CONVLOW_INIT_(convlow_plan_options, p)
#define CONVLOW_EXECUTE_ARGS_INIT(p) CONVLOW_INIT_(convlow_execute_args, p)

#if !defined(__cplusplus) && defined(__STDC_VERSION__) && __STDC_VERSION__ >= 201112L
#define CONVLOW_INIT_(type, p) type##_init(_Generic((p), type *: (p)), sizeof(type))
#else
/* C++ takes no pointer to another struct, and C99 none to a struct of another size. */
#define CONVLOW_INIT_(type, p)                                                                               \
    type##_init((p), sizeof(type) + 0 * sizeof(char[sizeof *(p) == sizeof(type) ? 1 : -1]))
#endif

/**
 * Batch, channel, row, column: channels first, whatever the number of axes.
 */
#define CONVLOW_LAYOUT_NCHW 0

/**
 * Batch, row, column, channel: channels last.
 */
#define CONVLOW_LAYOUT_NHWC 1

/**
 * out_channels x in_channels/groups x the kernel's axes, as PyTorch and ONNX; of a transposed convolution in_channels x
 * out_channels/groups x axes, as the same two.
 */
#define CONVLOW_WEIGHTS_OIHW 0

/**
 * The kernel's axes x in_channels/groups x out_channels, as TensorFlow; of a transposed convolution axes x
 * out_channels/groups x in_channels.
 */
#define CONVLOW_WEIGHTS_HWIO 1

/**
 * out_channels x the kernel's axes x in_channels/groups, as TensorFlow Lite, transposed too.
 */
#define CONVLOW_WEIGHTS_OHWI 2

/**
 * A convolution, as ONNX Conv.
 */
#define CONVLOW_OPERATION_CONV 0

/**
 * A transposed convolution, as ONNX ConvTranspose: each input pixel adds the kernel, times its value, to the output around
 * position * stride - pad_before.
 */
#define CONVLOW_OPERATION_CONV_TRANSPOSE 1

/**
 * float
 */
#define CONVLOW_TYPE_F32 0

/**
 * double: convlow_pack_weights_f64 and convlow_execute_f64, or convlow_execute_with.
 */
#define CONVLOW_TYPE_F64 1

/**
 * y
 */
#define CONVLOW_ACTIVATION_NONE 0

/**
 * min(max(y, activation_min), activation_max); a NaN stays a NaN. ReLU is [0, INFINITY], ReLU6 is [0, 6].
 */
#define CONVLOW_ACTIVATION_CLAMP 1

/**
 * y < 0 ? activation_alpha * y : y; activation_alpha is 0.01 by default.
 */
#define CONVLOW_ACTIVATION_LEAKY_RELU 2

/**
 * min(max(activation_alpha * y + activation_beta, 0), 1); by default 1/6 and 1/2.
 */
#define CONVLOW_ACTIVATION_HARD_SIGMOID 3

/**
 * y * min(max(activation_alpha * y + activation_beta, 0), 1); by default 1/6 and 1/2.
 */
#define CONVLOW_ACTIVATION_HARD_SWISH 4

/**
 * 1 / (1 + exp(-y))
 */
#define CONVLOW_ACTIVATION_SIGMOID 5

/**
 * y / (1 + exp(-activation_alpha * y)); activation_alpha is 1 by default.
 */
#define CONVLOW_ACTIVATION_SILU 6

/**
 * tanh(y)
 */
#define CONVLOW_ACTIVATION_TANH 7

/**
 * y / 2 * (1 + erf(y / sqrt(2)))
 */
#define CONVLOW_ACTIVATION_GELU 8

/**
 * y / 2 * (1 + tanh(sqrt(2 / pi) * (y + 0.044715 * y^3)))
 */
#define CONVLOW_ACTIVATION_GELU_TANH 9

/**
 * y < 0 ? slopes[m] * y : y for output channel m, with slopes of convlow_execute_args.
 */
#define CONVLOW_ACTIVATION_PRELU 10

/**
 * The planner chooses. Other algorithms are named by the ids of convlow_algorithm_at.
 */
#define CONVLOW_ALGORITHM_AUTO 0

/**
 * Only algorithms that form every product of the definition.
 */
#define CONVLOW_MATH_EXACT 0

/**
 * Winograd allowed too, which rounds differently: the README states each algorithm's error.
 */
#define CONVLOW_MATH_FAST 1

/**
 * No measuring: wisdom where there is some, else a cost model. Takes microseconds.
 */
#define CONVLOW_EFFORT_ESTIMATE 0

/**
 * Times the candidates within max_workspace_bytes, measure_budget_seconds and measure_max_bytes.
 */
#define CONVLOW_EFFORT_MEASURE 1

/**
 * No GEMM is asked for: CONVLOW_ALGORITHM_AUTO takes what runs on the library's own kernels or on plain loops, which
 * allocates nothing in execute. An algorithm by name that needs a GEMM gets the one of this build that is estimated quicker
 * on one thread, whatever the number of threads; a BLAS only where the sizes fit its integer. In convlow_plan_info: plain
 * loops serve, as in "direct-sum2d".
 */
#define CONVLOW_GEMM_AUTO 0

/**
 * The system's BLAS. CONVLOW_ALGORITHM_AUTO then takes what calls it; "direct-sum2d", which calls no GEMM, where nothing
 * else serves or a call costs more than the arithmetic.
 */
#define CONVLOW_GEMM_BLAS 1

/**
 * The embedded GEMM, as above.
 */
#define CONVLOW_GEMM_EMBEDDED 2

/**
 * In convlow_plan_info alone: the library's own kernels, made for convolution, serve in place of a GEMM. CONVLOW_GEMM_AUTO
 * asks for them; as an option it is CONVLOW_ERROR_INVALID_ARGUMENT.
 */
#define CONVLOW_GEMM_KERNELS 3

/**
 * The system alone decides where a pool's threads run.
 */
#define CONVLOW_BINDING_NONE 0

/**
 * A pool's threads that wake are spread over the cores.
 */
#define CONVLOW_BINDING_CORES 1

/**
 * The version of the header.
 */
#define CONVLOW_VERSION_MAJOR 0

/**
 * The version of the header.
 */
#define CONVLOW_VERSION_MINOR 1

/**
 * The version of the header.
 */
#define CONVLOW_VERSION_PATCH 1

/**
 * A convolution ready to run. It never changes: any number of threads may execute it at once, each with its
 * own dst and workspace.
 */
typedef struct convlow_plan convlow_plan;

/**
 * Threads for execute, the calling one included. One pool may serve any number of plans and threads; an
 * execute that finds it busy runs on its calling thread alone.
 */
typedef struct convlow_pool convlow_pool;

/**
 * What a call came to; 0 is success.
 */
typedef int32_t convlow_status;

/**
 * A convolution of one, two or three dimensions, or a transposed one. Fill it with convlow_convnd_desc_init, then set what
 * differs. Of the arrays the first spatial_dims elements count, outermost axis first; the others stay as they are filled in.
 * Batch, groups, dilation, stride and padding mean what ONNX Conv and ConvTranspose say.
 */
typedef struct convlow_convnd_desc {
    /**
     * sizeof(convlow_convnd_desc) as the caller was compiled; a shorter one leaves the rest at its defaults.
     */
    size_t struct_size;
    /**
     * CONVLOW_OPERATION_...; default CONV.
     */
    int32_t operation;
    /**
     * CONVLOW_TYPE_... of all tensors; default F32.
     */
    int32_t type;
    /**
     * Axes beside batch and channels: 1, 2 or 3; default 2.
     */
    int32_t spatial_dims;
    /**
     * CONVLOW_LAYOUT_...; default NCHW.
     */
    int32_t src_layout;
    /**
     * CONVLOW_LAYOUT_...; may differ from src_layout. Default NCHW.
     */
    int32_t dst_layout;
    /**
     * CONVLOW_WEIGHTS_...; default OIHW.
     */
    int32_t weights_layout;
    /**
     * CONVLOW_ACTIVATION_...; default NONE.
     */
    int32_t activation;
    /**
     * Non-zero: dst = activation(convolution + bias + dst), or + residual in convlow_execute_with. Default 0.
     */
    int32_t accumulate;
    /**
     * Images; default 1.
     */
    size_t batch;
    /**
     * Input channels of all groups.
     */
    size_t in_channels;
    /**
     * Output channels of all groups.
     */
    size_t out_channels;
    /**
     * Groups of channels, convolved apart; must divide both channel counts. Default 1.
     */
    size_t groups;
    /**
     * Input positions.
     */
    size_t in_size[3];
    /**
     * Positions of the kernel.
     */
    size_t kernel_size[3];
    /**
     * Input positions from one output to the next, transposed: output positions from one input to the next; default 1.
     */
    size_t stride[3];
    /**
     * The same from one position of the kernel to the next; 1, the default, is dense.
     */
    size_t dilation[3];
    /**
     * Absent positions before the input, transposed: what is cut off the output there; default 0.
     */
    size_t pad_before[3];
    /**
     * The same behind it.
     */
    size_t pad_after[3];
    /**
     * Outputs behind those that a transposed convolution reaches; less than its stride or its dilation. Default 0.
     */
    size_t output_padding[3];
    /**
     * Least output, used with CONVLOW_ACTIVATION_CLAMP; default -INFINITY.
     */
    double activation_min;
    /**
     * Greatest output, used with CONVLOW_ACTIVATION_CLAMP; default INFINITY.
     */
    double activation_max;
    /**
     * Elements from pixel to pixel of src with channels last, from plane to plane with channels first (a plane's rows are
     * dense): more than packed where src is a slice of a wider tensor. 0, the default: packed.
     */
    size_t src_channel_stride;
    /**
     * Elements from image to image of src; 0, the default: one behind the other.
     */
    size_t src_batch_stride;
    /**
     * The same of dst from pixel to pixel or plane to plane.
     */
    size_t dst_channel_stride;
    /**
     * The same of dst from image to image.
     */
    size_t dst_batch_stride;
    /**
     * Parameter of the activations that have one; NaN, the default, asks for the activation's own default. An infinity is
     * CONVLOW_ERROR_INVALID_ARGUMENT.
     */
    double activation_alpha;
    /**
     * The same of the activations that have two.
     */
    double activation_beta;
} convlow_convnd_desc;

/**
 * A two-dimensional convolution. Fill it with convlow_conv2d_desc_init, then set what differs. Batch, groups,
 * dilation, stride and padding mean what ONNX Conv says.
 */
typedef struct convlow_conv2d_desc {
    /**
     * sizeof(convlow_conv2d_desc) as the caller was compiled; a shorter one leaves the rest at its defaults.
     */
    size_t struct_size;
    /**
     * CONVLOW_LAYOUT_...; default NCHW.
     */
    int32_t src_layout;
    /**
     * CONVLOW_LAYOUT_...; may differ from src_layout. Default NCHW.
     */
    int32_t dst_layout;
    /**
     * CONVLOW_WEIGHTS_...; default OIHW.
     */
    int32_t weights_layout;
    /**
     * CONVLOW_ACTIVATION_...; default NONE.
     */
    int32_t activation;
    /**
     * Images; default 1.
     */
    size_t batch;
    /**
     * Input channels of all groups.
     */
    size_t in_channels;
    /**
     * Rows of the input.
     */
    size_t in_height;
    /**
     * Columns of the input.
     */
    size_t in_width;
    /**
     * Output channels of all groups.
     */
    size_t out_channels;
    /**
     * Rows of the kernel.
     */
    size_t kernel_height;
    /**
     * Columns of the kernel.
     */
    size_t kernel_width;
    /**
     * Input rows from one output row to the next; default 1.
     */
    size_t stride_height;
    /**
     * Input columns from one output column to the next; default 1.
     */
    size_t stride_width;
    /**
     * Input rows from one kernel row to the next; 1, the default, is dense.
     */
    size_t dilation_height;
    /**
     * Input columns from one kernel column to the next; 1, the default, is dense.
     */
    size_t dilation_width;
    /**
     * Absent rows above the input; default 0. Any padding may exceed the kernel.
     */
    size_t pad_top;
    /**
     * Absent columns left of the input; default 0.
     */
    size_t pad_left;
    /**
     * Absent rows below the input; default 0.
     */
    size_t pad_bottom;
    /**
     * Absent columns right of the input; default 0.
     */
    size_t pad_right;
    /**
     * Groups of channels, convolved apart; must divide both channel counts. Default 1.
     */
    size_t groups;
    /**
     * Least output, used with CONVLOW_ACTIVATION_CLAMP; default -INFINITY.
     */
    float activation_min;
    /**
     * Greatest output, used with CONVLOW_ACTIVATION_CLAMP; default INFINITY.
     */
    float activation_max;
    /**
     * Non-zero: dst = activation(convolution + bias + dst). Default 0.
     */
    int32_t accumulate;
    /**
     * Parameter of the activations that have one; NaN, the default, asks for the activation's own default. An infinity is
     * CONVLOW_ERROR_INVALID_ARGUMENT.
     */
    double activation_alpha;
    /**
     * The same of the activations that have two.
     */
    double activation_beta;
} convlow_conv2d_desc;

/**
 * What is asked of a plan. Fill it with convlow_plan_options_init, then set what differs.
 */
typedef struct convlow_plan_options {
    /**
     * sizeof(convlow_plan_options) as the caller was compiled; a shorter one leaves the rest at its defaults.
     */
    size_t struct_size;
    /**
     * CONVLOW_ALGORITHM_AUTO, the default, or an id.
     */
    int32_t algorithm;
    /**
     * CONVLOW_MATH_...; default EXACT.
     */
    int32_t math;
    /**
     * CONVLOW_EFFORT_...; default ESTIMATE.
     */
    int32_t effort;
    /**
     * CONVLOW_GEMM_...; default AUTO.
     */
    int32_t gemm;
    /**
     * Most bytes of workspace; default SIZE_MAX. 0 always leaves an algorithm to choose.
     */
    size_t max_workspace_bytes;
    /**
     * Most seconds of measuring, used with CONVLOW_EFFORT_MEASURE; default 1. One run of the fastest candidate may
     * come on top.
     */
    double measure_budget_seconds;
    /**
     * Threads for execute; NULL, the default: everything on the calling thread. A plan keeps its pool's
     * threads until it is destroyed, also if the pool is destroyed before.
     */
    struct convlow_pool *pool;
    /**
     * Most bytes of memory that measuring takes, used with CONVLOW_EFFORT_MEASURE; default 256 MiB. Of a problem that
     * needs more, or too much of the budget, a part is measured.
     */
    size_t measure_max_bytes;
    /**
     * Most bytes of packed weights; default SIZE_MAX. Those of CONVLOW_MATH_FAST are up to 7.1 times the plain ones.
     */
    size_t max_packed_weights_bytes;
    /**
     * convlow_plan_packing_id of the packed weights that the plan has to read; 0, the default: any. A plan that cannot read
     * them is refused with CONVLOW_ERROR_UNSUPPORTED.
     */
    uint64_t packing_id;
} convlow_plan_options;

/**
 * What the planner knows of one algorithm for one problem. Set struct_size, and zero the rest.
 */
typedef struct convlow_plan_info {
    /**
     * sizeof(convlow_plan_info) as the caller was compiled.
     */
    size_t struct_size;
    /**
     * The algorithm's id.
     */
    int32_t algorithm;
    /**
     * 1 if the algorithm can compute the problem, else 0; the figures below are then 0.
     */
    int32_t applicable;
    /**
     * CONVLOW_GEMM_BLAS, _EMBEDDED or _KERNELS; CONVLOW_GEMM_AUTO if none of them serves.
     */
    int32_t gemm;
    /**
     * Always 0.
     */
    int32_t reserved;
    /**
     * Exact bytes of workspace, all threads of the pool included.
     */
    size_t workspace_bytes;
    /**
     * Exact bytes of packed weights.
     */
    size_t packed_weights_bytes;
    /**
     * Rows of the output.
     */
    size_t dst_height;
    /**
     * Columns of the output.
     */
    size_t dst_width;
    /**
     * Multiplications of the definition, padding counted.
     */
    size_t macs;
    /**
     * GEMM calls of one execute.
     */
    size_t gemm_calls;
    /**
     * What the cost model says.
     */
    double estimated_seconds;
    /**
     * What was measured; 0 if nothing was.
     */
    double measured_seconds;
    /**
     * Why not applicable or why not chosen, as static text; NULL for the chosen one.
     */
    const char *reason;
} convlow_plan_info;

/**
 * The tensors of one execute. Fill it with convlow_execute_args_init, then set what the plan needs.
 */
typedef struct convlow_execute_args {
    /**
     * sizeof(convlow_execute_args) as the caller was compiled; a shorter one leaves the rest at 0.
     */
    size_t struct_size;
    /**
     * The input.
     */
    const void *src;
    /**
     * From convlow_pack_weights.
     */
    const void *packed_weights;
    /**
     * out_channels elements, or NULL.
     */
    const void *bias;
    /**
     * The output.
     */
    void *dst;
    /**
     * At least convlow_plan_workspace_bytes bytes, or NULL if that is 0.
     */
    void *workspace;
    /**
     * Bytes of workspace.
     */
    size_t workspace_bytes;
    /**
     * Where the descriptor says accumulate: what is added before the activation, laid out as dst, strides included. NULL is
     * dst itself. It may equal dst, but not overlap it otherwise.
     */
    const void *residual;
    /**
     * If not NULL, the context that the plan's external pool is called with, for this call. With another pool it is refused.
     */
    void *pool_context;
    /**
     * The slopes of CONVLOW_ACTIVATION_PRELU, of the plan's type: out_channels of them. Other activations read none.
     */
    const void *slopes;
    /**
     * Bytes of packed_weights, which are then checked: fewer than the plan reads are CONVLOW_ERROR_WEIGHTS_MISMATCH, and no
     * byte of them is read. 0: not told, and not checked.
     */
    size_t packed_weights_bytes;
} convlow_execute_args;

/**
 * A parallel-for of the host: runs job(argument, 0) ... job(argument, jobs - 1) on any threads in any order, and
 * returns when all of them have. It must not throw or unwind.
 */
typedef void (*convlow_parallel_for)(void *context,
                                     size_t jobs,
                                     void (*job)(void *argument, size_t index),
                                     void *argument);

/**
 * Success.
 */
#define CONVLOW_OK 0

/**
 * A NULL, an unknown constant, a zero dimension, channels that groups does not divide, a dilated kernel that
 * does not fit the padded input, a wrong struct_size, a misaligned or overlapping buffer.
 */
#define CONVLOW_ERROR_INVALID_ARGUMENT 1

/**
 * A valid problem that the requested algorithm or GEMM cannot compute; the message says which condition failed.
 */
#define CONVLOW_ERROR_UNSUPPORTED 2

/**
 * No algorithm fits max_workspace_bytes and max_packed_weights_bytes, or the workspace passed to execute is smaller than the plan's figure.
 */
#define CONVLOW_ERROR_WORKSPACE_LIMIT 3

/**
 * A size does not fit size_t or the integer of the BLAS.
 */
#define CONVLOW_ERROR_OVERFLOW 4

/**
 * Memory or a thread could not be had.
 */
#define CONVLOW_ERROR_OUT_OF_MEMORY 5

/**
 * Packed weights that were packed for another plan, or are not packed weights.
 */
#define CONVLOW_ERROR_WEIGHTS_MISMATCH 6

/**
 * A fault of the library, or of an external pool; dst may be half written.
 */
#define CONVLOW_ERROR_INTERNAL 7

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * The name of a status as the constants spell it; "unknown status" for other numbers. Never NULL.
 */
const char *convlow_status_name(convlow_status status);

/**
 * What the last failure on this thread was, naming the field and its value; "" if there was none. The text
 * belongs to the library, has at most 1023 bytes, and stays valid until the next failure on this thread or the
 * thread's end.
 */
const char *convlow_last_error_message(void);

/**
 * Sets every field to its default. Pass sizeof(convlow_convnd_desc). Sizes without a default are 0, which is refused until
 * they are set. NULL or an impossible size: nothing is written.
 */
void convlow_convnd_desc_init(struct convlow_convnd_desc *desc,
                              size_t struct_size);

/**
 * The output's size on each axis, 1 behind spatial_dims: floor((in + pads - (dilation * (kernel - 1) + 1)) / stride) + 1, or
 * of a transposed convolution (in - 1) * stride - pads + dilation * (kernel - 1) + output_padding + 1.
 */
convlow_status convlow_convnd_output_size(const struct convlow_convnd_desc *desc,
                                          size_t *size);

/**
 * Sets every field to its default. Pass sizeof(convlow_conv2d_desc). Sizes without a default are 0, which is
 * refused until they are set. NULL or an impossible size: nothing is written.
 */
void convlow_conv2d_desc_init(struct convlow_conv2d_desc *desc, size_t struct_size);

/**
 * The output's rows and columns: floor((in + pads - (dilation * (kernel - 1) + 1)) / stride) + 1.
 */
convlow_status convlow_conv2d_output_size(const struct convlow_conv2d_desc *desc,
                                          size_t *height,
                                          size_t *width);

/**
 * Sets every field to its default. Pass sizeof(convlow_plan_options). NULL or an impossible size: nothing is
 * written.
 */
void convlow_plan_options_init(struct convlow_plan_options *options, size_t struct_size);

/**
 * Every algorithm's answer for this problem under these options (NULL: the defaults), in registry order:
 * applicable or why not, workspace, cost. *count is how many there are; the first `capacity` of them are written.
 * `infos[0].struct_size` is the size of each element. With infos NULL and capacity 0 only *count is written.
 */
convlow_status convlow_query(const struct convlow_conv2d_desc *desc,
                             const struct convlow_plan_options *options,
                             struct convlow_plan_info *infos,
                             size_t capacity,
                             size_t *count);

/**
 * The same for a descriptor of any number of dimensions.
 */
convlow_status convlow_query_nd(const struct convlow_convnd_desc *desc,
                                const struct convlow_plan_options *options,
                                struct convlow_plan_info *infos,
                                size_t capacity,
                                size_t *count);

/**
 * Makes a plan under these options (NULL: the defaults). Destroy it with convlow_plan_destroy.
 */
convlow_status convlow_plan_create(const struct convlow_conv2d_desc *desc,
                                   const struct convlow_plan_options *options,
                                   struct convlow_plan **plan);

/**
 * The same for a descriptor of any number of dimensions.
 */
convlow_status convlow_plan_create_nd(const struct convlow_convnd_desc *desc,
                                      const struct convlow_plan_options *options,
                                      struct convlow_plan **plan);

/**
 * Destroys a plan that no thread executes any more. NULL is a no-op.
 */
void convlow_plan_destroy(struct convlow_plan *plan);

/**
 * What was chosen. Set info->struct_size.
 */
convlow_status convlow_plan_get_info(const struct convlow_plan *plan, struct convlow_plan_info *info);

/**
 * Bytes of workspace that convlow_execute needs: exact, all threads of the plan's pool included. 0 is common,
 * and then a NULL workspace is fine. 0 for a NULL plan.
 */
size_t convlow_plan_workspace_bytes(const struct convlow_plan *plan);

/**
 * Bytes of the plan's packed weights; 0 for a NULL plan.
 */
size_t convlow_plan_packed_weights_bytes(const struct convlow_plan *plan);

/**
 * A number that is the same for all plans that read the same packed weights, in this build on this machine; 0 for a NULL
 * plan. CONVLOW_ALGORITHM_AUTO with CONVLOW_GEMM_AUTO keeps it the same for a layer whatever the size of the image, the batch
 * and the threads, but for maps of one pixel, what was measured, and a max_workspace_bytes that leaves nothing else.
 */
uint64_t convlow_plan_packing_id(const struct convlow_plan *plan);

/**
 * Packs weights of the descriptor's layout into the caller's memory: at least
 * convlow_plan_packed_weights_bytes, aligned as by malloc. The result holds no pointer and may be copied, mapped
 * and shared between plans that pack alike.
 */
convlow_status convlow_pack_weights(const struct convlow_plan *plan,
                                    const float *weights,
                                    void *packed,
                                    size_t packed_bytes);

/**
 * convlow_pack_weights for a plan of CONVLOW_TYPE_F64. The other one is for CONVLOW_TYPE_F32 alone, and refuses these plans.
 */
convlow_status convlow_pack_weights_f64(const struct convlow_plan *plan,
                                        const double *weights,
                                        void *packed,
                                        size_t packed_bytes);

/**
 * Computes dst. `src` and `dst` are whole tensors in the descriptor's layouts; `packed_weights` comes from
 * convlow_pack_weights; `bias` has out_channels elements or is NULL; `workspace` has at least
 * convlow_plan_workspace_bytes bytes of any content, aligned as by malloc, or is NULL if that is 0. dst and
 * workspace overlap nothing. Reads or writes nothing else; on a refusal dst is untouched.
 *
 * The library itself allocates nothing here, from the first call on. convlow_plan_info.gemm says what computes:
 * - CONVLOW_GEMM_KERNELS, and CONVLOW_GEMM_AUTO for plain loops: nobody allocates anything, and no thread keeps anything.
 *   This is all that CONVLOW_ALGORITHM_AUTO takes with CONVLOW_GEMM_AUTO.
 * - CONVLOW_GEMM_EMBEDDED: packs factors on the heap, in up to six allocations for each of gemm_calls, asks for the caches
 *   once a process, in some hundred small ones more, and keeps a buffer of the size of the second cache level for each
 *   thread until that ends. Whether it can have that is tried first: CONVLOW_ERROR_OUT_OF_MEMORY, with anything in dst.
 *   Where another thread takes the memory in between, the process ends.
 * - CONVLOW_GEMM_BLAS: keeps what its makers say; what it does where it cannot have that is its own affair.
 *
 * The calling thread needs a stack of 64 KiB, and what thread-local memory takes of it: 60 KiB with Debian's OpenBLAS, so
 * that 128 KiB are enough. Its floating-point mode (rounding, flushing to zero) holds on all threads of the pool.
 *
 * A NaN or an infinity in src reaches exactly the outputs whose window holds it. In weights it may also reach
 * outputs at the border whose window it lies outside of.
 */
convlow_status convlow_execute(const struct convlow_plan *plan,
                               const float *src,
                               const void *packed_weights,
                               const float *bias,
                               float *dst,
                               void *workspace,
                               size_t workspace_bytes);

/**
 * convlow_execute for a plan of CONVLOW_TYPE_F64, whose bias, src and dst are of double. The other one is for
 * CONVLOW_TYPE_F32 alone, and refuses these plans.
 */
convlow_status convlow_execute_f64(const struct convlow_plan *plan,
                                   const double *src,
                                   const void *packed_weights,
                                   const double *bias,
                                   double *dst,
                                   void *workspace,
                                   size_t workspace_bytes);

/**
 * Sets every field to 0. Pass sizeof(convlow_execute_args). NULL or an impossible size: nothing is written.
 */
void convlow_execute_args_init(struct convlow_execute_args *args, size_t struct_size);

/**
 * convlow_execute with what not every call has: a residual from its own tensor, the slopes of CONVLOW_ACTIVATION_PRELU, and the
 * context of an external pool for this call; of plans of both types. src and dst may be slices of one tensor that have no element in common.
 */
convlow_status convlow_execute_with(const struct convlow_plan *plan,
                                    const struct convlow_execute_args *args);

/**
 * A pool of `threads` threads, the calling one included; 0: as many as the calling thread may use cores, or fewer where
 * the CPU quota of a container says so. The threads block all signals, which are the host's.
 */
convlow_status convlow_pool_create(size_t threads,
                                   struct convlow_pool **pool);

/**
 * Sets for how many microseconds the pool's threads look out for the next execute before they sleep: 200 unless set,
 * at most 1,000,000; 0 for hosts that forbid spinning. Plans made with the pool before are included. Not for
 * external pools, whose threads are the host's (CONVLOW_ERROR_UNSUPPORTED).
 */
convlow_status convlow_pool_set_spin(struct convlow_pool *pool,
                                     uint32_t microseconds);

/**
 * Whether a thread of the pool that would share a core with the one that executes, or with another of the pool, is
 * given a free one when it is called: CONVLOW_BINDING_CORES, the default, or CONVLOW_BINDING_NONE. The system by itself
 * often wakes a thread on the core of the one that woke it, where it adds nothing. The cores are those that the
 * executing thread may use, where they are enough for the whole pool, else those that the pool's creator could use; a
 * thread may leave the core it was given as soon as it runs there. Threads of the host are never moved. Plans made with
 * the pool before are included. Not for external pools (CONVLOW_ERROR_UNSUPPORTED).
 */
convlow_status convlow_pool_set_binding(struct convlow_pool *pool,
                                        int32_t binding);

/**
 * A pool over the host's own threads: execute calls run(context, jobs, ...) with jobs <= threads, from the thread
 * that executes. One execute calls it at a time: another one that comes meanwhile, on any plan of this pool and with any
 * context, runs on its calling thread alone. A job takes over the floating-point mode of the thread that executes, and puts
 * its own thread's back at its end. `run` and `context` must stay valid until this pool and all plans made with it are
 * destroyed.
 */
convlow_status convlow_pool_create_external(convlow_parallel_for run,
                                            void *context,
                                            size_t threads,
                                            struct convlow_pool **pool);

/**
 * Destroys a pool; its threads end when the last plan made with it is destroyed. NULL is a no-op.
 */
void convlow_pool_destroy(struct convlow_pool *pool);

/**
 * What CONVLOW_EFFORT_MEASURE has learned in this process, as text with a closing NUL. *length is the length
 * without the NUL. With text NULL and capacity 0 only *length is written.
 */
convlow_status convlow_wisdom_export(char *text, size_t capacity, size_t *length);

/**
 * Adds `length` bytes of text that convlow_wisdom_export wrote, on this machine, to what is known: `length` as export
 * gave it, or by strlen. A line with anything that this build does not know (a problem, an algorithm, a GEMM) is refused
 * by its number; at most 65,536 times are kept. On an error nothing is added.
 */
convlow_status convlow_wisdom_import(const char *text,
                                     size_t length);

/**
 * The version of the library: major << 16 | minor << 8 | patch.
 */
uint32_t convlow_version(void);

/**
 * Version, GEMM backends and their configuration, the vector instructions of the library's own kernels, optional
 * algorithms. Static text.
 *
 * The environment variable CONVLOW_ISA=portable|avx2|avx512|neon, read once in a process, forces the instructions of the
 * library's own kernels; unset or empty: the best that the machine has, which this text names with all that it has. A value
 * that the machine does not have is refused with CONVLOW_ERROR_UNSUPPORTED where a plan is made or queried. Packed weights
 * follow the instructions: those of others may be refused with CONVLOW_ERROR_WEIGHTS_MISMATCH, and are never misread.
 */
const char *convlow_build_info(void);

/**
 * How many algorithms this build has.
 */
size_t convlow_algorithm_count(void);

/**
 * The id of algorithm 0 .. convlow_algorithm_count() - 1; -1 beyond. Ids never change between versions.
 */
int32_t convlow_algorithm_at(size_t index);

/**
 * The name of an algorithm as static text, "auto" for CONVLOW_ALGORITHM_AUTO; NULL if unknown.
 */
const char *convlow_algorithm_name(int32_t id);

/**
 * The id of an algorithm; -1 if unknown or NULL.
 */
int32_t convlow_algorithm_from_name(const char *name);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* CONVLOW_H */
