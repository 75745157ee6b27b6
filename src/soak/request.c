/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A request: taken from the schedule, asked, answered or lost. It exists while it is under way, so
 * a connection that waits costs none.
 *
 * It belongs to the time at which the schedule wanted it, see count.c. Without a rate that is when
 * it leaves: others may have left before it while its turn came.
 */
#include "soak/run.h"

#include "base/arena.h"
#include "base/macro.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- of a list ---- */

static uint32_t next_target(struct soak *soak)
{
    if (soak->config.targets_at_random)
        return (uint32_t)rng_below(&soak->target_order, soak->targets);
    uint32_t target = soak->next_target;
    soak->next_target = target + 1 < soak->targets ? target + 1 : 0;
    return target;
}

uint32_t request_target(const struct request *request)
{
    return request->target;
}

/* NULL: there is no list, or it does not count. */
static struct target_figures *figures_of(const struct request *request)
{
    struct run *run = request->client->run;

    if (!run->measure.found.target_count || !run_counts(run, request->intended_ns))
        return NULL;
    return &run->measure.found.targets[request->target];
}

void request_count_status(const struct request *request, unsigned status)
{
    struct target_figures *figures = figures_of(request);

    if (figures)
        target_add_status(figures, status, 1);
}

void request_count_error(const struct request *request)
{
    struct target_figures *figures = figures_of(request);

    if (figures)
        figures->errors++;
}

/* ---- its life ---- */

static struct request *make_request(struct client *client, uint64_t intended_ns, uint32_t target)
{
    size_t own_bytes = client->run->soak->request_bytes;
    struct request *request = arena_get(sizeof(*request) + own_bytes);

    if (!request)
        return NULL;
    *request = (struct request){.client = client, .intended_ns = intended_ns, .target = target};
    if (own_bytes)
        memset(request + 1, 0, own_bytes);
    list_init(&request->node);
    list_add_tail(&client->requests, &request->sibling);
    return request;
}

struct request *request_new(struct client *client, uint64_t intended_ns)
{
    struct soak *soak = client->run->soak;

    return make_request(client, intended_ns, soak->targets ? next_target(soak) : 0);
}

struct request *request_next(struct client *client)
{
    struct run *run = client->run;

    if (list_empty(&run->again))
        return request_new(client, run_take(run));
    struct request *request = list_entry(list_pop(&run->again), struct request, node);
    run->again_count--;
    request->client = client;
    list_add_tail(&client->requests, &request->sibling);
    return request;
}

uint64_t request_drop_again(struct run *run)
{
    struct request *request = list_entry(list_pop(&run->again), struct request, node);
    uint64_t intended_ns = request->intended_ns;

    run->again_count--;
    free(request->kept);
    if (run->measure.found.target_count && run_counts(run, intended_ns))
        run->measure.found.targets[request->target].errors++;
    arena_put(request);
    return intended_ns;
}

struct request *request_free(struct request *request)
{
    struct client *client = request->client;

    if (request->number)
        client->under_way--;
    list_remove(&request->node);
    list_remove(&request->sibling);
    if (request->kept)
        free(request->kept);
    arena_put(request);
    return NULL;
}

void request_begin(struct request *request)
{
    struct client *client = request->client;
    struct run *run = client->run;

    if (++client->asked == 0) /* after days: 0 is no number */
        client->asked = 1;
    request->number = client->asked;
    request->started_ns = run_now(run);
    client->under_way++;
    list_add_tail(&run->asked, &request->node);
    run_watch(run);
}

static void count_begun(struct request *request)
{
    struct run *run = request->client->run;
    struct peer_soak_counts *counts = &run->measure.found.counts;

    bool moved = request->moves;
    request->moves = false;
    if (moved || !run_counts(run, request->intended_ns))
        return;
    counts->requests += !request->put_back;
    counts->asked_again += request->put_back;
}

/*
 * Without a rate a request begins when its first frame leaves, which may be when all else that was
 * read has been worked on. One that was taken in the warm-up stays there.
 */
static void await(struct client *client, struct request *request, uint32_t as)
{
    struct run *run = client->run;

    if (run->schedule.rate > 0 || timer_armed(&run->warm))
        return;
    request->leaves = as;
    run->flows->awaited = (struct flow_awaited){&client->flow, as};
}

/* They stand together, and behind them is only what is to leave later, or was not asked yet. */
void client_left(struct client *client, uint32_t as, uint64_t at_ns)
{
    struct list *node = client->requests.prev;
    bool found = false;

    for (; node != &client->requests; node = node->prev) {
        struct request *request = list_entry(node, struct request, sibling);
        if (request->leaves != as) {
            if (found || (!request->leaves && request->number))
                break;
            continue;
        }
        found = true;
        request->leaves = 0;
        if (at_ns && !request->put_back)
            request->intended_ns = at_ns;
    }
}

/* What was asked and sent no frame, begins when it was begun. */
static void await_no_more(struct client *client)
{
    struct flow_awaited *awaited = &client->run->flows->awaited;

    if (!awaited->flow)
        return;
    awaited->flow = NULL;
    client_left(client, awaited->as, 0);
}

void request_start(struct request *request)
{
    struct client *client = request->client;
    struct run *run = client->run;
    const struct peer_soak_config *config = &run->config;

    request_begin(request);
    count_begun(request);
    client->last |=
        config->requests_per_connection && client->asked >= config->requests_per_connection;
    bool more = client->under_way < client->slots && run->schedule.rate > 0 && !client->last;
    if (more || client->state != CLIENT_BUSY)
        client_set_state(client, more ? CLIENT_READY : CLIENT_BUSY);
    await(client, request, request->number);
    client_ops(client)->ask(client, request); /* which may free it */
    await_no_more(client);
}

void client_ask(struct client *client)
{
    struct request *request = request_next(client);

    if (request)
        request_start(request);
    else
        client_fail(client, PEER_SOAK_CLOSED_EARLY, "out of memory");
}

void client_tell_asked(struct client *client)
{
    uint32_t before = client->written;

    if (client_is_over(client) || !client_ops(client)->asked || client->in_event)
        return;
    client->written = client->asked;
    for (struct list *node = client->requests.prev; node != &client->requests; node = node->prev) {
        struct request *request = list_entry(node, struct request, sibling);
        if ((int32_t)(request->number - before) <= 0)
            break;
        await(client, request, before + 1);
    }
    client_ops(client)->asked(client);
    await_no_more(client);
}

/* ---- what it sends ---- */

void *request_own(const struct request *request)
{
    return (void *)(uintptr_t)(request + 1);
}

uint64_t request_sent(const struct request *request)
{
    return request->sent_bytes;
}

void request_set_sent(struct request *request, uint64_t bytes)
{
    request->sent_bytes = bytes;
}

uint32_t request_number(const struct request *request)
{
    return request->number;
}

uint64_t request_started_ns(const struct request *request)
{
    return request->started_ns;
}

/* `done` as flow_write returns. Whether there may be more to write now. */
static bool note_sent(struct request *request, ssize_t done)
{
    struct client *client = request->client;

    if (done > 0)
        request->sent_bytes += (uint64_t)done;
    else if (done < 0 && done != -EAGAIN && client->flow.state != FLOW_ENDED) /* which is told */
        client_fail(client, PEER_SOAK_CLOSED_EARLY, "closed before the request was sent");
    return done > 0;
}

bool request_send(struct request *request, const void *data, size_t len)
{
    const char *from = data;
    size_t at = (size_t)request->sent_bytes;

    if (at < len) {
        ssize_t done = client_write(request->client, from + at, len - at, FLOW_WRITE_STABLE);
        if (!note_sent(request, done))
            return false;
    }
    return request->sent_bytes == len;
}

bool request_send_copy(struct request *request, const void *data, size_t len)
{
    const char *from = data;
    size_t at = (size_t)request->sent_bytes;

    if (at < len && !note_sent(request, client_write(request->client, from + at, len - at, 0)))
        return false;
    return request->sent_bytes == len;
}

bool request_send_made(struct request *request, uint64_t len,
                       void (*make)(struct client *client, uint64_t at, void *out, size_t len))
{
    struct client *client = request->client;
    uint8_t *scratch = client_scratch(client);

    while (request->sent_bytes < len) {
        size_t part = (size_t)MIN(len - request->sent_bytes, (uint64_t)SOAK_SCRATCH_BYTES);
        part = MIN(part, flow_write_room(&client->flow));
        if (!part)
            return false;
        make(client, request->sent_bytes, scratch, part);
        if (!note_sent(request, client_write(client, scratch, part, 0)))
            return false;
    }
    return true;
}

/* ---- its end ---- */

bool request_is_answered(const struct request *request)
{
    return request->first_byte;
}

void request_first_byte(struct request *request)
{
    struct client *client = request->client;
    struct run *run = client->run;

    if (request->first_byte)
        return;
    request->first_byte = true;
    client->answered = true;
    if (run_counts(run, request->intended_ns))
        measure_since(&run->measure, PEER_HISTOGRAM_FIRST_BYTE, request->intended_ns,
                      flow_arrived_ns(&client->flow));
}

void request_count(struct request *request, uint64_t at_ns)
{
    struct measure *measure = &request->client->run->measure;

    if (!run_counts(request->client->run, request->intended_ns)) {
        measure->found.carried += !measure->closed;
        return;
    }
    measure->found.counts.completed++;
    if (measure->found.target_count)
        measure->found.targets[request->target].completed++;
    measure_since(measure, PEER_HISTOGRAM_REQUEST, request->intended_ns, at_ns);
}

void request_done(struct request *request)
{
    struct client *client = request->client;

    request_count(request,
                  request->first_byte ? flow_arrived_last_ns(&client->flow) : run_now(client->run));
    request_free(request);
    run_next(client);
}

void request_answered(struct request *request, unsigned status, bool right)
{
    struct measure *measure = &request->client->run->measure;
    unsigned code = status < PEER_STATUS_CODES ? status : 0;
    unsigned class = code / 100 < PEER_STATUS_CLASSES ? code / 100 : 0;
    bool counts = run_counts(request->client->run, request->intended_ns);

    measure->found.counts.statuses[class] += counts;
    measure->found.codes[code] += counts;
    if (measure->found.target_count)
        request_count_status(request, code);
    if (!right)
        request_lose(request, PEER_SOAK_STATUS, "status %u", status);
    else
        request_done(request);
}

void request_answered_as(struct request *request, unsigned number, bool right)
{
    const struct run *run = request->client->run;
    const char *name = run->soak->protocol->answers.names[number];

    if (run_counts(run, request->intended_ns))
        request->client->run->measure.found.answers[number].count++;
    if (!right)
        request_lose(request, PEER_SOAK_STATUS, "%s", name);
    else
        request_done(request);
}

void request_lose(struct request *request, enum peer_soak_error kind, const char *format, ...)
{
    struct client *client = request->client;
    va_list arguments;

    va_start(arguments, format);
    run_error(client->run, client, request->intended_ns, kind, format, arguments);
    request_count_error(request);
    va_end(arguments);
    request_free(request);
    run_next(client);
}

void client_also(struct client *client, uint64_t count)
{
    struct run *run = client->run;

    for (; count; count--) {
        uint64_t wanted_ns = run_take(run);
        if (!run_counts(run, wanted_ns))
            continue;
        measure_since(&run->measure, PEER_HISTOGRAM_REQUEST, wanted_ns, run_now(run));
        run->measure.found.counts.requests++;
        run->measure.found.counts.completed++;
    }
}

/* The other client is busy from its first SYN on. */
void request_repeat(struct request *lost)
{
    struct client *client, *old = lost->client;
    struct run *run = old->run;
    uint64_t intended_ns = lost->intended_ns;
    uint32_t target = lost->target;
    void *kept = lost->kept;
    bool counts = run_counts(run, intended_ns);

    lost->kept = NULL;
    client_let_go(old);
    client = run_open_one(run);
    struct request *request = client ? make_request(client, intended_ns, target) : NULL;
    if (!request)
        free(kept);
    if (request) {
        request->kept = kept;
        run->measure.found.counts.asked_again += counts;
        client->again = true;
        request_begin(request);
        client_set_state(client, CLIENT_BUSY);
    } else {
        run->measure.found.counts.closed_idle += counts;
    }
    run_after_end(run);
}

enum { REPEATS_MOST = 3 };

/* Who closes after those that are under way leaves nobody to ask it. */
static void find_another(struct run *run, const struct client *old)
{
    bool comes = run->in_state[CLIENT_CONNECTING] || run->in_state[CLIENT_GREETING];

    if (!list_empty(&run->again) && !comes && (old->last || client_is_over(old)))
        (void)run_open_one(run);
    run_serve(run);
}

void *request_kept(const struct request *request)
{
    return request->kept;
}

void request_keep(struct request *request, void *memory)
{
    free(request->kept);
    request->kept = memory;
}

static void count_hop(const struct request *request)
{
    struct run *run = request->client->run;

    run->measure.found.counts.redirects += run_counts(run, request->intended_ns);
}

void request_go_on(struct request *request)
{
    struct run *run = request->client->run;

    count_hop(request);
    request->sent_bytes = 0;
    request->started_ns = run_now(run);
    list_remove(&request->node);
    list_add_tail(&run->asked, &request->node);
}

/* Off its client, to be asked by another. */
static void take_off(struct request *request)
{
    struct run *run = request->client->run;

    request->client->under_way--;
    list_remove(&request->node);
    list_remove(&request->sibling);
    memset(request + 1, 0, run->soak->request_bytes);
    request->client = NULL;
    request->number = 0;
    request->sent_bytes = 0;
    request->leaves = 0;
    list_add_tail(&run->again, &request->node);
    run->again_count++;
}

void request_go_elsewhere(struct request *request)
{
    struct client *client = request->client;
    struct run *run = client->run;

    count_hop(request);
    take_off(request);
    request->moves = true;
    run_next(client);
    find_another(run, client);
}

/* Whoever ends a connection leaves out what came last. By chance that is the same request several times,
 * but the server has answered others meanwhile, so it comes to this one, too. */
static bool goes_ahead(const struct client *client)
{
    return client->remote_closes && client->answered;
}

bool request_put_back(struct request *request)
{
    struct client *client = request->client;
    struct run *run = client->run;

    if (request->in_vain == REPEATS_MOST)
        return false;
    if (!goes_ahead(client))
        request->in_vain++;
    request->put_back = true;
    take_off(request);
    request->first_byte = false;
    run_next(client);
    find_another(run, client);
    return true;
}
