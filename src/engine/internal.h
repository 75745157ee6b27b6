/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef ENGINE_INTERNAL_H
#define ENGINE_INTERNAL_H

#include "engine/capture.h"
#include "engine/engine.h"
#include "engine/outbox.h"

#include <time.h>

enum { ROUND_FRAMES = 64 }; /* that are read before others have a turn */

struct watch {
    int fd;
    int (*look)(void *user);
    void *user;
};

struct engine {
    struct device *device;
    struct capture capture;
    bool has_secrets; /* of TLS may come, which belong before frames of the capture */
    struct frame_pool frames;
    struct timers timers;
    struct stack *stack;
    struct flows flows;
    struct outbox *outbox; /* NULL before the first use */
    bool real_size;
    struct wires *wires;
    uint64_t seed;
    const struct addr_set *peers;
    uint64_t sender; /* of what is being split for its wire */
    bool clocked;    /* reads the clock itself */
    bool touched;    /* something is to be done at once */
    struct waiter waiter;
    struct watch watches[WAIT_WATCHED_MAX];
    int watch_count;
    uint64_t look_ns; /* when to look at them */
    struct engine_transit transit; /* zeroed: none */
    struct peer_addr barred[ENGINE_BARRED]; /* see bars.c */
    unsigned barred_count;
    uint64_t now_ns;
    struct flow *(*accept)(void *user, struct stack_listener *listener,
                           const struct stack_tuple *tuple);
    void (*ping)(void *user, const struct stack_icmp *icmp);
    void *user;
    struct engine_stats stats;
};

/* engine.c */
void engine_set_now(struct engine *engine, uint64_t now_ns);
/** Time as it is now. */
void engine_refresh_now(struct engine *engine);
uint64_t engine_clock_ns(clockid_t clock);

/** Frames wait from now on, until engine_send_put_off. */
void engine_put_off(struct engine *engine);
void engine_send_put_off(struct engine *engine);

/* bars.c */
/** Does this frame go to one of the barred addresses? */
bool bars_stop(const struct engine *engine, const struct frame_parts *parts);

/* receive.c */
/** Reads some ROUND_FRAMES from the device and works on them; returns how many or -errno. */
int receive_frames(struct engine *engine);
/** A frame that has crossed its link, for the transit or the stack. */
void receive_frame(struct engine *engine, struct frame *frame, uint64_t read_ns);

#endif
