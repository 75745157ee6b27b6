/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation: a turn reads from the socket once more only when the last call filled what it
 * was given: less than that, and the socket is empty, which epoll will change. Likewise a sendmsg
 * that took less than all has filled the socket.
 *
 * The flow says READABLE and WRITABLE at edges as well. Room is asked before each read, and the bytes
 * that were read are written at once, whole: nothing of them stays here. The exception are a few KiB
 * "in front": what was read before there was a flow (the head of a proxy's request), and answers that
 * are made here.
 *
 * Linux keeps what was received before a reset readable, so bytes that came before the end of one
 * side are passed on as far as the other takes them, and the reset follows.
 */
#include "relay/join.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    ROUNDS = 4, /* in a direction and a turn: others wait */
    VECTORS = 32,
    FRAME_BYTES = 65000, /* of payload: what a super-segment of the stack has at the most */
};
static_assert((int)FRAME_BYTES <= (int)JOIN_SCRATCH, "one read fits");

struct join_front {
    size_t at, len;
    char bytes[];
};

void join_init(struct join *join, const struct join_config *config)
{
    *join = (struct join){
        .net = config->net,
        .fd = config->fd,
        .local = config->local,
        .scratch = config->scratch,
        .state.called = config->called,
        .state.active_ns = peer_net_now_ns(config->net),
    };
}

void join_set_flow(struct join *join, struct peer_flow *flow, bool opened)
{
    join->flow = flow;
    join->flow_news = flow != NULL;
    join->unit = 0;
    join->state.opened = opened;
    join->state.end = PEER_END_NONE;
    join->state.flow_eof = join->state.flow_shut = false;
    join->judged = 0;
    if (opened)
        join->state.opened_ns = peer_net_now_ns(join->net);
}

static bool is_orderly(const struct join *join)
{
    const struct join_state *state = &join->state;

    return !state->error && (state->end == PEER_END_NONE || state->end == PEER_END_CLOSED);
}

void join_done(struct join *join)
{
    const struct linger at_once = {.l_onoff = 1, .l_linger = 0};

    if (!join->local && !(is_orderly(join) && join->state.over))
        (void)setsockopt(join->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    close(join->fd);
    join->fd = -1;
    join->flow = peer_flow_free(join->flow);
    free(join->to_flow);
    free(join->to_client);
    join->to_flow = join->to_client = NULL;
}

/* ---- in front ---- */

static int put(struct join_front **front, const void *data, size_t len)
{
    size_t had = *front ? (*front)->len : 0;

    if (!len)
        return 0;
    struct join_front *more = realloc(*front, sizeof(*more) + had + len);
    if (!more)
        return -ENOMEM;
    if (!had)
        more->at = 0;
    memcpy(more->bytes + had, data, len);
    more->len = had + len;
    *front = more;
    return 0;
}

int join_put_to_flow(struct join *join, const void *data, size_t len)
{
    return put(&join->to_flow, data, len);
}

int join_put_to_client(struct join *join, const void *data, size_t len)
{
    return put(&join->to_client, data, len);
}

size_t join_unwritten(const struct join *join)
{
    return join->to_client ? join->to_client->len - join->to_client->at : 0;
}

static void advance(struct join_front **front, size_t len)
{
    (*front)->at += len;
    if ((*front)->at < (*front)->len)
        return;
    free(*front);
    *front = NULL;
}

void join_hold(struct join *join, bool held)
{
    join->held = held;
}

void join_finish(struct join *join)
{
    join->last = true;
    join->gate = NULL;
}

void join_set_gate(struct join *join, const struct join_gate *gate)
{
    join->gate = gate;
    join->in_closed = join->out_closed = false;
    join->judged = gate ? join->judged : 0;
    join->flow_news = true;
}

/* ---- news ---- */

void join_take(struct join *join, const struct peer_event *event)
{
    struct join_state *state = &join->state;

    join->flow_news = true;
    if (event->type == PEER_EVENT_CONNECTED) {
        state->opened = true;
        state->opened_ns = state->active_ns = peer_net_now_ns(join->net);
    } else if (event->type == PEER_EVENT_EOF) {
        state->flow_eof = true;
    } else if (event->type == PEER_EVENT_CLOSED) {
        state->end = event->end;
    }
}

static int socket_error(int fd)
{
    int code = 0;
    socklen_t len = sizeof(code);

    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &len) < 0 ? errno : code;
}

void join_ready(struct join *join, uint32_t events)
{
    join->readable |= (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
    join->writable |= (events & EPOLLOUT) != 0;
    join->hangup |= (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
    if (!join->state.called && events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) {
        join->state.error = socket_error(join->fd);
        join->state.called = !join->state.error;
    } else if (events & EPOLLERR) {
        join->broken = true;
    }
}

static void active(struct join *join)
{
    join->state.active_ns = peer_net_now_ns(join->net);
}

static bool fail_client(struct join *join, int code)
{
    join->state.error = code;
    return false;
}

/* ---- to the application ---- */

/* Of what was read and not taken, which is rare, a copy stays in front. */
static bool write_flow(struct join *join, const char *data, size_t len)
{
    ssize_t done = peer_flow_write(join->flow, data, len);
    size_t taken = done < 0 ? 0 : (size_t)done;

    if (taken) {
        join->state.sent += taken;
        active(join);
    }
    if (done == -EPIPE) /* the end is on its way as an event */
        return false;
    if (taken < len && put(&join->to_flow, data + taken, len - taken) < 0)
        return fail_client(join, ENOMEM);
    return taken == len;
}

/* True: all of it is written. */
static bool flush_to_flow(struct join *join)
{
    struct join_front *front = join->to_flow;

    if (!front)
        return true;
    ssize_t done = peer_flow_write(join->flow, front->bytes + front->at, front->len - front->at);
    if (done <= 0)
        return false;
    join->state.sent += (uint64_t)done;
    active(join);
    advance(&join->to_flow, (size_t)done);
    return !join->to_flow;
}

void join_shut_flow(struct join *join)
{
    join->state.flow_shut = true;
    (void)peer_flow_shutdown(join->flow);
}

/* A gate may have kept something that is to be sent before. */
static void client_ended(struct join *join)
{
    join->state.client_eof = true;
    if (!join->gate)
        join_shut_flow(join);
}

/* How much of what was read goes on. */
static size_t pass_in(struct join *join, size_t len)
{
    const size_t passes = join->gate ? join->gate->to_flow(join, join->scratch->bytes, len) : len;

    join->in_closed = passes < len;
    return passes;
}

/* Nothing is read, but a client that has gone shall not be waited for. */
static void look_for_end(struct join *join)
{
    char byte;

    if (!join->hangup || join->state.client_eof)
        return;
    if (recv(join->fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK) == 0)
        client_ended(join);
}

/* What is written at once leaves at once: whole segments, as many as go into one frame, so that no
   short one follows, which would cost a frame and an acknowledgement of its own. */
static size_t read_size(struct join *join)
{
    size_t room = peer_flow_write_room(join->flow);
    struct peer_flow_info info;

    if (join->gate)
        return room < JOIN_GATE ? room : JOIN_GATE;
    if (!join->unit) {
        peer_flow_get_info(join->flow, &info);
        join->mss = info.mss && info.mss < FRAME_BYTES ? info.mss : FRAME_BYTES;
        join->unit = FRAME_BYTES / join->mss * join->mss;
    }
    if (room >= join->unit)
        return join->unit;
    return room > join->mss ? room / join->mss * join->mss : room;
}

/* One read. False: no more now. */
static bool read_client(struct join *join)
{
    size_t want = read_size(join);
    if (!want)
        return false;
    ssize_t len = recv(join->fd, join->scratch->bytes, want, MSG_DONTWAIT);
    if (len > 0) {
        join->readable = (size_t)len == want || join->hangup;
        return write_flow(join, join->scratch->bytes, pass_in(join, (size_t)len)) &&
               !join->in_closed;
    }
    join->readable = false;
    if (len == 0)
        client_ended(join);
    else if (errno == EINTR)
        join->readable = true;
    else if (errno != EAGAIN)
        return fail_client(join, errno);
    return false;
}

/* True: there is more at once. */
static bool move_to_flow(struct join *join)
{
    struct join_state *state = &join->state;

    if (state->flow_shut || state->end != PEER_END_NONE || !flush_to_flow(join))
        return false;
    if (join->in_closed) {
        look_for_end(join);
        return false;
    }
    for (int i = 0; i < ROUNDS && join->readable; i++) {
        if (!read_client(join))
            return false;
    }
    return join->readable;
}

/* ---- to the client ---- */

static ssize_t send_to(struct join *join, struct iovec *iov, int count)
{
    struct msghdr message = {.msg_iov = iov, .msg_iovlen = (size_t)count};
    ssize_t done = sendmsg(join->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);

    if (done >= 0)
        return done;
    join->writable = errno == EINTR;
    if (errno != EAGAIN && errno != EINTR)
        (void)fail_client(join, errno);
    return -1;
}

static bool flush_to_client(struct join *join)
{
    struct join_front *front = join->to_client;

    if (!front)
        return true;
    struct iovec iov = {front->bytes + front->at, front->len - front->at};
    ssize_t done = send_to(join, &iov, 1);
    if (done <= 0)
        return false;
    advance(&join->to_client, (size_t)done);
    return !join->to_client;
}

/* Cuts the vectors down to what may pass; the bytes. Each is asked about once. */
static size_t pass_out(struct join *join, struct iovec *iov, int *count)
{
    size_t judged = join->judged, at = 0;
    int i = 0;

    for (; i < *count && !(join->out_closed && at >= judged); at += iov[i++].iov_len) {
        const size_t end = at + iov[i].iov_len;
        if (end > judged && !join->out_closed) {
            const size_t fresh = end - judged;
            const char *data = (const char *)iov[i].iov_base + (iov[i].iov_len - fresh);
            const size_t passes = join->gate->to_client(join, data, fresh);
            join->out_closed = passes < fresh;
            judged += passes;
        }
        if (end > judged)
            iov[i].iov_len = judged - at;
    }
    *count = i;
    join->judged = judged;
    return at;
}

/* One write. False: no more now. */
static bool write_client(struct join *join)
{
    struct iovec iov[VECTORS];
    size_t len = 0;

    int count = peer_flow_peek(join->flow, iov, VECTORS);
    if (count <= 0) {
        join->flow_news = false;
        return false;
    }
    bool full = count == VECTORS;
    if (join->gate) {
        len = pass_out(join, iov, &count);
        if (!len)
            return false;
    } else {
        for (int i = 0; i < count; i++)
            len += iov[i].iov_len;
    }
    ssize_t done = send_to(join, iov, count);
    if (done < 0)
        return false;
    peer_flow_consume(join->flow, (size_t)done);
    join->judged -= join->gate ? (size_t)done : 0;
    join->state.received += (uint64_t)done;
    active(join);
    join->writable = (size_t)done == len;
    join->flow_news = !join->writable || full || join->out_closed;
    return join->writable && full;
}

static void shut_client(struct join *join)
{
    struct join_state *state = &join->state;

    if (state->client_shut || join->flow_news || join->to_client || join->gate)
        return;
    if (!state->flow_eof && state->end != PEER_END_CLOSED)
        return;
    state->client_shut = true;
    (void)shutdown(join->fd, SHUT_WR);
}

static bool gate_is_closed(const struct join *join)
{
    return join->out_closed && !join->judged;
}

static bool move_to_client(struct join *join)
{
    bool more = false;

    if (!join->writable || !flush_to_client(join))
        return false;
    for (int i = 0; i < ROUNDS && join->flow_news && join->writable && !gate_is_closed(join); i++)
        more = write_client(join);
    shut_client(join);
    return more;
}

/* ---- both ---- */

/* True: there is more at once. */
static bool throw_away(struct join *join)
{
    struct join_state *state = &join->state;

    if (!flush_to_client(join))
        return false;
    if (!state->client_shut)
        (void)shutdown(join->fd, SHUT_WR);
    state->client_shut = true;
    for (int i = 0; i < ROUNDS && join->readable; i++) {
        ssize_t len = recv(join->fd, join->scratch->bytes, JOIN_SCRATCH, MSG_DONTWAIT);
        join->readable = len > 0 || (len < 0 && errno == EINTR);
        state->client_eof |= len == 0;
        if (len < 0 && errno != EAGAIN && errno != EINTR)
            return fail_client(join, errno);
    }
    return join->readable;
}

/* Of a client that is not read any more, or not now. */
static void look_broken(struct join *join)
{
    int code = socket_error(join->fd);

    join->broken = false;
    if (code && !join->state.error)
        join->state.error = code;
}

static void settle(struct join *join)
{
    struct join_state *state = &join->state;

    if (join->gate ? state->error != 0 : !is_orderly(join)) {
        if (join->flow && state->end == PEER_END_NONE)
            peer_flow_reset(join->flow);
        state->over = true;
        return;
    }
    if (join->gate)
        return;
    state->over = state->client_shut && (join->last ? state->client_eof
                                                    : (state->flow_shut && !join->to_flow) ||
                                                          state->end == PEER_END_CLOSED);
}

bool join_move(struct join *join)
{
    bool more = false;

    if (join->state.over)
        return false;
    if (join->last && join->state.called) {
        more = throw_away(join);
    } else if (join->state.called && (join->held || !join->flow)) {
        if (join->writable)
            (void)flush_to_client(join);
    } else if (join->state.called) {
        if (join->state.opened)
            more = move_to_flow(join);
        more |= move_to_client(join);
    }
    if (join->broken && !more)
        look_broken(join);
    settle(join);
    return more && !join->state.over;
}

void join_abort(struct join *join)
{
    if (join->flow && join->state.end == PEER_END_NONE)
        peer_flow_reset(join->flow);
    join->state.end = PEER_END_LOCAL;
    join->state.over = true;
}

void join_close(struct join *join)
{
    if (join->flow && join->state.end == PEER_END_NONE)
        peer_flow_close(join->flow);
    join->state.over = true;
}
