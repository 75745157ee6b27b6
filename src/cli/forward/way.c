/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The words of ssh -L and -R. They are read from the right: HOST:PORT stands last and is always
 * there, and what is left before it may have colons of its own (an IPv6 address in brackets, a path).
 */
#include "forward.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WORD_MOST = 512 };

/* ---- words ---- */

/* Cuts the last word off `text`: what stands behind its last colon that is in no brackets, which are
   taken off. NULL when there is no colon; `text` is then that word. */
static char *cut_last(char *text)
{
    size_t len = strlen(text);
    char *open = len && text[len - 1] == ']' ? strrchr(text, '[') : NULL;

    if (open) {
        text[len - 1] = 0;
        memmove(open, open + 1, strlen(open));
        if (open == text || open[-1] != ':')
            return NULL;
        open[-1] = 0;
        return open;
    }
    char *colon = strrchr(text, ':');
    if (!colon)
        return NULL;
    *colon = 0;
    return colon + 1;
}

/* 0 is taken where the kernel chooses one. */
static bool read_port(const char *text, unsigned long least, uint16_t *ret_port)
{
    char *end;
    unsigned long port = strtoul(text, &end, 10);

    if (*text < '0' || *text > '9' || *end || port < least || port > PEER_PORT_MAX)
        return false;
    *ret_port = (uint16_t)port;
    return true;
}

static int wrong(const struct command *command, const struct way *way, const char *why)
{
    const char *grammar = way->reverse ? "[PEER:]PORT:HOST:PORT or [PEER:]PORT:unix:PATH"
                                       : "[LISTEN:]PORT:HOST:PORT or unix:PATH:HOST:PORT";

    return usage_error(command, "\"%s\": %s; it is %s", way->text, why, grammar);
}

static int set_path(const struct command *command, struct way *way, struct place *place,
                    const char *path)
{
    *place = (struct place){0};
    if (!*path)
        return wrong(command, way, "the path is missing");
    if (snprintf(place->path, sizeof(place->path), "%s", path) >= (int)sizeof(place->path))
        return usage_error(command, "\"%s\": a socket's path has %d bytes at the most", way->text,
                           PLACE_PATH - 1);
    return 0;
}

/* HOST:PORT at the end of `text`, which is left with what is before it. */
static int cut_target(const struct command *command, const struct common_options *common,
                      struct way *way, char *text, struct target *ret_target)
{
    const char *port = cut_last(text), *host = port ? cut_last(text) : NULL;
    char endpoint[WORD_MOST + 16];
    char *words[] = {endpoint, NULL};

    if (!host || !*host || !*port)
        return wrong(command, way, "HOST or PORT is missing");
    snprintf(endpoint, sizeof(endpoint), strchr(host, ':') ? "[%s]:%s" : "%s:%s", host, port);
    return parse_target(command, common, 1, words, ret_target);
}

/* ---- where it begins ---- */

static void add_place(struct way *way, const struct peer_addr *addr, uint16_t port)
{
    if (way->at_count == WAY_PLACES)
        return;
    way->fds[way->at_count] = -1;
    way->at[way->at_count++] = (struct place){.addr = *addr, .port = port};
}

static int add_both(struct way *way, const char *four, const char *six, uint16_t port)
{
    struct peer_addr addr;

    if (peer_addr_parse(four, &addr) == 0)
        add_place(way, &addr, port);
    if (peer_addr_parse(six, &addr) == 0)
        add_place(way, &addr, port);
    way->optional = true;
    return 0;
}

static int add_named(struct way *way, const char *host, uint16_t port)
{
    struct peer_addr addrs[WAY_PLACES];
    struct peer_error error;

    int count = peer_resolve_all(host, 0, addrs, WAY_PLACES, &error);
    if (count < 0)
        return report_error(&error);
    for (int i = 0; i < count; i++)
        add_place(way, &addrs[i], port);
    way->optional = count > 1;
    return 0;
}

/* [LISTEN:]PORT */
static int set_begin(const struct command *command, struct way *way, char *text)
{
    uint16_t port;
    char *port_text = cut_last(text), *host = port_text ? text : NULL;

    if (!port_text)
        port_text = text;
    if (!read_port(port_text, 0, &port))
        return wrong(command, way, "the port to listen at is none");
    if (!host)
        return add_both(way, "127.0.0.1", "::1", port);
    size_t len = strlen(host);
    if (host[0] == '[' && host[len - 1] == ']') {
        host[len - 1] = 0;
        host++;
    }
    if (!*host || strcmp(host, "*") == 0)
        return add_both(way, "0.0.0.0", "::", port);
    return add_named(way, host, port);
}

int way_parse(const struct command *command, const struct common_options *common, const char *text,
              struct way *ret_way)
{
    static const char local[] = "unix:";
    char words[WORD_MOST];

    *ret_way = (struct way){.text = text};
    if (snprintf(words, sizeof(words), "%s", text) >= (int)sizeof(words))
        return wrong(command, ret_way, "it is too long");
    int status = cut_target(command, common, ret_way, words, &ret_way->to);
    if (status != 0)
        return status;
    if (strncmp(words, local, sizeof(local) - 1) != 0)
        return set_begin(command, ret_way, words);
    ret_way->at_count = 1;
    ret_way->fds[0] = -1;
    return set_path(command, ret_way, &ret_way->at[0], words + sizeof(local) - 1);
}

/* [PEER:]PORT */
static int set_peer(const struct command *command, struct way *way, char *text)
{
    char *port = cut_last(text), *peer = port ? text : NULL;

    if (!read_port(port ? port : text, 1, &way->peer_port))
        return wrong(command, way, "the peer's port is none");
    if (!peer || !*peer || strcmp(peer, "*") == 0)
        return 0;
    size_t len = strlen(peer);
    if (peer[0] == '[' && peer[len - 1] == ']') {
        peer[len - 1] = 0;
        peer++;
    }
    if (peer_addr_parse(peer, &way->peer) < 0)
        return wrong(command, way, "PEER is no address");
    return 0;
}

int way_parse_reverse(const struct command *command, const struct common_options *common,
                      const char *text, struct way *ret_way)
{
    static const char local[] = ":unix:";
    char words[WORD_MOST];
    struct common_options any = *common;
    struct target to = {0};

    *ret_way = (struct way){.text = text, .reverse = true};
    if (snprintf(words, sizeof(words), "%s", text) >= (int)sizeof(words))
        return wrong(command, ret_way, "it is too long");
    char *path = strstr(words, local);
    if (path) {
        *path = 0;
        int status = set_path(command, ret_way, &ret_way->to_place, path + sizeof(local) - 1);
        return status == 0 ? set_peer(command, ret_way, words) : status;
    }
    any.from = any.local = NULL; /* a kernel socket's family is its own */
    any.family = 0;
    int status = cut_target(command, &any, ret_way, words, &to);
    if (status != 0)
        return status;
    ret_way->to_place = (struct place){.addr = to.addr, .port = to.port};
    return set_peer(command, ret_way, words);
}

/* ---- sockets ---- */

static int say_no_socket(const struct way *way, const struct place *place, int status)
{
    char text[PLACE_TEXT];

    place_format(place, text);
    if (status == -EEXIST)
        say("%s is there already, and nobody listens at it: remove it to listen there", text);
    else if (status == -EADDRINUSE)
        say("cannot listen at %s: somebody else does", text);
    else if (status == -EACCES && place->addr.family)
        say("cannot listen at %s: ports below %d are root's", text, PEER_PORT_ANY_USER);
    else
        say("cannot listen at %s for \"%s\": %s", text, way->text, strerror(-status));
    return STATUS_MACHINE;
}

/* The kernel has no such family, or the machine no such address. */
static bool is_missing(int status)
{
    return status == -EADDRNOTAVAIL || status == -EAFNOSUPPORT;
}

/* Forgets the places that are missing. */
static void keep_open_ones(struct way *way)
{
    int kept = 0;

    for (int i = 0; i < way->at_count; i++) {
        if (way->fds[i] < 0)
            continue;
        way->fds[kept] = way->fds[i];
        way->at[kept++] = way->at[i];
    }
    way->at_count = kept;
}

/* The first place's port is that of all. */
static int open_places(struct way *way, bool udp, int *ret_at)
{
    uint16_t port = 0;

    for (int i = 0; i < way->at_count; i++) {
        if (port)
            way->at[i].port = port;
        way->fds[i] = place_listen(&way->at[i], udp);
        *ret_at = i;
        if (way->fds[i] < 0 && !(way->optional && is_missing(way->fds[i])))
            return way->fds[i];
        if (way->fds[i] >= 0)
            port = way->at[i].port;
    }
    return port || !way->at[0].addr.family ? 0 : -EADDRNOTAVAIL;
}

/* What was one socket becomes one for each worker. */
static int open_shares(struct way *way, unsigned workers, int *ret_at)
{
    int status = 0;

    way->share_count = workers;
    way->shares = malloc((unsigned)way->at_count * workers * sizeof(*way->shares));
    if (!way->shares)
        return -ENOMEM;
    for (unsigned i = 0; i < (unsigned)way->at_count * workers; i++)
        way->shares[i] = i % workers ? -1 : way->fds[i / workers];
    for (int i = 0; i < way->at_count && status == 0; i++) {
        *ret_at = i;
        status = place_share(&way->at[i], way->shares + (unsigned)i * workers, workers);
    }
    return status;
}

int way_open(struct way *way, bool udp, unsigned workers)
{
    const bool chosen = way->at[0].addr.family && !way->at[0].port;
    int status, at = 0;

    /* A port that the kernel chose for one family may be taken in the other. */
    for (int i = 0; i < 16; i++) {
        status = open_places(way, udp, &at);
        if (status != -EADDRINUSE || !chosen)
            break;
        way_close(way);
        for (int k = 0; k < way->at_count; k++)
            way->at[k].port = 0;
    }
    if (status == 0) {
        keep_open_ones(way);
        status = udp && workers ? open_shares(way, workers, &at) : 0;
    }
    if (status == 0)
        return 0;
    way_close(way);
    return say_no_socket(way, &way->at[at], status);
}

int way_share(const struct way *way, int at, unsigned worker)
{
    return way->shares[(unsigned)at * way->share_count + worker];
}

/* The first of each place is in `fds` too. */
void way_close_shares(struct way *way)
{
    const unsigned count = way->shares ? (unsigned)way->at_count * way->share_count : 0;

    for (unsigned i = 0; i < count; i++) {
        if (way->shares[i] >= 0)
            close(way->shares[i]);
    }
    for (int i = 0; way->shares && i < way->at_count; i++)
        way->fds[i] = -1;
    free(way->shares);
    way->shares = NULL;
}

void way_close(struct way *way)
{
    way_close_shares(way);
    for (int i = 0; i < way->at_count; i++) {
        if (way->fds[i] >= 0)
            close(way->fds[i]);
        way->fds[i] = -1;
    }
}
