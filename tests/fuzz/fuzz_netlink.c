/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The input is a datagram of netlink messages, as the kernel would send it. Every message goes
 * through every parser, since a parser has to find out itself what a message is.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/netlink/diag_internal.h"
#include "kernel/netlink/rtnl_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void parse_all(const struct nlmsghdr *message)
{
    struct addr_prefix prefix;
    struct rtnl_route route;
    struct rtnl_link link;
    struct rtnl_neighbour neighbour;
    struct diag_socket found;
    char why[NL_WHY_BYTES], text[128];
    int ifindex;

    (void)rtnl_link_parse(message, &link);
    (void)rtnl_addr_parse(message, &ifindex, &prefix);
    if (rtnl_route_parse(message, &route))
        (void)rtnl_route_format(&route, text, sizeof(text));
    (void)rtnl_neigh_parse(message, &ifindex, &neighbour);
    (void)diag_parse(message, &found);
    (void)nl_verdict(message, why);
    if (memchr(why, '\n', strlen(why)))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len == 0)
        return 0;
    /* Aligned, and exactly as long as the input, so that the sanitizer sees every step outside. */
    uint8_t *copy = malloc(len);
    if (!copy)
        return 0;
    memcpy(copy, data, len);
    const struct nl_answers answers = {.bytes = copy, .len = len};
    for (const struct nlmsghdr *m = nl_next(&answers, NULL); m; m = nl_next(&answers, m))
        parse_all(m);
    free(copy);
    return 0;
}
