/* fuzz_safetensors.c: any bytes as a safetensors file; what is accepted must be readable. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "support/fuzz_tensors.h"
#include "weights/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return fuzz_tensors(safetensors_parse, data, size);
}
