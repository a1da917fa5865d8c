# SPDX-License-Identifier: LGPL-2.1-or-later
"""moving.py: guests that move between the hosts of a lab.

    rsh = Rsh(lab)                      # "ssh" between the hosts of the lab
    move = alpha.popen("migrate", "web", "beta", "--rsh", rsh.command)

The destination is started with the environment of its own host and nothing of the source's.
steps_of (host) gives it a LEASEHOLD_STEP_FD of its own.
"""

import contextlib
import ctypes
import json
import os
import socket
import stat
import threading

from lab import STEP_SEC, Host, Steps

SYS_PIDFD_OPEN, SYS_PIDFD_GETFD = 434, 438
libc = ctypes.CDLL(None, use_errno=True)

SCRIPT = """#!/usr/bin/env python3
import json, os, socket, sys
with open(os.path.join({folder!r}, "rsh-" + sys.argv[1] + ".json")) as file:
    env = json.load(file)
steps = os.path.join({folder!r}, "steps-" + sys.argv[1])
if os.path.exists(steps):
    line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    line.connect(steps)
    line.set_inheritable(True)
    env["LEASEHOLD_STEP_FD"] = str(line.fileno())
os.execvpe(sys.argv[2], sys.argv[2:], env)
"""


class FileHost(Host):
    """A "host" with the lockfile plugin: another configuration on the same machine."""

    def write_config(self):
        with open(self.config, "w") as out:
            out.write("[host]\nname = %s\nrun_dir = %s\nstate_dir = %s/state\nidentity = local\n\n"
                      "[lock]\nplugin = lockfile\n\n[lockfile]\ndir = %s\n"
                      % (self.name, self.run_dir, self.dir, self.lab.file("locks")))

    def start_daemon(self):
        os.makedirs(self.lab.file("locks"), exist_ok=True)

    def crash(self):
        self.daemon = Nothing()
        super().crash()


class Nothing:
    """No daemon."""

    def wait(self, _seconds):
        pass


class RemoteSteps(Steps):
    """Steps of a program that a remote shell starts: it connects."""

    def __init__(self, path):  # pylint: disable=super-init-not-called
        self.path = path
        self.buffer, self.seen, self.ours = b"", [], None
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(path)
        self.listener.listen()
        self.listener.settimeout(STEP_SEC)

    def read(self):
        if self.ours is None:
            self.ours, _ = self.listener.accept()
            self.ours.settimeout(STEP_SEC)
        return super().read()

    def close(self):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)
        self.listener.close()
        if self.ours is not None:
            super().close()


class Rsh:
    """A remote shell between the hosts of a lab: "HOST leasehold migrate-in"."""

    def __init__(self, lab):
        self.lab = lab
        self.command = lab.file("rsh")
        with open(self.command, "w") as out:
            out.write(SCRIPT.format(folder=lab.path))
        os.chmod(self.command, stat.S_IRWXU)
        for host in lab.hosts:
            self.add(host)

    def add(self, host, **more):
        env = host.environment()
        env.update(more)
        env.pop("LEASEHOLD_STEP_FD", None)
        with open(self.lab.file("rsh-%s.json" % host.name), "w") as out:
            json.dump(env, out)

    def steps_of(self, host):
        return RemoteSteps(self.lab.file("steps-" + host.name))


def small_buffers(listener, size=1):
    """Of a socket that will listen, and so of all that it accepts. With the smallest ones TCP drops
    and repeats what does not fit, and a stream may stand still for many seconds at a time."""
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)


def parent(pid):
    with open("/proc/%d/stat" % pid) as file:
        return int(file.read().rpartition(")")[2].split()[1])


def shrink(pids, port, size=1):
    """The send buffer of the connection that one of the processes has from this port of its own,
    or its supervisor, which gives it that; so that it does not run ahead of who reads from it."""
    for pid in list(pids) + [parent(pid) for pid in pids]:
        pidfd = libc.syscall(SYS_PIDFD_OPEN, pid, 0)
        for entry in os.listdir("/proc/%d/fd" % pid):
            fd = libc.syscall(SYS_PIDFD_GETFD, pidfd, int(entry), 0)
            if fd < 0:
                continue
            if not stat.S_ISSOCK(os.fstat(fd).st_mode):
                os.close(fd)
                continue
            with socket.socket(fileno=fd) as sock:
                if sock.family == socket.AF_INET and sock.getsockname()[1] == port:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, size)
        os.close(pidfd)


class Thread(threading.Thread):
    """Runs @function; join gives its result, or raises what it raised."""

    def __init__(self, function):
        super().__init__(daemon=True)
        self.function, self.result, self.failure = function, None, None
        self.start()

    def run(self):
        try:
            self.result = self.function()
        except BaseException as failure:  # pylint: disable=broad-except
            self.failure = failure

    def wait(self, seconds=120):
        self.join(seconds)
        if self.is_alive():
            raise AssertionError("a thread of the test does not end")
        if self.failure:
            raise self.failure
        return self.result
