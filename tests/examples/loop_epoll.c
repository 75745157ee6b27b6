/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The net in a loop of one's own: epoll waits for it, for a server's socket and for a timer. A peer
 * calls the server ten times, a hundredth of a second apart. No root is needed.
 *
 *     $ cc -o loop_epoll loop_epoll.c $(pkg-config --cflags --libs peer)
 *     $ ./loop_epoll
 *     10 calls, 10 ended in order
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <peer/process.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum { CALLS = 10, PORT = 7 };

static int fail(const char *what)
{
    fprintf(stderr, "loop: %s\n", what);
    return 1;
}

static int open_server(struct peer_net *net, struct peer_error *error)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    int fd = peer_net_socket(net, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0, error);

    inet_pton(AF_INET, "192.0.2.1", &at.sin_addr);
    if (fd >= 0 && (bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(fd, CALLS) < 0))
        perror("loop");
    return fd;
}

static void watch(int epoll, int fd)
{
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &(struct epoll_event){.events = EPOLLIN, .data.fd = fd});
}

/* Returns how many connections have ended. */
static int take_events(struct peer_net *net)
{
    struct peer_event event;
    int ended = 0;

    peer_net_dispatch(net);
    while (peer_net_pop_event(net, &event)) {
        if (event.type == PEER_EVENT_EOF)
            peer_flow_close(event.flow);
        if (event.type == PEER_EVENT_CLOSED) {
            ended++;
            peer_flow_free(event.flow);
        }
    }
    return ended;
}

static void serve(int listener)
{
    int caller = accept(listener, NULL, NULL);

    if (caller >= 0)
        close(caller); /* a short service */
}

int main(void)
{
    const struct peer_net_config config = {
        .from = "198.18.0.1", .local = "192.0.2.1/24", .isolate = true};
    const struct peer_connect_config call = {.to = {4, {192, 0, 2, 1}}, .to_port = PORT};
    const struct itimerspec beat = {{0, 10000000}, {0, 10000000}};
    struct peer_error error = {0};
    struct epoll_event ready;
    struct peer_flow *flow;
    struct peer_net *net;
    uint64_t beats;

    if (peer_net_new(&config, &net, &error) < 0)
        return fail(error.text);
    int server = open_server(net, &error), timer = timerfd_create(CLOCK_MONOTONIC, 0);
    if (server < 0)
        return fail(error.text);
    int epoll = epoll_create1(0), called = 0, ended = 0;
    timerfd_settime(timer, 0, &beat, NULL);
    watch(epoll, peer_net_fd(net));
    watch(epoll, server);
    watch(epoll, timer);
    while (ended < CALLS && epoll_wait(epoll, &ready, 1, -1) == 1) {
        if (ready.data.fd == server)
            serve(server);
        else if (ready.data.fd == timer && read(timer, &beats, sizeof(beats)) > 0 && called < CALLS)
            called += peer_connect(net, &call, &flow, &error) == 0;
        ended += take_events(net);
    }
    printf("%d calls, %d ended in order\n", called, ended);
    close(epoll);
    close(timer);
    close(server);
    peer_net_free(net);
    return 0;
}
