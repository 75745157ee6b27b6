/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PEER_PEER_H
#define PEER_PEER_H

/**
 * libpeer: remote machines beside a Linux host, in one process.
 *
 * A `peer_net` is a TUN or TAP device, a userspace TCP/IP stack behind it, and the peers that live
 * there: emulated remote machines with addresses of their own. Flows from peers to applications on
 * this host (peer/flow.h) are real TCP connections and UDP flows to those applications.
 *
 * Conventions
 *  - Threads: none are made, but for the last of peer_net_free. One thread at a time may use a
 *    peer_net; there is one peer_net in a process (the stack's state is global: a second peer_net_new
 *    is -EBUSY).
 *  - The library is passive: it prints nothing, handles no signals, and works only while it is
 *    called: peer_net_wait() or peer_net_poll(), then take events. Or, from a loop of your own: poll
 *    peer_net_fd() for reading, call peer_net_dispatch(), take events.
 *  - Errors: functions return 0 or a count, or -errno. Where a person can mend it, a `struct
 *    peer_error` gets one line in words. Outputs come last and are untouched on failure.
 *    peer_strerror() has a text for what is returned. Some mean the same everywhere:
 *      -ECHILD   the net is another process's: see Fork
 *      -EBADFD   the device is gone, and every flow with it: PEER_EVENT_CLOSED has told, or will.
 *                peer_net_free is all that is left to do
 *      -ENETUNREACH the target was taken from this machine (without `allow_forward`); likewise
 *      -EOWNERDEAD, -ENODEV  likewise, since somebody killed a process that helps, or the card went;
 *                peer_net_pop_notice has the words
 *      -EINTR    a signal came while waiting; nothing was done
 *      -ENOMEM   nothing was changed
 *  - What happens on the network is never an error of a function: it is an event.
 *  - Ownership: x_new/x_free; free takes NULL and returns NULL. Strings and addresses given in are
 *    copied. Flows belong to the caller until peer_flow_free.
 *  - Zero is the default in every config struct. Units are in the names; times are nanoseconds of
 *    CLOCK_MONOTONIC, `deadline`/`at` absolute, `timeout`/`delay` relative.
 *  - Growth: a struct that one side gives the other may get more fields at its end, never elsewhere.
 *    The functions with `_sized` at their end take how much of it the caller knows; those without are
 *    inline and pass the size that they were compiled with. The library reads and writes no more than
 *    that. A configuration with something in it that is newer than the library is refused: -E2BIG.
 *    A struct that one of them points to (peer_workload) begins with its size.
 *    Structs inside of others (peer_link_stats, peer_latency...), peer_error and addresses stay as
 *    they are. Enums may get more values: expect one that is not known.
 *    Until 1.0 all else may change with each minor version, and the soname changes then.
 *  - Copies: any struct that was filled may be copied and kept. Strings in it live as is said there.
 *  - Freeing a flow from an event is fine; further events of it that are queued are dropped.
 *  - Fork: a net is of the process that made it. In a forked child every call for it returns -ECHILD
 *    (NULL, false, 0 where no error can be returned), and the functions that free only close and free
 *    what the child has of it: nothing is sent, no device removed, no program ended. A child may make
 *    a net of its own when it has freed (or abandoned) what it inherited.
 *  - Same seed, same choices: ports, sequence numbers, losses, who misbehaves. What kernel and clock
 *    do is not in the seed.
 *  - Whatever way the process ends, the kernel removes device, addresses and routes with it.
 */

#include <peer/addr.h>
#include <peer/error.h>
#include <peer/export.h>
#include <peer/limits.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Version of the library, "0.1.0". */
PEER_EXPORT const char *peer_version(void);
/** A few words for what a function returned: "the device is gone" for -EBADFD. Never NULL. */
PEER_EXPORT const char *peer_strerror(int status);

enum peer_device_kind {
    PEER_TUN, /* routed: the peers are far away, behind a router */
    PEER_TAP, /* Ethernet: the peers are on the local segment, with a MAC and ARP or ND each */
};

/** All strings may be NULL. */
struct peer_net_config {
    enum peer_device_kind kind;
    /** The peers' addresses: ADDR, ADDR/LEN, ADDR-ADDR or a comma list of those. Default: one
     *  free address of 198.18.0.0/15 (RFC 2544) or 2001:2::/48 (RFC 5180), by `family` or target.
     */
    const char *from;
    uint8_t family; /* 4 or 6, when neither `from` nor `target` tells; 0 is 4 */
    /** The address that peers will talk to. Must be an address of this machine (or namespace)
     *  unless allow_forward; family 0: none is known, no check. */
    struct peer_addr target;
    bool allow_forward;  /* also take targets that are not this machine's */
    bool allow_loopback; /* also take 127/8 and ::1, to see such packets get lost */
    const char *mac;     /* of the first peer; the following ones count up */
    uint32_t mtu;        /* 0: 1500, or that of `wire`, which is then the most */
    const char *dev;     /* device name, default "peer%d" */
    const char *local;   /* ADDR[/LEN] to give the local side of the device; in isolation the
                          * target is the default */
    bool local_needed;   /* local programs call peers: give the local side an address when it
                          * has none to call from */
    /** An Ethernet interface of the namespace: the peers are on its wire, by a TAP device. Their
     *  packets arrive as if received by it; answers to them are picked off its way out. Routes stay
     *  as they are. */
    const char *wire;
    bool wire_look; /* only find and judge it: nothing is joined to it, and no packet gets there */
    const char *netns;         /* NAME, PID or PATH of a network namespace for the device */
    /** A fresh network namespace instead, without root a user namespace too: nothing outside is
     *  touched, no privilege needed. peer_net_socket and peer_net_spawn (peer/process.h) put into it
     *  what is to be tested. */
    bool isolate;
    /** For one program, peer_net_start_program: its stdin is empty, its stdout goes to our stderr, it
     *  has no descriptors above 2. Or NULL. */
    char *const *isolate_argv;
    const char *pcap;          /* capture file, "-" for standard output */
    const char *uplink;      /* impairments from the peers to the local side, in tc-netem's words */
    const char *downlink;    /* and the other way, see peer(1); NULL: none */
    uint64_t seed;           /* every random choice derives from it; 0: a random one */
    /** One run in several processes, on this machine or others: this is the `shard`-th (from 0) of
     *  `shards`, 0 or 1 being the whole. It has its slice of `from`, and draws by a seed of its own. A
     *  soak does its part of the flows, requests and rates that it is asked for. See
     *  peer_result_join. */
    uint64_t shard, shards;
    uint64_t max_flows;      /* 0: 2 000 000; beyond it opening is -ENOSPC, callers are refused */
    const char *device_node; /* default /dev/net/tun */
    bool no_offload;         /* frames of real size only, complete checksums */
    bool ecn;                /* connections ask for explicit congestion notification (RFC 3168);
                              * callers that ask are granted it in any case */
    bool frugal;             /* acknowledgements ride on what follows wherever they can: fewer
                              * frames a connection than a Linux machine sends */
    /** A ring of files instead of one: `pcap` is the one that is written, "PATH.1" the one before, and
     *  so on, `pcap_files` in all (0: 10), each of so many bytes at the most and a capture by itself.
     *  0: one file. At least 128 KiB. Another process writes them, and renames them at the turn: nobody
     *  waits for the disk, and it goes on after peer_confine. */
    uint64_t pcap_rotate_bytes;
    uint32_t pcap_files;
    /** More than 1: so many processes have the peers, each with a queue of the device, an engine and its
     *  part of them, and this process has no flows of its own. They begin with a soak, of whose flows,
     *  requests and rates each has a part, and end with it; its result is one. Or they move the packets of
     *  programs (peer/exec.h), or do work of yours (peer/work.h). PEER_WORKERS_MOST at the most. When one
     *  is killed a notice tells. A soak ends then as by peer_soak_stop, and its result is what the others
     *  found: see `workers_lost` of struct peer_result_part. When all are, and with other work at once:
     *  -EOWNERDEAD. */
    unsigned workers;
    const char *worker_cpus; /* "0-3,8": worker i runs on the i-th of these, and again from the first;
                              * NULL: where this process may */
};

enum { PEER_WORKERS_MOST = 128 };
/** As many workers as there are processors for this process: its affinity and the quotas of its
 *  control groups allow so many. At least 1. */
PEER_EXPORT unsigned peer_count_cpus(void);
/** How many peers `from` of a configuration names. 0, -EINVAL or -ENOMEM. */
PEER_EXPORT int peer_count_addresses(const char *from, uint64_t *ret_count);

struct peer_net;

/**
 * Makes the device and brings it up, with routes to the peers.
 *
 * Actionable errors (all with text):
 *  -EINVAL  a string in the config is wrong; -ENOENT, -ESRCH, -ENODEV it names a namespace,
 *           process, directory or interface that is not there (kind USAGE)
 *  -ENETUNREACH the target is no address of this machine, or answers to the peers would not leave
 *           by the wire; -EADDRINUSE a `from` address is taken, routed already, or on the wire a
 *           gateway or a neighbour that the kernel knows; -ENETDOWN the wire is down; -EPERM,
 *           -EACCES, -ENOENT (device node), -EBUSY (device name taken, the wire is a port of a
 *           bridge, or a second peer_net in this process)  (kind MACHINE)
 */
PEER_EXPORT int peer_net_new_sized(const struct peer_net_config *config, size_t size,
                                   struct peer_net **ret_net, struct peer_error *error);
static inline int peer_net_new(const struct peer_net_config *config, struct peer_net **ret_net,
                               struct peer_error *error)
{
    return peer_net_new_sized(config, sizeof(*config), ret_net, error);
}
/**
 * The orderly way to the end: 1 when the end of every flow has crossed its link and the other side
 * has it, or when it has been waited for long enough (some seconds, and the delay of the links); 0:
 * not yet, so wait and dispatch for some 10 ms and ask again. Flows that nobody has closed are reset
 * by the first call. Then peer_net_free, which may also come earlier.
 */
PEER_EXPORT int peer_net_leave(struct peer_net *net);
/**
 * Ends every flow with a reset, so that nothing stays half-open at the local side, and removes the
 * device, even when a child has inherited its descriptor. Flows, listeners and processes not yet
 * freed become invalid. Programs are ended, all at once (SIGTERM, then SIGKILL after their grace, 2 s):
 * one that ignores SIGTERM may be waited for so long. Else this takes some milliseconds: the device,
 * its name and routes are gone when it is back, and what the kernel still does (some 20 ms) is left to
 * a thread with all signals blocked, which ends by itself. A process that is confined waits for it.
 */
PEER_EXPORT struct peer_net *peer_net_free(struct peer_net *net);
/**
 * For a child that was forked: closes and frees all that it has of the net, and touches nothing that is
 * its parent's, as peer_net_free does there. In the net's own process it is as if that had been killed:
 * nothing more is sent; device and programs go. Takes NULL, returns NULL.
 */
PEER_EXPORT struct peer_net *peer_net_abandon(struct peer_net *net);

/**
 * For a loop of your own: a descriptor that is readable when peer_net_dispatch has something to do.
 * It is made by the first call (-errno when that fails), and from then on each frame costs a little
 * more than it does with the waiting calls below. It is the net's: never read it, never close it.
 * With EPOLLET call peer_net_dispatch once after each of your own calls for flows, too, and take
 * events until there are none.
 */
PEER_EXPORT int peer_net_fd(const struct peer_net *net);
/** Does what there is to do and returns without waiting: 0, or -EBADFD (at once, each time) when the
 *  device is gone: take the events that are left, then peer_net_free. */
PEER_EXPORT int peer_net_dispatch(struct peer_net *net);
/** Waits (at most `timeout_ns`, UINT64_MAX: for ever) and dispatches. -EINTR after a signal. */
PEER_EXPORT int peer_net_wait(struct peer_net *net, uint64_t timeout_ns);
/**
 * The same, and returns too when one of `fds` (at most 7) is ready, as poll(2) says in their
 * `revents`. After -EINTR these are 0. While what is waited for has been coming within some 50 us,
 * both calls look for it for that long before they sleep.
 */
struct pollfd;
PEER_EXPORT int peer_net_poll(struct peer_net *net, struct pollfd *fds, size_t count,
                              uint64_t timeout_ns);
/**
 * The next line, for a person, about what happened to this machine meanwhile: the device is down, is
 * up again and its routes are back, has another MTU, a helper process was killed. NULL when there is
 * none; valid until the next call and the next dispatch.
 */
PEER_EXPORT const char *peer_net_pop_notice(struct peer_net *net);
/** Now, as the library sees it. */
PEER_EXPORT uint64_t peer_net_now_ns(const struct peer_net *net);

/** Starts the program of isolate_argv. -EINVAL when there is none, -EALREADY the second time. Errors
 *  of execve with text. For more than one see peer_net_spawn. */
PEER_EXPORT int peer_net_start_program(struct peer_net *net, struct peer_error *error);
/** 1 and its wait status when the program has ended, else 0. */
PEER_EXPORT int peer_net_program_ended(struct peer_net *net, int *ret_status);
/**
 * Is somebody listening at (addr, port) of the namespace? 1, 0 or -errno. `protocol` is
 * IPPROTO_TCP or IPPROTO_UDP: else -EPROTONOSUPPORT. -EAFNOSUPPORT: the peers' family is another.
 */
PEER_EXPORT int peer_net_has_listener(struct peer_net *net, int protocol,
                                      const struct peer_addr *addr, uint16_t port);

/**
 * Are packets of a peer to `addr` for this machine (for the namespace)? 1, 0 or -errno. The kernel
 * is asked; what it says stands for a second. No loopback address is: peers are other machines.
 */
PEER_EXPORT int peer_net_is_local(struct peer_net *net, const struct peer_addr *addr);

/** How the local kernel finds the MACs of peers on TAP: its neighbour table is small. */
enum peer_neighbours {
    PEER_NEIGHBOURS_ASK,       /* by ARP and ND, which every peer answers */
    PEER_NEIGHBOURS_PERMANENT, /* more peers than the table takes: entries that do not count */
    PEER_NEIGHBOURS_GATEWAY,   /* still more: the first peer is the gateway of all */
};

/**
 * Changes all links from now on; NULL leaves a direction as it is. -EINVAL with text. Frames have
 * real size from the first impairment on.
 */
PEER_EXPORT int peer_net_set_link(struct peer_net *net, const char *uplink, const char *downlink,
                                  struct peer_error *error);
/** Pulls a peer's cable, or plugs it in again. -EADDRNOTAVAIL, -ENOMEM. */
PEER_EXPORT int peer_net_unplug(struct peer_net *net, const struct peer_addr *peer, bool unplugged);
PEER_EXPORT bool peer_net_is_unplugged(struct peer_net *net, const struct peer_addr *peer);

/** Named links. */
struct peer_link_profile {
    const char *name, *uplink, *downlink, *about;
};
/** The `index`-th profile: 1, or 0 when there are no more. Strings live as long as the program. */
PEER_EXPORT int peer_link_profile_sized(size_t index, struct peer_link_profile *ret_profile,
                                        size_t size);
static inline int peer_link_profile(size_t index, struct peer_link_profile *ret_profile)
{
    return peer_link_profile_sized(index, ret_profile, sizeof(*ret_profile));
}

/** What came out of the config. Strings live as long as the net. */
struct peer_net_info {
    const char *device;
    enum peer_device_kind kind;
    uint32_t mtu; /* now */
    struct peer_addr first_peer;
    struct peer_mac first_mac; /* TAP only */
    struct peer_mac local_mac; /* TAP only */
    const char *wire;          /* the interface whose wire the peers are on, or NULL */
    bool wire_filters;         /* by filters of tc, since eBPF is not permitted or not there */
    uint64_t peers;            /* how many addresses */
    struct peer_addr local;    /* given to the local side, or family 0 */
    enum peer_neighbours neighbours;
    uint64_t seed;
    bool offload;  /* super-segments both ways */
    pid_t program; /* isolated program, 0 when none runs */
    unsigned workers; /* 0: this process does it all */
    bool steered;     /* a program in the kernel finds the worker of each frame */
};
PEER_EXPORT int peer_net_get_info_sized(const struct peer_net *net, struct peer_net_info *ret_info,
                                        size_t size);
static inline int peer_net_get_info(const struct peer_net *net, struct peer_net_info *ret_info)
{
    return peer_net_get_info_sized(net, ret_info, sizeof(*ret_info));
}
/** The peer at `index`, from 0 on, in the order of `from`. 0, or -ERANGE past the last. */
PEER_EXPORT int peer_net_get_peer(const struct peer_net *net, uint64_t index,
                                  struct peer_addr *ret_addr);

/** What an impaired link did, all peers together. */
struct peer_link_stats {
    uint64_t sent, delivered;
    uint64_t lost;       /* by `loss` */
    uint64_t overflowed; /* by `limit` */
    uint64_t discarded;  /* the cable was pulled */
    uint64_t duplicated, corrupted, reordered, delayed;
    uint64_t delay_mean_ns, delay_max_ns;
    uint64_t queued, queued_max; /* under way now, and the most on one link */
};

/** What the peers did not do, or did otherwise, since more of it was asked than a bound allows. */
struct peer_limit_stats {
    uint64_t half_open;   /* calls answered with a SYN cookie (RFC 4987) */
    uint64_t strangers;   /* calls not answered, in a flood */
    uint64_t icmp_errors; /* not sent */
    uint64_t challenges;  /* segments that do not belong, not answered (RFC 5961, 7) */
    uint64_t fragments;   /* packets given up, some of whose fragments were there */
    uint64_t unread;      /* segments and datagrams dropped, nobody having read those before */
    uint64_t gaps;        /* segments dropped that were behind a gap */
    uint64_t unacknowledged; /* writes that had to wait, too much being unacknowledged in all */
    uint64_t neighbours;     /* TAP: ARP that was not remembered, or not asked for */
};

/** Counters since the start. */
struct peer_net_stats {
    uint64_t frames_sent, frames_received; /* by the peers; super-segments count once */
    uint64_t bytes_sent, bytes_received;
    uint64_t frames_ignored; /* for no address of ours, or of no use to a peer */
    uint64_t frames_bad;     /* broken headers or checksums */
    uint64_t send_drops;     /* not taken by the device */
    uint64_t device_drops;   /* FULL_RING: what the kernel dropped because we read too late */
    uint64_t flows;          /* open now */
    uint64_t flows_refused;  /* callers refused by max_flows */
    uint64_t retransmits;    /* segments the peers sent again */
    struct peer_limit_stats limits;
    struct peer_link_stats uplink, downlink;
    /* Of the capture that runs, or of the last one. */
    int pcap_error; /* 0, or -errno that ended the capture; a ring goes on when it can */
    uint64_t pcap_frames;  /* of the capture so far, */
    uint64_t pcap_dropped; /* and those of them that its reader (of a pipe, or who writes the ring)
                            * did not take in time, or a full disk not at all */
    uint64_t frames_passed; /* with workers: came to another than their own, which had them from it */
    uint64_t cpu_left_ns; /* with workers: how long they kept off processors that others filled; of two
                           * for a second, two seconds */
};
PEER_EXPORT int peer_net_get_stats_sized(struct peer_net *net, struct peer_net_stats *ret_stats,
                                         size_t size);
static inline int peer_net_get_stats(struct peer_net *net, struct peer_net_stats *ret_stats)
{
    return peer_net_get_stats_sized(net, ret_stats, sizeof(*ret_stats));
}
/**
 * Captures all frames into a file of pcapng from now on, "-" for standard output: one file a test,
 * say. A capture that runs is ended first. Errors of open(2) with text; -EPERM after peer_confine.
 */
PEER_EXPORT int peer_net_start_capture(struct peer_net *net, const char *path,
                                       struct peer_error *error);
/**
 * Ends the capture, if there is one: waits for the reader of a pipe, up to five seconds, and up to
 * one in which he takes nothing. The file is complete and its counters are final then; peer_net_free
 * does it too. 0, or -errno: what ended the capture before.
 */
PEER_EXPORT int peer_net_end_capture(struct peer_net *net);

/**
 * Resolves "HOST" (numeric or a name) to an address; `family` 4, 6 or 0 for any. Blocks in the
 * resolver for names. -EINVAL or -ENOENT with text.
 */
PEER_EXPORT int peer_resolve(const char *host, uint8_t family, struct peer_addr *ret_addr,
                             struct peer_error *error);
/** All addresses of a host in the resolver's order, `most` (1 or more) at the most: the count, or
 *  an error as above. */
PEER_EXPORT int peer_resolve_all(const char *host, uint8_t family, struct peer_addr *addrs,
                                 int most, struct peer_error *error);

#ifdef __cplusplus
}
#endif

#include <peer/flow.h>
#include <peer/tls.h>
#include <peer/event.h>
#include <peer/process.h>

#endif
