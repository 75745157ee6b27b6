/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef ENGINE_ENGINE_H
#define ENGINE_ENGINE_H

#include "device/device.h"
#include "engine/wait.h"
#include "engine/wires.h"
#include "flow/flow.h"
#include "packet/pcapng.h"
#include "stack/conn.h"

/**
 * Joins device, stack and flows, and is the only code that waits and the only reader of the clock.
 *
 * One iteration:
 *   1. the clock is read;
 *   2. frames are read from the device, each given to the stack with the time of its reading; when
 *      one has completed a handshake the connection's owner hears of it at once;
 *   3. the clock is read again, and timers that are due fire;
 *   4. the stack's events are delivered to the flows' owners, who write, close, connect;
 *   5. again from 2 while the device has more, up to a limit;
 *   6. flows that were given up are released.
 * What the stack sends in any of these steps is written to the device at once: the kernel runs its
 * receive path in that call. When more than one frame was read, what is sent waits, in its order, for
 * the end of step 4 (outbox.h). The clock is read before each write.
 *
 * With a device that has no descriptor (tests), engine_step takes the time as an argument.
 */
struct engine;

struct engine_config {
    struct device *device;        /* owned by the engine from now on, also on error */
    const struct addr_set *peers; /* outlives the engine */
    struct peer_mac first_mac;
    struct peer_addr broadcast; /* see struct stack_config, as any_mac */
    bool any_mac;          /* see struct stack_config */
    struct pcapng *pcapng; /* owned likewise; may be NULL */
    uint64_t seed;
    uint64_t max_flows;
    bool real_size;            /* only frames of real size, with complete checksums */
    bool frugal, ecn;          /* see struct stack_config */
    struct link_spec links[2]; /* by enum link_direction; clear: no wires, nothing is split */
    /** A caller of a listener: zeroed memory with a flow that was given to flow_init_accepted, or
     *  NULL to refuse. */
    struct flow *(*accept)(void *user, struct stack_listener *listener,
                           const struct stack_tuple *tuple);
    void (*ping)(void *user, const struct stack_icmp *icmp);
    void *user;
    uint64_t now_ns; /* start of virtual time; used when the device has no descriptor */
};

int engine_new(const struct engine_config *config, struct engine **ret_engine);
/** For a process that was forked from the engine's: before engine_free, so that this touches nothing
 *  that both have. The device must be silent. */
void engine_abandon(struct engine *engine);
/** Resets all flows, then closes the device. Returns NULL. */
struct engine *engine_free(struct engine *engine);

/**
 * `look` is called between two iterations soon after `fd` is readable: at once when the engine
 * sleeps, within some 20 ms when it is busy. It reads what is there, or takes the watch away; what
 * it returns below 0 is returned by the waiting calls. At most WAIT_WATCHED_MAX: -ENOSPC.
 */
int engine_watch(struct engine *engine, int fd, int (*look)(void *user), void *user);
void engine_unwatch(struct engine *engine, int fd);
/** For a device with two descriptors: this is waited for as the first is. 0 or -errno. Not beside a
 *  transit. */
int engine_wait_too(struct engine *engine, int fd);
/** The local side has another MAC (TAP), the device another MTU, from now on. */
void engine_set_local_mac(struct engine *engine, const struct peer_mac *mac);
void engine_set_mtu(struct engine *engine, uint32_t mtu);

/**
 * A descriptor that is readable when engine_dispatch has something to do, for loops of others. Made
 * when it is first asked for, since every frame that comes costs a little more from then on.
 * -errno when that fails.
 */
int engine_fd(struct engine *engine);
/**
 * To be called after what is done to flows between two iterations: engine_fd becomes readable, and
 * engine_wait returns, in time for what that left to do (a retransmission, an event). `now`: at
 * once.
 */
void engine_touch(struct engine *engine, bool now);
/** One iteration, no waiting. 0 or -errno (the device is gone). */
int engine_dispatch(struct engine *engine);
/**
 * Waits until something is due, one of `fds` (at most WAIT_FDS_MAX) is ready as in poll(2), or
 * `timeout_ns` have passed, and does one iteration. 0 or -errno; -EINTR after a signal, with no
 * iteration and all `revents` 0.
 */
int engine_wait(struct engine *engine, struct pollfd *fds, size_t count, uint64_t timeout_ns);
/** One iteration at a given time (virtual). */
int engine_step(struct engine *engine, uint64_t now_ns);
/** When the next timer is due, or TIMER_NEVER. */
uint64_t engine_next_ns(struct engine *engine);

/**
 * Transit: who moves packets of other devices to and from peers' addresses, past the stack. Frames
 * for peers are offered to it when they arrive at the end of their link; what it does not take is
 * the stack's. One in an engine, for its life.
 */
struct engine_transit {
    /** True: it has the frame now. It may send. */
    bool (*arrive)(void *user, struct frame *frame);
    /** Moves what has come by the other devices, some ROUND_FRAMES of it: how many, or -errno, which
     *  the iteration returns. Called in each round of an iteration. */
    int (*move)(void *user);
    void *user;
    int fd; /* waited for as the device is: readable when `move` has something to do */
};
/** NULL: none any more. 0 or -errno. */
int engine_set_transit(struct engine *engine, const struct engine_transit *transit);
/** Sends a frame of a peer as the stack's are sent: by its link, cut to real size where that has to
 *  be, and through the capture. */
void engine_send(struct engine *engine, uint64_t peer, const struct frame_parts *parts);
/** For frames that are read from elsewhere. */
struct frame_pool *engine_frames(struct engine *engine);

/** The wires, made when they are first asked for: from then on frames are split to real size. NULL
 *  without memory. */
struct wires *engine_wires(struct engine *engine);

/** Is every flow over, and nothing of them under way on a wire? But for peers whose cable is pulled. */
bool engine_is_quiet(struct engine *engine);
/**
 * Resets flows, by their wires: those that are not closing, or all. What is under way to and from
 * their peers is discarded first, and from then on wires lose nothing. Those whose cable is pulled
 * stay.
 */
void engine_reset_flows(struct engine *engine, bool all);

/** The device is gone: what is open now ends so. */
void engine_lose_flows(struct engine *engine);
/** Nothing goes to that address from now on: flows to it end so, frames are dropped. There is room for
 *  ENGINE_BARRED addresses; one more takes the place of the first. */
enum { ENGINE_BARRED = 8 };
void engine_bar(struct engine *engine, const struct peer_addr *addr);
bool engine_is_barred(const struct engine *engine, const struct peer_addr *addr);
void engine_unbar(struct engine *engine, const struct peer_addr *addr);

/** Secrets of TLS may come from now on: the capture is ready to put them before their frames. */
void engine_expect_secrets(struct engine *engine);
/** Does a capture run? */
bool engine_captures(const struct engine *engine);
/** One of them, as a line of a key log without its line break. */
void engine_note_secret(struct engine *engine, const char *line);
/** Waits for whoever reads the capture: a second when he takes nothing, five seconds in all. Frames
 *  that he has not taken then are dropped, and all that come later. */
void engine_end_capture(struct engine *engine);
/** The descriptor of the capture, -1: there is none. */
int engine_capture_fd(const struct engine *engine);
/** The capture as it is, which is the caller's then; NULL: there is none. */
struct pcapng *engine_take_capture(struct engine *engine);
/** Ends the capture, likewise, and begins another one, which is the engine's then; NULL: none. */
void engine_set_capture(struct engine *engine, struct pcapng *pcapng);

/** The time of this iteration. */
uint64_t engine_now_ns(const struct engine *engine);
/** Reads the clock first: for what begins between two iterations. */
uint64_t engine_now_fresh_ns(struct engine *engine);
/** Unix time by the clock on the wall; in virtual time that is `now`. */
uint64_t engine_wall_ns(const struct engine *engine);
struct stack;
struct stack *engine_stack(struct engine *engine);
struct flows *engine_flows(struct engine *engine);
struct timers *engine_timers(struct engine *engine);
struct device *engine_device(struct engine *engine);

struct engine_stats {
    uint64_t frames_sent, frames_received, bytes_sent, bytes_received;
    uint64_t spun_ns; /* of processor time: see wait.h */
    struct link_counters links[2]; /* by enum link_direction; zero without wires */
    int pcap_error;
    uint64_t pcap_frames, pcap_dropped;
};
void engine_get_stats(const struct engine *engine, struct engine_stats *ret_stats);

#endif
