/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Good packets with a few bytes changed, cut off or added, and plain noise, from a fixed seed. The
 * frame lies in memory of exactly its length, so that AddressSanitizer sees every step outside.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "exercise.h"
#include "packets.h"

enum { ROUNDS = 200000 };

static uint64_t draw(uint64_t *state, uint64_t below)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (z ^ (z >> 31)) % below;
}

static struct frame_offload draw_offload(uint64_t *seed)
{
    static const uint8_t types[] = {FRAME_GSO_NONE,
                                    FRAME_GSO_TCPV4,
                                    FRAME_GSO_TCPV6,
                                    FRAME_GSO_UDP_L4,
                                    FRAME_GSO_TCPV4 | FRAME_GSO_ECN,
                                    77};

    return (struct frame_offload){.flags = (uint8_t)draw(seed, 4),
                                  .gso_type = types[draw(seed, sizeof(types))],
                                  .gso_size = (uint16_t)draw(seed, 4),
                                  .csum_start = (uint16_t)draw(seed, 70),
                                  .csum_offset = (uint16_t)draw(seed, 20)};
}

static void one_round(uint64_t *seed, bool noise)
{
    const struct sample *sample = &samples[draw(seed, SAMPLES)];
    size_t len = sample->len;

    if (draw(seed, 4) == 0)
        len = draw(seed, sample->len + 20);
    uint8_t *frame = malloc(len);
    for (size_t i = 0; i < len; i++)
        frame[i] = noise || i >= sample->len ? (uint8_t)draw(seed, 256) : sample->bytes[i];
    for (uint64_t changes = draw(seed, 6); changes && len; changes--)
        frame[draw(seed, len)] = (uint8_t)draw(seed, 256);
    enum frame_layer layer = draw(seed, 16) ? sample->layer : FRAME_ETHERNET;
    struct frame_offload offload = draw_offload(seed);
    exercise_packet(frame, len, layer, &offload, draw(seed, 100), draw(seed, 256));
    free(frame);
}

static void mutated_packets_are_read_within_bounds(void **state)
{
    uint64_t seed = 1;

    (void)state;
    for (int i = 0; i < ROUNDS; i++)
        one_round(&seed, false);
}

static void noise_is_read_within_bounds(void **state)
{
    uint64_t seed = 2;

    (void)state;
    for (int i = 0; i < ROUNDS / 10; i++)
        one_round(&seed, true);
}

/* The transports' own headers are all good here but the lengths, at every possible cut. */
static void every_cut_of_every_packet_is_read_within_bounds(void **state)
{
    (void)state;
    for (int i = 0; i < SAMPLES; i++) {
        for (size_t len = 0; len <= samples[i].len; len++) {
            struct frame_offload none = {0};
            uint8_t *frame = malloc(len ? len : 1);
            memcpy(frame, samples[i].bytes, len);
            exercise_packet(frame, len, samples[i].layer, &none, len / 2, 255);
            free(frame);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mutated_packets_are_read_within_bounds),
        cmocka_unit_test(noise_is_read_within_bounds),
        cmocka_unit_test(every_cut_of_every_packet_is_read_within_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
