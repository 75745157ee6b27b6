/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_SIMNET_H
#define TESTS_SIMNET_H

#include "engine/engine.h"
#include "packet/parse.h"
#include "stack/stack.h"

/**
 * A network in virtual time, in one process. One engine holds all peers; what they send comes out
 * of a device in memory and, when it is for another peer, goes back into the same device after a
 * delay, unless the test decides otherwise. So both ends of a connection are ours. What is for
 * nobody here is kept for the test, which plays the rest of the world (craft.h).
 *
 * Time stands still while something happens and jumps to the next timer or arrival. Nothing depends
 * on anything but the configuration and the seed.
 *
 * There is one simnet at a time, as there is one stack. A test ends with simnet_end; a test that
 * left before (a check failed) has its last frames printed by simnet_teardown.
 */
struct simnet;

/** A frame as the test's `fate` sees it. */
struct simnet_frame {
    uint64_t number; /* from 1, in the order of leaving */
    uint64_t at_ns;
    const uint8_t *data;
    uint32_t len;
    struct frame_offload offload;
    struct packet packet;
};

struct end;

struct simnet_config {
    const char *peers; /* as addr_set_parse takes them */
    enum frame_layer layer;
    const char *broadcast; /* of the local side's subnet; may be NULL */
    uint32_t mtu;      /* 0: 1500 */
    bool offload;      /* super-segments, incomplete checksums */
    bool frugal, ecn;  /* see struct stack_config */
    uint64_t delay_ns; /* one way; 0: 1 ms */
    uint64_t late_ns;  /* a busy machine: every turn comes so long after what it is for */
    uint64_t seed;     /* 0: from PEER_TEST_SEED, or 1 */
    uint64_t max_flows;
    /** How many copies arrive (0: lost), and when: `*delay_ns` may be changed. NULL: one. */
    unsigned (*fate)(void *user, const struct simnet_frame *frame, uint64_t *delay_ns);
    /** An end was made, and nothing of it sent yet: may give its flow a watch or a filter. */
    void (*dress)(void *user, struct end *end);
    uint64_t handshake_ns; /* of end_connect; 0: until the stack gives up */
    void *user;
};

struct simnet *simnet_new(const struct simnet_config *config);
/** Frees all and checks that nothing is left of it (frames, lwIP's pools). Returns NULL. */
struct simnet *simnet_end(struct simnet *net);
/** For cmocka: after a test that failed, prints the last frames and the seed, and frees. */
int simnet_teardown(void **state);
/** The same without cmocka. */
void simnet_print_log(const struct simnet *net);

struct engine *simnet_engine(struct simnet *net);
struct stack *simnet_stack(struct simnet *net);
uint64_t simnet_now_ns(const struct simnet *net);
uint64_t simnet_seed(const struct simnet *net);
/** Frames that left so far, and a hash over all of them and their times. */
uint64_t simnet_frames(const struct simnet *net);
uint64_t simnet_hash(const struct simnet *net);
/** What happens next: an arrival or a timer; TIMER_NEVER for nothing. */
uint64_t simnet_next_ns(const struct simnet *net);

/** Runs until `done` (may be NULL) says so: true; false at `deadline_ns` or when nothing happens
 *  any more. */
bool simnet_run(struct simnet *net, bool (*done)(void *user), void *user, uint64_t deadline_ns);
/** Runs for so long. */
void simnet_run_for(struct simnet *net, uint64_t ns);

/** A frame reaches the peers now; the answers can be taken when it returns. */
void simnet_put(struct simnet *net, const void *data, size_t len,
                const struct frame_offload *offload);
/** The oldest frame that left for nobody here; valid until the next call. False for none. */
bool simnet_take(struct simnet *net, struct simnet_frame *ret_frame);
/** Throws away what could be taken. */
void simnet_forget(struct simnet *net);

/** ---- ends of flows ---- */

/**
 * One end of a flow that sends a pattern and compares what it receives with the pattern that the
 * other end sends. It does by itself what its fields tell it to, which may be changed at any time
 * (then call end_pump).
 */
struct end {
    struct flow flow; /* first */
    struct simnet *net;
    struct list node;
    uint64_t to_send, sent, received;
    uint32_t send_phase, receive_phase; /* where in the pattern the two begin */
    size_t read_most;     /* bytes taken at a time, 0: all; SIZE_MAX: none, reading rests */
    size_t write_most;    /* bytes of a single write, 0: as many as fit */
    bool shut_when_sent;  /* FIN after the last byte */
    bool close_when_done; /* flow_close after the last byte and the other side's FIN */
    bool echo;            /* sends back what comes in, instead of the pattern */
    bool drop_when_ended; /* the memory goes back by itself */
    bool wrong;           /* something else came in than was sent */
    unsigned events;      /* all so far */
    uint64_t open_ns, readable_ns, eof_ns, end_ns; /* when, 0: not yet */
    int icmp_type, icmp_code;
    enum peer_end how; /* once ended */
    /* With `on_event` it does nothing by itself but drop_when_ended: that function has the script. */
    void (*on_event)(struct end *end, unsigned events);
    void (*on_timer)(struct end *end); /* see end_wait */
    void (*on_release)(struct end *end);
    void *user;
    size_t own_bytes; /* of the script's, see end_own */
    struct timer timer;
};

struct simnet_counts {
    uint64_t open, ended, closed; /* ends: handshake done, over, over in order */
    uint64_t wrong;
    uint64_t bytes; /* received and right */
};
struct simnet_counts simnet_counts(const struct simnet *net);

/** Starts a connection or UDP flow; `from_port` 0 is chosen. NULL fails the test. */
struct end *end_connect(struct simnet *net, uint8_t protocol, const char *from, uint16_t from_port,
                        const char *to, uint16_t to_port);
/** The same, by an end like `*like` (copied now). */
struct end *end_connect_like(struct simnet *net, const struct end *like, uint8_t protocol,
                             const char *from, uint16_t from_port, const char *to,
                             uint16_t to_port);
/** Peers accept at `port`; each caller becomes an end like `*like` (copied now; NULL: all zero). */
struct stack_listener *simnet_listen(struct simnet *net, uint8_t protocol, uint16_t port,
                                     const struct end *like);
/** The end that was accepted last, NULL for none. */
struct end *simnet_accepted(struct simnet *net);
/** Writes and reads what there is to write and read. */
void end_pump(struct end *end);
/** The script's own bytes behind the end, zero at first. */
void *end_own(struct end *end);
/** on_timer is called after so long; what was waited for before is forgotten. */
void end_wait(struct end *end, uint64_t delay_ns);
/** Gives the memory back (a flow that is open is reset). */
void end_free(struct end *end);
bool end_is_over(void *end);
bool end_is_open(void *end);

struct peer_addr simnet_addr(const char *text);

/** Results of pings, oldest first. */
bool simnet_take_ping(struct simnet *net, struct stack_icmp *ret_icmp);

#endif
