// A small inference engine on convlow: a net of convolutions, for images of any size, on threads of its own.
// docs/embedding.md explains it, and main.cpp uses it.

#ifndef ENGINE_HPP
#define ENGINE_HPP

#include <convlow.hpp>

#include <algorithm>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <thread>

using std::size_t;

/// The engine's own threads. The calling thread takes jobs, too.
class thread_pool {
  public:
    explicit thread_pool(size_t threads) {
        while (workers_.size() + 1 < threads) {
            workers_.emplace_back([this] { work(); });
        }
    }
    ~thread_pool() {
        {
            const std::lock_guard lock(mutex_);
            stop_ = true;
        }
        wake_.notify_all();
        for (std::thread &worker : workers_) {
            worker.join();
        }
    }

    size_t threads() const { return workers_.size() + 1; }
    size_t calls() const { return calls_; }

    /// Runs job(0) ... job(jobs - 1), and returns when all have returned.
    template <class Job> void operator()(size_t jobs, const Job &job) {
        std::unique_lock lock(mutex_);
        job_ = [&job](size_t index) { job(index); };
        next_ = 0, jobs_ = unfinished_ = jobs, ++calls_;
        wake_.notify_all();
        take_jobs(lock);
        done_.wait(lock, [this] { return unfinished_ == 0; });
    }

  private:
    void work() {
        std::unique_lock lock(mutex_);
        while (!stop_) {
            take_jobs(lock);
            wake_.wait(lock, [this] { return stop_ || next_ < jobs_; });
        }
    }
    void take_jobs(std::unique_lock<std::mutex> &lock) {
        while (next_ < jobs_) {
            const size_t index = next_++;
            lock.unlock();
            job_(index);
            lock.lock();
            if (--unfinished_ == 0) {
                done_.notify_all();
            }
        }
    }

    std::mutex mutex_;
    std::condition_variable wake_, done_;
    std::function<void(size_t)> job_;
    size_t next_ = 0, jobs_ = 0, unfinished_ = 0, calls_ = 0;
    bool stop_ = false;
    std::vector<std::thread> workers_;
};

/// A layer of the net, for images of any size. `src`, `dst` and `residual` are numbers of tensors.
struct layer {
    std::string name;
    size_t src, dst;
    convlow::descriptor_nd desc{};
    size_t first_channel = 0; // of dst, where the layer writes a slice
    std::optional<size_t> residual{};
};

/// Reads the plain weights of a layer from the model's file.
using weights_reader = std::function<std::vector<float>(const layer &)>;

/// A batch of images: their number, rows and columns.
using image_size = std::array<size_t, 3>;

/// The net, planned for images of one size.
struct program {
    struct step {
        const struct layer *layer;
        const convlow::packed_weights *packed;
        convlow::plan plan;
    };
    std::vector<step> steps;
    std::map<size_t, size_t> offsets; // where each tensor begins in the arena, in floats
    size_t arena_floats = 0, workspace_bytes = 0;
};

/// The memory that one run at a time writes.
struct run_memory {
    std::vector<float> arena;
    convlow::workspace workspace;
};

class engine {
  public:
    /// Packs every layer. `threads` must outlive the engine. `options` has limits and the kind of math.
    engine(std::vector<layer> net, weights_reader read_weights, thread_pool &threads,
           const convlow::options &options = convlow::options())
        : net_(std::move(net)), read_weights_(std::move(read_weights)),
          pool_(convlow::pool::over(threads, threads.threads())), options_(options) {
        make_program({1, 224, 224}); // a typical size
    }

    /// Runs the net, and returns its last tensor, which lies in `memory`. Any number of threads may call this
    /// at once, each with its own memory. `threads` stands in for the engine's own threads during this run.
    const float *run(const image_size &size, const float *image, run_memory &memory,
                     thread_pool *threads = nullptr) {
        const std::shared_ptr<const program> program = program_for(size);
        if (memory.workspace.size() < program->workspace_bytes) {
            memory.workspace = convlow::workspace(program->workspace_bytes);
        }
        memory.arena.resize(std::max(memory.arena.size(), program->arena_floats));

        const auto tensor = [&](size_t number) { return memory.arena.data() + program->offsets.at(number); };
        for (const program::step &step : program->steps) {
            const layer &layer = *step.layer;
            convlow::arguments args;
            args.src = layer.src == 0 ? image : tensor(layer.src);
            args.dst = tensor(layer.dst) + layer.first_channel;
            args.residual = layer.residual ? tensor(*layer.residual) : nullptr;
            args.packed_weights = step.packed->data();
            args.packed_weights_bytes = step.packed->size();
            args.workspace = memory.workspace.data();
            args.workspace_bytes = memory.workspace.size();
            args.pool_context = threads;
            step.plan.execute(args);
        }
        return tensor(net_.back().dst);
    }

    /// Changes limits or the kind of math for later runs.
    void set_options(const convlow::options &options) {
        const std::lock_guard lock(mutex_);
        options_ = options;
        programs_.clear(); // runs keep their own program until they end
    }

    std::uint64_t packing_id(const std::string &layer) const { return packing_ids_.at(layer); }
    size_t blobs() const { return packed_.size(); }

  private:
    /// The net for images of this size, planned now or before.
    std::shared_ptr<const program> program_for(const image_size &size) {
        const std::lock_guard lock(mutex_);
        const auto found = programs_.find(size);
        if (found != programs_.end()) {
            return found->second;
        }
        if (programs_.size() == MOST_PROGRAMS) {
            programs_.clear();
        }
        return programs_[size] = std::make_shared<const program>(make_program(size));
    }

    program make_program(const image_size &size) {
        program made;
        std::map<size_t, std::array<size_t, 3>> sizes{{0, {size[1], size[2], 1}}};
        for (const layer &layer : net_) {
            convlow::descriptor_nd desc = layer.desc;
            desc.batch = size[0];
            std::copy_n(sizes[layer.src].begin(), 2, desc.in_size);
            sizes[layer.dst] = desc.output_size();

            // Several layers may write slices of one tensor. It begins on a cache line, 16 floats.
            if (made.offsets.try_emplace(layer.dst, made.arena_floats).second) {
                const size_t channels = std::max(desc.out_channels, desc.dst_channel_stride);
                const size_t floats = size[0] * sizes[layer.dst][0] * sizes[layer.dst][1] * channels;
                made.arena_floats += (floats + 15) / 16 * 16;
            }
            convlow::plan plan = make_plan(layer, desc);
            const convlow::packed_weights &packed = packed_for(layer, plan);
            made.workspace_bytes = std::max(made.workspace_bytes, plan.workspace_bytes());
            made.steps.push_back({&layer, &packed, std::move(plan)});
        }
        return made;
    }

    /// A plan that reads the layer's packed weights, or another format if no algorithm can read them.
    convlow::plan make_plan(const layer &layer, const convlow::descriptor_nd &desc) {
        convlow::options options = options_;
        options.on(pool_);
        options.packing_id = packing_ids_[layer.name]; // 0 before the first packing: any format
        try {
            return convlow::plan(desc, options);
        } catch (const convlow::error &failure) {
            const bool may_other_format_serve = failure.status() == CONVLOW_ERROR_UNSUPPORTED ||
                                                failure.status() == CONVLOW_ERROR_WORKSPACE_LIMIT;
            if (!may_other_format_serve) {
                throw;
            }
        }
        options.packing_id = 0;
        return convlow::plan(desc, options);
    }

    /// The layer's weights in the plan's format, packed now or before.
    const convlow::packed_weights &packed_for(const layer &layer, const convlow::plan &plan) {
        const auto key = std::make_pair(layer.name, plan.packing_id());
        const auto found = packed_.find(key);
        if (found != packed_.end()) {
            return found->second;
        }
        const std::vector<float> plain = read_weights_(layer); // freed at the end of this function
        std::uint64_t &first = packing_ids_[layer.name];
        first = first == 0 ? plan.packing_id() : first;
        return packed_[key] = plan.pack(plain.data());
    }

    static constexpr size_t MOST_PROGRAMS = 16;

    std::vector<layer> net_;
    weights_reader read_weights_;
    convlow::pool pool_;
    std::mutex mutex_; // guards what follows
    convlow::options options_;
    std::map<image_size, std::shared_ptr<const program>> programs_;
    std::map<std::pair<std::string, std::uint64_t>, convlow::packed_weights> packed_;
    std::map<std::string, std::uint64_t> packing_ids_;
};

#endif
