/* convlow as an engine would hold it: weights packed once, workspace of exactly the plan's figure. */
#include <convlow.h>

#include "base.hpp"

namespace {

void check(convlow_status status) {
    if (status == CONVLOW_OK)
        return;
    std::string text = std::string(convlow_status_name(status)) + ": " + convlow_last_error_message();
    if (status == CONVLOW_ERROR_UNSUPPORTED)
        throw peers::Unsupported(text);
    throw std::runtime_error(text);
}

class Convlow : public peers::Engine {
  public:
    Convlow(const peers::Spec &spec, const peers::Tensors &tensors) : tensors_(tensors) {
        convlow_conv2d_desc desc;
        convlow_conv2d_desc_init(&desc, sizeof desc);
        desc.src_layout = desc.dst_layout = spec.nhwc ? CONVLOW_LAYOUT_NHWC : CONVLOW_LAYOUT_NCHW;
        desc.batch = spec.mb, desc.groups = spec.g;
        desc.in_channels = spec.ic, desc.in_height = spec.ih, desc.in_width = spec.iw;
        desc.out_channels = spec.oc;
        desc.kernel_height = spec.kh, desc.kernel_width = spec.kw;
        desc.stride_height = spec.sh, desc.stride_width = spec.sw;
        desc.dilation_height = spec.dh, desc.dilation_width = spec.dw;
        desc.pad_top = spec.pt, desc.pad_left = spec.pl, desc.pad_bottom = spec.pb, desc.pad_right = spec.pr;

        convlow_plan_options options;
        convlow_plan_options_init(&options, sizeof options);
        options.algorithm = CONVLOW_ALGORITHM_AUTO;
        options.math = spec.option == "auto" ? CONVLOW_MATH_EXACT : CONVLOW_MATH_FAST;
        if (spec.option != "auto" && spec.option != "fast") {
            options.algorithm = convlow_algorithm_from_name(spec.option.c_str());
            if (options.algorithm < 0)
                throw peers::Unsupported("this build has no algorithm " + spec.option);
        }
        if (spec.threads > 1)
            check(convlow_pool_create(static_cast<size_t>(spec.threads), &options.pool));
        convlow_status status = convlow_plan_create(&desc, &options, &plan_);
        convlow_pool_destroy(options.pool); /* the plan keeps its threads */
        check(status);
        info_ = {};
        info_.struct_size = sizeof info_;
        check(convlow_plan_get_info(plan_, &info_));
        packed_ = std::make_unique<peers::Buffer>(info_.packed_weights_bytes);
        workspace_ = std::make_unique<peers::Buffer>(info_.workspace_bytes);
        check(convlow_pack_weights(plan_, tensors.weights, packed_->data(), info_.packed_weights_bytes));
    }
    ~Convlow() override { convlow_plan_destroy(plan_); }

    void run() override {
        check(convlow_execute(plan_, tensors_.src, packed_->data(), nullptr, tensors_.dst, workspace_->data(),
                              info_.workspace_bytes));
    }
    std::string version() const override { return convlow_build_info(); }
    std::string implementation() const override { return convlow_algorithm_name(info_.algorithm); }
    std::optional<Exact> exact() const override {
        return Exact{info_.workspace_bytes, info_.packed_weights_bytes};
    }

  private:
    peers::Tensors tensors_;
    convlow_plan *plan_ = nullptr;
    convlow_plan_info info_;
    std::unique_ptr<peers::Buffer> packed_, workspace_;
};

} // namespace

int main(int argc, char **argv) {
    return peers::serve(argc, argv, [](const peers::Spec &spec, const peers::Tensors &tensors) {
        return std::make_unique<Convlow>(spec, tensors);
    });
}
