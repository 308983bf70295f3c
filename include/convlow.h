/*
 * convlow: convolutions in little memory.
 *
 * Written by cbindgen from src/ffi; do not edit. `./dev generate` writes it again.
 *
 * Use it in five steps: fill a descriptor, make a plan, pack the weights once, execute the plan often, destroy the
 * plan. docs/guide.md shows each step with an example.
 *
 * Words of this file:
 *   src, dst, weights   the input tensor, the output tensor, the weights of the convolution
 *   axis                a spatial axis: depth, height or width
 *   pixel               one position on all spatial axes
 *   plane               all pixels of one channel of one image
 *   image               one element of the batch
 *   slice               a tensor that is some channels of a wider tensor
 *   tap                 one position of the kernel
 *   window              the pixels that one output reads through its taps
 *   element             one number of a tensor: a float, or a double
 *   planner             the part of the library that chooses an algorithm
 *   plan                the algorithm for one convolution, with the sizes of all memory
 *   execute             one call of convlow_execute, convlow_execute_f64 or convlow_execute_with
 *   packed weights      the weights in the order in which a plan reads them
 *   workspace           memory of the caller for the intermediate results of one execute
 *   bias                one number for each output channel, which is added to the sum
 *   residual            a tensor of the shape of dst, which is added before the activation
 *   slopes              one number for each output channel, for CONVLOW_ACTIVATION_PRELU only
 *   host                the program that calls this library
 *   pool                threads that compute one execute together
 *   external pool       a pool of threads that belong to the host
 *   GEMM                a routine that multiplies two matrices: OpenBLAS (the BLAS), or the one inside this library
 *   own kernels         the inner loops of this library, which need no GEMM
 *   cost model          the formulas by which the planner estimates times
 *   wisdom              the times that this process measured or imported
 *
 * Definition, in two dimensions, with stride s and dilation d:
 *   sum[n,m,y,x] = sum over c,i,j of weights[m,c,i,j] * src[n, c, y*s + i*d - pad_top, x*s + j*d - pad_left]
 *   dst[n,m,y,x] = activation(sum[n,m,y,x] + bias[m] + residual[n,m,y,x])
 * Terms outside src are absent. Bias, residual and activation are optional. With groups, c runs over the input
 * channels of the group of m. In one dimension there is one axis less, in three dimensions one more.
 *
 * Types: all tensors of a plan have one type, float or double. That includes bias, residual and slopes.
 *
 * Errors: every function that can fail returns a convlow_status. convlow_last_error_message() then returns the
 * reason, for the same thread. If a call fails, it writes no output. Two failures are exceptions, and may leave
 * anything in the outputs:
 *   - CONVLOW_ERROR_INTERNAL;
 *   - CONVLOW_ERROR_OUT_OF_MEMORY of an execute on CONVLOW_GEMM_EMBEDDED.
 * Every function checks its pointers. If a pointer must not be NULL and is NULL, the call returns
 * CONVLOW_ERROR_INVALID_ARGUMENT. Comments name the pointers that may be NULL. docs/errors.md has more.
 *
 * Empty tensors: the batch and the input sizes of a convolution may be 0. If dst has no element, an execute succeeds
 * and touches nothing. If only src has no element, dst becomes activation(bias + residual). A pointer to a tensor
 * without elements may be NULL.
 *
 * Ownership: tensors, packed weights and workspace belong to the caller. The library keeps no pointer to them, to a
 * descriptor or to options after a call. Texts that a function returns belong to the library; do not free them.
 * docs/memory.md has the sizes.
 *
 * Threads: every function may be called from any thread at any time. Two threads must not write the same memory.
 * Destroy a plan or a pool only if no other call uses it. docs/threads.md has more.
 *
 * The MIT or the Apache 2.0 license, at your choice.
 */

#ifndef CONVLOW_H
#define CONVLOW_H

#include <stddef.h>
#include <stdint.h>
/*
 * CONVLOW_..._INIT(p) sets the struct that p points to to its defaults, and passes the size of that struct. For
 * example CONVLOW_CONV2D_DESC_INIT(&desc) calls convlow_conv2d_desc_init(&desc, sizeof(convlow_conv2d_desc)). If p
 * points to a struct of another type, the macro does not compile.
 */
#define CONVLOW_CONV2D_DESC_INIT(p) CONVLOW_INIT_(convlow_conv2d_desc, p)
#define CONVLOW_CONVND_DESC_INIT(p) CONVLOW_INIT_(convlow_convnd_desc, p)
#define CONVLOW_PLAN_OPTIONS_INIT(p) CONVLOW_INIT_(convlow_plan_options, p)
#define CONVLOW_EXECUTE_ARGS_INIT(p) CONVLOW_INIT_(convlow_execute_args, p)

#if !defined(__cplusplus) && defined(__STDC_VERSION__) && __STDC_VERSION__ >= 201112L
#define CONVLOW_INIT_(type, p) type##_init(_Generic((p), type *: (p)), sizeof(type))
#else
/* C++ refuses a pointer to another struct. C99 refuses a pointer to a struct of another size. */
#define CONVLOW_INIT_(type, p)                                                                               \
    type##_init((p), sizeof(type) + 0 * sizeof(char[sizeof *(p) == sizeof(type) ? 1 : -1]))
#endif

/**
 * The order of the axes of src or dst: batch, channels, then the spatial axes ("channels first").
 */
#define CONVLOW_LAYOUT_NCHW 0

/**
 * The order of the axes of src or dst: batch, the spatial axes, then channels ("channels last").
 */
#define CONVLOW_LAYOUT_NHWC 1

/**
 * The order of the axes of the weights, as PyTorch and ONNX store them: out_channels x in_channels/groups x kernel
 * axes. For a transposed convolution: in_channels x out_channels/groups x kernel axes.
 */
#define CONVLOW_WEIGHTS_OIHW 0

/**
 * The order of the axes of the weights, as TensorFlow stores them: kernel axes x in_channels/groups x out_channels.
 * For a transposed convolution: kernel axes x out_channels/groups x in_channels.
 */
#define CONVLOW_WEIGHTS_HWIO 1

/**
 * The order of the axes of the weights, as TensorFlow Lite stores them: out_channels x kernel axes x
 * in_channels/groups. A transposed convolution has the same order.
 */
#define CONVLOW_WEIGHTS_OHWI 2

/**
 * A convolution, as ONNX Conv defines it.
 */
#define CONVLOW_OPERATION_CONV 0

/**
 * A transposed convolution, as ONNX ConvTranspose defines it. Each input pixel multiplies the kernel by its value
 * and adds the products to the output. The first tap goes to output position: input position * stride - pad_before.
 */
#define CONVLOW_OPERATION_CONV_TRANSPOSE 1

/**
 * Elements are float (float32). Use convlow_pack_weights with convlow_execute or convlow_execute_with.
 */
#define CONVLOW_TYPE_F32 0

/**
 * Elements are double (float64). Use convlow_pack_weights_f64 with convlow_execute_f64 or convlow_execute_with.
 */
#define CONVLOW_TYPE_F64 1

/**
 * The result is y, where y is convolution + bias + residual. docs/activations.md states the errors of all activations.
 */
#define CONVLOW_ACTIVATION_NONE 0

/**
 * The result is min(max(y, activation_min), activation_max). For ReLU set 0 and INFINITY, for ReLU6 set 0 and 6. A NaN
 * stays a NaN.
 */
#define CONVLOW_ACTIVATION_CLAMP 1

/**
 * The result is y < 0 ? activation_alpha * y : y. The default of activation_alpha is 0.01.
 */
#define CONVLOW_ACTIVATION_LEAKY_RELU 2

/**
 * The result is min(max(activation_alpha * y + activation_beta, 0), 1). The defaults are 1/6 and 1/2.
 */
#define CONVLOW_ACTIVATION_HARD_SIGMOID 3

/**
 * The result is y * min(max(activation_alpha * y + activation_beta, 0), 1). The defaults are 1/6 and 1/2.
 */
#define CONVLOW_ACTIVATION_HARD_SWISH 4

/**
 * The result is 1 / (1 + exp(-y)).
 */
#define CONVLOW_ACTIVATION_SIGMOID 5

/**
 * The result is y / (1 + exp(-activation_alpha * y)). The default of activation_alpha is 1.
 */
#define CONVLOW_ACTIVATION_SILU 6

/**
 * The result is tanh(y).
 */
#define CONVLOW_ACTIVATION_TANH 7

/**
 * The result is y / 2 * (1 + erf(y / sqrt(2))).
 */
#define CONVLOW_ACTIVATION_GELU 8

/**
 * The result is y / 2 * (1 + tanh(sqrt(2 / pi) * (y + 0.044715 * y^3))).
 */
#define CONVLOW_ACTIVATION_GELU_TANH 9

/**
 * The result is y < 0 ? slopes[m] * y : y in output channel m. Pass slopes in convlow_execute_args to
 * convlow_execute_with.
 */
#define CONVLOW_ACTIVATION_PRELU 10

/**
 * The planner chooses the algorithm. convlow_algorithm_from_name and convlow_algorithm_at return the ids of the
 * others.
 */
#define CONVLOW_ALGORITHM_AUTO 0

/**
 * The planner takes only algorithms that compute every product of the definition.
 */
#define CONVLOW_MATH_EXACT 0

/**
 * The planner may also take Winograd's algorithms, which multiply less and round differently. docs/numerics.md states
 * the error of each one.
 */
#define CONVLOW_MATH_FAST 1

/**
 * dst from src, weights and bias.
 */
#define CONVLOW_PROPAGATION_FORWARD 0

/**
 * For training: the gradient of src from the gradient of dst and the weights. The descriptor describes the forward
 * convolution, and a gradient lies as the tensor whose gradient it is.
 */
#define CONVLOW_PROPAGATION_BACKWARD_DATA 1

/**
 * For training: the gradients of the weights and of the bias from src and the gradient of dst. Such a plan reads no
 * weights, so that it has 0 bytes of packed weights.
 */
#define CONVLOW_PROPAGATION_BACKWARD_WEIGHTS 2

/**
 * The caller packs the weights once, with convlow_pack_weights, and keeps them for all executes.
 */
#define CONVLOW_PACKING_CALLER 0

/**
 * Each execute reads the caller's own weights, in weights_layout. It packs some output channels at a time into the
 * workspace, which takes at most 256 KiB for this, or the weights of one output channel if these are more. For weights
 * that change from call to call.
 */
#define CONVLOW_PACKING_NONE 1

/**
 * The planner measures nothing. It uses times that were measured or imported before, if there are any, and otherwise
 * a cost model. Making a plan takes tens of microseconds.
 */
#define CONVLOW_EFFORT_ESTIMATE 0

/**
 * The planner times the algorithms within max_workspace_bytes, measure_budget_seconds and measure_max_bytes.
 */
#define CONVLOW_EFFORT_MEASURE 1

/**
 * As an option, the default: no GEMM is required. With CONVLOW_ALGORITHM_AUTO the planner takes only algorithms on the
 * library's own kernels or on plain loops; their executes allocate nothing. An algorithm by name that needs a GEMM
 * gets the GEMM that is faster on one thread by the cost model. It gets the BLAS only if the sizes fit the integer
 * type of the BLAS.
 *
 * In convlow_plan_info: the algorithm uses plain loops, without a GEMM and without own kernels, or it is not
 * applicable.
 */
#define CONVLOW_GEMM_AUTO 0

/**
 * OpenBLAS. As an option with CONVLOW_ALGORITHM_AUTO: the planner takes algorithms that call this GEMM. It takes
 * "direct-sum2d", which calls none, if no other algorithm fits or if the cost model finds it faster. The option does
 * not change an algorithm by name that needs no GEMM. A build without this GEMM returns CONVLOW_ERROR_UNSUPPORTED.
 */
#define CONVLOW_GEMM_BLAS 1

/**
 * The GEMM that is compiled into the library. As an option it has the same rules as CONVLOW_GEMM_BLAS.
 */
#define CONVLOW_GEMM_EMBEDDED 2

/**
 * Only in convlow_plan_info: the algorithm uses the library's own kernels, which are made for convolutions, in place
 * of a GEMM. As an option it is CONVLOW_ERROR_INVALID_ARGUMENT; use CONVLOW_GEMM_AUTO.
 */
#define CONVLOW_GEMM_KERNELS 3

/**
 * The system alone decides on which cores the threads of a pool run.
 */
#define CONVLOW_BINDING_NONE 0

/**
 * The library chooses the core on which a thread of the pool wakes.
 */
#define CONVLOW_BINDING_CORES 1

/**
 * The first number of the version of this header.
 */
#define CONVLOW_VERSION_MAJOR 0

/**
 * The second number of the version of this header.
 */
#define CONVLOW_VERSION_MINOR 1

/**
 * The third number of the version of this header.
 */
#define CONVLOW_VERSION_PATCH 1

/**
 * A convolution that is ready to run. A plan never changes: any number of threads may execute it at the same time,
 * each with its own dst and workspace.
 */
typedef struct convlow_plan convlow_plan;

/**
 * Threads that compute one execute together, the calling thread included. One pool may serve any number of plans. It
 * serves one execute at a time: if the pool is busy, another execute does not wait, but runs on its calling thread.
 */
typedef struct convlow_pool convlow_pool;

/**
 * The result of a call: CONVLOW_OK or one of CONVLOW_ERROR_...
 */
typedef int32_t convlow_status;

/**
 * Describes a convolution or a transposed convolution, in one, two or three dimensions, of floats or doubles. First
 * call CONVLOW_CONVND_DESC_INIT, then set the fields that differ from their defaults. Batch, groups, dilation,
 * stride, padding and output padding have the meaning of ONNX Conv and ConvTranspose.
 *
 * An array has one element for each axis, the outermost axis first. The first spatial_dims elements count. Leave the
 * others as CONVLOW_CONVND_DESC_INIT sets them; another value is CONVLOW_ERROR_INVALID_ARGUMENT.
 */
typedef struct convlow_convnd_desc {
    /**
     * The caller's size of this struct in bytes: sizeof(convlow_convnd_desc). A smaller struct, of an older header,
     * leaves the other fields at their defaults. A larger one, of a newer header, must have 0 in the bytes that the
     * library does not know.
     */
    size_t struct_size;
    /**
     * CONVLOW_OPERATION_... Default CONVLOW_OPERATION_CONV.
     */
    int32_t operation;
    /**
     * CONVLOW_TYPE_... of all tensors. Default CONVLOW_TYPE_F32.
     */
    int32_t type;
    /**
     * Number of spatial axes: 1, 2 or 3. Default 2.
     */
    int32_t spatial_dims;
    /**
     * CONVLOW_LAYOUT_... of src. Default CONVLOW_LAYOUT_NCHW.
     */
    int32_t src_layout;
    /**
     * CONVLOW_LAYOUT_... of dst. It may differ from src_layout. Default CONVLOW_LAYOUT_NCHW.
     */
    int32_t dst_layout;
    /**
     * CONVLOW_WEIGHTS_... Default CONVLOW_WEIGHTS_OIHW.
     */
    int32_t weights_layout;
    /**
     * CONVLOW_ACTIVATION_... Default CONVLOW_ACTIVATION_NONE.
     */
    int32_t activation;
    /**
     * Not 0: add a residual before the activation. convlow_execute and convlow_execute_f64 take it from dst, as dst
     * is before the call. With convlow_execute_with it may be a tensor of its own. Default 0.
     */
    int32_t accumulate;
    /**
     * Number of images. Default 1. 0 is an empty batch: an execute succeeds and touches nothing.
     */
    size_t batch;
    /**
     * Input channels of all groups together. Default 0, which is refused: set it.
     */
    size_t in_channels;
    /**
     * Output channels of all groups together. Default 0, which is refused: set it.
     */
    size_t out_channels;
    /**
     * Groups of channels. Each group is a convolution of its own. It must divide both numbers of channels. Default 1.
     */
    size_t groups;
    /**
     * Input positions on each axis. Default 0, an empty image. A size of 0 needs pad_before + pad_after of at least
     * dilation * (kernel_size - 1). A transposed convolution needs sizes of at least 1.
     */
    size_t in_size[3];
    /**
     * Kernel positions on each axis. Default 0, which is refused: set them.
     */
    size_t kernel_size[3];
    /**
     * Input positions from one output position to the next, at least 1. Default 1. For a transposed convolution:
     * output positions from one input position to the next.
     */
    size_t stride[3];
    /**
     * Input positions from one kernel position to the next, at least 1. Default 1, a dense kernel. For a transposed
     * convolution: output positions from one kernel position to the next.
     */
    size_t dilation[3];
    /**
     * Absent positions before the first input position. Default 0. For a transposed convolution: output positions
     * that are cut off at the beginning.
     */
    size_t pad_before[3];
    /**
     * Absent positions behind the last input position. Default 0. For a transposed convolution: output positions
     * that are cut off at the end.
     */
    size_t pad_after[3];
    /**
     * Only for a transposed convolution: output positions that are added at the end, as output_padding of ONNX. It
     * must be less than the stride or less than the dilation of the axis. Default 0.
     */
    size_t output_padding[3];
    /**
     * Least output of CONVLOW_ACTIVATION_CLAMP. Default -INFINITY. With CONVLOW_ACTIVATION_NONE, both bounds must have
     * their defaults, or both must be 0; any other bound is CONVLOW_ERROR_INVALID_ARGUMENT. Other activations ignore
     * the bounds.
     */
    double activation_min;
    /**
     * Greatest output of CONVLOW_ACTIVATION_CLAMP. Default INFINITY. With CLAMP, a NaN bound, or a maximum less than
     * the minimum, is CONVLOW_ERROR_INVALID_ARGUMENT.
     */
    double activation_max;
    /**
     * With channels last: elements from one pixel of src to the next. With channels first: elements from one plane
     * to the next; the rows of a plane are always dense. Set it if src is a slice of a wider tensor. Default 0, a
     * dense src.
     */
    size_t src_channel_stride;
    /**
     * Elements from one image of src to the next. Default 0: the images lie one behind the other.
     */
    size_t src_batch_stride;
    /**
     * As src_channel_stride, for dst. An execute does not write the gaps of dst.
     */
    size_t dst_channel_stride;
    /**
     * As src_batch_stride, for dst.
     */
    size_t dst_batch_stride;
    /**
     * First parameter of the activation, if it has one. Default NaN, which stands for the default of the activation.
     * An infinity is CONVLOW_ERROR_INVALID_ARGUMENT.
     */
    double activation_alpha;
    /**
     * Second parameter of the activation, if it has two. The rules of activation_alpha hold.
     */
    double activation_beta;
    /**
     * CONVLOW_PROPAGATION_... Default CONVLOW_PROPAGATION_FORWARD. With another one, an activation other than
     * CONVLOW_ACTIVATION_NONE is CONVLOW_ERROR_UNSUPPORTED, and accumulate adds to what the gradient's tensor holds.
     */
    int32_t propagation;
    /**
     * Always 0.
     */
    int32_t reserved1;
} convlow_convnd_desc;

/**
 * Describes a two-dimensional convolution of floats. First call CONVLOW_CONV2D_DESC_INIT, then set the fields that
 * differ from their defaults. Batch, groups, dilation, stride and padding have the meaning of ONNX Conv.
 */
typedef struct convlow_conv2d_desc {
    /**
     * The caller's size of this struct in bytes: sizeof(convlow_conv2d_desc). A smaller struct, of an older header,
     * leaves the other fields at their defaults. A larger one, of a newer header, must have 0 in the bytes that the
     * library does not know.
     */
    size_t struct_size;
    /**
     * CONVLOW_LAYOUT_... of src. Default CONVLOW_LAYOUT_NCHW.
     */
    int32_t src_layout;
    /**
     * CONVLOW_LAYOUT_... of dst. It may differ from src_layout. Default CONVLOW_LAYOUT_NCHW.
     */
    int32_t dst_layout;
    /**
     * CONVLOW_WEIGHTS_... Default CONVLOW_WEIGHTS_OIHW.
     */
    int32_t weights_layout;
    /**
     * CONVLOW_ACTIVATION_... Default CONVLOW_ACTIVATION_NONE.
     */
    int32_t activation;
    /**
     * Number of images. Default 1. 0 is an empty batch: an execute succeeds and touches nothing.
     */
    size_t batch;
    /**
     * Input channels of all groups together. Default 0, which is refused: set it.
     */
    size_t in_channels;
    /**
     * Input rows. Default 0, an empty image. 0 rows need pad_top + pad_bottom of at least dilation_height *
     * (kernel_height - 1).
     */
    size_t in_height;
    /**
     * Input columns. Default 0, an empty image. 0 columns need pad_left + pad_right of at least dilation_width *
     * (kernel_width - 1).
     */
    size_t in_width;
    /**
     * Output channels of all groups together. Default 0, which is refused: set it.
     */
    size_t out_channels;
    /**
     * Kernel rows. Default 0, which is refused: set it.
     */
    size_t kernel_height;
    /**
     * Kernel columns. Default 0, which is refused: set it.
     */
    size_t kernel_width;
    /**
     * Input rows from one output row to the next, at least 1. Default 1.
     */
    size_t stride_height;
    /**
     * Input columns from one output column to the next, at least 1. Default 1.
     */
    size_t stride_width;
    /**
     * Input rows from one kernel row to the next, at least 1. Default 1, a dense kernel.
     */
    size_t dilation_height;
    /**
     * Input columns from one kernel column to the next, at least 1. Default 1, a dense kernel.
     */
    size_t dilation_width;
    /**
     * Absent rows above the input. Default 0. Padding may be larger than the kernel.
     */
    size_t pad_top;
    /**
     * Absent columns left of the input. Default 0.
     */
    size_t pad_left;
    /**
     * Absent rows below the input. Default 0.
     */
    size_t pad_bottom;
    /**
     * Absent columns right of the input. Default 0.
     */
    size_t pad_right;
    /**
     * Groups of channels. Each group is a convolution of its own. It must divide both numbers of channels. Default 1.
     */
    size_t groups;
    /**
     * Least output of CONVLOW_ACTIVATION_CLAMP. Default -INFINITY. With CONVLOW_ACTIVATION_NONE, both bounds must have
     * their defaults, or both must be 0; any other bound is CONVLOW_ERROR_INVALID_ARGUMENT. Other activations ignore
     * the bounds.
     */
    float activation_min;
    /**
     * Greatest output of CONVLOW_ACTIVATION_CLAMP. Default INFINITY. With CLAMP, a NaN bound, or a maximum less than
     * the minimum, is CONVLOW_ERROR_INVALID_ARGUMENT.
     */
    float activation_max;
    /**
     * Not 0: add a residual before the activation. convlow_execute takes it from dst, as dst is before the call. With
     * convlow_execute_with it may be a tensor of its own. Default 0.
     */
    int32_t accumulate;
    /**
     * First parameter of the activation, if it has one. Default NaN, which stands for the default of the activation.
     * An infinity is CONVLOW_ERROR_INVALID_ARGUMENT.
     */
    double activation_alpha;
    /**
     * Second parameter of the activation, if it has two. The rules of activation_alpha hold.
     */
    double activation_beta;
} convlow_conv2d_desc;

/**
 * The requests for a plan. First call CONVLOW_PLAN_OPTIONS_INIT, then set the fields that differ from their defaults.
 */
typedef struct convlow_plan_options {
    /**
     * The caller's size of this struct in bytes: sizeof(convlow_plan_options). A smaller struct, of an older header,
     * leaves the other fields at their defaults. A larger one, of a newer header, must have 0 in the bytes that the
     * library does not know.
     */
    size_t struct_size;
    /**
     * The id of an algorithm, as convlow_algorithm_from_name returns it. Default CONVLOW_ALGORITHM_AUTO.
     */
    int32_t algorithm;
    /**
     * CONVLOW_MATH_... Default CONVLOW_MATH_EXACT.
     */
    int32_t math;
    /**
     * CONVLOW_EFFORT_... Default CONVLOW_EFFORT_ESTIMATE.
     */
    int32_t effort;
    /**
     * CONVLOW_GEMM_... Default CONVLOW_GEMM_AUTO.
     */
    int32_t gemm;
    /**
     * Limit in bytes for the workspace, for all threads of the pool together. Default SIZE_MAX.
     * CONVLOW_ALGORITHM_AUTO finds an algorithm for every limit, also for 0, if max_packed_weights_bytes, packing_id and
     * packing have their defaults.
     */
    size_t max_workspace_bytes;
    /**
     * Only with CONVLOW_EFFORT_MEASURE: limit in seconds for the measuring. Default 1. One run of the fastest
     * algorithm may come on top.
     */
    double measure_budget_seconds;
    /**
     * The threads of each execute. NULL, the default: the plan runs on the calling thread. The plan shares the
     * threads of the pool: you may destroy the pool before the plan.
     */
    struct convlow_pool *pool;
    /**
     * Only with CONVLOW_EFFORT_MEASURE: limit in bytes for the memory of the measuring. Default 256 MiB. If the
     * problem is too large for this limit or for the budget, the planner measures a part of it.
     */
    size_t measure_max_bytes;
    /**
     * Limit in bytes for the packed weights. Default SIZE_MAX. With CONVLOW_MATH_FAST, packed weights may have up to
     * 7.1 times the size of the plain weights.
     */
    size_t max_packed_weights_bytes;
    /**
     * The format of packed weights that the plan must read, as convlow_plan_packing_id returns it. If no algorithm
     * reads it, the result is CONVLOW_ERROR_UNSUPPORTED. 0, the default: any format.
     */
    uint64_t packing_id;
    /**
     * CONVLOW_PACKING_... Default CONVLOW_PACKING_CALLER. With CONVLOW_PACKING_NONE the plan has 0 bytes of packed
     * weights, its packing_id is 0, and convlow_pack_weights returns CONVLOW_ERROR_INVALID_ARGUMENT for it.
     */
    int32_t packing;
    /**
     * Always 0.
     */
    int32_t reserved0;
} convlow_plan_options;

/**
 * The planner's knowledge of one algorithm for one problem. Before the call, set struct_size, and set the other
 * fields to 0: a newer header may have fields that an older library does not write.
 */
typedef struct convlow_plan_info {
    /**
     * The caller's size of this struct in bytes: sizeof(convlow_plan_info).
     */
    size_t struct_size;
    /**
     * The id of the algorithm.
     */
    int32_t algorithm;
    /**
     * 1 if the algorithm can compute the problem. Otherwise 0; then workspace_bytes, packed_weights_bytes,
     * gemm_calls and both times are 0, too.
     */
    int32_t applicable;
    /**
     * CONVLOW_GEMM_BLAS, CONVLOW_GEMM_EMBEDDED or CONVLOW_GEMM_KERNELS; CONVLOW_GEMM_AUTO if none of them computes.
     */
    int32_t gemm;
    /**
     * Always 0.
     */
    int32_t reserved;
    /**
     * Exact number of bytes of the workspace, for all threads of the pool together.
     */
    size_t workspace_bytes;
    /**
     * Exact number of bytes of the packed weights.
     */
    size_t packed_weights_bytes;
    /**
     * Output rows: the size of the second-last axis. 1 in one dimension.
     */
    size_t dst_height;
    /**
     * Output columns: the size of the last axis.
     */
    size_t dst_width;
    /**
     * Multiplications of the definition for the whole batch. Products with taps on padding count, too. Products that
     * a transposed convolution cuts off also count.
     */
    size_t macs;
    /**
     * Calls of the GEMM in one execute. 0 without a GEMM.
     */
    size_t gemm_calls;
    /**
     * Seconds of one execute, by the cost model.
     */
    double estimated_seconds;
    /**
     * Seconds of one execute, as measured or imported. 0 if the algorithm was not measured.
     */
    double measured_seconds;
    /**
     * Why the algorithm is not applicable or was not chosen. Static text. NULL for the chosen algorithm.
     */
    const char *reason;
    /**
     * The vector instructions of the library's own kernels for this problem: portable, avx2, avx512 or neon. Where shorter
     * vectors are faster, they are not those of convlow_build_info. Static text. NULL if a GEMM or plain loops compute,
     * or if the algorithm is not applicable. Parts of plain weights may have others: these are the first part's.
     */
    const char *isa;
} convlow_plan_info;

/**
 * The tensors and the memory of one execute. First call CONVLOW_EXECUTE_ARGS_INIT, then set the fields that the plan
 * needs.
 *
 * All memory belongs to the caller. Tensors have the type of the plan and the alignment of an element.
 * packed_weights and workspace have the alignment of malloc, 16 bytes. Memory that is less aligned is
 * CONVLOW_ERROR_INVALID_ARGUMENT.
 *
 * dst and workspace must not overlap each other or any other argument, with two exceptions: residual may be equal to
 * dst, and src and dst may be slices of one tensor without a common element. An overlap is
 * CONVLOW_ERROR_INVALID_ARGUMENT.
 */
typedef struct convlow_execute_args {
    /**
     * The caller's size of this struct in bytes: sizeof(convlow_execute_args). A smaller struct, of an older header,
     * leaves the other fields at their defaults. A larger one, of a newer header, must have 0 in the bytes that the
     * library does not know.
     */
    size_t struct_size;
    /**
     * The input: all images, in src_layout and with the strides of src. It may be NULL if the tensor has no element.
     */
    const void *src;
    /**
     * Packed weights that convlow_pack_weights wrote, in the format that the plan reads. Never NULL, unless the plan was
     * made with CONVLOW_PACKING_NONE: then the pointer is ignored.
     */
    const void *packed_weights;
    /**
     * out_channels elements, or NULL for no bias.
     */
    const void *bias;
    /**
     * The output: all images, in dst_layout and with the strides of dst. It may be NULL if the tensor has no element.
     */
    void *dst;
    /**
     * At least convlow_plan_workspace_bytes bytes. Their content does not matter. It may be NULL if that number is 0.
     */
    void *workspace;
    /**
     * Bytes of workspace. Fewer than convlow_plan_workspace_bytes are CONVLOW_ERROR_WORKSPACE_LIMIT.
     */
    size_t workspace_bytes;
    /**
     * Only with accumulate: the tensor that is added before the activation, with the layout and the strides of dst.
     * NULL: the residual is dst, as dst is before the call. Without accumulate, other values than NULL are refused
     * with CONVLOW_ERROR_INVALID_ARGUMENT.
     */
    const void *residual;
    /**
     * Only with an external pool: the context for this call, in place of the context of the pool. NULL: the context
     * of the pool. Without an external pool, other values than NULL are refused with CONVLOW_ERROR_INVALID_ARGUMENT.
     */
    void *pool_context;
    /**
     * Only with CONVLOW_ACTIVATION_PRELU, and then never NULL: out_channels slopes. Other activations ignore the
     * pointer.
     */
    const void *slopes;
    /**
     * Bytes of packed_weights. If there are fewer than convlow_plan_packed_weights_bytes, the call returns
     * CONVLOW_ERROR_WEIGHTS_MISMATCH and reads none of them. 0, the default: the library does not check the number.
     */
    size_t packed_weights_bytes;
    /**
     * Only for a plan with CONVLOW_PACKING_NONE, and then never NULL: the plain weights, in weights_layout, of the
     * plan's type. Other plans ignore the pointer.
     */
    const void *weights;
    /**
     * Only for a plan with CONVLOW_PROPAGATION_BACKWARD_DATA or _WEIGHTS: the gradient of dst, in dst_layout and with the
     * strides of dst. It may be NULL if the tensor has no element. Other plans ignore the pointer.
     */
    const void *diff_dst;
    /**
     * Only for a plan with CONVLOW_PROPAGATION_BACKWARD_DATA, which writes it: the gradient of src, in src_layout and with the
     * strides of src. The rules for the overlap of dst hold. It may be NULL if the tensor has no element. Such a plan ignores
     * src, bias, dst, residual and slopes; other plans ignore diff_src.
     */
    void *diff_src;
    /**
     * Only for a plan with CONVLOW_PROPAGATION_BACKWARD_WEIGHTS, which writes it: the gradient of the weights, in
     * weights_layout. NULL: it is not computed. It must not overlap any other argument. Such a plan reads src and
     * diff_dst, and ignores packed_weights, weights, bias, dst, residual and slopes; other plans ignore diff_weights.
     */
    void *diff_weights;
    /**
     * Only for such a plan, which writes it: the gradient of the bias, out_channels elements. NULL: it is not computed. One of
     * diff_weights and diff_bias must be set. It must not overlap any other argument.
     */
    void *diff_bias;
} convlow_execute_args;

/**
 * A parallel loop of the host. It calls job(argument, 0) to job(argument, jobs - 1), on any threads and in any
 * order, and returns when all these calls have returned. It must not throw or unwind. argument is valid until it
 * returns.
 *
 * If it calls fewer jobs, the executing thread does the rest of the work. If it calls an index that is not below
 * jobs, the execute returns CONVLOW_ERROR_INTERNAL.
 */
typedef void (*convlow_parallel_for)(void *context,
                                     size_t jobs,
                                     void (*job)(void *argument, size_t index),
                                     void *argument);

/**
 * The call succeeded.
 */
#define CONVLOW_OK 0

/**
 * An argument is wrong: a NULL pointer, an unknown constant, a size of 0 that must not be 0, channels that groups
 * does not divide, a dilated kernel that is larger than the padded input, a wrong struct_size, a misaligned or
 * overlapping buffer.
 */
#define CONVLOW_ERROR_INVALID_ARGUMENT 1

/**
 * The arguments are valid, but the requested algorithm, GEMM, packing or pool cannot serve them, or this build or this
 * processor cannot. The message names the condition that failed.
 */
#define CONVLOW_ERROR_UNSUPPORTED 2

/**
 * No algorithm keeps max_workspace_bytes and max_packed_weights_bytes, or the workspace of an execute is smaller than
 * convlow_plan_workspace_bytes.
 */
#define CONVLOW_ERROR_WORKSPACE_LIMIT 3

/**
 * A size does not fit size_t or the integer type of the BLAS.
 */
#define CONVLOW_ERROR_OVERFLOW 4

/**
 * The system gives no memory or no thread. After an execute on CONVLOW_GEMM_EMBEDDED, dst may hold anything.
 */
#define CONVLOW_ERROR_OUT_OF_MEMORY 5

/**
 * The packed weights have another format than the plan reads, or a damaged header or end mark, or too few bytes.
 */
#define CONVLOW_ERROR_WEIGHTS_MISMATCH 6

/**
 * The library or an external pool has a fault. The outputs of the call may hold anything.
 */
#define CONVLOW_ERROR_INTERNAL 7

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * Returns the name of a status, for example "CONVLOW_OK", or "unknown status" for an unknown number. The text is
 * static; the result is never NULL.
 */
const char *convlow_status_name(convlow_status status);

/**
 * Returns the reason of the last failure on the calling thread, or "" if there was none. The text names the field
 * and its value. A successful call does not change it.
 *
 * The text belongs to the library and has at most 1023 bytes. It is valid until the next failure on this thread, or
 * until the thread ends. The result is never NULL.
 */
const char *convlow_last_error_message(void);

/**
 * Sets every field to its default. in_channels, out_channels and kernel_size become 0, which is refused until you
 * set them. in_size becomes 0, too, which is an empty image.
 *
 * The function writes struct_size bytes to desc: pass sizeof(convlow_convnd_desc), or use CONVLOW_CONVND_DESC_INIT.
 * If desc is NULL or misaligned, or if no version of the struct can have this size, it writes nothing.
 */
void convlow_convnd_desc_init(struct convlow_convnd_desc *desc,
                              size_t struct_size);

/**
 * Writes the size of dst on each axis to size, which has three elements. Elements behind spatial_dims become 1. Here
 * pads is pad_before + pad_after:
 * - a convolution: floor((in + pads - (dilation * (kernel - 1) + 1)) / stride) + 1;
 * - a transposed convolution: (in - 1) * stride - pads + dilation * (kernel - 1) + output_padding + 1.
 *
 * Neither pointer may be NULL. Errors: CONVLOW_ERROR_INVALID_ARGUMENT, CONVLOW_ERROR_OVERFLOW, and
 * CONVLOW_ERROR_UNSUPPORTED for a gradient with an activation.
 */
convlow_status convlow_convnd_output_size(const struct convlow_convnd_desc *desc,
                                          size_t *size);

/**
 * Sets every field to its default. Channels and kernel sizes become 0, which is refused until you set them.
 * in_height and in_width become 0, too, which is an empty image.
 *
 * The function writes struct_size bytes to desc: pass sizeof(convlow_conv2d_desc), or use CONVLOW_CONV2D_DESC_INIT.
 * If desc is NULL or misaligned, or if no version of the struct can have this size, it writes nothing.
 */
void convlow_conv2d_desc_init(struct convlow_conv2d_desc *desc,
                              size_t struct_size);

/**
 * Writes the rows and the columns of dst: floor((in + pads - (dilation * (kernel - 1) + 1)) / stride) + 1 on each
 * axis. Here pads is the padding on both sides of the axis.
 *
 * No pointer may be NULL. Errors: CONVLOW_ERROR_INVALID_ARGUMENT, CONVLOW_ERROR_OVERFLOW.
 */
convlow_status convlow_conv2d_output_size(const struct convlow_conv2d_desc *desc,
                                          size_t *height,
                                          size_t *width);

/**
 * Sets every field to its default. The function writes struct_size bytes to options: pass
 * sizeof(convlow_plan_options), or use CONVLOW_PLAN_OPTIONS_INIT. If options is NULL or misaligned, or if the size
 * is impossible, it writes nothing.
 */
void convlow_plan_options_init(struct convlow_plan_options *options,
                               size_t struct_size);

/**
 * Writes a convlow_plan_info of every algorithm for this problem, in the order of convlow_algorithm_at. A plan with
 * these options takes the algorithm whose reason is NULL. options may be NULL, for the defaults.
 * CONVLOW_EFFORT_MEASURE measures here, too.
 *
 * infos has capacity elements. Set the struct_size of the first one; it holds for all. The function writes
 * min(capacity, *count) elements, and the number of algorithms to *count. If capacity is 0, infos may be NULL. desc
 * and count must not be NULL.
 *
 * Errors: as convlow_plan_create. If an algorithm cannot serve the problem, the call succeeds, and the reason says
 * why.
 */
convlow_status convlow_query(const struct convlow_conv2d_desc *desc,
                             const struct convlow_plan_options *options,
                             struct convlow_plan_info *infos,
                             size_t capacity,
                             size_t *count);

/**
 * convlow_query for a convlow_convnd_desc.
 */
convlow_status convlow_query_nd(const struct convlow_convnd_desc *desc,
                                const struct convlow_plan_options *options,
                                struct convlow_plan_info *infos,
                                size_t capacity,
                                size_t *count);

/**
 * Makes a plan and writes its address to *plan. The caller owns the plan: destroy it with convlow_plan_destroy.
 * options may be NULL, for the defaults. Other pointers must not be NULL.
 *
 * Errors: CONVLOW_ERROR_INVALID_ARGUMENT, CONVLOW_ERROR_UNSUPPORTED, CONVLOW_ERROR_WORKSPACE_LIMIT,
 * CONVLOW_ERROR_OVERFLOW, CONVLOW_ERROR_OUT_OF_MEMORY. With the environment variable CONVLOW_VERBOSE=1 the call
 * prints some lines to stderr: the chosen algorithm, and for each other one the reason why it was not chosen.
 */
convlow_status convlow_plan_create(const struct convlow_conv2d_desc *desc,
                                   const struct convlow_plan_options *options,
                                   struct convlow_plan **plan);

/**
 * convlow_plan_create for a convlow_convnd_desc.
 */
convlow_status convlow_plan_create_nd(const struct convlow_convnd_desc *desc,
                                      const struct convlow_plan_options *options,
                                      struct convlow_plan **plan);

/**
 * Destroys a plan. No thread may use the plan during this call or after it. If plan is NULL, the function does
 * nothing.
 */
void convlow_plan_destroy(struct convlow_plan *plan);

/**
 * Writes the algorithm and the sizes of the plan to info. Set info->struct_size first, and the other fields to 0.
 * Neither pointer may be NULL. Error: CONVLOW_ERROR_INVALID_ARGUMENT.
 */
convlow_status convlow_plan_get_info(const struct convlow_plan *plan,
                                     struct convlow_plan_info *info);

/**
 * Returns the exact number of bytes of workspace that an execute needs, for all threads of the plan's pool together.
 * If it is 0, the workspace may be NULL. If plan is NULL, the result is 0.
 */
size_t convlow_plan_workspace_bytes(const struct convlow_plan *plan);

/**
 * Returns the exact number of bytes of the plan's packed weights. If plan is NULL, the result is 0.
 */
size_t convlow_plan_packed_weights_bytes(const struct convlow_plan *plan);

/**
 * Returns the number of the format in which the plan reads packed weights. If plan is NULL, the result is 0. Plans
 * with equal numbers read the same packed weights. Other builds and machines may have other formats.
 *
 * The number does not identify the weights: two layers of one shape share it, though their weights differ. So the
 * key of a cache of packed weights must be the layer and this number. docs/memory.md says when a layer keeps its
 * format for all image sizes.
 */
uint64_t convlow_plan_packing_id(const struct convlow_plan *plan);

/**
 * Packs the weights of a plan of CONVLOW_TYPE_F32. weights is in weights_layout. packed is memory of the caller with
 * the alignment of malloc, 16 bytes. It has packed_bytes bytes, at least convlow_plan_packed_weights_bytes. It must
 * not overlap weights. Packed weights hold no pointer: you may copy, store and map them, and share them between
 * plans of one format.
 *
 * No pointer may be NULL. Error: CONVLOW_ERROR_INVALID_ARGUMENT, also for a plan of another type.
 */
convlow_status convlow_pack_weights(const struct convlow_plan *plan,
                                    const float *weights,
                                    void *packed,
                                    size_t packed_bytes);

/**
 * convlow_pack_weights for a plan of CONVLOW_TYPE_F64.
 */
convlow_status convlow_pack_weights_f64(const struct convlow_plan *plan,
                                        const double *weights,
                                        void *packed,
                                        size_t packed_bytes);

/**
 * Computes dst, with a plan of CONVLOW_TYPE_F32. The arguments are those fields of convlow_execute_args that have
 * the same names: see there for sizes, alignment, overlap and NULL.
 *
 * - The function cannot check how many bytes packed_weights has: there must be convlow_plan_packed_weights_bytes.
 *   convlow_execute_with can check it.
 * - If the plan was made with CONVLOW_PACKING_NONE, pass the plain weights as packed_weights.
 * - The library itself allocates nothing. The GEMM of a plan may allocate. If it gets no memory, it may end the
 *   process: docs/memory.md. A plan that CONVLOW_ALGORITHM_AUTO chose with CONVLOW_GEMM_AUTO has no GEMM.
 * - Each executing thread needs 128 KiB of stack, or 64 KiB in a build without BLAS.
 * - All threads compute in the floating-point mode (rounding, flushing to zero) of the calling thread.
 * - A NaN or an infinity in src reaches exactly the outputs whose window holds it; with Winograd's algorithms it also
 *   reaches other outputs. A NaN or an infinity in the weights of a tap may also reach border outputs that do not use
 *   this tap.
 *
 * These errors leave dst as it was: CONVLOW_ERROR_INVALID_ARGUMENT, also for a plan of another type or of a gradient;
 * CONVLOW_ERROR_WORKSPACE_LIMIT; CONVLOW_ERROR_WEIGHTS_MISMATCH. These errors may leave anything in dst:
 * CONVLOW_ERROR_OUT_OF_MEMORY, only on CONVLOW_GEMM_EMBEDDED; CONVLOW_ERROR_INTERNAL.
 */
convlow_status convlow_execute(const struct convlow_plan *plan,
                               const float *src,
                               const void *packed_weights,
                               const float *bias,
                               float *dst,
                               void *workspace,
                               size_t workspace_bytes);

/**
 * convlow_execute for a plan of CONVLOW_TYPE_F64.
 */
convlow_status convlow_execute_f64(const struct convlow_plan *plan,
                                   const double *src,
                                   const void *packed_weights,
                                   const double *bias,
                                   double *dst,
                                   void *workspace,
                                   size_t workspace_bytes);

/**
 * Sets every field but struct_size to 0 or NULL. The function writes struct_size bytes to args: pass
 * sizeof(convlow_execute_args), or use CONVLOW_EXECUTE_ARGS_INIT. If args is NULL or misaligned, or if the size is
 * impossible, it writes nothing.
 */
void convlow_execute_args_init(struct convlow_execute_args *args,
                               size_t struct_size);

/**
 * convlow_execute for a plan of any type, with more arguments: a residual, slopes, a context for an external pool,
 * and the number of bytes of packed_weights. Neither pointer may be NULL. Errors: as convlow_execute.
 */
convlow_status convlow_execute_with(const struct convlow_plan *plan,
                                    const struct convlow_execute_args *args);

/**
 * Makes a pool of own threads and writes its address to *pool. threads counts the thread that executes: the library
 * starts threads - 1. 0 means one thread for each core that the calling thread may use, or fewer in a container with a
 * CPU quota. The threads block all signals.
 *
 * The caller owns the pool: destroy it with convlow_pool_destroy. pool must not be NULL. Errors:
 * CONVLOW_ERROR_INVALID_ARGUMENT, also for more than 1024 threads; CONVLOW_ERROR_OUT_OF_MEMORY.
 */
convlow_status convlow_pool_create(size_t threads,
                                   struct convlow_pool **pool);

/**
 * Sets the time in microseconds for which the pool's threads spin, that is wait for the next execute before they
 * sleep. The default is 200, the maximum 1,000,000. 0 switches spinning off. The time also holds for plans that
 * already exist.
 *
 * pool must not be NULL. Errors: CONVLOW_ERROR_INVALID_ARGUMENT; CONVLOW_ERROR_UNSUPPORTED for an external pool.
 */
convlow_status convlow_pool_set_spin(struct convlow_pool *pool,
                                     uint32_t microseconds);

/**
 * Sets CONVLOW_BINDING_CORES, the default, or CONVLOW_BINDING_NONE. With CONVLOW_BINDING_CORES, an execute wakes each
 * sleeping thread of the pool on the core with the fewest computing threads, and moves a spinning thread off the core
 * of the executing thread. It pins the thread to the new core until the thread runs there. The library chooses among
 * the cores that the executing thread may use. If they are too few for the whole pool, it chooses among the cores that
 * the creator of the pool could use. It never moves threads of the host. The setting also holds for plans that already
 * exist. docs/threads.md has the reason.
 *
 * pool must not be NULL. Errors: CONVLOW_ERROR_INVALID_ARGUMENT; CONVLOW_ERROR_UNSUPPORTED for an external pool.
 */
convlow_status convlow_pool_set_binding(struct convlow_pool *pool,
                                        int32_t binding);

/**
 * Makes an external pool, which uses threads of the host, and writes its address to *pool. An execute calls
 * run(context, jobs, job, argument) on its calling thread, with at most threads jobs. One execute at a time calls
 * run. A job computes in the floating-point mode of the executing thread, and restores the mode of its own thread at
 * its end.
 *
 * run and context must stay valid until the pool and all its plans are destroyed. context may be NULL; run and pool
 * must not be NULL. The caller owns the pool: destroy it with convlow_pool_destroy. Errors:
 * CONVLOW_ERROR_INVALID_ARGUMENT, also for 0 threads or more than 1024; CONVLOW_ERROR_OUT_OF_MEMORY.
 */
convlow_status convlow_pool_create_external(convlow_parallel_for run,
                                            void *context,
                                            size_t threads,
                                            struct convlow_pool **pool);

/**
 * Destroys a pool. You may destroy it before its plans: its threads end when the pool and all its plans are
 * destroyed. If pool is NULL, the function does nothing.
 */
void convlow_pool_destroy(struct convlow_pool *pool);

/**
 * Writes all times that this process knows to text: those that CONVLOW_EFFORT_MEASURE measured, and those that were
 * imported. *length becomes the number of bytes without the NUL at the end. capacity is the number of bytes of text,
 * and must be greater than that. If text is NULL and capacity is 0, the function only writes *length.
 *
 * length must not be NULL. Errors: CONVLOW_ERROR_INVALID_ARGUMENT, also if capacity is too small;
 * CONVLOW_ERROR_OUT_OF_MEMORY.
 */
convlow_status convlow_wisdom_export(char *text,
                                     size_t capacity,
                                     size_t *length);

/**
 * Adds times that convlow_wisdom_export wrote on the same machine. length is the number of bytes of text without the
 * NUL at the end. Later plans use the times. The process keeps at most 65,536 times.
 *
 * text must not be NULL. Errors: CONVLOW_ERROR_INVALID_ARGUMENT, if there would be too many times or if a line is
 * wrong, for example names an algorithm that this build does not have; CONVLOW_ERROR_OUT_OF_MEMORY. If the call
 * fails, it adds nothing.
 */
convlow_status convlow_wisdom_import(const char *text,
                                     size_t length);

/**
 * Returns the version of the library that runs: major << 16 | minor << 8 | patch.
 */
uint32_t convlow_version(void);

/**
 * Returns a text about the library: its version, its GEMMs, the vector instructions of its own kernels, and its
 * optional algorithms. The text is static; the result is never NULL.
 *
 * The environment variable CONVLOW_ISA = portable, avx2, avx512 or neon forces the vector instructions of the
 * library's own kernels. The library reads it once in a process. If it is not set or empty, the library takes the
 * best instructions of the machine. If it names instructions that the machine does not have, every plan and query
 * returns CONVLOW_ERROR_UNSUPPORTED. The format of packed weights follows the instructions: pack the weights again
 * after a change.
 */
const char *convlow_build_info(void);

/**
 * Returns the number of algorithms in this build.
 */
size_t convlow_algorithm_count(void);

/**
 * Returns the id of the algorithm with this index, or -1 if index is not below convlow_algorithm_count(). An
 * algorithm keeps its id in all versions.
 */
int32_t convlow_algorithm_at(size_t index);

/**
 * Returns the name of an algorithm as static text, "auto" for CONVLOW_ALGORITHM_AUTO, or NULL if this build does not
 * have the id.
 */
const char *convlow_algorithm_name(int32_t id);

/**
 * Returns the id of an algorithm, CONVLOW_ALGORITHM_AUTO for "auto", or -1 if name is NULL or this build does not
 * have it.
 */
int32_t convlow_algorithm_from_name(const char *name);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* CONVLOW_H */
