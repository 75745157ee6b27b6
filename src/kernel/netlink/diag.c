/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation: SOCK_DIAG_BY_FAMILY as a dump with a filter on the port lists sockets; the
 * same request without the dump flag is the look-up that the kernel makes for a packet. A
 * dual-stack socket is listed under IPv6 and found by an IPv4 look-up.
 */
#include "kernel/netlink/diag_internal.h"

#include "base/error.h"
#include "base/macro.h"

#include <arpa/inet.h>
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>

/** `fd` < 0: open a socket of our own. */
static int diag_new(int fd, struct diag **ret_diag, struct peer_error *error)
{
    struct diag *diag = calloc(1, sizeof(*diag));
    if (!diag)
        return error_set(error, PEER_ERROR_MACHINE, ENOMEM, "no memory for a netlink socket");
    int r =
        fd < 0 ? nl_open(&diag->nl, NETLINK_SOCK_DIAG) : nl_adopt(&diag->nl, fd, NETLINK_SOCK_DIAG);
    if (r < 0) {
        free(diag);
        return error_set(error, PEER_ERROR_MACHINE, -r, "cannot %s a socket diagnosis socket: %s",
                         fd < 0 ? "open" : "use the descriptor as", error_text(-r));
    }
    *ret_diag = diag;
    return 0;
}

int diag_open(struct diag **ret_diag, struct peer_error *error)
{
    return diag_new(-1, ret_diag, error);
}

int diag_adopt(int fd, struct diag **ret_diag, struct peer_error *error)
{
    if (fd < 0)
        return error_set(error, PEER_ERROR_MACHINE, EBADF,
                         "cannot use the descriptor as a socket diagnosis socket: %s",
                         error_text(EBADF));
    return diag_new(fd, ret_diag, error);
}

int diag_fd(const struct diag *diag)
{
    return diag->nl.fd;
}

struct diag *diag_free(struct diag *diag)
{
    if (diag)
        nl_done(&diag->nl);
    free(diag);
    return NULL;
}

const struct inet_diag_msg *diag_payload(const struct nlmsghdr *message)
{
    return message->nlmsg_type == SOCK_DIAG_BY_FAMILY
               ? nl_payload(message, sizeof(struct inet_diag_msg))
               : NULL;
}

struct peer_addr diag_far_address(const struct inet_diag_msg *info)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    const uint8_t *bytes = (const uint8_t *)info->id.idiag_dst;
    struct peer_addr addr = {.family = info->idiag_family == AF_INET6 ? 6 : 4};

    if (addr.family == 6 && memcmp(bytes, mapped, sizeof(mapped)) == 0) {
        addr.family = 4;
        bytes += sizeof(mapped);
    }
    memcpy(addr.bytes, bytes, addr.family == 6 ? 16 : 4);
    return addr;
}

/* 1 when it is found. */
static int find_connection(struct diag *diag, int family, const struct addr_set *peers)
{
    const uint32_t not_meant =
        1U << TCP_LISTEN | 1U << TCP_CLOSE | 1U << TCP_TIME_WAIT | 1U << TCP_SYN_RECV;
    const struct inet_diag_req_v2 wanted = {.sdiag_family = (uint8_t)family,
                                            .sdiag_protocol = IPPROTO_TCP,
                                            .idiag_states = ((2U << TCP_CLOSING) - 2) & ~not_meant};
    struct nl_answers answers = {0};
    struct nl_request request;

    nl_begin(&request, SOCK_DIAG_BY_FAMILY, 0, &wanted, sizeof(wanted));
    int status = nl_dump(&diag->nl, &request, &answers);
    for (const struct nlmsghdr *m = nl_next(&answers, NULL); m && status == 0;
         m = nl_next(&answers, m)) {
        const struct inet_diag_msg *info = diag_payload(m);
        if (!info)
            continue;
        const struct peer_addr addr = diag_far_address(info);
        status = addr.family == peers->family && addr_set_find(peers, &addr) >= 0;
    }
    nl_answers_done(&answers);
    return status;
}

int diag_has_connections(struct diag *diag, const struct addr_set *peers)
{
    int status = peers->family == 4 ? find_connection(diag, AF_INET, peers) : 0;

    return status ? status : find_connection(diag, AF_INET6, peers);
}

static const char *protocol_text(uint8_t protocol)
{
    return protocol == IPPROTO_UDP ? "UDP" : "TCP";
}

bool diag_parse(const struct nlmsghdr *message, struct diag_socket *ret_socket)
{
    const struct nlattr *table[INET_DIAG_MARK + 1];
    struct diag_socket result = {0};
    uint32_t memory[SK_MEMINFO_VARS] = {0};
    uint8_t v6only = 0;

    if (message->nlmsg_type != SOCK_DIAG_BY_FAMILY ||
        !nl_attributes(message, sizeof(struct inet_diag_msg), table, INET_DIAG_MARK))
        return false;
    const struct inet_diag_msg *info = nl_payload(message, sizeof(*info));
    const size_t addr_len = nl_addr_len(info->idiag_family);
    if (addr_len == 0)
        return false;
    result.local.family = info->idiag_family == AF_INET6 ? 6 : 4;
    memcpy(result.local.bytes, info->id.idiag_src, addr_len);
    result.port = ntohs(info->id.idiag_sport);
    result.bound_ifindex = (int)info->id.idiag_if;
    result.uid = info->idiag_uid;
    result.inode = info->idiag_inode;
    /* Old kernels have a shorter list. */
    if (!nl_get(table[INET_DIAG_SKMEMINFO], memory, sizeof(memory)))
        (void)nl_get(table[INET_DIAG_SKMEMINFO], memory, sizeof(uint32_t) * SK_MEMINFO_DROPS);
    result.drops = memory[SK_MEMINFO_DROPS];
    result.queue_now = info->idiag_rqueue;
    /* For a listener wqueue is the backlog; for UDP it is what waits to be sent. */
    result.queue_max =
        info->idiag_state == TCP_LISTEN ? info->idiag_wqueue : memory[SK_MEMINFO_RCVBUF];
    result.v6only = nl_get(table[INET_DIAG_SKV6ONLY], &v6only, sizeof(v6only)) && v6only;
    result.connected =
        info->idiag_state != TCP_LISTEN && (info->idiag_state != TCP_CLOSE || info->id.idiag_dport);
    (void)nl_get(table[INET_DIAG_MARK], &result.mark, sizeof(result.mark));
    *ret_socket = result;
    return true;
}

/** "Source port from `port` to `port`", in the bytecode of inet_diag. */
static void put_port_filter(struct nl_request *request, uint16_t port)
{
    enum { OP = sizeof(struct inet_diag_bc_op) };
    /* Each condition is an operation and an operand; `no` leads past the end, which means no. */
    const struct inet_diag_bc_op code[4] = {
        {.code = INET_DIAG_BC_S_GE, .yes = 2 * OP, .no = 4 * OP + 4},
        {.no = port},
        {.code = INET_DIAG_BC_S_LE, .yes = 2 * OP, .no = 2 * OP + 4},
        {.no = port},
    };

    nl_put(request, INET_DIAG_REQ_BYTECODE, code, sizeof(code));
}

static int dump_family(struct diag *diag, int family, uint8_t protocol, uint16_t port,
                       struct nl_answers *answers)
{
    /* A connected UDP socket takes from one peer only, so it is no listener. */
    const struct inet_diag_req_v2 info = {
        .sdiag_family = (uint8_t)family,
        .sdiag_protocol = protocol,
        .idiag_ext = 1 << (INET_DIAG_SKMEMINFO - 1),
        .idiag_states = 1U << (protocol == IPPROTO_UDP ? TCP_CLOSE : TCP_LISTEN),
    };
    struct nl_request request;

    nl_begin(&request, SOCK_DIAG_BY_FAMILY, 0, &info, sizeof(info));
    put_port_filter(&request, port);
    return nl_dump(&diag->nl, &request, answers);
}

int diag_listeners(struct diag *diag, uint8_t protocol, uint16_t port,
                   int (*each)(void *user, const struct diag_socket *socket), void *user,
                   struct peer_error *error)
{
    struct nl_answers answers = {0};

    assert(protocol == IPPROTO_TCP || protocol == IPPROTO_UDP);
    int r = dump_family(diag, AF_INET, protocol, port, &answers);
    if (r == 0) {
        r = dump_family(diag, AF_INET6, protocol, port, &answers);
        if (r == -ENOENT || r == -EAFNOSUPPORT) /* a kernel without IPv6 */
            r = 0;
    }
    if (r < 0)
        r = nl_fail(&diag->nl, r, error, "list the sockets on %s port %u", protocol_text(protocol),
                    port);
    for (const struct nlmsghdr *m = nl_next(&answers, NULL); m && r == 0;
         m = nl_next(&answers, m)) {
        struct diag_socket found;
        if (diag_parse(m, &found) && found.port == port)
            r = each(user, &found);
    }
    nl_answers_done(&answers);
    return r;
}

static void build_lookup(struct nl_request *request, const struct diag_packet *packet)
{
    /* For TCP "source" is the socket's side. For UDP it is the packet's: history, not design. */
    const bool swap = packet->protocol == IPPROTO_UDP;
    const struct peer_addr *src = swap ? &packet->peer : &packet->local;
    const struct peer_addr *dst = swap ? &packet->local : &packet->peer;
    struct inet_diag_req_v2 info = {
        .sdiag_family = (uint8_t)nl_family(packet->local.family),
        .sdiag_protocol = packet->protocol,
        .idiag_ext = 1 << (INET_DIAG_SKMEMINFO - 1),
        .idiag_states = UINT32_MAX,
        .id =
            {
                .idiag_sport = htons(swap ? packet->peer_port : packet->port),
                .idiag_dport = htons(swap ? packet->port : packet->peer_port),
                .idiag_if = (uint32_t)packet->ifindex,
                .idiag_cookie = {INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE},
            },
    };

    memcpy(info.id.idiag_src, src->bytes, sizeof(info.id.idiag_src));
    memcpy(info.id.idiag_dst, dst->bytes, sizeof(info.id.idiag_dst));
    nl_begin(request, SOCK_DIAG_BY_FAMILY, 0, &info, sizeof(info));
}

int diag_lookup(struct diag *diag, const struct diag_packet *packet, struct diag_socket *ret_socket,
                struct peer_error *error)
{
    char text[PEER_ENDPOINT_TEXT];
    struct nl_answers answers = {0};
    struct nl_request request;
    struct diag_socket found;

    assert(packet->protocol == IPPROTO_TCP || packet->protocol == IPPROTO_UDP);
    assert(packet->local.family == packet->peer.family);
    build_lookup(&request, packet);
    int r = nl_call(&diag->nl, &request, &answers);
    if (r == 0) {
        const struct nlmsghdr *m = nl_next(&answers, NULL);
        while (m && !diag_parse(m, &found))
            m = nl_next(&answers, m);
        r = m ? 0 : -ENOENT;
    }
    nl_answers_done(&answers);
    (void)peer_endpoint_format(&packet->local, packet->port, text);
    if (r == -ENOENT)
        return error_set(error, PEER_ERROR_REMOTE, ENOENT, "no program listens on %s port %s",
                         protocol_text(packet->protocol), text);
    if (r < 0)
        return nl_fail(&diag->nl, r, error, "look up the socket on %s port %s",
                       protocol_text(packet->protocol), text);
    *ret_socket = found;
    return 0;
}

/** Whether one of the descriptors of process `pid` is what `wanted` ("socket:[1]") says. */
static bool process_holds(const char *pid, const char *wanted)
{
    char path[64], target[64];
    const struct dirent *entry;
    bool found = false;

    (void)snprintf(path, sizeof(path), "/proc/%.16s/fd", pid);
    DIR *fds = opendir(path);
    if (!fds) /* ended meanwhile, or somebody else's */
        return false;
    while (!found && (entry = readdir(fds))) {
        ssize_t n = readlinkat(dirfd(fds), entry->d_name, target, sizeof(target) - 1);
        if (n <= 0)
            continue;
        target[n] = '\0';
        found = !strcmp(target, wanted);
    }
    (void)closedir(fds);
    return found;
}

static void read_comm(const char *pid, char comm[32])
{
    char path[64];

    comm[0] = '\0';
    (void)snprintf(path, sizeof(path), "/proc/%.16s/comm", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    ssize_t n = read(fd, comm, 31);
    (void)close(fd);
    comm[n > 0 ? n : 0] = '\0';
    comm[strcspn(comm, "\n")] = '\0';
}

int diag_inode_owner(uint32_t inode, char comm[32])
{
    char wanted[32];
    const struct dirent *entry;
    int pid = 0;

    if (inode == 0) /* a connection that nobody has accepted yet */
        return 0;
    (void)snprintf(wanted, sizeof(wanted), "socket:[%u]", inode);
    DIR *processes = opendir("/proc");
    if (!processes)
        return 0;
    while (pid == 0 && (entry = readdir(processes))) {
        if (entry->d_name[strspn(entry->d_name, "0123456789")] != '\0' ||
            !process_holds(entry->d_name, wanted))
            continue;
        pid = atoi(entry->d_name);
        read_comm(entry->d_name, comm);
    }
    (void)closedir(processes);
    return pid;
}
