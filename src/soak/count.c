/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a request did is counted by when it was wanted, see run.c. The measured time
 * begins at one moment, the end of the warm-up, for the schedule and for the counts. The timer for
 * it fires a little later, so what belongs to the measured time and is earlier begins it itself.
 */
#include "soak/run.h"

void run_begin_measuring(struct run *run)
{
    const struct soak *soak = run->soak;
    uint64_t start_ns = run->schedule.warm_ns;

    timer_cancel(run->flows->timers, &run->warm);
    if (run_is_healthy(run) && soak->measured)
        soak->measured(soak->measured_user, true);
    measure_restart(&run->measure, start_ns);
    run->open_most = run->open;
    run->paused_ns = 0;
    run->begun = run->ends_closed = run->ends_reset = run->ends_given_up = 0;
    if (run_is_healthy(run))
        run_arm(run, &run->interval, start_ns + run->config.interval_ns);
}

void run_reach(struct run *run, uint64_t at_ns)
{
    if (timer_armed(&run->warm) && at_ns >= run->schedule.warm_ns)
        run_begin_measuring(run);
}

void client_latency(struct client *client, enum peer_soak_histogram which, uint64_t from_ns,
                    uint64_t until_ns)
{
    if (run_counts(client->run, from_ns))
        measure_since(&client->run->measure, which, from_ns, until_ns);
}

void client_count_named(struct client *client, const char *name)
{
    struct run *run = client->run;

    if (run_counts(run, run_now(run)))
        figures_count_named(&run->measure.found, run->soak->protocol->answers.kind, name);
}

uint64_t run_take(struct run *run)
{
    uint64_t wanted_ns = schedule_take(&run->schedule, run_now(run));

    run_reach(run, wanted_ns);
    return wanted_ns;
}

uint64_t run_take_lost(struct run *run, uint64_t opened_ns)
{
    if (!list_empty(&run->again))
        return request_drop_again(run);
    if (run->schedule.rate > 0 && run_behind(run) == 0)
        return opened_ns;
    uint64_t wanted_ns = schedule_take(&run->schedule, opened_ns);
    run_reach(run, wanted_ns);
    return wanted_ns;
}

uint64_t run_behind(const struct run *run)
{
    return schedule_behind(&run->schedule, run_now(run));
}
