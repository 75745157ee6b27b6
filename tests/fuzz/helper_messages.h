/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef HELPER_MESSAGES_H
#define HELPER_MESSAGES_H

#include <stddef.h>
#include <stdint.h>

/**
 * What a process that has been taken over could send to its helpers: messages of any length with
 * any number of descriptors. The input says of each: its length (most often the right one), how many
 * descriptors, its bytes.
 */
enum { MESSAGES_MAX = 24, MESSAGE_BYTES = 96 };

struct messages {
    const uint8_t *data;
    size_t len;
    size_t whole;                /* the length that is right */
    uint32_t words;              /* they begin with a number below this; 0: with anything */
    int fd;                      /* what is sent as a descriptor */
    uint8_t last[MESSAGE_BYTES]; /* the last one of that length that is heard, zero: none */
};

/** Writes them to a new pair and shuts that; returns the end to read from. */
int messages_send(struct messages *messages);

/** How many descriptors this process has. */
int messages_open_descriptors(void);

#endif
