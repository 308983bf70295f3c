/* Runs a model on convlow inside ONNX Runtime 1.23 or newer, and says how long it takes.
 *
 *   cc host.c -I ONNXRUNTIME/include -L ONNXRUNTIME/lib -lonnxruntime -o host
 *   ./host model.onnx libconvlow_onnxruntime.so [exact|fast]
 *
 * The library lies in the Python package, and in target/release after `cargo build --release -p
 * convlow-onnxruntime`. Inputs are float32 and filled with 0.5; sizes that the model leaves open are 1. */
#define _POSIX_C_SOURCE 199309L
#include <onnxruntime_c_api.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const OrtApi *ort;

/* Ends the program with a status's message, if it is one. */
static void check(OrtStatus *status) {
    if (status != NULL) {
        fprintf(stderr, "%s\n", ort->GetErrorMessage(status));
        exit(1);
    }
}

/* The device that convlow offers. */
static const OrtEpDevice *convlow_device(OrtEnv *env) {
    const OrtEpDevice *const *devices;
    size_t count;
    check(ort->GetEpDevices(env, &devices, &count));
    for (size_t at = 0; at < count; at++)
        if (strcmp(ort->EpDevice_EpName(devices[at]), "convlow") == 0)
            return devices[at];
    fprintf(stderr, "convlow found no CPU\n");
    exit(1);
}

/* A tensor of the sizes of the model's input. */
static OrtValue *filled_input(OrtSession *session, size_t index) {
    OrtTypeInfo *type;
    const OrtTensorTypeAndShapeInfo *tensor;
    size_t rank, elements = 1;
    int64_t sizes[8];
    check(ort->SessionGetInputTypeInfo(session, index, &type));
    check(ort->CastTypeInfoToTensorInfo(type, &tensor));
    check(ort->GetDimensionsCount(tensor, &rank));
    if (rank > 8) {
        fprintf(stderr, "an input has more than 8 dimensions\n");
        exit(1);
    }
    check(ort->GetDimensions(tensor, sizes, rank));
    for (size_t axis = 0; axis < rank; axis++) {
        if (sizes[axis] < 1)
            sizes[axis] = 1;
        elements *= (size_t)sizes[axis];
    }
    ort->ReleaseTypeInfo(type);

    OrtAllocator *allocator;
    OrtValue *value;
    float *data;
    check(ort->GetAllocatorWithDefaultOptions(&allocator));
    check(ort->CreateTensorAsOrtValue(allocator, sizes, rank, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, &value));
    check(ort->GetTensorMutableData(value, (void **)&data));
    for (size_t at = 0; at < elements; at++)
        data[at] = 0.5f;
    return value;
}

int main(int argc, char **argv) {
    if (argc < 3) {
        fprintf(stderr, "usage: %s MODEL LIBRARY [exact|fast]\n", argv[0]);
        return 2;
    }
    ort = OrtGetApiBase()->GetApi(ORT_API_VERSION);
    if (ort == NULL) {
        fprintf(stderr, "this ONNX Runtime is older than its header: %s\n",
                OrtGetApiBase()->GetVersionString());
        return 1;
    }

    /* Once a process: the library. */
    OrtEnv *env;
    check(ort->CreateEnv(ORT_LOGGING_LEVEL_WARNING, "host", &env));
    check(ort->RegisterExecutionProviderLibrary(env, "convlow", argv[2]));

    /* For each session: convlow's device, and its options. */
    const OrtEpDevice *device = convlow_device(env);
    const char *keys[] = {"math", "max_workspace_bytes"};
    const char *values[] = {argc > 3 ? argv[3] : "exact", "2097152"};
    OrtSessionOptions *options;
    check(ort->CreateSessionOptions(&options));
    check(ort->DisableMemPattern(options));
    check(ort->SessionOptionsAppendExecutionProvider_V2(options, env, &device, 1, keys, values, 2));

    OrtSession *session;
    check(ort->CreateSession(env, argv[1], options, &session));

    enum { MOST = 8 };
    OrtAllocator *allocator;
    char *names[2 * MOST];
    OrtValue *inputs[MOST], *outputs[MOST] = {NULL};
    size_t input_count, output_count;
    check(ort->GetAllocatorWithDefaultOptions(&allocator));
    check(ort->SessionGetInputCount(session, &input_count));
    check(ort->SessionGetOutputCount(session, &output_count));
    if (input_count > MOST || output_count > MOST) {
        fprintf(stderr, "the model has more than %d inputs or outputs\n", MOST);
        return 1;
    }
    for (size_t at = 0; at < input_count; at++) {
        check(ort->SessionGetInputName(session, at, allocator, &names[at]));
        inputs[at] = filled_input(session, at);
    }
    for (size_t at = 0; at < output_count; at++)
        check(ort->SessionGetOutputName(session, at, allocator, &names[MOST + at]));

    for (int run = 0; run < 3; run++) {
        struct timespec begin, end;
        for (size_t at = 0; at < output_count; at++) {
            if (outputs[at] != NULL)
                ort->ReleaseValue(outputs[at]);
            outputs[at] = NULL;
        }
        clock_gettime(CLOCK_MONOTONIC, &begin);
        check(ort->Run(session, NULL, (const char *const *)names, (const OrtValue *const *)inputs,
                       input_count, (const char *const *)(names + MOST), output_count, outputs));
        clock_gettime(CLOCK_MONOTONIC, &end);
        printf("run %d: %.2f ms\n", run,
               1e3 * (double)(end.tv_sec - begin.tv_sec) + 1e-6 * (double)(end.tv_nsec - begin.tv_nsec));
    }

    for (size_t at = 0; at < input_count; at++) {
        check(ort->AllocatorFree(allocator, names[at]));
        ort->ReleaseValue(inputs[at]);
    }
    for (size_t at = 0; at < output_count; at++) {
        check(ort->AllocatorFree(allocator, names[MOST + at]));
        ort->ReleaseValue(outputs[at]);
    }
    ort->ReleaseSession(session);
    ort->ReleaseSessionOptions(options);
    /* When no session uses it any more. */
    check(ort->UnregisterExecutionProviderLibrary(env, "convlow"));
    ort->ReleaseEnv(env);
    return 0;
}
