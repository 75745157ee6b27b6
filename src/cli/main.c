/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * peer COMMAND [options] ARGUMENTS: finds the command in the table and lets it run.
 */
#include "cli.h"
#include "completions.h"

#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <malloc.h>
#ifdef PEER_STATIC
#include <nss.h>
#endif
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct command *const commands[] = {
    &command_connect, &command_listen, &command_ping,  &command_soak,   &command_exec,
    &command_forward, &command_proxy,  &command_trace, &command_doctor, &command_application,
    &command_merge,   &command_report, &command_control,
};

static void print_usage(FILE *out)
{
    fputs("usage: peer COMMAND [options] ARGUMENTS\n\n"
          "Remote machines beside this host: their TCP/IP runs in this process, behind a TUN or\n"
          "TAP device, and talks to the applications here from addresses that exist nowhere.\n\n",
          out);
    for (size_t i = 0; i < CLI_ARRAY_SIZE(commands); i++)
        fprintf(out, "  %-11s %s\n", commands[i]->name, commands[i]->summary);
    fputs("\n\"peer COMMAND --help\" lists the options of a command, \"peer --version\" the "
          "version.\n"
          "First: \"peer doctor\" tells whether this machine can run it.\n",
          out);
}

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < CLI_ARRAY_SIZE(commands); i++) {
        if (strcmp(name, commands[i]->name) == 0)
            return commands[i];
    }
    return NULL;
}

static int unknown_command(const char *name)
{
    const char *names[CLI_ARRAY_SIZE(commands) + 1] = {0};
    for (size_t i = 0; i < CLI_ARRAY_SIZE(commands); i++)
        names[i] = commands[i]->name;
    const char *meant = suggest(name, names);
    if (meant)
        say("unknown command \"%s\"; did you mean \"peer %s\"?", name, meant);
    else
        say("unknown command \"%s\"; see \"peer --help\"", name);
    return STATUS_USAGE;
}

static int run_command(const struct command *command, int argc, char **argv)
{
    struct common_options *options = calloc(1, command->options_size);
    if (!options)
        return STATUS_MACHINE;
    int status = options_parse(command, argc, argv, options, &argc, &argv);
    if (status != 0 && command->keep_origin)
        status = STATUS_OWN;
    if (status == 0 && options->help) {
        options_print_help(command);
        status = flush_output(STATUS_DONE);
    } else if (status == 0 && (link_help(options) || manner_help(options))) {
        status = flush_output(STATUS_DONE);
    } else if (status == 0) {
        status = command->run(options, argc, argv);
    }
    if (command->done)
        command->done(options);
    free(options);
    return status;
}

/*
 * A descriptor that the caller closed ("<&-", ">&-") would become that of a device or socket, and
 * its number is where we read and print. What stands in for it reads as empty and refuses writing.
 */
static bool hold_standard_descriptors(void)
{
    static const int modes[] = {O_RDONLY, O_RDONLY, O_RDWR};

    for (int fd = 0; fd < (int)CLI_ARRAY_SIZE(modes); fd++) {
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF && open("/dev/null", modes[fd]) != fd)
            return false;
    }
    return true;
}

/* For the line editor. Where nothing is said (in a container, say) terminals have UTF-8 as well. */
static void set_characters(void)
{
    setlocale(LC_CTYPE, "");
    if (MB_CUR_MAX == 1 && strcmp(setlocale(LC_CTYPE, NULL), "C") == 0)
        setlocale(LC_CTYPE, "C.UTF-8");
}

/* For who builds and packages peer; no page tells of it. */
static int print_completions(const char *shell)
{
    static const struct {
        const char *shell;
        completions_print *print;
    } shells[] = {{"bash", completions_print_bash},
                  {"zsh", completions_print_zsh},
                  {"fish", completions_print_fish}};

    for (size_t i = 0; shell && i < CLI_ARRAY_SIZE(shells); i++) {
        if (strcmp(shell, shells[i].shell) == 0) {
            shells[i].print(commands, CLI_ARRAY_SIZE(commands));
            return flush_output(STATUS_DONE);
        }
    }
    say("usage: peer --completions bash|zsh|fish");
    return STATUS_USAGE;
}

/* A word that is no command: a question about peer itself. */
static int run_word(int argc, char **argv)
{
    const char *word = argv[1];

    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0) {
        const struct command *command = argc > 2 ? find_command(argv[2]) : NULL;
        if (argc > 2 && !command)
            return unknown_command(argv[2]);
        if (command)
            options_print_help(command);
        else
            print_usage(stdout);
        return flush_output(STATUS_DONE);
    }
    if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0) {
        printf("peer %s\n", peer_version());
        return flush_output(STATUS_DONE);
    }
    if (strcmp(word, "--completions") == 0)
        return print_completions(argc > 2 ? argv[2] : NULL);
    return unknown_command(word);
}

/* What is written for bulk is queued and freed again and again. glibc gives 128 KiB at the top back to
   the kernel, which then clears each page once more: a third of the time that forward needs. */
static void keep_freed_memory(void)
{
#ifdef M_TRIM_THRESHOLD
    (void)mallopt(M_TRIM_THRESHOLD, 32 << 20);
    (void)mallopt(M_TOP_PAD, 1 << 20);
#endif
}

/*
 * Files and DNS are inside; other services of nsswitch.conf are shared libraries for the C library of
 * the machine, which need not be ours. Where systemd-resolved is asked, it is by DNS then.
 */
static void keep_to_own_services(void)
{
#ifdef PEER_STATIC
    static const char *const databases[] = {"passwd", "group", "initgroups", "services", "protocols"};

    for (size_t i = 0; i < CLI_ARRAY_SIZE(databases); i++)
        (void)__nss_configure_lookup(databases[i], "files");
    (void)__nss_configure_lookup("hosts", "files dns");
#endif
}

int main(int argc, char **argv)
{
    const struct command *command = argc > 1 ? find_command(argv[1]) : NULL;
    const bool keeps = command && command->keep_origin;

    if (keeps)
        command->keep_origin();
    if (!hold_standard_descriptors())
        return keeps ? STATUS_OWN : STATUS_MACHINE;
    if (!keeps)
        close_inherited(argv);
    set_characters();
    keep_to_own_services();
    keep_freed_memory();
    if (argc < 2) {
        print_usage(stderr);
        return STATUS_USAGE;
    }
    return command ? run_command(command, argc - 1, argv + 1) : run_word(argc, argv);
}
