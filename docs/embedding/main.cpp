// Runs a net of five layers on the engine of engine.hpp, and compares its results with those of plain loops.
//
//     c++ -std=c++17 main.cpp $(pkg-config --cflags --libs convlow) -pthread -o engine

#include "engine.hpp"

#include <cstdio>
#include <cstdlib>

namespace {

layer convolution(const char *name, size_t src, size_t dst, size_t in, size_t out, size_t kernel) {
    layer made{name, src, dst};
    made.desc.src_layout = made.desc.dst_layout = CONVLOW_LAYOUT_NHWC;
    made.desc.in_channels = in, made.desc.out_channels = out;
    made.desc.axis(0, 0, kernel, kernel / 2).axis(1, 0, kernel, kernel / 2);
    made.desc.relu();
    return made;
}

std::vector<layer> small_net() {
    enum : size_t { IMAGE, STEM, WIDE, JOINED, RESULT };
    layer stem = convolution("stem", IMAGE, STEM, 3, 16, 3);
    stem.desc.src_layout = CONVLOW_LAYOUT_NCHW;
    stem.desc.stride[0] = stem.desc.stride[1] = 2;

    // Two branches write the two halves of one tensor of 32 channels.
    layer depthwise = convolution("depthwise", STEM, WIDE, 16, 16, 3);
    depthwise.desc.groups = 16;
    layer pointwise = convolution("pointwise", STEM, WIDE, 16, 16, 1);
    depthwise.desc.dst_channel_stride = pointwise.desc.dst_channel_stride = 32;
    pointwise.first_channel = 16;

    layer join = convolution("join", WIDE, JOINED, 32, 16, 3);
    join.desc.accumulate = 1;
    join.residual = STEM;
    layer head = convolution("head", JOINED, RESULT, 16, 16, 1);
    return {stem, depthwise, pointwise, join, head};
}

/// The weights of a layer. In place of a file, they are made up of -1, 0 and 1.
std::vector<float> read_weights(const layer &layer) {
    std::vector<float> weights(layer.desc.weights_size());
    unsigned state = static_cast<unsigned>(layer.name[0]);
    for (float &weight : weights) {
        state = state * 1664525 + 1013904223;
        weight = static_cast<float>((state >> 16) % 3) - 1;
    }
    return weights;
}

/// The values of a tensor, channels last, for the check.
struct plain_tensor {
    size_t height = 0, width = 0, channels = 0;
    std::vector<double> values{};
    double &at(size_t n, size_t y, size_t x, size_t c) {
        return values[((n * height + y) * width + x) * channels + c];
    }
};

/// One value of a layer's dst, by the definition.
double plain_output(const layer &layer, const std::vector<float> &weights, plain_tensor &src, size_t n,
                    size_t y, size_t x, size_t m) {
    const convlow::descriptor_nd &desc = layer.desc;
    const size_t channels = desc.in_channels / desc.groups, kernel = desc.kernel_size[0];
    const size_t first = m / (desc.out_channels / desc.groups) * channels;
    double sum = 0;
    for (size_t c = 0; c < channels; ++c) {
        for (size_t i = 0; i < kernel; ++i) {
            for (size_t j = 0; j < kernel; ++j) {
                // What lies before the first row or column wraps around to a large number.
                const size_t row = y * desc.stride[0] + i - desc.pad_before[0];
                const size_t column = x * desc.stride[1] + j - desc.pad_before[1];
                if (row < src.height && column < src.width) {
                    const double weight = weights[((m * channels + c) * kernel + i) * kernel + j];
                    sum += weight * src.at(n, row, column, first + c);
                }
            }
        }
    }
    return sum;
}

/// The net's result, by plain loops. All values are integers, so it is exact.
plain_tensor plain_net(const std::vector<layer> &net, const image_size &size, const float *image) {
    std::map<size_t, plain_tensor> tensors;
    tensors[0] = {size[1], size[2], 3, std::vector<double>(size[0] * size[1] * size[2] * 3)};
    const size_t pixels = size[1] * size[2];
    for (size_t at = 0; at < tensors[0].values.size(); ++at) { // the image comes with channels first
        tensors[0].at(at / pixels / 3, at % pixels / size[2], at % size[2], at / pixels % 3) = image[at];
    }
    for (const layer &layer : net) {
        plain_tensor &src = tensors[layer.src], &dst = tensors[layer.dst];
        const std::vector<float> weights = read_weights(layer);
        const size_t stride = layer.desc.stride[0];
        dst.height = (src.height + stride - 1) / stride, dst.width = (src.width + stride - 1) / stride;
        dst.channels = std::max(layer.desc.out_channels, layer.desc.dst_channel_stride);
        dst.values.resize(size[0] * dst.height * dst.width * dst.channels);
        for (size_t n = 0; n < size[0]; ++n) {
            for (size_t y = 0; y < dst.height; ++y) {
                for (size_t x = 0; x < dst.width; ++x) {
                    for (size_t m = 0; m < layer.desc.out_channels; ++m) {
                        const double added = layer.residual ? tensors[*layer.residual].at(n, y, x, m) : 0;
                        dst.at(n, y, x, layer.first_channel + m) =
                            std::max(plain_output(layer, weights, src, n, y, x, m) + added, 0.0);
                    }
                }
            }
        }
    }
    return tensors[net.back().dst];
}

/// Runs the engine on images of one size, and compares its result with that of plain loops.
bool is_right(engine &engine, const image_size &size, run_memory &memory, thread_pool *threads = nullptr) {
    std::vector<float> image(size[0] * 3 * size[1] * size[2]);
    for (size_t at = 0; at < image.size(); ++at) {
        image[at] = static_cast<float>(at * 7 % 5) - 2;
    }
    const plain_tensor right = plain_net(small_net(), size, image.data());
    const float *result = engine.run(size, image.data(), memory, threads);
    return std::equal(right.values.begin(), right.values.end(), result);
}

} // namespace

int main() {
    thread_pool threads(3), others(2);
    engine exact(small_net(), read_weights, threads);
    std::vector<bool> results;

    // One memory for all sizes, among them no images and images of no rows.
    run_memory memory;
    const std::vector<image_size> sizes{{1, 64, 48}, {2, 17, 23}, {0, 32, 32}, {3, 0, 8}, {1, 1, 1}};
    for (const image_size &size : sizes) {
        results.push_back(is_right(exact, size, memory));
    }
    results.push_back(is_right(exact, {1, 64, 48}, memory, &others));

    // Two threads run the net at once, each with its own memory.
    bool first = false, second = false;
    std::thread another([&] {
        run_memory own;
        second = is_right(exact, {1, 33, 40}, own);
    });
    first = is_right(exact, {1, 64, 48}, memory);
    another.join();
    results.insert(results.end(), {first, second});

    // Two layers of one shape have one format, but each has its own blob.
    results.push_back(exact.packing_id("pointwise") == exact.packing_id("head") && exact.blobs() == 5);

    // Exact math cannot read weights that were packed for Winograd's algorithm: one layer is packed again.
    convlow::options fast;
    fast.math = CONVLOW_MATH_FAST;
    engine other(small_net(), read_weights, threads, fast);
    other.set_options(convlow::options());
    results.push_back(is_right(other, {1, 64, 48}, memory) && other.blobs() == 6);

    results.push_back(threads.calls() > 0 && others.calls() > 0);
    const auto right = std::count(results.begin(), results.end(), true);
    std::printf("%d of %zu results are right\n", static_cast<int>(right), results.size());
    return right == static_cast<int>(results.size()) ? EXIT_SUCCESS : EXIT_FAILURE;
}
