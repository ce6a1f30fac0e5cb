/* A trigger that is emptied by closing and re-opening it: what the relink takes the place of. */

#include <fcntl.h>
#include <unistd.h>

#include "trigger.h"

static int trigger = -1;

void trigger_set(void) {
    if (trigger != -1) close(trigger);
    trigger = open("lock/trigger", O_RDONLY | O_NONBLOCK);
}

void trigger_selprep(int *nfds, fd_set *rfds) {
    if (trigger == -1) return;
    FD_SET(trigger, rfds);
    if (*nfds <= trigger) *nfds = trigger + 1;
}

int trigger_pulled(fd_set *rfds) { return trigger != -1 && FD_ISSET(trigger, rfds); }
