/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef STACK_INTERNAL_H
#define STACK_INTERNAL_H

/*
 * Shared by the files of src/stack, which alone see lwIP. See context.c for the rule that every
 * call into lwIP obeys.
 */

#include "stack/stack.h"

#include "base/macro.h"
#include "packet/checksum.h"
#include "packet/parse.h"

#include "lwip/opt.h"
#include "lwip/ip.h"
#include "lwip/netif.h"
#include "lwip/pbuf.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/tcp.h"
#include "lwip/udp.h"

#include <errno.h>
#include <netinet/in.h>

enum {
    STACK_TICK_NS = 2 * TCP_TMR_INTERVAL * 1000000, /* lwIP's coarse tick */
    STACK_RTO_MIN_TICKS = 20, /* 200 ms, as Linux: more than a round trip */
    STACK_BEGUN_TICK = 1,     /* the first tick of a wait may be over at once */
    STACK_RTO_UNKNOWN_TICKS = 300, /* 3 s after a SYN was sent again (RFC 6298, 5.7) */
    STACK_RTO_MAX_TICKS = 12000,                    /* 120 s, as Linux */
    STACK_DELAYED_ACK_TICKS = 4,                    /* 40 ms, as Linux */
    STACK_QUICK_ACKS = 16, /* at the start of a connection, as Linux */
    STACK_SYN_LINEAR = 4,       /* SYNs again, each after 1 s, before that doubles, as Linux */
    STACK_FACTS_MSS_MIN = 64,
    STACK_MSS_MIN = 48, /* whatever the SYN says, as Linux (tcp_min_snd_mss) */
    STACK_SYN_RCVD_TICKS = 6290, /* just before a 6th SYN-ACK again, at 63 s (tcp_synack_retries) */
    STACK_HALF_OPEN_CROWD = 512,
    STACK_FIN_WAIT_2_TICKS = 6000, /* 60 s, as Linux (tcp_fin_timeout) */
    STACK_TIME_WAIT_MAX = 32768,
};

/* stack_conn.flags */
enum {
    CONN_PASSIVE = 1 << 0,   /* came by a listener */
    CONN_OPEN = 1 << 1,      /* the handshake was done */
    CONN_TIME_WAIT = 1 << 2, /* has no owner any more, freed by the stack */
    CONN_REAL_SIZE = 1 << 3, /* no super-segments */
    CONN_SHUT = 1 << 4,      /* we sent or will send FIN */
    CONN_RTT_RUNS = 1 << 5,
    CONN_ACK_WAITS = 1 << 6,  /* a delayed acknowledgement, since ack_tick */
    CONN_PERSISTS = 1 << 7,   /* the persist timer runs, since probe_tick */
    CONN_ACK_HELD = 1 << 8,   /* see output.c */
    CONN_MANNERED = 1 << 9,   /* conn->manners has a say: see misbehave.c */
    CONN_VANISHED = 1 << 10,  /* nothing goes out, nothing comes in */
    CONN_UNPLUGGED = 1 << 11, /* and its machine answers nothing else either */
    CONN_RESENT = 1 << 12,    /* something was sent again, until resent_end is acknowledged */
    CONN_MAY_FRAGMENT = 1 << 13, /* routers may cut its packets */
    CONN_COPIES = 1 << 15, /* what its owner writes is copied */
    CONN_MSS_FALLS = 1 << 14,    /* segment_bytes shrank, lwIP's mss has not yet */
};
/* stack_conn.ecn: see ecn.c */
enum {
    ECN_ASKS = 1 << 0,
    ECN_ON = 1 << 1,
    ECN_ECHOES = 1 << 2,
    ECN_REDUCED = 1 << 3,
};
/* A bit of stack_conn.events that is no event: an acknowledgement is held. */
enum { STACK_HELD = 1 << 7 };

struct stack_listener {
    struct list node;
    struct peer_addr at; /* family 0: any */
    uint16_t port;
    uint8_t protocol;
    void *user;
    struct tcp_pcb *pcb4, *pcb6; /* TCP: one for each family */
    uint16_t id;                 /* in stack_conn.listener_id; 0: none was left */
    uint32_t half_open;          /* its callers that have not acknowledged yet */
    uint64_t deserted_second;
    uint32_t deserted, deserted_before; /* of them, gone in that second and in the one before */
    uint64_t cookies;                   /* calls answered and forgotten: see syncookie.c */
    uint64_t unheard;                   /* calls not answered: see siege.c */
};

/* What a connection does wrong. See misbehave.c. */
struct manners {
    unsigned mangle;        /* STACK_MANGLE_* */
    uint32_t window_most;   /* UINT32_MAX: no limit */
    uint32_t withheld;      /* bytes of the receive window that lwIP is not told of */
    uint16_t segment_most;  /* 0: no limit */
    uint16_t segment_whole; /* segment_bytes without that limit, 0 while not open */
    uint32_t sent_nxt;      /* snd_nxt when it vanished */
};

/* See ports.c. As many turns of TCP ports as tell the peers of a usual run apart. */
enum { PORT_TURNS = 16384 };
struct port_hint {
    uint64_t key, removals;
    size_t full; /* ranges */
};

/* See answer.c. */
enum { ANSWER_BUCKETS = 256 };
struct answer_bucket {
    uint64_t key;
    uint32_t credit_ms, since_ms;
};

/* What the options of a segment tell. */
struct tcp_news {
    struct {
        uint32_t left, right;
    } blocks[4]; /* SACKed, above what is acknowledged */
    uint8_t block_count;
    bool duplicate; /* what begins at duplicate_seq arrived twice */
    uint32_t duplicate_seq;
    bool congested; /* something of ours was marked on its way, of `flight` bytes under way */
    uint32_t flight;
    bool reopened; /* what was sent beyond `edge` was refused, and the window has grown since */
    uint32_t edge;
    bool has_echo;
    uint32_t echo_ms; /* our time that it answers, without the connection's offset */
};

enum { SIEGE_KNOWN = 256 }; /* callers whose address is known to be answered from */

enum { PIECE_COUNTS = 64 }; /* peers of the same remainder share one */

struct stack {
    const struct stack_ops *ops;
    void *user;
    enum frame_layer layer;
    uint16_t mtu;
    const struct addr_set *peers;
    struct peer_mac first_mac, local_mac;
    struct peer_addr broadcast; /* of the local side's subnet, or family 0 */
    bool any_mac;
    bool super_segments, udp_segments, frugal, ecn;
    uint16_t burst_segment; /* of the burst of datagrams that is being sent, 0: none */
    struct frame_pool *frames;
    struct timers *timers;
    uint64_t max_conns;

    uint64_t now_ns, utc_ahead_ns;
    uint64_t arrival_ns; /* when the frame that is worked on was read */
    uint32_t now_tick;
    uint8_t timer_calls; /* mirrors lwIP's 8-bit counter of timer calls */
    uint64_t isn_key[2], table_key[2], port_key[2];
    uint64_t answer_key[2], clock_key[2], id_key[2], cookie_key[2];
    uint32_t ts_offset; /* of the clock that lwIP reads: sys_now */
    uint16_t ip_id; /* counts what output_ip_id gave */
    bool echoes;    /* an echo request is answered, with the traffic class echo_class */
    uint8_t echo_class;
    uint64_t random;
    uint32_t port_turn; /* UDP */
    uint32_t port_turns[PORT_TURNS];

    struct netif netif;
    uint64_t peer;              /* whom the netif is at the moment */
    bool call_asks_ecn;         /* the call that lwIP answers just now */
    struct stack_conn *current; /* whose lists lwIP has at the moment */
    struct stack_conn *opened;  /* by the frame that was worked on last: on the ready list */
    struct tcp_news news;       /* of the segment that is worked on, see recovery.c */
    bool arp_answered;          /* what waited for it leaves, of connections that are not current */
    bool receiving;             /* a frame for `current` is worked on */
    bool progress;              /* and it brought something that the owner will hear of */
    struct stack_conn **table;
    uint32_t table_bits;
    uint64_t table_used, table_removals;
    struct port_hint port_hints[256];
    struct answer_bucket targets[ANSWER_BUCKETS], machines[ANSWER_BUCKETS];

    struct list listeners, ready, time_wait;
    uint16_t listener_turn;
    struct list ghosts;              /* of connections that vanished: see misbehave.c */
    uint64_t ghost_count, unplugged; /* the latter: connections and ghosts with CONN_UNPLUGGED */
    bool floods;                     /* stack_syn was called */

    /* syncookie.c */
    uint64_t half_open;   /* callers of all listeners that have not acknowledged yet */
    uint32_t cookie_unit; /* when the last was sent */
    bool cookies_out;
    const uint32_t *cookie; /* what lwIP is told for its initial number, NULL: nothing */
    netif_output_fn spoken4;
    netif_output_ip6_fn spoken6;

    /* siege.c */
    uint64_t known_callers[SIEGE_KNOWN]; /* hashes of addresses; 0: free */
    uint64_t strangers_ms;               /* the millisecond that the next two are of */
    uint32_t strangers, strangers_again;
    struct siege_memory *siege; /* NULL: there is none */

    uint64_t held_bytes, queued_bytes, piece_bytes[PIECE_COUNTS]; /* see hold.c, pieces.c */

    /* neighbour.c */
    uint64_t neighbour_second; /* of which the next is */
    uint32_t neighbours;
    uint64_t askers_ms; /* likewise */
    uint32_t askers;

    struct timer housekeeping;
    struct frame *reassembled; /* left by raw_input for stack_input */

    struct list pings; /* results that stack_deliver hands out */
    struct stack_stats stats;
};

/** The one stack of the process: lwIP's callbacks carry no context. */
extern struct stack *stack_singleton;

/* context.c */
void context_identity(struct stack *stack, uint64_t peer);
void context_enter(struct stack *stack, struct stack_conn *conn);
void context_leave(struct stack *stack);
void context_timer_fire(struct timer *timer, uint64_t now_ns);
void conn_mark(struct stack *stack, struct stack_conn *conn, unsigned events);
void conn_set_timer(struct stack *stack, struct stack_conn *conn, uint64_t deadline_ns);
void time_wait_free(struct stack *stack, struct stack_conn *conn);

/* news.c */
/** Adds what the options of a TCP header of `header` bytes tell. */
void news_read(struct tcp_news *news, const struct tcp_pcb *pcb, const uint8_t *tcp,
               uint32_t header);

/* rtt.c */
/** A round trip was timed. */
void conn_take_rtt(struct stack_conn *conn, uint64_t rtt_ns);
/** How often an RTO struck since something was acknowledged. */
int rtt_timeouts(const struct tcp_pcb *pcb);
/** CONN_RESENT, and something up to `ack` is acknowledged: stack->news is of that segment, which
 *  lwIP has not seen yet. */
void rtt_resent_acked(const struct stack *stack, struct stack_conn *conn, uint32_t ack);

/* table.c */
uint32_t table_hash(const struct stack *stack, uint8_t protocol, const struct stack_tuple *tuple);
int table_reserve(struct stack *stack);
void table_add(struct stack *stack, struct stack_conn *conn, uint32_t hash);
void table_remove(struct stack *stack, struct stack_conn *conn);
struct stack_conn *table_find(const struct stack *stack, uint8_t protocol,
                              const struct stack_tuple *tuple);
struct stack_listener *listener_find(const struct stack *stack, uint8_t protocol,
                                     const struct stack_tuple *tuple);
/** NULL: it listens no more. */
struct stack_listener *listener_by_id(const struct stack *stack, uint16_t id);

/* ports.c */
/** By how much the timestamps of a connection differ from the time (RFC 7323, 5.4). */
uint32_t clock_offset(const struct stack *stack, const struct stack_tuple *tuple);
int port_choose(struct stack *stack, uint8_t protocol, struct stack_tuple *tuple);

/** TTL and traffic class of its control block. */
void conn_apply_facts(const struct stack_conn *conn);

/* output.c */
err_t output_init(struct netif *netif);
void output_apply_segment_size(struct stack *stack, struct stack_conn *conn);
void output_held_ack(struct stack *stack, struct stack_conn *conn);
/** A netif's outputs while lwIP is to say nothing: what it sends is taken and not sent. */
err_t output_nowhere4(struct netif *netif, struct pbuf *p, const ip4_addr_t *to);
err_t output_nowhere6(struct netif *netif, struct pbuf *p, const ip6_addr_t *to);
/** What lwIP must believe to be the MTU for a packet of `bytes` in all, when it is `mtu`. */
uint16_t output_mtu(uint16_t mtu, uint8_t family, uint32_t bytes);
/** An IPv4 identification for what belongs to no connection. */
uint16_t output_ip_id(struct stack *stack, const struct peer_addr *from,
                      const struct peer_addr *to);
/** IPv6: what the flow label of a TCP connection is made of (ip_id), and that of a packet which
 *  stands in one piece behind its header. */
uint16_t output_flow_id(const struct stack *stack, const struct stack_tuple *tuple);
void output_flow_label(const struct stack *stack, uint8_t *ip);

/* shape.c: as Linux writes them */
enum { SHAPE_SYN_BYTES = 14 + IP6_HLEN + TCP_HLEN + 40 };
/** The window of a SYN for segments of `mss` bytes: so many as fit into 64 KiB. */
uint16_t shape_syn_window(uint32_t mss);
/** A copy of the SYN in `p`, whose IP header is at `at`, made of `copy` and `bytes`
 *  (SHAPE_SYN_BYTES); lwIP's own stays as it is, since it may have to be sent again. */
struct pbuf *shape_syn(const struct stack *stack, struct pbuf *p, uint32_t at, struct pbuf *copy,
                       uint8_t *bytes);
void shape_reset(const struct stack *stack, uint8_t *tcp);
/** An acknowledgement or a reset. A window that has shrunk below what is under way ends before the
 *  next number, with which they would be refused: they have the last one that is not. */
void shape_bare(const struct stack_conn *conn, uint8_t *tcp);

/* recovery.c: losses are repaired. Between enter and leave, but for the last two. */
void recovery_read(struct stack *stack, struct stack_conn *conn, const uint8_t *tcp,
                   uint32_t header, uint32_t payload);
void recovery_leave(struct stack *stack, struct stack_conn *conn);
void recovery_timer(struct stack *stack, struct stack_conn *conn);
/** When recovery_timer is to be called, or TIMER_NEVER. */
uint64_t recovery_due_ns(const struct stack *stack, const struct stack_conn *conn);
/** Before lwIP looks for an RTO: what is to be sent again and what is under way in one order. */
void recovery_sort(struct tcp_pcb *pcb);
void recovery_free(struct stack_conn *conn);
/** What is under way is sent again, though nothing is wrong. Not the last two. */
void recovery_resend(struct stack *stack, struct stack_conn *conn);

/* reopen.c */
/** Where the window ends, at the most: windows are rounded to their scale, but for none at all. */
static inline uint32_t reopen_edge(const struct tcp_pcb *pcb)
{
    return pcb->lastack + pcb->snd_wnd + (pcb->snd_wnd ? (1u << pcb->snd_scale) - 1 : 0);
}
/** That was before what is under way when a segment came, which lwIP has seen since: if the window
 *  has grown stack->news may become `reopened`. */
void reopen_note(struct stack *stack, struct stack_conn *conn, uint32_t edge);

/* collapse.c */
/** Before an RTO: small segments that are under way become as few as they can be. */
void collapse_all(struct stack_conn *conn);
/** Does what is not a full packet wait for an acknowledgement? */
bool collapse_waits(const struct stack_conn *conn);

/* ecn.c */
/** Does a call ask for it? `ip`: its packet. */
bool ecn_is_asked(const struct packet *packet, const uint8_t *ip);
/** conn->ecn is not 0 and lwIP is about to see a segment: stack->news may become `congested`. */
void ecn_read(struct stack *stack, struct stack_conn *conn, const struct frame *frame,
              const struct packet *packet);
/** The congestion window shrank. */
void ecn_note_reduced(struct stack_conn *conn);
/** A segment leaves, of stack->current or as an answer to a call. `is_new`: never sent before. */
void ecn_write(const struct stack *stack, uint8_t *ip, uint8_t *tcp, uint32_t payload, bool is_new,
               struct frame_offload *offload);

/* old.c */
enum old_verdict {
    OLD_NOT,
    OLD_SILENT, /* drop it */
    OLD_WORD,  /* drop it; an acknowledgement now and then is answer enough */
    OLD_BYTES, /* drop and acknowledge it */
};
/** Is a segment for a connection with timestamps too old? May change its timestamp. */
enum old_verdict old_by_timestamp(const struct stack *stack, const struct stack_conn *conn,
                                  uint8_t *tcp, const struct packet *packet);
/** Big-endian machines: a TCP header of `header` bytes as lwIP reads it; the last look at it. */
void old_suit_lwip(uint8_t *tcp, uint32_t header);
/** A SYN or RST for a connection in TIME-WAIT: OLD_NOT if it ends that. */
enum old_verdict old_in_time_wait(const struct stack_conn *conn, uint8_t *tcp,
                                  const struct packet *packet);

/* tcp.c */
struct stack_conn *tcp_adopt(struct stack *stack, struct stack_listener *listener,
                             const struct stack_tuple *tuple);

/* window.c */
/** lwIP says that the handshake is done. */
void window_start(const struct stack *stack, struct stack_conn *conn);
/** `len` bytes were taken. */
void window_opens(struct stack *stack, struct stack_conn *conn, size_t len);
/** `len` bytes came behind a gap. */
void window_gap(struct stack_conn *conn, size_t len);
/** tcp_close, which would reset a connection whose window is not lwIP's largest. Between enter and
 *  leave. */
void window_close(struct stack_conn *conn);

/* udp.c */
struct stack_conn *udp_adopt(struct stack *stack, struct stack_listener *listener,
                             struct stack_tuple *tuple);

/* icmp.c */
/** Before lwIP sees a packet that stack_icmp_input left, whose header is at `ip`. */
void icmp_before_echo(struct stack *stack, uint8_t *ip);
bool stack_icmp_input(struct stack *stack, const struct frame *frame, const struct packet *packet);
void icmp_deliver(struct stack *stack, int *count);
void icmp_done(struct stack *stack);

/* cross.c: between enter and leave, before and after lwIP sees a segment of a handshake. */
/** May change it; whether cross_after is wanted. */
bool cross_before(const struct stack_conn *conn, uint8_t *tcp, const struct packet *packet);
void cross_after(const struct stack *stack, uint32_t seq, uint16_t window);

/* path.c */
/** A packet of this connection was too big for a router that takes `mtu`. */
void path_too_big(struct stack *stack, struct stack_conn *conn, uint8_t family, uint32_t mtu);
/** TCP: is the byte that an ICMP error quotes under way? */
bool path_is_quoted(const struct stack_conn *conn, uint32_t seq);
/** Does this ICMP error end a handshake? */
bool path_is_fatal(uint8_t family, uint8_t type, uint8_t code);

/* input.c */
void input_init(struct stack *stack);
/** Something is there that ages in seconds. */
void input_housekeep(struct stack *stack);
/** A packet for the peer that the netif is; consumes the frame. */
void input_packet(struct stack *stack, struct frame *frame, struct packet *packet);
/** To lwIP's IP layer, the lists being in place; what is kept of it counts there. Consumes it. */
void input_run_ip(struct stack *stack, struct frame *frame, const struct packet *packet,
                  uint64_t *charged);
/** A TCP segment or datagram for that peer; consumes the frame. */
void input_transport(struct stack *stack, struct frame *frame, const struct packet *packet);
void input_done(struct stack *stack);

/* hold.c: what is kept, in bytes of memory. */
/** The frame from `at` on as a pbuf that counts in `*charged` while it is there; consumes it. */
struct pbuf *hold_frame(struct stack *stack, struct frame *frame, uint32_t at, uint64_t *charged);
/** Memory of a received pbuf (without those behind it). */
uint32_t hold_bytes(struct pbuf *p);
/** Whether `p` was put into `tail`, and is no more. */
bool hold_joins(struct pbuf *tail, struct pbuf *p);
/** TCP: are bytes that begin at `seq` not to be taken, too much being held already? */
bool hold_refuses(struct stack *stack, const struct stack_conn *conn, uint32_t seq);
/** TCP: counts what is queued to be sent, as it is now. */
void hold_queue(struct stack *stack, struct stack_conn *conn);
/** TCP: how many bytes may be queued still. */
uint32_t hold_queue_room(const struct stack *stack, const struct stack_conn *conn);

/* pieces.c */
/** A fragment for the peer that the netif is; consumes the frame. */
void pieces_input(struct stack *stack, struct frame *frame, struct packet *packet);
/** A second has gone by; whether there is something incomplete. */
bool pieces_age(struct stack *stack);
void pieces_done(struct stack *stack);
/** Of memory that they take. */
uint64_t pieces_bytes(const struct stack *stack);

/* neighbour.c: TAP, IPv4 */
/** A request of ours leaves. */
void neighbour_asked(struct stack *stack);
err_t neighbour_output(struct netif *netif, struct pbuf *p, const ip4_addr_t *to);
/** ARP for the peer that the netif is; whether that was all. May change the frame. */
bool neighbour_input(struct stack *stack, struct frame *frame, const struct packet *packet);

/* broadcast.c */
/** Whether the frame, which is for no peer, was a datagram for everybody and somebody listens. */
bool broadcast_input(struct stack *stack, const struct frame *frame, const struct packet *packet);

/* misbehave.c */
/** Whether a connection that is about to be freed must stay silent; its tuple. */
bool manners_remember(struct stack_conn *conn, struct stack_tuple *ret_tuple);
/** It was freed: a ghost takes its place. */
void manners_haunt(struct stack *stack, const struct stack_conn *conn,
                   const struct stack_tuple *tuple);
void manners_ghost_gone(struct stack *stack, struct stack_conn *ghost);
void manners_ghost_reset(struct stack *stack, const struct stack_conn *ghost);
bool manners_peer_is_gone(const struct stack *stack, uint64_t peer);
/** `len` bytes were taken; false when lwIP is to be told as usual. */
bool manners_window_opens(struct stack *stack, struct stack_conn *conn, size_t len);
void manners_before_close(struct stack_conn *conn);
void manners_after_open(struct stack_conn *conn);
void manners_done(struct stack *stack, struct stack_conn *conn);

/* mangle.c */
bool manners_output(struct stack *stack, const struct pbuf *p, uint64_t peer,
                    const struct frame_offload *offload);

/* forge.c */
struct forged_segment {
    struct stack_tuple tuple;
    const uint8_t *mac; /* whose it is to be on TAP; NULL: the local machine's */
    uint32_t seq, ack;
    uint8_t flags, tos;
    uint16_t window; /* as it stands in the header */
    const void *options, *payload;
    uint32_t options_len, payload_len;
};
/** Sends it, unless there is no memory. */
void forge_tcp(struct stack *stack, const struct forged_segment *segment);
struct forged_icmp {
    struct peer_addr from, to;
    const uint8_t *mac; /* likewise */
    uint8_t tos, type, code;
    uint8_t hops; /* 0: as usual */
    uint32_t rest;
    const uint8_t *quote;
    uint32_t quote_len;
};
void forge_icmp(struct stack *stack, const struct forged_icmp *message);
bool forge_swallows(const struct stack *stack, const struct packet *packet);

/* answer.c: what is answered to a packet of no connection, or to its sender. */
void answer_reset(struct stack *stack, const struct frame *frame, const struct packet *packet);
void answer_port_unreachable(struct stack *stack, const struct frame *frame,
                             const struct packet *packet);
/** Some of its pieces never came: `quote` is the beginning of the first one, an IP packet. */
void answer_time_exceeded(struct stack *stack, const uint8_t *quote, uint32_t len);
void answer_unknown_protocol(struct stack *stack, const struct frame *frame,
                             const struct packet *packet);
/** To a neighbour solicitation for the peer that the netif is. */
void answer_solicitation(struct stack *stack, const struct frame *frame,
                         const struct packet *packet);
/** Whether the packet's IPv4 options are such that it is not taken; its sender may be told. */
/** IPv6: the byte `field` of the packet is wrong (RFC 4443, 3.4). */
void answer_bad_field(struct stack *stack, const struct frame *frame, const struct packet *packet,
                      uint32_t field);
bool answer_bad_options(struct stack *stack, const struct frame *frame,
                        const struct packet *packet);

/* syncookie.c */
/** Whether the call was answered, or will not be, and is to be forgotten. */
bool syncookie_answers(struct stack *stack, struct stack_listener *listener,
                       const struct frame *frame, const struct packet *packet,
                       const struct stack_tuple *tuple);
/** The call that an acknowledgement for a listener answers, as a SYN (an IP packet), or NULL. */
struct frame *syncookie_syn(struct stack *stack, const struct frame *frame,
                            const struct packet *packet, const struct stack_tuple *tuple,
                            uint32_t *ret_cookie);
/** While `cookie` is not NULL it is lwIP's initial number, and nothing that lwIP says leaves. */
void syncookie_hush(struct stack *stack, const uint32_t *cookie);
/** A caller has come: it is half-open until one of the next two. */
void syncookie_called(struct stack *stack, struct stack_listener *listener,
                      struct stack_conn *conn);
/** It has acknowledged, or its owner does not want it any more. */
void syncookie_settled(struct stack *stack, const struct stack_conn *conn);
/** It has gone without having been there. */
void syncookie_deserted(struct stack *stack, const struct stack_conn *conn);

/* siege.c */
/** Under pressure: is a call, whose SYN has that number, with options or without, answered? */
bool siege_hears(struct stack *stack, const struct stack_tuple *tuple, uint32_t seq, bool options);
/** A caller of this address has acknowledged an answer: he is there. */
void siege_met(struct stack *stack, const struct peer_addr *caller);
/** Gives back what it remembers when there is no siege any more; whether it still does. */
bool siege_ages(struct stack *stack);
void siege_done(struct stack *stack);

/* convert.c */
void addr_to_lwip(const struct peer_addr *addr, ip_addr_t *ret);
void addr_from_lwip(const ip_addr_t *ip, struct peer_addr *ret);
int errno_from_lwip(err_t error);

static inline struct tcp_pcb *conn_tcp(const struct stack_conn *conn)
{
    return (struct tcp_pcb *)conn->pcb;
}
static inline struct udp_pcb *conn_udp(const struct stack_conn *conn)
{
    return (struct udp_pcb *)conn->pcb;
}

/* A caller whose handshake is not done. */
static inline bool conn_half_open(const struct stack_conn *conn)
{
    return (conn->flags & (CONN_PASSIVE | CONN_OPEN)) == CONN_PASSIVE;
}

/* Has a segment with a header of that size anything to tell recovery.c or rtt.c? A timestamp alone
   takes 12 bytes, a SACK block at least as many. */
static inline bool recovery_wants(const struct stack_conn *conn, uint32_t header)
{
    uint32_t usual = conn_tcp(conn)->flags & TF_TIMESTAMP ? TCP_HLEN + 12 : TCP_HLEN;
    return conn->recovery || header > usual || conn->flags & CONN_RESENT;
}

#endif
