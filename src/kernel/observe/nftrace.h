/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef KERNEL_OBSERVE_NFTRACE_H
#define KERNEL_OBSERVE_NFTRACE_H

#include <peer/addr.h>
#include <peer/error.h>
#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * The way of one packet, and of its answer, through netfilter: every chain and rule that decided,
 * in order. A table of our own marks the packet ("meta nftrace set 1") as early as can be, and has
 * empty chains at every hook, so that it is seen to pass even where nobody has a chain.
 *
 * The table belongs to a socket and is gone with it. It neither switches connection tracking on nor
 * changes a packet, and counts in nobody's counters (but those that the packet itself would).
 * Hooks that are not nftables' (iptables-legacy, BPF, IPVS) are not seen; what they drop is missing
 * from the next of our own chains on.
 */
struct nftrace;

/** What to follow. */
struct nftrace_config {
    struct peer_addr peer, target;
    uint8_t protocol;         /* IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP, IPPROTO_ICMPV6 */
    uint16_t peer_port, port; /* TCP, UDP */
    uint16_t icmp_id;         /* ICMP echo */
    char device[IF_NAMESIZE]; /* where the packet comes in, for its ingress hook */
};

enum { NFTRACE_FDS = 2, NFTRACE_NAME = 128, NFTRACE_TEXT = 256 };

/** Opens the sockets that nftrace_new takes, in the namespace of the calling thread. 0 or
 *  -errno. */
int nftrace_open(int ret_fds[NFTRACE_FDS]);
/**
 * Takes `fds` over, on failure too, and begins to trace. -EPERM, -EOPNOTSUPP (no nftables), with
 * text.
 */
int nftrace_new(const int fds[NFTRACE_FDS], const struct nftrace_config *config,
                struct nftrace **ret_nftrace, struct peer_error *error);
struct nftrace *nftrace_free(struct nftrace *nftrace);

/** The hooks in the order of a packet's way. */
enum nftrace_hook {
    NFTRACE_INGRESS,
    NFTRACE_PREROUTING,
    NFTRACE_INPUT,
    NFTRACE_FORWARD,
    NFTRACE_OUTPUT,
    NFTRACE_POSTROUTING,
    NFTRACE_EGRESS,
    NFTRACE_NO_HOOK, /* a chain that others jump to */
};
const char *nftrace_hook_text(enum nftrace_hook hook);

/** A chain of the namespace. */
struct nftrace_chain {
    uint8_t family; /* NFPROTO_* */
    char table[NFTRACE_NAME], name[NFTRACE_NAME];
    enum nftrace_hook hook;
    int32_t priority;
    char type[16]; /* "filter", "nat", "route" */
    bool drops;    /* policy drop */
};
/** "ip", "inet", ...: the family of a table as nft(8) writes it. */
const char *nftrace_family_text(uint8_t family);

enum nftrace_verdict {
    NFTRACE_ACCEPT,
    NFTRACE_DROP,
    NFTRACE_CONTINUE, /* the rule matched and let it go on */
    NFTRACE_JUMP,
    NFTRACE_GOTO,
    NFTRACE_RETURN,
    NFTRACE_QUEUE,
    NFTRACE_STOLEN,
    NFTRACE_OTHER,
};
const char *nftrace_verdict_text(enum nftrace_verdict verdict);

enum nftrace_type {
    NFTRACE_HEADER,   /* the packet as a chain got it; decides nothing */
    NFTRACE_RULE,     /* a rule that matched */
    NFTRACE_POLICY,   /* the end of a base chain */
    NFTRACE_RETURNED, /* the end of a chain that was jumped to */
};

struct nftrace_event {
    enum nftrace_type type;
    bool back;       /* a packet to the peer; else the traced packet itself */
    bool ours;       /* of a chain that only observes */
    uint64_t serial; /* 0, 1, ...: of the message among all that came to our socket */
    uint32_t id;     /* of the packet */
    struct nftrace_chain chain;
    enum nftrace_verdict verdict;
    char target[NFTRACE_NAME]; /* of JUMP and GOTO */
    uint64_t handle;           /* of the rule */
    int iif, oif;              /* 0: none */
    uint32_t mark;             /* the packet's, as the chain or rule left it */
    bool has_packet;           /* the following are known */
    struct peer_addr src, dst;
    uint8_t protocol;
    uint16_t sport, dport; /* ICMP: type and code */
    uint8_t tcp_flags;
};

/**
 * Takes the events that are there, in order, those of our packets only. Never waits. Returns how
 * many; what finds no room is lost and counted in `*ret_lost` (may be NULL). -ENOBUFS: the kernel
 * had to throw some away.
 *
 * Of TCP, the traced packet is the SYN; what follows on the connection is left out.
 */
int nftrace_collect(struct nftrace *nftrace, struct nftrace_event *events, int room,
                    uint64_t *ret_lost);
/**
 * Messages that came so far, those of other people's packets too. As many DROPREASON_NOTICE events
 * of one socket are their times, by `serial`.
 */
uint64_t nftrace_received(const struct nftrace *nftrace);

/** Every base chain of the namespace but our own, by hook and priority. Until `each` is not 0. */
int nftrace_each_chain(struct nftrace *nftrace,
                       int (*each)(void *user, const struct nftrace_chain *chain), void *user);

/**
 * A rule in words, close to nft(8)'s: "tcp dport 80 counter drop comment \"why\"". What has no
 * words here is named in brackets: "[osf]". `ret_rejects` (may be NULL): it answers with an error.
 * 0 or -errno (ENOENT: gone meanwhile), then `buf` is "".
 */
int nftrace_rule_text(struct nftrace *nftrace, const struct nftrace_chain *chain, uint64_t handle,
                      char *buf, size_t room, bool *ret_rejects);

#endif
