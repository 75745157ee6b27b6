/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What becomes of a packet: of one to a port where a server listens, and of one to a port where
 * nobody does. A program may act on what it hears: on the word for the reason, and the command that
 * would mend it. No root is needed.
 *
 *     $ cc -o trace trace.c $(pkg-config --cflags --libs peer)
 *     $ ./trace
 *     to port 80:
 *       device     peer0
 *     answered
 *     to port 81:
 *       device     peer0
 *     refused at socket [no-listener]
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <peer/peer.h>
#include <peer/trace.h>
#include <stdio.h>
#include <unistd.h>

enum { SERVED = 80, CLOSED = 81 };

static int open_server(struct peer_net *net, struct peer_error *error)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(SERVED)};
    int fd = peer_net_socket(net, AF_INET, SOCK_STREAM, 0, error);

    inet_pton(AF_INET, "192.0.2.1", &at.sin_addr);
    if (fd >= 0 && (bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(fd, 1) < 0)) {
        close(fd);
        return -1;
    }
    return fd;
}

static void print_station(void *user, const struct peer_trace_station *station)
{
    static const char *const states[] = {
        [PEER_TRACE_PASSED] = "",
        [PEER_TRACE_LOST] = "lost: ",
        [PEER_TRACE_NOTE] = "note: ",
        [PEER_TRACE_UNSEEN] = "not seen: ",
    };
    const char *state = station->state <= PEER_TRACE_UNSEEN ? states[station->state] : "";

    (void)user;
    printf("%s %-10s %-24s %s%s\n", station->back ? " <" : "  ", station->name, station->where,
           state, station->text);
}

static int trace(struct peer_net *net, uint16_t port, struct peer_error *error)
{
    const struct peer_trace_config config = {
        .to = {4, {192, 0, 2, 1}}, .to_port = port, .each = print_station};
    struct peer_trace_result result;
    int status;

    printf("to port %u:\n", port);
    status = peer_trace(net, &config, &result, error);
    if (status < 0)
        return status;
    if (result.outcome == PEER_TRACE_ANSWERED)
        printf("answered after %lld us\n", (long long)result.answer_ns / 1000);
    else if (result.outcome == PEER_TRACE_REFUSED)
        printf("refused at %s [%s]: %s\n", result.station, result.reason, result.text);
    else
        printf("%s\n", result.text);
    if (result.mend[0])
        printf("mend: %s\n", result.mend);
    return (int)result.outcome;
}

int main(void)
{
    const struct peer_net_config config = {
        .from = "198.18.0.1", .local = "192.0.2.1/24", .isolate = true};
    struct peer_error error = {.text = "the server cannot listen"};
    struct peer_net *net = NULL;
    int served = -1, closed = -1, server = -1;

    if (peer_net_new(&config, &net, &error) == 0)
        server = open_server(net, &error);
    if (server >= 0)
        served = trace(net, SERVED, &error);
    if (served >= 0)
        closed = trace(net, CLOSED, &error);
    if (closed < 0)
        fprintf(stderr, "trace: %s\n", error.text);
    if (server >= 0)
        close(server);
    peer_net_free(net);
    return served == PEER_TRACE_ANSWERED && closed == PEER_TRACE_REFUSED ? 0 : 1;
}
