/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where peer proxy listens, and what its clients must know. Without --listen that is the loopback
 * address of both families, the second where there is one.
 */
#include "proxy.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PASSWORD_MOST = 255 };

/* ---- where ---- */

static int add_place(struct proxy *proxy, const char *addr, uint16_t port)
{
    struct place *place = &proxy->places[proxy->place_count];

    *place = (struct place){.port = port};
    if (peer_addr_parse(addr, &place->addr) < 0)
        return -EINVAL;
    proxy->fds[proxy->place_count++] = -1;
    return 0;
}

static void add_loopback(struct proxy *proxy, uint16_t port)
{
    (void)add_place(proxy, "127.0.0.1", port);
    (void)add_place(proxy, "::1", port);
}

static bool read_port(const char *text, uint16_t *ret_port)
{
    char *end;
    const unsigned long port = strtoul(text, &end, 10);

    *ret_port = (uint16_t)port;
    return *text >= '0' && *text <= '9' && !*end && port <= UINT16_MAX;
}

/* "PORT", "ADDR", "ADDR:PORT", "[V6]:PORT"; "localhost" is the loopback address of both families. */
static int parse_listen(struct proxy *proxy, const char *text)
{
    char host[64];
    uint16_t port = PROXY_PORT;
    const char *colon = strrchr(text, ':');
    size_t len = strlen(text);

    if (read_port(text, &port)) {
        add_loopback(proxy, port);
        return 0;
    }
    if (len < sizeof(host) && add_place(proxy, text, PROXY_PORT) == 0)
        return 0;
    if (colon && read_port(colon + 1, &port))
        len = (size_t)(colon - text);
    if (len > 2 && text[0] == '[' && text[len - 1] == ']')
        text++, len -= 2;
    else if (memchr(text, ':', len))
        len = sizeof(host);
    snprintf(host, sizeof(host), "%.*s", (int)len, len < sizeof(host) ? text : "");
    if (strcmp(host, "localhost") == 0) {
        add_loopback(proxy, port);
        return 0;
    }
    return add_place(proxy, host, port);
}

int proxy_listen_parse(struct proxy *proxy)
{
    const struct proxy_options *options = proxy->options;

    if (!options->listen_count)
        add_loopback(proxy, PROXY_PORT);
    for (int i = 0; i < options->listen_count; i++) {
        if (parse_listen(proxy, options->listens[i]) < 0)
            return usage_error(&command_proxy,
                               "--listen \"%s\": an address and a port of this host are "
                               "ADDR:PORT, [IPV6]:PORT, ADDR or PORT",
                               options->listens[i]);
    }
    return 0;
}

static bool is_loopback(const struct peer_addr *addr)
{
    static const struct peer_addr six = {6, {[15] = 1}};

    return addr->family == 4 ? addr->bytes[0] == 127 : peer_addr_equal(addr, &six);
}

/* Both families have one port, also where the kernel chooses it; and one of them may be missing. */
static bool is_second(const struct proxy *proxy, int index)
{
    return index > 0 && proxy->places[index].addr.family == 6 &&
           is_loopback(&proxy->places[index].addr) && proxy->places[index - 1].addr.family == 4 &&
           is_loopback(&proxy->places[index - 1].addr);
}

static int listen_error(const struct place *place, int status)
{
    char text[PLACE_TEXT];

    say("cannot listen at %s: %s", place_format(place, text),
        status == -EADDRINUSE      ? "somebody else does; --listen takes another port"
        : status == -EADDRNOTAVAIL ? "no address of this host"
                                   : strerror(-status));
    return STATUS_MACHINE;
}

int proxy_listen_open(struct proxy *proxy)
{
    char text[PLACE_TEXT];

    for (int i = 0; i < proxy->place_count; i++) {
        struct place *place = &proxy->places[i];
        if (is_second(proxy, i))
            place->port = proxy->places[i - 1].port;
        const int fd = place_listen(place, false);
        if (fd < 0 && !(is_second(proxy, i) && fd != -EADDRINUSE))
            return listen_error(place, fd);
        proxy->fds[i] = fd < 0 ? -1 : fd;
        if (fd >= 0 && !is_loopback(&place->addr) && !proxy->rules.password)
            say("whoever reaches %s can use it: --password keeps others out",
                place_format(place, text));
    }
    return 0;
}

void proxy_listen_close(struct proxy *proxy)
{
    for (int i = 0; i < proxy->place_count; i++) {
        if (proxy->fds[i] >= 0)
            close(proxy->fds[i]);
    }
}

/* ---- the password ---- */

static int read_file(const char *path, char password[PASSWORD_MOST + 2])
{
    FILE *file = fopen(path, "re");

    if (!file || !fgets(password, PASSWORD_MOST + 2, file))
        password[0] = 0;
    const bool failed = !file || ferror(file);
    if (failed)
        say("cannot read the password of \"%s\": %s", path, strerror(errno));
    if (file)
        fclose(file);
    password[strcspn(password, "\r\n")] = 0;
    return failed ? STATUS_USAGE : 0;
}

/* It stands in the arguments of this process, where everybody can read it, no longer than needed. */
static void hide(const char *text)
{
    char *own = (char *)(uintptr_t)text;

    memset(own, 'x', strlen(own));
}

int proxy_take_password(struct proxy *proxy)
{
    const struct proxy_options *options = proxy->options;
    const char *given = options->password ? options->password : getenv("PEER_PROXY_PASSWORD");
    char password[PASSWORD_MOST + 2] = "";

    if (options->password && options->password_file)
        return usage_error(&command_proxy, "--password and --password-file exclude each other");
    if (!given && !options->password_file)
        return 0;
    if (options->password_file) {
        const int status = read_file(options->password_file, password);
        if (status != 0)
            return status;
    } else {
        snprintf(password, sizeof(password), "%s", given);
    }
    const size_t len = strlen(password);
    if (!len || len > PASSWORD_MOST)
        return usage_error(&command_proxy, "a password has 1 to %d bytes", PASSWORD_MOST);
    proxy->rules.password = strdup(password);
    explicit_bzero(password, sizeof(password));
    if (options->password)
        hide(options->password);
    return proxy->rules.password ? 0 : STATUS_MACHINE;
}

void proxy_forget_password(struct proxy *proxy)
{
    char *own = (char *)(uintptr_t)proxy->rules.password;

    if (own)
        explicit_bzero(own, strlen(own));
    free(own);
    proxy->rules.password = NULL;
}
