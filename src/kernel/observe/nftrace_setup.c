/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The table that marks and observes, as one transaction of nf_tables.
 *
 * Two tables in truth, of one name: one of family inet with chains at five hooks, one of family
 * netdev for the device's ingress. The mark is set by the very first chain of ingress, prerouting
 * and output; from there on the kernel reports all. The observing chains are empty, and stand
 * before and behind the well-known priorities, one off them. They are filter chains throughout: a
 * nat chain with a rule would switch connection tracking on.
 */
#include "kernel/observe/nftrace_internal.h"

#include "base/macro.h"

#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH_BYTES = 64 * 1024, TABLE_OWNER = 2 };

/** Around raw, conntrack, mangle, dstnat, filter and srcnat. */
static const int32_t priorities[] = {INT_MIN + 1, -299, -199, -149, -99, 1, 101, INT_MAX - 1};

static const struct {
    enum nftrace_hook hook;
    uint32_t number;
} inet_hooks[] = {{NFTRACE_PREROUTING, NF_INET_PRE_ROUTING},
                  {NFTRACE_INPUT, NF_INET_LOCAL_IN},
                  {NFTRACE_FORWARD, NF_INET_FORWARD},
                  {NFTRACE_OUTPUT, NF_INET_LOCAL_OUT},
                  {NFTRACE_POSTROUTING, NF_INET_POST_ROUTING}};

enum nftrace_hook nftrace_hook_of(uint8_t family, uint32_t number)
{
    if (family == NFPROTO_NETDEV)
        return number == NF_NETDEV_INGRESS ? NFTRACE_INGRESS : NFTRACE_EGRESS;
    if (number == NF_INET_INGRESS)
        return NFTRACE_INGRESS;
    for (size_t i = 0; i < ARRAY_SIZE(inet_hooks); i++)
        if (inet_hooks[i].number == number)
            return inet_hooks[i].hook;
    return NFTRACE_NO_HOOK;
}

static void own_chain_name(enum nftrace_hook hook, size_t place, char *buf, size_t room)
{
    (void)snprintf(buf, room, "%s_%zu", nftrace_hook_text(hook), place);
}

bool nftrace_own_chain(const char *name, enum nftrace_hook *ret_hook, int32_t *ret_priority)
{
    char own[32];

    for (int hook = NFTRACE_INGRESS; hook < NFTRACE_NO_HOOK; hook++)
        for (size_t place = 0; place < ARRAY_SIZE(priorities); place++) {
            own_chain_name((enum nftrace_hook)hook, place, own, sizeof(own));
            if (strcmp(own, name) != 0)
                continue;
            *ret_hook = (enum nftrace_hook)hook;
            *ret_priority = priorities[place];
            return true;
        }
    return false;
}

/* ---- messages ---- */

struct batch {
    uint8_t *bytes;
    size_t len;
    uint32_t seq;
    struct nl_message message; /* under construction */
    struct nlmsghdr *last;     /* the one before */
    uint8_t family;
    const char *table;
};

static void begin(struct batch *batch, uint16_t type, uint16_t flags, uint8_t family,
                  uint16_t resource)
{
    const struct nfgenmsg head = {.nfgen_family = family, .res_id = htons(resource)};

    batch->message = (struct nl_message){.header = (void *)(batch->bytes + batch->len),
                                         .room = BATCH_BYTES - batch->len};
    nl_message_begin(&batch->message, type, NLM_F_REQUEST | flags, &head, sizeof(head));
    batch->message.header->nlmsg_seq = batch->seq++;
}

static void end(struct batch *batch)
{
    batch->last = batch->message.header;
    batch->len += NLMSG_ALIGN((size_t)batch->last->nlmsg_len);
}

static struct nl_message *begin_new(struct batch *batch, uint8_t what)
{
    begin(batch, (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | what), NLM_F_CREATE, batch->family, 0);
    /* NFTA_{TABLE_NAME, CHAIN_TABLE, RULE_TABLE} */
    nl_message_put_text(&batch->message, 1, batch->table);
    return &batch->message;
}

static void put_table(struct batch *batch)
{
    struct nl_message *message = begin_new(batch, NFT_MSG_NEWTABLE);
    nl_message_put_u32(message, NFTA_TABLE_FLAGS, htonl(TABLE_OWNER));
    end(batch);
}

static void put_chain(struct batch *batch, const char *name, uint32_t hook, int32_t priority,
                      const char *device)
{
    struct nl_message *message = begin_new(batch, NFT_MSG_NEWCHAIN);
    nl_message_put_text(message, NFTA_CHAIN_NAME, name);
    struct nlattr *nest = nl_message_nest(message, NFTA_CHAIN_HOOK);
    nl_message_put_u32(message, NFTA_HOOK_HOOKNUM, htonl(hook));
    nl_message_put_u32(message, NFTA_HOOK_PRIORITY, htonl((uint32_t)priority));
    if (device)
        nl_message_put_text(message, NFTA_HOOK_DEV, device);
    nl_message_nest_end(message, nest);
    nl_message_put_text(message, NFTA_CHAIN_TYPE, "filter");
    end(batch);
}

/* ---- expressions: pairs of begin and end around their attributes ---- */

struct expression {
    struct nlattr *element, *data;
};

static struct expression expression_begin(struct nl_message *message, const char *name)
{
    struct expression expression;

    expression.element = nl_message_nest(message, NFTA_LIST_ELEM);
    nl_message_put_text(message, NFTA_EXPR_NAME, name);
    expression.data = nl_message_nest(message, NFTA_EXPR_DATA);
    return expression;
}

static void expression_end(struct nl_message *message, struct expression expression)
{
    nl_message_nest_end(message, expression.data);
    nl_message_nest_end(message, expression.element);
}

static void put_data(struct nl_message *message, uint16_t type, const void *data, size_t len)
{
    struct nlattr *nest = nl_message_nest(message, type);
    nl_message_put(message, NFTA_DATA_VALUE, data, len);
    nl_message_nest_end(message, nest);
}

static void put_equals(struct nl_message *message, const void *data, size_t len)
{
    struct expression e = expression_begin(message, "cmp");
    nl_message_put_u32(message, NFTA_CMP_SREG, htonl(NFT_REG_1));
    nl_message_put_u32(message, NFTA_CMP_OP, htonl(NFT_CMP_EQ));
    put_data(message, NFTA_CMP_DATA, data, len);
    expression_end(message, e);
}

static void put_meta_is(struct nl_message *message, uint32_t key, const void *data, size_t len)
{
    struct expression e = expression_begin(message, "meta");
    nl_message_put_u32(message, NFTA_META_DREG, htonl(NFT_REG_1));
    nl_message_put_u32(message, NFTA_META_KEY, htonl(key));
    expression_end(message, e);
    put_equals(message, data, len);
}

static void put_payload_is(struct nl_message *message, uint32_t base, uint32_t offset,
                           const void *data, size_t len)
{
    struct expression e = expression_begin(message, "payload");
    nl_message_put_u32(message, NFTA_PAYLOAD_DREG, htonl(NFT_REG_1));
    nl_message_put_u32(message, NFTA_PAYLOAD_BASE, htonl(base));
    nl_message_put_u32(message, NFTA_PAYLOAD_OFFSET, htonl(offset));
    nl_message_put_u32(message, NFTA_PAYLOAD_LEN, htonl((uint32_t)len));
    expression_end(message, e);
    put_equals(message, data, len);
}

static void put_mark(struct nl_message *message)
{
    const uint32_t on = 1;
    struct expression e = expression_begin(message, "immediate");

    nl_message_put_u32(message, NFTA_IMMEDIATE_DREG, htonl(NFT_REG_1));
    put_data(message, NFTA_IMMEDIATE_DATA, &on, sizeof(uint8_t));
    expression_end(message, e);
    e = expression_begin(message, "meta");
    nl_message_put_u32(message, NFTA_META_KEY, htonl(NFT_META_NFTRACE));
    nl_message_put_u32(message, NFTA_META_SREG, htonl(NFT_REG_1));
    expression_end(message, e);
}

/* ---- the two rules ---- */

static void put_family(struct nl_message *message, const struct peer_addr *addr)
{
    const uint16_t ethertype = htons(addr->family == 6 ? 0x86dd : 0x0800);
    put_meta_is(message, NFT_META_PROTOCOL, &ethertype, sizeof(ethertype));
}

/** The traced packet: by its source, protocol, and ports or identifier. */
static void put_there_rule(struct batch *batch, const struct nftrace_config *config,
                           const char *chain)
{
    const bool v6 = config->peer.family == 6;
    const uint16_t ports[2] = {htons(config->peer_port), htons(config->port)};
    const uint16_t id = htons(config->icmp_id);
    struct nl_message *message = begin_new(batch, NFT_MSG_NEWRULE);

    nl_message_put_text(message, NFTA_RULE_CHAIN, chain);
    struct nlattr *list = nl_message_nest(message, NFTA_RULE_EXPRESSIONS);
    put_family(message, &config->peer);
    put_payload_is(message, NFT_PAYLOAD_NETWORK_HEADER, v6 ? 8 : 12, config->peer.bytes,
                   v6 ? 16 : 4);
    put_meta_is(message, NFT_META_L4PROTO, &config->protocol, sizeof(config->protocol));
    if (config->protocol == IPPROTO_TCP || config->protocol == IPPROTO_UDP)
        put_payload_is(message, NFT_PAYLOAD_TRANSPORT_HEADER, 0, ports, sizeof(ports));
    else
        put_payload_is(message, NFT_PAYLOAD_TRANSPORT_HEADER, 4, &id, sizeof(id));
    put_mark(message);
    nl_message_nest_end(message, list);
    end(batch);
}

/** Answers: all that goes to the peer, errors of ICMP included. */
static void put_back_rule(struct batch *batch, const struct nftrace_config *config,
                          const char *chain)
{
    const bool v6 = config->peer.family == 6;
    struct nl_message *message = begin_new(batch, NFT_MSG_NEWRULE);

    nl_message_put_text(message, NFTA_RULE_CHAIN, chain);
    struct nlattr *list = nl_message_nest(message, NFTA_RULE_EXPRESSIONS);
    put_family(message, &config->peer);
    put_payload_is(message, NFT_PAYLOAD_NETWORK_HEADER, v6 ? 24 : 16, config->peer.bytes,
                   v6 ? 16 : 4);
    put_mark(message);
    nl_message_nest_end(message, list);
    end(batch);
}

static void put_rules(struct batch *batch, const struct nftrace_config *config,
                      enum nftrace_hook hook, const char *chain)
{
    if (hook == NFTRACE_INGRESS || hook == NFTRACE_PREROUTING)
        put_there_rule(batch, config, chain);
    if (hook == NFTRACE_OUTPUT || hook == NFTRACE_PREROUTING)
        put_back_rule(batch, config, chain);
}

static void put_inet(struct batch *batch, const struct nftrace_config *config)
{
    char name[32];

    batch->family = NFPROTO_INET;
    put_table(batch);
    for (size_t i = 0; i < ARRAY_SIZE(inet_hooks); i++)
        for (size_t place = 0; place < ARRAY_SIZE(priorities); place++) {
            own_chain_name(inet_hooks[i].hook, place, name, sizeof(name));
            put_chain(batch, name, inet_hooks[i].number, priorities[place], NULL);
            if (place == 0)
                put_rules(batch, config, inet_hooks[i].hook, name);
        }
}

static void put_netdev(struct batch *batch, const struct nftrace_config *config)
{
    const size_t places[] = {0, ARRAY_SIZE(priorities) - 1};
    char name[32];

    batch->family = NFPROTO_NETDEV;
    put_table(batch);
    for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
        own_chain_name(NFTRACE_INGRESS, places[i], name, sizeof(name));
        put_chain(batch, name, NF_NETDEV_INGRESS, priorities[places[i]], config->device);
        if (i == 0)
            put_rules(batch, config, NFTRACE_INGRESS, name);
    }
}

/* ---- the transaction ---- */

/** The first failure that the kernel reports. All of it is in the queue when send() returns. */
static int take_status(struct nl *nl)
{
    int status = 0;
    bool heard = false;

    for (;;) {
        ssize_t n = recv(nl->fd, nl->buffer, sizeof(nl->buffer), MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            break;
        const struct nl_answers datagram = {.bytes = nl->buffer, .len = (size_t)n};
        for (const struct nlmsghdr *m = nl_next(&datagram, NULL); m; m = nl_next(&datagram, m)) {
            if (m->nlmsg_type != NLMSG_ERROR)
                continue;
            heard = true;
            status = status ? status : nl_verdict(m, nl->why);
        }
    }
    return heard || status ? status : -EIO;
}

static int send_batch(struct nftrace *nftrace, struct batch *batch)
{
    const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    ssize_t n;

    do
        n = sendto(nftrace->owner.fd, batch->bytes, batch->len, 0,
                   (const struct sockaddr *)(const void *)&kernel, sizeof(kernel));
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : take_status(&nftrace->owner);
}

static int make(struct nftrace *nftrace, struct batch *batch, bool netdev)
{
    batch->len = 0;
    batch->seq = 1;
    begin(batch, NFNL_MSG_BATCH_BEGIN, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
    end(batch);
    if (netdev && nftrace->config.device[0])
        put_netdev(batch, &nftrace->config);
    put_inet(batch, &nftrace->config);
    /* The last one that does something answers for all; kernels differ about the end mark. */
    batch->last->nlmsg_flags |= NLM_F_ACK;
    begin(batch, NFNL_MSG_BATCH_END, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
    end(batch);
    int status = send_batch(nftrace, batch);
    nftrace->owner.seq = batch->seq;
    return status;
}

int nftrace_make_table(struct nftrace *nftrace)
{
    struct batch batch = {.table = nftrace->table, .bytes = calloc(1, BATCH_BYTES)};
    if (!batch.bytes)
        return -ENOMEM;
    int status = make(nftrace, &batch, true);
    if (status < 0 && status != -EPERM)
        status = make(nftrace, &batch, false); /* a kernel without the hook of devices */
    free(batch.bytes);
    return status;
}
