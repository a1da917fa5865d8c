# SPDX-License-Identifier: LGPL-2.1-or-later
"""dbus_wire.py: D-Bus by hand over a guest's control socket, for clients with manners and for
clients without: what a library would never send can be sent.

    client = Client(path); client.authenticate()
    kind, message = client.call("io.leasehold.Guest1", "Suspend")
"""

import os
import socket
import struct
import time

OBJECT = "/io/leasehold/Guest"
METHOD_CALL, METHOD_RETURN, ERROR, SIGNAL = 1, 2, 3, 4


def align(data, size):
    return data + b"\0" * (-len(data) % size)


def string(text):
    return struct.pack("<I", len(text)) + text.encode() + b"\0"


def message(serial, interface, member, signature="", body=b"", kind=METHOD_CALL, path=OBJECT,
            flags=0):
    """A message as bytes: little-endian, version 1."""
    fields = b""
    for code, form, value in ((1, "o", path), (2, "s", interface), (3, "s", member),
                              (8, "g", signature)):
        if not value:
            continue
        fields = align(fields, 8) + bytes([code, 1]) + form.encode() + b"\0"
        fields += (bytes([len(value)]) + value.encode() + b"\0") if form == "g" \
            else string(value)
    head = struct.pack("<BBBBII", ord("l"), kind, flags, 1, len(body), serial)
    return align(head + struct.pack("<I", len(fields)) + fields, 8) + body


class Closed(AssertionError):
    """The other side hung up."""


class Client:
    def __init__(self, path, timeout=20):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(timeout)
        self.data = b""
        self.serial = 0
        end = time.monotonic() + timeout
        while True:
            try:
                self.sock.connect(path)
                return
            except BlockingIOError:  # the queue of connections is full
                if time.monotonic() > end:
                    raise
                time.sleep(0.005)

    def authenticate(self):
        uid = str(os.getuid()).encode().hex()
        self.sock.sendall(b"\0AUTH EXTERNAL " + uid.encode() + b"\r\n")
        said = self.sock.recv(200)
        if not said.startswith(b"OK "):
            raise Closed("authentication was refused: %r" % said)
        self.sock.sendall(b"BEGIN\r\n")
        return self

    def more(self):
        try:
            got = self.sock.recv(65536)
        except ConnectionResetError:
            got = b""
        if not got:
            raise Closed("the connection was closed")
        self.data += got

    def answer(self, serial):
        """(type, bytes) of the reply to @serial; signals are skipped."""
        while True:
            while len(self.data) < 16:
                self.more()
            body, _, fields = struct.unpack("<III", self.data[4:16])
            size = 16 + fields + (-fields % 8) + body
            while len(self.data) < size:
                self.more()
            got, self.data = self.data[:size], self.data[size:]
            # header field 5, REPLY_SERIAL, is a uint32
            if b"\5\1u\0" + struct.pack("<I", serial) in got[:16 + fields]:
                return got[1], got

    def send(self, *args, **kwargs):
        """Sends a call and does not wait. Returns its serial number."""
        self.serial += 1
        self.sock.sendall(message(self.serial, *args, **kwargs))
        return self.serial

    def call(self, *args):
        return self.answer(self.send(*args))

    def cancel_job(self):
        """Asks the job of the guest to end, and returns the serial number of that call when it was
        heard: what has unknown flags is refused by the same thread, after it. A Ping is answered
        by another one."""
        asked = self.send("io.leasehold.Guest1", "JobCancel", "u", struct.pack("<I", 0))
        kind, _ = self.call("io.leasehold.Guest1", "JobCancel", "u", struct.pack("<I", 1 << 30))
        assert kind == ERROR
        return asked

    def closed(self):
        """True once the other side has hung up; what it sent before is thrown away."""
        self.sock.setblocking(False)
        try:
            while self.sock.recv(65536):
                pass
            return True
        except BlockingIOError:
            return False
        except ConnectionResetError:
            return True

    def close(self):
        self.sock.close()
