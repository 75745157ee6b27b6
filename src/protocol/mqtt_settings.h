/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PROTOCOL_MQTT_SETTINGS_H
#define PROTOCOL_MQTT_SETTINGS_H

#include "protocol/mqtt_packet.h"

#include <peer/error.h>
#include <peer/soak.h>

/** What a run of MQTT is told by its configuration: "/TOPIC?qos=0|1&keepalive=30s&
 *  wills=yes|no", and the login. */
struct mqtt_settings {
    struct mqtt_identity identity;
    char *topic; /* with a slash behind it */
    char *user, *password;
    uint8_t qos;
    uint32_t payload; /* bytes of a message */
    bool wills;
    char *will; /* "TOPIC/will"; NULL without wills */
};

enum { MQTT_TOPIC_MOST = 1024 };

/** -EINVAL with text, -ENOMEM. mqtt_settings_done in any case. */
int mqtt_settings_read(struct mqtt_settings *settings, const struct peer_soak_config *config,
                       struct peer_error *error);
void mqtt_settings_done(struct mqtt_settings *settings);

#endif
