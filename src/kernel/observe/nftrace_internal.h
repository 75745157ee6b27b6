/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef KERNEL_OBSERVE_NFTRACE_INTERNAL_H
#define KERNEL_OBSERVE_NFTRACE_INTERNAL_H

#include "kernel/netlink/netlink.h"
#include "kernel/observe/nftrace.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

enum { NFTRACE_IDS = 64, NFTRACE_CHAINS = 1024 };

struct nftrace {
    struct nl owner;  /* owns the table; answers questions about rules */
    struct nl events; /* joined the group of the traces */
    struct nftrace_config config;
    char table[32];
    struct {
        uint32_t id;
        bool back;
    } ids[NFTRACE_IDS]; /* of our packets */
    int id_count;
    uint64_t received;            /* messages */
    struct nftrace_chain *chains; /* of the others, NFTRACE_CHAINS at the most */
    int chain_count;
};

/** Attributes are in network order in nf_tables. */
static inline uint32_t nft_get_u32(const struct nlattr *attribute, uint32_t otherwise)
{
    uint32_t value;
    return nl_get(attribute, &value, sizeof(value)) ? ntohl(value) : otherwise;
}
static inline uint64_t nft_get_u64(const struct nlattr *attribute)
{
    uint32_t halves[2];
    if (!nl_get(attribute, halves, sizeof(halves)))
        return 0;
    return (uint64_t)ntohl(halves[0]) << 32 | ntohl(halves[1]);
}

/** The attribute behind `at` (NULL: the first) within `nest`, or NULL. */
const struct nlattr *nftrace_next_nested(const struct nlattr *nest, const struct nlattr *at);
#define nftrace_each_nested(at, nest)                                                              \
    for ((at) = nftrace_next_nested(nest, NULL); (at); (at) = nftrace_next_nested(nest, at))

/** nftrace_setup.c: makes the table and its chains in one transaction. 0 or -errno. */
int nftrace_make_table(struct nftrace *nftrace);
/** Our own chains are named by hook and place: the inverse. */
bool nftrace_own_chain(const char *name, enum nftrace_hook *ret_hook, int32_t *ret_priority);
/** What number `hook` has in `family`, and back. */
enum nftrace_hook nftrace_hook_of(uint8_t family, uint32_t number);

/** nftrace_chain.c: a chain from its message. */
bool nftrace_chain_parse(const struct nlmsghdr *message, struct nftrace_chain *ret_chain);
int nftrace_load_chains(struct nftrace *nftrace);
/** Begins a GET request: `name_type` is where the name of the table goes. */
void nftrace_ask(struct nl_request *request, uint8_t message, uint8_t family);

/** The verdict of a code of the kernel. */
enum nftrace_verdict nftrace_verdict_of(uint32_t code);

/** An event from its message; false when it is none. `back` and `ours` are not set. */
bool nftrace_event_parse(const struct nlmsghdr *message, struct nftrace_event *ret_event);

/* nftrace_value.c */

/** How the bytes of a register are written. */
enum nft_kind {
    KIND_HEX,
    KIND_NUMBER, /* of the machine, 1 to 8 bytes */
    KIND_PORT,   /* network order, 1 to 8 bytes */
    KIND_ADDR,   /* 4 or 16 bytes */
    KIND_TEXT,   /* name of an interface */
    KIND_PROTOCOL,
    KIND_FAMILY,
    KIND_ETHERTYPE,
    KIND_CT_STATE,
    KIND_CT_STATUS,
    KIND_FIB_TYPE,
};

/** A value in words. */
void nft_value_format(enum nft_kind kind, const uint8_t *data, size_t len, char *buf, size_t room);
void nft_hex_format(const uint8_t *data, size_t len, char *buf, size_t room);
void nft_addr_format(const uint8_t *data, size_t len, char *buf, size_t room);
uint64_t nft_machine_number(const uint8_t *data, size_t len);
uint64_t nft_network_number(const uint8_t *data, size_t len);
/** "tcp", or NULL. */
const char *nft_protocol_text(uint8_t protocol);
/** Bytes of an NFTA_DATA_VALUE within `nest`; 0 when there are none. */
size_t nft_data_value(const struct nlattr *nest, uint8_t data[16]);
/** The verdict within `nest` (NFTA_DATA_VERDICT), in words; false when there is none. */
bool nft_verdict_format(const struct nlattr *nest, char *buf, size_t room);
/** A set by its name, and how its elements are written. */
struct nft_set {
    uint8_t family;
    const char *table, *name;
    enum nft_kind kind;
};
/** "{ 80, 443 }": the elements of a set. 0 or -errno, then `buf` is untouched. */
int nft_set_format(struct nl *nl, const struct nft_set *set, char *buf, size_t room);

/** nftrace_rule.c: the text of the expressions of a rule's message. Sets are asked for on `nl`
 * (NULL: they stay names). */
void nftrace_rule_format(struct nl *nl, const struct nlmsghdr *message, char *buf, size_t room,
                         bool *ret_rejects);

#endif
