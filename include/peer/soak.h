/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PEER_SOAK_H
#define PEER_SOAK_H

/**
 * Many peers run a workload against one service: how fast, how late, how often wrong. The peers of
 * the net take turns, a new one for each connection. See peer/peer.h for the conventions.
 */

#include <peer/histogram.h>
#include <peer/peer.h>

#ifdef __cplusplus
extern "C" {
#endif

/** What the peers may speak. Strings live as long as the program. */
struct peer_protocol {
    const char *name, *about;
    const char *scheme; /* of a URL; NULL: asked for by its name, over TCP or UDP */
    uint16_t port;      /* of a target without one; 0: it must be given */
    const char *tls_scheme; /* likewise, over TLS; NULL: none */
    uint16_t tls_port;
    bool tcp, udp;      /* over which it runs */
    bool datagrams;     /* UDP unless TCP is asked for */
    bool asks;          /* over TCP: requests that have answers */
    bool has_path;      /* `path` */
    bool has_queries;   /* `queries`, `edns_bytes`, `dnssec` */
    bool has_headers;   /* `method`, `headers` */
    bool has_expect;    /* `expect` */
    bool has_body;      /* `body` */
    bool has_streams;   /* `streams` */
    bool has_login;     /* `user` and `password` */
    bool has_pipeline;  /* `pipeline` */
    bool has_targets;   /* `targets` */
    bool has_follow;    /* `follow` and `cookies` */
    bool has_text;      /* `text` */
    bool has_frames;    /* `fragments` and `ping_ns` */
    bool has_messages;  /* `message_bytes` over TCP */
    bool has_hold;      /* `hold` */
};
/** The protocol at `index`, from 0: 1, or 0 past the end. */
PEER_EXPORT int peer_protocol_sized(size_t index, struct peer_protocol *ret_protocol, size_t size);
static inline int peer_protocol(size_t index, struct peer_protocol *ret_protocol)
{
    return peer_protocol_sized(index, ret_protocol, sizeof(*ret_protocol));
}

/** A list of requests that a run asks for, in turn or at random. A run keeps what it needs of it. */
struct peer_targets;
/** An empty one; NULL without memory. */
PEER_EXPORT struct peer_targets *peer_targets_new(void);
/** Takes NULL, returns NULL. Runs go on with it. */
PEER_EXPORT struct peer_targets *peer_targets_free(struct peer_targets *targets);
/** A request of it, with the words of struct peer_soak_config. */
struct peer_target {
    const char *url;    /* "/PATH", or "http://HOST:PORT/PATH" that leads where the run goes */
    const char *method; /* default "GET", or "POST" with a body */
    const char *const *headers;
    const void *body;
    size_t body_len;
};
/** Adds one; all is copied. -EINVAL with text, -ENOMEM. */
PEER_EXPORT int peer_targets_add_sized(struct peer_targets *targets,
                                       const struct peer_target *target, size_t size,
                                       struct peer_error *error);
static inline int peer_targets_add(struct peer_targets *targets, const struct peer_target *target,
                                   struct peer_error *error)
{
    return peer_targets_add_sized(targets, target, sizeof(*target), error);
}
/** Adds those of a text, as vegeta's format "http" has them: a line "METHOD URL", lines of headers, a
 *  line "@FILE" for the body; blank lines between, lines of # are comments. Files are read now, and
 *  are regular ones of 256 MiB in all at the most. -EINVAL with the line. */
PEER_EXPORT int peer_targets_parse(struct peer_targets *targets, const char *text, size_t len,
                                   struct peer_error *error);

struct peer_workload;
struct peer_journal;
struct peer_watch;

enum { PEER_FRAGMENTS_MOST = 1024 };

/** `protocol`, when it is your own. */
#define PEER_WORKLOAD_CUSTOM "custom"

/** Zero is the default everywhere. Strings are copied. */
struct peer_soak_config {
    const char *protocol; /* its name, see peer_protocol(); default "http" */
    bool udp;
    struct peer_tls *tls; /* TLS on each connection, see peer/tls.h; NULL: none. TCP only */
    struct peer_addr to;
    uint16_t to_port;
    uint64_t flows;       /* connections at once; default 1 */
    uint64_t total;       /* requests (idle: connections) in all; 0: until `duration_ns` */
    uint64_t duration_ns; /* 0 with total 0: 10 s */
    uint64_t warmup_ns;   /* measured from then on only */
    uint64_t ramp_ns;     /* the connections are opened one by one over this time */
    uint64_t think_ns;    /* between an answer and the next request of a connection */
    const char *think;    /* instead: "exponential 500ms", "uniform 100ms 900ms", "normal 500ms
                           * 50ms" or "lognormal 500ms 200ms" (mean, standard deviation) */
    const char *expect;   /* HTTP: statuses that are right, others are errors: "200,204",
                           * "200-299", "2xx"; DNS: RCODEs, "NOERROR,NXDOMAIN"; NULL: all are */
    double rate;          /* requests a second, an open schedule; 0: as fast as answers come */
    bool poisson;         /* they are wanted at random times by the seed, so many in the mean */
    double connect_rate;  /* connections a second, an open schedule */
    uint64_t requests_per_connection; /* 0: no limit */
    uint32_t streams;                 /* HTTP/2: requests at once on a connection; default 1 */
    uint8_t http_version; /* HTTP over TLS: 1 or 2 alone is offered and spoken; 0: 2 where that is
                           * agreed on, or 1 */
    uint64_t timeout_ns;              /* for a handshake, and for an answer; default 10 s */
    uint64_t interval_ns;             /* of the series; default 1 s */
    bool keep_intervals;              /* they are in the result too, up to `intervals_most` */
    bool close_with_reset;            /* RST instead of FIN */
    uint8_t proxy_protocol;           /* 1, 2: a PROXY header first, see peer_connect_config; in
                                       * `bytes_sent`, not in latencies; 0: none */
    uint64_t message_bytes;           /* echo, MQTT, UDP send and `touch`; default 64 */
    uint64_t touch;     /* idle: once all are open, a message on so many of them; done when the
                         * application's kernel has acknowledged it */
    const char *queries; /* DNS: what is asked in turn instead of `path`, which is
                          * "/NAME?type=AAAA;class=IN": lines "NAME TYPE"; those that begin with ; are
                          * comments */
    uint16_t edns_bytes; /* DNS: EDNS(0), with room for an answer of so many; 0: without */
    bool dnssec;         /* DNS: DO, by EDNS; the room is 1232 bytes then unless given */
    const char *host;   /* HTTP: the Host header; default the address */
    const char *path;   /* HTTP: default "/", of OPTIONS "*"; of CONNECT it is "/HOST:PORT", which
                         * is asked for without the slash, default `host`. Redis, pg: "/NUMBER"
                         * or "/NAME" of a database. MQTT: "/TOPIC?qos=1&keepalive=30s&wills=yes"
                         * (default: with manners) */
    const char *method; /* HTTP: default "GET", or "POST" with a body */
    const char *const *headers; /* HTTP: "Name: value", ends with NULL */
    const void *body;           /* HTTP: NULL for none; one of no bytes is one */
    size_t body_len;
    const char
        *manners; /* who of the flows misbehaves, see peer/manner.h: "vanish:2%@10s,stall:1%" */
    const char *user, *password; /* of a login, as they are; NULL: none */
    uint64_t pipeline; /* requests at once on a connection; default 1 */
    struct peer_targets *targets; /* HTTP: what is asked for, instead of method, path and body;
                                   * `headers` are in all that have none of that name */
    bool targets_at_random;       /* not one after the other */
    bool follow;  /* HTTP: redirects to the same server, up to 10; a request is complete with the
                   * last answer */
    bool cookies; /* HTTP: Set-Cookie is kept and sent back; a connection that is opened in the
                   * place of another goes on with its cookies */
    const struct peer_workload *workload; /* with PEER_WORKLOAD_CUSTOM, see peer/workload.h; copied */
    bool hold; /* connections are opened, with what the protocol begins with, and held: "idle" is that
                * for those without a beginning */
    bool text; /* WebSocket: messages are text, not bytes */
    uint32_t fragments; /* WebSocket: a message goes in so many, up to PEER_FRAGMENTS_MOST; default 1 */
    uint64_t ping_ns;   /* WebSocket: a ping so long after the last pong, on each connection; one that is
                         * not answered within `timeout_ns` is an error. 0: none */
    uint64_t intervals_most; /* that are kept; beyond that neighbours become one, by exact sums, two by
                              * two, again and again: memory has a bound. 0: 2048 */
    struct peer_journal *journal; /* is written as it goes, see peer/journal.h; NULL: none. It is there
                                   * for longer than the soak, and has the intervals */
    struct peer_watch *watch; /* looks at the application, see peer/watch.h; NULL: nobody does. It is
                               * there for longer than the soak */
};

struct peer_soak;

/** Starts. It goes on in peer_net_dispatch. -EINVAL with text for what does not go together. */
PEER_EXPORT int peer_soak_start_sized(struct peer_net *net, const struct peer_soak_config *config,
                                      size_t size, struct peer_soak **ret_soak,
                                      struct peer_error *error);
static inline int peer_soak_start(struct peer_net *net, const struct peer_soak_config *config,
                                  struct peer_soak **ret_soak, struct peer_error *error)
{
    return peer_soak_start_sized(net, config, sizeof(*config), ret_soak, error);
}
/** No more requests; what is under way may end within `grace_ns`. */
PEER_EXPORT void peer_soak_stop(struct peer_soak *soak, uint64_t grace_ns);
/** Whether it is over: nothing is under way any more. */
PEER_EXPORT bool peer_soak_is_over(const struct peer_soak *soak);
/** Resets what is open. Takes NULL, returns NULL. Before peer_net_free. */
PEER_EXPORT struct peer_soak *peer_soak_free(struct peer_soak *soak);

enum {
    PEER_STATUS_CLASSES = 6, /* by hundreds, 1xx to 5xx; [0]: none of these */
    PEER_STATUS_CODES = 1000,
};

struct peer_soak_counts {
    uint64_t opened, established, closed; /* connections (UDP: flows) */
    uint64_t requests, completed;         /* messages, with echo */
    uint64_t statuses[PEER_STATUS_CLASSES];
    uint64_t bytes_sent, bytes_received;                        /* payload */
    uint64_t refused, reset, timeout, bad_answer, closed_early; /* errors, each once */
    uint64_t truncated;   /* DNS, none: answers that were cut, and asked for again over TCP */
    uint64_t duplicates, late;  /* UDP, MQTT: answers that came twice, or after the timeout */
    uint64_t unexpected_status; /* an error: not one of `expect` */
    uint64_t closed_idle; /* HTTP, an error: a kept connection was closed just as a request went
                           * that is not asked twice */
    uint64_t asked_again; /* HTTP, none: such requests that were asked on another connection */
    uint64_t login;       /* errors: the login was refused, or asked for in vain */
    uint64_t full;        /* errors: the application says that it takes no more connections */
    uint64_t redirects; /* HTTP: answers that were followed, in no other count of answers */
    uint64_t tls, tls_resumed; /* handshakes of TLS that were done, and those that resumed */
    uint64_t tls_protocol, tls_certificate, tls_closed; /* errors, see enum peer_tls_error */
    uint64_t http2; /* connections that were established and speak HTTP/2 */
    uint64_t pings; /* WebSocket: that were sent; the answered ones are in a histogram */
    uint64_t wills_due, wills; /* MQTT, none: clients that went without a word and had left a will,
                                * and how many of these came to a subscriber; counted with the
                                * healthy clients */
};
enum peer_soak_error {
    PEER_SOAK_REFUSED,
    PEER_SOAK_RESET,
    PEER_SOAK_TIMEOUT,
    PEER_SOAK_BAD_ANSWER,
    PEER_SOAK_CLOSED_EARLY,
    PEER_SOAK_STATUS,
    PEER_SOAK_CLOSED_IDLE,
    PEER_SOAK_LOGIN,
    PEER_SOAK_FULL,
    PEER_SOAK_TLS_PROTOCOL,
    PEER_SOAK_TLS_CERTIFICATE,
    PEER_SOAK_TLS_CLOSED,
    PEER_SOAK_ERROR_KINDS,
};
static inline uint64_t peer_soak_errors(const struct peer_soak_counts *counts)
{
    return counts->refused + counts->reset + counts->timeout + counts->bad_answer +
           counts->closed_early + counts->unexpected_status + counts->closed_idle + counts->login +
           counts->full + counts->tls_protocol + counts->tls_certificate + counts->tls_closed;
}

/** What the application used at the end of an interval, all its processes together: see peer/watch.h. */
struct peer_watch_sample {
    uint64_t processes; /* 0: none was there, and the rest is 0 */
    uint64_t rss_bytes, fds, threads;
    uint64_t cpu_ns;   /* user and system, since the sample before */
    uint64_t restarts; /* since then: others had taken the place of all that were there */
};
/** One interval of the series. */
struct peer_soak_interval {
    uint64_t start_ns, length_ns;   /* since the start */
    struct peer_soak_counts counts; /* of this interval */
    uint64_t open;                  /* connections at its end */
    double p50_us, p99_us;          /* of requests */
    bool after_end;                 /* what came when the measured time was over */
    bool watched;                   /* `watch` was looked at */
    struct peer_watch_sample watch;
};

/** What the local kernel did on the way: differences over the measured time and the stragglers'. All
 * but `listener_drops`, `device_drops` and `conntrack_*` are counters of the whole namespace, see
 * peer-soak(1) for their names in nstat(8). */
struct peer_soak_local {
    uint64_t listen_overflows, listen_drops; /* packets, each repetition again */
    uint64_t listener_drops; /* packets, by the sockets at the target's port, for want of room */
    uint64_t udp_receive_errors;             /* receive buffers that were full */
    uint64_t retransmits;                    /* segments the kernel sent again, without SYN-ACKs */
    uint64_t syn_cookies;                    /* SYN-ACKs that carried one */
    uint64_t request_queue_drops;            /* SYNs: the queue of half-open connections was full */
    uint64_t overflow_aborts;                /* connections reset since the accept queue was full */
    uint64_t device_drops;                   /* the device's queue was full */
    uint64_t conntrack_count, conntrack_max; /* now; 0: not loaded */
};

struct peer_soak_report {
    struct peer_soak_counts counts;  /* of requests that were wanted in the measured time */
    struct peer_soak_counts in_time; /* of these, what was done by its end */
    uint64_t carried;     /* requests completed in the measured time and wanted before it */
    uint64_t duration_ns; /* measured time, without the warm-up, to the end of the run or of
                           * `config.duration_ns` */
    uint64_t open;        /* connections now */
    uint64_t open_most;   /* at once */
    double asked_rate;    /* 0: none was asked for; when it was changed, the mean of what was */
    bool corrected;       /* latencies count from when the schedule wanted the request */
    uint64_t behind;      /* requests that the schedule wanted and that did not start */
    struct peer_latency handshake, first_byte, request;
    struct peer_latency tls; /* handshakes of TLS, each from the end of TCP's to its own */
    const char *tls_agreed;  /* what the first of them agreed on, in words, or NULL */
    struct peer_soak_local local;
    uint64_t retransmits;         /* segments the peers sent again, without SYNs */
    uint64_t syn_retransmits;     /* SYNs they sent again */
    uint64_t syn_repeated;        /* connections that did so */
    uint64_t ecn_connections;     /* that agreed on explicit congestion notification */
    uint64_t ecn_marked;          /* frames that came to the peers marked */
    uint64_t ecn_reduced;         /* times that a peer sent less, its packets being marked */
    uint64_t warmed;              /* requests completed in the warm-up, which are in no figure */
    double cpu_waited_s;          /* this process could run and others had the processor */
    double cpu_throttled_s;       /* its control group had used its quota */
    double cpu_user_s, cpu_sys_s; /* of this process in the measured time */
    double cpu_spin_s;            /* of both: looking for answers instead of sleeping */
    uint64_t rss_bytes;
    struct peer_limit_stats limits;          /* of the net, since its start, */
    struct peer_link_stats uplink, downlink; /* likewise */
    const char *first_error;                         /* what the first error was, or NULL */
    const char *first_errors[PEER_SOAK_ERROR_KINDS]; /* and the first of each kind */
    const char *cannot_open; /* why connections could not be opened, or NULL */
    struct peer_latency login; /* from the open connection to the end of a login */
    struct peer_latency ping;  /* WebSocket: from a ping to its pong */
    struct peer_latency will;  /* MQTT: from the last that a client could say to its will's coming */
    uint64_t paused_ns; /* of `duration_ns`, with nothing wanted (peer/steer.h): rates are of the rest */
};
/** Cheap, for a line of progress: counts since the start of the measured time, and what is open. */
PEER_EXPORT void peer_soak_get_counts(const struct peer_soak *soak,
                                      struct peer_soak_counts *ret_counts, uint64_t *ret_open);
/** Takes the next complete interval of the series: 1, or 0 when there is none yet. */
PEER_EXPORT int peer_soak_pop_interval_sized(struct peer_soak *soak,
                                             struct peer_soak_interval *ret_interval, size_t size);
static inline int peer_soak_pop_interval(struct peer_soak *soak,
                                         struct peer_soak_interval *ret_interval)
{
    return peer_soak_pop_interval_sized(soak, ret_interval, sizeof(*ret_interval));
}

/**
 * What a soak found, as a value: it lives on when the soak and its net are gone, can be written, sent
 * and read, and be added to what others found. Nothing is lost by adding: percentiles are those of
 * all samples, never means of percentiles.
 */
struct peer_result;
/** What was found so far. With `config.keep_intervals` the intervals that were taken are in it.
 *  -ENOMEM. */
PEER_EXPORT int peer_soak_get_result(struct peer_soak *soak, struct peer_result **ret_result);
/** One of nothing, to add to. NULL without memory. */
PEER_EXPORT struct peer_result *peer_result_new(void);
/** Takes NULL, returns NULL. */
PEER_EXPORT struct peer_result *peer_result_free(struct peer_result *result);
/** Adds what another soak found at the same time, on this machine or another: counts, rates, costs
 *  and `open_most` add up; `duration_ns` is the longer one; manners are matched by their
 *  specification, intervals by when they began. -ENOMEM leaves `into` as nothing to rely on. */
PEER_EXPORT int peer_result_add(struct peer_result *into, const struct peer_result *from);
/** Who found a part of a result: one soak. Strings live as long as the result. */
struct peer_result_part {
    const char *version; /* of peer */
    const char *host, *protocol, *target;
    const char *peers; /* their addresses as ranges, where these are few; else "" */
    uint64_t peer_count, flows, seed, interval_ns;
    uint64_t started_ns; /* when measuring began, by the wall clock (Unix time) */
    uint64_t duration_ns;
    uint64_t shard, shards; /* see `shards` of struct peer_net_config; 0 of 0: it is none */
    /** So many processes ran it, 0: one; of these so many ended before their time, as when somebody
     *  killed them. What those found is in no figure of the result but in its intervals. */
    uint64_t workers, workers_lost;
};
/** The `index`-th part: 1, or 0 when there are no more. A soak's own result has one. */
PEER_EXPORT int peer_result_get_part_sized(const struct peer_result *result, size_t index,
                                           struct peer_result_part *ret_part, size_t size);
static inline int peer_result_get_part(const struct peer_result *result, size_t index,
                                       struct peer_result_part *ret_part)
{
    return peer_result_get_part_sized(result, index, ret_part, sizeof(*ret_part));
}
/** Adds another part of the same run, as shards are: intervals are matched by the wall clock, and
 *  `duration_ns` is from the first beginning to the last end. -EINVAL with text, and nothing is
 *  added, for what is no part of the same run: of another version, workload, target, number of
 *  shards, a shard that is there already, or one that shares peers with another. `into` is a new
 *  result, or the sum so far. */
PEER_EXPORT int peer_result_join(struct peer_result *into, const struct peer_result *from,
                                 struct peer_error *error);
/** As bytes, the same on every machine. 0 or -errno. */
PEER_EXPORT int peer_result_write(const struct peer_result *result, int fd);
/** Up to the end of the file, which may be a journal (peer/journal.h). -EINVAL with text for what is no
 *  result, or not all of one. */
PEER_EXPORT int peer_result_read(int fd, struct peer_result **ret_result, struct peer_error *error);
/** Strings of the report live as long as the result. */
PEER_EXPORT void peer_result_get_report_sized(const struct peer_result *result,
                                              struct peer_soak_report *ret_report, size_t size);
static inline void peer_result_get_report(const struct peer_result *result,
                                          struct peer_soak_report *ret_report)
{
    peer_result_get_report_sized(result, ret_report, sizeof(*ret_report));
}
/** How many answers had this status, 1 to 999; 0: a status beyond these. */
PEER_EXPORT uint64_t peer_result_get_status(const struct peer_result *result, unsigned status);
/** What became of the requests for one of `config.targets`. */
struct peer_soak_target {
    const char *name;             /* "GET /path"; lives as long as the result */
    uint64_t completed, errors;
    struct {
        unsigned status; /* 0: one of all others */
        uint64_t count;  /* answers */
    } statuses[8];       /* those that there were, with a count of 0 behind them */
};
/** The `index`-th of the list: 1, or 0 when there are no more. */
PEER_EXPORT int peer_result_get_target_sized(const struct peer_result *result, size_t index,
                                             struct peer_soak_target *ret_target, size_t size);
static inline int peer_result_get_target(const struct peer_result *result, size_t index,
                                         struct peer_soak_target *ret_target)
{
    return peer_result_get_target_sized(result, index, ret_target, sizeof(*ret_target));
}

/** Answers by a number that their protocol has words for, as RCODEs are DNS's. */
struct peer_soak_answers {
    const char *kind; /* "rcodes" */
    const char *name; /* "NXDOMAIN"; both live as long as the result */
    uint64_t count;
};
/** The `index`-th that there was: 1, or 0 when there are no more. */
PEER_EXPORT int peer_result_get_answers_sized(const struct peer_result *result, size_t index,
                                              struct peer_soak_answers *ret_answers, size_t size);
static inline int peer_result_get_answers(const struct peer_result *result, size_t index,
                                          struct peer_soak_answers *ret_answers)
{
    return peer_result_get_answers_sized(result, index, ret_answers, sizeof(*ret_answers));
}
/** The `index`-th interval, by their start: 1, or 0 when there are no more. */
PEER_EXPORT int peer_result_get_interval_sized(const struct peer_result *result, size_t index,
                                               struct peer_soak_interval *ret_interval,
                                               size_t size);
static inline int peer_result_get_interval(const struct peer_result *result, size_t index,
                                           struct peer_soak_interval *ret_interval)
{
    return peer_result_get_interval_sized(result, index, ret_interval, sizeof(*ret_interval));
}

/** Adds the latencies of the requests of the `index`-th interval to `into`. -EINVAL: there is no such
 *  interval; -EOVERFLOW, -ENOMEM. */
PEER_EXPORT int peer_result_get_interval_histogram(const struct peer_result *result, size_t index,
                                                   struct peer_histogram *into);

enum peer_soak_histogram {
    PEER_HISTOGRAM_HANDSHAKE,
    PEER_HISTOGRAM_FIRST_BYTE,
    PEER_HISTOGRAM_REQUEST,
    PEER_HISTOGRAM_LOGIN,
    PEER_HISTOGRAM_TLS,
    PEER_HISTOGRAM_WILL,
    PEER_HISTOGRAM_PING
};
/** Adds one of its histograms to `into`. -EINVAL: there is no such one; -EOVERFLOW. */
PEER_EXPORT int peer_result_get_histogram(const struct peer_result *result,
                                          enum peer_soak_histogram which,
                                          struct peer_histogram *into);
/** Writes a histogram in HdrHistogram's text format (microseconds). 0 or -errno. */
PEER_EXPORT int peer_result_print_histogram(const struct peer_result *result,
                                            enum peer_soak_histogram which, int fd);

#ifdef __cplusplus
}
#endif

#endif
