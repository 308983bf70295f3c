/*
 * The header and the library keep the ABI that the list in abi/ has: the compiler refuses what has another
 * value, place or type or is gone, the linker what the library lacks, and this program the algorithms that
 * have another id or name.
 *
 * Where it fails, programs that are compiled and linked already would break. Put back what they rely on, and
 * add the new beside it; see "The ABI" in CONTRIBUTING.md.
 */

#include "check.h"

#include <stddef.h>
#include <stdint.h>

#define HOLDS(condition, text) _Static_assert(condition, text " differs from the list in c_tests/abi")
#define IS_A(expression, ...) _Generic((expression), __typeof__(__VA_ARGS__) * : 1, default : 0)
/* Sizes and offsets are those of 64-bit pointers. */
#define ON_64_BIT(condition) (sizeof(void *) != 8 || (condition))

#define CONSTANT(name, value) HOLDS((name) == (value), #name);
#define TYPE(name, ...) HOLDS(IS_A((name *)NULL, __VA_ARGS__), #name);
#define STRUCT(name, bytes) HOLDS(ON_64_BIT(sizeof(name) == (bytes)), "sizeof(" #name ")");
#define FIELD(type, name, offset, ...)                                   \
    HOLDS(ON_64_BIT(offsetof(type, name) == (offset)), #type "." #name); \
    HOLDS(IS_A(&((type *)NULL)->name, __VA_ARGS__), #type "." #name);
#define FUNCTION(name, result, parameters) HOLDS(IS_A(&(name), result parameters), #name);
#define ALGORITHM(id, name)
#define MEC_ALGORITHM(id, name)
#define RETIRED_ALGORITHM(id, name)
#include CONVLOW_TEST_ABI
#undef CONSTANT
#undef TYPE
#undef STRUCT
#undef FIELD
#undef FUNCTION
#undef ALGORITHM
#undef MEC_ALGORITHM
#undef RETIRED_ALGORITHM

#define CONSTANT(name, value)
#define TYPE(name, ...)
#define STRUCT(name, bytes)
#define FIELD(type, name, offset, ...)

/* Their addresses, so that the linker looks for each. */
static void (*const functions[])(void) = {
#define FUNCTION(name, result, parameters) (void (*)(void))(name),
#define ALGORITHM(id, name)
#define MEC_ALGORITHM(id, name)
#define RETIRED_ALGORITHM(id, name)
#include CONVLOW_TEST_ABI
#undef FUNCTION
#undef ALGORITHM
#undef MEC_ALGORITHM
#undef RETIRED_ALGORITHM
};

static const struct {
    int32_t id;
    const char *name;
    int there;
} algorithms[] = {
#define FUNCTION(name, result, parameters)
#define ALGORITHM(id, name) {id, name, 1},
#define MEC_ALGORITHM(id, name) {id, name, CONVLOW_TEST_MEC},
#define RETIRED_ALGORITHM(id, name) {id, name, 0},
#include CONVLOW_TEST_ABI
};

enum {
    FUNCTIONS = sizeof(functions) / sizeof(functions[0]),
    ALGORITHMS = sizeof(algorithms) / sizeof(algorithms[0]),
};

int main(void) {
    size_t there = 0;
    for (size_t i = 0; i < FUNCTIONS; ++i) {
        CHECK(functions[i] != NULL);
    }
    for (size_t i = 0; i < ALGORITHMS; ++i) {
        const char *name = convlow_algorithm_name(algorithms[i].id);
        snprintf(check_context, sizeof(check_context), "%d, %s", (int)algorithms[i].id, algorithms[i].name);
        if (algorithms[i].there) {
            CHECK_CONTAINS(name, algorithms[i].name);
            CHECK(name != NULL && strlen(name) == strlen(algorithms[i].name));
            CHECK(convlow_algorithm_from_name(algorithms[i].name) == algorithms[i].id);
            ++there;
        } else {
            CHECK(name == NULL);
            CHECK(convlow_algorithm_from_name(algorithms[i].name) == -1);
        }
    }
    snprintf(check_context, sizeof(check_context), "algorithms without a line in c_tests/abi");
    CHECK_SIZE(convlow_algorithm_count(), there);
    printf("%d functions, %zu algorithms\n", FUNCTIONS, there);
    return check_result();
}
