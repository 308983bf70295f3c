#include "trainer.h"
#include "operators.h"
#include "random.h"

#include <inttypes.h>
#include <string.h>

/* The rate falls evenly from its first value to 0. */
static const float first_rate = 0.01F, momentum = 0.9F;

enum { REPORTS_PER_EPOCH = 8 };

bool trainer_create(trainer *t, const training_options *options, const char *folder) {
    *t = (trainer){.options = *options};
    if (!dataset_open(&t->training, folder, "train") || !dataset_open(&t->test, folder, "t10k")) {
        trainer_destroy(t);
        return false;
    }
    const dataset *training = &t->training;
    bool fits = true;
    if (training->rows != t->test.rows || training->columns != t->test.columns) {
        fprintf(stderr, "the images of %s have %zu x %zu pixels, those of %s %zu x %zu\n",
                training->images.path, training->rows, training->columns, t->test.images.path, t->test.rows,
                t->test.columns);
        fits = false;
    } else if (options->batch > training->images.items) {
        fprintf(stderr, "--batch %zu is more than the %zu images of %s\n", options->batch,
                training->images.items, training->images.path);
        fits = false;
    }
    if (!fits ||
        !network_create(&t->net, options->micro_batch, training->rows, training->columns, options->threads)) {
        trainer_destroy(t);
        return false;
    }
    return true;
}

void trainer_destroy(trainer *t) {
    dataset_close(&t->training);
    dataset_close(&t->test);
    network_destroy(&t->net);
}

void trainer_place(trainer *t, block *memory) {
    network_place(&t->net, memory);
    t->order = block_take(memory, t->training.images.items * sizeof(*t->order));
    t->pixels = block_take(memory, t->training.images.item_bytes);
    t->labels = block_take(memory, t->options.micro_batch);
}

/* Fisher and Yates. */
static void shuffle(uint32_t *order, size_t count, uint64_t *state) {
    for (size_t i = count; i > 1; --i) {
        const size_t other = (size_t)((uint64_t)random_bits(state) * i >> 32);
        const uint32_t last = order[i - 1];
        order[i - 1] = order[other];
        order[other] = last;
    }
}

/* Reads `count` images of the set from the place `first` of the order, or of the file if the order is NULL.
 */
static bool load(trainer *t, dataset *set, const uint32_t *order, size_t first, size_t count) {
    const size_t pixels = set->images.item_bytes;
    float *src = t->net.layers[0].src;
    for (size_t n = 0; n < count; ++n, src += pixels) {
        const size_t index = order != NULL ? order[first + n] : first + n;
        if (!dataset_read(set, index, t->pixels, t->labels + n)) {
            return false;
        }
        /* About the mean and the deviation of Fashion-MNIST. */
        for (size_t i = 0; i < pixels; ++i) {
            src[i] = ((float)t->pixels[i] - 73.0F) / 90.0F;
        }
    }
    return true;
}

/* One step by the images from the place `first` of the order; *loss is the mean of theirs. */
static bool train_batch(trainer *t, size_t first, float rate, double *loss) {
    const training_options *options = &t->options;
    network *net = &t->net;
    float *scores = net->layers[NETWORK_LAYERS - 1].dst;
    size_t right = 0;
    *loss = 0.0;
    for (size_t done = 0; done < options->batch; done += options->micro_batch) {
        if (!load(t, &t->training, t->order, first + done, options->micro_batch) || !network_forward(net)) {
            return false;
        }
        *loss += softmax_cross_entropy(options->micro_batch, DATASET_CLASSES, scores, t->labels,
                                       1.0F / (float)options->batch, &right);
        if (!network_backward(net)) {
            return false;
        }
    }
    *loss /= (double)options->batch;
    network_step(net, rate, momentum);
    return true;
}

/* Images behind the last whole batch wait for the order of another epoch. */
static bool train_epoch(trainer *t, size_t epoch) {
    const size_t batch = t->options.batch, steps = t->training.images.items / batch;
    const size_t all_steps = steps * t->options.epochs;
    const size_t per_report = (steps + REPORTS_PER_EPOCH - 1) / REPORTS_PER_EPOCH;
    double sum = 0.0;
    size_t summed = 0;
    for (size_t step = 0; step < steps; ++step) {
        const size_t done = epoch * steps + step;
        const float rate = first_rate * (1.0F - (float)done / (float)all_steps);
        double loss;
        if (!train_batch(t, step * batch, rate, &loss)) {
            return false;
        }
        sum += loss;
        ++summed;
        if (summed == per_report || step + 1 == steps) {
            printf("step %5zu of %zu: loss %.6f (%a)\n", done + 1, all_steps, sum / (double)summed,
                   sum / (double)summed);
            fflush(stdout);
            sum = 0.0;
            summed = 0;
        }
    }
    return true;
}

/* The scores of images that are missing from the last micro-batch are those of earlier images, and not looked
 * at. */
static bool test(trainer *t, size_t epoch) {
    const size_t images = t->test.images.items, most = t->options.micro_batch;
    float *scores = t->net.layers[NETWORK_LAYERS - 1].dst;
    double loss = 0.0;
    size_t right = 0;
    for (size_t first = 0; first < images; first += most) {
        const size_t count = images - first < most ? images - first : most;
        if (!load(t, &t->test, NULL, first, count) || !network_forward(&t->net)) {
            return false;
        }
        loss += softmax_cross_entropy(count, DATASET_CLASSES, scores, t->labels, 1.0F, &right);
    }
    printf("epoch %zu: %zu of %zu test images right, %.2f %%, loss %.6f\n", epoch + 1, right, images,
           100.0 * (double)right / (double)images, loss / (double)images);
    fflush(stdout);
    return true;
}

bool trainer_run(trainer *t) {
    const size_t images = t->training.images.items;
    uint64_t state = t->options.seed;
    for (size_t i = 0; i < images; ++i) {
        t->order[i] = (uint32_t)i;
    }
    network_start(&t->net, t->options.seed);
    for (size_t epoch = 0; epoch < t->options.epochs; ++epoch) {
        shuffle(t->order, images, &state);
        if (!train_epoch(t, epoch) || !test(t, epoch)) {
            return false;
        }
    }
    printf("checksum of the weights: %016" PRIx64 "\n", network_checksum(&t->net));
    return true;
}
