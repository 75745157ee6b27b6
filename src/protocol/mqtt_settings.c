/* SPDX-License-Identifier: BSD-3-Clause */
#include "protocol/mqtt_settings.h"

#include "base/error.h"
#include "base/macro.h"
#include "http/percent.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEEPALIVE_S = 60, TEXT_MOST = 65535 };

static int out_of_memory(struct peer_error *error)
{
    return error_set(error, PEER_ERROR_MACHINE, ENOMEM, "out of memory");
}

static bool set_qos(struct mqtt_settings *settings, const char *value)
{
    settings->qos = (uint8_t)(*value - '0');
    return settings->qos <= 1 && !value[1];
}

/* Whole seconds, as CONNECT has them; "30", "30s", "5m", "1h". */
static bool set_keepalive(struct mqtt_settings *settings, const char *value)
{
    static const struct {
        const char *unit;
        unsigned long s;
    } units[] = {{"", 1}, {"s", 1}, {"m", 60}, {"h", 3600}};
    const size_t digits = strspn(value, "0123456789");

    if (!digits || digits > 5)
        return false;
    unsigned long number = strtoul(value, NULL, 10);
    for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
        if (strcmp(value + digits, units[i].unit) != 0)
            continue;
        settings->identity.keepalive_s = (uint16_t)(number * units[i].s);
        return number * units[i].s <= UINT16_MAX;
    }
    return false;
}

static bool set_wills(struct mqtt_settings *settings, const char *value)
{
    settings->wills = strcmp(value, "yes") == 0;
    return settings->wills || strcmp(value, "no") == 0;
}

static const struct {
    const char *name;
    bool (*set)(struct mqtt_settings *settings, const char *value);
    const char *is;
} parameters[] = {
    {"qos=", set_qos, "0 or 1"},
    {"keepalive=", set_keepalive, "a time of whole seconds up to 65535, such as 30s; 0 is never"},
    {"wills=", set_wills, "yes or no"},
};

static int set_parameter(struct mqtt_settings *settings, const char *text, struct peer_error *error)
{
    for (size_t i = 0; i < ARRAY_SIZE(parameters); i++) {
        const size_t len = strlen(parameters[i].name);
        if (strncmp(text, parameters[i].name, len) != 0)
            continue;
        if (parameters[i].set(settings, text + len))
            return 0;
        return error_set(error, PEER_ERROR_USAGE, EINVAL, "\"%.64s\": that is %s", text,
                         parameters[i].is);
    }
    return error_set(error, PEER_ERROR_USAGE, EINVAL,
                     "\"%.64s\" is no parameter of MQTT: they are qos=0|1, keepalive=TIME and "
                     "wills=yes|no",
                     text);
}

/* "qos=1&keepalive=30s", which is taken apart. */
static int set_parameters(struct mqtt_settings *settings, char *query, struct peer_error *error)
{
    char *rest = query, *text;
    int status = 0;

    while (status == 0 && (text = strsep(&rest, "&")))
        status = set_parameter(settings, text, error);
    return status;
}

static int check_topic(const char *topic, struct peer_error *error)
{
    if (strlen(topic) > MQTT_TOPIC_MOST)
        return error_set(error, PEER_ERROR_USAGE, EINVAL, "a topic has at most %d bytes here",
                         MQTT_TOPIC_MOST);
    if (strpbrk(topic, "+#"))
        return error_set(error, PEER_ERROR_USAGE, EINVAL,
                         "\"%.64s\" is a filter: nothing can be published to a topic with + or #",
                         topic);
    return 0;
}

static int take_path(struct mqtt_settings *settings, char *path, struct peer_error *error)
{
    char *query = strchr(path, '?');
    int status = 0;

    if (query) {
        *query = 0;
        status = set_parameters(settings, query + 1, error);
    }
    char *topic = *path == '/' ? path + 1 : path;
    if (status == 0 && http_percent_decode(topic) < 0)
        status = error_set(error, PEER_ERROR_USAGE, EINVAL,
                           "the topic \"%.64s\" has a %% without two hexadecimal digits, or a %%00",
                           topic);
    if (status == 0)
        status = check_topic(topic, error);
    if (status < 0)
        return status;
    return asprintf(&settings->topic, "%s/", *topic ? topic : "peer") < 0 ? out_of_memory(error)
                                                                          : 0;
}

static int read_path(struct mqtt_settings *settings, const char *path, struct peer_error *error)
{
    char *copy = strdup(path ? path : "");

    if (!copy)
        return out_of_memory(error);
    int status = take_path(settings, copy, error);
    if (status < 0)
        settings->topic = NULL;
    free(copy);
    return status;
}

/* Whose clients misbehave, those want to know what their ends do to others. */
static int read_will(struct mqtt_settings *settings)
{
    if (!settings->wills)
        return 0;
    if (asprintf(&settings->will, "%swill", settings->topic) < 0) {
        settings->will = NULL;
        return -ENOMEM;
    }
    settings->identity.will = settings->will;
    settings->identity.will_qos = settings->qos;
    return 0;
}

static int read_login(struct mqtt_settings *settings, const struct peer_soak_config *config,
                      struct peer_error *error)
{
    if (config->password && !config->user)
        return error_set(error, PEER_ERROR_USAGE, EINVAL,
                         "a password of MQTT has a user: mqtt://USER:PASSWORD@HOST");
    if ((config->user && strlen(config->user) > TEXT_MOST) ||
        (config->password && strlen(config->password) > TEXT_MOST))
        return error_set(error, PEER_ERROR_USAGE, EINVAL,
                         "user and password of MQTT have at most %d bytes", TEXT_MOST);
    if (config->user)
        settings->user = strdup(config->user);
    if (config->password)
        settings->password = strdup(config->password);
    if ((config->user && !settings->user) || (config->password && !settings->password))
        return out_of_memory(error);
    settings->identity.user = settings->user;
    settings->identity.password = settings->password;
    return 0;
}

int mqtt_settings_read(struct mqtt_settings *settings, const struct peer_soak_config *config,
                       struct peer_error *error)
{
    settings->identity.keepalive_s = KEEPALIVE_S;
    settings->wills = config->manners && *config->manners;
    int status = read_path(settings, config->path, error);
    if (status == 0 && read_will(settings) < 0)
        status = out_of_memory(error);
    if (status == 0)
        status = read_login(settings, config, error);
    if (status < 0)
        return status;
    const size_t head = strlen(settings->topic) + MQTT_ID_LEN + 4;
    if (config->message_bytes > MQTT_LONGEST - head)
        return error_set(error, PEER_ERROR_USAGE, EINVAL,
                         "a message of MQTT with this topic has at most %zu bytes",
                         (size_t)MQTT_LONGEST - head);
    settings->payload = (uint32_t)config->message_bytes;
    return 0;
}

void mqtt_settings_done(struct mqtt_settings *settings)
{
    if (settings->password)
        explicit_bzero(settings->password, strlen(settings->password));
    free(settings->password);
    free(settings->user);
    free(settings->topic);
    free(settings->will);
    settings->password = settings->user = settings->topic = settings->will = NULL;
}
