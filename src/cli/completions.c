/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * peer --completions SHELL: what a shell wants to know to complete our command lines. It is written
 * from the tables that parse them, when peer is built; what only the machine knows (files, namespaces,
 * interfaces, users, hosts) the script asks for when it is used. bash has its script here, the others
 * a file each.
 */
#include "completions.h"

#include <stdio.h>
#include <string.h>

/* ---- values ---- */

static const char *profile_at(size_t index)
{
    struct peer_link_profile profile;

    return peer_link_profile(index, &profile) ? profile.name : NULL;
}

static const char *manner_at(size_t index)
{
    static struct peer_manner manner;

    return peer_manner(index, &manner) ? manner.name : NULL;
}

static const char *protocol_at(size_t index)
{
    struct peer_protocol protocol;

    return peer_protocol(index, &protocol) ? protocol.name : NULL;
}

static const char *scheme_at(size_t index)
{
    static char scheme[32];
    struct peer_protocol protocol;

    for (size_t i = 0; peer_protocol(i, &protocol); i++) {
        const char *const both[] = {protocol.scheme, protocol.tls_scheme};
        for (size_t k = 0; k < CLI_ARRAY_SIZE(both); k++) {
            if (!both[k] || index-- > 0)
                continue;
            snprintf(scheme, sizeof(scheme), "%s://", both[k]);
            return scheme;
        }
    }
    return NULL;
}

static const struct {
    const char *name;
    const char *(*at)(size_t index);
} known[] = {
    {"PROFILES", profile_at},
    {"MANNERS", manner_at},
    {"PROTOCOLS", protocol_at},
    {"SCHEMES", scheme_at},
};

static size_t put_word(char buf[VALUES_ROOM], size_t len, const char *word)
{
    const int more = snprintf(buf + len, VALUES_ROOM - len, "%s%s", len ? " " : "", word);

    return len + (size_t)more < VALUES_ROOM ? len + (size_t)more : VALUES_ROOM - 1;
}

static size_t put_expanded(char buf[VALUES_ROOM], size_t len, const char *word)
{
    for (size_t i = 0; i < CLI_ARRAY_SIZE(known); i++) {
        if (strcmp(word, known[i].name) != 0)
            continue;
        const char *one;
        for (size_t at = 0; (one = known[i].at(at)); at++)
            len = put_word(buf, len, one);
        return len;
    }
    return put_word(buf, len, word);
}

const char *values_expand(const char *values, char buf[VALUES_ROOM])
{
    char word[64];
    size_t len = 0;

    buf[0] = 0;
    for (int used; values && sscanf(values, "%63s%n", word, &used) == 1; values += used)
        len = put_expanded(buf, len, word);
    return buf;
}

void print_quoted(const char *text, const char *special)
{
    for (; *text; text++) {
        if (strchr(special, *text))
            putchar('\\');
        if (*text == '\'')
            fputs("'\\''", stdout);
        else
            putchar(*text);
    }
}

/* ---- bash ---- */

/*
 * bash cuts words at ':' and '=' too, and replaces but the last piece: the word is taken from the line
 * itself, and what stands before the piece is taken off at the end.
 */
static const char bash_start[] =
    "# bash completion for peer. Written by `peer --completions bash`.\n"
    "_peer_machine() {\n"
    "    local word\n"
    "    case $1 in\n"
    "    NAMESPACES) (cd /run/netns 2>/dev/null && compgen -f) ;;\n"
    "    INTERFACES) sed -n 's/^ *\\([^ ]*\\):.*/\\1/p' /proc/net/dev ;;\n"
    "    USERS) compgen -u ;;\n"
    "    COMMANDS) compgen -c -- \"$cur\" ;;\n"
    "    HOSTS)\n"
    "        compgen -A hostname\n"
    "        for word in $(ip -o addr show scope global 2>/dev/null); do\n"
    "            [[ $word != */* ]] || printf '%s\\n' \"${word%/*}\"\n"
    "        done\n"
    "        ;;\n"
    "    *) printf '%s\\n' \"$1\" ;;\n"
    "    esac\n"
    "}\n"
    "\n"
    "_peer_values() {\n"
    "    local kind word\n"
    "    for kind in $1; do\n"
    "        case $kind in\n"
    "        ...) continue ;;\n"
    "        FILES | AT_FILES)\n"
    "            local at=''\n"
    "            [[ $kind == FILES ]] || at=@\n"
    "            [[ -z $at || $cur == @* ]] || continue\n"
    "            compopt -o filenames 2>/dev/null\n"
    "            while read -r word; do\n"
    "                COMPREPLY+=(\"$at$word\")\n"
    "            done < <(compgen -f -- \"${cur#\"$at\"}\")\n"
    "            ;;\n"
    "        *)\n"
    "            while read -r word; do\n"
    "                [[ $word != \"$cur\"* ]] || COMPREPLY+=(\"$word\")\n"
    "            done < <(_peer_machine \"$kind\")\n"
    "            ;;\n"
    "        esac\n"
    "    done\n"
    "}\n"
    "\n"
    "_peer_program() {\n"
    "    local at\n"
    "    for ((at = 1; at < COMP_CWORD; at++)); do\n"
    "        [[ ${COMP_WORDS[at]} != -- ]] || break\n"
    "    done\n"
    "    if declare -F _comp_command_offset >/dev/null; then\n"
    "        _comp_command_offset $((at + 1))\n"
    "    elif declare -F _command_offset >/dev/null; then\n"
    "        _command_offset $((at + 1))\n"
    "    elif ((COMP_CWORD == at + 1)); then\n"
    "        _peer_values 'COMMANDS FILES'\n"
    "    else\n"
    "        _peer_values FILES\n"
    "    fi\n"
    "}\n"
    "\n";

static const char bash_end[] =
    "_peer() {\n"
    "    local line=${COMP_LINE:0:COMP_POINT} cur='' piece command='' option='' word REPLY i\n"
    "    local -i operands=0\n"
    "    local -a words\n"
    "    COMPREPLY=()\n"
    "    read -ra words <<<\"$line\"\n"
    "    if [[ $line != *[[:blank:]] ]]; then\n"
    "        cur=${words[-1]}\n"
    "        unset 'words[-1]'\n"
    "    fi\n"
    "    while ((${#words[@]})) && [[ ${words[0]##*/} != \"${1##*/}\" ]]; do\n"
    "        words=(\"${words[@]:1}\")\n"
    "    done\n"
    "    for word in \"${words[@]:1}\"; do\n"
    "        if [[ -n $option ]]; then\n"
    "            option=''\n"
    "        elif [[ -z $command ]]; then\n"
    "            command=$word\n"
    "        elif [[ $word == -- ]]; then\n"
    "            _peer_program\n"
    "            return\n"
    "        elif [[ $word != -* ]]; then\n"
    "            operands+=1\n"
    "        elif _peer_takes \"$command\" \"$word\"; then\n"
    "            option=$word\n"
    "        fi\n"
    "    done\n"
    "    piece=$cur\n"
    "    if [[ -z $command ]]; then\n"
    "        _peer_values \"$_peer_commands help --help --version\"\n"
    "    elif [[ -n $option ]] || { [[ $cur == --*=* ]] && option=${cur%%=*}; }; then\n"
    "        [[ $cur != \"$option\"=* ]] || cur=${cur#*=}\n"
    "        _peer_takes \"$command\" \"$option\" && _peer_values \"$REPLY\"\n"
    "    elif [[ $cur == -* ]]; then\n"
    "        _peer_options \"$command\"\n"
    "        _peer_values \"$REPLY\"\n"
    "    else\n"
    "        _peer_operands \"$command\"\n"
    "        ((operands == 0)) || [[ $REPLY == *...* ]] || REPLY=''\n"
    "        _peer_values \"$REPLY\"\n"
    "    fi\n"
    "    if ((${#COMPREPLY[@]} == 1)) && [[ $COMPREPLY == *[:/=@] ]]; then\n"
    "        compopt -o nospace 2>/dev/null\n"
    "    fi\n"
    "    piece=${COMP_WORDS[COMP_CWORD]}\n"
    "    [[ $piece != [:=] ]] || piece=''\n"
    "    [[ $cur == *\"$piece\" ]] || return 0\n"
    "    for i in \"${!COMPREPLY[@]}\"; do\n"
    "        COMPREPLY[i]=${COMPREPLY[i]:${#cur}-${#piece}}\n"
    "    done\n"
    "}\n"
    "complete -F _peer peer\n";

static void bash_options(const struct command *command)
{
    for (const struct option_def *const *table = command->tables; *table; table++) {
        for (const struct option_def *def = *table; def->name; def++) {
            if (def->letter)
                printf("-%c ", def->letter);
            printf("--%s ", def->name);
        }
    }
}

static void bash_takes(const struct command *command, const struct option_def *def)
{
    char values[VALUES_ROOM];

    fputs("    ", stdout);
    if (def->letter)
        printf("'%s -%c' | ", command->name, def->letter);
    printf("'%s --%s') REPLY='", command->name, def->name);
    print_quoted(values_expand(def->values, values), "");
    fputs("' ;;\n", stdout);
}

void completions_print_bash(const struct command *const *commands, size_t count)
{
    char values[VALUES_ROOM];

    fputs(bash_start, stdout);
    fputs("_peer_commands='", stdout);
    for (size_t i = 0; i < count; i++)
        printf("%s%s", i ? " " : "", commands[i]->name);
    fputs("'\n\n_peer_options() {\n    REPLY=''\n    case $1 in\n", stdout);
    for (size_t i = 0; i < count; i++) {
        printf("    %s) REPLY='", commands[i]->name);
        bash_options(commands[i]);
        fputs("' ;;\n", stdout);
    }
    fputs("    esac\n}\n\n_peer_operands() {\n    REPLY=''\n    case $1 in\n"
          "    help) REPLY=$_peer_commands ;;\n", stdout);
    for (size_t i = 0; i < count; i++)
        printf("    %s) REPLY='%s' ;;\n", commands[i]->name,
               values_expand(commands[i]->operands, values));
    fputs("    esac\n}\n\n_peer_takes() {\n    case \"$1 $2\" in\n", stdout);
    for (size_t i = 0; i < count; i++) {
        for (const struct option_def *const *table = commands[i]->tables; *table; table++) {
            for (const struct option_def *def = *table; def->name; def++) {
                if (def->argument)
                    bash_takes(commands[i], def);
            }
        }
    }
    fputs("    *) return 1 ;;\n    esac\n}\n\n", stdout);
    fputs(bash_end, stdout);
}
