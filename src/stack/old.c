/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Segments of the past: duplicates that the network kept for a while.
 *
 * With timestamps a segment that is older than what was received already is dropped and answered
 * by an acknowledgement (PAWS, RFC 7323, 5), as Linux does: RST and SYN are exempt, and so is all
 * when nothing came for 24 days, since then the other side's clock may have come round. An old
 * acknowledgement that says nothing new was only overtaken on its way; it may tell of losses, so
 * lwIP sees it, with the timestamp of today, since it would set its clock back by the old one.
 *
 * In TIME-WAIT a SYN is a new connection when its number or its timestamp is beyond the old one's
 * (RFC 9293, 3.10.7.4; RFC 6191). Otherwise it is old, or the other side forgot: an acknowledgement
 * tells, and its reset ends TIME-WAIT.
 */
#include "stack/internal.h"

#include "packet/bytes.h"

enum { OPTION_END = 0, OPTION_NOP = 1, OPTION_TIMESTAMP = 8, OPTION_TIMESTAMP_BYTES = 10 };
enum { PAWS_WINDOW = 1 }; /* so much older is not old: Linux's TCP_PAWS_WINDOW */
/* Two NOPs before the option: where nearly everybody has it. */
#define USUAL_PLACE UINT32_C(0x0101080a)
#define CLOCK_MAY_WRAP_TICKS ((uint32_t)(24 * UINT64_C(86400) * NS_PER_S / STACK_TICK_NS))

/* Where the sender's timestamp is in a TCP header of `header` bytes; NULL: nowhere. */
static uint8_t *find_timestamp(uint8_t *tcp, uint32_t header)
{
    if (header == TCP_HLEN + 12 && get32(tcp + TCP_HLEN) == USUAL_PLACE)
        return tcp + TCP_HLEN + 4;
    for (uint32_t at = TCP_HLEN; at < header && tcp[at] != OPTION_END;) {
        if (tcp[at] == OPTION_NOP) {
            at++;
            continue;
        }
        uint32_t len = at + 1 < header ? tcp[at + 1] : 0;
        if (len < 2 || at + len > header)
            return NULL;
        if (tcp[at] == OPTION_TIMESTAMP && len == OPTION_TIMESTAMP_BYTES)
            return tcp + at + 2;
        at += len;
    }
    return NULL;
}

/* A pure acknowledgement that repeats what is known and was sent not long before. The other side's
   clock is taken to count milliseconds, as nearly all do. */
static bool was_overtaken(const struct tcp_pcb *pcb, const uint8_t *tcp,
                          const struct packet *packet, uint32_t age_ms)
{
    uint32_t window = (uint32_t)(tcp[14] << 8 | tcp[15]) << pcb->snd_scale;

    return !packet->payload_len && !(packet->tcp_flags & TCP_FIN) &&
           get32(tcp + 4) == pcb->rcv_nxt && get32(tcp + 8) == pcb->lastack &&
           window <= pcb->snd_wnd &&
           (uint64_t)age_ms * NS_PER_MS * 5 <= (uint64_t)pcb->rto * STACK_TICK_NS * 6;
}

/* lwIP 2.2.1 puts the bytes of a timestamp together as a little-endian machine would find them in
   memory, and swaps them with ntohl(), which does nothing elsewhere. */
void old_suit_lwip(uint8_t *tcp, uint32_t header)
{
    uint8_t *timestamp = find_timestamp(tcp, header);

    if (timestamp)
        put32(timestamp, __builtin_bswap32(get32(timestamp)));
}

enum old_verdict old_by_timestamp(const struct stack *stack, const struct stack_conn *conn,
                                  uint8_t *tcp, const struct packet *packet)
{
    const struct tcp_pcb *pcb = conn_tcp(conn);
    uint32_t header = (uint32_t)(packet->payload_at - packet->transport_at);
    uint8_t *timestamp = find_timestamp(tcp, header);

    if (!timestamp || !pcb->ts_recent)
        return OLD_NOT;
    int32_t age = (int32_t)(pcb->ts_recent - get32(timestamp));
    if (age <= 0 || packet->tcp_flags & (TCP_RST | TCP_SYN) || pcb->state < SYN_RCVD ||
        stack->now_tick - pcb->tmr > CLOCK_MAY_WRAP_TICKS)
        return OLD_NOT;
    if (age <= PAWS_WINDOW || was_overtaken(pcb, tcp, packet, (uint32_t)age)) {
        put32(timestamp, pcb->ts_recent);
        return OLD_NOT;
    }
    return packet->payload_len || packet->tcp_flags & TCP_FIN ? OLD_BYTES : OLD_WORD;
}

enum old_verdict old_in_time_wait(const struct stack_conn *conn, uint8_t *tcp,
                                  const struct packet *packet)
{
    const struct tcp_pcb *pcb = conn_tcp(conn);
    uint32_t seq = get32(tcp + 4), header = (uint32_t)(packet->payload_at - packet->transport_at);

    if (packet->tcp_flags & TCP_RST)
        return seq == pcb->rcv_nxt ? OLD_NOT : OLD_WORD;
    if (packet->tcp_flags & TCP_ACK)
        return OLD_BYTES;
    const uint8_t *timestamp =
        pcb->flags & TF_TIMESTAMP ? find_timestamp(tcp, header) : NULL;
    bool later = timestamp && (int32_t)(get32(timestamp) - pcb->ts_recent) > 0;
    return later || TCP_SEQ_GT(seq, pcb->rcv_nxt) ? OLD_NOT : OLD_BYTES;
}
