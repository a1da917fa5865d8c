#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""QEMU is loaded while the leases of its guest are taken, and begins when they are held (I2).

Given two hosts that share a store and a disk:
  - before the last step that comes ahead of "exec", QEMU stands still: it is loaded, and has no
    image open;
  - a supervisor that is killed there takes it along, and the other host can start the guest;
  - a guest whose disk is held by another host is refused, and its QEMU is not even executed.

Seen failing: the first without the wait for the release in supervisor/hold.c (the image is open),
the last with the leases taken before those that look owned are looked at (virSanlockTakeSuspects).
"""

import ctypes
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests/lib"))
from lab import Lab, Steps, Tap, alive, children, has_open, process_state  # noqa: E402
from lab import requires, skip_all, strike, wait_until  # noqa: E402

requires("sanlock", "qemu-system-x86_64", "payload")
tap = Tap()
PTRACE_SEIZE = 0x4206
IN_OPEN = 0x20


def can_trace():
    """Not under a debugger, nor where ptrace is forbidden."""
    with subprocess.Popen(["sleep", "60"]) as child:
        seized = ctypes.CDLL(None).ptrace(PTRACE_SEIZE, child.pid, None, None) == 0
        child.kill()
    return seized


class Opened:
    """Notices when a file is opened: a program, when it is executed."""

    def __init__(self, path):
        libc = ctypes.CDLL(None, use_errno=True)
        self.fd = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        assert libc.inotify_add_watch(self.fd, path.encode(), IN_OPEN) >= 0

    def seen(self):
        try:
            return bool(os.read(self.fd, 65536))
        except BlockingIOError:
            return False


def maps(pid):
    with open("/proc/%d/maps" % pid) as file:
        return file.read()


def stopped_before_exec(host, args):
    """At the last step before QEMU may begin: (command, steps, its process)."""
    steps = Steps()
    command = host.popen("run", *args, steps=steps)
    steps.until("start:7")
    return command, steps, next(iter(children(host.supervisor())))


def check_held(alpha, beta, disk, guest):
    command, steps, qemu = stopped_before_exec(alpha, guest)
    tap.ok(wait_until(10, lambda: process_state(qemu) == "t" and "libglib" in maps(qemu)),
           "QEMU is loaded, and stands still", process_state(qemu), maps(qemu))
    tap.ok("qemu-system" in os.readlink("/proc/%d/exe" % qemu), "it is QEMU")
    tap.ok(not has_open(qemu, disk), "it has no image open (I2)")
    done = beta.leasehold("run", *guest)
    tap.ok(done.returncode == 3, "its leases are held: the other host is refused",
           done.returncode, done.stderr)
    steps.close()
    out, errors = command.communicate(timeout=60)
    tap.ok(command.returncode == 0, "it begins, and the guest runs", out, errors)
    tap.ok(process_state(qemu) != "t" and has_open(qemu, disk), "in the same process")
    alpha.leasehold("destroy", "ahead")


def check_killed(alpha, beta, guest):
    command, steps, qemu = stopped_before_exec(alpha, guest)
    wait_until(10, lambda: process_state(qemu) == "t")
    strike(alpha.supervisor(), "KILL")
    tap.ok(wait_until(10, lambda: not alive(qemu)), "it dies with its supervisor")
    steps.close()
    command.communicate(timeout=60)
    done = beta.leasehold("run", "--timeout", "10", *guest)
    tap.ok(done.returncode == 0, "then the other host can start the guest", done.stderr)
    beta.leasehold("destroy", "ahead")


def check_refused(lab, alpha, beta, disk):
    program = lab.file("wrapper")
    with open(program, "w") as file:
        file.write('#!/bin/sh\nexec qemu-system-x86_64 "$@"\n')
    os.chmod(program, 0o755)
    args = lab.guest("wrapped", disk)
    args[args.index("qemu-system-x86_64")] = program
    executed = Opened(program)

    alpha.leasehold("run", *lab.guest("holder", disk))
    executed.seen()
    done = beta.leasehold("run", *args)
    tap.ok(done.returncode == 3, "a busy disk is refused", done.returncode, done.stderr)
    tap.ok(not executed.seen(), "and no QEMU was executed")
    alpha.leasehold("destroy", "holder")
    done = beta.leasehold("run", "--timeout", "10", *args)
    tap.ok(done.returncode == 0 and executed.seen(), "a free one is not, and one was",
           done.returncode, done.stderr)
    beta.leasehold("destroy", "wrapped")


if not can_trace():
    skip_all("no process can be traced here")
with Lab("ahead") as lab:
    lab.store()
    alpha, beta = lab.host("alpha", 1), lab.host("beta", 2)
    lab.join(alpha, beta)
    disk = lab.payload()
    guest = lab.guest("ahead", disk)
    check_held(alpha, beta, disk, guest)
    check_killed(alpha, beta, guest)
    check_refused(lab, alpha, beta, disk)

sys.exit(tap.done())
