/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CLI_PRINTER_H
#define CLI_PRINTER_H

#include <stdbool.h>
#include <stdint.h>

/**
 * Standard output of commands that measure: nobody waits for its reader while the network runs.
 * What he does not take is kept; lines that are one of many are left out, and counted, when too much
 * is kept already. From printer_open to printer_close all that is printed to `stdout` goes this way.
 */
struct printer;

/** Before privileges go. NULL after a message. */
struct printer *printer_open(void);
/** May one of many lines be printed? If not it is counted as left out. */
bool printer_takes_line(struct printer *printer);
/** Lines that were left out so far. */
uint64_t printer_left_out(const struct printer *printer);
/** Writes what the reader takes now: to be called in each turn of a loop. */
void printer_push(struct printer *printer);
/** Standard output, which is a file, is `fd` from now on, which is the printer's then. What was printed
 *  before is in the other file. */
void printer_go_on(struct printer *printer, int fd);
/**
 * Waits for the reader, for as long as he takes something within five seconds (a person at a
 * terminal: for as long as it takes) and no signal comes by `signal_fd` (-1: none does). Says what
 * he did not get, and frees: `status`, or STATUS_MACHINE when the end of it is missing. NULL is
 * fine.
 */
int printer_close(struct printer *printer, int signal_fd, int status);

#endif
