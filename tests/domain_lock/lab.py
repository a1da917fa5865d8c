# SPDX-License-Identifier: LGPL-2.1-or-later
"""lab.py: one guest under the lockfile plugin in a folder of its own, for the tests here."""

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
import uuid

TOP = os.environ["top_builddir"]
LEASEHOLD = os.path.join(TOP, "leasehold")
UUID = str(uuid.uuid4())
NAME = "lab%d" % os.getpid()
DEADLINE = 90


def fail(text):
    raise AssertionError(text)


def wait_until(what, condition, seconds=DEADLINE):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        result = condition()
        if result:
            return result
        time.sleep(0.005)
    return fail("not within %d s: %s" % (seconds, what))


def processes(word):
    """pids of those whose command line has @word in it, without us."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/cmdline" % pid, "rb") as file:
                line = file.read().split(b"\0")
            with open("/proc/%s/stat" % pid) as file:
                state = file.read().rsplit(")", 1)[1].split()[0]
        except OSError:
            continue
        if state != "Z" and any(word.encode() in part for part in line) and \
                int(pid) != os.getpid():
            found.append(int(pid))
    return found


def supervisors():
    return processes("--guest=" + NAME)


def kill(pids):
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    for pid in pids:
        wait_until("%d is dead" % pid, lambda p=pid: not alive(p))


def alive(pid):
    try:
        with open("/proc/%d/stat" % pid) as file:
            return file.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


class Lab:
    """A configuration, a disk and a description in a folder of their own."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="lh.", dir="/tmp")
        disk = os.path.join(self.dir, "disk.img")
        self.xml = os.path.join(self.dir, "guest.xml")
        with open(disk, "wb") as file:
            file.truncate(1 << 20)
        with open(self.xml, "w") as file:
            file.write(
                "<domain type='qemu'><name>%s</name><uuid>%s</uuid>"
                "<memory unit='MiB'>16</memory><vcpu>1</vcpu>"
                "<os><type arch='x86_64' machine='pc'>hvm</type></os><devices>"
                "<disk type='file' device='disk'><driver name='qemu' type='raw'/>"
                "<source file='%s'/><target dev='vda' bus='virtio'/></disk>"
                "</devices></domain>" % (NAME, UUID, disk))
        config = os.path.join(self.dir, "leasehold.conf")
        with open(config, "w") as file:
            file.write("[host]\nname = alpha\nidentity = local\nrun_dir = %s/run\n"
                       "state_dir = %s/state\n[lock]\nplugin = lockfile\n"
                       "[lockfile]\ndir = %s/locks\n" % ((self.dir,) * 3))
        self.env = dict(os.environ, LEASEHOLD_CONFIG=config)
        self.env.pop("LEASEHOLD_STEP_FD", None)

    def leasehold(self, *args):
        return subprocess.run([LEASEHOLD, *args], env=self.env, capture_output=True,
                              text=True, timeout=DEADLINE, check=False)

    def guest(self):
        """What list --all says of it, or None."""
        done = self.leasehold("--json", "list", "--all")
        answer = json.loads(done.stdout or "[]")
        guests = answer if isinstance(answer, list) else answer.get("guests", [])
        return next((one for one in guests if one["name"] == NAME), None)

    def state(self):
        one = self.guest()
        return one["state"] if one else None

    def children(self):
        """The parked child or QEMU: what the supervisor's state file calls it."""
        path = os.path.join(self.dir, "run/guests", UUID, "state.json")
        try:
            with open(path) as file:
                pid = json.load(file).get("pid", 0)
        except (OSError, ValueError):
            return []
        return [pid] if pid and alive(pid) else []

    def assert_nothing_runs(self):
        wait_until("no supervisor is left", lambda: not supervisors())
        wait_until("no QEMU is left", lambda: not processes(UUID))

    def assert_starts_again(self):
        done = self.leasehold("run", self.xml)
        if done.returncode != 0:
            fail("the guest cannot be started again: " + done.stderr)
        done = self.leasehold("destroy", NAME)
        if done.returncode != 0:
            fail("the guest cannot be destroyed: " + done.stderr)
        self.assert_nothing_runs()

    def clean(self):
        kill(supervisors())
        kill(processes(UUID))
        shutil.rmtree(os.path.join(self.dir, "run"), ignore_errors=True)

    def close(self):
        self.clean()
        shutil.rmtree(self.dir, ignore_errors=True)
