/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The first 14 bytes choose layer, pieces, room for text, and the offload header as it would come
 * from the kernel; the rest is the frame.
 */
#include "../unit/packet/exercise.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    enum { CHOICES = 4, HEADER = CHOICES + sizeof(struct frame_offload) };
    struct frame_offload offload;

    if (len < HEADER)
        return 0;
    memcpy(&offload, data + CHOICES, sizeof(offload));
    enum frame_layer layer = data[0] & 1 ? FRAME_ETHERNET : FRAME_IP;
    exercise_packet(data + HEADER, len - HEADER, layer, &offload, (size_t)data[1] << 8 | data[2],
                    data[3]);
    return 0;
}
