/* installed QUEUE: what a program needs that is compiled against the installed library. */

#include <pullcord.h>

#include <stdio.h>

int main(int argc, char **argv) {
    pullcord_queue *queue;
    if (argc != 2) return 100;
    queue = pullcord_open(argv[1], PULLCORD_QMAIL, 0);
    if (!queue || pullcord_close(queue)) return 1;
    puts(pullcord_version());
    return 0;
}
