/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The capture tells time by the clock that latencies are measured by, so that one can be computed
 * from the other. What lies between that and the wall clock is read anew when somebody has set the
 * latter; it is not followed to the microsecond, as times would go back then.
 */
#include "engine/capture.h"

#include "base/macro.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { WALL_NEAR_NS = 5000, LOOK_MS = 50, SECRET_MOST = 512 };
#define IN_VAIN_NS (1 * NS_PER_S)
#define MOST_NS    (5 * NS_PER_S)

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

void capture_set_wall(struct capture *capture, uint64_t now_ns)
{
    uint64_t before_ns, wall_ns, after_ns;

    if (!capture->pcapng || now_ns < capture->wall_next_ns)
        return;
    do {
        before_ns = clock_ns(CLOCK_MONOTONIC);
        wall_ns = clock_ns(CLOCK_REALTIME);
        after_ns = clock_ns(CLOCK_MONOTONIC);
    } while (after_ns - before_ns > WALL_NEAR_NS && !capture->wall_next_ns);
    int64_t ahead_ns = (int64_t)(wall_ns - before_ns);
    bool near = llabs(ahead_ns - capture->wall_ns) < (int64_t)NS_PER_MS;
    if (!near && after_ns - before_ns <= WALL_NEAR_NS)
        capture->wall_ns = ahead_ns;
    capture->wall_next_ns = now_ns + NS_PER_S;
}

void capture_frame(struct capture *capture, uint64_t at_ns, enum pcapng_direction direction,
                   const struct frame_parts *parts, const char *comment)
{
    if (capture->pcapng)
        pcapng_write(capture->pcapng, at_ns + (uint64_t)capture->wall_ns, direction, parts, comment);
}

void capture_secret(struct capture *capture, const char *line)
{
    char text[SECRET_MOST];
    size_t len = strnlen(line, sizeof(text) - 1);

    if (!capture->pcapng)
        return;
    memcpy(text, line, len);
    text[len++] = '\n';
    pcapng_write_secrets(capture->pcapng, text, len);
    explicit_bzero(text, len);
}

void capture_begin_round(struct capture *capture, uint64_t now_ns, uint64_t hold_ns)
{
    if (!capture->pcapng || now_ns - capture->kept_ns < hold_ns)
        return;
    capture->kept_ns = now_ns;
    pcapng_keep(capture->pcapng);
}

uint64_t capture_next_ns(const struct capture *capture, uint64_t now_ns)
{
    bool waits = capture->pcapng && pcapng_waits(capture->pcapng);

    return waits ? now_ns + LOOK_MS * NS_PER_MS : UINT64_MAX;
}

/* Until all is written, or it is given up. */
static void wait_for_reader(struct pcapng *pcapng)
{
    uint64_t begun_ns = clock_ns(CLOCK_MONOTONIC), moved_ns = begun_ns, now_ns = begun_ns;
    size_t left = SIZE_MAX;

    while (now_ns - moved_ns < IN_VAIN_NS && now_ns - begun_ns < MOST_NS) {
        size_t before = left;
        left = pcapng_drain(pcapng, LOOK_MS);
        if (left == 0)
            return;
        now_ns = clock_ns(CLOCK_MONOTONIC);
        if (left < before)
            moved_ns = now_ns;
    }
    pcapng_finish(pcapng);
}

void capture_end(struct capture *capture)
{
    if (!capture->pcapng)
        return;
    wait_for_reader(capture->pcapng);
    capture->error = pcapng_error(capture->pcapng);
    pcapng_get_counts(capture->pcapng, &capture->frames, &capture->dropped);
    capture->pcapng = pcapng_free(capture->pcapng);
}

void capture_get_counts(const struct capture *capture, int *ret_error, uint64_t *ret_frames,
                        uint64_t *ret_dropped)
{
    *ret_error = capture->pcapng ? pcapng_error(capture->pcapng) : capture->error;
    *ret_frames = capture->frames;
    *ret_dropped = capture->dropped;
    if (capture->pcapng)
        pcapng_get_counts(capture->pcapng, ret_frames, ret_dropped);
}
