/* model_path.c: which model a command means.  See model_path.h. */
#include "cli/model_path.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"

#define DEFAULT_MODEL "toy"

/* The folder of the running program, malloc'd; NULL where the system does not tell. */
static char *program_folder(void)
{
    char path[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
    char *slash;

    if (length < 0)
        return NULL;
    path[length] = '\0';
    slash = strrchr(path, '/');
    return slash ? str_format("%.*s", (int)(slash - path), path) : NULL;
}

/* Takes a path; returns it if a model is there, else frees it and returns NULL. */
static char *if_model(char *path)
{
    char *config = path ? str_format("%s/config.json", path) : NULL;
    bool there = config && file_exists(config);

    free(config);
    if (there)
        return path;
    free(path);
    return NULL;
}

static char *bundled(const char *name)
{
    static const char *const places[] = {"../share/earshot/models", "../models"};
    char *folder = program_folder(), *path = NULL;

    for (size_t i = 0; folder && !path && i < sizeof places / sizeof *places; i++)
        path = if_model(str_format("%s/%s/%s", folder, places[i], name));
    free(folder);
    return path;
}

enum earshot_status model_path_find(const char *name, char **path, struct earshot_error *error)
{
    const char *chosen = name ? name : getenv("EARSHOT_MODEL");

    if (chosen && *chosen) {
        *path = if_model(str_format("%s", chosen));
        if (!*path)
            *path = if_model(str_format("%s/model", chosen));
        if (!*path && !strchr(chosen, '/'))
            *path = bundled(chosen);
        if (!*path)
            return error_set(error, EARSHOT_ERROR_IO,
                             "%s%s: no model there: expected a folder with config.json, "
                             "model.safetensors and vocab.txt",
                             name ? "" : "EARSHOT_MODEL=", chosen);
        return EARSHOT_OK;
    }
    *path = bundled(DEFAULT_MODEL);
    if (!*path)
        return error_set(error, EARSHOT_ERROR_IO,
                         "the bundled model is not beside this program; name one with -m DIR or "
                         "EARSHOT_MODEL, or make it with `make model`");
    return EARSHOT_OK;
}
