/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * hello PROGRAM...: runs a program that serves HTTP at port 80; a machine that is not there asks.
 *
 *     $ cc -o hello hello.c $(pkg-config --cflags --libs peer)
 *     $ ./hello peer application http:80
 *     Hello 198.18.0.2:60550, this is the application.
 */
#include <netinet/in.h>
#include <peer/peer.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    struct peer_connect_config call = {.to = {4, {192, 0, 2, 80}}, .to_port = 80};
    struct peer_net_config net_config = {
        .target = call.to, .isolate = true, .isolate_argv = argv + 1};
    struct peer_error error = {.text = "which PROGRAM?"};
    struct peer_event event = {0};
    struct peer_flow *flow;
    struct peer_net *net;
    struct iovec iov;

    if (argc < 2 || peer_net_new(&net_config, &net, &error) < 0 ||
        peer_net_start_program(net, &error) < 0)
        return fprintf(stderr, "hello: %s\n", error.text), 1;
    for (int ended; !peer_net_has_listener(net, IPPROTO_TCP, &call.to, call.to_port);)
        if (peer_net_program_ended(net, &ended) || peer_net_wait(net, 10000000) < 0)
            return 1;
    if (peer_connect(net, &call, &flow, NULL) < 0)
        return 1;
    while (event.type != PEER_EVENT_CLOSED && peer_net_wait(net, UINT64_MAX) == 0)
        while (peer_net_pop_event(net, &event)) {
            if (event.type == PEER_EVENT_CONNECTED)
                peer_flow_write(flow, "GET / HTTP/1.0\r\n\r\n", 18);
            while (event.type == PEER_EVENT_READABLE && peer_flow_peek(flow, &iov, 1))
                peer_flow_consume(flow, fwrite(iov.iov_base, 1, iov.iov_len, stdout));
            if (event.type == PEER_EVENT_EOF)
                peer_flow_close(flow);
        }
    peer_net_free(net);
    return event.end == PEER_END_CLOSED ? 0 : 1;
}
