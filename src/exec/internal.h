/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef EXEC_INTERNAL_H
#define EXEC_INTERNAL_H

#include "exec/exec.h"

#include "exec/bits.h"

enum { TARGETS_MOST = 256 };
enum { QUOTE_BYTES = 128 }; /* of a packet, kept for an error about it: headers and more */

struct crew;
struct exec {
    struct engine *engine;
    struct rewrite *rewrite;
    const struct addr_set *peers;
    struct peer_mac first_mac;
    struct device **devices;
    unsigned side_count;
    struct crew *crew; /* NULL: this process is alone */
    int ready; /* epoll descriptor of several devices; -1: one device, or none to wait for */
    struct frame *frame;          /* the one that is read into, again and again */
    struct exec_manners *manners; /* NULL: none */
    struct bits used, silent;     /* peers that had a flow; that have vanished */
    struct peer_addr targets[TARGETS_MOST]; /* of flows: the latest ones */
    unsigned target_count, target_turn;
    uint64_t look_ns; /* when to ask about them again */
    uint64_t prohibited, send_drops;
    bool (*allowed)(void *user, const struct peer_addr *to);
    void (*refused)(void *user, unsigned side, const struct peer_addr *to);
    void (*crowded)(void *user, int status);
    void *user;
};

/** A packet as it lies in a frame of the engine's device or of a program's. */
struct exec_packet {
    uint8_t *data;
    uint32_t len;
    struct frame_offload *offload; /* csum_start and hdr_len count from `data` - `before` */
    uint16_t before;
};
/** As `peer`'s. */
void exec_send(struct exec *exec, uint64_t peer, const struct exec_packet *packet);

/* crew.c */
int crew_new(struct exec *exec, const struct exec_config *config);
void crew_free(struct exec *exec);
/** Its own part of a side's peers, as it counts them; and does it read that side's device? */
struct rewrite_side crew_slice(const struct exec_config *config, unsigned side);
bool crew_reads(const struct crew *crew, unsigned side);
int crew_fd(const struct crew *crew);
/** A packet that was read from the program `side`: false, it is this process's own. */
bool crew_pass(struct exec *exec, unsigned side, struct frame *frame);
/** Some must wait until others take more: nothing is to be read. Tries once more. */
bool crew_waits(struct exec *exec);
/** One that another has read, into the frame: 1 and its side, or 0. */
int crew_take(struct exec *exec, struct frame *frame, unsigned *ret_side);
uint64_t crew_passed(const struct crew *crew);

/* manners.c */
int manners_new(struct exec *exec, const struct exec_config *config);
void manners_free(struct exec *exec);
/** A new flow: does it misbehave? */
void manners_begun(struct exec *exec, struct rewrite_flow *flow);
void manners_ended(struct exec *exec, struct rewrite_flow *flow);
/** Sends a packet of a flow that may misbehave. */
void manners_send(struct exec *exec, struct rewrite_flow *flow, const struct exec_packet *packet);
/** Does the flow get this packet? `quote` is how it began before it was rewritten. */
bool manners_receive(struct exec *exec, struct rewrite_flow *flow, const struct exec_packet *packet,
                     const uint8_t quote[QUOTE_BYTES]);
uint64_t manners_begun_count(const struct exec *exec);

#endif
