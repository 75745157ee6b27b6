/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CLI_COMPLETIONS_H
#define CLI_COMPLETIONS_H

#include "cli.h"

/** All of a list of values, see `struct option_def`: names of tables become what is in them. Returns
 *  `buf`; "" for NULL. */
enum { VALUES_ROOM = 1024 };
const char *values_expand(const char *values, char buf[VALUES_ROOM]);

/** `text` as part of a word in single quotes; a backslash before each of `special`. */
void print_quoted(const char *text, const char *special);

/** A shell's script on standard output, for these commands. */
typedef void completions_print(const struct command *const *commands, size_t count);
completions_print completions_print_bash, completions_print_zsh, completions_print_fish;

#endif
