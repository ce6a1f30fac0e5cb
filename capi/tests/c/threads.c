/* threads QUEUE: a thread waits in pullcord_recv, or calls without end, while another one uses and closes
   the queue. */

#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "expect.h"

enum { CLOSES = 1500 };

static pullcord_queue *queue;
static char entry[PATH_MAX], got[PATH_MAX];
/* Without a watch: to close an inotify descriptor takes Linux some milliseconds. */
static void open_again(const char *path) {
    pullcord_queue *opened = pullcord_open(path, PULLCORD_QMAIL | PULLCORD_WATCH_OFF, 0);
    EXPECT(opened); /* busy, if the old one were still open */
    __atomic_store_n(&queue, opened, __ATOMIC_RELEASE);
}

static void *receive(void *result) {
    *(int *)result = pullcord_recv(queue, got, sizeof got, -1);
    return 0;
}

/* Until the queue is gone for good. */
static void *call_without_end(void *done) {
    char path[PATH_MAX];
    pullcord_stats stats;
    int waits = 0;
    while (!__atomic_load_n((int *)done, __ATOMIC_ACQUIRE)) {
        pullcord_queue *now = __atomic_load_n(&queue, __ATOMIC_ACQUIRE);
        pullcord_next(now, path, sizeof path);
        pullcord_get_stats(now, &stats, sizeof stats);
        pullcord_recv(now, path, sizeof path, ++waits % 3);
    }
    return 0;
}

static void on_signal(int number) { (void)number; }

/* Waits until the thread sleeps in poll: the queue can be used then, and that is all that can be seen. */
static void use_while_it_waits(void) {
    pullcord_stats stats;
    int i;
    for (i = 0; i < 20; ++i) {
        EXPECT(pullcord_get_stats(queue, &stats, sizeof stats) == 0);
        poll(0, 0, 1);
    }
}

int main(int argc, char **argv) {
    struct sigaction action;
    pthread_t thread, others[2];
    int result, i, done = 0;

    if (argc != 2) return 100;
    alarm(120); /* no test runs longer */
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    action.sa_flags = SA_RESTART;
    EXPECT(sigaction(SIGUSR1, &action, 0) == 0);
    open_again(argv[1]);

    /* A timeout, and none. */
    EXPECT(pullcord_recv(queue, got, sizeof got, 0) == 0);
    EXPECT(pullcord_recv(queue, got, sizeof got, 20) == 0);
    snprintf(entry, sizeof entry, "%s/todo/entry", argv[1]);
    fclose(fopen(entry, "w"));
    snprintf(got, sizeof got, "%s/lock/trigger", argv[1]);
    EXPECT(pullcord_pull(got) == PULLCORD_DELIVERED);
    EXPECT(pullcord_recv(queue, got, sizeof got, INT_MAX) == 1 && strstr(got, "/todo/entry"));
    EXPECT(pullcord_recv(queue, got, sizeof got, 0) == 0);

    /* A wake before the wait ends the next one, once. */
    EXPECT(pullcord_wake(queue) == 0);
    EXPECT(pullcord_recv(queue, got, sizeof got, -1) == 0);

    /* What another thread requeues is returned by the wait. */
    EXPECT(pthread_create(&thread, 0, receive, &result) == 0);
    use_while_it_waits();
    *got = 0;
    EXPECT(pullcord_requeue(queue, entry, 1) == 0);
    EXPECT(pthread_join(thread, 0) == 0);
    EXPECT(result == 1 && !strcmp(got, entry));

    /* Another thread's wake ends the wait, and so does a signal. */
    EXPECT(pthread_create(&thread, 0, receive, &result) == 0);
    use_while_it_waits();
    EXPECT(pullcord_wake(queue) == 0);
    EXPECT(pthread_join(thread, 0) == 0);
    EXPECT(result == 0);
    EXPECT(pthread_create(&thread, 0, receive, &result) == 0);
    for (i = 0; pthread_kill(thread, SIGUSR1) == 0 && i < 1000; ++i) {
        poll(0, 0, 1);
        if (__atomic_load_n(&result, __ATOMIC_ACQUIRE) == -EINTR) break;
    }
    EXPECT(pthread_join(thread, 0) == 0);
    EXPECT(result == -EINTR);

    /* Another thread's close ends it too. */
    EXPECT(pthread_create(&thread, 0, receive, &result) == 0);
    use_while_it_waits();
    EXPECT(pullcord_close(queue) == 0);
    EXPECT(pthread_join(thread, 0) == 0);
    EXPECT(result == -EBADF);

    /* After a close everything is closed, whatever other threads do. */
    open_again(argv[1]);
    for (i = 0; i < 2; ++i) EXPECT(pthread_create(&others[i], 0, call_without_end, &done) == 0);
    for (i = 0; i < CLOSES; ++i) {
        EXPECT(pullcord_close(queue) == 0);
        open_again(argv[1]);
    }
    __atomic_store_n(&done, 1, __ATOMIC_RELEASE);
    for (i = 0; i < 2; ++i) EXPECT(pthread_join(others[i], 0) == 0);
    EXPECT(pullcord_close(queue) == 0);
    EXPECT(unlink(entry) == 0);
    return 0;
}
