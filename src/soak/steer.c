/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A soak is steered while it goes on: its rate, a pause, other manners.
 *
 * A pause is one of the schedule: nothing more is wanted. What was wanted before is still asked, and
 * what is under way ends as ever, so that latencies stay what they are. When it goes on there is
 * nothing to catch up with. The measured time does not stand still meanwhile, but rates are of what
 * is left of it without the pauses.
 */
#include "soak/soak.h"

#include "base/error.h"
#include "base/macro.h"
#include "soak/run.h"

#include <errno.h>

static int refuse(struct peer_error *error, const char *text)
{
    return error_set(error, PEER_ERROR_USAGE, EINVAL, "%s", text);
}

static int check_goes_on(const struct soak *soak, struct peer_error *error)
{
    const struct run *run = soak_healthy(soak);

    return run->stopping || run->over ? refuse(error, "the soak is ending") : 0;
}

static int too_many(struct peer_error *error)
{
    return error_set(error, PEER_ERROR_USAGE, EAGAIN,
                     "requests of too many earlier rates are still waiting to be asked");
}

/* ---- the rate ---- */

static int check_rate(const struct soak *soak, double rate, struct peer_error *error)
{
    const struct run *run = soak_healthy(soak);

    if (!(rate > 0 && rate <= 1e9))
        return refuse(error, "a rate is more than 0, and 1e9 a second at the most");
    if (!run_asks(run))
        return error_set(error, PEER_ERROR_USAGE, EINVAL,
                         "a rate of requests needs a workload of requests, and \"%s\" has none",
                         soak->protocol->name);
    if (run->schedule.rate <= 0 && run->config.requests_per_connection == 1)
        return refuse(error, "a soak with a connection for each request has a rate from its "
                             "beginning, or none");
    return check_goes_on(soak, error);
}

static int set_rate(struct run *run, double rate)
{
    int status = 0;

    if (!run->over && !run->stopping)
        status = schedule_set_rate(&run->schedule, rate, run_now(run));
    if (status == 0)
        run->config.rate = rate;
    return status;
}

int soak_set_rate(struct soak *soak, double rate, struct peer_error *error)
{
    struct run *healthy = soak_healthy(soak);
    int status = check_rate(soak, rate, error);

    if (status == 0 && set_rate(healthy, rate) < 0)
        status = too_many(error);
    if (status < 0)
        return status;
    soak->config.rate = rate;
    soak->rate_changed = true;
    for (size_t i = 1; i < soak->run_count; i++) { /* each as often as a healthy one */
        struct run *run = soak->runs[i];
        double flows = (double)MAX(healthy->config.flows, UINT64_C(1));
        if (run->config.flows)
            (void)set_rate(run, rate * (double)run->config.flows / flows);
    }
    for (size_t i = 0; i < soak->run_count; i++)
        run_go_on(soak->runs[i]);
    return 0;
}

/* In the measured time, by the schedule: its own rate when that was one all the time. */
double soak_asked_rate(const struct soak *soak, uint64_t duration_ns)
{
    const struct run *run = soak_healthy(soak);
    uint64_t behind = run->stopping ? run->behind : run_behind(run);
    uint64_t active_ns = duration_ns - MIN(run_paused_ns(run), duration_ns);

    if (!soak->rate_changed || !active_ns)
        return run->config.rate;
    return (double)(run->schedule.counted + behind) * 1e9 / (double)active_ns;
}

/* ---- a pause ---- */

uint64_t run_paused_ns(const struct run *run)
{
    const struct measure *measure = &run->measure;
    uint64_t from_ns = MAX(run->paused_at_ns, measure->start_ns);
    uint64_t until_ns = measure->closed ? measure->end_ns : run_now(run);

    return run->paused_ns + (run_is_paused(run) && until_ns > from_ns ? until_ns - from_ns : 0);
}

static int pause_run(struct run *run)
{
    int status = schedule_pause(&run->schedule, run_now(run));

    if (status == 0)
        run->paused_at_ns = run_now(run);
    return status;
}

int soak_pause(struct soak *soak, struct peer_error *error)
{
    const struct run *healthy = soak_healthy(soak);
    int status = check_goes_on(soak, error);

    if (status == 0 && healthy->ops->kind == PROTOCOL_STREAMS)
        status = error_set(error, PEER_ERROR_USAGE, EINVAL,
                           "\"%s\" sends all the time: it has no requests to wait with",
                           soak->protocol->name);
    if (status < 0 || soak->paused)
        return status;
    if (pause_run(soak_healthy(soak)) < 0)
        return too_many(error);
    soak->paused = true;
    for (size_t i = 1; i < soak->run_count; i++)
        (void)pause_run(soak->runs[i]);
    return 0;
}

int soak_go_on(struct soak *soak, struct peer_error *error)
{
    int status = check_goes_on(soak, error);

    if (status < 0 || !soak->paused)
        return status;
    soak->paused = false;
    for (size_t i = 0; i < soak->run_count; i++) {
        struct run *run = soak->runs[i];
        run->paused_ns = run_paused_ns(run);
        schedule_go_on(&run->schedule, run_now(run));
        run_go_on(run);
    }
    return 0;
}

bool soak_is_paused(const struct soak *soak)
{
    return soak->paused;
}

/* ---- manners ---- */

int soak_set_manners(struct soak *soak, const char *manners, struct peer_error *error)
{
    struct manner_spec specs[MANNERS_MAX];
    int status = check_goes_on(soak, error);

    if (status == 0)
        status = soak_read_manners(soak, manners, specs, error);
    return status < 0 ? status : shares_change(soak, specs, status, error);
}

void soak_get_state(const struct soak *soak, struct soak_state *ret_state)
{
    const struct run *run = soak_healthy(soak);

    *ret_state = (struct soak_state){
        .rate = run->config.rate,
        .flows = run->config.flows,
        .behind = run->stopping ? run->behind : run_behind(run),
        .start_ns = run->measure.start_ns,
        .until_ns = run->measure.closed ? run->measure.end_ns : run_now(run),
        .paused_ns = run_paused_ns(run),
        .paused = soak->paused,
        .warming = timer_armed(&run->warm),
        .ending = run->stopping,
        .found = &run->measure.found,
    };
}
