/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The congestion window of a connection that has a struct recovery.
 *
 * Growth is CUBIC's (RFC 9438): a loss takes the window to 0.7, and it grows along a cubic curve of
 * time that is flat where the last loss was; never less than one segment a round trip, which is
 * more than the 0.53 that would only match Reno.
 *
 * Slow start ends before the queue on the way is full: when the least round trip of a round is
 * longer than the least ever by an eighth (4 to 16 ms), the window is what the path holds.
 *
 * While losses are repaired, as much leaves as arrives, scaled so that the window is down to the
 * new one when all is repaired (proportional rate reduction, RFC 6937). A burst into the queue that
 * just dropped would lose what is resent, too.
 */
#include "stack/recovery.h"

enum {
    WINDOW_MIN_UNITS = 2,
    ROUND_SAMPLES = 8,
    ROUND_UNITS_MIN = 16, /* below this window slow start does not end by itself */
    CURVE_MAX_MS = 1000000,
};

void congestion_init(struct recovery *recovery, const struct tcp_pcb *pcb)
{
    recovery->cwnd = pcb->cwnd;
    recovery->ssthresh = pcb->ssthresh;
    recovery->round_end = pcb->snd_nxt;
    recovery->round_rtt_us = UINT32_MAX;
}

static uint32_t window_min(const struct recovery *recovery)
{
    return WINDOW_MIN_UNITS * recovery->unit;
}

void congestion_reduce(struct recovery *recovery, uint32_t flight)
{
    uint32_t used = MIN(recovery->cwnd, flight + recovery->unit);

    recovery->before_cwnd = recovery->cwnd;
    recovery->before_ssthresh = recovery->ssthresh;
    recovery->before_w_max = recovery->w_max;
    recovery->doubtful_count = 0;
    /* Less than last time: leave room for whoever came (fast convergence). */
    bool less = used < recovery->w_max;
    recovery->w_max = less ? (uint32_t)((uint64_t)used * 17 / 20) : used;
    recovery->ssthresh = MAX((uint32_t)((uint64_t)used * 7 / 10), window_min(recovery));
    recovery->epoch_ns = 0;
    recovery->repair_flight = MAX(flight, 1u);
    recovery->repair_delivered = recovery->repair_sent = 0;
}

void congestion_undo(struct recovery *recovery)
{
    recovery->cwnd = MAX(recovery->cwnd, recovery->before_cwnd);
    recovery->ssthresh = MAX(recovery->ssthresh, recovery->before_ssthresh);
    recovery->w_max = MAX(recovery->w_max, recovery->before_w_max);
    recovery->epoch_ns = 0;
}

void congestion_timeout(struct recovery *recovery, uint32_t flight, bool again)
{
    if (!again)
        congestion_reduce(recovery, flight);
    recovery->cwnd = recovery->unit;
}

void congestion_repair(struct recovery *recovery, uint32_t pipe, uint32_t delivered, bool progress)
{
    uint64_t due;

    recovery->repair_delivered += delivered;
    if (pipe > recovery->ssthresh) {
        due = ((uint64_t)recovery->repair_delivered * recovery->ssthresh + recovery->repair_flight -
               1) /
              recovery->repair_flight;
        due = due > recovery->repair_sent ? due - recovery->repair_sent : 0;
    } else {
        uint32_t ahead = recovery->repair_delivered > recovery->repair_sent
                             ? recovery->repair_delivered - recovery->repair_sent
                             : 0;
        due = (uint64_t)MAX(ahead, delivered) + (progress ? recovery->unit : 0);
        due = MIN(due, recovery->ssthresh - pipe);
    }
    if (recovery->repair_sent == 0 || pipe == 0) /* somebody must begin */
        due = MAX(due, recovery->unit);
    recovery->cwnd = pipe + (uint32_t)MIN(due, (uint64_t)TCP_SND_BUF);
}

void congestion_repaired(struct recovery *recovery)
{
    if (recovery->state == RECOVERY_REPAIR || recovery->state == RECOVERY_CWR)
        recovery->cwnd = recovery->ssthresh;
}

static uint32_t cube_root(uint64_t value)
{
    uint64_t root = 0;

    for (uint64_t bit = 1u << 20; bit; bit >>= 1) {
        uint64_t next = root + bit;
        if (next * next * next <= value)
            root = next;
    }
    return (uint32_t)root;
}

/* RFC 9438, 4.2: K = cubic root of (W_max - cwnd) / C, with C = 0.4 segments/s^3. */
static void begin_epoch(struct recovery *recovery, uint64_t now_ns)
{
    recovery->epoch_ns = now_ns;
    recovery->w_reno = recovery->cwnd;
    if (recovery->cwnd >= recovery->w_max) {
        recovery->w_max = recovery->cwnd;
        recovery->k_ms = 0;
        return;
    }
    uint64_t missing = recovery->w_max - recovery->cwnd;
    recovery->k_ms = cube_root(missing * UINT64_C(2500000000) / recovery->unit);
}

/* The window that the curve wants a round trip from now, from half to one and a half of what it
   is. */
static uint32_t curve(const struct recovery *recovery, uint32_t srtt_us, uint64_t now_ns)
{
    uint64_t since_ms = (now_ns - recovery->epoch_ns) / NS_PER_MS + srtt_us / 1000;
    int64_t t = (int64_t)MIN(since_ms, (uint64_t)CURVE_MAX_MS) - (int64_t)recovery->k_ms;
    int64_t grown = t * t * t / 1000000 * 4 * recovery->unit / 10000;
    int64_t window = (int64_t)recovery->w_max + grown;
    int64_t most = (int64_t)recovery->cwnd + recovery->cwnd / 2;

    return (uint32_t)MAX(MIN(window, most), (int64_t)recovery->cwnd);
}

void congestion_grow(struct recovery *recovery, uint32_t delivered, uint32_t srtt_us,
                     uint64_t now_ns)
{
    uint32_t cwnd = recovery->cwnd;

    if (cwnd < recovery->ssthresh) {
        recovery->cwnd = MIN(cwnd + delivered, recovery->ssthresh);
        return;
    }
    if (!recovery->epoch_ns)
        begin_epoch(recovery, now_ns);
    uint64_t step = curve(recovery, srtt_us, now_ns) - cwnd;
    recovery->cwnd += (uint32_t)(step * delivered / cwnd);
    recovery->w_reno += (uint32_t)((uint64_t)recovery->unit * delivered / cwnd);
    recovery->cwnd = MIN(MAX(recovery->cwnd, recovery->w_reno), (uint32_t)TCP_SND_BUF);
}

void congestion_sample(struct recovery *recovery, uint32_t rtt_us, uint32_t una, uint32_t nxt)
{
    if (!recovery->min_rtt_us || rtt_us < recovery->min_rtt_us)
        recovery->min_rtt_us = rtt_us;
    if (recovery->state != RECOVERY_OPEN || recovery->cwnd >= recovery->ssthresh)
        return;
    if (TCP_SEQ_GT(una, recovery->round_end)) {
        recovery->round_end = nxt;
        recovery->round_rtt_us = UINT32_MAX;
        recovery->round_samples = 0;
    }
    recovery->round_rtt_us = MIN(recovery->round_rtt_us, rtt_us);
    if (recovery->round_samples < ROUND_SAMPLES && ++recovery->round_samples < ROUND_SAMPLES)
        return;
    uint32_t margin = MIN(MAX(recovery->min_rtt_us / 8, 4000u), 16000u);
    if (recovery->round_rtt_us > recovery->min_rtt_us + margin &&
        recovery->cwnd >= ROUND_UNITS_MIN * recovery->unit)
        recovery->ssthresh = recovery->cwnd;
}
