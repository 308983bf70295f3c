// Runs a model of one float32 input on convlow inside ONNX Runtime 1.23 or newer:
//
//   c++ -std=c++17 host.cpp -I ONNXRUNTIME/include -L ONNXRUNTIME/lib -lonnxruntime -o host
//   ./host model.onnx libconvlow_onnxruntime.so
#include <onnxruntime_cxx_api.h>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

int main(int argc, char **argv) try {
    if (argc < 3) {
        std::fprintf(stderr, "usage: %s MODEL LIBRARY\n", argv[0]);
        return 2;
    }
    Ort::Env env;
    env.RegisterExecutionProviderLibrary("convlow", argv[2]);
    {
        std::vector<Ort::ConstEpDevice> devices;
        for (const auto &device : env.GetEpDevices())
            if (std::string(device.EpName()) == "convlow")
                devices.push_back(device);
        devices.resize(1);

        Ort::SessionOptions options;
        options.DisableMemPattern();
        Ort::KeyValuePairs of_convlow;
        of_convlow.Add("math", "fast");
        of_convlow.Add("max_workspace_bytes", "2097152");
        options.AppendExecutionProvider_V2(env, devices, of_convlow);
        Ort::Session session(env, argv[1], options);

        Ort::AllocatorWithDefaultOptions allocator;
        auto sizes = session.GetInputTypeInfo(0).GetTensorTypeAndShapeInfo().GetShape();
        for (auto &size : sizes)
            size = size < 1 ? 1 : size;
        auto input = Ort::Value::CreateTensor<float>(allocator, sizes.data(), sizes.size());
        const auto count = input.GetTensorTypeAndShapeInfo().GetElementCount();
        std::fill_n(input.GetTensorMutableData<float>(), count, 0.5f);

        const auto from = session.GetInputNameAllocated(0, allocator),
                   to = session.GetOutputNameAllocated(0, allocator);
        const char *from_names[] = {from.get()}, *to_names[] = {to.get()};
        auto outputs = session.Run(Ort::RunOptions{}, from_names, &input, 1, to_names, 1);
        std::printf("%zu values, the first is %g\n", outputs[0].GetTensorTypeAndShapeInfo().GetElementCount(),
                    static_cast<double>(outputs[0].GetTensorData<float>()[0]));
    }
    // When no session uses it any more.
    env.UnregisterExecutionProviderLibrary("convlow");
    return 0;
} catch (const std::exception &error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
}
