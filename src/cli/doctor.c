/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * peer doctor: prints the library's checks, a line each.
 */
#include "cli.h"

#include <peer/confine.h>
#include <peer/doctor.h>
#include <stdio.h>
#include <string.h>

struct doctor_options {
    struct common_options common;
};

static const struct option_def doctor_table[] = {
    {'s', "from", "ADDRS", "addresses to look for conflicting routes for", option_set_string,
     .offset = offsetof(struct common_options, from)},
    {0, "wire", "IFACE", "check too what --wire IFACE needs; nothing is attached to it",
     option_set_string, .offset = offsetof(struct common_options, wire),
     .values = "INTERFACES"},
    {0},
};

static const char *const status_names[] = {
    [PEER_CHECK_OK] = "ok", [PEER_CHECK_NOTE] = "note", [PEER_CHECK_PROBLEM] = "problem"};

/* In the command line's words. */
static struct peer_check reword(const struct peer_check *given)
{
    struct peer_check check = *given;

    name_options(check.text);
    name_options(check.mend);
    return check;
}

static void print_check(void *user, const struct peer_check *given)
{
    const struct peer_check reworded = reword(given), *check = &reworded;

    (void)user;
    printf("%-8s %-16s %s\n", status_names[check->status], check->name, check->text);
    if (check->mend[0])
        printf("%-8s %-16s   %s\n", "", "", check->mend);
}

static void collect_check(void *user, const struct peer_check *given)
{
    const struct peer_check reworded = reword(given), *check = &reworded;
    json_t *entry = json_pack("{s:s, s:s, s:s}", "name", check->name, "status",
                              status_names[check->status], "text", check->text);
    if (check->mend[0])
        json_object_set_new(entry, "mend", json_string(check->mend));
    json_array_append_new(user, entry);
}

static int run_doctor(void *options, int argc, char **argv)
{
    struct doctor_options *doctor = options;
    struct peer_doctor_config config = {
        .from = doctor->common.from, .wire = doctor->common.wire, .udp = doctor->common.udp};
    struct target target = {0};
    struct peer_confine_config confine; /* of who reads what others send */

    int status = argc > 0 ? parse_target(&command_doctor, &doctor->common, argc, argv, &target) : 0;
    if (status == 0)
        status = choose_privileges(&command_ping, &doctor->common, &confine);
    if (status == 0)
        status = give_up_privileges(&command_doctor, &doctor->common, NULL);
    if (status != 0)
        return status;
    config.to = target.addr;
    config.to_port = target.port;
    config.confine = &confine;
    if (doctor->common.json) {
        json_t *checks = json_array();
        int problems = peer_doctor(&config, collect_check, checks);
        json_t *document = json_report("doctor", NULL, argc > 0 ? &target : NULL);
        json_object_set_new(document, "problems", json_integer(problems));
        json_object_set_new(document, "checks", checks);
        return json_print(document, problems ? STATUS_MACHINE : STATUS_DONE);
    }
    int problems = peer_doctor(&config, print_check, NULL);
    if (problems)
        printf("\n%d problem%s\n", problems, problems == 1 ? "" : "s");
    else
        printf("\nThis machine can run peer.\n");
    return flush_output(problems ? STATUS_MACHINE : STATUS_DONE);
}

static const struct option_def *const tables[] = {doctor_table, options_udp, options_json,
                                                  options_help, NULL};
const struct command command_doctor = {
    .name = "doctor",
    .arguments = "[HOST PORT]",
    .operands = "HOSTS",
    .summary = "can this machine run peer, and what to change",
    .about =
        "Checks what peer needs of this machine, and what stands in the way of a peer's packet to "
        "HOST\n"
        "PORT, without sending one. Changes nothing; for HOST a device is made and gone again.",
    .tables = tables,
    .options_size = sizeof(struct doctor_options),
    .run = run_doctor,
};
