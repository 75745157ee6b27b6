/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PACKET_PCAPNG_H
#define PACKET_PCAPNG_H

#include "frame.h"

#include <peer/error.h>
#include <stdbool.h>

/**
 * Writes pcapng (draft-ietf-opsawg-pcapng): section header with the program's name, one interface
 * block with the device's name and nanosecond resolution, one enhanced packet block a frame with
 * direction (epb_flags, as seen from the local machine: what the peers send is inbound) and an
 * optional comment. Buffered; a full disk or a closed pipe is remembered and reported once by
 * pcapng_error, and writing stops: capturing never ends a run.
 *
 * Writes with write(2): the program must ignore SIGPIPE, or a closed pipe kills it. A reader of a
 * pipe who does not keep up makes nobody wait: 2 MiB are kept for him, and frames beyond that are
 * dropped and counted; the next frame that is written says how many (epb_dropcount).
 */
struct pcapng;

enum pcapng_direction { PCAPNG_INBOUND = 1, PCAPNG_OUTBOUND = 2 };

/**
 * `path` "-" is standard output (duplicated). `ifname` is copied. Errors: the system's, with the
 * path named; ENXIO: a FIFO that nobody reads. The file is created, for this user alone (it holds
 * payload), or cut to zero.
 */
int pcapng_open(const char *path, const char *ifname, enum frame_layer layer,
                struct pcapng **ret_pcapng, struct peer_error *error);
/**
 * Likewise into a pipe whose end for writing `fd` is, and does not block: closed with the capture. As much
 * as `keep_bytes` is kept for its reader. With `message_bytes` it is a socket that keeps what is written
 * at once together: then it is whole blocks, of so many bytes at the most (or one that is longer), and
 * other processes may write to it too.
 */
int pcapng_adopt(int fd, size_t keep_bytes, size_t message_bytes, const char *ifname,
                 enum frame_layer layer, struct pcapng **ret_pcapng);
/** Where it goes, and whether that is a file: then other processes that were forked with it may write
 *  to it too, as each writes whole blocks, and nothing was put in before that is not written out. */
int pcapng_fd(const struct pcapng *pcapng);
bool pcapng_is_file(const struct pcapng *pcapng);
/** Flushes, without waiting, and closes. NULL is taken. Returns NULL. */
struct pcapng *pcapng_free(struct pcapng *pcapng);
/** The same, and writes nothing more: another process goes on with the file. */
struct pcapng *pcapng_abandon(struct pcapng *pcapng);
/**
 * Writes one frame. `wall_ns` is CLOCK_REALTIME. Incomplete checksums are completed in the copy
 * that is written; a super-segment is written whole, its checksum completed over the whole.
 * `comment` may be NULL; what is over 1024 bytes of it is cut. At most FRAME_LARGE_BYTES in all.
 */
void pcapng_write(struct pcapng *pcapng, uint64_t wall_ns, enum pcapng_direction direction,
                  const struct frame_parts *parts, const char *comment);
/**
 * Secrets of TLS, as lines of a key log with their line breaks, in a Decryption Secrets Block: it stands
 * before all frames that are not written out yet. A line of more than 1000 bytes is none.
 */
void pcapng_write_secrets(struct pcapng *pcapng, const char *lines, size_t len);
/**
 * Keeps what comes from now on from being written out, as secrets that belong before it may follow,
 * and lets go of what is older than the call before this one. Up to 16 MiB are kept.
 */
void pcapng_keep(struct pcapng *pcapng);
/** Writes out what a reader of the pipe takes now. */
void pcapng_flush(struct pcapng *pcapng);
/** Something is left that he has not taken: flush again, soon. */
bool pcapng_waits(const struct pcapng *pcapng);
/** Waits until the reader takes something, at most so long. Returns how many bytes are left. */
size_t pcapng_drain(struct pcapng *pcapng, int timeout_ms);
/** What is left is dropped now, as is what comes later. */
void pcapng_finish(struct pcapng *pcapng);
/** Frames so far, and how many of them were dropped. */
void pcapng_get_counts(const struct pcapng *pcapng, uint64_t *ret_frames, uint64_t *ret_dropped);
/** 0, or the -errno that stopped the writing. */
int pcapng_error(const struct pcapng *pcapng);

#endif
