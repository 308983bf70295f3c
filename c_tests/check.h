/*
 * Checks for the tests of the C surface: each prints what it compared when it fails, and a program ends with
 * `return check_result();`, which is non-zero if any did.
 */

#ifndef CONVLOW_CHECK_H
#define CONVLOW_CHECK_H

#include <convlow.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Counted from one thread only; tests with threads hand their findings to the main one. */
static int check_failures;

/* What a loop is at, printed with each failure; "" outside of loops. */
static char check_context[256];

static inline void check_failed(const char *file, int line) {
    ++check_failures;
    fprintf(stderr, "%s:%d: ", file, line);
    if (check_context[0] != '\0') {
        fprintf(stderr, "[%s] ", check_context);
    }
}

static inline int check_that(int holds, const char *text, const char *file, int line) {
    if (!holds) {
        check_failed(file, line);
        fprintf(stderr, "%s does not hold\n", text);
    }
    return holds;
}

static inline int check_sizes(size_t actual, size_t expected, const char *text, const char *file, int line) {
    if (actual != expected) {
        check_failed(file, line);
        fprintf(stderr, "%s is %zu, expected %zu\n", text, actual, expected);
    }
    return actual == expected;
}

static inline int check_status(convlow_status actual, convlow_status expected, const char *text,
                               const char *file, int line) {
    if (actual != expected) {
        check_failed(file, line);
        fprintf(stderr, "%s is %s (%s), expected %s\n", text, convlow_status_name(actual),
                convlow_last_error_message(), convlow_status_name(expected));
    }
    return actual == expected;
}

static inline int check_contains(const char *actual, const char *fragment, const char *text, const char *file,
                                 int line) {
    int holds = actual != NULL && strstr(actual, fragment) != NULL;
    if (!holds) {
        check_failed(file, line);
        fprintf(stderr, "%s: \"%s\" does not contain \"%s\"\n", text, actual != NULL ? actual : "(NULL)",
                fragment);
    }
    return holds;
}

static inline int check_fails(convlow_status actual, convlow_status expected, const char *fragment,
                              const char *text, const char *file, int line) {
    return check_status(actual, expected, text, file, line) &&
           check_contains(convlow_last_error_message(), fragment, text, file, line);
}

#define CHECK(condition) check_that((condition) ? 1 : 0, #condition, __FILE__, __LINE__)
#define CHECK_SIZE(actual, expected) check_sizes((actual), (expected), #actual, __FILE__, __LINE__)
#define CHECK_STATUS(call, expected) check_status((call), (expected), #call, __FILE__, __LINE__)
#define CHECK_OK(call) CHECK_STATUS(call, CONVLOW_OK)
#define CHECK_CONTAINS(actual, fragment) check_contains((actual), (fragment), #actual, __FILE__, __LINE__)

/* The call fails with this status, and the message names what is wrong. */
#define CHECK_FAILS(call, expected, fragment) \
    check_fails((call), (expected), (fragment), #call, __FILE__, __LINE__)

/* Ends the program where going on makes no sense. */
#define REQUIRE(condition)       \
    do {                         \
        if (!CHECK(condition)) { \
            exit(EXIT_FAILURE);  \
        }                        \
    } while (0)
#define REQUIRE_OK(call)        \
    do {                        \
        if (!CHECK_OK(call)) {  \
            exit(EXIT_FAILURE); \
        }                       \
    } while (0)

static inline int check_result(void) {
    if (check_failures > 0) {
        fprintf(stderr, "%d checks failed\n", check_failures);
    }
    return check_failures > 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* Under valgrind a program runs some 30 times slower; then loops are shorter, but never empty. */
static inline int check_quickly(void) {
    return getenv("CONVLOW_TEST_QUICK") != NULL;
}

/* How often to try what fails now and then: hardly under valgrind, and often in the long run of the tests. */
static inline int check_times(int quickly, int usually, int thoroughly) {
    if (check_quickly()) {
        return quickly;
    }
    return getenv("CONVLOW_TEST_LONG") != NULL ? thoroughly : usually;
}

#endif
