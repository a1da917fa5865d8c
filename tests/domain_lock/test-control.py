#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test-control.py: the control socket of a running guest, used by clients with manners and
by clients without.

Whatever they do, the guest runs on, a client with manners gets its answer, and destroy works:
also when the supervisor is stopped. D-Bus is spoken by hand here, so that the interface is
tested as others would use it.

Seen failing: without the timeout of handshakes silent clients stay for ever; without the way
around a stopped supervisor destroy does not end the guest; a call of any kind left a warning
in the guest's log.
"""

import glob
import os
import shutil
import signal
import struct
import sys
import time

sys.path[:0] = [os.path.dirname(os.path.abspath(__file__)),
                os.path.join(os.environ.get("top_srcdir", "."), "tests/lib")]
from dbus_wire import Client, ERROR, METHOD_RETURN, message, string  # noqa: E402
from lab import Lab, NAME, UUID, alive, fail, supervisors, wait_until  # noqa: E402

AUTH_TIMEOUT = 10


def control(lab):
    return os.path.join(lab.dir, "run/guests", UUID, "control")


def socket_is_private(lab):
    mode = os.stat(control(lab)).st_mode & 0o777
    if mode != 0o600:
        fail("mode %o" % mode)


def get_all(lab):
    client = Client(control(lab))
    client.authenticate()
    kind, answer = client.call("org.freedesktop.DBus.Properties", "GetAll", "s",
                                string("io.leasehold.Guest1"))
    if kind != METHOD_RETURN or b"running" not in answer or NAME.encode() not in answer:
        fail("GetAll answers %r" % answer)


def introspects(lab):
    client = Client(control(lab))
    client.authenticate()
    _, answer = client.call("org.freedesktop.DBus.Introspectable", "Introspect")
    for word in (b"ShutdownAbort", b"Leases", b"signal name=\"Event\""):
        if word not in answer:
            fail("Introspect lacks %r" % word)


def wrong_calls_are_errors(lab):
    client = Client(control(lab))
    client.authenticate()
    for args in (("io.leasehold.Guest1", "Levitate"),
                 ("io.leasehold.Guest1", "Destroy", "s", string("x")),
                 ("io.leasehold.Guest1", "Destroy"),
                 ("io.leasehold.Guest9", "Suspend")):
        kind, answer = client.call(*args)
        if kind != ERROR:
            fail("%s was answered by %r" % (args, answer))


def wrong_state_is_named(lab):
    client = Client(control(lab))
    client.authenticate()
    kind, answer = client.call("io.leasehold.Guest1", "ShutdownAbort")
    if kind != ERROR or b"io.leasehold.Error.State" not in answer:
        fail("ShutdownAbort answers %r" % answer)


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
    try:
        for serial in range(1, 3000):
            deaf.sock.send(message(serial, "org.freedesktop.DBus.Introspectable",
                                   "Introspect"))
    except (BlockingIOError, BrokenPipeError, ConnectionResetError):
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
    for method, state in (("Suspend", "paused"), ("Resume", "running")):
        if client.call("io.leasehold.Guest1", method)[0] != METHOD_RETURN:
            fail(method + " failed")
        if lab.state() != state:
            fail("after %s the state is %s" % (method, lab.state()))


def calls_without_answer(lab):
    """They are answered, because answers are counted; and nothing of it is worth a warning."""
    client = Client(control(lab))
    client.authenticate()
    for serial in range(1, 201):
        client.sock.sendall(message(serial, "org.freedesktop.DBus.Peer", "Ping", flags=1))
        if serial % 10 == 0 and client.answer(serial)[0] != METHOD_RETURN:
            fail("a call is not answered")
    for path in glob.glob(os.path.join(lab.dir, "state/log/*.log")):
        with open(path, errors="replace") as log:
            warnings = [line for line in log if "g_dbus_message" in line]
        if warnings:
            fail("%d warnings in the guest's log: %s" % (len(warnings), warnings[0]))


def stopped_supervisor(lab):
    pid = supervisors()[0]
    qemu = lab.children()[0]
    os.kill(pid, signal.SIGSTOP)
    try:
        # a signal takes its time: kill returns before the process has stopped
        wait_until("list tells that the supervisor is stopped",
                   lambda: "stopped" in ((lab.guest() or {}).get("message") or ""))
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
         calls_without_answer, stopped_supervisor)


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
            except Exception as error:  # the cases after this one still have their say
                failed += 1
                text = "%s: %s" % (type(error).__name__, error)
                print("not ok %d - %s\n# %s" % (index, name, text.replace("\n", "\n# ")),
                      flush=True)
    finally:
        lab.close()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
