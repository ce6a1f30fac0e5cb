/* pull QUEUE: what the end of qmail-queue does, SIGPIPE as it is by default. */

#include <unistd.h>

#include "trigger.h"

int main(int argc, char **argv) {
    if (argc < 2 || chdir(argv[1]) == -1) return 100;
    triggerpull();
    return 0;
}
