/* loop QUEUE [MODE]: a select loop like that of qmail-send, around the trigger that it is linked with.
   It reports on each byte of standard input, and ends at its end. A mode is a kind of queue manager:
     crowded  all descriptors that fit into an fd_set are in use
     twice    asks twice in a turn, and believes the second answer
     silent   does not ask for a second after a scan has begun
     failing  its first opendir after a pull fails
     closed   has closed its standard descriptors, and logs each scan on standard error */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <time.h>
#include <unistd.h>

#include "trigger.h"

enum { TICK = 1500 };

static int in = 0, out = 1;
static const char *mode = "";
static unsigned long turns, scans, idle, messages;
static DIR *todo;
static time_t next_scan;
unsigned long allocations;

/* Takes all descriptors that fit into an fd_set, so that those opened later do not. */
static void crowd(void) {
    struct rlimit limit = {FD_SETSIZE + 16, FD_SETSIZE + 16};
    if (setrlimit(RLIMIT_NOFILE, &limit) == -1) exit(111);
    while (dup(2) < FD_SETSIZE - 1)
        ;
}

static int is(const char *name) { return !strcmp(mode, name); }

static void close_standard_descriptors(void) {
    in = fcntl(0, F_DUPFD, 20);
    out = fcntl(1, F_DUPFD, 20);
    if (in == -1 || out == -1 || close(0) || close(1) || close(2)) exit(111);
}

static long milliseconds_since(const struct timespec *then) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (now.tv_sec - then->tv_sec) * 1000 + (now.tv_nsec - then->tv_nsec) / 1000000;
}

/* One entry a turn; 1 if there was something to do. */
static int todo_do(fd_set *rfds) {
    static struct timespec scanned;
    static int has_failed;
    struct dirent *entry;
    char path[300];

    if (!todo) {
        if (is("silent") && scans && milliseconds_since(&scanned) < 1000) return 0;
        if (is("twice")) trigger_pulled(rfds);
        if (!trigger_pulled(rfds) && time(0) < next_scan) return 0;
        trigger_set();
        if (is("failing") && scans && !has_failed) return has_failed = 1;
        if (!(todo = opendir("todo"))) exit(111);
        clock_gettime(CLOCK_MONOTONIC, &scanned);
        if (is("closed") && write(2, "scan\n", 5) != -1) exit(112);
        next_scan = time(0) + TICK;
        ++scans;
    }
    if (!(entry = readdir(todo))) {
        closedir(todo);
        todo = 0;
    } else if (*entry->d_name != '.') {
        snprintf(path, sizeof path, "todo/%s", entry->d_name);
        if (unlink(path) == -1) exit(111);
        ++messages;
    }
    return 1;
}

int main(int argc, char **argv) {
    if (argc < 2 || chdir(argv[1]) == -1) return 100;
    if (argc > 2) mode = argv[2];
    if (is("crowded")) crowd();
    if (is("closed")) close_standard_descriptors();
    alarm(120); /* no test waits for ever */
    trigger_set();
    for (;;) {
        fd_set rfds;
        struct timeval wait = {0, 0};
        int nfds = in + 1, ready, ordered;

        FD_ZERO(&rfds);
        FD_SET(in, &rfds);
        trigger_selprep(&nfds, &rfds);
        if (!todo && time(0) < next_scan) wait.tv_sec = next_scan - time(0) + 1;
        ready = select(nfds, &rfds, 0, 0, &wait);
        if (ready == -1) {
            if (errno == EINTR) continue;
            return 111;
        }
        ordered = FD_ISSET(in, &rfds);
        turns += ready > ordered;
        idle += !todo_do(&rfds) && ready > ordered;
        if (ordered) {
            char order, report[120];
            int length;
            if (read(in, &order, 1) != 1) return 0;
            length = snprintf(report, sizeof report, "%lu %lu %lu %lu %lu\n", turns, scans, idle,
                              messages, allocations);
            if (write(out, report, length) != length) return 111;
        }
    }
}
