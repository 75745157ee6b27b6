/* SPDX-License-Identifier: BSD-3-Clause */
/* Completions for zsh: the specifications that _arguments takes. */
#include "completions.h"

#include <stdio.h>
#include <string.h>

static const char start[] =
    "#compdef peer\n"
    "# zsh completion for peer. Written by `peer --completions zsh`.\n"
    "_peer_values() {\n"
    "    local word\n"
    "    local -i ret=1\n"
    "    for word; do\n"
    "        case $word in\n"
    "        ...) ;;\n"
    "        FILES) _files && ret=0 ;;\n"
    "        AT_FILES) compset -P @ && _files && ret=0 ;;\n"
    "        NAMESPACES) compadd -- /run/netns/*(N:t) && ret=0 ;;\n"
    "        INTERFACES)\n"
    "            compadd -- $(sed -n 's/^ *\\([^ ]*\\):.*/\\1/p' /proc/net/dev) && ret=0\n"
    "            ;;\n"
    "        USERS) _users && ret=0 ;;\n"
    "        COMMANDS) _command_names -e && ret=0 ;;\n"
    "        HOSTS)\n"
    "            _hosts && ret=0\n"
    "            compadd -- ${${(M)${=$(ip -o addr show scope global 2>/dev/null)}:#*/*}%/*} && ret=0\n"
    "            ;;\n"
    "        *[:/]) compadd -S '' -- $word && ret=0 ;;\n"
    "        *) compadd -- $word && ret=0 ;;\n"
    "        esac\n"
    "    done\n"
    "    return ret\n"
    "}\n\n";

static const char end[] =
    "_peer() {\n"
    "    local -i at=${words[(i)--]}\n"
    "    if ((at > 1 && at < CURRENT)); then\n"
    "        shift $at words\n"
    "        ((CURRENT -= at))\n"
    "        _normal\n"
    "        return\n"
    "    fi\n"
    "    if ((CURRENT == 2)); then\n"
    "        _describe command _peer_commands\n"
    "        return\n"
    "    fi\n"
    "    shift words\n"
    "    ((CURRENT -= 1))\n"
    "    case $words[1] in\n"
    "    help) _describe command _peer_commands ;;\n"
    "    *) (($+functions[_peer_$words[1]])) && _peer_$words[1] ;;\n"
    "    esac\n"
    "}\n"
    "\n"
    "_peer \"$@\"\n";

static void print_values(const char *argument, const char *values)
{
    char expanded[VALUES_ROOM];

    putchar(':');
    print_quoted(argument, ":\\");
    putchar(':');
    if (values) {
        fputs(" _peer_values ", stdout);
        print_quoted(values_expand(values, expanded), ":\\");
    } else {
        putchar(' ');
    }
}

static void print_option(const struct option_def *def)
{
    char help[OPTION_HELP];

    fputs(" \\\n        '*'", stdout);
    if (def->letter)
        printf(def->argument ? "{-%c+,--%s=}" : "{-%c,--%s}", def->letter, def->name);
    else
        printf(def->argument ? "--%s=" : "--%s", def->name);
    fputs("'[", stdout);
    print_quoted(option_help(def, help), "[]:\\");
    putchar(']');
    if (def->argument)
        print_values(def->argument, def->values);
    putchar('\'');
}

static void print_command(const struct command *command)
{
    printf("_peer_%s() {\n    _arguments -s -S :", command->name);
    for (const struct option_def *const *table = command->tables; *table; table++) {
        for (const struct option_def *def = *table; def->name; def++)
            print_option(def);
    }
    if (command->operands) {
        const bool all = strstr(command->operands, "...") != NULL;
        printf(" \\\n        '%s", all ? "*" : "1");
        print_values(" ", command->operands);
        putchar('\'');
    }
    fputs("\n}\n\n", stdout);
}

void completions_print_zsh(const struct command *const *commands, size_t count)
{
    fputs(start, stdout);
    for (size_t i = 0; i < count; i++)
        print_command(commands[i]);
    fputs("typeset -ga _peer_commands=(\n", stdout);
    for (size_t i = 0; i < count; i++) {
        printf("    '%s:", commands[i]->name);
        print_quoted(commands[i]->summary, "\\");
        fputs("'\n", stdout);
    }
    fputs("    'help:the options of a command'\n)\n", stdout);
    fputs(end, stdout);
}
