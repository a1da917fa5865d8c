/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * control_bus.c: as much of a message bus as gdbus, busctl and the like insist on.
 */
#include "supervisor/control_bus.h"

#define BUS_NAME "org.freedesktop.DBus"
#define BUS_OUR_NAME ":1.0"
#define BUS_CLIENT_NAME ":1.1"

typedef struct {
    const char *method;
    const char *signature; /* of its arguments */
    const char *result;    /* a tuple in GVariant's text format */
} virControlBusMethod;

static const virControlBusMethod busMethods[] = {
    {"Hello", "", "('" BUS_CLIENT_NAME "',)"},
    {"AddMatch", "s", "()"}, /* every signal is sent anyway */
    {"RemoveMatch", "s", "()"},
    {"GetNameOwner", "s", "('" BUS_OUR_NAME "',)"},
    {"NameHasOwner", "s", "(true,)"},
    {"StartServiceByName", "su", "(uint32 2,)"}, /* it already runs */
};

gboolean
virControlBusIsFor(GDBusMessage *call)
{
    return g_strcmp0(g_dbus_message_get_path(call), "/org/freedesktop/DBus") == 0 &&
           g_strcmp0(g_dbus_message_get_interface(call), BUS_NAME) == 0;
}

GDBusMessage *
virControlBusAnswer(GDBusMessage *call)
{
    const char *member = g_dbus_message_get_member(call);
    GDBusMessage *reply = NULL;

    for (gsize i = 0; i < G_N_ELEMENTS(busMethods); i++) {
        if (!g_str_equal(busMethods[i].method, member) ||
            !g_str_equal(busMethods[i].signature, g_dbus_message_get_signature(call)))
            continue;
        reply = g_dbus_message_new_method_reply(call);
        g_dbus_message_set_body(reply, g_variant_new_parsed(busMethods[i].result));
        break;
    }
    if (!reply)
        reply = g_dbus_message_new_method_error(
            call, "org.freedesktop.DBus.Error.UnknownMethod",
            "there is no bus here: a guest's socket has but two ends (method '%s')",
            member);
    g_dbus_message_set_sender(reply, BUS_NAME);
    return reply;
}

GDBusMessage *
virControlBusSign(GDBusMessage *message)
{
    GDBusMessage *copy = NULL;

    if (g_dbus_message_get_sender(message))
        return message;
    /* a message on its way out is locked; this one has no descriptors to fail on */
    copy = g_dbus_message_copy(message, NULL);
    if (!copy)
        return message;
    g_dbus_message_set_sender(copy, BUS_OUR_NAME);
    g_object_unref(message);
    return copy;
}
