/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation: a route socket that asks nothing and is a member of the groups of links and
 * routes. The kernel tells of no IPv4 route that goes because its device goes down, only of the
 * device; of IPv6 routes it tells both.
 */
#include "kernel/netlink/watch.h"

#include "base/error.h"
#include "kernel/netlink/rtnl_internal.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>
#include <linux/rtnetlink.h>

enum { MESSAGE_BYTES = 16384 };

int watch_open(int *ret_fd, struct peer_error *error)
{
    const struct sockaddr_nl groups = {
        .nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE};
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);

    if (fd < 0 || bind(fd, (const struct sockaddr *)&groups, sizeof(groups)) < 0) {
        int code = errno;
        if (fd >= 0)
            (void)close(fd);
        return error_set(error, PEER_ERROR_MACHINE, code,
                         "cannot watch the links of this machine: %s", error_text(code));
    }
    *ret_fd = fd;
    return 0;
}

static bool parse(const struct nlmsghdr *message, struct watch_news *news)
{
    struct nlmsghdr *added = (struct nlmsghdr *)(uintptr_t)message;

    switch (message->nlmsg_type) {
    case RTM_NEWLINK:
        news->kind = WATCH_LINK;
        if (!rtnl_link_parse(message, &news->link))
            return false;
        news->ifindex = news->link.ifindex;
        return true;
    case RTM_DELLINK:
        news->kind = WATCH_LINK_GONE;
        added->nlmsg_type = RTM_NEWLINK; /* the same, but for its meaning */
        if (!rtnl_link_parse(message, &news->link))
            return false;
        news->ifindex = news->link.ifindex;
        return true;
    case RTM_DELROUTE:
        news->kind = WATCH_ROUTE_GONE;
        added->nlmsg_type = RTM_NEWROUTE;
        if (!rtnl_route_parse(message, &news->route))
            return false;
        news->ifindex = news->route.oif;
        return true;
    default:
        return false;
    }
}

void watch_read(int fd, void (*each)(void *user, const struct watch_news *news), void *user)
{
    _Alignas(8) uint8_t buffer[MESSAGE_BYTES];

    for (;;) {
        ssize_t len = recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT);
        if (len < 0 && errno == ENOBUFS) {
            each(user, &(const struct watch_news){.kind = WATCH_LOST});
            continue;
        }
        if (len < 0 && errno == EINTR)
            continue;
        if (len <= 0)
            return;
        const struct nl_answers news = {
            .bytes = buffer, .len = (size_t)len, .room = sizeof(buffer)};
        for (const struct nlmsghdr *m = nl_next(&news, NULL); m; m = nl_next(&news, m)) {
            struct watch_news one = {0};
            if (parse(m, &one))
                each(user, &one);
        }
    }
}
