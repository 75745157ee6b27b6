/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef KERNEL_OBSERVE_SYSCTL_INTERNAL_H
#define KERNEL_OBSERVE_SYSCTL_INTERNAL_H

#include <stdint.h>

/* The text side of sysctl.c. All texts are terminated; 0 or -errno, results untouched on
   failure. */

/** Longer than the files of /proc/net that are read whole. */
enum { SNMP_BYTES = 32 * 1024 };

/** The first decimal number of a sysctl; -EINVAL when it does not begin with one, -ERANGE. */
int sysctl_parse(const char *text, int64_t *ret_value);
/** /proc/net/snmp and netstat: pairs of lines "Group: Name Name", "Group: 1 2". -ENOENT. */
int snmp_parse_table(const char *text, const char *group, const char *name, uint64_t *ret_value);
/** /proc/net/snmp6: lines "GroupName    1". -ENOENT. */
int snmp_parse_list(const char *text, const char *group, const char *name, uint64_t *ret_value);

#endif
