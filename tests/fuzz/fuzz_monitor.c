/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is sent to the monitor, which has privileges, by the process that has none. It does nothing
 * but what it knows, starts no guardian without the descriptors that it is to hold, answers every
 * order, and keeps no descriptor.
 */
#include <fcntl.h>
#include <stdlib.h>

#include "attachment/attach.h"
#include "attachment/internal.h"
#include "fuzz/helper_messages.h"

/* What it would do to the machine. */
static int play_restore(struct standing *standing, struct peer_error *error);
static int play_link_set(struct rtnl *rtnl, int ifindex, const struct rtnl_link_change *change,
                         struct peer_error *error);
static int play_link_remove(struct rtnl *rtnl, int ifindex);
static int play_guard(const struct attachment *attachment, const int *fds, struct guard *ret_guard,
                      struct peer_error *error);
static void play_clear(const struct netns_isolated *isolated);
#define standing_restore    play_restore
#define rtnl_link_set       play_link_set
#define rtnl_link_remove    play_link_remove
#define guard_start_here    play_guard
#define netns_isolate_clear play_clear
#include "attachment/monitor.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { IFINDEX = 7, QUEUES = 1 };
static int null_fd = -1;

static int play_restore(struct standing *standing, struct peer_error *error)
{
    (void)standing;
    return error_set(error, PEER_ERROR_MACHINE, ENODEV, "played");
}

static int play_link_set(struct rtnl *rtnl, int ifindex, const struct rtnl_link_change *change,
                         struct peer_error *error)
{
    (void)rtnl;
    (void)error;
    if (ifindex != IFINDEX || !change->mac)
        abort();
    return 0;
}

static int play_link_remove(struct rtnl *rtnl, int ifindex)
{
    (void)rtnl;
    if (ifindex != IFINDEX)
        abort();
    return 0;
}

static int play_guard(const struct attachment *attachment, const int *fds, struct guard *ret_guard,
                      struct peer_error *error)
{
    (void)error;
    for (int i = 0; i < attachment->queue_count; i++) {
        if (fds[i] <= STDERR_FILENO || fcntl(fds[i], F_GETFD) < 0)
            abort();
    }
    *ret_guard = (struct guard){.fd = dup(null_fd), .pid = 1};
    return 0;
}

static void play_clear(const struct netns_isolated *isolated)
{
    (void)isolated;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct attachment attachment = {.ifindex = IFINDEX, .queue_count = QUEUES};
    struct monitor monitor = {.attachment = &attachment};

    if (null_fd < 0)
        null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    const int before = messages_open_descriptors();
    struct messages messages = {.data = data,
                                .len = len,
                                .whole = sizeof(struct order),
                                .words = MONITOR_REMOVE + 2, /* one that is no order */
                                .fd = null_fd};
    const int end = messages_send(&messages);
    serve(&monitor, end);
    for (int i = 0; i < monitor.fd_count; i++) /* it ends by what is no order, and they with it */
        (void)close(monitor.fds[i]);
    (void)close(end);
    if (messages_open_descriptors() != before)
        abort();
    return 0;
}
