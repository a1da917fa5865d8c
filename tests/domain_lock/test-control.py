#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test-control.py: the control socket of a running guest, used by clients with manners and
by clients without.

Whatever they do, the guest runs on, a client with manners gets its answer, and destroy works:
also when the supervisor is stopped. D-Bus is spoken by hand here, so that the interface is
tested as others would use it.

Has to fail (not tried yet): without the limit and the timeout of handshakes the sockets of silent clients
pile up; without the way around a stopped supervisor destroy does not end the guest.
"""

import os
import shutil
import signal
import socket
import struct
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lab import Lab, NAME, UUID, alive, fail, supervisors, wait_until  # noqa: E402

AUTH_TIMEOUT = 5


def align(data, size):
    return data + b"\0" * (-len(data) % size)


def dbus_string(text):
    return struct.pack("<I", len(text)) + text.encode() + b"\0"


def dbus_call(serial, path, interface, member, signature="", body=b""):
    """A method call as bytes: little-endian, version 1."""
    fields = b""
    for code, kind, value in ((1, "o", path), (2, "s", interface), (3, "s", member),
                              (8, "g", signature)):
        if not value:
            continue
        fields = align(fields, 8) + bytes([code, 1]) + kind.encode() + b"\0"
        fields += (bytes([len(value)]) + value.encode() + b"\0") if kind == "g" \
            else dbus_string(value)
    head = struct.pack("<BBBBII", ord("l"), 1, 0, 1, len(body), serial)
    return align(head + struct.pack("<I", len(fields)) + fields, 8) + body


class Client:
    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(20)
        wait_until("there is room in the queue", lambda: self.connect(path))
        self.data = b""

    def connect(self, path):
        try:
            self.sock.connect(path)
        except BlockingIOError:
            return False
        return True

    def authenticate(self):
        uid = str(os.getuid()).encode().hex()
        self.sock.sendall(b"\0AUTH EXTERNAL " + uid.encode() + b"\r\n")
        if not self.sock.recv(200).startswith(b"OK "):
            fail("authentication was refused")
        self.sock.sendall(b"BEGIN\r\n")

    def answer(self, serial):
        """(type, bytes) of the reply to @serial; signals are skipped."""
        while True:
            while len(self.data) < 16:
                self.more()
            body, _, fields = struct.unpack("<III", self.data[4:16])
            size = 16 + fields + (-fields % 8) + body
            while len(self.data) < size:
                self.more()
            message, self.data = self.data[:size], self.data[size:]
            # header field 5, REPLY_SERIAL, is a uint32
            if b"\5\1u\0" + struct.pack("<I", serial) in message[:16 + fields]:
                return message[1], message

    def more(self):
        got = self.sock.recv(65536)
        if not got:
            fail("the connection was closed")
        self.data += got

    def call(self, serial, *args):
        self.sock.sendall(dbus_call(serial, "/io/leasehold/Guest", *args))
        return self.answer(serial)

    def closed(self):
        """TRUE once the other side has closed it."""
        self.sock.setblocking(False)
        try:
            return self.sock.recv(1000) == b""
        except BlockingIOError:
            return False
        except ConnectionResetError:
            return True


def control(lab):
    return os.path.join(lab.dir, "run/guests", UUID, "control")


def socket_is_private(lab):
    mode = os.stat(control(lab)).st_mode & 0o777
    if mode != 0o600:
        fail("mode %o" % mode)


def get_all(lab):
    client = Client(control(lab))
    client.authenticate()
    kind, message = client.call(1, "org.freedesktop.DBus.Properties", "GetAll", "s",
                                dbus_string("io.leasehold.Guest1"))
    if kind != 2 or b"running" not in message or NAME.encode() not in message:
        fail("GetAll answers %r" % message)


def introspects(lab):
    client = Client(control(lab))
    client.authenticate()
    _, message = client.call(1, "org.freedesktop.DBus.Introspectable", "Introspect")
    for word in (b"ShutdownAbort", b"Leases", b"signal name=\"Event\""):
        if word not in message:
            fail("Introspect lacks %r" % word)


def wrong_calls_are_errors(lab):
    client = Client(control(lab))
    client.authenticate()
    for serial, args in enumerate([("io.leasehold.Guest1", "Levitate"),
                                   ("io.leasehold.Guest1", "Destroy", "s", dbus_string("x")),
                                   ("io.leasehold.Guest1", "Destroy"),
                                   ("io.leasehold.Guest9", "Suspend")], 1):
        kind, message = client.call(serial, *args)
        if kind != 3:
            fail("%s was answered by %r" % (args, message))


def wrong_state_is_named(lab):
    client = Client(control(lab))
    client.authenticate()
    kind, message = client.call(1, "io.leasehold.Guest1", "ShutdownAbort")
    if kind != 3 or b"io.leasehold.Error.State" not in message:
        fail("ShutdownAbort answers %r" % message)


def anonymous_is_refused(lab):
    client = Client(control(lab))
    client.sock.sendall(b"\0AUTH ANONYMOUS\r\n")
    if not client.sock.recv(200).startswith(b"REJECTED"):
        fail("ANONYMOUS was let in")


def garbage(lab):
    for rubbish in (b"\xff" * 100000, b"\0" * 5, b"GET / HTTP/1.0\r\n\r\n", b"\0AUTH\r\n" * 9):
        client = Client(control(lab))
        try:
            client.sock.sendall(rubbish)
        except (BrokenPipeError, ConnectionResetError):
            pass
    client = Client(control(lab))
    client.authenticate()
    # a message that claims to be larger than D-Bus permits
    client.sock.sendall(struct.pack("<BBBBIII", ord("l"), 1, 0, 1, 1 << 31, 1, 1 << 30))
    wait_until("a broken message ends the connection", client.closed)
    get_all(lab)


def deaf_client(lab):
    """One that asks and never reads must not keep the others from their answers."""
    deaf = Client(control(lab))
    deaf.authenticate()
    deaf.sock.setblocking(False)
    call = dbus_call(1, "/io/leasehold/Guest", "org.freedesktop.DBus.Introspectable",
                     "Introspect")
    try:
        for _ in range(3000):
            deaf.sock.send(call)
    except BlockingIOError:
        pass
    get_all(lab)


def silent_clients(lab):
    silent = [Client(control(lab)) for _ in range(100)]
    time.sleep(0.2)
    if lab.leasehold("list").returncode != 0 or lab.state() != "running":
        fail("list does not work beside silent clients")
    wait_until("silent clients are turned out",
               lambda: all(client.closed() for client in silent), AUTH_TIMEOUT * 4)
    get_all(lab)


def suspended_and_resumed(lab):
    client = Client(control(lab))
    client.authenticate()
    for serial, (method, state) in enumerate((("Suspend", "paused"), ("Resume", "running")), 1):
        if client.call(serial, "io.leasehold.Guest1", method)[0] != 2:
            fail(method + " failed")
        if lab.state() != state:
            fail("after %s the state is %s" % (method, lab.state()))


def stopped_supervisor(lab):
    pid = supervisors()[0]
    qemu = lab.children()[0]
    os.kill(pid, signal.SIGSTOP)
    try:
        if "stopped" not in lab.guest().get("message", ""):
            fail("list does not tell: %r" % lab.guest())
        done = lab.leasehold("destroy", NAME)
        if done.returncode != 0:
            fail("destroy: " + done.stderr)
        if alive(qemu):
            fail("QEMU lives on")
    finally:
        os.kill(pid, signal.SIGCONT)
    wait_until("the supervisor records the end", lambda: lab.state() == "shut-off")
    lab.assert_nothing_runs()
    lab.assert_starts_again()


CASES = (socket_is_private, get_all, introspects, wrong_calls_are_errors, wrong_state_is_named,
         anonymous_is_refused, garbage, deaf_client, suspended_and_resumed, silent_clients,
         stopped_supervisor)


def main():
    if not shutil.which("qemu-system-x86_64"):
        strict = os.environ.get("LEASEHOLD_TEST_STRICT") == "1"
        print("1..1\nnot ok 1 - no qemu" if strict else "1..0 # SKIP no qemu")
        return 1 if strict else 0
    failed = 0
    print("1..%d" % len(CASES))
    lab = Lab()
    try:
        for index, case in enumerate(CASES, 1):
            name = case.__name__.replace("_", " ")
            try:
                if lab.state() != "running" and lab.leasehold("run", lab.xml).returncode != 0:
                    fail("the guest does not run")
                case(lab)
                if case is not stopped_supervisor and lab.state() != "running":
                    fail("afterwards the guest is " + str(lab.state()))
                print("ok %d - %s" % (index, name), flush=True)
            except (AssertionError, OSError, ValueError) as error:
                failed += 1
                print("not ok %d - %s\n# %s" %
                      (index, name, str(error).replace("\n", "\n# ")), flush=True)
    finally:
        lab.close()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
