/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef EXEC_SETTINGS_H
#define EXEC_SETTINGS_H

#include <stdint.h>

/** Settings below /proc/sys/net that a namespace has for itself and a client program notices. What
 * cannot be read or written stays as it is. */

enum { SETTINGS_MAX = 64, SETTINGS_TEXT = 64 };
struct settings {
    char values[SETTINGS_MAX][SETTINGS_TEXT]; /* "" where there is no such setting */
};
/** Those of the calling thread's namespace. */
void settings_read(struct settings *ret);
/** In another one: the same, and those of a place (place.h). */
void settings_apply(const struct settings *settings);
/** For a device of a place that has an address of `family`, before it comes up: it says nothing by
 * itself. */
void settings_of_device(const char *device, uint8_t family);
/** Packets from 127.0.0.1 may come in by this device. 0 or -errno. */
int settings_admit_localhost(const char *device);

#endif
