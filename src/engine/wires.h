/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef ENGINE_WIRES_H
#define ENGINE_WIRES_H

#include "link/link.h"

/**
 * The peers' wires: two links a peer, made when its first frame comes by, and a plug. Frames are of
 * real size. What arrives is handed to `arrive`, which owns it.
 */
struct wires_ops {
    /** A frame arrives at the end of its link: at the local machine (uplink), at the peers. */
    void (*arrive)(void *user, enum link_direction direction, struct frame *frame,
                   const char *comment);
    /** A frame that will not arrive (dropped by the link), for the capture. */
    void (*lost)(void *user, enum link_direction direction, const struct frame *frame,
                 const char *comment);
};

struct wires;
struct wires_config {
    const struct wires_ops *ops;
    void *user;
    struct timers *timers;
    enum frame_layer layer;
    uint64_t seed;
    struct link_spec specs[2]; /* by enum link_direction */
    bool comments;             /* make comments: they cost a line of text a frame */
};
int wires_new(const struct wires_config *config, struct wires **ret_wires);
void wires_set_comments(struct wires *wires, bool comments);
/** Discards what is under way. NULL is taken. Returns NULL. */
struct wires *wires_free(struct wires *wires);

/** Takes the frame over. Without memory for the wire the frame is lost, and counted. */
void wires_send(struct wires *wires, uint64_t peer, enum link_direction direction,
                struct frame *frame, uint64_t now_ns);
/** From now on, for all peers; what is under way arrives when it was to. */
void wires_set_spec(struct wires *wires, enum link_direction direction,
                    const struct link_spec *spec);
/** Pulls a peer's cable (nothing passes, what was under way is gone), or plugs it in again. */
int wires_unplug(struct wires *wires, uint64_t peer, bool unplugged);
/** Is nothing under way? */
bool wires_are_idle(const struct wires *wires);
/** Discards what is under way to and from a peer. */
void wires_flush(struct wires *wires, uint64_t peer);
/** From now on nothing is lost, changed or doubled; delays and rates stay. */
void wires_spare(struct wires *wires);
bool wires_is_unplugged(const struct wires *wires, uint64_t peer);
const struct link_counters *wires_counters(const struct wires *wires,
                                           enum link_direction direction);
const struct link_spec *wires_spec(const struct wires *wires, enum link_direction direction);

#endif
