/*
 * probe.h: what a struct media consists of, and how it is filled from a place.  Internal to
 * src/media.
 */
#ifndef EARSHOT_MEDIA_PROBE_H
#define EARSHOT_MEDIA_PROBE_H

#include "media/frames.h"
#include "media/sound.h"

struct media {
    struct media_place place;
    struct media_info info;
    struct frames frames;
    struct sound sound;
};

/* Fills info, frames and sound of a media whose place is open and whose rest is zero.  Fails as
 * media_open does. */
enum earshot_status probe_open(struct media *media, struct earshot_error *error);

#endif
