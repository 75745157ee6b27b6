/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is left of a process that has confined itself: a child does it, reads /proc/self/status, and
 * sends what it found there. The file is opened before, as afterwards it could not be.
 */
#include "lib/doctor_internal.h"

#include "base/error.h"
#include "kernel/netns/child.h"
#include "kernel/observe/sysctl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { STATUS_BYTES = 8192 };

static uint64_t value_of(const char *text, const char *name, int base)
{
    const char *line = strstr(text, name);

    return line ? strtoull(line + strlen(name), NULL, base) : 0;
}

static void read_left(int fd, struct privileges_left *left)
{
    char text[STATUS_BYTES];

    if (proc_text(fd, text, sizeof(text)) < 0)
        return;
    left->uid = (uid_t)value_of(text, "\nUid:", 10);
    left->capabilities = value_of(text, "\nCapEff:", 16) | value_of(text, "\nCapPrm:", 16);
    left->no_new_privs = value_of(text, "\nNoNewPrivs:", 10) == 1;
    left->filtered = left->filtered && value_of(text, "\nSeccomp:", 10) == 2;
}

static _Noreturn void confine_and_tell(const struct peer_confine_config *config, int end)
{
    struct privileges_left left = {0};
    const struct iovec told = {&left, sizeof(left)};
    const int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);

    left.status = peer_confine(NULL, config, &left.error);
    left.filtered = left.status == 0;
    if (left.status >= 0)
        read_left(fd, &left);
    (void)child_send(end, &told, 1, NULL, 0);
    _exit(EXIT_SUCCESS);
}

int privileges_try(const struct peer_confine_config *config, struct privileges_left *ret_left,
                   struct peer_error *error)
{
    const struct iovec told = {ret_left, sizeof(*ret_left)};
    int ends[2];

    int status = child_pair(ends);
    if (status < 0)
        return error_set(error, PEER_ERROR_MACHINE, -status, "cannot try it: %s",
                         error_text(-status));
    const pid_t child = child_fork();
    if (child == 0)
        confine_and_tell(config, ends[1]);
    (void)close(ends[1]);
    const ssize_t len = child < 0 ? child : child_receive(ends[0], 0, &told, 1, NULL, NULL);
    (void)close(ends[0]);
    if (child > 0)
        (void)child_reap(child);
    if (len == (ssize_t)sizeof(*ret_left))
        return 0;
    return error_set(error, PEER_ERROR_MACHINE, len < 0 ? (int)-len : EIO, "cannot try it: %s",
                     len < 0 ? error_text((int)-len) : "the process that did was killed");
}
