/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The way to a resolver process: who is asked, sockets in the place, and the child. resolver_serve.c
 * is its life.
 */
#include "exec/resolver.h"

#include "base/error.h"
#include "exec/resolver_serve.h"
#include "kernel/netns/child.h"
#include "kernel/netns/confine.h"

#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BACKLOG = 64, RECEIVE_BYTES = 1 << 20 /* as far as the host's rmem_max allows */ };

/* ---- resolv.conf ---- */

static bool is_link_local(const struct peer_addr *addr)
{
    return addr->family == 6 && addr->bytes[0] == 0xfe && (addr->bytes[1] & 0xc0) == 0x80;
}

/* "nameserver ADDRESS", perhaps with a zone. 1, 0 when the line is another one, -1 when its address
   is of no use. */
static int read_line(char *line, struct peer_addr *ret_addr)
{
    static const char word[] = "nameserver";

    if (strncmp(line, word, strlen(word)) != 0)
        return 0;
    char *text = line + strlen(word);
    const size_t blanks = strspn(text, " \t");
    if (blanks == 0)
        return 0;
    text += blanks;
    text[strcspn(text, " \t\r\n#;")] = '\0';
    if (strchr(text, '%') || peer_addr_parse(text, ret_addr) < 0)
        return -1;
    return is_link_local(ret_addr) ? -1 : 1;
}

int resolver_read(const char *path, struct peer_addr ret_nameservers[RESOLVER_MAX])
{
    char line[256];
    int named = 0, count = 0;
    FILE *file = fopen(path, "re");

    while (file && named < RESOLVER_MAX && fgets(line, sizeof(line), file)) {
        const int found = read_line(line, &ret_nameservers[count]);
        named += found != 0;
        count += found > 0;
    }
    if (file)
        (void)fclose(file);
    if (named == 0)
        ret_nameservers[count++] = (struct peer_addr){4, {127, 0, 0, 1}};
    return count;
}

/* ---- sockets ---- */

socklen_t resolver_address(const struct peer_addr *addr, struct sockaddr_storage *ret)
{
    *ret = (struct sockaddr_storage){.ss_family = AF_UNSPEC};
    if (addr->family == 6) {
        struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(RESOLVER_PORT)};
        memcpy(&v6.sin6_addr, addr->bytes, sizeof(v6.sin6_addr));
        memcpy(ret, &v6, sizeof(v6));
        return sizeof(v6);
    }
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(RESOLVER_PORT)};
    memcpy(&v4.sin_addr, addr->bytes, sizeof(v4.sin_addr));
    memcpy(ret, &v4, sizeof(v4));
    return sizeof(v4);
}

static int open_bound(const struct peer_addr *addr, int type)
{
    struct sockaddr_storage where;
    const socklen_t len = resolver_address(addr, &where);
    const int one = 1, burst = RECEIVE_BYTES;

    const int fd = socket(where.ss_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (type == SOCK_STREAM)
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    else
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &burst, sizeof(burst));
    if (bind(fd, (struct sockaddr *)&where, len) == 0 &&
        (type == SOCK_DGRAM || listen(fd, BACKLOG) == 0))
        return fd;
    const int status = -errno;
    (void)close(fd);
    return status;
}

int resolver_open(struct resolver_door *door)
{
    const int udp = open_bound(&door->nameserver, SOCK_DGRAM);
    if (udp < 0)
        return udp;
    const int tcp = open_bound(&door->nameserver, SOCK_STREAM);
    if (tcp < 0) {
        (void)close(udp);
        return tcp;
    }
    door->udp = udp;
    door->tcp = tcp;
    return 0;
}

/* ---- the process ---- */

struct start {
    const struct resolver_door *doors;
    int count;
    pid_t parent;
};

static void run(void *user, int end)
{
    const struct start *start = user;
    const struct confine confine = {.calls = CONFINE_SOCKETS | CONFINE_ACCEPTS};
    int kept[2 + 2 * RESOLVER_MAX];
    size_t count = 0;

    (void)setsid(); /* no signal to the program's process group is meant for it */
    (void)prctl(PR_SET_NAME, "peer-resolver");
    const int ticks = resolver_ticks();
    if (ticks < 0 || child_watch_parent(start->parent, SIGKILL) < 0)
        _exit(EXIT_FAILURE);
    kept[count++] = end;
    kept[count++] = ticks;
    for (int i = 0; i < start->count; i++) {
        kept[count++] = start->doors[i].udp;
        kept[count++] = start->doors[i].tcp;
    }
    confine_descriptors(kept, count);
    (void)confine_process(&confine, NULL);
    (void)child_send(end, &(struct iovec){"", 1}, 1, NULL, 0); /* ready */
    resolver_serve(start->doors, start->count, end, ticks);
    _exit(EXIT_SUCCESS);
}

int resolver_start(const struct resolver_door *doors, int count, struct resolver *ret,
                   struct peer_error *error)
{
    struct start start = {doors, count, getpid()};

    int status = child_start(run, &start, &ret->end, &ret->pid);
    if (status < 0)
        return error_set(error, PEER_ERROR_MACHINE, -status,
                         "cannot start the process that resolves names: %s", error_text(-status));
    return 0;
}

void resolver_end(struct resolver *resolver)
{
    if (resolver->end > 0)
        child_end(resolver->end, resolver->pid);
    *resolver = (struct resolver){0};
}
