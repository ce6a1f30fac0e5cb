/* clear QUEUE: what trigger_clear leaves in the set. */

#include <string.h>
#include <unistd.h>

#include "trigger.h"

int main(int argc, char **argv) {
    fd_set before, rfds;
    int nfds = 3;
    if (argc < 2 || chdir(argv[1]) == -1) return 100;
    FD_ZERO(&rfds);
    FD_SET(2, &rfds);
    before = rfds;
    trigger_set();
    trigger_selprep(&nfds, &rfds);
    if (nfds == 3 || !memcmp(&before, &rfds, sizeof rfds)) return 1; /* nothing was added */
    trigger_clear(&nfds, &rfds);
    if (nfds != 3 || memcmp(&before, &rfds, sizeof rfds)) return 2;
    trigger_clear(&nfds, &rfds);
    trigger_clear(0, 0);
    return nfds != 3;
}
