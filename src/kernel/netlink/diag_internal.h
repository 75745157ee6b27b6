/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef KERNEL_NETLINK_DIAG_INTERNAL_H
#define KERNEL_NETLINK_DIAG_INTERNAL_H

#include "kernel/netlink/diag.h"
#include "kernel/netlink/netlink.h"

struct diag {
    struct nl nl;
};

/** One answer of sock_diag about an IP socket; false when it is none or not sound. */
bool diag_parse(const struct nlmsghdr *message, struct diag_socket *ret_socket);

struct inet_diag_msg;
/** What an answer of sock_diag begins with, or NULL when it is none. */
const struct inet_diag_msg *diag_payload(const struct nlmsghdr *message);
/** The far side of a connection: one over IPv4 may have an IPv6 socket. */
struct peer_addr diag_far_address(const struct inet_diag_msg *info);

#endif
