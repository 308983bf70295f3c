/* OpenVINO's CPU plugin: one convolution, float32 arithmetic, latency hint, tensors of the caller. */
#include <openvino/openvino.hpp>
#include <openvino/opsets/opset8.hpp>

#include "base.hpp"

namespace {

class OpenVino : public peers::Engine {
  public:
    OpenVino(const peers::Spec &spec, const peers::Tensors &tensors) {
        if (spec.nhwc)
            throw peers::Unsupported("OpenVINO's models are NCHW; NHWC would count a transpose");
        if (spec.transposed || spec.volume)
            throw peers::Unsupported("only plain convolutions are compared with OpenVINO");
        compiled_ = core().compile_model(model(spec, tensors.weights), "CPU",
                                         {ov::hint::performance_mode(ov::hint::PerformanceMode::LATENCY),
                                          ov::hint::inference_precision(ov::element::f32),
                                          ov::inference_num_threads(spec.threads), ov::num_streams(1)});
        request_ = compiled_.create_infer_request();
        request_.set_input_tensor(
            ov::Tensor(ov::element::f32, {spec.mb, spec.ic, spec.ih, spec.iw}, tensors.src));
        request_.set_output_tensor(
            ov::Tensor(ov::element::f32, {spec.mb, spec.oc, spec.oh, spec.ow}, tensors.dst));
    }

    void run() override { request_.infer(); }
    std::string version() const override { return ov::get_openvino_version().buildNumber; }
    std::string implementation() const override {
        for (const auto &node : compiled_.get_runtime_model()->get_ops()) {
            const auto &facts = node->get_rt_info();
            auto is = [&](const char *key) {
                auto found = facts.find(key);
                return found == facts.end() ? std::string() : found->second.as<std::string>();
            };
            if (is("layerType").find("Convolution") != std::string::npos)
                return is("primitiveType");
        }
        return "";
    }

  private:
    /* One for the process, as an application has it. */
    static ov::Core &core() {
        static ov::Core core;
        return core;
    }

    static std::shared_ptr<ov::Model> model(const peers::Spec &spec, const void *weights) {
        using namespace ov::opset8;
        auto src =
            std::make_shared<Parameter>(ov::element::f32, ov::Shape{spec.mb, spec.ic, spec.ih, spec.iw});
        const ov::Strides stride{spec.sh, spec.sw}, dilation{spec.dh, spec.dw};
        const ov::CoordinateDiff before{static_cast<std::ptrdiff_t>(spec.pt),
                                        static_cast<std::ptrdiff_t>(spec.pl)};
        const ov::CoordinateDiff behind{static_cast<std::ptrdiff_t>(spec.pb),
                                        static_cast<std::ptrdiff_t>(spec.pr)};
        std::shared_ptr<ov::Node> convolution;
        if (spec.g == 1) {
            auto filter = std::make_shared<Constant>(ov::element::f32,
                                                     ov::Shape{spec.oc, spec.ic, spec.kh, spec.kw}, weights);
            convolution = std::make_shared<Convolution>(src, filter, stride, before, behind, dilation);
        } else {
            auto filter = std::make_shared<Constant>(
                ov::element::f32, ov::Shape{spec.g, spec.oc / spec.g, spec.ic / spec.g, spec.kh, spec.kw},
                weights);
            convolution = std::make_shared<GroupConvolution>(src, filter, stride, before, behind, dilation);
        }
        return std::make_shared<ov::Model>(ov::OutputVector{convolution->output(0)},
                                           ov::ParameterVector{src});
    }

    ov::CompiledModel compiled_;
    ov::InferRequest request_;
};

} // namespace

int main(int argc, char **argv) {
    return peers::serve(argc, argv, [](const peers::Spec &spec, const peers::Tensors &tensors) {
        return std::make_unique<OpenVino>(spec, tensors);
    });
}
