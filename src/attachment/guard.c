/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The guardian of an attachment, once more: somebody may kill it, and what it has to do is still to
 * come. It is forked in the device's namespace, by a helper where that is not ours, or by the
 * monitor once this process may not.
 */
#include "attachment/internal.h"

#include "attachment/attach.h"

#include <assert.h>
#include <string.h>

int guard_list_fds(const struct attachment *attachment, int ret_fds[CHILD_FDS_MAX])
{
    static_assert((int)WIRE_FDS <= (int)CHILD_FDS_MAX, "one message carries them");

    if (!attachment->card.ifindex) { /* one queue is enough to keep the device */
        ret_fds[0] = attachment->queues[0];
        return 1;
    }
    memcpy(ret_fds, attachment->wire.fds, sizeof(attachment->wire.fds));
    return attachment->wire.fd_count;
}

int guard_start_here(const struct attachment *attachment, const int *fds, struct guard *ret_guard,
                     struct peer_error *error)
{
    const struct wire_join join = {
        .card = &attachment->card, .peers = &attachment->peers, .first_mac = attachment->first_mac};
    struct wire_hold wire = attachment->wire;

    if (!attachment->card.ifindex)
        return attach_guard(attachment->device, attachment->ifindex, &attachment->peers, fds[0],
                            ret_guard, error);
    memcpy(wire.fds, fds, sizeof(*fds) * (size_t)wire.fd_count);
    return wire_guard_again(&wire, &join, ret_guard, error);
}

struct start {
    struct attachment *attachment;
    struct guard guard;
};

/* In a helper process. */
static int start_there(void *arg, struct netns_result *result)
{
    struct start *start = arg;
    int fds[CHILD_FDS_MAX];

    (void)guard_list_fds(start->attachment, fds);
    int status = guard_start_here(start->attachment, fds, &start->guard, &result->error);

    if (status == 0)
        result->fds[result->fd_count++] = start->guard.fd;
    return status;
}

int attachment_guard_again(struct attachment *attachment, struct guard *ret_guard,
                           struct peer_error *error)
{
    struct start start = {.attachment = attachment};
    const struct netns_errand errand = {.place = attachment->netns,
                                        .work = start_there,
                                        .arg = &start,
                                        .data = &start,
                                        .data_len = sizeof(start)};
    struct netns_result result = {0};
    int fds[CHILD_FDS_MAX];

    if (attachment->confined)
        return monitor_guard(attachment, ret_guard, error);
    if (attachment->netns.fd < 0) {
        (void)guard_list_fds(attachment, fds);
        return guard_start_here(attachment, fds, ret_guard, error);
    }
    int status = netns_run(&errand, &result, error);
    if (status == 0)
        *ret_guard = (struct guard){.fd = result.fds[0], .pid = start.guard.pid};
    return status;
}

struct guard *attachment_guard(struct attachment *attachment)
{
    return attachment->card.ifindex ? &attachment->wire.guard : &attachment->guard;
}
