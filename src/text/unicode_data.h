/*
 * unicode_data.h: the generated tables behind unicode.h.  stage1[code >> UNICODE_SHIFT] names a
 * block, stage2[block << UNICODE_SHIFT | low bits of code] is the value.
 */
#ifndef EARSHOT_TEXT_UNICODE_DATA_H
#define EARSHOT_TEXT_UNICODE_DATA_H

#include <stdint.h>

#define UNICODE_SHIFT 7

/* Bits of enum unicode_property. */
extern const uint8_t unicode_properties_stage1[];
extern const uint8_t unicode_properties_stage2[];

/* The canonical combining class. */
extern const uint8_t unicode_combining_stage1[];
extern const uint8_t unicode_combining_stage2[];

/* 0: folds to itself.  Else 4 * (place in the pool) + length, length 1 to 4. */
extern const uint8_t unicode_fold_stage1[];
extern const uint16_t unicode_fold_stage2[];
extern const uint32_t unicode_fold_pool[];

#endif
