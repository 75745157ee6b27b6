/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * soak PROGRAM...: a load of HTTP from a thousand machines on a program that serves at port 80: two
 * thousand requests, at most fifty at once. What was found is written to a file and read again, as
 * from a run of yesterday, with which today's may be compared. No root is needed.
 *
 *     $ cc -o soak soak.c $(pkg-config --cflags --libs peer)
 *     $ ./soak peer application http:80
 *     2000 requests, 0 errors
 *     request 2000 p50 300 us, p99 800 us, max 2000 us
 *     interval 0 ms: 2000 requests
 */
#include <fcntl.h>
#include <netinet/in.h>
#include <peer/process.h>
#include <peer/soak.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const struct peer_addr server = {4, {192, 0, 2, 1}};

/* Starts the program and waits until it listens. Returns 0 or -errno. */
static int serve(struct peer_net *net, char **argv, struct peer_error *error)
{
    const struct peer_spawn_config spawn = {.argv = argv};
    struct peer_wait_config wait = {.at = server, .port = 80};
    int status = peer_net_spawn(net, &spawn, &wait.process, error);

    return status < 0 ? status : peer_net_wait_listener(net, &wait, error);
}

/* Runs the load, and returns what was found, or NULL. */
static struct peer_result *soak(struct peer_net *net, struct peer_error *error)
{
    const struct peer_soak_config config = {
        .protocol = "http",
        .to = server,
        .to_port = 80,
        .flows = 50,
        .total = 2000,
        .requests_per_connection = 5, /* then another machine calls */
        .interval_ns = 100000000,
        .keep_intervals = true,
    };
    struct peer_soak_interval interval;
    struct peer_result *result = NULL;
    struct peer_soak *load;

    if (peer_soak_start(net, &config, &load, error) < 0)
        return NULL;
    while (!peer_soak_is_over(load) && peer_net_wait(net, UINT64_MAX) == 0) {
        while (peer_soak_pop_interval(load, &interval)) /* taken, so that they are in the result */
            fprintf(stderr, "%llu open\n", (unsigned long long)interval.open);
    }
    while (peer_soak_pop_interval(load, &interval)) /* those that ended with the load */
        ;
    if (peer_soak_is_over(load))
        peer_soak_get_result(load, &result);
    peer_soak_free(load);
    return result;
}

/* Writes it to a file of no name, and reads it again. NULL when that fails. */
static struct peer_result *write_and_read(const struct peer_result *result,
                                          struct peer_error *error)
{
    struct peer_result *again = NULL;
    FILE *file = tmpfile();

    if (!file)
        return NULL;
    if (peer_result_write(result, fileno(file)) == 0 && lseek(fileno(file), 0, SEEK_SET) == 0)
        peer_result_read(fileno(file), &again, error);
    fclose(file);
    return again;
}

static void print_latency(const char *what, const struct peer_latency *latency)
{
    printf("%-10s %llu p50 %.0f us, p99 %.0f us, max %.0f us\n", what,
           (unsigned long long)latency->count, latency->p50, latency->p99, latency->max);
}

/* Returns the errors. */
static uint64_t print(const struct peer_result *result)
{
    struct peer_soak_interval interval;
    struct peer_soak_report report;
    uint64_t errors;

    peer_result_get_report(result, &report);
    errors = peer_soak_errors(&report.counts);
    printf("%llu requests, %llu errors%s%s\n", (unsigned long long)report.counts.completed,
           (unsigned long long)errors, errors ? ", the first: " : "",
           errors && report.first_error ? report.first_error : "");
    print_latency("handshake", &report.handshake);
    print_latency("request", &report.request);
    for (size_t i = 0; peer_result_get_interval(result, i, &interval); i++)
        printf("interval %llu ms: %llu requests\n", (unsigned long long)interval.start_ns / 1000000,
               (unsigned long long)interval.counts.completed);
    return errors;
}

int main(int argc, char **argv)
{
    const struct peer_net_config config = {
        .from = "198.18.0.0/22", .local = "192.0.2.1/24", .isolate = true};
    struct peer_error error = {.text = "which PROGRAM?"};
    struct peer_result *found = NULL, *again = NULL;
    struct peer_net *net = NULL;
    int status = 1;

    if (argc >= 2 && peer_net_new(&config, &net, &error) == 0 && serve(net, argv + 1, &error) == 0)
        found = soak(net, &error);
    if (found)
        again = write_and_read(found, &error);
    if (again)
        status = print(again) != 0;
    else
        fprintf(stderr, "soak: %s\n", error.text);
    peer_result_free(again);
    peer_result_free(found);
    peer_net_free(net); /* and the program with it */
    return status;
}
