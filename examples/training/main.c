/*
 * Trains a small network on Fashion-MNIST. convlow computes all convolutions, forward and backward; all
 * memory is one block, whose size is known before the first image is read.
 */

#include "trainer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char usage[] =
    "usage: training FOLDER [--OPTION NUMBER ...]\n"
    "\n"
    "FOLDER holds train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte and\n"
    "t10k-labels-idx1-ubyte.\n"
    "\n"
    "  --epochs       how often each training image is used (default 3)\n"
    "  --batch        images of one step (default 32)\n"
    "  --micro-batch  images that are computed together; divides the batch (default: the batch)\n"
    "  --threads      threads of the convolutions; the results have the same bits (default 1)\n"
    "  --memory       limit in KiB for all memory of the training (default 8192)\n"
    "  --seed         of the first weights and of the order of images (default 1)\n";

typedef struct arguments {
    const char *folder;
    training_options training;
    size_t memory; /* in KiB */
} arguments;

/* Also where a size_t has 32 bits, the limit in bytes is in range. */
enum { MOST_KIB = 4 << 20, MOST_IMAGES = 4096, MOST_THREADS = 1024, MOST_EPOCHS = 1000 };

static bool parse_number(const char *name, const char *text, size_t most, size_t *number) {
    char *end = NULL;
    errno = 0;
    const unsigned long value = text != NULL ? strtoul(text, &end, 10) : 0;
    if (text == NULL || *text < '0' || *text > '9' || *end != '\0' || errno != 0 || value < 1 ||
        value > most) {
        fprintf(stderr, "%s takes a number from 1 to %zu, not %s\n", name, most, text ? text : "nothing");
        return false;
    }
    *number = value;
    return true;
}

static bool parse_option(arguments *a, const char *name, const char *value) {
    const struct {
        const char *name;
        size_t most, *number;
    } options[] = {
        {"--epochs", MOST_EPOCHS, &a->training.epochs},
        {"--batch", MOST_IMAGES, &a->training.batch},
        {"--threads", MOST_THREADS, &a->training.threads},
        {"--micro-batch", MOST_IMAGES, &a->training.micro_batch},
        {"--memory", MOST_KIB, &a->memory},
        {"--seed", UINT32_MAX, &a->training.seed},
    };
    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); ++i) {
        if (strcmp(name, options[i].name) == 0) {
            return parse_number(name, value, options[i].most, options[i].number);
        }
    }
    fprintf(stderr, "there is no option %s\n\n%s", name, usage);
    return false;
}

static bool parse(arguments *a, int count, char **texts) {
    *a = (arguments){.memory = 8192, .training = {.epochs = 3, .batch = 32, .threads = 1, .seed = 1}};
    if (count < 2 || texts[1][0] == '-') {
        fputs(usage, stderr);
        return false;
    }
    a->folder = texts[1];
    for (int i = 2; i < count; i += 2) {
        if (!parse_option(a, texts[i], i + 1 < count ? texts[i + 1] : NULL)) {
            return false;
        }
    }
    training_options *training = &a->training;
    if (training->micro_batch == 0) {
        training->micro_batch = training->batch;
    }
    if (training->batch % training->micro_batch != 0) {
        fprintf(stderr, "--micro-batch %zu does not divide --batch %zu\n", training->micro_batch,
                training->batch);
        return false;
    }
    return true;
}

static void print_plan(const char *name, const convlow_plan *plan) {
    convlow_plan_info info = {.struct_size = sizeof(info)};
    if (plan != NULL && succeeds(convlow_plan_get_info(plan, &info), "asking a plan")) {
        printf("  %-18s %-20s %9zu\n", name, convlow_algorithm_name(info.algorithm), info.workspace_bytes);
    }
}

/* What each plan needs, and what the block is made of. */
static void print_memory(const trainer *t, size_t bytes, size_t limit) {
    const network *net = &t->net;
    printf("%-41s workspace\n", "layer");
    for (int i = 0; i < NETWORK_LAYERS; ++i) {
        const layer *layer = &net->layers[i];
        const convlow_convnd_desc *desc = &layer->desc;
        printf("%zu x %zu x %zu to %zu channels\n", desc->in_size[0], desc->in_size[1], desc->in_channels,
               desc->out_channels);
        print_plan("forward", layer->forward);
        print_plan("gradient of data", layer->backward_data);
        print_plan("of weights, bias", layer->backward_weights);
    }
    const size_t parameters = 3 * net->parameter_count * sizeof(float);
    printf("memory in bytes: %zu in one block (limit %zu)\n"
           "  %9zu tensors and their gradients, of %zu images\n"
           "  %9zu weights, their gradient and its velocity\n"
           "  %9zu workspace, the largest of all plans: %.1f %%\n"
           "  %9zu order of the images, one image, labels, alignment\n",
           bytes, limit, net->tensor_bytes, t->options.micro_batch, parameters, net->workspace_bytes,
           100.0 * (double)net->workspace_bytes / (double)bytes,
           bytes - net->tensor_bytes - parameters - net->workspace_bytes);
}

/* In seconds. */
static double now(void) {
    struct timespec time;
    timespec_get(&time, TIME_UTC);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* Takes the one block of memory, if it keeps the limit, and trains in it. */
static bool train(trainer *t, size_t limit) {
    block counted = {0};
    trainer_place(t, &counted);
    print_memory(t, counted.used, limit);
    if (counted.used > limit) {
        fprintf(
            stderr,
            "%zu bytes are needed, but --memory allows %zu; a smaller --micro-batch than %zu needs less\n",
            counted.used, limit, t->options.micro_batch);
        return false;
    }
    block memory = {.base = aligned_alloc(BLOCK_ALIGNMENT, counted.used)};
    if (memory.base == NULL) {
        fprintf(stderr, "the system has no %zu bytes of memory\n", counted.used);
        return false;
    }
    trainer_place(t, &memory);
    const double start = now();
    const bool trained = trainer_run(t);
    if (trained) {
        printf("%.1f seconds, %zu thread%s\n", now() - start, t->options.threads,
               t->options.threads > 1 ? "s" : "");
    }
    free(memory.base);
    return trained;
}

int main(int count, char **texts) {
    arguments a;
    trainer t;
    if (!parse(&a, count, texts)) {
        return 2;
    }
    if (!trainer_create(&t, &a.training, a.folder)) {
        return 1;
    }
    const bool trained = train(&t, a.memory * 1024);
    trainer_destroy(&t);
    return trained ? 0 : 1;
}
