/* What the test programs share: a condition that must hold, and the text of the last error. */

#include <stdio.h>
#include <stdlib.h>

#include "pullcord.h"

#define EXPECT(condition)                                                                          \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: not true: %s; the last error: %s\n", __FILE__, __LINE__,       \
                    #condition, last_error());                                                     \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

static const char *last_error(void) {
    static char text[1024];
    if (pullcord_last_error(text, sizeof text) < 0) abort();
    return text;
}
