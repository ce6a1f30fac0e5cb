/* A select loop of the shape that qmail-send's has, around whichever trigger it is linked with.
   loop QUEUE [crowded]: on each byte of standard input it reports, at its end it ends. */

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

/* One entry a turn; 1 if there was something to do. */
static int todo_do(fd_set *rfds) {
    struct dirent *entry;
    char path[300];

    if (!todo) {
        if (!trigger_pulled(rfds) && time(0) < next_scan) return 0;
        trigger_set();
        if (!(todo = opendir("todo"))) exit(111);
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
    if (argc > 2 && !strcmp(argv[2], "crowded")) crowd();
    setvbuf(stdout, 0, _IONBF, 0);
    alarm(120); /* no test waits for ever */
    trigger_set();
    for (;;) {
        fd_set rfds;
        struct timeval wait = {0, 0};
        int nfds = 1, ready, ordered;

        FD_ZERO(&rfds);
        FD_SET(0, &rfds);
        trigger_selprep(&nfds, &rfds);
        if (!todo && time(0) < next_scan) wait.tv_sec = next_scan - time(0) + 1;
        ready = select(nfds, &rfds, 0, 0, &wait);
        if (ready == -1) {
            if (errno == EINTR) continue;
            return 111;
        }
        ordered = FD_ISSET(0, &rfds);
        turns += ready > ordered;
        idle += !todo_do(&rfds) && ready > ordered;
        if (ordered) {
            char order, report[120];
            int length;
            if (read(0, &order, 1) != 1) return 0;
            length = snprintf(report, sizeof report, "%lu %lu %lu %lu %lu\n", turns, scans, idle,
                              messages, allocations);
            if (write(1, report, length) != length) return 111;
        }
    }
}
