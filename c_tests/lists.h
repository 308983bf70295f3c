/*
 * The lists of problems/, read by the syntax that its README explains. Options of benchdnn are none of it.
 */

#ifndef CONVLOW_TEST_LISTS_H
#define CONVLOW_TEST_LISTS_H

#include "convolution.h"

#include <ctype.h>
#include <dirent.h>

/* A line of a list. */
typedef struct line {
    convlow_convnd_desc desc;
    size_t out[3]; /* the sizes that the list says, outermost axis first; 0 if it says none */
    char text[128];
} line;

/* All lines of all lists, in the order of the files' names. */
typedef struct lists {
    size_t files, count, capacity;
    line *lines;
} lists;

enum {
    MB,
    G,
    IC,
    OC,
    ID,
    IH,
    IW,
    OD,
    OH,
    OW,
    KD,
    KH,
    KW,
    SD,
    SH,
    SW,
    DD,
    DH,
    DW,
    PD,
    PH,
    PW,
    PK,
    PB,
    PR,
    TR,
    KEYS
};

static const char *const keys[KEYS] = {"mb", "g",  "ic", "oc", "id", "ih", "iw", "od", "oh",
                                       "ow", "kd", "kh", "kw", "sd", "sh", "sw", "dd", "dh",
                                       "dw", "pd", "ph", "pw", "pk", "pb", "pr", "tr"};

enum { MISSING = -1 };

/* Ends the program at what is no problem. */
static inline void require_in(const line *line, int holds, const char *what) {
    if (!holds) {
        fprintf(stderr, "%s: %s\n", line->text, what);
        exit(EXIT_FAILURE);
    }
}

static inline void read_numbers(const line *line, long numbers[KEYS]) {
    for (int key = 0; key < KEYS; ++key) {
        numbers[key] = MISSING;
    }
    const char *rest = line->text;
    while (*rest != '\0' && *rest != 'n') {
        int key = 0;
        while (key < KEYS && strncmp(rest, keys[key], strlen(keys[key])) != 0) {
            ++key;
        }
        if (*rest == '_') {
            ++rest;
            continue;
        }
        require_in(line, key < KEYS, "a key is unknown");
        rest += strlen(keys[key]);
        require_in(line, isdigit((unsigned char)*rest) && numbers[key] == MISSING, "a number is wrong");
        char *end;
        numbers[key] = strtol(rest, &end, 10);
        rest = end;
    }
}

static inline size_t number_or(long number, size_t otherwise) {
    return number != MISSING ? (size_t)number : otherwise;
}

/* Of depth, height and width those that are missing are another one of them. */
static inline void copy_missing(long numbers[KEYS], int depth) {
    static const int orders[3][2] = {{1, 2}, {2, 0}, {1, 0}};
    const long given[3] = {numbers[depth], numbers[depth + 1], numbers[depth + 2]};
    for (int axis = 0; axis < 3; ++axis) {
        for (int other = 0; other < 2 && numbers[depth + axis] == MISSING; ++other) {
            numbers[depth + axis] = given[orders[axis][other]];
        }
    }
}

static inline int count_given(const long numbers[KEYS], int depth) {
    return (numbers[depth] != MISSING) + (numbers[depth + 1] != MISSING) + (numbers[depth + 2] != MISSING);
}

static inline void read_line(line *line) {
    long numbers[KEYS];
    read_numbers(line, numbers);
    const int volume = numbers[ID] != MISSING || numbers[OD] != MISSING || numbers[KD] != MISSING;
    const int row = !volume && numbers[IH] == MISSING && numbers[KH] == MISSING && numbers[OH] == MISSING;
    const int dims = volume ? 3 : row ? 1 : 2;
    if (count_given(numbers, ID) == 1 && count_given(numbers, KD) == 1) {
        copy_missing(numbers, OD);
    }
    copy_missing(numbers, ID);
    copy_missing(numbers, KD);
    copy_missing(numbers, SD);
    copy_missing(numbers, DD);
    copy_missing(numbers, PD);
    require_in(line, numbers[IC] > 0 && numbers[OC] > 0 && numbers[IW] > 0 && numbers[KW] > 0,
               "a size is missing");
    convlow_convnd_desc *desc = &line->desc;
    convlow_convnd_desc_init(desc, sizeof(*desc));
    desc->spatial_dims = dims;
    desc->operation = numbers[TR] == 1 ? CONVLOW_OPERATION_CONV_TRANSPOSE : CONVLOW_OPERATION_CONV;
    desc->batch = number_or(numbers[MB], 1);
    desc->groups = number_or(numbers[G], 1);
    desc->in_channels = (size_t)numbers[IC];
    desc->out_channels = (size_t)numbers[OC];
    memset(line->out, 0, sizeof(line->out));
    for (int axis = 0; axis < dims; ++axis) {
        const int key = 3 - dims + axis;
        const size_t in = desc->in_size[axis] = (size_t)numbers[ID + key];
        const size_t kernel = desc->kernel_size[axis] = (size_t)numbers[KD + key];
        const size_t stride = desc->stride[axis] = number_or(numbers[SD + key], 1);
        const size_t dilation = desc->dilation[axis] = number_or(numbers[DD + key], 0) + 1;
        const size_t before = desc->pad_before[axis] = number_or(numbers[PD + key], 0);
        const size_t out = line->out[axis] = number_or(numbers[OD + key], 0);
        const size_t reach = (kernel - 1) * dilation + 1;
        if (desc->operation == CONVLOW_OPERATION_CONV_TRANSPOSE) {
            /* Padded alike on both sides; what is missing then is output padding. */
            const size_t reached = (in - 1) * stride + reach - 2 * before;
            desc->pad_after[axis] = number_or(numbers[PK + key], before);
            desc->output_padding[axis] = out > reached ? out - reached : 0;
            continue;
        }
        /* What the last output reaches beyond the input. */
        const size_t end = out > 0 ? (out - 1) * stride + reach : in + 2 * before;
        const size_t implied = end > in + before ? end - in - before : 0;
        desc->pad_after[axis] = number_or(numbers[PK + key], implied);
    }
}

static inline void read_list(lists *lists, const char *path) {
    FILE *file = fopen(path, "r");
    REQUIRE(file != NULL);
    char text[sizeof(lists->lines->text)];
    while (fgets(text, sizeof(text), file) != NULL) {
        const size_t length = strcspn(text, "\r\n");
        REQUIRE(text[length] != '\0' || feof(file)); /* the whole line */
        text[length] = '\0';
        const char *begin = text + strspn(text, " \t");
        if (*begin == '\0' || *begin == '#') {
            continue;
        }
        if (lists->count == lists->capacity) {
            lists->capacity = lists->capacity == 0 ? 64 : 2 * lists->capacity;
            lists->lines = (line *)realloc(lists->lines, lists->capacity * sizeof(line));
            REQUIRE(lists->lines != NULL);
        }
        line *line = &lists->lines[lists->count++];
        strcpy(line->text, begin);
        read_line(line);
    }
    REQUIRE(fclose(file) == 0);
    ++lists->files;
}

static inline int is_list(const struct dirent *entry) {
    const size_t length = strlen(entry->d_name);
    return length > 4 && strcmp(entry->d_name + length - 4, ".txt") == 0;
}

/* All lists of the folder. */
static inline lists lists_read(const char *folder) {
    lists lists = {0, 0, 0, NULL};
    struct dirent **entries;
    const int count = scandir(folder, &entries, is_list, alphasort);
    REQUIRE(count > 0);
    for (int i = 0; i < count; ++i) {
        char path[4096];
        REQUIRE(snprintf(path, sizeof(path), "%s/%s", folder, entries[i]->d_name) < (int)sizeof(path));
        read_list(&lists, path);
        free(entries[i]);
    }
    free(entries);
    return lists;
}

static inline void lists_free(lists *lists) {
    free(lists->lines);
}

#endif
