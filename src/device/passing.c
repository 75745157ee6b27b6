/* SPDX-License-Identifier: BSD-3-Clause */
#include "device/passing.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

struct passing_kept {
    struct passing_kept *next;
    struct passing_inbox inbox;
    size_t len;
    uint8_t bytes[];
};

void passing_init(struct passing *passing)
{
    passing->first = NULL;
    passing->last = &passing->first;
}

void passing_done(struct passing *passing)
{
    for (struct passing_kept *kept; (kept = passing->first);) {
        passing->first = kept->next;
        free(kept);
    }
    passing->last = &passing->first;
}

static void count(const struct passing_inbox *inbox, int change)
{
    if (inbox->waiting && change > 0)
        atomic_fetch_add_explicit(inbox->waiting, 1, memory_order_release);
    else if (inbox->waiting)
        atomic_fetch_sub_explicit(inbox->waiting, 1, memory_order_release);
}

/* Counted first, so that its reader never counts below zero. */
static bool has_room(const struct passing_inbox *inbox, const struct iovec *parts, size_t parts_count)
{
    const struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)parts,
                                   .msg_iovlen = parts_count};
    ssize_t done;

    count(inbox, 1);
    do
        done = sendmsg(inbox->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (done < 0 && errno == EINTR);
    if (done >= 0)
        return true;
    const bool full = errno == EAGAIN;
    count(inbox, -1);
    return !full;
}

static int keep(struct passing *passing, const struct passing_inbox *inbox, const struct iovec *parts,
                size_t count)
{
    size_t len = 0;

    for (size_t i = 0; i < count; i++)
        len += parts[i].iov_len;
    struct passing_kept *kept = malloc(sizeof(*kept) + len);
    if (!kept)
        return -ENOMEM;
    *kept = (struct passing_kept){.inbox = *inbox};
    for (size_t i = 0; i < count; i++) {
        if (parts[i].iov_len)
            memcpy(kept->bytes + kept->len, parts[i].iov_base, parts[i].iov_len);
        kept->len += parts[i].iov_len;
    }
    *passing->last = kept;
    passing->last = &kept->next;
    return 0;
}

int passing_send(struct passing *passing, const struct passing_inbox *inbox,
                 const struct iovec *parts, size_t count)
{
    if (!passing->first && has_room(inbox, parts, count))
        return 0;
    return keep(passing, inbox, parts, count);
}

bool passing_again(struct passing *passing)
{
    for (struct passing_kept *kept; (kept = passing->first);) {
        const struct iovec part = {kept->bytes, kept->len};
        if (!has_room(&kept->inbox, &part, 1))
            return false;
        passing->first = kept->next;
        free(kept);
    }
    passing->last = &passing->first;
    return true;
}
