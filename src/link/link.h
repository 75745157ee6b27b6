/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef LINK_LINK_H
#define LINK_LINK_H

#include "base/timer.h"
#include "link/flight.h"
#include "link/spec.h"

/**
 * One direction of one peer's wire: frames go in with link_send and come out by a callback, late,
 * changed, twice or not at all, as the spec says.
 *
 * What happens to a frame depends on the seed and on how many frames were sent before it, and on
 * nothing else: not on the time, nor on what other links do. The exceptions lie in the spec itself:
 * a full queue depends on when frames come, and so does a delay by `rate`.
 *
 * Frames must be of real size (segment_split): a super-segment on a link that is not clear is a bug
 * of the caller.
 *
 * Where it differs from netem:
 *   - CORRELATION: with that probability the random number of the packet before is used again. So
 *     `loss 10% 25%` loses 10 %, and neighbours correlate by 25 %. netem mixes the two numbers,
 *     which draws all of them to the middle and loses hardly anything (its manual advises against).
 *   - a duplicate is lost, delayed and corrupted by itself; in netem, loss of a packet that is
 *     duplicated cancels the duplicate.
 *   - `corrupt` changes what is above the IP header only, where a checksum can tell. Frames without
 *     that (ARP) pass unharmed.
 *   - pareto has mean and standard deviation as said, of a Pareto distribution of shape 3 that is
 *     cut at its 99.9th percentile, 11 jitters above the delay; netem's table is cut at 4.
 */

enum link_outcome {
    LINK_PASSED,    /* delivered, or on its way */
    LINK_LOST,      /* dropped by `loss` */
    LINK_OVERFLOW,  /* dropped since `limit` packets were held */
    LINK_NO_MEMORY, /* dropped, and not by the spec */
};

/** What was decided about one frame. */
struct link_fate {
    uint64_t number;     /* of the packet on this link, from 0; a duplicate has the same */
    uint64_t delay_ns;   /* from sending to its time of arrival */
    uint32_t corrupt_at; /* offset in the frame of the byte that was changed */
    uint8_t corrupt_bit; /* 0 to 7 */
    uint8_t outcome;     /* enum link_outcome */
    bool duplicate;      /* this is the copy */
    bool corrupted;
    bool reordered; /* by `reorder`: it did not wait */
};

/** May be shared by several links. sent + duplicated = delivered + all kinds of loss + queued. */
struct link_counters {
    uint64_t sent, sent_bytes;
    uint64_t delivered, delivered_bytes;
    uint64_t lost, overflowed, no_memory;
    uint64_t discarded; /* under way when the link was flushed or ended */
    uint64_t duplicated, corrupted, reordered, delayed;
    uint64_t delay_sum_ns; /* of `delayed` */
    uint64_t delay_max_ns;
    uint64_t queued;     /* under way now */
    uint64_t queued_max; /* the most that were under way on one link */
};

struct link;

/** What many links have in common. It outlives them. */
struct link_host {
    struct timers *timers;
    enum frame_layer layer;
    void *user;
    /**
     * A frame arrives; it is the callee's now. Called from within link_send when nothing delays
     * it, or else when the link's timer fires, `now_ns` being that call's. It may send on any link,
     * but must not end this one. `fate` is gone after the call.
     */
    void (*deliver)(void *user, struct link *link, struct frame *frame,
                    const struct link_fate *fate, uint64_t now_ns);
    /**
     * Or NULL. Told within link_send of each frame, copies too, once its fate is decided: before it
     * is dropped or delivered. The frame is as it will arrive.
     */
    void (*note)(void *user, struct link *link, const struct frame *frame,
                 const struct link_fate *fate);
};

struct link {
    struct timer timer;
    const struct link_host *host;
    const struct link_spec *spec;
    struct link_counters *counters;
    struct flight flight;
    uint64_t key;        /* of its random numbers */
    uint64_t number;     /* packets sent so far */
    uint64_t last_ns;    /* arrival of the latest frame so far, which `rate` queues behind */
    uint64_t rate_rest;  /* what the last division by the rate left, in 1/rate ns */
    uint64_t last_delay; /* random numbers of the packet before, for correlations */
    uint32_t last_loss, last_duplicate, last_corrupt, last_reorder;
    uint32_t since_reorder; /* packets that waited since one did not */
    bool bad;               /* the state of gemodel */
};

struct link_config {
    /* These outlive the link and may be shared. */
    const struct link_host *host;
    const struct link_spec *spec;
    struct link_counters *counters;
    /* These make its random numbers its own. */
    uint64_t seed, peer_index;
    enum link_direction direction;
};
void link_init(struct link *link, const struct link_config *config);
/** Discards what is under way. A second time is harmless. */
void link_done(struct link *link);
/** Discards what is under way and goes on: the cable was pulled. */
void link_flush(struct link *link);
/**
 * From now on; what is under way arrives when it was to. The packet numbers go on. A spec that many
 * links share may also be overwritten in place: then gemodel and gap start from where they are.
 */
void link_set_spec(struct link *link, const struct link_spec *spec);

/** Takes the frame over. */
void link_send(struct link *link, struct frame *frame, uint64_t now_ns);

static inline uint32_t link_queued(const struct link *link)
{
    return link->flight.count;
}

/** Room for the longest text, with the terminating zero. */
enum { LINK_FATE_TEXT = 512 };

/**
 * For the capture: "dropped: loss 2%", "duplicate, delayed 51.2ms", "" for a frame that just
 * passed. `spec` is the one the fate was decided by. Returns `buf`.
 */
const char *link_fate_format(const struct link_fate *fate, const struct link_spec *spec,
                             char buf[LINK_FATE_TEXT]);

#endif
