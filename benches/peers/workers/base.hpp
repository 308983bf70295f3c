/* What the C++ workers share: the arguments, the tensors, the measuring of memory, the commands on standard
 * input.
 *
 * A worker holds one engine and one problem. It writes one line of JSON when it is ready (or when it cannot
 * do the problem), then answers each command with one line:
 *
 *   time SECONDS        one run untimed, then runs for at least so long: the mean seconds of a run
 *   burst PAUSE RUNS    sleeps so many seconds untimed, then so many runs: the mean seconds of a run
 *   output FILE         writes what is computed as it lies in memory: "done"
 */
#pragma once

#include <malloc.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>

namespace peers {

/* The engine cannot do this problem; nothing is broken. */
struct Unsupported : std::runtime_error {
    using std::runtime_error::runtime_error;
};

struct Spec {
    size_t mb = 1, g = 1, ic, ih, iw, oc, oh, ow, kh, kw;
    size_t sh = 1, sw = 1, dh = 1, dw = 1; /* dilation 1 is dense */
    size_t pt = 0, pl = 0, pb = 0, pr = 0;
    size_t id = 1, od = 1, kd = 1, sd = 1, dd = 1, pf = 0, pk = 0;
    size_t opd = 0, oph = 0, opw = 0; /* output padding of a transposed convolution */
    bool transposed = false, volume = false;
    bool nhwc = false;
    bool f64 = false;   /* double, else float */
    bool plain = false; /* weights and their gradient: moving them to another format belongs to a run */
    int threads = 1;
    std::string option; /* of the engine's own */
    enum class Propagation { forward, backward_data, backward_weights } propagation = Propagation::forward;

    size_t element_bytes() const { return f64 ? sizeof(double) : sizeof(float); }
    size_t src_bytes() const { return mb * ic * id * ih * iw * element_bytes(); }
    size_t weights_bytes() const { return oc * (ic / g) * kd * kh * kw * element_bytes(); }
    size_t dst_bytes() const { return mb * oc * od * oh * ow * element_bytes(); }
};

/* Memory on a boundary of 64 bytes, NaN everywhere so that nothing unwritten passes for a result. */
class Buffer {
  public:
    explicit Buffer(size_t bytes) {
        size_t rounded = (bytes + 63) / 64 * 64;
        data_ = rounded ? std::aligned_alloc(64, rounded) : nullptr;
        if (rounded) {
            if (!data_)
                throw std::bad_alloc();
            std::memset(data_, 0xff, rounded);
        }
    }
    ~Buffer() { std::free(data_); }
    Buffer(const Buffer &) = delete;
    Buffer &operator=(const Buffer &) = delete;

    void *data() const { return data_; }

    void read(const std::string &file, size_t bytes) {
        std::ifstream in(file, std::ios::binary);
        if (!in.read(static_cast<char *>(data_), static_cast<std::streamsize>(bytes)))
            throw std::runtime_error("cannot read " + file);
    }

  private:
    void *data_;
};

/* The tensors of the forward convolution or, of what is computed backward, their gradients. */
struct Tensors {
    void *src;
    void *weights; /* OIHW; of a transposed convolution in channels x out channels of a group x axes */
    void *dst;
};

class Engine {
  public:
    virtual ~Engine() = default;
    virtual void run() = 0;
    /* Called before the result is written out: moves it to the tensor if it lies in another format. */
    virtual void finish() {}
    virtual std::string version() const = 0;
    /* What the engine calls the algorithm it chose. */
    virtual std::string implementation() const = 0;
    /* Where the engine itself says to the byte what it needs: the workspace and the packed weights. */
    struct Exact {
        size_t workspace, weights;
    };
    virtual std::optional<Exact> exact() const { return std::nullopt; }
};

/* Bytes of this process: resident, resident of files, and the peak. */
struct Resident {
    long long all = 0, files = 0, peak = 0;

    static Resident now() {
        Resident now;
        std::ifstream status("/proc/self/status");
        for (std::string line; std::getline(status, line);) {
            auto read = [&](const char *key, long long &value) {
                if (line.rfind(key, 0) == 0)
                    value = std::atoll(line.c_str() + std::strlen(key)) * 1024;
            };
            read("VmRSS:", now.all);
            read("RssFile:", now.files);
            read("VmHWM:", now.peak);
        }
        return now;
    }

    static void reset_peak() { std::ofstream("/proc/self/clear_refs") << "5" << std::flush; }
};

inline double seconds() {
    using namespace std::chrono;
    return duration<double>(steady_clock::now().time_since_epoch()).count();
}

inline std::string quoted(const std::string &text) {
    std::string json = "\"";
    for (char c : text) {
        if (c == '"' || c == '\\')
            json += '\\';
        json += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
    }
    return json + '"';
}

inline Spec spec_of(std::map<std::string, std::string> &arguments) {
    auto number = [&](const char *key) { return static_cast<size_t>(std::stoull(arguments.at(key))); };
    Spec spec{};
    spec.mb = number("mb"), spec.g = number("g");
    spec.ic = number("ic"), spec.ih = number("ih"), spec.iw = number("iw");
    spec.oc = number("oc"), spec.oh = number("oh"), spec.ow = number("ow");
    spec.kh = number("kh"), spec.kw = number("kw");
    spec.sh = number("sh"), spec.sw = number("sw");
    spec.dh = number("dh"), spec.dw = number("dw");
    spec.pt = number("pt"), spec.pl = number("pl"), spec.pb = number("pb"), spec.pr = number("pr");
    spec.id = number("id"), spec.od = number("od"), spec.kd = number("kd"), spec.sd = number("sd");
    spec.dd = number("dd"), spec.pf = number("pf"), spec.pk = number("pk");
    spec.opd = number("opd"), spec.oph = number("oph"), spec.opw = number("opw");
    spec.transposed = number("tr") != 0, spec.volume = number("volume") != 0;
    spec.nhwc = number("nhwc") != 0;
    spec.f64 = number("f64") != 0;
    spec.plain = number("plain") != 0;
    spec.threads = static_cast<int>(number("threads"));
    spec.option = arguments["option"];
    const std::string propagation = arguments["propagation"];
    if (propagation == "backward-data")
        spec.propagation = Spec::Propagation::backward_data;
    else if (propagation == "backward-weights")
        spec.propagation = Spec::Propagation::backward_weights;
    return spec;
}

/* A small problem whose making and running pays what an engine pays once a process. */
inline Spec first_problem(const Spec &like) {
    Spec spec{};
    spec.mb = spec.g = spec.sh = spec.sw = spec.dh = spec.dw = 1;
    spec.ic = spec.oc = 16;
    spec.ih = spec.iw = spec.oh = spec.ow = 8;
    spec.kh = spec.kw = 3;
    spec.pt = spec.pl = spec.pb = spec.pr = 1;
    spec.nhwc = like.nhwc;
    spec.f64 = like.f64;
    spec.plain = like.plain;
    spec.threads = like.threads;
    spec.option = like.option;
    spec.propagation = like.propagation;
    return spec;
}

template <class Make> void serve_commands(std::map<std::string, std::string> arguments, Make make) {
    const Spec spec = spec_of(arguments);
    /* Large blocks are mapped and given back when freed, so that the peak is what is in use. */
    mallopt(M_MMAP_THRESHOLD, 128 << 10);
    {
        Spec first = first_problem(spec);
        Buffer src(first.src_bytes()), weights(first.weights_bytes()), dst(first.dst_bytes());
        std::memset(src.data(), 0, first.src_bytes());
        std::memset(weights.data(), 0, first.weights_bytes());
        std::memset(dst.data(), 0, first.dst_bytes());
        make(first, Tensors{src.data(), weights.data(), dst.data()})->run();
    }
    Buffer src(spec.src_bytes()), dst(spec.dst_bytes());
    auto weights = std::make_unique<Buffer>(spec.weights_bytes());
    using Propagation = Spec::Propagation;
    if (spec.propagation != Propagation::backward_data)
        src.read(arguments.at("src"), spec.src_bytes());
    if (spec.propagation != Propagation::backward_weights)
        weights->read(arguments.at("weights"), spec.weights_bytes());
    if (spec.propagation != Propagation::forward)
        dst.read(arguments.at("dst"), spec.dst_bytes());

    malloc_trim(0);
    const Resident before = Resident::now();
    std::unique_ptr<Engine> engine = make(spec, Tensors{src.data(), weights->data(), dst.data()});
    malloc_trim(0);
    Resident::reset_peak();
    engine->run();
    engine->run();
    const Resident after = Resident::now();

    std::cout << "{\"version\": " << quoted(engine->version())
              << ", \"implementation\": " << quoted(engine->implementation());
    if (auto exact = engine->exact()) {
        std::cout << ", \"memory_kind\": \"exact\", \"memory_bytes\": " << exact->workspace
                  << ", \"weights_bytes\": " << exact->weights << "}" << std::endl;
    } else {
        long long grown = after.peak - before.all - (after.files - before.files);
        long long held = static_cast<long long>(spec.weights_bytes());
        std::cout << ", \"memory_kind\": \"rss\", \"memory_bytes\": " << (grown > held ? grown - held : 0)
                  << ", \"weights_bytes\": null}" << std::endl;
    }
    if (spec.propagation != Propagation::backward_weights && !spec.plain)
        weights.reset();
    /* From here on freed blocks are kept, so that no run has to fault its memory in anew. */
    mallopt(M_MMAP_MAX, 0);
    mallopt(M_TRIM_THRESHOLD, -1); /* none */

    std::string command;
    while (std::cin >> command) {
        if (command == "time") {
            double least;
            std::cin >> least;
            engine->run();
            size_t runs = 0;
            double begin = seconds(), spent;
            do {
                engine->run();
                runs++;
                spent = seconds() - begin;
            } while (spent < least);
            std::printf("%.9g\n", spent / static_cast<double>(runs));
            std::fflush(stdout);
        } else if (command == "burst") {
            double pause;
            size_t runs;
            std::cin >> pause >> runs;
            std::this_thread::sleep_for(std::chrono::duration<double>(pause));
            double begin = seconds();
            for (size_t run = 0; run < runs; run++)
                engine->run();
            std::printf("%.9g\n", (seconds() - begin) / static_cast<double>(runs));
            std::fflush(stdout);
        } else if (command == "output") {
            std::string file;
            std::cin >> std::ws;
            std::getline(std::cin, file);
            std::ofstream out(file, std::ios::binary);
            engine->finish();
            const auto write = [&](const Buffer &of, size_t bytes) {
                out.write(static_cast<const char *>(of.data()), static_cast<std::streamsize>(bytes));
            };
            if (spec.propagation == Propagation::forward)
                write(dst, spec.dst_bytes());
            else if (spec.propagation == Propagation::backward_data)
                write(src, spec.src_bytes());
            else
                write(*weights, spec.weights_bytes());
            out.close();
            std::cout << (out ? "done" : "cannot write") << std::endl;
        }
    }
}

/* The whole of a worker's main; `make(spec, tensors)` returns a std::unique_ptr<Engine>. */
template <class Make> int serve(int argc, char **argv, Make make) {
    std::map<std::string, std::string> arguments;
    for (int i = 1; i < argc; i++) {
        std::string argument = argv[i];
        size_t at = argument.find('=');
        if (at == std::string::npos) {
            std::cerr << "expected KEY=VALUE, found " << argument << std::endl;
            return 2;
        }
        arguments[argument.substr(0, at)] = argument.substr(at + 1);
    }
    try {
        serve_commands(arguments, make);
    } catch (const Unsupported &reason) {
        std::cout << "{\"unsupported\": " << quoted(reason.what()) << "}" << std::endl;
    } catch (const std::exception &error) {
        std::cout << "{\"failed\": " << quoted(error.what()) << "}" << std::endl;
        return 1;
    }
    return 0;
}

} // namespace peers
