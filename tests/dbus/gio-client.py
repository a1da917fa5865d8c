#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""gio-client.py CONTROL-SOCKET: a guest through Gio's proxy, as a GNOME program would use it:
suspends and resumes it, and says what it was told meanwhile. Exits 77 without PyGObject."""

import sys

try:
    from gi.repository import Gio, GLib
except ImportError:
    sys.exit(77)

connection = Gio.DBusConnection.new_for_address_sync(
    "unix:path=" + sys.argv[1], Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT, None, None)
guest = Gio.DBusProxy.new_sync(connection, Gio.DBusProxyFlags.NONE, None, None,
                               "/io/leasehold/Guest", "io.leasehold.Guest1", None)
loop = GLib.MainLoop()
GLib.timeout_add_seconds(20, loop.quit)


def on_signal(_proxy, _sender, name, arguments):
    print(name, arguments[1], "state", guest.get_cached_property("State").unpack(), flush=True)
    if arguments[1] == "SUSPENDED":
        guest.call("Resume", None, Gio.DBusCallFlags.NONE, -1, None, None)
    else:
        loop.quit()


guest.connect("g-signal", on_signal)
guest.call("Suspend", None, Gio.DBusCallFlags.NONE, -1, None, None)
loop.run()
try:
    guest.call_sync("ShutdownAbort", None, Gio.DBusCallFlags.NONE, -1, None)
except GLib.Error as error:
    print(Gio.DBusError.get_remote_error(error))
