/*
 * bfloat.h: bf16, the upper half of an IEEE 754 binary32: 8 bits of exponent, 8 of precision.
 */
#ifndef EARSHOT_BASE_BFLOAT_H
#define EARSHOT_BASE_BFLOAT_H

#include <stdint.h>
#include <string.h>

/* The nearest, at a tie the even one; NaN stays NaN. */
static inline uint16_t bfloat_from(float x)
{
    uint32_t bits;

    memcpy(&bits, &x, sizeof bits);
    if ((bits & 0x7fffffff) > 0x7f800000)
        return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

#endif
