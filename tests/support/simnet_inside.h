/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SIMNET_INSIDE_H
#define SIMNET_INSIDE_H

/* What the parts of the simulated network share. */
#include "simnet.h"

enum {
    LOG_LINES = 400,
    LOG_BYTES = 120,
    AT_ONCE = 512,
    PATTERN_PRIME = 1048573,
    PHASE_OF_SERVERS = 777,
    INBOX_MOST = 65536
};

struct parcel {
    struct list node;
    uint64_t at_ns;
    uint32_t len;
    struct frame_offload offload;
    uint8_t bytes[];
};

struct log_line {
    uint64_t at_ns, number;
    uint32_t len, kept;
    char fate; /* '>' passes, 'x' lost, '2' twice, '<' put by the test, '.' for nobody */
    uint8_t bytes[LOG_BYTES];
};

struct ping_node {
    struct list node;
    struct stack_icmp icmp;
};

struct listen_like {
    struct list node;
    struct stack_listener *listener;
    struct end like;
};

struct simnet {
    struct simnet_config config;
    struct addr_set peers;
    struct engine *engine;
    struct device *far;
    struct frame_pool frames;
    uint64_t now_ns, seed, numbers, hash;
    struct list way;   /* parcels under way, by arrival */
    struct list inbox; /* for nobody here */
    size_t inbox_count;
    struct parcel *taken;
    struct list ends, listeners, pings;
    struct end *accepted;
    struct simnet_counts counts;
    struct log_line *log;
    uint64_t log_count;
    bool trace;       /* PEER_TEST_TRACE: every frame is printed at once */
    uint8_t *pattern; /* twice PATTERN_PRIME; NULL: nobody asked yet */
};

/** simnet.c: memory or the end of the program; what ends send. */
void *simnet_need(void *memory);
const uint8_t *simnet_pattern(struct simnet *net);

/** simnet_end.c: an end whose flow is to be initialised with simnet_end_ops; `like` may be NULL. */
struct end *simnet_end_new(struct simnet *net, const struct end *like);
extern const struct flow_ops simnet_end_ops;

#endif
