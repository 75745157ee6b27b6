/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The net in GLib's main loop, beside a GIO server and a timer of GLib's own. A peer calls the server
 * ten times, a hundredth of a second apart. No root is needed.
 *
 *     $ cc -o loop_glib loop_glib.c $(pkg-config --cflags --libs peer gio-2.0)
 *     $ ./loop_glib
 *     10 calls, 10 ended in order
 */
#include <gio/gio.h>
#include <glib-unix.h>
#include <netinet/in.h>
#include <peer/peer.h>

enum { CALLS = 10, PORT = 7 };

struct test {
    GMainLoop *loop;
    struct peer_net *net;
    int called, ended;
    gboolean failed;
};

/* ---- the peers ---- */

static gboolean take_events(gint fd, GIOCondition condition, gpointer arg)
{
    struct test *test = arg;
    struct peer_event event;

    (void)fd, (void)condition;
    if (peer_net_dispatch(test->net) < 0)
        test->failed = TRUE;
    while (peer_net_pop_event(test->net, &event)) {
        if (event.type == PEER_EVENT_EOF)
            peer_flow_close(event.flow);
        if (event.type == PEER_EVENT_CLOSED) {
            test->ended += event.end == PEER_END_CLOSED;
            test->failed |= event.end != PEER_END_CLOSED;
            peer_flow_free(event.flow);
        }
    }
    if (!test->failed && test->ended < CALLS)
        return G_SOURCE_CONTINUE;
    g_main_loop_quit(test->loop);
    return G_SOURCE_REMOVE;
}

static gboolean call(gpointer arg)
{
    const struct peer_connect_config config = {.to = {4, {192, 0, 2, 1}}, .to_port = PORT};
    struct peer_error error = {0};
    struct test *test = arg;
    struct peer_flow *flow;

    if (peer_connect(test->net, &config, &flow, &error) < 0) {
        g_printerr("loop: %s\n", error.text);
        test->failed = TRUE;
        g_main_loop_quit(test->loop);
    }
    return ++test->called < CALLS && !test->failed;
}

/* ---- the server under test ---- */

static gboolean serve(GSocketService *service, GSocketConnection *caller, GObject *source,
                      gpointer arg)
{
    (void)service, (void)source, (void)arg;
    return g_io_stream_close(G_IO_STREAM(caller), NULL, NULL); /* a short service */
}

/* A socket that was made in the peers' namespace is GIO's from then on. */
static GSocketService *open_server(struct test *test, struct peer_error *error)
{
    int fd = peer_net_socket(test->net, AF_INET, SOCK_STREAM, 0, error);
    g_autoptr(GSocket) socket = fd >= 0 ? g_socket_new_from_fd(fd, NULL) : NULL;
    g_autoptr(GSocketAddress) at = g_inet_socket_address_new_from_string("192.0.2.1", PORT);
    GSocketService *service;

    if (!socket || !g_socket_bind(socket, at, TRUE, NULL) || !g_socket_listen(socket, NULL))
        return NULL;
    service = g_socket_service_new();
    g_socket_listener_add_socket(G_SOCKET_LISTENER(service), socket, NULL, NULL);
    g_signal_connect(service, "incoming", G_CALLBACK(serve), NULL);
    g_socket_service_start(service);
    return service;
}

int main(void)
{
    const struct peer_net_config config = {
        .from = "198.18.0.1", .local = "192.0.2.1/24", .isolate = true};
    struct peer_error error = {.text = "the server cannot listen"};
    GSocketService *server = NULL;
    struct test test = {0};

    if (peer_net_new(&config, &test.net, &error) == 0)
        server = open_server(&test, &error);
    if (!server) {
        g_printerr("loop: %s\n", error.text);
        peer_net_free(test.net);
        return 1;
    }
    test.loop = g_main_loop_new(NULL, FALSE);
    g_unix_fd_add(peer_net_fd(test.net), G_IO_IN, take_events, &test);
    g_timeout_add(10, call, &test);
    g_main_loop_run(test.loop);
    g_print("%d calls, %d ended in order\n", test.called, test.ended);
    g_main_loop_unref(test.loop);
    g_socket_service_stop(server);
    g_socket_listener_close(G_SOCKET_LISTENER(server));
    g_object_unref(server);
    peer_net_free(test.net);
    return test.failed;
}
