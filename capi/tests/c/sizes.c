/* The sizes of the public structures, as abi.txt has them. */

#include <stdio.h>

#include "pullcord.h"

int main(void) {
    printf("sizeof pullcord_stats %u\n", (unsigned)sizeof(pullcord_stats));
    return 0;
}
