/* fuzz_tensors.h: the body that the fuzz targets of all weight readers share. */
#ifndef EARSHOT_TESTS_SUPPORT_FUZZ_TENSORS_H
#define EARSHOT_TESTS_SUPPORT_FUZZ_TENSORS_H

#include "weights/tensor_table.h"

/* Parses a copy of the bytes that ends where its allocation ends; a table that was accepted is then
 * read to its last element, and one that was refused must say why.  Returns 0. */
int fuzz_tensors(tensor_parser parse, const uint8_t *data, size_t size);

#endif
