/* oneDNN, weights in the format it asks for, scratchpad given by the caller and so known to the byte.
 *
 * option=direct     src and dst plain: NCHW or NHWC
 * option=blocked    src and dst in oneDNN's own format, with the reorders from and to the plain one timed
 * A gradient of the weights lies in the format that oneDNN asks for, too. Moving weights or their gradient
 * between that format and the plain one is timed only where they are to be plain.
 *
 * option=winograd   as direct, by Winograd's algorithm, which oneDNN 2 is the last to have
 */
#include <dnnl.hpp>

#include <unordered_map>

#include "base.hpp"

#if defined(WINOGRAD) && DNNL_VERSION_MAJOR >= 3
#error "oneDNN 3 has no Winograd"
#endif

namespace {

using dnnl::memory;
using tag = memory::format_tag;

class OneDnn : public peers::Engine {
  public:
    OneDnn(const peers::Spec &spec, const peers::Tensors &tensors)
        : engine_(dnnl::engine::kind::cpu, 0), stream_(engine_) {
        const tag plain =
            spec.volume ? (spec.nhwc ? tag::ndhwc : tag::ncdhw) : (spec.nhwc ? tag::nhwc : tag::nchw);
        const bool blocked = spec.option == "blocked";
        auto dim = [](size_t value) { return static_cast<memory::dim>(value); };
        auto with_axes = [&](memory::dims dims, size_t depth, size_t height, size_t width) {
            if (spec.volume)
                dims.push_back(dim(depth));
            dims.push_back(dim(height));
            dims.push_back(dim(width));
            return dims;
        };
        const memory::dims src_dims = with_axes({dim(spec.mb), dim(spec.ic)}, spec.id, spec.ih, spec.iw);
        const memory::dims dst_dims = with_axes({dim(spec.mb), dim(spec.oc)}, spec.od, spec.oh, spec.ow);
        memory::dims channels{dim(spec.oc / spec.g), dim(spec.ic / spec.g)};
        if (spec.g > 1)
            channels.insert(channels.begin(), dim(spec.g));
        const memory::dims weights_dims = with_axes(channels, spec.kd, spec.kh, spec.kw);
        tag weights_plain;
        if (spec.transposed)
            weights_plain =
                spec.volume ? (spec.g > 1 ? tag::giodhw : tag::iodhw) : (spec.g > 1 ? tag::giohw : tag::iohw);
        else
            weights_plain =
                spec.volume ? (spec.g > 1 ? tag::goidhw : tag::oidhw) : (spec.g > 1 ? tag::goihw : tag::oihw);
        auto desc = [](const memory::dims &dims, tag format) {
            return memory::desc(dims, memory::data_type::f32, format);
        };
        memory::desc plain_src = desc(src_dims, plain), plain_dst = desc(dst_dims, plain);
        const memory::desc src_desc = desc(src_dims, blocked ? tag::any : plain);
        const memory::desc dst_desc = desc(dst_dims, blocked ? tag::any : plain);
        if (spec.propagation != peers::Spec::Propagation::forward) {
#if DNNL_VERSION_MAJOR >= 3
            const memory::desc any_weights = desc(weights_dims, tag::any);
            const Gradient gradient{plain_src, any_weights, plain_dst, desc(weights_dims, weights_plain)};
            if (spec.transposed)
                build_gradient<dnnl::deconvolution_forward, dnnl::deconvolution_backward_data,
                               dnnl::deconvolution_backward_weights>(spec, tensors, gradient,
                                                                     dnnl::algorithm::deconvolution_direct);
            else
                build_gradient<dnnl::convolution_forward, dnnl::convolution_backward_data,
                               dnnl::convolution_backward_weights>(spec, tensors, gradient,
                                                                   dnnl::algorithm::convolution_direct);
            return;
#else
            throw peers::Unsupported("gradients are compared with oneDNN 3");
#endif
        }
        if (spec.transposed)
            build<dnnl::deconvolution_forward>(
                spec, tensors, src_desc, desc(weights_dims, tag::any), dst_desc, plain_src, plain_dst,
                desc(weights_dims, weights_plain), dnnl::algorithm::deconvolution_direct);
        else
            build<dnnl::convolution_forward>(spec, tensors, src_desc, desc(weights_dims, tag::any), dst_desc,
                                             plain_src, plain_dst, desc(weights_dims, weights_plain),
                                             spec.option == "winograd" ? dnnl::algorithm::convolution_winograd
                                                                       : dnnl::algorithm::convolution_direct);
    }

    void run() override {
        for (const auto &[primitive, arguments] : steps_)
            primitive.execute(stream_, arguments);
        stream_.wait();
    }
    void finish() override {
        for (const auto &[primitive, arguments] : last_)
            primitive.execute(stream_, arguments);
        stream_.wait();
    }
    std::string version() const override {
        const dnnl_version_t *version = dnnl_version();
        return std::to_string(version->major) + "." + std::to_string(version->minor) + "." +
               std::to_string(version->patch);
    }
    std::string implementation() const override {
        return implementation_;
    }
    std::optional<Exact> exact() const override {
        return exact_;
    }

  private:
    template <class Forward>
    void build(const peers::Spec &spec, const peers::Tensors &tensors, const memory::desc &src_desc,
               const memory::desc &any_weights, const memory::desc &dst_desc, const memory::desc &plain_src,
               const memory::desc &plain_dst, const memory::desc &plain_weights, dnnl::algorithm algorithm) {
        const bool blocked = spec.option == "blocked";
        typename Forward::primitive_desc pd =
            describe<Forward>(spec, src_desc, any_weights, dst_desc, algorithm);
        memory given_src(plain_src, engine_, tensors.src), given_dst(plain_dst, engine_, tensors.dst);
        memory src = given_src, dst = given_dst;
        if (blocked && pd.src_desc() != plain_src)
            src = add_reorder(given_src, own(pd.src_desc()));
        if (blocked && pd.dst_desc() != plain_dst)
            dst = own(pd.dst_desc());

        const memory given_weights(plain_weights, engine_, tensors.weights);
        const memory weights = weights_of(spec, pd, pd.weights_desc(), given_weights);
        read_weights(spec, given_weights, weights);

        memory scratchpad(pd.scratchpad_desc(), engine_, allocate(pd.scratchpad_desc().get_size()));
        steps_.push_back({Forward(pd),
                          {{DNNL_ARG_SRC, src},
                           {DNNL_ARG_WEIGHTS, weights},
                           {DNNL_ARG_DST, dst},
                           {DNNL_ARG_SCRATCHPAD, scratchpad}}});
        if (dst != given_dst)
            add_reorder(dst, given_dst);
        stream_.wait();
    }

    /* Strides, dilations and paddings as oneDNN takes them. */
    struct Steps {
        memory::dims stride, dilation, before, behind;
    };

    static Steps steps_of(const peers::Spec &spec) {
        auto dims = [&](size_t depth, size_t height, size_t width) {
            memory::dims all{static_cast<memory::dim>(height), static_cast<memory::dim>(width)};
            if (spec.volume)
                all.insert(all.begin(), static_cast<memory::dim>(depth));
            return all;
        };
        /* oneDNN has no output padding: less is cut off instead. */
        return {dims(spec.sd, spec.sh, spec.sw), dims(spec.dd - 1, spec.dh - 1, spec.dw - 1),
                dims(spec.pf, spec.pt, spec.pl),
                dims(spec.pk - spec.opd, spec.pb - spec.oph, spec.pr - spec.opw)};
    }

    /* Calls `make`, and says what oneDNN does not have. */
    template <class Make> static auto made(Make make) {
        try {
            return make();
        } catch (const dnnl::error &error) {
            if (error.status == dnnl_unimplemented)
                throw peers::Unsupported("oneDNN has no such implementation for this problem");
            throw;
        }
    }

    static dnnl::primitive_attr attributes() {
        dnnl::primitive_attr attributes;
        attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
        return attributes;
    }

    template <class Forward>
    typename Forward::primitive_desc describe(const peers::Spec &spec, const memory::desc &src,
                                              const memory::desc &weights, const memory::desc &dst,
                                              dnnl::algorithm algorithm) {
        const auto kind = dnnl::prop_kind::forward_inference;
        const Steps by = steps_of(spec);
        return made([&] {
#if DNNL_VERSION_MAJOR >= 3
            return typename Forward::primitive_desc(engine_, kind, algorithm, src, weights, dst, by.stride,
                                                    by.dilation, by.before, by.behind, attributes());
#else
            return typename Forward::primitive_desc(typename Forward::desc(kind, algorithm, src, weights, dst,
                                                                           by.stride, by.dilation, by.before,
                                                                           by.behind),
                                                    attributes(), engine_);
#endif
        });
    }

#if DNNL_VERSION_MAJOR >= 3
    /* How the tensors of a gradient lie. */
    struct Gradient {
        memory::desc src, any_weights, dst, plain_weights;
    };

    template <class Forward, class BackwardData, class BackwardWeights>
    void build_gradient(const peers::Spec &spec, const peers::Tensors &tensors, const Gradient &lie,
                        dnnl::algorithm algorithm) {
        const Steps by = steps_of(spec);
        const auto hint = made([&] {
            return typename Forward::primitive_desc(engine_, dnnl::prop_kind::forward_training, algorithm,
                                                    lie.src, lie.any_weights, lie.dst, by.stride, by.dilation,
                                                    by.before, by.behind);
        });
        const memory src(lie.src, engine_, tensors.src), dst(lie.dst, engine_, tensors.dst);
        const memory plain(lie.plain_weights, engine_, tensors.weights);
        if (spec.propagation == peers::Spec::Propagation::backward_data) {
            const auto pd = made([&] {
                return typename BackwardData::primitive_desc(engine_, algorithm, lie.src, lie.any_weights,
                                                             lie.dst, by.stride, by.dilation, by.before,
                                                             by.behind, hint, attributes());
            });
            const memory weights = weights_of(spec, pd, pd.weights_desc(), plain);
            read_weights(spec, plain, weights);
            steps_.push_back({BackwardData(pd),
                              { {DNNL_ARG_DIFF_SRC, src},
                                {DNNL_ARG_WEIGHTS, weights},
                                {DNNL_ARG_DIFF_DST, dst},
                                { DNNL_ARG_SCRATCHPAD,
                                  scratchpad_of(pd) } }});
        } else {
            const auto pd = made([&] {
                return typename BackwardWeights::primitive_desc(engine_, algorithm, lie.src, lie.any_weights,
                                                                lie.dst, by.stride, by.dilation, by.before,
                                                                by.behind, hint, attributes());
            });
            const memory weights = weights_of(spec, pd, pd.diff_weights_desc(), plain);
            steps_.push_back({BackwardWeights(pd),
                              { {DNNL_ARG_SRC, src},
                                {DNNL_ARG_DIFF_WEIGHTS, weights},
                                {DNNL_ARG_DIFF_DST, dst},
                                { DNNL_ARG_SCRATCHPAD,
                                  scratchpad_of(pd) } }});
            if (weights != plain)
                (spec.plain ? steps_ : last_).push_back({dnnl::reorder(weights, plain), {
                                                             {DNNL_ARG_FROM, weights},
                                                             { DNNL_ARG_TO,
                                                               plain }
                                                         }});
        }
        stream_.wait();
    }

    template <class Description> memory scratchpad_of(const Description &pd) {
        return memory(pd.scratchpad_desc(), engine_, allocate(pd.scratchpad_desc().get_size()));
    }
#endif

    /* Memory for weights in oneDNN's format: in the place of the plain ones or, where these stay, beside them
     * unless they lie like that. */
    template <class Description>
    memory weights_of(const peers::Spec &spec, const Description &pd, const memory::desc &desc,
                      const memory &plain) {
        implementation_ = pd.impl_info_str();
        const bool as_they_lie = spec.plain && desc == plain.get_desc();
        exact_ = {pd.scratchpad_desc().get_size(), as_they_lie ? 0 : desc.get_size()};
        return as_they_lie ? plain : memory(desc, engine_, allocate(desc.get_size()));
    }

    /* Moves plain weights to oneDNN's format: once or, where they are to be plain, in each run. */
    void read_weights(const peers::Spec &spec, memory plain, memory weights) {
        if (!spec.plain)
            dnnl::reorder(plain, weights).execute(stream_, plain, weights);
        else if (weights != plain)
            add_reorder(plain, weights);
    }

    void *allocate(size_t bytes) {
        buffers_.push_back(std::make_unique<peers::Buffer>(bytes));
        return buffers_.back()->data();
    }

    /* A tensor in oneDNN's format; it counts as workspace. */
    memory own(const memory::desc &desc) {
        exact_.workspace += desc.get_size();
        return memory(desc, engine_, allocate(desc.get_size()));
    }

    memory add_reorder(memory from, memory to) {
        steps_.push_back({dnnl::reorder(from, to), {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}}});
        return to;
    }

    struct Step {
        dnnl::primitive primitive;
        std::unordered_map<int, memory> arguments;
    };

    dnnl::engine engine_;
    dnnl::stream stream_;
    Exact exact_{};
    std::string implementation_;
    std::vector<std::unique_ptr<peers::Buffer>> buffers_;
    std::vector<Step> steps_;
    /* What moves a result to its plain format. */
    std::vector<Step> last_;
};

} // namespace

int main(int argc, char **argv) {
    return peers::serve(argc, argv, [](const peers::Spec &spec, const peers::Tensors &tensors) {
        return std::make_unique<OneDnn>(spec, tensors);
    });
}
