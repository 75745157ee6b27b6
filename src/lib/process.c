/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Programs in the net's namespace. Each has a holder (kernel/netns/holder.c), which enters the
 * namespace, starts it there, tells of its end, and ends what descends from it, whatever becomes of
 * us.
 */
#include "lib/internal.h"

#include <fcntl.h>
#include <peer/process.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#define GRACE_NS      (2 * NS_PER_S)
#define WAIT_NS       (10 * NS_PER_S)
#define LOOK_FIRST_NS (1 * NS_PER_MS)
#define LOOK_MOST_NS  (10 * NS_PER_MS)

struct peer_process {
    struct peer_net *net;
    struct list node; /* of net->processes */
    struct netns_isolated isolated;
    int grace_ms; /* 0: none */
    bool lost;    /* somebody killed its holder, and it with that */
};

/* ---- birth ---- */

static int check_fd(int fd, struct peer_error *error)
{
    if (fcntl(fd, F_GETFD) >= 0)
        return 0;
    return error_set(error, PEER_ERROR_USAGE, EBADF, "descriptor %d is not open", fd);
}

static int check(const struct peer_net *net, const struct peer_spawn_config *config,
                 struct peer_error *error)
{
    int status = 0;

    if (net->attachment.confined)
        return error_set(error, PEER_ERROR_USAGE, EPERM,
                         "this process has given up what it takes to start a program");
    if (!config->argv || !config->argv[0])
        return error_set(error, PEER_ERROR_USAGE, EINVAL, "there is no program to start");
    for (int i = 0; config->stdio && i < 3 && status == 0; i++)
        status = config->stdio[i] == -1 ? 0 : check_fd(config->stdio[i], error);
    for (size_t i = 0; i < config->kept_count && status == 0; i++)
        status = check_fd(config->kept[i], error);
    return status;
}

static int grace_ms(uint64_t grace_ns)
{
    if (grace_ns == PEER_NO_GRACE)
        return 0;
    grace_ns = grace_ns ? grace_ns : GRACE_NS;
    return (int)MIN((grace_ns + NS_PER_MS - 1) / NS_PER_MS, (uint64_t)INT32_MAX);
}

static int start(struct peer_process *process, const struct peer_spawn_config *config,
                 struct peer_error *error)
{
    const struct netns_isolate_config isolate = {
        .argv = config->argv,
        .place = &process->net->attachment.netns,
        .all_environment = config->envp,
        .directory = config->cwd,
        .stdio_fds = config->stdio,
        .kept = config->kept,
        .kept_count = config->kept_count,
    };

    int status = netns_isolate(&isolate, &process->isolated, error);
    if (status < 0)
        return status;
    status = netns_isolate_start(&process->isolated, error);
    if (status < 0)
        (void)netns_isolate_end(&process->isolated, 0);
    return status;
}

int peer_net_spawn_sized(struct peer_net *net, const struct peer_spawn_config *given, size_t size,
                         struct peer_process **ret_process, struct peer_error *error)
{
    if (!net_is_ours(net))
        return -ECHILD;
    struct peer_spawn_config config;

    int status = border_take(&config, sizeof(config), given, size, error);
    if (status == 0)
        status = check(net, &config, error);
    if (status < 0)
        return status;
    struct peer_process *process = calloc(1, sizeof(*process));
    if (!process)
        return error_set(error, PEER_ERROR_MACHINE, ENOMEM, "out of memory");
    process->net = net;
    process->grace_ms = grace_ms(config.grace_ns);
    status = start(process, &config, error);
    if (status < 0) {
        free(process);
        return status;
    }
    list_add_tail(&net->processes, &process->node);
    *ret_process = process;
    return 0;
}

/* ---- life ---- */

pid_t peer_process_pid(const struct peer_process *process)
{
    return process->isolated.program;
}

int peer_process_fd(const struct peer_process *process)
{
    return process->isolated.control;
}

static bool has_ended(struct peer_process *process, int *ret_status)
{
    int status = process->lost ? -EPIPE : netns_isolate_ended(&process->isolated, ret_status);

    if (status < 0) {
        process->lost = true;
        *ret_status = SIGKILL;
    }
    return status != 0;
}

int peer_process_signal(struct peer_process *process, int number)
{
    if (!net_is_ours(process->net))
        return -ECHILD;
    int ended;

    if (number < 0 || number > SIGRTMAX)
        return -EINVAL;
    if (has_ended(process, &ended))
        return -ESRCH;
    return number ? netns_isolate_signal(&process->isolated, number) : 0;
}

/* Without a device there is nothing to dispatch. */
static int wait_some(struct peer_process *process, uint64_t timeout_ns)
{
    struct pollfd fd = {.fd = process->isolated.control, .events = POLLIN};
    int status = peer_net_poll(process->net, &fd, 1, timeout_ns);

    if (status == 0 || status == -EINTR)
        return status;
    const struct timespec timeout = {.tv_sec = (time_t)(timeout_ns / NS_PER_S),
                                     .tv_nsec = (long)(timeout_ns % NS_PER_S)};
    return ppoll(&fd, 1, timeout_ns == UINT64_MAX ? NULL : &timeout, NULL) < 0 ? -errno : 0;
}

static uint64_t later(uint64_t now_ns, uint64_t delay_ns)
{
    return delay_ns > UINT64_MAX - now_ns ? UINT64_MAX : now_ns + delay_ns;
}

int peer_process_wait(struct peer_process *process, uint64_t timeout_ns, int *ret_status)
{
    if (!net_is_ours(process->net))
        return -ECHILD;
    struct engine *engine = process->net->engine;
    uint64_t now_ns = engine_now_fresh_ns(engine), until_ns = later(now_ns, timeout_ns);
    int status = 0;

    while (!has_ended(process, ret_status)) {
        if (status < 0 || now_ns >= until_ns)
            return status;
        status = wait_some(process, until_ns == UINT64_MAX ? UINT64_MAX : until_ns - now_ns);
        now_ns = engine_now_fresh_ns(engine);
    }
    return 1;
}

/* ---- listeners ---- */

static int refuse_ended(int wait_status, const struct peer_wait_config *config,
                        struct peer_error *error)
{
    bool killed = WIFSIGNALED(wait_status);
    char text[PEER_ENDPOINT_TEXT];

    return error_set(error, PEER_ERROR_REMOTE, ESRCH,
                     "the program ended %s %d before it listened at %s",
                     killed ? "by signal" : "with status",
                     killed ? WTERMSIG(wait_status) : WEXITSTATUS(wait_status),
                     peer_endpoint_format(&config->at, config->port, text));
}

static int fill_wait(struct peer_net *net, struct peer_wait_config *config,
                     struct peer_error *error)
{
    config->protocol = config->protocol ? config->protocol : IPPROTO_TCP;
    config->timeout_ns = config->timeout_ns ? config->timeout_ns : WAIT_NS;
    if (!config->at.family)
        config->at = net->attachment.local.addr;
    if (config->at.family && config->port)
        return 0;
    return error_set(error, PEER_ERROR_USAGE, EINVAL, "no %s to wait for a listener at",
                     config->port ? "address" : "port");
}

static int wait_listener(struct peer_net *net, const struct peer_wait_config *config,
                         struct peer_error *error)
{
    uint64_t now_ns = engine_now_fresh_ns(net->engine),
             until_ns = later(now_ns, config->timeout_ns);
    uint64_t look_ns = LOOK_FIRST_NS;
    char text[PEER_ENDPOINT_TEXT];
    int status, ended;

    while ((status = peer_net_has_listener(net, config->protocol, &config->at, config->port)) ==
           0) {
        if (config->process ? has_ended(config->process, &ended)
                            : peer_net_program_ended(net, &ended) > 0)
            return refuse_ended(ended, config, error);
        if (now_ns >= until_ns)
            return error_set(error, PEER_ERROR_REMOTE, ETIMEDOUT, "nobody listens at %s",
                             peer_endpoint_format(&config->at, config->port, text));
        status = peer_net_wait(net, MIN(look_ns, until_ns - now_ns));
        if (status < 0)
            break;
        look_ns = MIN(2 * look_ns, LOOK_MOST_NS);
        now_ns = engine_now_fresh_ns(net->engine);
    }
    if (status < 0)
        return error_set(error, PEER_ERROR_MACHINE, -status, "cannot wait for a listener at %s: %s",
                         peer_endpoint_format(&config->at, config->port, text),
                         error_text(-status));
    return 0;
}

int peer_net_wait_listener_sized(struct peer_net *net, const struct peer_wait_config *given,
                                 size_t size, struct peer_error *error)
{
    if (!net_is_ours(net))
        return -ECHILD;
    struct peer_wait_config config;

    int status = border_take(&config, sizeof(config), given, size, error);
    if (status == 0)
        status = fill_wait(net, &config, error);
    return status < 0 ? status : wait_listener(net, &config, error);
}

/* ---- death ---- */

struct peer_process *peer_process_free(struct peer_process *process)
{
    if (!process)
        return NULL;
    if (owner_frees(process->net))
        (void)netns_isolate_end(&process->isolated, process->grace_ms);
    else
        netns_isolate_abandon(&process->isolated);
    list_remove(&process->node);
    free(process);
    return NULL;
}

void processes_end(struct peer_net *net)
{
    struct list *node;

    list_each(node, &net->processes)
    {
        if (!net_is_ours(net))
            break;
        struct peer_process *process = list_entry(node, struct peer_process, node);
        netns_isolate_stop(&process->isolated, process->grace_ms);
    }
    while (!list_empty(&net->processes))
        peer_process_free(list_entry(net->processes.next, struct peer_process, node));
}

void processes_forsake(struct peer_net *net)
{
    struct list *node;

    list_each(node, &net->processes)
    {
        list_entry(node, struct peer_process, node)->grace_ms = 0;
    }
}
