// Compiled by the tests "header_...": both headers, each twice, need nothing else in front of them.

#include <convlow.hpp>

#include <convlow.h>

#include <convlow.hpp>

int main() {
    return static_cast<int>(sizeof(convlow::descriptor)) == 0;
}
