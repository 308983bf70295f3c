/*
 * A host that opens the library by hand can close it again, also when its main thread has seen a refusal and
 * a pool has come and gone: the library leaves no destructor behind.
 */

#define _POSIX_C_SOURCE 200809L
#include "check.h"

#include <dlfcn.h>
#include <stdint.h>

#define FUNCTION(library, name) ((name##_function)(intptr_t)dlsym((library), #name))

typedef convlow_status (*convlow_pool_create_function)(size_t threads, convlow_pool **pool);
typedef void (*convlow_pool_destroy_function)(convlow_pool *pool);
typedef const char *(*convlow_last_error_message_function)(void);

int main(int argc, char **argv) {
    REQUIRE(argc == 2);
    const int rounds = check_times(20, 100, 1000);
    for (int round = 0; round < rounds; ++round) {
        void *library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
        if (library == NULL) {
            fprintf(stderr, "%s\n", dlerror());
            return EXIT_FAILURE;
        }
        const convlow_pool_create_function create = FUNCTION(library, convlow_pool_create);
        const convlow_pool_destroy_function destroy = FUNCTION(library, convlow_pool_destroy);
        const convlow_last_error_message_function message = FUNCTION(library, convlow_last_error_message);
        REQUIRE(create != NULL && destroy != NULL && message != NULL);
        convlow_pool *pool = NULL;
        REQUIRE(create(5000, &pool) == CONVLOW_ERROR_INVALID_ARGUMENT);
        REQUIRE(strstr(message(), "threads = 5000") != NULL);
        REQUIRE(create(3, &pool) == CONVLOW_OK);
        destroy(pool);
        REQUIRE(dlclose(library) == 0);
        void *still_there = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL | RTLD_NOLOAD);
        REQUIRE(still_there == NULL);
    }
    printf("opened and closed %d times\n", rounds);
    return check_result();
}
