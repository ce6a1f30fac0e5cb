/* api QUEUE COUNT poll|select|edge: takes that many entries out of a qmail queue, and then makes every
   call that must do no harm. It waits with a timeout only to show that one
   warning ends one wait. */

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/epoll.h>
#endif

#include "expect.h"

static int fd, edges = -1;

/* The lowest free descriptor. */
static int lowest(void) {
    int free = dup(0);
    close(free);
    return free;
}

static void wait_poll(void) {
    struct pollfd readable = {fd, POLLIN, 0};
    EXPECT(poll(&readable, 1, -1) == 1);
}

static void wait_select(void) {
    fd_set rfds;
    FD_ZERO(&rfds);
    FD_SET(fd, &rfds);
    EXPECT(select(fd + 1, &rfds, 0, 0, 0) == 1);
}

/* Edge-triggered, where there is epoll. */
static void wait_edge(void) {
#ifdef __linux__
    struct epoll_event event = {EPOLLIN | EPOLLET, {0}};
    if (edges == -1) {
        EXPECT((edges = epoll_create1(0)) >= 0);
        EXPECT(epoll_ctl(edges, EPOLL_CTL_ADD, fd, &event) == 0);
    }
    EXPECT(epoll_wait(edges, &event, 1, -1) == 1);
#else
    wait_poll();
#endif
}

static void *wake(void *queue) {
    struct timespec delay = {0, 20 * 1000 * 1000};
    nanosleep(&delay, 0);
    EXPECT(pullcord_wake(queue) == 0);
    return 0;
}

static void make_wrong_calls(pullcord_queue *closed, const char *path) {
    pullcord_queue *none[] = {0, closed, (pullcord_queue *)&closed};
    pullcord_stats stats;
    char buffer[8];
    size_t i;
    for (i = 0; i < sizeof none / sizeof *none; ++i) {
        EXPECT(pullcord_close(none[i]) == -EBADF);
        EXPECT(pullcord_fd(none[i]) == -EBADF);
        EXPECT(pullcord_next(none[i], buffer, sizeof buffer) == -EBADF);
        EXPECT(pullcord_next_warning(none[i], buffer, sizeof buffer) == -EBADF);
        EXPECT(pullcord_recv(none[i], buffer, sizeof buffer, -1) == -EBADF);
        EXPECT(pullcord_requeue(none[i], path, 0) == -EBADF);
        EXPECT(pullcord_get_stats(none[i], &stats, sizeof stats) == -EBADF);
        EXPECT(pullcord_wake(none[i]) == -EBADF);
    }
    EXPECT(strstr(last_error(), "not open"));
    EXPECT(!pullcord_open(0, 0, 0) && strstr(last_error(), "null"));
    EXPECT(!pullcord_open("/nonexistent", 0, 0) && strstr(last_error(), "/nonexistent"));
    EXPECT(!pullcord_open(path, 7, 0) && strstr(last_error(), "layout"));
    EXPECT(!pullcord_open(path, PULLCORD_WATCH_OFF | PULLCORD_WATCH_REQUIRED, 0));
    EXPECT(!pullcord_open(path, 1u << 31, 0));
    EXPECT(pullcord_pull(0) == -EINVAL && pullcord_pull("/nonexistent") == -ENOENT);
    EXPECT(pullcord_pull("/etc/passwd") == -EINVAL && strstr(last_error(), "/etc/passwd"));
    EXPECT(pullcord_last_error(0, 8) == -EINVAL && pullcord_last_error(buffer, 0) == -EINVAL);
    EXPECT(pullcord_last_error(buffer, sizeof buffer) == 1 && strlen(buffer) == sizeof buffer - 1);
    EXPECT(!strncmp(last_error(), buffer, strlen(buffer)));
}

int main(int argc, char **argv) {
    char path[PATH_MAX], again[PATH_MAX], trigger[PATH_MAX], short_text[20];
    int left, free_before = lowest();
    void (*wait)(void);
    pullcord_queue *queue;
    pullcord_stats stats;
    pthread_t thread;

    if (argc != 4) return 100;
    alarm(120); /* no test runs longer */
    left = atoi(argv[2]);
    wait = !strcmp(argv[3], "poll") ? wait_poll : !strcmp(argv[3], "edge") ? wait_edge : wait_select;

    EXPECT(pullcord_last_error(again, sizeof again) == 0 && !*again);
    queue = pullcord_open(argv[1], PULLCORD_QMAIL, 0);
    EXPECT(queue);
    EXPECT((fd = pullcord_fd(queue)) >= 0);
    EXPECT(!pullcord_open(argv[1], PULLCORD_QMAIL, 0)); /* it has a reader */
    EXPECT(strstr(last_error(), "lock/trigger"));
    EXPECT(pullcord_next(queue, 0, 0) == -EINVAL);
    EXPECT(pullcord_recv(queue, 0, 0, -1) == -EINVAL);
    EXPECT(pullcord_get_stats(queue, 0, sizeof stats) == -EINVAL);
    EXPECT(pullcord_next_warning(queue, 0, 8) == -EINVAL);
    EXPECT(pullcord_next_warning(queue, path, 0) == -EINVAL);
    EXPECT(pullcord_requeue(queue, 0, 0) == -EINVAL);
    EXPECT(pullcord_requeue(queue, "/", 0) == -EINVAL);
    EXPECT(pullcord_requeue(queue, "/etc/passwd", 0) == -EINVAL);
    puts("open");
    fflush(stdout);

    *path = 0;
    while (left) {
        int got;
        wait();
        while ((got = pullcord_next(queue, again, 3)) == -ERANGE) {
            if (*path) EXPECT(unlink(path) == 0);
            EXPECT(pullcord_next(queue, path, sizeof path) == 1);
            EXPECT(!strncmp(path, argv[1], strlen(argv[1])));
            --left;
        }
        EXPECT(got == 0);
        EXPECT(pullcord_next_warning(queue, again, sizeof again) == 0);
    }

    /* The last entry was not removed. */
    EXPECT(pullcord_requeue(queue, path, 100) == 0);
    do
        wait();
    while (pullcord_next(queue, again, sizeof again) != 1);
    EXPECT(!strcmp(path, again));
    EXPECT(unlink(path) == 0);
    EXPECT(pullcord_requeue(queue, path, 0) == 0);
    while (pullcord_next(queue, again, sizeof again) == 1)
        ;

    EXPECT(pthread_create(&thread, 0, wake, queue) == 0);
    wait();
    EXPECT(pullcord_next(queue, again, sizeof again) == 0);
    EXPECT(pthread_join(thread, 0) == 0);

    EXPECT(pullcord_get_stats(queue, &stats, sizeof stats) == 0);
    EXPECT(stats.scan_entries + stats.watch_entries == strtoul(argv[2], 0, 10));
    EXPECT(stats.requeued_entries == 2);
    EXPECT(stats.directories == 1);

    /* pullcord_wake ends the next pullcord_recv, too. */
    EXPECT(pullcord_recv(queue, again, sizeof again, -1) == 0);

    /* A verification reports that the trigger is gone, within 10 s. */
    snprintf(trigger, sizeof trigger, "%s/lock/trigger", argv[1]);
    EXPECT(unlink(trigger) == 0);
    if (wait == wait_poll) {
        /* A wait without a timeout ends for it, and the next wait does not. */
        EXPECT(pullcord_recv(queue, again, sizeof again, -1) == 0);
        EXPECT(pullcord_recv(queue, again, sizeof again, 50) == 0);
        EXPECT(pullcord_next_warning(queue, short_text, sizeof short_text) == 1);
    } else {
        do {
            wait();
            while (pullcord_next(queue, again, sizeof again) == 1)
                ;
        } while (!pullcord_next_warning(queue, short_text, sizeof short_text));
    }
    EXPECT(strlen(short_text) == sizeof short_text - 1);
    EXPECT(!strncmp(short_text, trigger, strlen(short_text)));

    EXPECT(pullcord_close(queue) == 0);
    make_wrong_calls(queue, argv[1]);
    if (edges != -1) close(edges);
    EXPECT(lowest() == free_before);
    return 0;
}
