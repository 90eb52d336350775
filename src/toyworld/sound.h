/* sound.h: the two sound sources.  Internal to toyworld/. */
#ifndef EARSHOT_TOYWORLD_SOUND_H
#define EARSHOT_TOYWORLD_SOUND_H

#include "toyworld/toyworld.h"

/* Both write buffer[0..count), at whatever level comes out; silence where the scene has none. */
void event_synthesise(const struct toyworld_scene *scene, double *buffer, int64_t count);
void speech_synthesise(const struct toyworld_scene *scene, double *buffer, int64_t count);

/* The code word of a spoken word: six digits 0 to 3 that differ from any other's in at least four.
 */
void speech_code(int word, int digits[6]);

#endif
