/*
 * model_path.h: which model a command means.
 */
#ifndef EARSHOT_CLI_MODEL_PATH_H
#define EARSHOT_CLI_MODEL_PATH_H

#include "base/error.h"

/*
 * The model directory of -m's value, malloc'd, in *path.  A directory is taken as it is, or with
 * "model" after it (a training run); a bare word is also the name of a bundled model.  name NULL:
 * what the environment's EARSHOT_MODEL names, else the bundled "toy".  Bundled models lie in
 * ../share/earshot/models or ../models from the program's own folder.  IO: there is none.
 */
enum earshot_status model_path_find(const char *name, char **path, struct earshot_error *error);

#endif
