/* SPDX-License-Identifier: BSD-3-Clause */
/* Lines for a person about what happens to this machine meanwhile. */
#include "lib/internal.h"

#include <stdarg.h>
#include <stdio.h>

void notice_add(struct peer_net *net, const char *format, ...)
{
    struct notices *notices = &net->notices;
    va_list arguments;

    if (notices->count == ARRAY_SIZE(notices->lines))
        return; /* nobody takes them */
    va_start(arguments, format);
    (void)vsnprintf(
        notices->lines[(notices->first + notices->count++) % ARRAY_SIZE(notices->lines)],
        sizeof(notices->lines[0]), format, arguments);
    va_end(arguments);
}

const char *peer_net_pop_notice(struct peer_net *net)
{
    if (!net_is_ours(net))
        return NULL;
    struct notices *notices = &net->notices;

    if (!notices->count)
        return NULL;
    notices->count--;
    return notices->lines[notices->first++ % ARRAY_SIZE(notices->lines)];
}
