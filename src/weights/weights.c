/* weights.c: tells the forms of weight files apart.  See weights.h. */
#include "weights/weights.h"

#include <string.h>

#include "base/file.h"
#include "weights/safetensors.h"
#include "weights/torch.h"

/* A safetensors file starts with the length of its header, of which the high bytes are 0. */
static bool is_safetensors(const unsigned char *bytes, size_t size_bytes)
{
    return size_bytes >= 8 && bytes[4] == 0 && bytes[5] == 0 && bytes[6] == 0 && bytes[7] == 0;
}

enum earshot_status weights_open(const char *path, struct tensor_file **file,
                                 struct earshot_error *error)
{
    struct file_map map;
    enum earshot_status status = file_map_open(path, &map, error);
    bool torch, safetensors;

    *file = NULL;
    if (status != EARSHOT_OK)
        return status;
    torch = torch_is_checkpoint(map.data, map.size_bytes);
    safetensors =
        is_safetensors(map.data, map.size_bytes) || safetensors_is_index(map.data, map.size_bytes);
    file_map_close(&map);
    if (torch)
        return torch_open(path, file, error);
    if (safetensors)
        return safetensors_open(path, file, error);
    return error_set(error, EARSHOT_ERROR_FORMAT,
                     "%s: not a file of weights that can be read: expected safetensors, the JSON "
                     "index of sharded safetensors, or a PyTorch checkpoint (.pth, .pt, .bin)",
                     path);
}
