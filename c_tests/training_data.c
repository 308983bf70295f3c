/*
 * Writes a tiny data set for the example of training: training_data FOLDER IMAGES [FAULT]. Each image of 12 x
 * 12 pixels has noise and one bright spot, whose place is its class. The test set has half as many images as
 * the training set. A fault makes a training set that is refused.
 */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIDE = 12, CLASSES = 10 };

/* What the headers say, and what follows them. */
typedef struct set {
    uint32_t magic, images, labels, side;
    size_t written_pixels;
    uint32_t last_label;
} set;

static uint32_t state = 1;

static uint32_t random_below(uint32_t limit) {
    state = state * 1664525U + 1013904223U;
    return (state >> 16) % limit;
}

static FILE *opened(const char *folder, const char *name, const char *kind) {
    char path[1024];
    snprintf(path, sizeof(path), "%s/%s-%s-ubyte", folder, name, kind);
    FILE *file = fopen(path, "wb");
    if (file == NULL) {
        perror(path);
        exit(1);
    }
    return file;
}

static void write_number(FILE *file, uint32_t number) {
    for (int shift = 24; shift >= 0; shift -= 8) {
        fputc((int)(number >> shift & 0xff), file);
    }
}

/* Whether a pixel of an image is bright. */
static int is_in_spot(uint32_t label, size_t y, size_t x) {
    const size_t top = label / 5 * 6 + 1, left = label % 5 * 2 + 1;
    return y >= top && y < top + 4 && x >= left && x < left + 2;
}

static void write_set(const char *folder, const char *name, const set *set) {
    FILE *images = opened(folder, name, "images-idx3"), *labels = opened(folder, name, "labels-idx1");
    const uint32_t images_header[] = {set->magic, set->images, set->side, set->side};
    const uint32_t labels_header[] = {0x801, set->labels};
    for (size_t i = 0; i < 4; ++i) {
        write_number(images, images_header[i]);
    }
    for (size_t i = 0; i < 2; ++i) {
        write_number(labels, labels_header[i]);
    }
    for (size_t i = 0; i < set->written_pixels; ++i) {
        const size_t in_image = i % (SIDE * SIDE);
        const uint32_t label = (uint32_t)(i / (SIDE * SIDE)) % CLASSES;
        const uint32_t darkest = is_in_spot(label, in_image / SIDE, in_image % SIDE) ? 110 : 10;
        fputc((int)(darkest + random_below(130)), images);
    }
    for (uint32_t i = 0; i < set->labels; ++i) {
        fputc((int)(i + 1 < set->labels ? i % CLASSES : set->last_label), labels);
    }
    if (fclose(images) != 0 || fclose(labels) != 0) {
        perror(folder);
        exit(1);
    }
}

static set set_of(uint32_t images) {
    return (set){0x803, images, images, SIDE, (size_t)images * SIDE * SIDE, (images - 1) % CLASSES};
}

int main(int count, char **texts) {
    if (count < 3) {
        fputs("usage: training_data FOLDER IMAGES [FAULT]\n", stderr);
        return 2;
    }
    const uint32_t images = (uint32_t)strtoul(texts[2], NULL, 10);
    set training = set_of(images);
    const set test = set_of(images / 2);
    const char *fault = count > 3 ? texts[3] : "";
    training.magic += strcmp(fault, "magic") == 0;
    training.labels -= strcmp(fault, "counts") == 0;
    training.written_pixels -= strcmp(fault, "short") == 0;
    training.written_pixels += strcmp(fault, "long") == 0;
    training.last_label = strcmp(fault, "label") == 0 ? CLASSES : training.last_label;
    if (strcmp(fault, "sides") == 0) {
        training.side = 10;
    } else if (strcmp(fault, "others") == 0) {
        training.side = 16;
        training.written_pixels = (size_t)images * 16 * 16;
    } else if (strcmp(fault, "empty") == 0) {
        training.images = training.labels = 0;
        training.written_pixels = 0;
    }
    write_set(texts[1], "train", &training);
    write_set(texts[1], "t10k", &test);
    return 0;
}
