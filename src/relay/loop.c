/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation: the epoll descriptor is polled beside the net's device, so a turn costs one
 * poll, and one epoll_wait when some descriptor had news. Timers are a heap of pointers: no system
 * call is made for one, the next deadline is the time-out of the poll.
 *
 * What is done in a turn makes events of flows (a reset ends its flow at once), and the net does not
 * wake up for those: they are taken before the next wait, which does not sleep when they left work.
 */
#include "relay/loop.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { EVENTS = 256, FDS_MAX = 6 };

struct queue {
    struct loop_task *first, **last;
};

struct loop {
    struct peer_net *net;
    int epoll_fd;
    struct queue tasks, dead;
    struct loop_timer **heap; /* [1] is the next one */
    size_t heap_count, heap_room;
};

static void queue_init(struct queue *queue)
{
    queue->first = NULL;
    queue->last = &queue->first;
}

static void queue_add(struct queue *queue, struct loop_task *task)
{
    task->next = NULL;
    *queue->last = task;
    queue->last = &task->next;
}

int loop_new(struct peer_net *net, struct loop **ret_loop)
{
    struct loop *loop = calloc(1, sizeof(*loop));
    if (!loop)
        return -ENOMEM;
    loop->net = net;
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (loop->epoll_fd < 0) {
        int code = errno;
        free(loop);
        return -code;
    }
    queue_init(&loop->tasks);
    queue_init(&loop->dead);
    *ret_loop = loop;
    return 0;
}

struct loop *loop_free(struct loop *loop)
{
    if (!loop)
        return NULL;
    close(loop->epoll_fd);
    free(loop->heap);
    free(loop);
    return NULL;
}

struct peer_net *loop_net(const struct loop *loop)
{
    return loop->net;
}

uint64_t loop_now_ns(const struct loop *loop)
{
    return peer_net_now_ns(loop->net);
}

/* ---- descriptors and work ---- */

int loop_add(struct loop *loop, struct loop_fd *fd, uint32_t events)
{
    struct epoll_event event = {.events = events | EPOLLET, .data.ptr = fd};

    return epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd->fd, &event) < 0 ? -errno : 0;
}

void loop_remove(struct loop *loop, struct loop_fd *fd)
{
    (void)epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, fd->fd, NULL);
}

void loop_queue(struct loop *loop, struct loop_task *task)
{
    if (task->queued) /* or buried */
        return;
    task->queued = true;
    queue_add(&loop->tasks, task);
}

void loop_bury(struct loop *loop, struct loop_task *task)
{
    task->buried = true;
    if (!task->queued)
        queue_add(&loop->dead, task);
    task->queued = true;
}

/* ---- timers ---- */

static void heap_put(struct loop *loop, size_t place, struct loop_timer *timer)
{
    loop->heap[place] = timer;
    timer->place = place;
}

static void sift_up(struct loop *loop, struct loop_timer *timer, size_t place)
{
    while (place > 1 && loop->heap[place / 2]->at_ns > timer->at_ns) {
        heap_put(loop, place, loop->heap[place / 2]);
        place /= 2;
    }
    heap_put(loop, place, timer);
}

static void sift_down(struct loop *loop, struct loop_timer *timer, size_t place)
{
    for (;;) {
        size_t child = 2 * place;
        if (child < loop->heap_count && loop->heap[child + 1]->at_ns < loop->heap[child]->at_ns)
            child++;
        if (child > loop->heap_count || loop->heap[child]->at_ns >= timer->at_ns)
            break;
        heap_put(loop, place, loop->heap[child]);
        place = child;
    }
    heap_put(loop, place, timer);
}

static int heap_grow(struct loop *loop)
{
    size_t room = loop->heap_room ? 2 * loop->heap_room : 64;

    if (loop->heap_count + 1 < loop->heap_room)
        return 0;
    struct loop_timer **heap = realloc(loop->heap, room * sizeof(struct loop_timer *));
    if (!heap)
        return -ENOMEM;
    loop->heap = heap;
    loop->heap_room = room;
    return 0;
}

int loop_set_timer(struct loop *loop, struct loop_timer *timer, uint64_t at_ns)
{
    loop_cancel_timer(loop, timer);
    if (heap_grow(loop) < 0)
        return -ENOMEM;
    timer->at_ns = at_ns;
    sift_up(loop, timer, ++loop->heap_count);
    return 0;
}

void loop_cancel_timer(struct loop *loop, struct loop_timer *timer)
{
    size_t place = timer->place;

    if (!place)
        return;
    timer->place = 0;
    struct loop_timer *last = loop->heap[loop->heap_count--];
    if (last == timer)
        return;
    if (place > 1 && loop->heap[place / 2]->at_ns > last->at_ns)
        sift_up(loop, last, place);
    else
        sift_down(loop, last, place);
}

static void fire_timers(struct loop *loop)
{
    uint64_t now_ns = loop_now_ns(loop);

    while (loop->heap_count && loop->heap[1]->at_ns <= now_ns) {
        struct loop_timer *timer = loop->heap[1];
        loop_cancel_timer(loop, timer);
        timer->fire(timer);
    }
}

/* ---- turns ---- */

static void take_flow_events(struct loop *loop)
{
    struct peer_event event;

    while (peer_net_pop_event(loop->net, &event)) {
        struct loop_flow *user = event.flow ? peer_flow_user(event.flow) : NULL;
        if (user)
            user->event(user, &event);
    }
}

static void take_fd_events(struct loop *loop)
{
    struct epoll_event events[EVENTS];

    int count = epoll_wait(loop->epoll_fd, events, EVENTS, 0);
    for (int i = 0; i < count; i++) {
        struct loop_fd *fd = events[i].data.ptr;
        fd->ready(fd, events[i].events);
    }
}

/* Those that are queued now: what they queue is the next turn's. */
static void run_tasks(struct loop *loop)
{
    struct loop_task *task = loop->tasks.first, *next;

    queue_init(&loop->tasks);
    for (; task; task = next) {
        next = task->next;
        if (task->buried) {
            queue_add(&loop->dead, task);
        } else {
            task->queued = false;
            task->run(task);
        }
    }
}

static void free_dead(struct loop *loop)
{
    struct loop_task *task = loop->dead.first, *next;

    queue_init(&loop->dead);
    for (; task; task = next) {
        next = task->next;
        task->free(task);
    }
}

static void turn(struct loop *loop, bool fds)
{
    take_flow_events(loop);
    if (fds)
        take_fd_events(loop);
    fire_timers(loop);
    run_tasks(loop);
    free_dead(loop);
}

void loop_turn(struct loop *loop)
{
    turn(loop, true);
}

static uint64_t delay_of(const struct loop *loop, uint64_t timeout_ns)
{
    if (loop->tasks.first || loop->dead.first)
        return 0;
    if (!loop->heap_count)
        return timeout_ns;
    uint64_t now_ns = loop_now_ns(loop), at_ns = loop->heap[1]->at_ns;
    uint64_t delay_ns = at_ns > now_ns ? at_ns - now_ns : 0;
    return delay_ns < timeout_ns ? delay_ns : timeout_ns;
}

int loop_wait(struct loop *loop, struct pollfd *fds, size_t count, uint64_t timeout_ns)
{
    struct pollfd all[1 + FDS_MAX] = {{.fd = loop->epoll_fd, .events = POLLIN}};

    if (count > FDS_MAX)
        return -EINVAL;
    if (count)
        memcpy(all + 1, fds, count * sizeof(*fds));
    take_flow_events(loop);
    int status = peer_net_poll(loop->net, all, 1 + count, delay_of(loop, timeout_ns));
    for (size_t i = 0; i < count; i++)
        fds[i].revents = all[1 + i].revents;
    if (status == 0 || status == -EINTR)
        turn(loop, all[0].revents != 0);
    return status;
}
