/* fuzz_torch.c: any bytes as a PyTorch checkpoint, zip or legacy; what is accepted must be
 * readable. */
#include <stddef.h>
#include <stdint.h>

#include "support/fuzz_tensors.h"
#include "weights/torch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return fuzz_tensors(torch_parse, data, size);
}
