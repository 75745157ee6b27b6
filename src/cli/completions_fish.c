/* SPDX-License-Identifier: BSD-3-Clause */
/* Completions for fish: one `complete` an option of a command. */
#include "completions.h"

#include <stdio.h>
#include <string.h>

static const char start[] =
    "# fish completion for peer. Written by `peer --completions fish`.\n"
    "function __peer_values\n"
    "    for word in $argv\n"
    "        switch $word\n"
    "            case ...\n"
    "            case FILES\n"
    "                __fish_complete_path (commandline -ct)\n"
    "            case AT_FILES\n"
    "                set -l cur (commandline -ct)\n"
    "                if string match -q '@*' -- $cur\n"
    "                    printf '@%s\\n' (__fish_complete_path (string sub -s 2 -- $cur))\n"
    "                end\n"
    "            case NAMESPACES\n"
    "                command ls /run/netns 2>/dev/null\n"
    "            case INTERFACES\n"
    "                sed -n 's/^ *\\([^ ]*\\):.*/\\1/p' /proc/net/dev\n"
    "            case USERS\n"
    "                __fish_complete_users\n"
    "            case COMMANDS\n"
    "                complete -C (commandline -ct)\n"
    "            case HOSTS\n"
    "                __fish_print_hostnames\n"
    "                command ip -o addr show scope global 2>/dev/null | string match -rg '(\\S+)/\\d+ '\n"
    "            case '*'\n"
    "                echo $word\n"
    "        end\n"
    "    end\n"
    "end\n"
    "\n"
    "# A command's own words: after \"--\" stands another program.\n"
    "function __peer_in\n"
    "    set -l words (commandline -opc)\n"
    "    not contains -- -- $words; and test (count $words) -ge 2; and test $words[2] = $argv[1]\n"
    "end\n"
    "\n"
    "# __peer_first COMMAND OPTION...: none of its operands is there; these options take a value.\n"
    "function __peer_first\n"
    "    __peer_in $argv[1]; or return 1\n"
    "    set -l value 0\n"
    "    set -l words (commandline -opc)\n"
    "    for word in $words[3..-1]\n"
    "        if test $value = 1\n"
    "            set value 0\n"
    "        else if not string match -q -- '-*' $word\n"
    "            return 1\n"
    "        else if contains -- $word $argv\n"
    "            set value 1\n"
    "        end\n"
    "    end\n"
    "end\n"
    "\n"
    "function __peer_program\n"
    "    contains -- -- (commandline -opc)\n"
    "end\n"
    "\n"
    "function __peer_program_words\n"
    "    set -l words (commandline -opc) (commandline -ct)\n"
    "    set -l first (math 1 + (contains -i -- -- $words))\n"
    "    complete -C (string join ' ' -- (string escape -- $words[$first..-1]))\n"
    "end\n"
    "\n"
    "complete -c peer -f\n"
    "complete -c peer -n __peer_program -a '(__peer_program_words)'\n"
    "complete -c peer -n __fish_is_first_token -s h -l help -d 'this list'\n"
    "complete -c peer -n __fish_is_first_token -s V -l version -d 'the version'\n"
    "complete -c peer -n __fish_is_first_token -a help -d 'the options of a command'\n";

static void print_values(const char *values)
{
    char expanded[VALUES_ROOM];

    printf(" -a '(__peer_values %s)'", values_expand(values, expanded));
}

static void print_option(const struct command *command, const struct option_def *def)
{
    char help[OPTION_HELP];

    printf("complete -c peer -n '__peer_in %s' -l %s", command->name, def->name);
    if (def->letter)
        printf(" -s %c", def->letter);
    if (def->argument)
        fputs(" -x", stdout);
    if (def->values)
        print_values(def->values);
    fputs(" -d \"", stdout);
    for (const char *at = option_help(def, help); *at; at++) {
        if (strchr("\"\\$", *at))
            putchar('\\');
        putchar(*at);
    }
    fputs("\"\n", stdout);
}

static void print_operands(const struct command *command)
{
    const bool all = strstr(command->operands, "...") != NULL;

    printf("complete -c peer -n '%s %s", all ? "__peer_in" : "__peer_first", command->name);
    for (const struct option_def *const *table = command->tables; !all && *table; table++) {
        for (const struct option_def *def = *table; def->name; def++) {
            if (def->argument && def->letter)
                printf(" -%c", def->letter);
            if (def->argument)
                printf(" --%s", def->name);
        }
    }
    putchar('\'');
    print_values(command->operands);
    putchar('\n');
}

static void print_command(const struct command *command)
{
    printf("\ncomplete -c peer -n __fish_is_first_token -a %s -d \"%s\"\n"
           "complete -c peer -n '__peer_in help' -a %s\n",
           command->name, command->summary, command->name);
    for (const struct option_def *const *table = command->tables; *table; table++) {
        for (const struct option_def *def = *table; def->name; def++)
            print_option(command, def);
    }
    if (command->operands)
        print_operands(command);
}

void completions_print_fish(const struct command *const *commands, size_t count)
{
    fputs(start, stdout);
    for (size_t i = 0; i < count; i++)
        print_command(commands[i]);
}
