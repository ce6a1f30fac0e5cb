/*
 * pullcord: learn of new mail at once, at no cost while none comes, and without losing any.
 *
 * Made by cbindgen from the Rust source: change that, not this.
 */

#ifndef PULLCORD_H
#define PULLCORD_H

#include <stddef.h>
#include <stdint.h>
#include <sys/select.h>

/**
 * A qmail queue directory: `lock/trigger`, and `todo`, flat or split. The default.
 */
#define PULLCORD_QMAIL 0

/**
 * Postfix's queue directory: the FIFO `public/pickup`, and `maildrop`.
 */
#define PULLCORD_POSTFIX 1

/**
 * One directory whose entries arrive complete, by link or rename; no trigger.
 */
#define PULLCORD_DIRECTORY 2

/**
 * Do not watch the directories: every pull scans.
 */
#define PULLCORD_WATCH_OFF 16

/**
 * Refuse to open a queue that cannot be watched.
 */
#define PULLCORD_WATCH_REQUIRED 32

/**
 * Read the trigger even if somebody else does: each pull then goes to one of the two.
 */
#define PULLCORD_SHARE 64

/**
 * Do not open the trigger: for who only looks on.
 */
#define PULLCORD_NO_TRIGGER 128

/**
 * An open queue. Not to be looked into.
 *
 * A null pointer, and one to a queue that was closed, do no harm to any function here: it returns
 * -EBADF. Any thread may use any queue; calls on the same one wait for each other.
 */
typedef struct pullcord_queue pullcord_queue;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * Opens a queue.
 *
 * path: the queue's directory, absolute, or as seen from the current directory for as long as the
 * queue is open.
 * options: the constants above, or-ed; 0 for a qmail queue.
 * tick: how often everything is scanned for safety's sake, in seconds; 0 for 1500.
 *
 * The variable PULLCORD_BACKEND may name what the descriptors are waited for with: epoll, kqueue or
 * select; the best if it is not set.
 *
 * Returns the queue, or null: see pullcord_last_error. Close it with pullcord_close. Its
 * descriptors are closed by exec; a child of fork must not use it.
 */
struct pullcord_queue *pullcord_open(const char *path, uint32_t options, uint32_t tick);

/**
 * The one descriptor to wait for: readable when pullcord_next may have something.
 *
 * For poll, select, epoll and kqueue, for reading, level-triggered. It stays the same until the
 * queue is closed, and is not to be read from, nor closed.
 *
 * Returns the descriptor; -EBADF; -ENOTSUP where the system has neither epoll nor kqueue: there,
 * use pullcord_prepare_select.
 */
int pullcord_descriptor(struct pullcord_queue *queue);

/**
 * Begins a turn: to be called before each wait.
 *
 * Returns the deadline: how many milliseconds to wait at most, in poll's way; 0 when there is work
 * at once. Or a negative errno: -EBADF, or that of epoll_ctl or kevent, after which it may be
 * called again.
 */
int pullcord_prepare(struct pullcord_queue *queue);

/**
 * As pullcord_prepare, for a loop around select, on every system: puts what is to be waited for into
 * the set, and raises nfds to its highest descriptor plus one.
 *
 * Returns what pullcord_prepare does; besides, -EINVAL for a null pointer, and -EMFILE for a
 * descriptor that does not fit into a set.
 */
int pullcord_prepare_select(struct pullcord_queue *queue,
                            int *nfds,
                            fd_set *rfds);

/**
 * The next entry: its path, which begins with that of the queue, and a NUL byte.
 *
 * buffer: where to put it. size: the bytes there; PATH_MAX is enough.
 *
 * To be called after each wait until it returns 0, whatever the wait has found; each call does a
 * bounded amount of work. An entry is handed out at least once; remove it when it is dealt with.
 *
 * Returns 1: an entry. 0: no more in this turn. Or a negative errno: -ERANGE, the buffer is too
 * small, and the same entry comes again; -EINVAL, it is a null pointer; -EBADF. Any other says what
 * went wrong with the queue, once: go on, nothing is lost by it.
 */
int pullcord_next(struct pullcord_queue *queue, char *buffer, size_t size);

/**
 * Has an entry handed out again: for what could not be dealt with now.
 *
 * path: as pullcord_next gave it. delay: in milliseconds.
 *
 * Returns 0; -EINVAL if it is not of an entry in this queue; -EBADF.
 */
int pullcord_requeue(struct pullcord_queue *queue, const char *path, uint32_t delay);

/**
 * Closes a queue and its descriptors. What it has handed out is the caller's to deal with.
 *
 * Returns 0; -EBADF if it is closed already, or null.
 */
int pullcord_close(struct pullcord_queue *queue);

/**
 * What went wrong last in this thread, in one line without a line feed; "" if nothing has. Never
 * null. Good until the next function here that fails in this thread, or the thread's end.
 */
const char *pullcord_last_error(void);

/**
 * The library's version, such as "0.1.0". Good for ever.
 */
const char *pullcord_version(void);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* PULLCORD_H */
