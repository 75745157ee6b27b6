/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A soak in a protocol of one's own: the server greets, "N ping" is answered by "N pong", and four are under
 * way at once. The workload is the first fifty lines; the rest is the server under test, which lives in
 * this process. No root is needed.
 *
 *     $ cc -o custom_workload custom_workload.c $(pkg-config --cflags --libs peer)
 *     $ ./custom_workload
 *     2000 of 2000 answered, 0 errors, p99 1000 us
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <peer/process.h>
#include <peer/workload.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FLOWS = 20, REQUESTS = 2000, PORT = 7 };

struct pinger {
    bool greeted;
};

/* The server speaks first: nothing is asked until `take` has seen the greeting. */
static void pinger_opened(struct peer_client *client)
{
    (void)client;
}

static void pinger_ask(struct peer_client *client, uint32_t request)
{
    char line[32];
    int len = snprintf(line, sizeof(line), "%u ping\n", request);

    peer_client_send(client, line, (size_t)len);
}

/* A line at a time; what is not used comes again, with what follows. */
static size_t pinger_take(struct peer_client *client, const char *data, size_t len)
{
    struct pinger *pinger = peer_client_own(client);
    const char *end = memchr(data, '\n', len);

    if (!end)
        return 0;
    if (!pinger->greeted) {
        pinger->greeted = true;
        peer_client_ready(client, 4);
    } else if (peer_client_done(client, (uint32_t)strtoul(data, NULL, 10)) < 0) {
        peer_client_fail(client, PEER_SOAK_BAD_ANSWER, "that was not asked for");
    }
    return (size_t)(end + 1 - data);
}

static const struct peer_workload pings = {
    .size = sizeof(struct peer_workload),
    .name = "pings",
    .any_order = true,
    .client_bytes = sizeof(struct pinger),
    .opened = pinger_opened,
    .ask = pinger_ask,
    .take = pinger_take,
};

/* ---- the server under test ---- */

struct server {
    int listener, callers[FLOWS], count;
};

static int open_server(struct server *server, struct peer_net *net, struct peer_error *error)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    int fd = peer_net_socket(net, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0, error);

    inet_pton(AF_INET, "192.0.2.1", &at.sin_addr);
    if (fd >= 0 && (bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(fd, FLOWS) < 0))
        perror("custom_workload");
    *server = (struct server){.listener = fd};
    return fd;
}

/* Every 'i' becomes an 'o': nothing needs to be kept when a line comes in two parts. */
static void answer(int caller)
{
    char bytes[4096];
    ssize_t len = recv(caller, bytes, sizeof(bytes), MSG_DONTWAIT);

    for (ssize_t i = 0; i < len; i++)
        bytes[i] = bytes[i] == 'i' ? 'o' : bytes[i];
    if (len > 0 && send(caller, bytes, (size_t)len, MSG_NOSIGNAL) < 0)
        perror("custom_workload");
}

static void serve(struct server *server)
{
    int caller;

    while (server->count < FLOWS && (caller = accept(server->listener, NULL, NULL)) >= 0) {
        server->callers[server->count++] = caller;
        if (send(caller, "welcome\n", 8, MSG_NOSIGNAL) < 0)
            perror("custom_workload");
    }
    for (int i = 0; i < server->count; i++)
        answer(server->callers[i]);
}

static void close_server(struct server *server)
{
    for (int i = 0; i < server->count; i++)
        close(server->callers[i]);
    close(server->listener);
}

/* ---- both ---- */

static int report(struct peer_soak *soak)
{
    struct peer_soak_report found;
    struct peer_result *result;

    if (peer_soak_get_result(soak, &result) < 0)
        return 1;
    peer_result_get_report(result, &found);
    printf("%llu of %d answered, %llu errors%s%s, p99 %.0f us\n",
           (unsigned long long)found.counts.completed, REQUESTS,
           (unsigned long long)peer_soak_errors(&found.counts), found.first_error ? ": " : "",
           found.first_error ? found.first_error : "", found.request.p99);
    peer_result_free(result);
    return found.counts.completed == REQUESTS ? 0 : 1;
}

int main(void)
{
    const struct peer_net_config net_config = {
        .from = "198.18.0.1-198.18.0.20", .local = "192.0.2.1/24", .isolate = true};
    const struct peer_soak_config config = {.protocol = PEER_WORKLOAD_CUSTOM,
                                            .to = {4, {192, 0, 2, 1}},
                                            .to_port = PORT,
                                            .flows = FLOWS,
                                            .total = REQUESTS,
                                            .workload = &pings};
    struct peer_error error = {.text = "no server"};
    struct server server;
    struct peer_soak *soak;
    struct peer_net *net;

    if (peer_net_new(&net_config, &net, &error) < 0 || open_server(&server, net, &error) < 0 ||
        peer_soak_start(net, &config, &soak, &error) < 0)
        return fprintf(stderr, "custom_workload: %s\n", error.text), 1;
    while (!peer_soak_is_over(soak) && peer_net_wait(net, 1000000) == 0)
        serve(&server);
    int status = report(soak);
    peer_soak_free(soak);
    peer_net_free(net);
    close_server(&server);
    return status;
}
