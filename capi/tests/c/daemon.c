/* daemon QUEUE: has closed descriptors 0 to 2 and opened nothing in their place, and logs each entry on
   standard error, without removing it for half a second. */

#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <time.h>
#include <unistd.h>

#include "pullcord.h"
#include <stdio.h>

static long elapsed(const struct timespec *start) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (now.tv_sec - start->tv_sec) * 1000 + (now.tv_nsec - start->tv_nsec) / 1000000;
}

int main(int argc, char **argv) {
    char path[PATH_MAX], report[32];
    int number, length, returned = 0, out = fcntl(1, F_DUPFD, 20);
    struct timespec start;
    pullcord_queue *queue;

    if (argc != 2) return 100;
    for (number = 0; number < 3; ++number) close(number);
    queue = pullcord_open(argv[1], PULLCORD_QMAIL | PULLCORD_WATCH_OFF, 0);
    if (!queue || pullcord_fd(queue) < 3) return 111;
    for (number = 0; number < 3; ++number)
        if (fcntl(number, F_GETFD) != -1) return 112;
    setvbuf(stderr, 0, _IONBF, 0);
    clock_gettime(CLOCK_MONOTONIC, &start);
    while (elapsed(&start) < 500)
        if (pullcord_recv(queue, path, sizeof path, 100) == 1) {
            ++returned;
            fprintf(stderr, "delivering %s\n", path);
        }
    if (pullcord_close(queue)) return 113;
    length = snprintf(report, sizeof report, "%d\n", returned);
    return write(out, report, length) != length;
}
