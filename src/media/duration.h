/*
 * duration.h: how long a file lasts, and whether its header can be believed.  Internal to
 * src/media.
 */
#ifndef EARSHOT_MEDIA_DURATION_H
#define EARSHOT_MEDIA_DURATION_H

#include "media/source.h"

/*
 * Sets duration_s and duration_is_estimate of *info, whose stream fields are set.  zero_s is the
 * file's zero on the container's clock.  Does not move `source`; may open the place once more.
 */
enum earshot_status duration_find(const struct media_place *place, const struct source *source,
                                  struct media_info *info, double zero_s,
                                  struct earshot_error *error);

#endif
