/* The interface between a queue manager and its trigger. */
#include <sys/select.h>

void trigger_set(void);
void trigger_selprep(int *nfds, fd_set *rfds);
int trigger_pulled(fd_set *rfds);
void trigger_clear(int *nfds, fd_set *rfds); /* indimail */
void triggerpull(void);
