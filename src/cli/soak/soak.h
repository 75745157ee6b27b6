/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CLI_SOAK_H
#define CLI_SOAK_H

#include "cli/cli.h"
#include "live.h"
#include "metrics.h"
#include "cli/printer.h"
#include "cli/reopen.h"
#include "shard.h"
#include "slo.h"
#include "steering.h"

#include <peer/soak.h>
#include <sys/types.h>
#include <peer/steer.h>

enum { HEADERS_MAX = 64, WATCHED_MAX = 64 };

struct soak_options {
    struct common_options common;
    struct peer_soak_config soak;
    struct target target;
    struct objectives objectives;
    struct shard_options shard;
    const char *workload, *close, *body, *hdr, *result, *report, *journal, *queries, *targets_file, *targets_order;
    const char *metrics, *control;
    const char *headers[HEADERS_MAX + 1];
    int header_count;
    double search_low, search_high; /* --rate-search; 0: none */
    bool watch; /* --watch, and whom: nobody is whoever listens */
    pid_t watched[WATCHED_MAX];
    size_t watched_count;
    uint64_t streams;
    uint64_t edns_size, fragments;
    bool idle, no_keep_alive, tcp, edns, json_stream, latency, tolerate, stop_at_slo;
    char *path, *authority, *body_read, *queries_read, *user, *password; /* owned */
    bool http1, http2;
};

/** One rate that was tried. */
struct search_step {
    double rate, reached, p99_us;
    bool kept;
    char why_not[128]; /* "p99<20ms: 23 ms" */
};

struct soak_run {
    struct soak_options *options;
    struct peer_net *net; /* NULL: results of others are reported */
    struct peer_soak *soak;
    struct peer_result *result; /* once it is over */
    struct printer *printer; /* standard output */
    struct reopen *reopen;   /* NULL: it stays the same */
    int signal_fd, hdr_fd, result_fd, report_fd;
    bool reader_left, capture_told, journal_told;
    struct live live;
    struct callers *callers; /* NULL: nobody may call */
    struct metrics metrics;
    struct steering steering;
    struct peer_soak_interval last; /* complete interval; `length_ns` 0: none yet */
    bool interval_ended;            /* of the measured time, since --stop-at-slo looked */
    uint64_t looked_ns;             /* when callers were looked at last */
    size_t changes_told;            /* by --json-stream */
    struct search_step *steps; /* of a search, owned */
    size_t step_count;
    double found_rate;
    bool broken_off; /* by a signal, since nobody reads any more, or since a worker is lost */
    char broke[128]; /* --stop-at-slo: what was not kept, "": all was so far */
    bool lost;       /* that worker: the exit status says so, whatever was found */
};

/* options.c */
extern const struct option_def soak_table[], soak_shard_table[], soak_connection_table[];
extern const struct help_section soak_sections[];

/* settle.c */
/** --workload help: its exit status. */
int print_workloads(void);
/** What all options mean together: 0, or an exit status after a message. */
int settle_options(struct soak_options *options);

/* soak.c */
/** Runs a soak as the options say: 0 and `run->result`, or an exit status after a message. */
int soak_once(struct soak_run *run);

/* options.c */
/** "500", "20k", into a double. */
option_set option_set_rate;

/* search.c */
/** "1k..200k" */
option_set option_set_search;
/** What goes with a search: 0, or an exit status after a message. Sets what is left to it. */
int settle_search(struct soak_options *options);
/** Tries rates; `run->result` is of the highest that was kept, or of the lowest. As soak_once. */
int soak_search(struct soak_run *run);
void print_search(const struct soak_run *run);
json_t *json_search(const struct soak_run *run);

/* url.c */
/** Fills in the target and what it asks for: 0, or an exit status after a message. A password is
 *  overwritten in `url`, which everybody can read. */
int parse_url(struct soak_options *options, char *url);

/* targets.c */
/** Reads what --targets names: 0, or an exit status after a message. */
int read_targets(struct soak_options *options);
/** What became of each, as a list and as lines of text. */
json_t *json_targets(const struct peer_result *result);
void print_targets(const struct peer_result *result);

/** The schemes of protocols that take what `takes` asks about, with `behind` behind each: "http://,
 *  x:// and redis://". */
void list_takers(bool (*takes)(const struct peer_protocol *), const char *behind, char *out,
                 size_t room);

/* file.c */
/** What is read, "body", from where. */
struct soak_source {
    const char *what, *path;
};
/** A regular file of 256 MiB at the most, to be freed whatever comes of it; there is a 0 behind it. 0,
 *  or an exit status after a message. */
int soak_read_file(struct soak_source source, char **ret_text, size_t *ret_len);
/** Those of --queries, if it is given. */
int read_queries(struct soak_options *options);

/* settle.c: what a protocol of the library knows */

bool soak_takes_pipeline(const struct peer_protocol *protocol);
bool soak_takes_text(const struct peer_protocol *protocol);
bool soak_takes_frames(const struct peer_protocol *protocol);
bool soak_takes_messages(const struct peer_protocol *protocol);

/* answers.c */
/** {"rcodes": {"NOERROR": 990}}, to what is told of requests. */
void json_add_answers(json_t *requests, const struct peer_result *result);
/** "answers: 990 NOERROR, 10 NXDOMAIN", a line a kind; "errors, by SQLSTATE: 3 of 42P01". */
void print_answers(const struct peer_result *result);
/** What became of the wills of clients that went without a word, where there are any. */
void print_wills(const struct peer_soak_counts *counts);

/* watch.c */
option_set option_set_watch;
/** With the net, before privileges go: 0, or an exit status after a message. */
int open_watch(struct soak_run *run);
/** What was seen of the application, if it was looked at. */
json_t *json_sample(const struct peer_watch_sample *sample);
void json_add_application(json_t *document, const struct peer_result *result);
void print_application(const struct soak_run *run);

/* journal.c */
/** A result or a journal, "-": of standard input. Says how far a journal goes. 0, or an exit status after
 *  a message. */
int read_result_file(const char *path, struct peer_result **ret_result);
/** Of --journal, before privileges go. Likewise. */
int open_journal(struct soak_run *run);
/** Says once that it misses something. */
void look_at_journal(struct soak_run *run);
/** With `run->result`: an exit status. */
int finish_journal(struct soak_run *run);

/** Before a run, so that one hears in time that the files of --hdr and --result cannot be written: 0, or
 *  an exit status after a message. */
int open_outputs(struct soak_run *run);
/** The run begins: what an earlier one left in them is gone. Before privileges go. */
void empty_outputs(struct soak_run *run);
/** Likewise, of `run->result`. */
int write_outputs(struct soak_run *run);
void close_outputs(struct soak_run *run);
/** The exit status of what was found, its objectives said. */
int judge_soak(const struct soak_run *run, const struct peer_soak_report *report);

/* tls.c: what a report says of TLS, where it was spoken */
void json_add_tls(json_t *document, const struct soak_run *run,
                  const struct peer_soak_report *report);
void print_tls(const struct soak_run *run, const struct peer_soak_report *report);

/* changes.c: what was changed on the way */
void json_add_changes(json_t *document, const struct peer_result *result,
                      const struct peer_soak_report *report);
void print_changes(const struct peer_result *result, const struct peer_soak_report *report);
json_t *json_change(const struct peer_soak_change *change, bool shards);
/** "+12.3 s", or "-0.5 s" in the warm-up; returns `buf`. */
const char *format_since(int64_t at_ns, char buf[32]);

/* links.c */
void json_add_links(json_t *document, const struct peer_soak_report *report);
void print_links(const struct peer_soak_report *report);

/* json.c */
void report_interval(struct soak_run *run, const struct peer_soak_interval *interval);
/** Of --json-stream: what was changed since it was called last. */
void report_changes(struct soak_run *run);
/** As report_soak. */
int report_as_json(struct soak_run *run, const struct peer_soak_report *report, int status);

/* report.c */
struct peer_report_config;
/** Writes the page; an exit status, after a message that names `path`. */
int write_page(const struct peer_report_config *config, const char *path, int fd);
/* merge.c */
/** The head of a report of several parts: what they were asked for, and each of them. */
void print_merged(const struct peer_result *result);
json_t *json_merged(const struct peer_result *result);
/** Which shard it is, if it is one alone. */
void json_add_shard(json_t *document, const struct peer_result *result);

/* lost.c: results without what some workers found */
/** Of how many processes so many were lost: whether any was. */
bool soak_lost(const struct peer_result *result, uint64_t *ret_workers, uint64_t *ret_lost);
void print_lost(const struct peer_result *result);
/** "partial": {"workers": 3, "lost": 1}, if any was. */
void json_add_lost(json_t *document, const struct peer_result *result);
/** On standard error, of a result that was read. */
void say_lost(const char *path, const struct peer_result *result);

/* text.c */
/** Prints the report in the form that was asked for. Passes `status` on. */
int report_soak(struct soak_run *run, const struct peer_soak_report *report, int status);

#endif
