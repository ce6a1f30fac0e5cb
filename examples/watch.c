/* Prints the path of each message that comes into a qmail queue, by the C API.

   cc -o watch watch.c $(pkg-config --cflags --libs pullcord)
   ./watch /var/qmail/queue */

#include <limits.h>
#include <poll.h>
#include <stdio.h>

#include <pullcord.h>

int main(int argc, char **argv) {
    char path[PATH_MAX], text[1024];
    struct pollfd readable = {-1, POLLIN, 0};
    pullcord_queue *queue;

    if (argc != 2) return fprintf(stderr, "usage: watch QUEUE\n"), 100;
    queue = pullcord_open(argv[1], PULLCORD_QMAIL | PULLCORD_NO_TRIGGER, 0);
    if (!queue) {
        pullcord_last_error(text, sizeof text);
        return fprintf(stderr, "watch: %s\n", text), 111;
    }
    readable.fd = pullcord_fd(queue);
    for (;;) {
        if (poll(&readable, 1, -1) == -1) continue; /* a signal */
        while (pullcord_next(queue, path, sizeof path) == 1) puts(path);
        while (pullcord_next_warning(queue, text, sizeof text) == 1)
            fprintf(stderr, "watch: %s\n", text);
        fflush(stdout);
    }
}
