/* convlow as an engine would hold it: weights packed once, or plain where they change from run to run;
 * workspace of exactly the plan's figure. */
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
    Convlow(const peers::Spec &spec, const peers::Tensors &tensors) {
        convlow_convnd_desc desc;
        convlow_convnd_desc_init(&desc, sizeof desc);
        desc.operation = spec.transposed ? CONVLOW_OPERATION_CONV_TRANSPOSE : CONVLOW_OPERATION_CONV;
        using Propagation = peers::Spec::Propagation;
        if (spec.propagation == Propagation::backward_data)
            desc.propagation = CONVLOW_PROPAGATION_BACKWARD_DATA;
        if (spec.propagation == Propagation::backward_weights)
            desc.propagation = CONVLOW_PROPAGATION_BACKWARD_WEIGHTS;
        desc.type = spec.f64 ? CONVLOW_TYPE_F64 : CONVLOW_TYPE_F32;
        desc.spatial_dims = spec.volume ? 3 : 2;
        const auto set = [&](size_t(&field)[3], size_t depth, size_t height, size_t width) {
            size_t *next = field;
            if (spec.volume)
                *next++ = depth;
            *next++ = height;
            *next = width;
        };
        desc.src_layout = desc.dst_layout = spec.nhwc ? CONVLOW_LAYOUT_NHWC : CONVLOW_LAYOUT_NCHW;
        desc.batch = spec.mb, desc.groups = spec.g;
        desc.in_channels = spec.ic, desc.out_channels = spec.oc;
        set(desc.in_size, spec.id, spec.ih, spec.iw);
        set(desc.kernel_size, spec.kd, spec.kh, spec.kw);
        set(desc.stride, spec.sd, spec.sh, spec.sw);
        set(desc.dilation, spec.dd, spec.dh, spec.dw);
        set(desc.pad_before, spec.pf, spec.pt, spec.pl);
        set(desc.pad_after, spec.pk, spec.pb, spec.pr);
        set(desc.output_padding, spec.opd, spec.oph, spec.opw);

        convlow_plan_options options;
        convlow_plan_options_init(&options, sizeof options);
        options.algorithm = CONVLOW_ALGORITHM_AUTO;
        options.math = spec.option == "auto" ? CONVLOW_MATH_EXACT : CONVLOW_MATH_FAST;
        if (spec.option != "auto" && spec.option != "fast") {
            options.algorithm = convlow_algorithm_from_name(spec.option.c_str());
            if (options.algorithm < 0)
                throw peers::Unsupported("this build has no algorithm " + spec.option);
        }
        options.packing = spec.plain ? CONVLOW_PACKING_NONE : CONVLOW_PACKING_CALLER;
        if (spec.threads > 1)
            check(convlow_pool_create(static_cast<size_t>(spec.threads), &options.pool));
        convlow_status status = convlow_plan_create_nd(&desc, &options, &plan_);
        convlow_pool_destroy(options.pool); /* the plan keeps its threads */
        check(status);
        info_ = {};
        info_.struct_size = sizeof info_;
        check(convlow_plan_get_info(plan_, &info_));
        packed_ = std::make_unique<peers::Buffer>(info_.packed_weights_bytes);
        workspace_ = std::make_unique<peers::Buffer>(info_.workspace_bytes);
        const size_t bytes = info_.packed_weights_bytes;
        if (spec.propagation != Propagation::backward_weights && !spec.plain)
            check(spec.f64 ? convlow_pack_weights_f64(plan_, static_cast<const double *>(tensors.weights),
                                                      packed_->data(), bytes)
                           : convlow_pack_weights(plan_, static_cast<const float *>(tensors.weights),
                                                  packed_->data(), bytes));
        convlow_execute_args_init(&args_, sizeof args_);
        args_.src = tensors.src, args_.dst = tensors.dst;
        args_.packed_weights = packed_->data(), args_.weights = tensors.weights;
        args_.diff_dst = tensors.dst, args_.diff_src = tensors.src, args_.diff_weights = tensors.weights;
        args_.workspace = workspace_->data(), args_.workspace_bytes = info_.workspace_bytes;
    }
    ~Convlow() override { convlow_plan_destroy(plan_); }

    void run() override { check(convlow_execute_with(plan_, &args_)); }
    std::string version() const override { return convlow_build_info(); }
    std::string implementation() const override { return convlow_algorithm_name(info_.algorithm); }
    std::optional<Exact> exact() const override {
        return Exact{info_.workspace_bytes, info_.packed_weights_bytes};
    }

  private:
    convlow_plan *plan_ = nullptr;
    convlow_plan_info info_;
    convlow_execute_args args_;
    std::unique_ptr<peers::Buffer> packed_, workspace_;
};

} // namespace

int main(int argc, char **argv) {
    return peers::serve(argc, argv, [](const peers::Spec &spec, const peers::Tensors &tensors) {
        return std::make_unique<Convlow>(spec, tensors);
    });
}
