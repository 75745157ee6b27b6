/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The kernel's side of the bulk measures, and the application both sides talk to. Blocking sockets,
 * buffers of 256 KiB, cubic: what iperf3 does, without its control connection, so that peer
 * can talk to the same server.
 *
 *   sink PORT               reads all that comes, one connection after another
 *   source PORT             writes without end, one connection after another
 *   send HOST PORT TIME     a client that writes for TIME seconds
 *   receive HOST PORT TIME  a client that reads for TIME seconds
 *   hold PORT BACKLOG       listens and accepts nothing: connections wait without a descriptor
 *
 * sink and source print "BYTES SECONDS" for each connection that ended: the server's count is the
 * same ruler for whoever the client was. "ready" is printed once connections are taken.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <linux/sockios.h>

enum { BUFFER_BYTES = 256 * 1024 };

struct transfer {
    uint64_t bytes;
    double seconds; /* until the last byte, not until the end of the connection */
};

static char buffer[BUFFER_BYTES];

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "peer_bench_bulk: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* Whatever this machine's default is; what a listener accepts inherits it. */
static int open_socket(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "cubic", 5) < 0)
        die("no socket with cubic");
    return fd;
}

static int open_listener(const char *port, int backlog)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
    int fd = open_socket(), one = 1;

    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
        bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(fd, backlog) < 0)
        die("cannot listen");
    puts("ready");
    fflush(stdout);
    return fd;
}

static int open_client(const char *host, const char *port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
    int fd = open_socket();

    if (inet_pton(AF_INET, host, &to.sin_addr) != 1 ||
        connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
        die("cannot connect");
    return fd;
}

/* Until the other end is gone, or `end_s` has passed. */
static struct transfer read_all(int fd, double start_s, double end_s)
{
    struct transfer done = {0};
    ssize_t len;

    while ((len = recv(fd, buffer, sizeof(buffer), 0)) > 0) {
        done.bytes += (uint64_t)len;
        done.seconds = now_s() - start_s;
        if (start_s + done.seconds >= end_s)
            break;
    }
    return done;
}

/* What is still queued was not carried. */
static struct transfer write_all(int fd, double start_s, double end_s)
{
    struct transfer done = {0};
    int queued = 0;
    ssize_t len;

    while ((len = send(fd, buffer, sizeof(buffer), MSG_NOSIGNAL)) > 0) {
        done.bytes += (uint64_t)len;
        done.seconds = now_s() - start_s;
        if (start_s + done.seconds >= end_s)
            break;
    }
    if (ioctl(fd, SIOCOUTQ, &queued) == 0 && queued > 0 && (uint64_t)queued <= done.bytes)
        done.bytes -= (uint64_t)queued;
    return done;
}

typedef struct transfer transfer_fn(int fd, double start_s, double end_s);

static void report(struct transfer done)
{
    printf("%llu %.6f\n", (unsigned long long)done.bytes, done.seconds);
    fflush(stdout);
}

static _Noreturn void serve(const char *port, transfer_fn *transfer)
{
    int listener = open_listener(port, 16);

    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0)
            die("cannot accept");
        report(transfer(fd, now_s(), 1e300));
        close(fd);
    }
}

static int run_client(char **argv, transfer_fn *transfer)
{
    int fd = open_client(argv[2], argv[3]);
    double start_s = now_s();

    report(transfer(fd, start_s, start_s + atof(argv[4])));
    close(fd);
    return 0;
}

static _Noreturn void hold(const char *port, int backlog)
{
    (void)open_listener(port, backlog);
    for (;;)
        pause();
}

int main(int argc, char **argv)
{
    const char *mode = argc > 1 ? argv[1] : "";

    memset(buffer, 'x', sizeof(buffer));
    if (argc == 3 && strcmp(mode, "sink") == 0)
        serve(argv[2], read_all);
    if (argc == 3 && strcmp(mode, "source") == 0)
        serve(argv[2], write_all);
    if (argc == 4 && strcmp(mode, "hold") == 0)
        hold(argv[2], atoi(argv[3]));
    if (argc == 5 && strcmp(mode, "send") == 0)
        return run_client(argv, write_all);
    if (argc == 5 && strcmp(mode, "receive") == 0)
        return run_client(argv, read_all);
    fputs("usage: peer_bench_bulk sink|source PORT | send|receive HOST PORT SECONDS | "
          "hold PORT BACKLOG\n",
          stderr);
    return 2;
}
