/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <peer/manner.h>
#include <peer/peer.h>

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/** Exit statuses, as every man page lists them. */
enum {
    STATUS_DONE = 0,
    STATUS_REMOTE = 1, /* the application refused, reset, timed out, or answered wrongly */
    STATUS_USAGE = 2,
    STATUS_MACHINE = 3, /* this machine cannot do it */
    STATUS_OWN = 125,   /* where the status is a program's: peer itself failed */
};

#define CLI_ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))
#define CLI_NS_PER_S          UINT64_C(1000000000)
#define CLI_NS_PER_MS         UINT64_C(1000000)

/* ---- options: one table drives parsing, --help, and the agreement with the man pages ---- */

/** Puts `text` (NULL for a flag) into the field `option->offset` of `options`. Returns 0, or
 * -EINVAL with a reason in `why` ("is no number"). */
struct option_def;
struct peer_protocol;
typedef int option_set(void *options, const struct option_def *option, const char *text,
                       char why[128]);

struct option_def {
    char letter;          /* 0: none */
    const char *name;     /* long name */
    const char *argument; /* what --help calls it; NULL: a flag; in brackets: "=VALUE", or a word
                           * that names a file, may follow */
    const char *help;
    option_set *set;
    size_t offset;
    uint64_t min, max; /* option_set_number; `max` is what option_set_choice puts */
    /** For shells that complete words: those that fit, with blanks between, or NULL. FILES,
     *  AT_FILES (after "@"), NAMESPACES, INTERFACES, USERS, HOSTS and COMMANDS are the machine's,
     *  PROFILES, MANNERS, PROTOCOLS and SCHEMES what the library has. */
    const char *values;
    /** Those of the library's protocols know it, whose names stand before `help`; NULL: that is all. */
    bool (*takes)(const struct peer_protocol *protocol);
};
/** What --help and shells say of it. */
enum { OPTION_HELP = 160 };
const char *option_help(const struct option_def *def, char buf[OPTION_HELP]);

option_set option_set_flag;   /* bool = true */
option_set option_set_count;  /* int += 1 */
option_set option_set_choice; /* int = max */
option_set option_set_string; /* const char * */
option_set option_set_number; /* uint64_t in min..max, suffixes k, m, g */
option_set option_set_time;   /* uint64_t nanoseconds: "3", "0.2", "200ms", "1m" */
option_set option_set_size;   /* uint64_t bytes: "64", "4k", "1MiB" */
option_set option_set_rotate; /* the ring of struct common_options: "100MB:10" */

/** What every command knows. First member of each command's options. */
struct common_options {
    const char *from, *mac, *dev, *local, *wire, *netns, *pcap;
    const char *link, *uplink, *downlink;
    const char *user; /* --user */
    char manners[1024]; /* of all --manner, with blanks between; "" when there is none */
    int kind;           /* enum peer_device_kind */
    int family;         /* 4, 6, 0 */
    uint64_t mtu, seed;
    uint64_t rotate_bytes, rotate_files; /* --pcap-rotate; 0: no ring */
    uint64_t shard, shards; /* see choose_shard */
    unsigned workers;       /* see choose_workers; 0, 1: this process does it all */
    bool workers_auto, stays_on_node;
    const char *cpus;
    bool isolate, allow_forward, allow_loopback, no_offload, frugal, ecn, json, udp;
    int verbose;
    uint8_t proxy_protocol; /* 1, 2: a PROXY header of that version begins each connection; 0: none */
    uint64_t timeout_ns; /* -w */
    bool accepts;        /* takes connections of kernel sockets beside what its command does */
    bool tls_on;         /* --tls, or a scheme that says so */
    struct peer_tls_config tls;
    bool help;
    char *const *program; /* after "--", NULL when there is none */
};

/** A group of options in --help. */
struct help_section {
    const char *first; /* the name of the option that begins it */
    const char *heading;
};

struct command {
    const char *name;
    const char *arguments; /* for the usage line */
    const char *operands;  /* as `values`, of the first argument; with "...", of each */
    const char *summary;
    const char *about;                      /* a paragraph for --help */
    const struct option_def *const *tables; /* NULL-terminated list of tables */
    const struct help_section *sections;    /* of --help, ends with a zeroed entry; or NULL */
    size_t options_size; /* sizeof its options, which begin with struct common_options */
    int (*run)(void *options, int argc, char **argv);
    /** Or NULL. Frees what options hold, also when not all of them could be read. */
    void (*done)(void *options);
    /** Or NULL. "-- PROGRAM" is what it is about, which is to find what peer was started with: called
     *  before anything is opened or closed. Statuses of peer's own are STATUS_OWN then. */
    void (*keep_origin)(void);
};
extern const struct command command_exec, command_connect, command_listen, command_ping, command_soak,
    command_doctor, command_application, command_trace, command_forward, command_proxy,
    command_merge, command_report, command_control;

/** Tables that commands share; each ends with a zeroed entry. */
extern const struct option_def options_net[], options_manner[], options_udp[], options_ecn[],
    options_wait[], options_proxy_protocol[], options_tls[], options_tls_switch[],
    options_tls_sni[], options_tls_resume[], options_json[], options_verbose[], options_user[], options_help[];

/**
 * Parses argv (argv[0] is the command) into zeroed `options`; arguments are left in argv from
 * *ret_first on. 0, or STATUS_USAGE after a message.
 */
int options_parse(const struct command *command, int argc, char **argv, void *options,
                  int *ret_argc, char ***ret_argv);
void options_print_help(const struct command *command);
/** The entry of `names` that `text` may have meant, or NULL. */
const char *suggest(const char *text, const char *const *names);

/* ---- privileges ---- */

/** Closes what was inherited and is named by no word of `argv` up to "--". */
void close_inherited(char *const *argv);
/** Once all is set up, and before anything is read that others send: see peer_confine. `net` may be
 *  NULL. 0 or an exit status after a message. */
int give_up_privileges(const struct command *command, const struct common_options *common,
                       struct peer_net *net);
/** What it would give up. */
struct peer_confine_config;
int choose_privileges(const struct command *command, const struct common_options *common,
                      struct peer_confine_config *ret_config);

/** Of --proxy-protocol, once `common->udp` is known: 0, or STATUS_USAGE after a message. */
int check_proxy_protocol(const struct command *command, const struct common_options *common);

/* ---- messages ---- */

/** "peer: ..." on stderr, one line. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
/** From now on `hide` is called before each of them: something is drawn where it is to stand. NULL:
 *  nothing is. */
void say_after(void (*hide)(void *user), void *user);
/** Says it, with a hint at --help, and returns STATUS_USAGE. */
int usage_error(const struct command *command, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/** Says it and returns the exit status of its kind. */
int report_error(const struct peer_error *error);
/** "0.21 ms", "1.20 s"; returns `buf`. */
const char *format_time(uint64_t ns, char buf[32]);
const char *format_bytes(uint64_t bytes, char buf[32]);
/** Words for an end: "refused", "reset by the application", ... */
const char *end_text(enum peer_end end);
/** Words for an ICMP error: "port unreachable", ... */
const char *icmp_text(uint8_t family, uint8_t type, uint8_t code, char buf[64]);

/* ---- arguments ---- */

/** A port number, 1 to 65535 (or -1 after a message). */
int parse_port(const struct command *command, const char *text);
enum { TARGET_OTHERS = 15, TARGET_HOST = 256 };
struct target {
    char host[TARGET_HOST]; /* as it was given */
    struct peer_addr addr;
    uint16_t port;
    int other_count; /* of a name: addresses to try when `addr` will not do */
    struct peer_addr others[TARGET_OTHERS];
};
/** "HOST PORT", "HOST:PORT" or "[V6]:PORT"; resolves names. 0 or an exit status after a message. */
int parse_target(const struct command *command, const struct common_options *common, int argc,
                 char **argv, struct target *ret_target);

/** Goes on to the next address of the name; false when there is none. */
bool target_next(struct target *target);

/* ---- the net ---- */

/** Prints the grammar and profiles of links when they were asked for. */
bool link_help(const struct common_options *common);
/** Likewise the manners. */
bool manner_help(const struct common_options *common);
void link_print_help(FILE *file);
void manner_print_help(FILE *file);
/** Before the net is made, which may be NULL then, and with it: 0 or an exit status after a
 * message. */
int check_manners(const struct peer_net *net, const struct common_options *common,
                  enum peer_manner_use use);
/** Makes the net for a command; target may be NULL. 0 or an exit status after a message. */
int open_net(const struct common_options *common, const struct target *target, bool local_needed,
             struct peer_net **ret_net);
/** The same without a message: 0, or -errno with text. */
int try_net(const struct common_options *common, const struct target *target, bool local_needed,
            struct peer_net **ret_net, struct peer_error *error);
/** For the first address of a name that answers, which `target` is then, and says which. */
int open_net_any(const struct common_options *common, struct target *target,
                 struct peer_net **ret_net);
/** Starts the program of --isolate and waits until somebody listens at `target` (NULL: does not
 *  wait). 0 or an exit status after a message. */
int start_program(struct peer_net *net, const struct common_options *common,
                  const struct target *target);
/** Waits until somebody listens at `target`. Likewise. */
int wait_for_listener(struct peer_net *net, const struct common_options *common,
                      const struct target *target);
/** Frees the net and says what went wrong with the capture, if anything. Passes `status` on. */
int close_net(struct peer_net *net, const struct common_options *common, int status);

/** Why a file is not whole that a process of its own writes: -errno in words. */
const char *written_text(int status);
/** Says what the library has to tell about this machine. */
void say_notices(struct peer_net *net);
/** Why the net cannot go on, for that -errno of a wait; NULL when a notice has told. */
enum { GONE_TEXT = 160 };
const char *gone_text(struct peer_net *net, int status, char buf[GONE_TEXT]);
/** Says it, and the notices. Returns STATUS_MACHINE. */
int say_gone(struct peer_net *net, int status);

/** Puts names of options in the place of what the library calls by its fields, "`from`". Returns
 * `text`, which gets no longer. */
char *name_options(char *text);
/** "peer trace ...": the command that shows where packets to `target` (port 0: echo requests) are
 * lost. `common->udp` chooses the protocol. Returns `buf`. */
enum { TRACE_COMMAND = 1024 };
const char *trace_command(const struct common_options *common, const struct target *target,
                          char buf[TRACE_COMMAND]);

/* ---- TLS (tls.c) ---- */

/** Once `common->tls_on` is known: 0, or STATUS_USAGE after a message. */
int check_tls(const struct command *command, const struct common_options *common);
bool tls_was_asked_for(const struct common_options *common);
/** What --tls asks for, to call `host` by (NULL: to be called); NULL without it. 0 or an exit status
 *  after a message. Before privileges go: it reads files. */
int open_tls(struct peer_net *net, const struct common_options *common, const char *host,
             struct peer_tls **ret_tls);
enum { TLS_WORDS = 1024 };
/** "TLSv1.3 in 1.2 ms, TLS_AES_256_GCM_SHA384, x25519, resumed"; returns `buf`. */
const char *tls_words(const struct peer_tls_info *info, char buf[TLS_WORDS]);
/** Of the other side's certificate; NULL when it has shown none. */
const char *tls_certificate_words(const struct peer_tls_info *info, char buf[TLS_WORDS]);
/** Why it failed; NULL when it has not. */
const char *tls_failure_words(const struct peer_flow *flow, char buf[TLS_WORDS]);

/* ---- waiting ---- */

/** SIGINT, SIGTERM and SIGHUP as a descriptor; SIGPIPE is ignored. -1 after a message. */
int signals_open(void);
/** 1 when one came, 0 when none. */
int signals_take(int fd);
/** Waits for the net and signals. 1: a signal came, 0, or -errno of the dispatch. */
int wait_net(struct peer_net *net, int signal_fd, uint64_t timeout_ns);

/** Stays until the end of all connections has crossed the links: see peer_net_leave. A signal ends
 *  the wait. */
void leave_net(struct peer_net *net, int signal_fd);

/** Memory that was freed stays with this process, up to some MiB: bytes under way come and go all the
 *  time, and to take pages anew for them costs more than to move them. */
void keep_memory(void);

/* ---- JSON ---- */

/** The document that all commands begin with: version, seed, command, target, from, device. */
/** Bounds that were met, one line each: on standard error, on standard output, as "limits". */
void say_limits(struct peer_net *net);
void print_limits(const struct peer_limit_stats *stats);
json_t *json_limits(const struct peer_limit_stats *stats);
json_t *json_report(const char *command, struct peer_net *net, const struct target *target);
/** Prints and frees it. STATUS_MACHINE when stdout does not take it, else `status`. */
int json_print(json_t *document, int status);
/** Opens a file for what a run is to write: new ones for this user alone, since it may hold
 * payload. A FIFO must have a reader. What is in the file stays unless it `empties` it. -1 after a
 * message. */
int output_open(const char *path, bool empties);
/** Whether both name one regular file, be it yet to be made. */
bool same_file(const char *path, const char *other);
/** Can a report be printed? STATUS_MACHINE after a message when standard output is closed, or a
 *  pipe that nobody reads, else 0. */
int output_check(void);
/** Flushes stdout: STATUS_MACHINE after a message when it does not take what was printed. */
int flush_output(int status);

#endif
