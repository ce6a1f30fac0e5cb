// The header in C++, and every function of it.
#include "pullcord.h"

#include <cstdio>

int main() {
    int nfds = 0;
    fd_set rfds;
    char path[8];
    FD_ZERO(&rfds);
    pullcord_queue *queue = pullcord_open(nullptr, PULLCORD_QMAIL, 0);
    bool refused = queue == nullptr && pullcord_descriptor(queue) < 0 && pullcord_prepare(queue) < 0 &&
                   pullcord_prepare_select(queue, &nfds, &rfds) < 0 &&
                   pullcord_next(queue, path, sizeof path) < 0 &&
                   pullcord_requeue(queue, "", 0) < 0 && pullcord_close(queue) < 0 &&
                   *pullcord_last_error();
    std::puts(pullcord_version());
    return refused ? 0 : 1;
}
