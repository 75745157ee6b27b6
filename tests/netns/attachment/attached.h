/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef ATTACHED_H
#define ATTACHED_H

/* An attachment in a namespace of the test's own, and a program that listens there. No engine. */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "attachment/attachment.h"
#include "support/netns.h"

#define ATTACHED_PEER  "198.18.0.9"
#define ATTACHED_LOCAL "192.0.2.1"

static inline struct peer_addr attached_addr(const char *text)
{
    struct peer_addr addr;

    assert_int_equal(peer_addr_parse(text, &addr), 0);
    return addr;
}

static inline void attach(struct attachment *attachment)
{
    const struct peer_net_config config = {
        .from = ATTACHED_PEER, .local = ATTACHED_LOCAL "/24", .seed = 7};
    struct peer_error error = {0};
    struct attach_plan plan;

    attachment_init(attachment);
    if (attach_plan(&config, &plan, &error) < 0 || attachment_make(attachment, &plan, &error) < 0)
        fail_msg("%s", error.text);
    attach_plan_done(&plan);
}

/** A datagram socket on the local side, and its port. */
static inline int attached_socket(uint16_t *ret_port)
{
    struct sockaddr_in addr = {.sin_family = AF_INET};
    socklen_t len = sizeof(addr);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    assert_int_equal(inet_pton(AF_INET, ATTACHED_LOCAL, &addr.sin_addr), 1);
    assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
    *ret_port = ntohs(addr.sin_port);
    return fd;
}

#endif
