/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation: a socket gives up to BATCH datagrams a call, each with its source and with the
 * address of ours that it was sent to, since an answer must come from that one, also where the socket
 * is bound to all. Source and socket find the session in a hash table. Answers of a flow are copied
 * into one area, since a flow shows one datagram at a time, and leave by one call.
 *
 * Sessions hang in a list by age of their last datagram; that of the longest silence is the first to
 * go. The timer of a session is set once and looks how long it has been silent when it fires.
 */
#include "relay/datagram.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    BATCH = 32, /* datagrams in a call */
    DATAGRAM_MOST = 65536,
    ROUNDS = 4, /* calls in a turn */
    SESSIONS_MOST = 65536,
    BUCKETS_LEAST = 256,
    AREA = BATCH * DATAGRAM_MOST,
    CONTROL = 64,
    VECTORS = 64,
};
#define IDLE_NS UINT64_C(300000000000)

#define container_of(pointer, type, member)                                                        \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

union source {
    struct sockaddr any;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    struct sockaddr_storage storage;
};

union control {
    struct cmsghdr align;
    char bytes[CONTROL];
};

struct socket {
    struct datagram *datagram;
    struct loop_fd fd;
    struct loop_task task;
    uint8_t family;
    const struct datagram_way *way;
    struct socket *next;
};

struct datagram {
    struct loop *loop;
    uint64_t idle_ns, most;
    struct socket *sockets;
    struct datagram_session **buckets;
    size_t bucket_count;
    struct datagram_session *oldest, *newest;
    struct datagram_stats stats; /* without those of open sessions */
    /* Of the call at hand. */
    struct mmsghdr messages[BATCH];
    struct iovec iovs[BATCH];
    union source sources[BATCH];
    union control controls[BATCH];
    char area[AREA];
};

const char *datagram_end_text(enum datagram_end end)
{
    static const char *const texts[] = {
        [DATAGRAM_OPEN] = "open",
        [DATAGRAM_IDLE] = "silent for too long",
        [DATAGRAM_UNREACHABLE] = "unreachable",
        [DATAGRAM_CROWDED_OUT] = "crowded out by newer ones",
        [DATAGRAM_FAILED] = "failed here",
        [DATAGRAM_CLOSED] = "closed",
    };
    return texts[end];
}

/* ---- sessions ---- */

static void line_up(struct datagram_session *session)
{
    struct datagram *datagram = session->datagram;

    session->older = datagram->newest;
    session->newer = NULL;
    *(datagram->newest ? &datagram->newest->newer : &datagram->oldest) = session;
    datagram->newest = session;
}

static void step_out(struct datagram_session *session)
{
    struct datagram *datagram = session->datagram;

    *(session->older ? &session->older->newer : &datagram->oldest) = session->newer;
    *(session->newer ? &session->newer->older : &datagram->newest) = session->older;
}

static void active(struct datagram_session *session)
{
    session->active_ns = loop_now_ns(session->datagram->loop);
    if (session->newer) {
        step_out(session);
        line_up(session);
    }
}

static struct datagram_session **bucket_of(struct datagram *datagram, uint32_t hash)
{
    return &datagram->buckets[hash & (datagram->bucket_count - 1)];
}

static void unhash(struct datagram_session *session)
{
    struct datagram_session **at = bucket_of(session->datagram, session->hash);

    for (; *at; at = &(*at)->next_in_bucket) {
        if (*at != session)
            continue;
        *at = session->next_in_bucket;
        return;
    }
}

static void add_up(struct datagram_stats *stats, const struct datagram_session *session)
{
    stats->sent += session->sent;
    stats->received += session->received;
    stats->sent_count += session->sent_count;
    stats->received_count += session->received_count;
}

static void free_session(struct loop_task *task)
{
    free(container_of(task, struct datagram_session, task));
}

void datagram_end(struct datagram_session *session, enum datagram_end end)
{
    struct datagram *datagram = session->datagram;

    if (session->end != DATAGRAM_OPEN)
        return;
    session->end = end;
    if (session->way->ended)
        session->way->ended(session);
    add_up(&datagram->stats, session);
    datagram->stats.ends[end]++;
    datagram->stats.open--;
    loop_cancel_timer(datagram->loop, &session->idle);
    step_out(session);
    if (!session->own) {
        unhash(session);
    } else if (session->fd.fd >= 0) {
        loop_remove(datagram->loop, &session->fd);
        close(session->fd.fd);
    }
    if (session->flow)
        peer_flow_close(session->flow);
    session->flow = peer_flow_free(session->flow);
    loop_bury(datagram->loop, &session->task);
}

/* ---- from the application: to the socket ---- */

static size_t write_control(const struct datagram_session *session, union control *control)
{
    struct msghdr message = {.msg_control = control, .msg_controllen = CONTROL};
    const bool six = session->client.addr.family == 6;
    size_t len = six ? sizeof(struct in6_pktinfo) : sizeof(struct in_pktinfo);

    memset(control, 0, sizeof(*control));
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = six ? IPPROTO_IPV6 : IPPROTO_IP;
    header->cmsg_type = six ? IPV6_PKTINFO : IP_PKTINFO;
    header->cmsg_len = CMSG_LEN(len);
    memcpy(CMSG_DATA(header), &session->info, len);
    return CMSG_SPACE(len);
}

static socklen_t write_source(const struct place *client, union source *source)
{
    memset(source, 0, sizeof(*source));
    if (client->addr.family == 6) {
        source->in6.sin6_family = AF_INET6;
        source->in6.sin6_port = htons(client->port);
        memcpy(&source->in6.sin6_addr, client->addr.bytes, 16);
        return sizeof(source->in6);
    }
    source->in.sin_family = AF_INET;
    source->in.sin_port = htons(client->port);
    memcpy(&source->in.sin_addr, client->addr.bytes, 4);
    return sizeof(source->in);
}

static void put_message(struct datagram_session *session, int i, char *at, size_t len)
{
    struct datagram *datagram = session->datagram;
    struct msghdr *message = &datagram->messages[i].msg_hdr;

    datagram->iovs[i] = (struct iovec){at, len};
    *message = (struct msghdr){.msg_iov = &datagram->iovs[i], .msg_iovlen = 1};
    if (session->own) /* it is connected */
        return;
    message->msg_name = &datagram->sources[i];
    message->msg_namelen = write_source(&session->client, &datagram->sources[i]);
    message->msg_control = &datagram->controls[i];
    message->msg_controllen = write_control(session, &datagram->controls[i]);
}

/* What the flow shows becomes one message. Its length, or -1: there is none. */
static ssize_t copy_datagram(struct datagram_session *session, char *at)
{
    struct iovec iov[VECTORS];
    size_t len = 0;

    int count = peer_flow_peek(session->flow, iov, VECTORS);
    if (count <= 0)
        return -1;
    for (int i = 0; i < count && len + iov[i].iov_len <= DATAGRAM_MOST; i++) {
        memcpy(at + len, iov[i].iov_base, iov[i].iov_len);
        len += iov[i].iov_len;
    }
    peer_flow_consume(session->flow, len);
    return (ssize_t)len;
}

static bool is_refusal(int code)
{
    return code == ECONNREFUSED || code == EHOSTUNREACH || code == ENETUNREACH;
}

/* Of a batch each datagram is tried, whatever became of the one before. False: the session is over. */
static bool send_batch(struct datagram_session *session, int count)
{
    struct datagram *datagram = session->datagram;
    int at = 0;

    while (at < count) {
        int sent = sendmmsg(session->fd.fd, datagram->messages + at, (unsigned)(count - at),
                            MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0 && session->own && is_refusal(errno)) {
            datagram_end(session, DATAGRAM_UNREACHABLE);
            return false;
        }
        if (sent <= 0) {
            datagram->stats.dropped++;
            at++;
            continue;
        }
        for (int i = at; i < at + sent; i++)
            session->received += datagram->iovs[i].iov_len;
        session->received_count += (unsigned)sent;
        at += sent;
    }
    return true;
}

static void run_session(struct loop_task *task)
{
    struct datagram_session *session = container_of(task, struct datagram_session, task);
    struct datagram *datagram = session->datagram;
    size_t used = 0;
    int count = 0;

    if (session->end != DATAGRAM_OPEN)
        return;
    while (count < BATCH) {
        ssize_t len = copy_datagram(session, datagram->area + used);
        if (len < 0)
            break;
        put_message(session, count++, datagram->area + used, (size_t)len);
        used += (size_t)len;
    }
    if (!count || !send_batch(session, count))
        return;
    active(session);
    if (count == BATCH)
        loop_queue(datagram->loop, &session->task);
}

static void on_flow(struct loop_flow *events, const struct peer_event *event)
{
    struct datagram_session *session = container_of(events, struct datagram_session, events);

    if (session->end != DATAGRAM_OPEN)
        return;
    if (event->type == PEER_EVENT_UNREACHABLE || event->type == PEER_EVENT_CLOSED)
        datagram_end(session, DATAGRAM_UNREACHABLE);
    else
        loop_queue(session->datagram->loop, &session->task);
}

static void on_idle(struct loop_timer *timer)
{
    struct datagram_session *session = container_of(timer, struct datagram_session, idle);
    struct datagram *datagram = session->datagram;
    uint64_t until_ns = session->active_ns + datagram->idle_ns;

    if (until_ns <= loop_now_ns(datagram->loop) ||
        loop_set_timer(datagram->loop, timer, until_ns) < 0)
        datagram_end(session, DATAGRAM_IDLE);
}

/* ---- beginnings ---- */

static struct datagram_session *session_new(struct datagram *datagram,
                                            const struct datagram_way *way)
{
    if (datagram->stats.open >= datagram->most)
        datagram_end(datagram->oldest, DATAGRAM_CROWDED_OUT);
    struct datagram_session *session = calloc(1, sizeof(*session));
    if (!session)
        return NULL;
    *session = (struct datagram_session){
        .datagram = datagram,
        .way = way,
        .began_ns = loop_now_ns(datagram->loop),
        .events.event = on_flow,
        .task = {.run = run_session, .free = free_session},
        .idle.fire = on_idle,
        .fd.fd = -1,
    };
    session->active_ns = session->began_ns;
    line_up(session);
    datagram->stats.sessions++;
    if (++datagram->stats.open > datagram->stats.open_most)
        datagram->stats.open_most = datagram->stats.open;
    return session;
}

/* False: it is over. */
static bool begin(struct datagram_session *session, int status)
{
    struct datagram *datagram = session->datagram;

    if (status == 0)
        status =
            loop_set_timer(datagram->loop, &session->idle, session->began_ns + datagram->idle_ns);
    if (session->way->opened)
        session->way->opened(session);
    if (status < 0)
        datagram_end(session, is_refusal(-status) ? DATAGRAM_UNREACHABLE : DATAGRAM_FAILED);
    return session->end == DATAGRAM_OPEN;
}

static void grow(struct datagram *datagram)
{
    size_t count = datagram->bucket_count * 2;

    if (datagram->stats.open < datagram->bucket_count)
        return;
    struct datagram_session **buckets = calloc(count, sizeof(struct datagram_session *));
    if (!buckets)
        return; /* it is slower then */
    free(datagram->buckets);
    datagram->buckets = buckets;
    datagram->bucket_count = count;
    for (struct datagram_session *at = datagram->oldest; at; at = at->newer) {
        if (at->own)
            continue;
        struct datagram_session **bucket = bucket_of(datagram, at->hash);
        at->next_in_bucket = *bucket;
        *bucket = at;
    }
}

static struct datagram_session *session_by_source(struct socket *socket, const struct place *client,
                                                  uint32_t hash, const union datagram_info *info)
{
    struct datagram *datagram = socket->datagram;
    struct peer_connect_config config = *socket->way->to;
    struct datagram_session *session = session_new(datagram, socket->way);
    if (!session)
        return NULL;
    session->client = *client;
    session->info = *info;
    session->fd.fd = socket->fd.fd;
    session->hash = hash;
    struct datagram_session **bucket = bucket_of(datagram, hash);
    session->next_in_bucket = *bucket;
    *bucket = session;
    grow(datagram);
    config.udp = true;
    config.user = &session->events;
    int status = peer_connect(loop_net(datagram->loop), &config, &session->flow, NULL);
    return begin(session, status) ? session : NULL;
}

/* ---- from a socket: to the application ---- */

static void pass_on(struct datagram_session *session, const char *data, size_t len)
{
    ssize_t done = peer_flow_write(session->flow, data, len);

    active(session);
    if (done < 0) {
        session->datagram->stats.dropped++;
        return;
    }
    session->sent += len;
    session->sent_count++;
}

static void read_control(struct msghdr *message, union datagram_info *ret_info)
{
    for (struct cmsghdr *at = CMSG_FIRSTHDR(message); at; at = CMSG_NXTHDR(message, at)) {
        if (at->cmsg_level == IPPROTO_IP && at->cmsg_type == IP_PKTINFO) {
            memcpy(&ret_info->four, CMSG_DATA(at), sizeof(ret_info->four));
            ret_info->four.ipi_ifindex = 0; /* the route back is the kernel's matter */
        } else if (at->cmsg_level == IPPROTO_IPV6 && at->cmsg_type == IPV6_PKTINFO) {
            memcpy(&ret_info->six, CMSG_DATA(at), sizeof(ret_info->six));
        }
    }
}

static bool is_same_info(const struct datagram_session *session, const union datagram_info *info)
{
    if (session->client.addr.family == 4)
        return session->info.four.ipi_spec_dst.s_addr == info->four.ipi_spec_dst.s_addr;
    return memcmp(&session->info.six, &info->six, sizeof(info->six)) == 0;
}

/* FNV-1a; who can choose ports here can fill a bucket, and pays for it himself. */
static uint32_t hash_of(const struct socket *socket, const struct place *client)
{
    uint32_t hash = 2166136261U ^ (uint32_t)socket->fd.fd;

    for (size_t i = 0; i < sizeof(client->addr.bytes); i++)
        hash = (hash ^ client->addr.bytes[i]) * 16777619U;
    hash = (hash ^ (client->port & 0xff)) * 16777619U;
    hash = (hash ^ (uint32_t)(client->port >> 8)) * 16777619U;
    return hash ^ hash >> 15;
}

static void hear(struct socket *socket, int i, size_t len)
{
    struct datagram *datagram = socket->datagram;
    union datagram_info info = {0};
    struct place client;

    place_of(&datagram->sources[i].storage, &client);
    read_control(&datagram->messages[i].msg_hdr, &info);
    uint32_t hash = hash_of(socket, &client);
    struct datagram_session *session = *bucket_of(datagram, hash);
    while (session &&
           !(session->hash == hash && session->fd.fd == socket->fd.fd &&
             session->client.port == client.port &&
             peer_addr_equal(&session->client.addr, &client.addr) && is_same_info(session, &info)))
        session = session->next_in_bucket;
    if (!session)
        session = session_by_source(socket, &client, hash, &info);
    if (session)
        pass_on(session, datagram->area + (size_t)i * DATAGRAM_MOST, len);
    else
        datagram->stats.dropped++;
}

static int receive(struct datagram *datagram, int fd)
{
    for (int i = 0; i < BATCH; i++) {
        datagram->iovs[i] =
            (struct iovec){datagram->area + (size_t)i * DATAGRAM_MOST, DATAGRAM_MOST};
        datagram->messages[i].msg_hdr = (struct msghdr){
            .msg_name = &datagram->sources[i],
            .msg_namelen = sizeof(datagram->sources[i]),
            .msg_iov = &datagram->iovs[i],
            .msg_iovlen = 1,
            .msg_control = &datagram->controls[i],
            .msg_controllen = CONTROL,
        };
    }
    return recvmmsg(fd, datagram->messages, BATCH, MSG_DONTWAIT, NULL);
}

static void run_socket(struct loop_task *task)
{
    struct socket *socket = container_of(task, struct socket, task);
    struct datagram *datagram = socket->datagram;

    for (int round = 0; round < ROUNDS; round++) {
        int count = receive(datagram, socket->fd.fd);
        if (count < 0 && errno != EINTR && !is_refusal(errno)) /* that is of one datagram */
            return;
        for (int i = 0; i < count; i++)
            hear(socket, i, datagram->messages[i].msg_len);
    }
    loop_queue(datagram->loop, task);
}

static void on_socket(struct loop_fd *fd, uint32_t events)
{
    struct socket *socket = container_of(fd, struct socket, fd);

    (void)events;
    loop_queue(socket->datagram->loop, &socket->task);
}

static void free_socket(struct loop_task *task)
{
    free(container_of(task, struct socket, task));
}

/* Which of our addresses a datagram came to. */
static void ask_info(int fd, uint8_t family)
{
    if (family == 6)
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &(int){1}, sizeof(int));
    else
        (void)setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &(int){1}, sizeof(int));
}

int datagram_listen(struct datagram *datagram, int fd, const struct place *at,
                    const struct datagram_way *way)
{
    struct socket *socket = calloc(1, sizeof(*socket));
    int status = -ENOMEM;

    if (socket) {
        *socket = (struct socket){.datagram = datagram,
                                  .fd = {.fd = fd, .ready = on_socket},
                                  .way = way,
                                  .family = at->addr.family,
                                  .next = datagram->sockets,
                                  .task = {.run = run_socket, .free = free_socket}};
        ask_info(fd, at->addr.family);
        status = loop_add(datagram->loop, &socket->fd, EPOLLIN);
    }
    if (status < 0) {
        free(socket);
        close(fd);
        return status;
    }
    datagram->sockets = socket;
    return 0;
}

/* ---- callers of peers ---- */

static void run_own(struct datagram_session *session)
{
    struct datagram *datagram = session->datagram;

    for (int round = 0; round < ROUNDS; round++) {
        int count = receive(datagram, session->fd.fd);
        if (count < 0 && is_refusal(errno)) {
            datagram_end(session, DATAGRAM_UNREACHABLE);
            return;
        }
        for (int i = 0; i < count; i++)
            pass_on(session, datagram->area + (size_t)i * DATAGRAM_MOST,
                    datagram->messages[i].msg_len);
        if (count < BATCH)
            return;
    }
    loop_queue(datagram->loop, &session->task);
}

static void run_both(struct loop_task *task)
{
    struct datagram_session *session = container_of(task, struct datagram_session, task);

    run_session(task);
    if (session->end == DATAGRAM_OPEN)
        run_own(session);
}

static void on_own(struct loop_fd *fd, uint32_t events)
{
    struct datagram_session *session = container_of(fd, struct datagram_session, fd);

    (void)events;
    if (session->end == DATAGRAM_OPEN)
        loop_queue(session->datagram->loop, &session->task);
}

void datagram_call(struct datagram *datagram, struct peer_flow *flow, const struct place *to,
                   const struct datagram_way *way)
{
    struct datagram_session *session = session_new(datagram, way);
    bool called;

    if (!session) {
        peer_flow_free(flow);
        return;
    }
    session->flow = flow;
    session->client = *to;
    session->own = true;
    session->task.run = run_both;
    peer_flow_set_user(flow, &session->events);
    session->fd = (struct loop_fd){.fd = place_connect(to, true, &called), .ready = on_own};
    int status = session->fd.fd < 0 ? session->fd.fd
                                    : loop_add(datagram->loop, &session->fd, EPOLLIN | EPOLLOUT);
    if (begin(session, status))
        loop_queue(datagram->loop, &session->task);
}

/* ---- the whole ---- */

int datagram_new(const struct datagram_config *config, struct datagram **ret_datagram)
{
    struct datagram *datagram = calloc(1, sizeof(*datagram));
    if (!datagram)
        return -ENOMEM;
    datagram->loop = config->loop;
    datagram->idle_ns = config->idle_ns ? config->idle_ns : IDLE_NS;
    datagram->most = config->most ? config->most : SESSIONS_MOST;
    datagram->bucket_count = BUCKETS_LEAST;
    datagram->buckets = calloc(BUCKETS_LEAST, sizeof(struct datagram_session *));
    if (!datagram->buckets) {
        free(datagram);
        return -ENOMEM;
    }
    *ret_datagram = datagram;
    return 0;
}

struct datagram *datagram_free(struct datagram *datagram)
{
    struct socket *socket;

    if (!datagram)
        return NULL;
    while (datagram->oldest)
        datagram_end(datagram->oldest, DATAGRAM_CLOSED);
    while ((socket = datagram->sockets)) {
        datagram->sockets = socket->next;
        loop_remove(datagram->loop, &socket->fd);
        close(socket->fd.fd);
        loop_bury(datagram->loop, &socket->task);
    }
    loop_turn(datagram->loop); /* what was buried is freed */
    free(datagram->buckets);
    free(datagram);
    return NULL;
}

void datagram_get_stats(const struct datagram *datagram, struct datagram_stats *ret_stats)
{
    *ret_stats = datagram->stats;
    for (const struct datagram_session *at = datagram->oldest; at; at = at->newer)
        add_up(ret_stats, at);
}
