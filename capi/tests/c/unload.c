/* unload LIBRARY: a thread that has called the library ends after dlclose(3), which does not unload it. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <pullcord.h>

static pthread_barrier_t called, closed;
static void *(*open_queue)(const char *, unsigned, unsigned);

static void *thread(void *unused) {
    (void)unused;
    /* Its error is kept for this thread until the thread ends. */
    if (open_queue("/nowhere/at/all", PULLCORD_QMAIL, 0)) return &called;
    pthread_barrier_wait(&called);
    pthread_barrier_wait(&closed);
    return NULL;
}

int main(int argc, char **argv) {
    pthread_t id;
    void *library, *failed;
    if (argc != 2) return 100;
    library = dlopen(argv[1], RTLD_NOW);
    if (!library) return fprintf(stderr, "%s\n", dlerror()), 1;
    *(void **)&open_queue = dlsym(library, "pullcord_open");
    if (!open_queue) return 2;
    pthread_barrier_init(&called, NULL, 2);
    pthread_barrier_init(&closed, NULL, 2);
    if (pthread_create(&id, NULL, thread, NULL)) return 3;
    pthread_barrier_wait(&called);
    if (dlclose(library)) return 4;
    pthread_barrier_wait(&closed);
    if (pthread_join(id, &failed) || failed) return 5;
    /* Nothing of it is needed any more, and it is still there. */
    library = dlopen(argv[1], RTLD_NOW);
    if (!library || dlclose(library)) return 6;
    if (!dlopen(argv[1], RTLD_NOW | RTLD_NOLOAD)) return 7;
    puts("ended");
    return 0;
}
