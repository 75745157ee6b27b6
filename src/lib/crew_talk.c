/* SPDX-License-Identifier: BSD-3-Clause */
/* Words between a coordinator and its workers. Both are of one program: they are structs as they are. */
#include "lib/crew.h"

#include "kernel/netns/child.h"

int crew_send(int control, const struct crew_message *message, const void *data, size_t len)
{
    const struct iovec parts[] = {{(void *)(uintptr_t)message, sizeof(*message)},
                                  {(void *)(uintptr_t)data, len}};

    return child_send(control, parts, len ? 2 : 1, NULL, 0);
}

ssize_t crew_receive(int control, int flags, struct crew_message *message, void *data)
{
    const struct iovec parts[] = {{message, sizeof(*message)}, {data, CREW_PIECE}};
    const ssize_t len = child_receive(control, flags, parts, 2, NULL, NULL);

    if (len <= 0)
        return len == 0 ? -EPIPE : len;
    return len < (ssize_t)sizeof(*message) ? -EBADMSG : len - (ssize_t)sizeof(*message);
}
