/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PACKET_SEGMENT_H
#define PACKET_SEGMENT_H

#include "frame.h"

/**
 * Splits a super-segment into frames as a wire would carry them: real size, complete checksums,
 * IPv4 ids counting up, sequence numbers, FIN and PSH only on the last, CWR only on the first.
 * A frame without gso_type yields one frame with complete checksums.
 *
 * Each frame is taken from `pool` and handed to `emit`, which owns it.
 * Returns the number of frames, -EBADMSG (headers do not fit gso_type or lengths) or -ENOMEM
 * (frames handed over so far stay handed over).
 */
int segment_split(const struct frame_parts *parts, enum frame_layer layer, struct frame_pool *pool,
                  void (*emit)(void *user, struct frame *frame), void *user);

#endif
