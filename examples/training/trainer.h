/*
 * Trains a network with a data set, and counts how many images of another one it classifies.
 */

#ifndef TRAINING_TRAINER_H
#define TRAINING_TRAINER_H

#include "block.h"
#include "dataset.h"
#include "network.h"

typedef struct training_options {
    size_t epochs, batch, micro_batch, threads, seed;
} training_options;

typedef struct trainer {
    training_options options;
    dataset training, test;
    network net;

    /* In the block. */
    uint32_t *order; /* of the training images, in this epoch */
    unsigned char *pixels, *labels;
} trainer;

/* Opens the data sets of the folder and makes the network. Functions that return bool have printed the reason
 * if they return false. */
bool trainer_create(trainer *t, const training_options *options, const char *folder);

/* Gives everything its memory; with a block that only counts, counts it. */
void trainer_place(trainer *t, block *memory);

/* Trains, and prints losses and what share of the test's images the network classifies after each epoch. */
bool trainer_run(trainer *t);

void trainer_destroy(trainer *t);

#endif
