// The header in C++, and every function of it.
#include "pullcord.h"

#include <cstdio>

int main() {
    char text[8];
    pullcord_stats stats;
    pullcord_queue *queue = pullcord_open(nullptr, PULLCORD_QMAIL, 0);
    bool failed = queue == nullptr && pullcord_fd(queue) < 0 &&
                  pullcord_next(queue, text, sizeof text) < 0 &&
                  pullcord_recv(queue, text, sizeof text, 0) < 0 &&
                  pullcord_next_warning(queue, text, sizeof text) < 0 &&
                  pullcord_requeue(queue, "", 0) < 0 && pullcord_wake(queue) < 0 &&
                  pullcord_get_stats(queue, &stats, sizeof stats) < 0 &&
                  pullcord_close(queue) < 0 && pullcord_pull(nullptr) < 0 &&
                  pullcord_last_error(text, sizeof text) == 1;
    std::puts(pullcord_version());
    return failed ? 0 : 1;
}
