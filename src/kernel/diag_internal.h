/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef KERNEL_DIAG_INTERNAL_H
#define KERNEL_DIAG_INTERNAL_H

#include "kernel/diag.h"
#include "kernel/netlink.h"

/** One answer of sock_diag about an IP socket; false when it is none or not sound. */
bool diag_parse(const struct nlmsghdr *message, struct diag_socket *ret_socket);

#endif
