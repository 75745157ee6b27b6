/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * See simnet.h. The device's far end is the wire: frames are taken from it as soon as the engine
 * has been stepped, wait in a list that is sorted by their arrival, and are sent back into it in
 * time.
 *
 * The log keeps the first bytes of the last frames, and is made text only when it is printed. The
 * hash goes over those bytes, lengths and times of all frames.
 */
#include "simnet_inside.h"

#include "base/macro.h"
#include "base/rng.h"
#include "support/packet_format.h"

#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct simnet *current;

static void die(const char *what)
{
    fprintf(stderr, "simnet: %s\n", what);
    if (current)
        simnet_print_log(current);
    abort();
}

void *simnet_need(void *memory)
{
    if (!memory)
        die("out of memory");
    return memory;
}

struct peer_addr simnet_addr(const char *text)
{
    struct peer_addr addr;

    if (peer_addr_parse(text, &addr) < 0)
        die("bad address in a test");
    return addr;
}

/* ---- log ---- */

static void print_line(const struct simnet *net, const struct log_line *line);

static void note(struct simnet *net, char fate, const uint8_t *data, uint32_t len)
{
    static const uint64_t key[2] = {1, 2};
    struct log_line *line = &net->log[net->log_count++ % LOG_LINES];
    uint64_t head[3] = {net->hash, net->now_ns, (uint64_t)len << 8 | (uint8_t)fate};

    line->at_ns = net->now_ns;
    line->number = net->numbers;
    line->len = len;
    line->fate = fate;
    line->kept = MIN(len, (uint32_t)LOG_BYTES);
    memcpy(line->bytes, data, line->kept);
    net->hash = siphash(key, head, sizeof(head)) ^ siphash(key, line->bytes, line->kept);
    if (net->trace)
        print_line(net, line);
}

/* The kept bytes with zeros behind them: the text tells of headers only. */
static void print_line(const struct simnet *net, const struct log_line *line)
{
    uint8_t *whole = simnet_need(calloc(1, line->len + 1));
    char text[240];

    memcpy(whole, line->bytes, line->kept);
    packet_format(whole, line->len, net->config.layer, text, sizeof(text));
    fprintf(stderr, "%12.6f %6" PRIu64 " %c %s\n", (double)line->at_ns / 1e9, line->number,
            line->fate, text);
    free(whole);
}

void simnet_print_log(const struct simnet *net)
{
    uint64_t first = net->log_count > LOG_LINES ? net->log_count - LOG_LINES : 0;

    fprintf(stderr,
            "--- %" PRIu64 " frames, the last of them (> passes, x is lost, 2 comes twice, "
            ". leaves, < put by the test):\n",
            net->log_count);
    for (uint64_t i = first; i < net->log_count; i++)
        print_line(net, &net->log[i % LOG_LINES]);
    fprintf(stderr, "--- at %.6f s; again with PEER_TEST_SEED=%" PRIu64 "\n",
            (double)net->now_ns / 1e9, net->seed);
}

/* ---- frames ---- */

static struct parcel *parcel_new(const uint8_t *data, uint32_t len,
                                 const struct frame_offload *offload, uint64_t at_ns)
{
    struct parcel *parcel = simnet_need(malloc(sizeof(*parcel) + len));

    parcel->at_ns = at_ns;
    parcel->len = len;
    parcel->offload = *offload;
    memcpy(parcel->bytes, data, len);
    return parcel;
}

/* Behind those that arrive no later. */
static void way_add(struct simnet *net, struct parcel *parcel)
{
    struct list *before = net->way.prev;

    while (before != &net->way && list_entry(before, struct parcel, node)->at_ns > parcel->at_ns)
        before = before->prev;
    list_add_tail(before->next, &parcel->node);
}

static bool for_a_peer(const struct simnet *net, const struct simnet_frame *frame)
{
    return frame->packet.kind != PACKET_OTHER &&
           addr_set_find(&net->peers, &frame->packet.dst) >= 0;
}

static void keep(struct simnet *net, const struct simnet_frame *frame)
{
    note(net, '.', frame->data, frame->len);
    if (net->inbox_count >= INBOX_MOST)
        return;
    struct parcel *parcel = parcel_new(frame->data, frame->len, &frame->offload, net->now_ns);
    list_add_tail(&net->inbox, &parcel->node);
    net->inbox_count++;
}

static void frame_left(struct simnet *net, const struct frame *from)
{
    struct simnet_frame frame = {.number = ++net->numbers,
                                 .at_ns = net->now_ns,
                                 .data = from->data,
                                 .len = from->len,
                                 .offload = from->offload};
    uint64_t delay_ns = net->config.delay_ns;
    unsigned copies = 1;

    (void)packet_parse(frame.data, frame.len, net->config.layer, &frame.packet);
    if (net->config.fate)
        copies = net->config.fate(net->config.user, &frame, &delay_ns);
    if (copies && !for_a_peer(net, &frame)) {
        keep(net, &frame);
        return;
    }
    note(net, copies == 0 ? 'x' : copies == 1 ? '>' : '2', frame.data, frame.len);
    for (unsigned i = 0; i < copies; i++)
        way_add(net, parcel_new(frame.data, frame.len, &frame.offload, net->now_ns + delay_ns));
}

static void collect(struct simnet *net)
{
    for (;;) {
        struct frame *frame = simnet_need(frame_get(&net->frames, FRAME_LARGE_BYTES));
        int status = device_recv(net->far, frame);
        if (status > 0)
            frame_left(net, frame);
        frame_put(frame);
        if (status <= 0)
            return;
    }
}

static void send_in(struct simnet *net, const uint8_t *data, uint32_t len,
                    const struct frame_offload *offload)
{
    struct iovec iov = {(void *)(uintptr_t)data, len};

    (void)device_send(net->far, &iov, 1, offload);
}

static void arrive(struct simnet *net)
{
    for (int i = 0; i < AT_ONCE && !list_empty(&net->way); i++) {
        struct parcel *parcel = list_entry(net->way.next, struct parcel, node);
        if (parcel->at_ns > net->now_ns)
            break;
        list_remove(&parcel->node);
        send_in(net, parcel->bytes, parcel->len, &parcel->offload);
        free(parcel);
    }
}

static void step(struct simnet *net)
{
    arrive(net);
    if (engine_step(net->engine, net->now_ns) < 0)
        die("the engine failed");
    collect(net);
}

void simnet_put(struct simnet *net, const void *data, size_t len,
                const struct frame_offload *offload)
{
    static const struct frame_offload none;

    note(net, '<', data, (uint32_t)len);
    send_in(net, data, (uint32_t)len, offload ? offload : &none);
    step(net);
}

bool simnet_take(struct simnet *net, struct simnet_frame *ret_frame)
{
    collect(net);
    free(net->taken);
    net->taken = NULL;
    struct list *node = list_pop(&net->inbox);
    if (!node)
        return false;
    struct parcel *parcel = net->taken = list_entry(node, struct parcel, node);
    net->inbox_count--;
    *ret_frame = (struct simnet_frame){.at_ns = parcel->at_ns,
                                       .data = parcel->bytes,
                                       .len = parcel->len,
                                       .offload = parcel->offload};
    (void)packet_parse(parcel->bytes, parcel->len, net->config.layer, &ret_frame->packet);
    return true;
}

void simnet_forget(struct simnet *net)
{
    struct simnet_frame frame;

    while (simnet_take(net, &frame))
        ;
}

/* ---- time ---- */

uint64_t simnet_next_ns(const struct simnet *net)
{
    uint64_t next_ns = engine_next_ns(net->engine);

    if (!list_empty(&net->way))
        next_ns = MIN(next_ns, list_entry(net->way.next, struct parcel, node)->at_ns);
    return next_ns;
}

bool simnet_run(struct simnet *net, bool (*done)(void *user), void *user, uint64_t deadline_ns)
{
    int stuck = 0;

    step(net);
    while (!done || !done(user)) {
        uint64_t next_ns = simnet_next_ns(net);
        if (next_ns == TIMER_NEVER)
            return false;
        if (next_ns > deadline_ns)
            break;
        stuck = next_ns <= net->now_ns ? stuck + 1 : 0;
        if (stuck > 100000)
            die("time stands still: a timer that is due is armed again and again");
        net->now_ns = MAX(net->now_ns, next_ns + net->config.late_ns);
        step(net);
    }
    if (done && done(user))
        return true;
    net->now_ns = MAX(net->now_ns, deadline_ns);
    step(net);
    return false;
}

void simnet_run_for(struct simnet *net, uint64_t ns)
{
    uint64_t deadline_ns = net->now_ns + ns;

    (void)simnet_run(net, NULL, NULL, deadline_ns);
    net->now_ns = MAX(net->now_ns, deadline_ns);
    step(net);
}

/* ---- ends ---- */

bool end_is_over(void *user)
{
    return ((struct end *)user)->end_ns != 0;
}

bool end_is_open(void *user)
{
    return ((struct end *)user)->open_ns != 0;
}

void end_free(struct end *end)
{
    flow_free(&end->flow);
}

static void dress(struct end *end)
{
    const struct simnet_config *config = &end->net->config;

    if (config->dress)
        config->dress(config->user, end);
}

struct end *end_connect_like(struct simnet *net, const struct end *like, uint8_t protocol,
                             const char *from, uint16_t from_port, const char *to,
                             uint16_t to_port)
{
    struct end *end = simnet_end_new(net, like);
    struct stack_tuple tuple = {.local = simnet_addr(from),
                                .remote = simnet_addr(to),
                                .local_port = from_port,
                                .remote_port = to_port};

    end->receive_phase = PHASE_OF_SERVERS;
    flow_init(&end->flow, engine_flows(net->engine), &simnet_end_ops);
    dress(end);
    if (flow_connect(&end->flow, protocol, &tuple, net->config.handshake_ns) < 0) {
        end_free(end);
        return NULL;
    }
    collect(net);
    return end;
}

struct end *end_connect(struct simnet *net, uint8_t protocol, const char *from, uint16_t from_port,
                        const char *to, uint16_t to_port)
{
    return end_connect_like(net, NULL, protocol, from, from_port, to, to_port);
}

static struct flow *on_accept(void *user, struct stack_listener *listener,
                              const struct stack_tuple *tuple)
{
    struct simnet *net = user;
    struct listen_like *like = stack_listener_user(listener);
    struct end *end = simnet_end_new(net, &like->like);

    (void)tuple;
    end->send_phase = PHASE_OF_SERVERS;
    flow_init_accepted(&end->flow, engine_flows(net->engine), &simnet_end_ops);
    dress(end);
    net->accepted = end;
    return &end->flow;
}

struct stack_listener *simnet_listen(struct simnet *net, uint8_t protocol, uint16_t port,
                                     const struct end *like)
{
    struct listen_like *listen = simnet_need(calloc(1, sizeof(*listen)));
    const struct peer_addr any = {0};

    if (like)
        listen->like = *like;
    if (stack_listen(simnet_stack(net), protocol, &any, port, listen, &listen->listener) < 0)
        die("cannot listen");
    list_add_tail(&net->listeners, &listen->node);
    return listen->listener;
}

struct end *simnet_accepted(struct simnet *net)
{
    return net->accepted;
}

static void on_ping(void *user, const struct stack_icmp *icmp)
{
    struct simnet *net = user;
    struct ping_node *ping = simnet_need(malloc(sizeof(*ping)));

    ping->icmp = *icmp;
    list_add_tail(&net->pings, &ping->node);
}

bool simnet_take_ping(struct simnet *net, struct stack_icmp *ret_icmp)
{
    struct list *node = list_pop(&net->pings);
    if (!node)
        return false;
    struct ping_node *ping = list_entry(node, struct ping_node, node);
    *ret_icmp = ping->icmp;
    free(ping);
    return true;
}

/* ---- birth and death ---- */

/* Made when it is first asked for: most scripts never do. */
const uint8_t *simnet_pattern(struct simnet *net)
{
    struct rng rng;
    uint64_t word = 0;

    if (net->pattern)
        return net->pattern;

    rng_derive(&rng, net->seed, 0x9A77E2);
    net->pattern = simnet_need(malloc(2 * (size_t)PATTERN_PRIME));
    for (size_t i = 0; i < PATTERN_PRIME; i++) {
        if (i % 8 == 0)
            word = rng_next(&rng);
        net->pattern[i] = (uint8_t)(word >> i % 8 * 8);
    }
    memcpy(net->pattern + PATTERN_PRIME, net->pattern, PATTERN_PRIME);
    return net->pattern;
}

static uint64_t choose_seed(const struct simnet_config *config)
{
    const char *text = getenv("PEER_TEST_SEED");

    if (config->seed)
        return config->seed;
    return text ? strtoull(text, NULL, 0) : 1;
}

struct simnet *simnet_new(const struct simnet_config *config)
{
    struct simnet *net = simnet_need(calloc(1, sizeof(*net)));
    struct device *near;
    struct peer_error error;

    net->config = *config;
    if (!net->config.mtu)
        net->config.mtu = 1500;
    if (!net->config.delay_ns)
        net->config.delay_ns = NS_PER_MS;
    net->seed = choose_seed(config);
    net->now_ns = 1000 * NS_PER_S;
    net->trace = getenv("PEER_TEST_TRACE") != NULL;
    net->log = simnet_need(calloc(LOG_LINES, sizeof(*net->log)));
    list_init(&net->way);
    list_init(&net->inbox);
    list_init(&net->ends);
    list_init(&net->listeners);
    list_init(&net->pings);
    frame_pool_init(&net->frames);
    current = net;
    if (addr_set_parse(config->peers, &net->peers, &error) < 0)
        die(error.text);
    if (device_mem_pair(config->layer, net->config.mtu, config->offload, 1 << 20, &near,
                        &net->far) < 0)
        die("no device");
    struct engine_config engine = {.device = near,
                                   .peers = &net->peers,
                                   .first_mac = {{0x02, 0, 0, 0, 0, 1}},
                                   .broadcast = config->broadcast ? simnet_addr(config->broadcast)
                                                                  : (struct peer_addr){0},
                                   .seed = net->seed,
                                   .max_flows = config->max_flows,
                                   .frugal = config->frugal,
                                   .ecn = config->ecn,
                                   .accept = on_accept,
                                   .ping = on_ping,
                                   .user = net,
                                   .now_ns = net->now_ns};
    if (engine_new(&engine, &net->engine) < 0)
        die("no engine");
    return net;
}

static void free_parcels(struct list *list)
{
    struct list *node;

    while ((node = list_pop(list)))
        free(list_entry(node, struct parcel, node));
}

static void simnet_release(struct simnet *net)
{
    struct list *node;
    struct stack_icmp icmp;

    engine_free(net->engine); /* with the listeners, and by their release the ends */
    while ((node = list_pop(&net->listeners)))
        free(list_entry(node, struct listen_like, node));
    while (simnet_take_ping(net, &icmp))
        ;
    free_parcels(&net->way);
    free_parcels(&net->inbox);
    free(net->taken);
    device_free(net->far);
    frame_pool_done(&net->frames);
    addr_set_done(&net->peers);
    free(net->pattern);
    free(net->log);
    free(net);
    current = NULL;
}

struct simnet *simnet_end(struct simnet *net)
{
    simnet_release(net);
    if (stack_pool_used())
        die("lwIP still holds elements of its pools");
    return NULL;
}

int simnet_teardown(void **state)
{
    (void)state;
    if (!current)
        return 0;
    simnet_print_log(current);
    simnet_release(current);
    return 0;
}

struct engine *simnet_engine(struct simnet *net)
{
    return net->engine;
}

struct stack *simnet_stack(struct simnet *net)
{
    return engine_stack(net->engine);
}

uint64_t simnet_now_ns(const struct simnet *net)
{
    return net->now_ns;
}

uint64_t simnet_seed(const struct simnet *net)
{
    return net->seed;
}

uint64_t simnet_frames(const struct simnet *net)
{
    return net->numbers;
}

uint64_t simnet_hash(const struct simnet *net)
{
    return net->hash;
}

struct simnet_counts simnet_counts(const struct simnet *net)
{
    return net->counts;
}
