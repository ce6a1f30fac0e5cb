/* api QUEUE COUNT poll|select: takes that many entries out of a qmail queue, then does to the
   library all that must not harm it. */

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pullcord.h"

#define EXPECT(what)                                                                               \
    do {                                                                                           \
        if (!(what)) {                                                                             \
            fprintf(stderr, "%d: not so: %s; %s\n", __LINE__, #what, pullcord_last_error());       \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

/* The lowest free descriptor. */
static int lowest(void) {
    int fd = dup(0);
    close(fd);
    return fd;
}

static void wait_poll(pullcord_queue *queue) {
    struct pollfd fd = {pullcord_descriptor(queue), POLLIN, 0};
    int deadline = pullcord_prepare(queue);
    EXPECT(fd.fd >= 0 && deadline >= 0);
    EXPECT(poll(&fd, 1, deadline) >= 0 || errno == EINTR);
}

static void wait_select(pullcord_queue *queue) {
    fd_set rfds;
    struct timeval wait;
    int nfds = 0, deadline;
    FD_ZERO(&rfds);
    deadline = pullcord_prepare_select(queue, &nfds, &rfds);
    EXPECT(deadline >= 0);
    wait.tv_sec = deadline / 1000;
    wait.tv_usec = deadline % 1000 * 1000;
    EXPECT(select(nfds, &rfds, 0, 0, &wait) >= 0 || errno == EINTR);
}

static void abuse(pullcord_queue *closed, const char *path) {
    pullcord_queue *none[] = {0, closed, (pullcord_queue *)&closed};
    char buffer[8];
    int nfds = 0;
    fd_set rfds;
    size_t i;
    FD_ZERO(&rfds);
    for (i = 0; i < sizeof none / sizeof *none; ++i) {
        EXPECT(pullcord_close(none[i]) == -EBADF);
        EXPECT(pullcord_descriptor(none[i]) == -EBADF);
        EXPECT(pullcord_prepare(none[i]) == -EBADF);
        EXPECT(pullcord_prepare_select(none[i], &nfds, &rfds) == -EBADF);
        EXPECT(pullcord_next(none[i], buffer, sizeof buffer) == -EBADF);
        EXPECT(pullcord_requeue(none[i], path, 0) == -EBADF);
    }
    EXPECT(nfds == 0);
    EXPECT(strstr(pullcord_last_error(), "not open"));
    EXPECT(!pullcord_open(0, 0, 0) && strstr(pullcord_last_error(), "null"));
    EXPECT(!pullcord_open("/nonexistent", 0, 0) && strstr(pullcord_last_error(), "/nonexistent"));
    EXPECT(!pullcord_open(path, 7, 0) && strstr(pullcord_last_error(), "layout"));
    EXPECT(!pullcord_open(path, PULLCORD_WATCH_OFF | PULLCORD_WATCH_REQUIRED, 0));
    EXPECT(!pullcord_open(path, 1u << 31, 0));
}

int main(int argc, char **argv) {
    char path[PATH_MAX], again[PATH_MAX];
    int left, by_poll, free_before = lowest();
    pullcord_queue *queue;

    if (argc != 4) return 100;
    alarm(120); /* no test waits for ever */
    left = atoi(argv[2]);
    by_poll = !strcmp(argv[3], "poll");

    EXPECT(!*pullcord_last_error());
    queue = pullcord_open(argv[1], PULLCORD_QMAIL, 0);
    EXPECT(queue);
    EXPECT(!pullcord_open(argv[1], PULLCORD_QMAIL, 0)); /* it is read already, and that is said */
    EXPECT(strstr(pullcord_last_error(), "somebody reads it already"));
    EXPECT(pullcord_next(queue, 0, 0) == -EINVAL);
    EXPECT(pullcord_prepare_select(queue, 0, 0) == -EINVAL);
    EXPECT(pullcord_requeue(queue, 0, 0) == -EINVAL);
    EXPECT(pullcord_requeue(queue, "/etc/passwd", 0) == -EINVAL);
    puts("open");
    fflush(stdout);

    while (left) {
        int got;
        (by_poll ? wait_poll : wait_select)(queue);
        while ((got = pullcord_next(queue, path, 3)) == -ERANGE) {
            EXPECT(pullcord_next(queue, path, sizeof path) == 1);
            EXPECT(!strncmp(path, argv[1], strlen(argv[1])));
            EXPECT(unlink(path) == 0);
            --left;
        }
        EXPECT(got == 0);
    }

    EXPECT(pullcord_requeue(queue, path, 1) == 0);
    do
        (by_poll ? wait_poll : wait_select)(queue);
    while (pullcord_next(queue, again, sizeof again) != 1);
    EXPECT(!strcmp(path, again));

    EXPECT(pullcord_close(queue) == 0);
    abuse(queue, argv[1]);
    EXPECT(lowest() == free_before);
    return 0;
}
