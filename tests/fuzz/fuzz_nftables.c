/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The parsers behind peer trace. Random bytes are hardly ever a rule of nftables, so the input is
 * read as a list of decisions: messages are built of what the kernel would say (rules with
 * expressions, chains, elements of sets, events of the trace, routes, links, sockets), then some
 * bytes of them are changed: lengths, types, numbers, or the end is cut.
 *
 * They go to the parsers directly, each in memory of exactly its size, and as answers of a kernel
 * that is played here (sendto, recv and recvmsg are wrapped by the linker), so that requests,
 * lists, sets and the collection of events run as they are.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <linux/inet_diag.h>
#include <linux/netfilter/nf_tables_compat.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>

#include "base/macro.h"
#include "fuzz/nft_messages.h"
#include "kernel/netlink/diag_internal.h"
#include "kernel/netlink/rtnl_internal.h"
#include "kernel/observe/ingress.h"
#include "kernel/observe/nftrace_internal.h"

#ifdef __SANITIZE_ADDRESS__
#define FUZZ_POISON
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FUZZ_POISON
#endif
#endif
#ifdef FUZZ_POISON
#include <sanitizer/asan_interface.h>
#endif

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
ssize_t __wrap_sendto(int fd, const void *data, size_t len, int flags, const struct sockaddr *to,
                      socklen_t to_len);
ssize_t __wrap_recv(int fd, void *data, size_t len, int flags);
ssize_t __wrap_recvmsg(int fd, struct msghdr *header, int flags);

/* ---- the kernel, played ---- */

static struct {
    uint32_t seq;  /* of the request at hand */
    int datagrams; /* that still come */
    void *poisoned;
    size_t poisoned_len;
} kernel;

static void unpoison(void)
{
#ifdef FUZZ_POISON
    if (kernel.poisoned)
        __asan_unpoison_memory_region(kernel.poisoned, kernel.poisoned_len);
#endif
    kernel.poisoned = NULL;
}

/** A datagram into the reader's buffer, of which nothing more may be read. */
static ssize_t deliver(void *buffer, size_t room, const struct nft_out *out)
{
    const size_t len = MIN(out->len, room);

    unpoison();
    memcpy(buffer, out->bytes, len);
#ifdef FUZZ_POISON
    kernel.poisoned = (uint8_t *)buffer + len;
    kernel.poisoned_len = room - len;
    __asan_poison_memory_region(kernel.poisoned, kernel.poisoned_len);
#endif
    return (ssize_t)len;
}

ssize_t __wrap_sendto(int fd, const void *data, size_t len, int flags, const struct sockaddr *to,
                      socklen_t to_len)
{
    struct nlmsghdr head;

    (void)fd, (void)flags, (void)to, (void)to_len;
    memcpy(&head, data, sizeof(head));
    kernel.seq = head.nlmsg_seq;
    kernel.datagrams = (int)nft_pick(4);
    return (ssize_t)len;
}

/** Answers have the number of the request; without it they would be skipped. */
static void number(struct nft_out *out)
{
    size_t at = 0;

    while (out->len - at >= sizeof(struct nlmsghdr)) {
        struct nlmsghdr head;
        memcpy(&head, out->bytes + at, sizeof(head));
        head.nlmsg_seq = kernel.seq;
        head.nlmsg_pid = 0;
        memcpy(out->bytes + at, &head, sizeof(head));
        if (head.nlmsg_len < sizeof(head) || head.nlmsg_len > out->len - at)
            return;
        at = MIN(at + ((head.nlmsg_len + 3) & ~(size_t)3), out->len);
    }
}

ssize_t __wrap_recvmsg(int fd, struct msghdr *header, int flags)
{
    struct nft_out out = {.len = 0};

    (void)fd, (void)flags;
    if (kernel.datagrams-- > 0) {
        nft_build(&out);
        number(&out);
    } else {
        const int code = nft_one_in(8) ? -(int)nft_take8() : 0;
        const size_t message =
            nft_begin(&out, nft_one_in(2) ? NLMSG_ERROR : NLMSG_DONE, &code, sizeof(code));
        nft_end(&out, message);
        number(&out);
    }
    memset(header->msg_name, 0, sizeof(struct sockaddr_nl));
    header->msg_namelen = sizeof(struct sockaddr_nl);
    header->msg_flags = 0;
    return deliver(header->msg_iov[0].iov_base, header->msg_iov[0].iov_len, &out);
}

ssize_t __wrap_recv(int fd, void *data, size_t len, int flags)
{
    struct nft_out out;

    (void)fd, (void)flags;
    if (kernel.datagrams-- <= 0) {
        errno = EAGAIN;
        return -1;
    }
    nft_build(&out);
    return deliver(data, len, &out);
}

/* ---- the parsers ---- */

/** One line, with an end. */
static void check_text(const char *text, size_t room)
{
    if (!memchr(text, '\0', room))
        abort();
    for (; *text; text++)
        if ((unsigned char)*text < ' ')
            abort();
}

static void format_rule(struct nl *nl, const struct nlmsghdr *message)
{
    const size_t room = nft_one_in(2) ? NFTRACE_TEXT : 1 + nft_pick(64);
    char *buf = malloc(room);
    bool rejects;

    if (!buf)
        return;
    nftrace_rule_format(nl, message, buf, room, &rejects);
    check_text(buf, room);
    free(buf);
}

static void parse_all(const struct nlmsghdr *message)
{
    struct nftrace_event event;
    struct nftrace_chain chain;
    struct diag_socket found;
    struct addr_prefix prefix;
    struct rtnl_route route;
    struct rtnl_link link;
    char text[160], why[NL_WHY_BYTES];
    int ifindex;

    format_rule(NULL, message);
    (void)nftrace_event_parse(message, &event);
    (void)nftrace_chain_parse(message, &chain);
    (void)diag_parse(message, &found);
    (void)rtnl_link_parse(message, &link);
    (void)rtnl_addr_parse(message, &ifindex, &prefix);
    if (rtnl_route_parse(message, &route))
        check_text(rtnl_route_format(&route, text, sizeof(text)), sizeof(text));
    (void)nl_verdict(message, why);
}

static void parse_directly(void)
{
    struct nft_out out;

    nft_build(&out);
    uint8_t *exact = malloc(out.len ? out.len : 1);
    if (!exact)
        return;
    memcpy(exact, out.bytes, out.len);
    const struct nl_answers answers = {.bytes = exact, .len = out.len};
    for (const struct nlmsghdr *m = nl_next(&answers, NULL); m; m = nl_next(&answers, m))
        parse_all(m);
    free(exact);
}

static int ignore_chain(void *user, const struct nftrace_chain *chain)
{
    (void)user;
    return nftrace_hook_text(chain->hook) && nftrace_family_text(chain->family) ? 0 : -EINVAL;
}

static int ignore_route(void *user, const struct rtnl_route *route)
{
    (void)user;
    return route->dst.length > 128 ? -EINVAL : 0;
}

static void ask_for_set(struct nl *nl)
{
    const size_t room = 1 + nft_pick(200);
    char *buf = malloc(room);

    if (!buf)
        return;
    buf[0] = '\0';
    const struct nft_set set = {NFPROTO_INET, "f", "__set0",
                                (enum nft_kind)nft_pick(KIND_FIB_TYPE + 1)};
    (void)nft_set_format(nl, &set, buf, room);
    if (!memchr(buf, '\0', room))
        abort();
    free(buf);
}

static void follow(struct nftrace *nftrace)
{
    struct nftrace_event *events = calloc(8, sizeof(*events));
    char text[NFTRACE_TEXT];
    uint64_t lost;

    if (!events)
        return;
    kernel.datagrams = 1 + (int)nft_pick(4);
    const int count = nftrace_collect(nftrace, events, 8, &lost);
    for (int i = 0; i < count; i++) {
        (void)nftrace_verdict_text(events[i].verdict);
        (void)nftrace_rule_text(nftrace, &events[i].chain, events[i].handle, text, sizeof(text),
                                NULL);
        check_text(text, sizeof(text));
    }
    free(events);
}

static void ask(struct nftrace *nftrace, struct rtnl *rtnl)
{
    const struct rtnl_lookup lookup = {.dst = {4, {192, 0, 2, 1}}};
    struct ingress ingress;
    struct rtnl_route route;

    (void)nftrace_each_chain(nftrace, ignore_chain, NULL);
    follow(nftrace);
    ask_for_set(&nftrace->owner);
    (void)ingress_survey(rtnl, 1, false, &ingress, NULL);
    (void)rtnl_neigh_state(rtnl, 1, &lookup.dst);
    (void)rtnl_route_each(rtnl, nft_one_in(2) ? 6 : 4, ignore_route, NULL, NULL);
    (void)rtnl_route_lookup(rtnl, &lookup, &route, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct nftrace *nftrace = calloc(1, sizeof(*nftrace));
    struct rtnl *rtnl = calloc(1, sizeof(*rtnl));

    nft_input(data, len);
    if (nftrace && rtnl) {
        nftrace->owner.fd = nftrace->events.fd = rtnl->nl.fd = -1;
        memcpy(nftrace->table, "peer-trace-1", sizeof("peer-trace-1"));
        nftrace->config = (struct nftrace_config){.peer = {4, {198, 18, 0, 2}},
                                                  .target = {4, {192, 0, 2, 1}},
                                                  .protocol = IPPROTO_TCP,
                                                  .peer_port = 0x8000,
                                                  .port = 80};
        while (nft_left() > 0) {
            parse_directly();
            ask(nftrace, rtnl);
        }
        unpoison();
        free(nftrace->chains);
    }
    free(nftrace);
    free(rtnl);
    return 0;
}
