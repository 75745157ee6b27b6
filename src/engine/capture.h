/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef ENGINE_CAPTURE_H
#define ENGINE_CAPTURE_H

#include "packet/pcapng.h"

/** The capture of an engine: all zero is none. */
struct capture {
    struct pcapng *pcapng; /* NULL: none now */
    /* What the last one came to. */
    int error;
    uint64_t frames, dropped;
    int64_t wall_ns; /* what the wall clock is ahead of the engine's time */
    uint64_t wall_next_ns;
    uint64_t kept_ns; /* when capture_begin_round kept anew */
};

/** Takes the wall clock's time, now and then. Call where the engine's time is the clock's. */
void capture_set_wall(struct capture *capture, uint64_t now_ns);
/** A frame at `at_ns` of the engine's time; the rest as pcapng_write. */
void capture_frame(struct capture *capture, uint64_t at_ns, enum pcapng_direction direction,
                   const struct frame_parts *parts, const char *comment);
/** A secret of TLS, as a line of a key log without its line break. */
void capture_secret(struct capture *capture, const char *line);
/** Before frames are read that secrets may follow for: with `hold_ns` those that came earlier than
 *  that are let go, else those of the round before the last. */
void capture_begin_round(struct capture *capture, uint64_t now_ns, uint64_t hold_ns);
/** When it should be flushed again, since its reader was not ready; UINT64_MAX: all is written. */
uint64_t capture_next_ns(const struct capture *capture, uint64_t now_ns);
/**
 * Waits for whoever reads it: a second when he takes nothing, five seconds in all. Frames that he
 * has not taken then are dropped. It is closed then.
 */
void capture_end(struct capture *capture);
/** Of the one that runs, or of the last. */
void capture_get_counts(const struct capture *capture, int *ret_error, uint64_t *ret_frames,
                        uint64_t *ret_dropped);

#endif
