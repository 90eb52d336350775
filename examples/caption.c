/*
 * caption.c: the smallest program that uses libearshot.
 *
 *     cc caption.c $(pkg-config --cflags --libs earshot) -o caption
 */
#include <stdio.h>
#include <string.h>

#include <earshot.h>

int main(void)
{
    if (strcmp(earshot_version(), EARSHOT_VERSION) != 0) {
        fprintf(stderr, "header %s, library %s\n", EARSHOT_VERSION, earshot_version());
        return 1;
    }
    printf("libearshot %s\n", earshot_version());
    return 0;
}
