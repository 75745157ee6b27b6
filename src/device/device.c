/* SPDX-License-Identifier: BSD-3-Clause */
/* What both kinds of device have in common: hardly anything. Each kind frees itself. */
#include "device/device.h"

#include <stddef.h>

struct device *device_free(struct device *device)
{
    if (device)
        device->ops->free(device);
    return NULL;
}
