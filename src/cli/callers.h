/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CLI_CALLERS_H
#define CLI_CALLERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * Others on this machine who ask something while a command is at work: a few connections beside its
 * loop. Nobody is waited for. Of each caller a bounded number of bytes is kept; who is slow to ask or
 * to read is cut off, and when all places are taken the next one is.
 *
 * One epoll descriptor has them all, so that a loop which has nothing to do with them polls one
 * descriptor more.
 */
struct callers;
struct caller;

enum { CALLERS_MOST = 16, CALLER_IN_BYTES = 4096 };
#define CALLER_PATIENCE_NS (UINT64_C(5) * 1000000000)

/** What is done with those who call at one place. */
struct reception {
    /** What was said and not taken yet, 1 to CALLER_IN_BYTES bytes: returns how many are taken, 0 for
     *  more. What is not taken when there is no room for more ends the caller. */
    size_t (*hear)(void *user, struct caller *caller, const char *text, size_t len);
    bool stays;       /* may be silent for as long as he likes */
    size_t out_bytes; /* kept of what he does not read, at the most */
    void *user;
};

/** Before privileges go. NULL: errno. */
struct callers *callers_new(void);
/** Takes NULL, returns NULL. Listeners stay the caller's to close. */
struct callers *callers_free(struct callers *callers);
/** From now on whoever calls at a socket that listens; `reception` stays. 0 or -errno. */
int callers_listen(struct callers *callers, int fd, const struct reception *reception);
/** To be polled for POLLIN; then, and now and then, callers_work(). */
int callers_fd(const struct callers *callers);
void callers_work(struct callers *callers, uint64_t now_ns);

/** To a caller, from `hear`. What he has no room for ends him. */
void caller_say(struct caller *caller, const void *data, size_t len);
/** No more is heard of him; he is let go when he has read all. */
void caller_end(struct caller *caller);

#endif
