/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * With thousands of connections nearly every frame is for one whose memory has left the caches, and
 * each step from the table to the segment that is acknowledged is a pointer to more of it: bucket,
 * connection, control block, segment, pbuf. To wait for each in turn takes longer than the work. So
 * the engine lets a few frames wait while it reads the next ones, each read being a system call,
 * and the memory comes meanwhile, one link of the chain a step.
 *
 * Nothing is remembered of a connection but its hash, and each step finds it anew: the frames
 * before this one may have ended it.
 */
#include "stack/internal.h"

enum { LARGE_CONNS = 1024, LINE_BYTES = 64 };

bool stack_is_large(const struct stack *stack)
{
    return stack->stats.conns >= LARGE_CONNS;
}

static void fetch(const void *memory, size_t bytes)
{
    for (size_t at = 0; at < bytes; at += LINE_BYTES)
        __builtin_prefetch((const char *)memory + at);
}

static struct stack_conn **bucket_of(const struct stack *stack, uint32_t hash)
{
    return &stack->table[hash >> (32 - stack->table_bits)];
}

/* The one with this hash is the one that is meant, nearly always. */
static const struct tcp_pcb *pcb_of(const struct stack *stack, uint32_t hash)
{
    const struct stack_conn *conn = *bucket_of(stack, hash);

    while (conn && conn->hash != hash)
        conn = conn->hash_next;
    return conn && conn->protocol == IPPROTO_TCP ? conn->pcb : NULL;
}

uint32_t stack_prefetch_begin(const struct stack *stack, const struct frame *frame)
{
    struct packet packet;

    if (packet_parse(frame->data, frame->len, stack->layer, &packet) < 0 ||
        packet.kind != PACKET_TCP || !stack->table_used)
        return 0;
    struct stack_tuple tuple = {.local = packet.dst,
                                .remote = packet.src,
                                .local_port = packet.dst_port,
                                .remote_port = packet.src_port};
    uint32_t hash = table_hash(stack, IPPROTO_TCP, &tuple);
    __builtin_prefetch(bucket_of(stack, hash));
    return hash;
}

void stack_prefetch(const struct stack *stack, uint32_t hash, int step)
{
    const struct tcp_pcb *pcb;

    if (!hash || !stack->table_used)
        return;
    if (step == 1) { /* with what its owner has behind it */
        fetch(*bucket_of(stack, hash), 2 * sizeof(struct stack_conn));
        return;
    }
    pcb = pcb_of(stack, hash);
    if (!pcb)
        return;
    const struct tcp_seg *seg = pcb->unacked;
    if (step == 2)
        fetch(pcb, sizeof(*pcb));
    else if (step == 3)
        fetch(seg, sizeof(*seg));
    else if (step == 4 && seg)
        fetch(seg->p, sizeof(*seg->p));
    else if (step == 5 && seg && seg->p)
        fetch(seg->p->next, sizeof(*seg->p));
}
