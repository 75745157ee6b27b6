/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Bad manners of a connection, as verbs: what a client does that is badly behaved, badly connected
 * or gone. What they do to frames is in mangle.c, the packets that belong to no connection in
 * forge.c.
 *
 * A connection with manners has a struct of its own for them and the flag CONN_MANNERED; the others
 * pay for one test of a flag. None of this needs to change lwIP: a vanished connection's frames are
 * dropped on both sides of it, a window is limited by keeping a part of it from lwIP (`withheld`),
 * which must be done after the handshake, since lwIP sets the window then.
 *
 * What was cut off must stay silent after its owner has given it up: the application's kernel sends
 * again for a quarter of an hour, and an answer (RST) would tell it that the machine is back. So a
 * vanished connection leaves a ghost: an entry of the table, kept like a TIME-WAIT remainder, that
 * swallows what comes for it. When the stack ends, ghosts are ended with a reset, so that nothing
 * stays half-open at the local side.
 */
#include "stack/internal.h"

#include "base/arena.h"

#include <stdlib.h>

enum { GHOSTS_MAX = 16384, GHOST_MS = 924000 }; /* as long as Linux retries (tcp_retries2) */

static struct manners *manners_of(struct stack_conn *conn)
{
    if (!conn->manners) {
        conn->manners = calloc(1, sizeof(*conn->manners));
        if (conn->manners)
            conn->manners->window_most = UINT32_MAX;
    }
    return conn->manners;
}

static bool is_open_tcp(const struct stack_conn *conn)
{
    return conn->protocol == IPPROTO_TCP && conn->pcb && conn->flags & CONN_OPEN &&
           !(conn->flags & CONN_TIME_WAIT);
}

static void set_flag(struct stack_conn *conn, uint16_t flag, bool on)
{
    conn->flags = (uint16_t)(on ? conn->flags | flag : conn->flags & ~flag);
}

/* CONN_MANNERED says whether the hooks have something to do. */
static void settle(struct stack_conn *conn)
{
    const struct manners *manners = conn->manners;
    bool any = conn->flags & CONN_VANISHED || manners->mangle || manners->segment_most ||
               manners->window_most != UINT32_MAX;

    set_flag(conn, CONN_MANNERED, any);
}

/* ---- ghosts ---- */

static void ghost_add(struct stack *stack, const struct stack_tuple *tuple, uint32_t sent_nxt,
                      uint16_t flags)
{
    struct stack_conn *ghost = NULL;
    struct tcp_pcb *pcb = NULL;

    if (table_reserve(stack) == 0)
        ghost = arena_get_zeroed(sizeof(*ghost));
    if (ghost)
        pcb = tcp_new();
    if (!pcb) {
        arena_put(ghost); /* then the local kernel will hear a reset */
        return;
    }
    addr_to_lwip(&tuple->local, &pcb->local_ip);
    addr_to_lwip(&tuple->remote, &pcb->remote_ip);
    pcb->local_port = tuple->local_port;
    pcb->remote_port = tuple->remote_port;
    pcb->state = TIME_WAIT;
    pcb->snd_nxt = sent_nxt;
    pcb->tmr = stack->now_tick + (uint32_t)(GHOST_MS - 2 * TCP_MSL) / TCP_SLOW_INTERVAL;
    pcb->callback_arg = ghost;
    ghost->pcb = pcb;
    ghost->protocol = IPPROTO_TCP;
    ghost->peer = (uint64_t)addr_set_find(stack->peers, &tuple->local);
    ghost->flags = (uint16_t)(CONN_TIME_WAIT | CONN_VANISHED | (flags & CONN_UNPLUGGED));
    list_add_tail(&stack->ghosts, &ghost->ready);
    table_add(stack, ghost, table_hash(stack, IPPROTO_TCP, tuple));
    conn_set_timer(stack, ghost, stack->now_ns + GHOST_MS * NS_PER_MS);
    stack->ghost_count++;
    stack->unplugged += ghost->flags & CONN_UNPLUGGED ? 1 : 0;
    if (stack->ghost_count > GHOSTS_MAX)
        time_wait_free(stack, list_entry(stack->ghosts.next, struct stack_conn, ready));
}

bool manners_remember(struct stack_conn *conn, struct stack_tuple *ret_tuple)
{
    return conn->flags & CONN_VANISHED && conn->protocol == IPPROTO_TCP &&
           stack_conn_tuple(conn, ret_tuple);
}

void manners_haunt(struct stack *stack, const struct stack_conn *conn,
                   const struct stack_tuple *tuple)
{
    ghost_add(stack, tuple, conn->manners->sent_nxt, conn->flags);
}

/* Takes the place of time_wait_free's books. */
void manners_ghost_gone(struct stack *stack, struct stack_conn *ghost)
{
    stack->ghost_count--;
    stack->unplugged -= ghost->flags & CONN_UNPLUGGED ? 1 : 0;
}

/* The machine is back after all, and knows nothing of the connection. No ACK in it: of a handshake
   that was never finished nothing is known to acknowledge. */
void manners_ghost_reset(struct stack *stack, const struct stack_conn *ghost)
{
    struct forged_segment reset = {.flags = TCP_RST, .seq = conn_tcp(ghost)->snd_nxt};

    if (stack_conn_tuple(ghost, &reset.tuple))
        forge_tcp(stack, &reset);
}

/* ---- the cable ---- */

static int go_silent(struct stack *stack, struct stack_conn *conn, bool silent, bool unplugged)
{
    struct manners *manners = manners_of(conn);
    if (!manners)
        return -ENOMEM;
    if (silent && !(conn->flags & CONN_VANISHED) && conn->protocol == IPPROTO_TCP && conn->pcb)
        manners->sent_nxt = conn_tcp(conn)->snd_nxt;
    if (unplugged != !!(conn->flags & CONN_UNPLUGGED))
        stack->unplugged += unplugged ? 1 : UINT64_MAX;
    set_flag(conn, CONN_VANISHED, silent);
    set_flag(conn, CONN_UNPLUGGED, unplugged);
    settle(conn);
    return 0;
}

int stack_vanish(struct stack *stack, struct stack_conn *conn, bool on)
{
    return go_silent(stack, conn, on, on);
}

int stack_mute(struct stack *stack, struct stack_conn *conn)
{
    return go_silent(stack, conn, true, conn->flags & CONN_UNPLUGGED);
}

/* Called for ARP, ND and ICMP alone, which are rare, so the table may be walked. */
bool manners_peer_is_gone(const struct stack *stack, uint64_t peer)
{
    uint64_t buckets = stack->table ? (uint64_t)1 << stack->table_bits : 0;
    bool gone = false;

    if (!stack->unplugged)
        return false;
    for (uint64_t i = 0; i < buckets; i++) {
        for (const struct stack_conn *conn = stack->table[i]; conn; conn = conn->hash_next) {
            if (conn->peer != peer)
                continue;
            if (conn->flags & CONN_UNPLUGGED)
                gone = true;
            else if (!(conn->flags & CONN_TIME_WAIT))
                return false; /* others still talk to it */
        }
    }
    return gone;
}

/* ---- the receive window ---- */

static void announce(struct tcp_pcb *pcb, uint32_t window)
{
    pcb->rcv_wnd = pcb->rcv_ann_wnd = window;
    tcp_ack_now(pcb);
    (void)tcp_output(pcb);
}

int stack_limit_window(struct stack *stack, struct stack_conn *conn, uint32_t most)
{
    if (!is_open_tcp(conn))
        return -ENOTCONN;
    struct manners *manners = manners_of(conn);
    if (!manners)
        return -ENOMEM;
    struct tcp_pcb *pcb = conn_tcp(conn);
    uint32_t real = pcb->rcv_wnd + manners->withheld;
    uint32_t window = MIN(real, most);

    manners->window_most = most;
    manners->withheld = real - window;
    settle(conn);
    context_enter(stack, conn);
    if (window < pcb->rcv_wnd)
        tcp_free_ooseq(
            pcb); /* it may lie beyond the window now, which lwIP takes for its own bug */
    announce(pcb, window);
    context_leave(stack);
    return 0;
}

uint32_t stack_grant_window(struct stack *stack, struct stack_conn *conn, uint32_t bytes)
{
    struct manners *manners = conn->manners;
    if (!is_open_tcp(conn) || !manners || !MIN(bytes, manners->withheld))
        return 0;
    bytes = MIN(bytes, manners->withheld);
    manners->withheld -= bytes;
    context_enter(stack, conn);
    announce(conn_tcp(conn), conn_tcp(conn)->rcv_wnd + bytes);
    context_leave(stack);
    return bytes;
}

bool manners_window_opens(struct stack *stack, struct stack_conn *conn, size_t len)
{
    struct manners *manners = conn->manners;
    if (manners->window_most == UINT32_MAX)
        return false;
    struct tcp_pcb *pcb = conn_tcp(conn);
    uint32_t room = manners->window_most > pcb->rcv_wnd ? manners->window_most - pcb->rcv_wnd : 0;

    manners->withheld += (uint32_t)len;
    uint32_t grown = MIN(room, manners->withheld);
    manners->withheld -= grown;
    pcb->rcv_wnd += grown;
    /* Not for every byte: when there was none, or half of it is there again. */
    if (grown &&
        (pcb->rcv_ann_wnd == 0 || pcb->rcv_wnd - pcb->rcv_ann_wnd >= manners->window_most / 2)) {
        context_enter(stack, conn);
        announce(pcb, pcb->rcv_wnd);
        context_leave(stack);
    }
    return true;
}

/* lwIP resets instead of closing when its window is not whole: bytes would be lost. */
void manners_before_close(struct stack_conn *conn)
{
    struct manners *manners = conn->manners;

    conn_tcp(conn)->rcv_wnd += manners->withheld;
    manners->withheld = 0;
    manners->window_most = UINT32_MAX;
    settle(conn);
}

/* ---- segments ---- */

/* What lwIP queues from now on fits one frame, if nothing longer waits already. */
static void use_real_size(struct stack_conn *conn)
{
    conn->flags |= CONN_REAL_SIZE;
    if (!is_open_tcp(conn) || conn_tcp(conn)->unsent)
        return;
    struct tcp_pcb *pcb = conn_tcp(conn);
    const struct manners *manners = conn->manners;
    uint16_t whole = manners->segment_whole ? manners->segment_whole : conn->segment_bytes;
    pcb->mss = (u16_t)(whole + (pcb->flags & TF_TIMESTAMP ? 12 : 0));
}

/* The handshake told how long a segment is. */
void manners_after_open(struct stack_conn *conn)
{
    struct manners *manners = conn->manners;

    if (!manners->segment_most || conn->protocol != IPPROTO_TCP)
        return;
    manners->segment_whole = conn->segment_bytes;
    conn->segment_bytes = MIN(conn->segment_bytes, manners->segment_most);
}

int stack_limit_segment(struct stack *stack, struct stack_conn *conn, uint16_t most)
{
    (void)stack;
    struct manners *manners = manners_of(conn);
    if (!manners)
        return -ENOMEM;
    if (manners->segment_whole)
        conn->segment_bytes = manners->segment_whole;
    manners->segment_whole = 0;
    manners->segment_most = most;
    if (most && is_open_tcp(conn))
        manners_after_open(conn);
    if (most)
        use_real_size(conn);
    settle(conn);
    return 0;
}

int stack_mangle(struct stack *stack, struct stack_conn *conn, unsigned modes)
{
    (void)stack;
    struct manners *manners = manners_of(conn);
    if (!manners)
        return -ENOMEM;
    manners->mangle = modes ? manners->mangle | modes : 0;
    if (modes)
        use_real_size(conn);
    settle(conn);
    return 0;
}

/* ---- another address ---- */

/* To the next address where the connection's ports are free; looks at a few. */
static int roam_on(struct stack *stack, struct stack_conn *conn)
{
    int status = -EADDRNOTAVAIL;

    for (uint64_t i = 1; i < MIN(stack->peers->count, (uint64_t)16); i++) {
        struct peer_addr next = addr_set_at(stack->peers, (conn->peer + i) % stack->peers->count);
        status = stack_roam(stack, conn, &next);
        if (status != -EADDRINUSE)
            break;
    }
    return status;
}

int stack_roam(struct stack *stack, struct stack_conn *conn, const struct peer_addr *to)
{
    struct stack_tuple old, tuple;
    if (!to)
        return roam_on(stack, conn);
    int64_t peer = addr_set_find(stack->peers, to);

    if (conn->flags & CONN_TIME_WAIT || !stack_conn_tuple(conn, &old))
        return -ENOTCONN;
    if (to->family != old.local.family)
        return -EAFNOSUPPORT;
    if (peer < 0)
        return -EADDRNOTAVAIL;
    tuple = old;
    tuple.local = *to;
    if (table_find(stack, conn->protocol, &tuple))
        return -EADDRINUSE;

    table_remove(stack, conn);
    addr_to_lwip(to, &((struct ip_pcb *)conn->pcb)->local_ip);
    conn->peer = (uint64_t)peer;
    table_add(stack, conn, table_hash(stack, conn->protocol, &tuple));
    if (!is_open_tcp(conn))
        return 0;
    /* Nobody is at the old address any more. The new one shows itself. */
    ghost_add(stack, &old, conn_tcp(conn)->snd_nxt, CONN_UNPLUGGED);
    context_enter(stack, conn);
    (void)tcp_send_empty_ack(conn_tcp(conn));
    context_leave(stack);
    return 0;
}

void manners_done(struct stack *stack, struct stack_conn *conn)
{
    stack->unplugged -= conn->flags & CONN_UNPLUGGED ? 1 : 0;
    conn->flags &= (uint16_t) ~(CONN_MANNERED | CONN_VANISHED | CONN_UNPLUGGED);
    free(conn->manners);
    conn->manners = NULL;
}
