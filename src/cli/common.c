/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What all commands share: the option tables of the network, making and ending the net,
 * words for what happens.
 */
#include "cli.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define FIELD(member)  .offset = offsetof(struct common_options, member)
#define LEAVE_LOOK_NS  (5 * CLI_NS_PER_MS)

const struct option_def options_net[] = {
    {'s', "from", "ADDRS", "the peers: ADDR, ADDR/LEN, ADDR-ADDR, or a comma list of those",
     option_set_string, FIELD(from)},
    {'4', "ipv4", NULL, "IPv4 only", option_set_choice, FIELD(family), .max = 4},
    {'6', "ipv6", NULL, "IPv6 only", option_set_choice, FIELD(family), .max = 6},
    {0, "tun", NULL, "TUN device: the peers are far away, behind a router (default)",
     option_set_choice, FIELD(kind), .max = PEER_TUN},
    {0, "tap", NULL, "TAP device: the peers are on the local Ethernet segment", option_set_choice,
     FIELD(kind), .max = PEER_TAP},
    {0, "mac", "ADDR", "with --tap: MAC of the first peer, the following ones count up",
     option_set_string, FIELD(mac)},
    {0, "mtu", "N", "MTU of the device (1500)", option_set_number, FIELD(mtu), .min = 1,
     .max = UINT32_MAX},
    {0, "dev", "NAME", "name of the device (peer%d)", option_set_string, FIELD(dev)},
    {0, "local", "ADDR[/LEN]", "address to give the local side of the device", option_set_string,
     FIELD(local)},
    {0, "wire", "IFACE",
     "the peers are on the wire of that interface, as if their packets came from there",
     option_set_string, FIELD(wire), .values = "INTERFACES"},
    {0, "netns", "NAME|PID|PATH", "put the device into that network namespace", option_set_string,
     FIELD(netns), .values = "NAMESPACES FILES"},
    {0, "isolate", NULL, "a fresh user and network namespace; \"-- PROGRAM\" is started in it",
     option_set_flag, FIELD(isolate)},
    {0, "allow-forward", NULL, "take a HOST that is no address of this machine", option_set_flag,
     FIELD(allow_forward)},
    {0, "link", "SPEC", "impair both directions: \"delay 50ms 10ms loss 1%\", a profile, or help",
     option_set_string, FIELD(link), .values = "PROFILES none help"},
    {0, "uplink", "SPEC", "from the peers to this machine only", option_set_string, FIELD(uplink),
     .values = "PROFILES none help"},
    {0, "downlink", "SPEC", "from this machine to the peers only", option_set_string,
     FIELD(downlink), .values = "PROFILES none help"},
    {0, "no-offload", NULL, "frames of real size only, complete checksums", option_set_flag,
     FIELD(no_offload)},
    {0, "pcap", "FILE", "capture what crosses the device (pcapng; \"-\": standard output)",
     option_set_string, FIELD(pcap), .values = "FILES -"},
    {0, "pcap-rotate", "SIZE[:N]", "a ring of N files (10), each of so many bytes at the most",
     option_set_rotate, .offset = 0},
    {0, "seed", "N", "every random choice derives from it", option_set_number, FIELD(seed),
     .min = 1, .max = UINT64_MAX},
    {0},
};
const struct option_def options_udp[] = {
    {'u', "udp", NULL, "UDP instead of TCP", option_set_flag, FIELD(udp)},
    {0},
};
const struct option_def options_ecn[] = {
    {0, "ecn", NULL, "connections ask for explicit congestion notification", option_set_flag,
     FIELD(ecn)},
    {0},
};
const struct option_def options_wait[] = {
    {'w', "timeout", "TIME", "give up after waiting for so long (seconds, or with a unit)",
     option_set_time, FIELD(timeout_ns), .min = 1},
    {0},
};
static int set_proxy_protocol(void *options, const struct option_def *option, const char *text,
                              char why[128])
{
    struct common_options *common = options;

    (void)option;
    if (strcmp(text, "v1") != 0 && strcmp(text, "v2") != 0) {
        snprintf(why, 128, "is none of v1, v2");
        return -EINVAL;
    }
    common->proxy_protocol = text[1] == '1' ? 1 : 2;
    return 0;
}

const struct option_def options_proxy_protocol[] = {
    {0, "proxy-protocol", "v1|v2", "each connection begins with a PROXY header of its addresses",
     set_proxy_protocol, .offset = 0, .values = "v1 v2"},
    {0},
};
const struct option_def options_json[] = {
    {0, "json", NULL, "one JSON document on standard output", option_set_flag, FIELD(json)},
    {0},
};
const struct option_def options_verbose[] = {
    {'v', "verbose", NULL, "tell on standard error what happens", option_set_count, FIELD(verbose)},
    {0},
};
const struct option_def options_user[] = {
    {0, "user", "NAME", "as root: who to be once all is set up (who called sudo, or nobody)",
     option_set_string, FIELD(user), .values = "USERS"},
    {0},
};
const struct option_def options_help[] = {
    {'h', "help", NULL, "this list", option_set_flag, FIELD(help)},
    {0},
};

int check_proxy_protocol(const struct command *command, const struct common_options *common)
{
    if (!common->proxy_protocol || !common->udp)
        return 0;
    return usage_error(command, "--proxy-protocol needs TCP: its header begins a connection, and "
                                "UDP has none");
}

/* ---- messages ---- */

static struct {
    void (*hide)(void *user);
    void *user;
} before_messages;

void say_after(void (*hide)(void *user), void *user)
{
    before_messages.hide = hide;
    before_messages.user = user;
}

__attribute__((format(printf, 1, 0))) static void say_list(const char *format, va_list arguments)
{
    char line[1024];

    vsnprintf(line, sizeof(line), format, arguments);
    for (char *at = line; *at; at++) { /* of words from the command line: one line stays one */
        if (iscntrl((unsigned char)*at))
            *at = '?';
    }
    if (before_messages.hide)
        before_messages.hide(before_messages.user);
    fprintf(stderr, "peer: %s\n", name_options(line));
}

void say(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    say_list(format, arguments);
    va_end(arguments);
}

int usage_error(const struct command *command, const char *format, ...)
{
    char text[512];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    say("%s (see \"peer %s --help\")", text, command->name);
    return STATUS_USAGE;
}

int report_error(const struct peer_error *error)
{
    static const int statuses[] = {[PEER_ERROR_USAGE] = STATUS_USAGE,
                                   [PEER_ERROR_MACHINE] = STATUS_MACHINE,
                                   [PEER_ERROR_REMOTE] = STATUS_REMOTE};

    say("%s", error->text);
    return statuses[error->kind];
}

const char *format_time(uint64_t ns, char buf[32])
{
    static const struct {
        double below, unit;
        const char *name;
    } scales[] = {{1e6, 1e3, "us"},
                  {1e9, 1e6, "ms"},
                  {120e9, 1e9, "s"},
                  {7200e9, 60e9, "min"},
                  {172800e9, 3600e9, "h"},
                  {1e300, 86400e9, "days"}};
    size_t i = 0;

    while ((double)ns >= scales[i].below)
        i++;
    double value = (double)ns / scales[i].unit;
    snprintf(buf, 32, "%.*f %s", value < 10 ? 2 : value < 100 ? 1 : 0, value, scales[i].name);
    return buf;
}

const char *format_bytes(uint64_t bytes, char buf[32])
{
    static const char *const names[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double value = (double)bytes;
    size_t i = 0;

    for (; value >= 1024 && i + 1 < CLI_ARRAY_SIZE(names); i++)
        value /= 1024;
    snprintf(buf, 32, i ? "%.2f %s" : "%.0f %s", value, names[i]);
    return buf;
}

const char *end_text(enum peer_end end)
{
    static const char *const texts[] = {
        [PEER_END_NONE] = "not over",
        [PEER_END_CLOSED] = "closed",
        [PEER_END_REFUSED] = "connection refused: nobody listens there",
        [PEER_END_RESET] = "connection reset by the application's side",
        [PEER_END_TIMEOUT] = "timed out",
        [PEER_END_UNREACHABLE] = "unreachable",
        [PEER_END_LOCAL] = "reset by this peer",
        [PEER_END_DEVICE] = "the device is gone",
        [PEER_END_TARGET] = "its address is no longer this machine's",
        [PEER_END_TLS] = "TLS failed",
    };
    return texts[end];
}

const char *icmp_text(uint8_t family, uint8_t type, uint8_t code, char buf[64])
{
    static const struct {
        uint8_t family, type, code;
        const char *text;
    } names[] = {
        {4, 3, 0, "network unreachable"},
        {4, 3, 1, "host unreachable"},
        {4, 3, 2, "protocol unreachable"},
        {4, 3, 3, "port unreachable"},
        {4, 3, 4, "fragmentation needed"},
        {4, 3, 9, "network administratively prohibited"},
        {4, 3, 10, "host administratively prohibited"},
        {4, 3, 13, "administratively prohibited"},
        {4, 11, 0, "time to live exceeded"},
        {6, 1, 0, "no route to destination"},
        {6, 1, 1, "administratively prohibited"},
        {6, 1, 3, "address unreachable"},
        {6, 1, 4, "port unreachable"},
        {6, 2, 0, "packet too big"},
        {6, 3, 0, "hop limit exceeded"},
    };

    for (size_t i = 0; i < CLI_ARRAY_SIZE(names); i++) {
        if (names[i].family == family && names[i].type == type && names[i].code == code)
            return names[i].text;
    }
    snprintf(buf, 64, "ICMP%s type %d code %d", family == 6 ? "v6" : "", type, code);
    return buf;
}

/* ---- the net ---- */

static bool is_help(const char *text)
{
    return text && strcmp(text, "help") == 0;
}

void link_print_help(FILE *file)
{
    struct peer_link_profile profile;

    fprintf(file, "delay TIME [JITTER [CORRELATION]]   distribution uniform|normal|pareto\n"
                  "loss P [CORRELATION]                loss gemodel p [r [1-h [1-k]]]\n"
                  "duplicate P   corrupt P             reorder P [gap N]   (needs delay)\n"
                  "rate RATE     limit PACKETS\n\n"
                  "in any order, after at most one of these profiles:\n\n");
    for (size_t i = 0; peer_link_profile(i, &profile); i++) {
        fprintf(file, "%s  (%s)\n", profile.name, profile.about);
        fprintf(file, "    up:   %s\n    down: %s\n", profile.uplink, profile.downlink);
    }
}

/* `--link help`: nothing else is done then. */
bool link_help(const struct common_options *common)
{
    if (!is_help(common->link) && !is_help(common->uplink) && !is_help(common->downlink))
        return false;
    link_print_help(stdout);
    return true;
}

int try_net(const struct common_options *common, const struct target *target, bool local_needed,
            struct peer_net **ret_net, struct peer_error *error)
{
    struct peer_net_config config = {
        .kind = (enum peer_device_kind)common->kind,
        .from = common->from,
        .family = (uint8_t)common->family,
        .allow_forward = common->allow_forward,
        .allow_loopback = common->allow_loopback,
        .mac = common->mac,
        .mtu = (uint32_t)common->mtu,
        .dev = common->dev,
        .local = common->local,
        .local_needed = local_needed,
        .wire = common->wire,
        .netns = common->netns,
        .isolate = common->isolate,
        .isolate_argv = common->program,
        .pcap = common->pcap,
        .pcap_rotate_bytes = common->rotate_bytes,
        .pcap_files = (uint32_t)common->rotate_files,
        .uplink = common->uplink ? common->uplink : common->link,
        .downlink = common->downlink ? common->downlink : common->link,
        .seed = common->seed,
        .shard = common->shard,
        .shards = common->shards,
        .workers = common->workers,
        .worker_cpus = common->cpus,
        .no_offload = common->no_offload,
        .frugal = common->frugal,
        .ecn = common->ecn,
    };
    if (target)
        config.target = target->addr;
    return peer_net_new(&config, ret_net, error);
}

int open_net(const struct common_options *common, const struct target *target, bool local_needed,
             struct peer_net **ret_net)
{
    struct peer_error error = {0};

    return try_net(common, target, local_needed, ret_net, &error) < 0 ? report_error(&error) : 0;
}

static int program_is_over(const struct common_options *common, int wait_status)
{
    if (WIFSIGNALED(wait_status))
        say("\"%s\" was ended by signal %d before it listened", common->program[0],
            WTERMSIG(wait_status));
    else
        say("\"%s\" ended with status %d before it listened", common->program[0],
            WEXITSTATUS(wait_status));
    return STATUS_REMOTE;
}

/* Looks every 10 ms, for 30 s at the most, whether the program listens by now. */
int wait_for_listener(struct peer_net *net, const struct common_options *common,
                      const struct target *target)
{
    char endpoint[PEER_ENDPOINT_TEXT];
    int protocol = common->udp ? IPPROTO_UDP : IPPROTO_TCP, wait_status;

    for (int i = 0; i < 3000; i++) {
        if (peer_net_has_listener(net, protocol, &target->addr, target->port) == 1)
            return 0;
        if (common->program && peer_net_program_ended(net, &wait_status) == 1)
            return program_is_over(common, wait_status);
        int status = peer_net_wait(net, 10 * CLI_NS_PER_MS);
        if (status < 0)
            return status == -EINTR ? STATUS_REMOTE : say_gone(net, status);
    }
    say("nobody listens at %s after 30 s",
        peer_endpoint_format(&target->addr, target->port, endpoint));
    return STATUS_REMOTE;
}

int start_program(struct peer_net *net, const struct common_options *common,
                  const struct target *target)
{
    struct peer_error error = {0};

    if (!common->program)
        return 0;
    if (peer_net_start_program(net, &error) < 0)
        return report_error(&error);
    return target ? wait_for_listener(net, common, target) : 0;
}

const char *written_text(int status)
{
    return status == -EOWNERDEAD ? "somebody killed the process that writes it" : strerror(-status);
}

/* What is missing in the capture. That its reader went away is his own wish. */
static int say_capture(struct peer_net *net, const char *path, int status)
{
    bool piped = strcmp(path, "-") == 0;
    struct peer_net_stats stats;

    peer_net_end_capture(net);
    if (peer_net_get_stats(net, &stats) < 0)
        return status;
    if (stats.pcap_error && !(piped && stats.pcap_error == -EPIPE)) {
        say("the capture \"%s\" is incomplete: %s", path, written_text(stats.pcap_error));
        if (stats.pcap_dropped)
            say("%llu of %llu frames are in none of its files",
                (unsigned long long)stats.pcap_dropped, (unsigned long long)stats.pcap_frames);
        return status == STATUS_DONE ? STATUS_MACHINE : status;
    }
    if (stats.pcap_dropped)
        say("the capture \"%s\" is incomplete: %llu of %llu frames were dropped, as its reader did "
            "not keep up",
            path, (unsigned long long)stats.pcap_dropped, (unsigned long long)stats.pcap_frames);
    return status;
}

int close_net(struct peer_net *net, const struct common_options *common, int status)
{
    if (net && common->pcap)
        status = say_capture(net, common->pcap, status);
    peer_net_free(net);
    return status;
}

void say_notices(struct peer_net *net)
{
    const char *line;

    while ((line = peer_net_pop_notice(net)))
        say("%s", line);
}

const char *gone_text(struct peer_net *net, int status, char buf[GONE_TEXT])
{
    struct peer_net_info info;

    peer_net_get_info(net, &info);
    if (status == -ENODEV || status == -EOWNERDEAD || status == -ENETUNREACH) /* a notice has told of these */
        return NULL;
    if (status == -EBADFD)
        snprintf(buf, GONE_TEXT, "the device is gone: somebody removed %s, or its namespace has ended",
                 info.device);
    else
        snprintf(buf, GONE_TEXT, "cannot go on: %s", strerror(-status));
    return buf;
}

int say_gone(struct peer_net *net, int status)
{
    char text[GONE_TEXT];

    say_notices(net);
    if (gone_text(net, status, text))
        say("%s", text);
    return STATUS_MACHINE;
}

/* ---- waiting ---- */

int signals_open(void)
{
    sigset_t set;

    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, NULL);
    int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (fd < 0)
        say("no signalfd: %s", strerror(errno));
    return fd;
}

int signals_take(int fd)
{
    struct signalfd_siginfo info;
    int count = 0;

    while (read(fd, &info, sizeof(info)) == sizeof(info))
        count = 1;
    return count;
}

int wait_net(struct peer_net *net, int signal_fd, uint64_t timeout_ns)
{
    struct pollfd fds[] = {{.fd = signal_fd, .events = POLLIN}};
    int status = peer_net_poll(net, fds, 1, timeout_ns);

    say_notices(net);
    if (status < 0)
        return status == -EINTR ? 0 : status;
    return fds[0].revents ? signals_take(signal_fd) : 0;
}

void leave_net(struct peer_net *net, int signal_fd)
{
    while (peer_net_leave(net) == 0 && wait_net(net, signal_fd, LEAVE_LOOK_NS) == 0)
        ;
    say_notices(net);
}

/* What connections may have under way in all (stack/limits.h: 24 MiB each way), and some more. The C
   library would give it back whenever 128 KiB are free at the end of its area. */
enum { KEPT_BYTES = 32 << 20, STEP_BYTES = 1 << 20 };

void keep_memory(void)
{
#ifdef M_TRIM_THRESHOLD /* glibc's */
    (void)mallopt(M_TRIM_THRESHOLD, KEPT_BYTES);
    (void)mallopt(M_TOP_PAD, STEP_BYTES);
#endif
}

/* ---- output ---- */

int output_open(const char *path, bool empties)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NONBLOCK | (empties ? O_TRUNC : 0), 0600);

    if (fd < 0 && errno == ENXIO)
        say("cannot write \"%s\": nobody reads it", path);
    else if (fd < 0)
        say("cannot write \"%s\": %s", path, strerror(errno));
    else
        (void)fcntl(fd, F_SETFL, 0); /* O_NONBLOCK was for the opening */
    return fd;
}

bool same_file(const char *path, const char *other)
{
    struct stat a, b;

    if (stat(path, &a) < 0 || stat(other, &b) < 0)
        return strcmp(path, other) == 0;
    return S_ISREG(a.st_mode) && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

int output_check(void)
{
    struct pollfd out = {.fd = STDOUT_FILENO};
    int flags = fcntl(STDOUT_FILENO, F_GETFL);

    if (flags < 0 || (flags & O_ACCMODE) == O_RDONLY || flags & O_PATH) {
        say("cannot write to standard output: it is closed");
        return STATUS_MACHINE;
    }
    if (poll(&out, 1, 0) == 1 && out.revents & (POLLERR | POLLHUP)) {
        say("cannot write to standard output: nobody reads it");
        return STATUS_MACHINE;
    }
    return 0;
}

int flush_output(int status)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return status;
    if (errno != EPIPE)
        say("cannot write to standard output: %s", strerror(errno));
    return status == STATUS_DONE ? STATUS_MACHINE : status;
}

json_t *json_report(const char *command, struct peer_net *net, const struct target *target)
{
    char peer[PEER_ADDR_TEXT], endpoint[PEER_ENDPOINT_TEXT];
    struct peer_net_stats stats;
    struct peer_net_info info;
    json_t *document = json_pack("{s:s, s:s}", "version", peer_version(), "command", command);

    if (target)
        json_object_set_new(
            document, "target",
            json_string(peer_endpoint_format(&target->addr, target->port, endpoint)));
    if (net) {
        peer_net_get_info(net, &info);
        json_object_set_new(document, "seed", json_integer((json_int_t)info.seed));
        json_object_set_new(document, "from",
                            json_string(peer_addr_format(&info.first_peer, peer)));
        json_object_set_new(document, "peers", json_integer((json_int_t)info.peers));
        json_object_set_new(document, "device",
                            json_pack("{s:s, s:s, s:i, s:b}", "name", info.device, "kind",
                                      info.kind == PEER_TAP ? "tap" : "tun", "mtu", (int)info.mtu,
                                      "offload", info.offload));
        if (info.wire)
            json_object_update_new(json_object_get(document, "device"),
                                   json_pack("{s:s, s:s}", "wire", info.wire, "wire_by",
                                             info.wire_filters ? "tc" : "tcx"));
        if (peer_net_get_stats(net, &stats) == 0)
            json_object_set_new(document, "limits", json_limits(&stats.limits));
    }
    return document;
}

int json_print(json_t *document, int status)
{
    json_dumpf(document, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    putchar('\n');
    json_decref(document);
    return flush_output(status);
}
