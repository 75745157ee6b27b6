/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * peer application KIND:PORT ...: a small server on kernel sockets, the embedded application that
 * peers talk to when no other is named. One thread, epoll, any number of callers.
 *
 *   http     answers every request with a line about the caller
 *   echo     what comes goes back
 *   discard  takes all and answers nothing
 *   source   sends without end
 *
 * TCP but for echo, which serves UDP at the same port too. A caller who does not read is not read
 * from either: at most OUT_MAX bytes wait for him.
 */
#include "cli.h"

#include "http/server.h"
#include "tls/socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BUFFER_BYTES = 256 * 1024, OUT_MAX = 4096, BACKLOG = 65535, EVENTS = 256, KINDS_MAX = 16 };

struct application_options {
    struct common_options common;
    bool log, no_interrupt;
};

struct application;
struct caller;

struct kind {
    const char *name;
    /** What is readable; false: the caller is to be closed. */
    bool (*readable)(struct application *application, struct caller *caller);
    bool (*writable)(struct application *application, struct caller *caller);
};

struct caller {
    int fd;
    struct tls_socket *tls; /* NULL: none */
    bool listens, datagrams;
    const struct kind *kind;
    bool close; /* after what is in `out` */
    bool deaf;  /* refused: its bytes are read, so that no RST overtakes the answer, and dropped */
    struct http_server server;
    char name[PEER_ENDPOINT_TEXT];
    size_t out_len;
    char *out; /* OUT_MAX, made when something had to wait */
};

struct application {
    int epoll_fd;
    struct tls_sockets *tls; /* NULL: none */
    bool log;
    char *buffer; /* BUFFER_BYTES, shared by all */
};

/* ---- bytes ---- */

/* As send(2) and recv(2), through TLS where there is one. */
static ssize_t put(struct caller *caller, const char *data, size_t len)
{
    if (!caller->tls)
        return send(caller->fd, data, len, MSG_NOSIGNAL);
    ssize_t done = tls_socket_send(caller->tls, data, len);
    if (done >= 0)
        return done;
    errno = (int)-done;
    return -1;
}

static ssize_t take(struct caller *caller, char *data, size_t len)
{
    if (!caller->tls)
        return recv(caller->fd, data, len, 0);
    ssize_t done = tls_socket_recv(caller->tls, data, len);
    if (done >= 0)
        return done;
    errno = (int)-done;
    return -1;
}

/* ---- answers ---- */

static bool watch(struct application *application, struct caller *caller, bool add, bool writing)
{
    struct epoll_event event = {.events = writing ? EPOLLOUT : EPOLLIN, .data.ptr = caller};
    return epoll_ctl(application->epoll_fd, add ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, caller->fd,
                     &event) == 0;
}

/* Sends, and keeps what does not go now. */
static bool answer(struct application *application, struct caller *caller, const char *data,
                   size_t len)
{
    ssize_t done = caller->out_len ? 0 : put(caller, data, len);

    if (done < 0 && errno != EAGAIN)
        return false;
    size_t left = len - (size_t)(done > 0 ? done : 0);
    if (!left)
        return true;
    if (!caller->out)
        caller->out = malloc(OUT_MAX);
    if (!caller->out || caller->out_len + left > OUT_MAX)
        return false;
    memcpy(caller->out + caller->out_len, data + len - left, left);
    caller->out_len += left;
    return watch(application, caller, false, true);
}

static bool flush_out(struct application *application, struct caller *caller)
{
    ssize_t done = put(caller, caller->out, caller->out_len);

    if (done < 0)
        return errno == EAGAIN;
    caller->out_len -= (size_t)done;
    memmove(caller->out, caller->out + done, caller->out_len);
    return caller->out_len || watch(application, caller, false, false);
}

/* The last answer has left, or false. */
static bool http_after(struct caller *caller)
{
    if (caller->out_len || !caller->close)
        return true;
    return caller->deaf && shutdown(caller->fd, SHUT_WR) == 0;
}

static bool http_answer(struct application *application, struct caller *caller)
{
    char text[512], body[128];
    const struct http_server *server = &caller->server;

    int body_len =
        snprintf(body, sizeof(body), "Hello %s, this is the application.\n", caller->name);
    int len =
        snprintf(text, sizeof(text),
                 "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n%s\r\n%s",
                 body_len, server->keeps ? "" : "Connection: close\r\n", server->head ? "" : body);
    if (application->log)
        say("application: %s from %s", server->method, caller->name);
    caller->close = !server->keeps;
    return answer(application, caller, text, (size_t)len) && http_after(caller);
}

static bool http_refuse(struct application *application, struct caller *caller)
{
    char text[HTTP_REFUSAL_BYTES];
    size_t len = http_server_refuse(&caller->server, text);

    if (application->log)
        say("application: refused %s: %s", caller->name, caller->server.why);
    caller->close = caller->deaf = true;
    return answer(application, caller, text, len) && http_after(caller);
}

static bool http_do(struct application *application, struct caller *caller, enum http_wants wants)
{
    switch (wants) {
    case HTTP_WANTS_CONTINUE:
        return answer(application, caller, http_continue, strlen(http_continue));
    case HTTP_WANTS_ANSWER:
        return http_answer(application, caller);
    case HTTP_WANTS_REFUSAL:
        return http_refuse(application, caller);
    default:
        return true;
    }
}

static bool http_readable(struct application *application, struct caller *caller)
{
    ssize_t len = take(caller, application->buffer, BUFFER_BYTES);
    size_t at = 0;

    if (len <= 0)
        return len < 0 && errno == EAGAIN;
    while (at < (size_t)len && !caller->close) {
        enum http_wants wants;
        at += http_server_take(&caller->server, application->buffer + at, (size_t)len - at, &wants);
        if (!http_do(application, caller, wants))
            return false;
    }
    return true;
}

static bool http_writable(struct application *application, struct caller *caller)
{
    return flush_out(application, caller) && http_after(caller);
}

static bool echo_readable(struct application *application, struct caller *caller)
{
    ssize_t len = take(caller, application->buffer, OUT_MAX);

    if (len <= 0)
        return len < 0 && errno == EAGAIN;
    return answer(application, caller, application->buffer, (size_t)len);
}

static bool discard_readable(struct application *application, struct caller *caller)
{
    ssize_t len = caller->tls ? take(caller, application->buffer, BUFFER_BYTES)
                              : recv(caller->fd, application->buffer, BUFFER_BYTES,
                                     MSG_TRUNC); /* uncopied */

    return len > 0 || (len < 0 && errno == EAGAIN);
}

static bool source_writable(struct application *application, struct caller *caller)
{
    ssize_t len = put(caller, application->buffer, BUFFER_BYTES);

    return len > 0 || errno == EAGAIN;
}

static const struct kind kinds[] = {
    {"http", http_readable, http_writable},
    {"echo", echo_readable, flush_out},
    {"discard", discard_readable, flush_out},
    {"source", discard_readable, source_writable},
};

static bool echo_datagrams(struct application *application, struct caller *caller)
{
    struct sockaddr_storage from;
    socklen_t size = sizeof(from);
    ssize_t len;

    while ((len = recvfrom(caller->fd, application->buffer, BUFFER_BYTES, 0,
                           (struct sockaddr *)&from, &size)) >= 0) {
        (void)sendto(caller->fd, application->buffer, (size_t)len, 0, (struct sockaddr *)&from,
                     size);
        size = sizeof(from);
    }
    return true;
}

/* ---- callers ---- */

static void caller_free(struct caller *caller)
{
    if (caller->tls)
        tls_socket_shutdown(caller->tls);
    tls_socket_free(caller->tls);
    close(caller->fd);
    http_server_done(&caller->server);
    free(caller->out);
    free(caller);
}

static void name_caller(struct caller *caller, const struct sockaddr_in6 *from)
{
    struct peer_addr addr = {.family = 6};
    const uint8_t *bytes = from->sin6_addr.s6_addr;

    if (IN6_IS_ADDR_V4MAPPED(&from->sin6_addr)) {
        addr.family = 4;
        memcpy(addr.bytes, bytes + 12, 4);
    } else {
        memcpy(addr.bytes, bytes, 16);
    }
    peer_endpoint_format(&addr, ntohs(from->sin6_port), caller->name);
}

static void accept_all(struct application *application, const struct caller *listener)
{
    struct sockaddr_in6 from;
    socklen_t size = sizeof(from);
    int fd, one = 1;

    while ((fd = accept4(listener->fd, (struct sockaddr *)&from, &size,
                         SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct caller *caller = calloc(1, sizeof(*caller));
        size = sizeof(from);
        if (!caller) {
            close(fd);
            return;
        }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        caller->fd = fd;
        caller->kind = listener->kind;
        name_caller(caller, &from);
        if (application->tls)
            caller->tls = tls_socket_new(application->tls, fd);
        if ((application->tls && !caller->tls) || !watch(application, caller, true, caller->kind->writable == source_writable))
            caller_free(caller);
    }
}

/* What TLS has decrypted already nobody tells of again: neither when there is still some of it, nor when
   what was in the way has been sent. */
static bool has_more(const struct caller *caller)
{
    return caller->tls && !caller->out_len && tls_socket_has_more(caller->tls);
}

static bool read_all(struct application *application, struct caller *caller)
{
    bool fine;

    do
        fine = caller->kind->readable(application, caller);
    while (fine && has_more(caller));
    return fine;
}

static bool write_more(struct application *application, struct caller *caller)
{
    const bool fine = caller->kind->writable(application, caller);

    return fine && has_more(caller) ? read_all(application, caller) : fine;
}

static void handle(struct application *application, const struct epoll_event *event)
{
    struct caller *caller = event->data.ptr;
    bool fine;

    if (caller->listens) {
        accept_all(application, caller);
        return;
    }
    if (caller->datagrams)
        fine = echo_datagrams(application, caller);
    else if (event->events & EPOLLOUT)
        fine = write_more(application, caller);
    else
        fine = read_all(application, caller);
    if (!fine)
        caller_free(caller);
}

/* ---- listening ---- */

static int open_socket(int type, uint16_t port)
{
    struct sockaddr_in6 at = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    int fd = socket(AF_INET6, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1, zero = 0;

    if (fd < 0)
        return -errno;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero));
    if (bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 ||
        (type == SOCK_STREAM && listen(fd, BACKLOG) < 0)) {
        int code = errno;
        close(fd);
        return -code;
    }
    return fd;
}

static int add_listener(struct application *application, const struct kind *kind, uint16_t port,
                        int type)
{
    struct caller *listener = calloc(1, sizeof(*listener));
    if (!listener)
        return -ENOMEM;
    listener->fd = open_socket(type, port);
    if (listener->fd < 0) {
        int status = listener->fd;
        free(listener);
        return status;
    }
    listener->kind = kind;
    listener->listens = type == SOCK_STREAM;
    listener->datagrams = type == SOCK_DGRAM;
    return watch(application, listener, true, false) ? 0 : -errno;
}

static int add_word(struct application *application, const char *word)
{
    const char *colon = strchr(word, ':');
    int port = colon ? parse_port(&command_application, colon + 1) : -1;

    if (colon && port < 0)
        return STATUS_USAGE;
    for (size_t i = 0; colon && i < CLI_ARRAY_SIZE(kinds); i++) {
        if (strncmp(word, kinds[i].name, (size_t)(colon - word)) != 0 ||
            kinds[i].name[colon - word] != 0)
            continue;
        int status = add_listener(application, &kinds[i], (uint16_t)port, SOCK_STREAM);
        if (status == 0 && strcmp(kinds[i].name, "echo") == 0)
            status = add_listener(application, &kinds[i], (uint16_t)port, SOCK_DGRAM);
        if (status < 0)
            say("cannot listen at port %d: %s", port, strerror(-status));
        return status < 0 ? STATUS_MACHINE : 0;
    }
    return usage_error(&command_application,
                       "\"%s\" is no KIND:PORT; kinds are http, echo, discard, source", word);
}

static int run_application(void *options, int argc, char **argv)
{
    struct application_options *wanted = options;
    struct application application = {.epoll_fd = epoll_create1(EPOLL_CLOEXEC), .log = wanted->log};
    struct epoll_event events[EVENTS];

    if (argc < 1)
        return usage_error(&command_application, "KIND:PORT is missing");
    if (check_tls(&command_application, &wanted->common) != 0)
        return STATUS_USAGE;
    if (wanted->common.tls_on) {
        struct peer_error error = {0};
        if (tls_sockets_new(&wanted->common.tls, &application.tls, &error) < 0)
            return report_error(&error);
    }
    application.buffer = calloc(1, BUFFER_BYTES);
    if (application.epoll_fd < 0 || !application.buffer)
        return STATUS_MACHINE;
    for (int i = 0; i < argc; i++) {
        int status = add_word(&application, argv[i]);
        if (status != 0)
            return status;
    }
    if (wanted->no_interrupt)
        signal(SIGINT, SIG_IGN);
    signal(SIGPIPE, SIG_IGN); /* OpenSSL writes without MSG_NOSIGNAL */
    int status = give_up_privileges(&command_application, &wanted->common, NULL);
    if (status != 0)
        return status;
    for (;;) { /* until a signal */
        int count = epoll_wait(application.epoll_fd, events, EVENTS, -1);
        for (int i = 0; i < count; i++)
            handle(&application, &events[i]);
    }
}

static const struct option_def application_table[] = {
    {0, "log", NULL, "a line on standard error for each request", option_set_flag,
     .offset = offsetof(struct application_options, log)},
    {0, "no-interrupt", NULL, "Ctrl-C is for others of the terminal's: goes on", option_set_flag,
     .offset = offsetof(struct application_options, no_interrupt)},
    {0},
};
static const struct option_def *const tables[] = {application_table, options_tls_switch, options_tls,
                                                  options_user,      options_help,       NULL};
const struct command command_application = {
    .name = "application",
    .arguments = "KIND:PORT ...",
    .operands = "http: echo: discard: source: ...",
    .summary = "a small server on kernel sockets, to try peers on",
    .about = "Serves http, echo (TCP and UDP), discard or source at ports of all local addresses, "
             "until\n"
             "it is ended: something for peers to talk to.",
    .tables = tables,
    .options_size = sizeof(struct application_options),
    .run = run_application,
};
