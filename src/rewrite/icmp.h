/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef REWRITE_ICMP_H
#define REWRITE_ICMP_H

#include <stdbool.h>
#include <stdint.h>

enum {
    ICMP4_ECHO_REPLY = 0,
    ICMP4_UNREACHABLE = 3,
    ICMP4_SOURCE_QUENCH = 4,
    ICMP4_REDIRECT = 5,
    ICMP4_ECHO = 8,
    ICMP4_TIME_EXCEEDED = 11,
    ICMP4_PARAMETER = 12,
    ICMP6_UNREACHABLE = 1,
    ICMP6_TOO_BIG = 2,
    ICMP6_PARAMETER = 4,
    ICMP6_FIRST_INFORMATION = 128, /* below are the errors */
    ICMP6_ECHO = 128,
    ICMP6_ECHO_REPLY = 129,
};

/** Whether a message of this type quotes the packet that it is about. */
static inline bool icmp_is_error(uint8_t ip_version, uint8_t type)
{
    if (ip_version == 6)
        return type < ICMP6_FIRST_INFORMATION;
    return type == ICMP4_UNREACHABLE || type == ICMP4_SOURCE_QUENCH || type == ICMP4_REDIRECT ||
           type == ICMP4_TIME_EXCEEDED || type == ICMP4_PARAMETER;
}

#endif
