/*
 * The lists of problems/, read by the syntax that its README explains. Options of benchdnn are none of it.
 */

#ifndef CONVLOW_TEST_LISTS_H
#define CONVLOW_TEST_LISTS_H

#include "convolution.h"

#include <ctype.h>
#include <dirent.h>

/* A line of a list. The name in the problem is set by those who use it, as lines are moved. */
typedef struct line {
    problem problem;
    size_t out[2]; /* height and width that the list says; 0 if it says none */
    char text[128];
} line;

/* All lines of all lists, in the order of the files' names. */
typedef struct lists {
    size_t files, count, capacity;
    line *lines;
} lists;

enum { MB, G, IC, IH, IW, OC, OH, OW, KH, KW, SH, SW, DH, DW, PH, PW, PB, PR, KEYS };

static const char *const keys[KEYS] = {"mb", "g",  "ic", "ih", "iw", "oc", "oh", "ow", "kh",
                                       "kw", "sh", "sw", "dh", "dw", "ph", "pw", "pb", "pr"};

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

/* Of height and width the one that is missing is the other. */
static inline void copy_missing(long numbers[KEYS], int height, int width) {
    numbers[height] = numbers[height] != MISSING ? numbers[height] : numbers[width];
    numbers[width] = numbers[width] != MISSING ? numbers[width] : numbers[height];
}

static inline void read_line(line *line) {
    long numbers[KEYS];
    read_numbers(line, numbers);
    if (numbers[IH] == MISSING && numbers[KH] == MISSING && numbers[OH] == MISSING) {
        numbers[IH] = numbers[KH] = numbers[OH] = numbers[SH] = 1;
        numbers[DH] = numbers[PH] = 0;
    }
    if (numbers[IW] == MISSING && numbers[KW] == MISSING) {
        copy_missing(numbers, OH, OW);
    }
    copy_missing(numbers, IH, IW);
    copy_missing(numbers, KH, KW);
    copy_missing(numbers, SH, SW);
    copy_missing(numbers, DH, DW);
    copy_missing(numbers, PH, PW);
    require_in(line, numbers[IC] > 0 && numbers[OC] > 0 && numbers[IH] > 0 && numbers[KH] > 0,
               "a size is missing");
    problem *problem = &line->problem;
    memset(problem, 0, sizeof(*problem));
    problem->batch = number_or(numbers[MB], 1);
    problem->groups = number_or(numbers[G], 1);
    problem->in[0] = (size_t)numbers[IC];
    problem->out_channels = (size_t)numbers[OC];
    for (int axis = 0; axis < 2; ++axis) {
        const size_t in = problem->in[1 + axis] = (size_t)numbers[IH + axis];
        const size_t kernel = problem->kernel[axis] = (size_t)numbers[KH + axis];
        const size_t stride = problem->stride[axis] = number_or(numbers[SH + axis], 1);
        const size_t dilation = problem->dilation[axis] = number_or(numbers[DH + axis], 0) + 1;
        const size_t before = problem->pad[axis] = number_or(numbers[PH + axis], 0);
        const size_t out = line->out[axis] = number_or(numbers[OH + axis], 0);
        /* What the last output reaches beyond the input. */
        const size_t end = out > 0 ? (out - 1) * stride + (kernel - 1) * dilation + 1 : in + 2 * before;
        const size_t implied = end > in + before ? end - in - before : 0;
        problem->pad[2 + axis] = number_or(numbers[PB + axis], implied);
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
