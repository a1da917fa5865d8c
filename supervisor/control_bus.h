/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * control_bus.h: as much of a message bus as gdbus, busctl and the like insist on, although
 * there are only two of us on the line.
 *
 * Such a client says Hello and believes in names. It gets one, our end has another, and any
 * well-known name is owned by our end.
 */
#ifndef LEASEHOLD_SUPERVISOR_CONTROL_BUS_H
#define LEASEHOLD_SUPERVISOR_CONTROL_BUS_H

#include <gio/gio.h>

/** TRUE: a method call to the bus, not to the guest. */
gboolean virControlBusIsFor(GDBusMessage *call);
/** The answer to a call to the bus. */
GDBusMessage *virControlBusAnswer(GDBusMessage *call) G_GNUC_WARN_UNUSED_RESULT;
/** @message (transfer full) with our name as the sender. */
GDBusMessage *virControlBusSign(GDBusMessage *message) G_GNUC_WARN_UNUSED_RESULT;

#endif
