/* Compiled as every standard that convlow.h is for, by the tests "header_...". */

#include <convlow.h>

int main(void) {
    return (int)sizeof(convlow_conv2d_desc) == 0;
}
