/*
 * Images and their labels in the IDX format of MNIST. They stay in their files: an image is read when it is
 * needed, so a data set takes no memory.
 */

#ifndef TRAINING_DATASET_H
#define TRAINING_DATASET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum { DATASET_CLASSES = 10 };

/* A file of items of one size behind a header. */
typedef struct idx_file {
    FILE *file;
    char path[1024];
    size_t header_bytes, items, item_bytes;
} idx_file;

typedef struct dataset {
    idx_file images, labels;
    size_t rows, columns;
} dataset;

/* Opens FOLDER/NAME-images-idx3-ubyte and FOLDER/NAME-labels-idx1-ubyte. If it returns false, it has printed
 * the reason, and nothing is open. */
bool dataset_open(dataset *set, const char *folder, const char *name);

/* Reads one image, as rows * columns bytes, and its label. If it returns false, it has printed the reason. */
bool dataset_read(dataset *set, size_t index, unsigned char *pixels, unsigned char *label);

void dataset_close(dataset *set);

#endif
