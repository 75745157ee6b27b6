/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a command goes on with once all is set up: one row each. At the start everything that was
 * inherited and that the command line does not name is closed; what it does name is opened by its
 * path, and closed here at the end of set-up.
 *
 * As root the user is changed too: to the one of --user, else to the one who called sudo, else to
 * nobody. A default that cannot be taken (a container without CAP_SETUID, a user namespace of one
 * user) is let be.
 */
#include "cli.h"

#include <peer/confine.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <linux/capability.h>

enum { NOBODY = 65534, NAMED_MAX = 16 };

#define HOLD(capability) (UINT64_C(1) << (capability))

/* To see what the kernel does with a packet: namespaces, tracefs and perf events, eBPF, nftables,
   kernel symbols, the owners of sockets. */
#define HOLD_OBSERVERS                                                                             \
    (HOLD(CAP_NET_ADMIN) | HOLD(CAP_SYS_ADMIN) | HOLD(CAP_PERFMON) | HOLD(CAP_BPF) |               \
     HOLD(CAP_SYSLOG) | HOLD(CAP_IPC_LOCK) | HOLD(CAP_SYS_PTRACE) | HOLD(CAP_DAC_READ_SEARCH))
/* To try what the others do: a namespace with a holder, and the end of all privileges. */
#define HOLD_TRIALS (HOLD(CAP_KILL) | HOLD(CAP_SETUID) | HOLD(CAP_SETGID) | HOLD(CAP_SETPCAP))

static const struct row {
    const struct command *command;
    unsigned calls;
    bool at_terminal; /* edits lines there: sets the terminal's modes */
    bool soaks;
    bool stays; /* needs root's files */
    uint64_t capabilities;
} rows[] = {
    {&command_connect, .at_terminal = true},
    {&command_listen, .at_terminal = true},
    {&command_ping, .calls = 0},
    {&command_soak, .soaks = true},
    {&command_exec, .calls = 0},
    {&command_application, .calls = PEER_CALLS_ACCEPTS},
    {&command_forward, .calls = PEER_CALLS_ACCEPTS | PEER_CALLS_CONNECTS},
    {&command_proxy, .calls = PEER_CALLS_ACCEPTS | PEER_CALLS_BINDS},
    {&command_trace, .calls = PEER_CALLS_OBSERVES, .stays = true, .capabilities = HOLD_OBSERVERS},
    {&command_doctor, .calls = PEER_CALLS_OBSERVES, .stays = true,
     .capabilities = HOLD_OBSERVERS | HOLD_TRIALS},
};

/* ---- descriptors ---- */

static int named[NAMED_MAX];
static size_t named_count;

/* "/dev/fd/N" or "/proc/self/fd/N", as a shell's <(...) and >(...) are, anywhere in the word. */
static void note_named(const char *word)
{
    static const char *const folders[] = {"/dev/fd/", "/proc/self/fd/"};

    for (size_t i = 0; i < CLI_ARRAY_SIZE(folders); i++) {
        const char *at = strstr(word, folders[i]);
        char *end;
        if (!at)
            continue;
        at += strlen(folders[i]);
        const long fd = strtol(at, &end, 10);
        if (end > at && fd > STDERR_FILENO && fd < INT_MAX && named_count < NAMED_MAX)
            named[named_count++] = (int)fd;
    }
}

void close_inherited(char *const *argv)
{
    for (; *argv && strcmp(*argv, "--") != 0; argv++)
        note_named(*argv);
    peer_close_others(named, named_count);
}

static void close_named(void)
{
    while (named_count)
        close(named[--named_count]);
}

/* ---- the user ---- */

static void take_user(struct peer_confine_config *config, const struct passwd *user)
{
    config->change_user = true;
    config->uid = user->pw_uid;
    config->gid = user->pw_gid;
}

static bool read_id(const char *text, unsigned *ret_id)
{
    char *end;

    errno = 0;
    const unsigned long id = text ? strtoul(text, &end, 10) : 0;
    if (!text || *text < '0' || *text > '9' || *end || errno || id >= UINT_MAX)
        return false;
    *ret_id = (unsigned)id;
    return true;
}

/* By name or number. 0 or an exit status after a message. */
static int take_given_user(struct peer_confine_config *config, const char *given)
{
    unsigned id = 0;
    const bool number = read_id(given, &id);
    const struct passwd *user = number ? getpwuid(id) : getpwnam(given);

    if (user)
        take_user(config, user);
    if (!user && !number) {
        say("there is no user \"%s\" for --user", given);
        return STATUS_USAGE;
    }
    if (!user) {
        config->change_user = true;
        config->uid = config->gid = id;
    }
    return 0;
}

static void take_default_user(struct peer_confine_config *config)
{
    unsigned uid, gid;

    config->change_user = config->may_stay = true;
    config->uid = config->gid = NOBODY;
    if (read_id(getenv("SUDO_UID"), &uid) && read_id(getenv("SUDO_GID"), &gid) && uid != 0) {
        config->uid = uid;
        config->gid = gid;
    } else {
        const struct passwd *nobody = getpwnam("nobody");
        if (nobody)
            take_user(config, nobody);
    }
}

static int choose_user(struct peer_confine_config *config, const char *given, bool stays)
{
    if (stays)
        return 0;
    if (given)
        return take_given_user(config, given);
    if (geteuid() == 0)
        take_default_user(config);
    return 0;
}

/* ---- in test builds: a forbidden call, and a halt when all is set up ---- */

#ifdef PEER_TEST_HOOKS
/* A release is killed by the kernel. */
static void tell_call(int number, siginfo_t *info, void *context)
{
    char name[PEER_CALL_TEXT];

    (void)context;
    say("the system call %s is forbidden here, and ends peer", peer_call_name(info->si_syscall, name));
    signal(number, SIG_DFL);
    raise(number);
}

static void set_trap(struct peer_confine_config *config)
{
    const struct sigaction action = {.sa_sigaction = tell_call,
                                     .sa_flags = (int)(SA_SIGINFO | SA_NODEFER | SA_RESETHAND)};

    const char *how = getenv("PEER_TEST_FORBIDDEN");

    config->trap = !(how && strcmp(how, "as-released") == 0) && sigaction(SIGSYS, &action, NULL) == 0;
}

/* Until whoever has opened the FIFO for writing closes it. */
static void halt(void)
{
    const char *path = getenv("PEER_TEST_HALT");
    const int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    char byte;

    while (fd >= 0 && read(fd, &byte, 1) > 0)
        ;
    if (fd >= 0)
        close(fd);
}

static void try_trap(void)
{
    char *const none[] = {NULL};

    if (getenv("PEER_TEST_FORBIDDEN"))
        (void)syscall(SYS_execveat, -1, "", none, none, 0);
}
#else
static void set_trap(struct peer_confine_config *config)
{
    (void)config;
}

static void halt(void)
{
}

static void try_trap(void)
{
}
#endif

/* ---- in order ---- */

static const struct row *row_of(const struct command *command)
{
    size_t i = 0;

    while (i + 1 < CLI_ARRAY_SIZE(rows) && rows[i].command != command)
        i++;
    return &rows[i];
}

int choose_privileges(const struct command *command, const struct common_options *common,
                      struct peer_confine_config *ret_config)
{
    const struct row *row = row_of(command);
    const bool edits = row->at_terminal && isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);

    *ret_config = (struct peer_confine_config){
        .calls = row->calls | (edits ? PEER_CALLS_TERMINAL : 0) |
                 (common->accepts ? PEER_CALLS_ACCEPTS : 0),
        .capabilities = row->capabilities,
        .soaks = row->soaks,
    };
    set_trap(ret_config);
    return choose_user(ret_config, common->user, row->stays);
}

int give_up_privileges(const struct command *command, const struct common_options *common,
                       struct peer_net *net)
{
    struct peer_confine_config config;
    struct peer_error error = {0};

    json_object_seed(0); /* by /dev/urandom */
    close_named();
    halt();
    int status = choose_privileges(command, common, &config);
    if (status != 0)
        return status;
    status = peer_confine(net, &config, &error);
    if (status < 0)
        return report_error(&error);
    if (status > 0)
        say("%s; it goes on without one", error.text);
    try_trap();
    return 0;
}
