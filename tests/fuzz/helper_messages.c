/* SPDX-License-Identifier: BSD-3-Clause */
#include "fuzz/helper_messages.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/macro.h"
#include "kernel/netns/child.h"

enum { FDS_TRIED = 64, RIGHT_BELOW = 192 };

/* A message at the input's place; false: the input is at its end. */
static bool take(struct messages *messages, uint8_t bytes[MESSAGE_BYTES], size_t *ret_len,
                 int *ret_fds)
{
    if (messages->len < 2)
        return false;
    *ret_len = messages->data[0] < RIGHT_BELOW ? messages->whole
                                               : (size_t)(messages->data[0] - RIGHT_BELOW);
    *ret_fds = messages->data[1] % (CHILD_FDS_MAX + 1);
    messages->data += 2;
    messages->len -= 2;
    const size_t there = MIN(*ret_len, messages->len);
    memset(bytes, 0, MESSAGE_BYTES);
    memcpy(bytes, messages->data, there);
    messages->data += there;
    messages->len -= there;
    if (messages->words) {
        const uint32_t word = bytes[0] % messages->words;
        memcpy(bytes, &word, sizeof(word));
    }
    return true;
}

int messages_send(struct messages *messages)
{
    uint8_t bytes[MESSAGE_BYTES];
    int ends[2], fds[CHILD_FDS_MAX], count;
    bool heard = true;
    size_t len;

    if (child_pair(ends) < 0)
        abort();
    for (int i = 0; i < CHILD_FDS_MAX; i++)
        fds[i] = messages->fd;
    for (int i = 0; i < MESSAGES_MAX && take(messages, bytes, &len, &count); i++) {
        const struct iovec part = {bytes, len};
        if (child_send(ends[0], &part, 1, fds, count) < 0)
            break;
        heard = heard && len > 0 && len <= messages->whole; /* or that was the end */
        if (heard && len == messages->whole)
            memcpy(messages->last, bytes, len);
    }
    (void)close(ends[0]);
    return ends[1];
}

int messages_open_descriptors(void)
{
    int count = 0;

    for (int fd = 0; fd < FDS_TRIED; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}
