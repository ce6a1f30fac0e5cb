/* Counts what is allocated, where the linker can put these in between (--wrap). */

#include <stdlib.h>

extern unsigned long allocations;

void *__real_malloc(size_t size);
void *__real_calloc(size_t number, size_t size);
void *__real_realloc(void *old, size_t size);
int __real_posix_memalign(void **where, size_t alignment, size_t size);

void *__wrap_malloc(size_t size) {
    ++allocations;
    return __real_malloc(size);
}

void *__wrap_calloc(size_t number, size_t size) {
    ++allocations;
    return __real_calloc(number, size);
}

void *__wrap_realloc(void *old, size_t size) {
    ++allocations;
    return __real_realloc(old, size);
}

int __wrap_posix_memalign(void **where, size_t alignment, size_t size) {
    ++allocations;
    return __real_posix_memalign(where, alignment, size);
}
