/* SPDX-License-Identifier: BSD-3-Clause */
/* What the options of a segment tell: SACK blocks (RFC 2018) and the echo of a timestamp. */
#include "stack/internal.h"

enum { OPTION_END = 0, OPTION_NOP = 1, OPTION_SACK = 5, OPTION_TIMESTAMP = 8 };

static uint32_t read32(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

/* Blocks below the acknowledgement tell of a duplicate (RFC 2883); those beyond what was sent,
 * lies. */
static void read_blocks(struct tcp_news *news, const struct tcp_pcb *pcb, uint32_t ack,
                        const uint8_t *option, uint32_t len)
{
    for (uint32_t at = 2; at + 8 <= len; at += 8) {
        uint32_t left = read32(option + at), right = read32(option + at + 4);
        if (!TCP_SEQ_LT(left, right) || TCP_SEQ_GT(right, pcb->snd_nxt))
            continue;
        if (at == 2 && TCP_SEQ_LEQ(right, ack)) {
            news->duplicate = true;
            news->duplicate_seq = left;
        }
        if (TCP_SEQ_LT(left, ack) || TCP_SEQ_LEQ(left, pcb->lastack) ||
            news->block_count == ARRAY_SIZE(news->blocks))
            continue;
        news->blocks[news->block_count].left = left;
        news->blocks[news->block_count++].right = right;
    }
}

void news_read(struct tcp_news *news, const struct tcp_pcb *pcb, const uint8_t *tcp,
                         uint32_t header)
{
    uint32_t ack = read32(tcp + 8);

    for (uint32_t at = TCP_HLEN; at < header && tcp[at] != OPTION_END;) {
        if (tcp[at] == OPTION_NOP) {
            at++;
            continue;
        }
        uint32_t len = at + 1 < header ? tcp[at + 1] : 0;
        if (len < 2 || at + len > header)
            return;
        if (tcp[at] == OPTION_SACK && pcb->flags & TF_SACK)
            read_blocks(news, pcb, ack, tcp + at, len);
        if (tcp[at] == OPTION_TIMESTAMP && len == 10) {
            news->has_echo = true;
            news->echo_ms = read32(tcp + at + 6);
        }
        at += len;
    }
}
