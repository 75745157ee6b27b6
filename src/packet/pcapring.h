/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PACKET_PCAPRING_H
#define PACKET_PCAPRING_H

#include <stddef.h>
#include <stdint.h>

/**
 * A stream of pcapng as pcapng.h writes it, spread over files of a bounded size. Each begins with the
 * section header and the interface, so that it is a capture by itself, and with the secrets of TLS
 * that came last: a handshake that is spread over two files has them in both.
 *
 * It waits for the disk, so it belongs into a process that may. What a full disk does not take is
 * dropped by whole blocks and counted; the file always ends with a whole block.
 */
struct pcapring;

enum { PCAPRING_LEAST = 128 << 10 }; /* bytes a file: a frame must fit in beside what is carried on */

/** What whoever owns the stream may look at while another process spreads it. */
struct pcapring_told {
    int error;        /* -errno of the first that went wrong */
    uint64_t dropped; /* frames */
    uint64_t files;   /* begun, the first one too */
};

struct pcapring_config {
    int fd;         /* of the first file, empty; closed by pcapring_free */
    uint64_t bytes; /* the most that a file gets; at least PCAPRING_LEAST */
    /** Begins the next file: an empty one's descriptor, or -errno. It is asked again then. */
    int (*next)(void *user);
    void *user;
    struct pcapring_told *told; /* zeroed; outlives the ring */
};

/** -ENOMEM; `config->fd` stays open then. */
int pcapring_new(const struct pcapring_config *config, struct pcapring **ret_ring);
/** The next bytes of the stream. 0, or -EBADMSG: it is none, and nothing more is taken. */
int pcapring_take(struct pcapring *ring, const void *data, size_t len);
/** What is left of the last block is let go. NULL is taken. Returns NULL. */
struct pcapring *pcapring_free(struct pcapring *ring);

#endif
