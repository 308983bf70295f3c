// The same from C++.

#include <convlow.hpp>

#include <cstdio>

int main() try {
    convlow::descriptor desc;
    desc.in_channels = 3;
    desc.in_height = desc.in_width = 8;
    desc.out_channels = 2;
    desc.kernel_height = desc.kernel_width = 3;

    const convlow::plan plan(desc);
    const std::vector<float> src(desc.src_size(), 1.0F), weights(desc.weights_size(), 1.0F);
    std::vector<float> dst(desc.dst_size());
    convlow::workspace workspace = plan.make_workspace();
    plan.execute(src.data(), plan.pack(weights.data()), nullptr, dst.data(), workspace);
    return dst == std::vector<float>(dst.size(), 27.0F) ? 0 : 1;
} catch (const std::exception &failure) {
    std::fprintf(stderr, "%s\n", failure.what());
    return 1;
}
