# SPDX-License-Identifier: LGPL-2.1-or-later
"""standing.py: a lab that outlives the process that made it, so that one command makes it,
others use it, and the last one takes it down. What is needed to find it again is in lab.json."""

import contextlib
import json
import os
import shutil
import signal
import subprocess

from lab import Host, Lab, alive, wait_until

VERSION = 1


class HarnessError(Exception):
    """For people: what is wrong, and the way out."""


def start_time(pid):
    """Of a process, in clock ticks since boot: with the pid it names one process for good."""
    with contextlib.suppress(OSError):
        with open("/proc/%d/stat" % pid) as stat:
            return int(stat.read().rpartition(")")[2].split()[19])
    return None


class Daemon:
    """A lock daemon that another process started: as much of Popen as a host needs."""

    def __init__(self, pid, started):
        self.pid, self.started = pid, started

    def alive(self):
        return alive(self.pid) and start_time(self.pid) == self.started

    def kill(self):
        if self.alive():
            os.kill(self.pid, signal.SIGKILL)

    def wait(self, seconds):
        if not wait_until(seconds, lambda: not self.alive()):
            raise subprocess.TimeoutExpired("sanlock daemon", seconds)


class StandingHost(Host):
    """A host whose daemon may be running already, or is none (lockfile)."""

    def __init__(self, lab, name, host_id, daemon=None):
        self.found = daemon
        super().__init__(lab, name, host_id)

    def write_config(self):
        """Once: it is the user's to change afterwards."""
        if os.path.exists(self.config):
            return
        if self.lab.plugin == "sanlock":
            super().write_config()
            return
        with open(self.config, "w") as out:
            out.write("[host]\nname = %s\nrun_dir = %s\nstate_dir = %s/state\nidentity = local\n\n"
                      "[lock]\nplugin = lockfile\n\n[lockfile]\ndir = %s\n"
                      % (self.name, self.run_dir, self.dir, self.lab.file("leases")))

    def start_daemon(self):
        if self.lab.plugin != "sanlock":
            self.daemon = Daemon(0, None)
        elif self.found:
            self.daemon, self.found = self.found, None
        else:
            super().start_daemon()
            self.daemon = Daemon(self.daemon.pid, start_time(self.daemon.pid))

    def up(self):
        """Whether its lock daemon lives; a lockfile host has none that could die."""
        return self.lab.plugin != "sanlock" or self.daemon.alive()

    def revive(self):
        """The host after a power cut: daemon and membership again."""
        if not self.up():
            self.start_daemon()
            self.lab.save()
        if self.lab.plugin == "sanlock":
            self.lab.join(self)

    def guests(self):
        done = self.leasehold("list", "--json")
        if done.returncode != 0:
            raise HarnessError("host %s: leasehold list: %s" % (self.name, done.stderr.strip()))
        return json.loads(done.stdout)["guests"]


class StandingLab(Lab):
    """Not a context manager: up() makes it, open() finds it, down() ends it."""

    def __init__(self, path, plugin):
        super().__init__(os.path.basename(path))
        self.path, self.plugin = path, plugin

    @classmethod
    def up(cls, path, names, plugin, progress):
        path = os.path.abspath(path)
        if os.path.exists(path) and (not os.path.isdir(path) or os.listdir(path)):
            raise HarnessError("%s exists and is not an empty folder; give another, or take the "
                               "lab there down: leasehold-harness down %s" % (path, path))
        os.makedirs(path, mode=0o700, exist_ok=True)
        lab = cls(path, plugin)
        lab.save()
        try:
            lab._furnish(names, progress)
        except BaseException:
            lab.down()
            raise
        return lab

    def _furnish(self, names, progress):
        if self.plugin == "sanlock":
            progress("store %s" % self.file("store"))
            self.store()
        else:
            os.makedirs(self.file("leases"), mode=0o700)
        for number, name in enumerate(names, 1):
            progress("host %s" % name)
            self.hosts.append(StandingHost(self, name, number))
            self.save()
        if self.plugin == "sanlock":
            progress("%s join the lockspace (some seconds)" % ", ".join(names))
            self.join(*self.hosts)

    @classmethod
    def open(cls, path):
        path = os.path.abspath(path)
        try:
            with open(os.path.join(path, "lab.json")) as file:
                saved = json.load(file)
        except FileNotFoundError:
            raise HarnessError("%s is no lab; make one: leasehold-harness up %s"
                               % (path, path)) from None
        if saved.get("version") != VERSION:
            raise HarnessError("%s was made by another version of the harness (%s, not %d)"
                               % (path, saved.get("version"), VERSION))
        lab = cls(path, saved["plugin"])
        for host in saved["hosts"]:
            daemon = Daemon(host["daemon"], host["started"])
            lab.hosts.append(StandingHost(lab, host["name"], host["id"], daemon))
        return lab

    def save(self):
        saved = {"version": VERSION, "plugin": self.plugin, "hosts": [
            {"name": host.name, "id": host.host_id, "daemon": host.daemon.pid,
             "started": host.daemon.started} for host in self.hosts]}
        with open(self.file("lab.json.new"), "w") as out:
            json.dump(saved, out, indent=1)
        os.rename(self.file("lab.json.new"), self.file("lab.json"))

    def find(self, name):
        for host in self.hosts:
            if host.name == name:
                return host
        raise HarnessError("this lab has no host %s; it has %s"
                           % (name, ", ".join(host.name for host in self.hosts)))

    def down(self):
        for host in self.hosts:
            host.crash()
        shutil.rmtree(self.path)
