/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sockets of the net's namespace. A socket stays in the namespace in which it was made, whoever has
 * it, so a helper process makes it there and hands it over.
 */
#include "lib/internal.h"

#include <peer/process.h>
#include <sys/socket.h>
#include <unistd.h>

struct wanted {
    int domain, type, protocol;
};

static int make(const struct wanted *wanted, struct peer_error *error)
{
    int fd = socket(wanted->domain, wanted->type | SOCK_CLOEXEC, wanted->protocol);

    return fd >= 0 ? fd
                   : error_set(error, PEER_ERROR_MACHINE, errno, "cannot make a socket: %s",
                               error_text(errno));
}

/* In the helper process. */
static int make_there(void *arg, struct netns_result *result)
{
    int fd = make(arg, &result->error);

    if (fd < 0)
        return fd;
    result->fds[result->fd_count++] = fd;
    return 0;
}

int peer_net_socket(struct peer_net *net, int domain, int type, int protocol,
                    struct peer_error *error)
{
    if (!net_is_ours(net))
        return -ECHILD;
    struct wanted wanted = {domain, type, protocol};
    const struct netns_errand errand = {
        .place = net->attachment.netns, .work = make_there, .arg = &wanted};
    struct netns_result result = {.fd_count = 0};

    if (net->attachment.confined)
        return error_set(error, PEER_ERROR_USAGE, EPERM,
                         "this process has given up what it takes to make a socket there");
    if (errand.place.fd < 0)
        return make(&wanted, error);
    int status = netns_run(&errand, &result, error);
    return status < 0 ? status : result.fds[0];
}

int peer_net_netns_fd(const struct peer_net *net)
{
    return net->attachment.netns.fd;
}
