#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""bench.py: what leases cost a guest, against bare QEMU on the same machine in the same run.

Real sanlock daemons, real QEMU under TCG, the boot payload. A figure is the median of its
rounds; what is compared is measured in turns, so that whatever else the machine does falls on
both sides. The table names the target of each figure; the exit status is 1 if one is missed.

bare QEMU is started with the very arguments that Leasehold gave it, read from /proc, the
socket of its monitor at the same file descriptor, and is over the line when `cont` has
answered; Leasehold is over it when `leasehold run` has ended.
"""

import argparse
import contextlib
import json
import os
import platform
import signal
import socket
import statistics
import subprocess
import sys
import time

TOP_SRC = os.environ.get("top_srcdir") or os.path.abspath(
    os.path.join(os.path.dirname(__file__), ".."))
sys.path.insert(0, os.path.join(TOP_SRC, "tests", "lib"))
import lab as testlab  # noqa: E402  (the path is known only now)

MSEC = 1000.0


class Bench:
    """The hosts alpha and beta, and the figures found so far."""

    def __init__(self, lab, rounds, idle_sec):
        self.lab = lab
        self.rounds = rounds
        self.idle_sec = idle_sec
        self.rows = []
        lab.store()
        self.alpha, self.beta = lab.host("alpha", 1), lab.host("beta", 2)
        lab.join(self.alpha, self.beta)

    def row(self, name, value, unit, target=None, ratio=None, samples=None):
        """@target: the most that @value may be; None: told for information."""
        self.rows.append({
            "name": name, "value": value, "unit": unit, "target": target, "ratio": ratio,
            "met": None if target is None else value <= target,
            "samples": samples or [],
        })

    def disks(self, prefix, count):
        """The payload to boot from, and empty disks beside it."""
        paths = [self.lab.payload(prefix + "0.img")]
        for number in range(1, count):
            paths.append(self.lab.file("%s%d.img" % (prefix, number)))
            with open(paths[-1], "wb") as file:
                file.truncate(1 << 20)
        return paths


def timed(function, *args):
    """(milliseconds, result)"""
    begin = time.monotonic()
    result = function(*args)
    return (time.monotonic() - begin) * MSEC, result


def succeed(host, *args):
    done = host.leasehold(*args)
    if done.returncode != 0:
        raise AssertionError("leasehold %s: exit status %d: %s"
                             % (" ".join(args), done.returncode, done.stderr))
    return done


def only_qemu(host):
    pids = host.qemu_pids()
    if len(pids) != 1:
        raise AssertionError("expected one QEMU on %s, found %r" % (host.name, pids))
    return pids[0]


# ---- bare QEMU with the same arguments ------------------------------------------------------

class BareQemu:
    """A command line that Leasehold composed, started without Leasehold."""

    def __init__(self, lab, pid):
        with open("/proc/%d/cmdline" % pid, "rb") as file:
            self.argv = [word.decode() for word in file.read().split(b"\0")[:-1]]
        self.program = os.readlink("/proc/%d/exe" % pid)
        self.environment = lab.environment()
        self.monitor_fd = self._monitor_fd()
        self.path = lab.file("bare.qmp")

    def _monitor_fd(self):
        """The number in "-chardev socket,...,fd=N,server=on" or its JSON spelling."""
        for word in self.argv:
            if not word.startswith("socket,"):
                continue
            options = dict(part.partition("=")[::2] for part in word.split(","))
            if "fd" in options:
                return int(options["fd"])
        raise AssertionError("no monitor socket in: " + " ".join(self.argv))

    def start(self):
        """Returns (pid, monitor) when the guest runs."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(self.path)
            listener.listen(1)
            pid = os.posix_spawn(self.program, self.argv, self.environment, file_actions=[
                (os.POSIX_SPAWN_DUP2, listener.fileno(), self.monitor_fd),
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
                (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
            ])
        monitor = socket.socket(socket.AF_UNIX)
        monitor.settimeout(30)
        monitor.connect(self.path)
        replies = monitor.makefile("r")
        for command in (None, "qmp_capabilities", "cont"):
            if command:
                monitor.sendall(json.dumps({"execute": command}).encode() + b"\n")
            while not ANSWERS & json.loads(replies.readline()).keys():
                pass
        return pid, monitor


ANSWERS = {"QMP", "return"}


def end_bare(pid, monitor):
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    monitor.close()


# ---- the figures -----------------------------------------------------------------------------

def measure_start(bench, count):
    """`leasehold run` against bare QEMU with @count disks, whose leases exist."""
    disks = bench.disks("start%d-" % count, count)
    xml, identity = bench.lab.domain("start%d" % count, *disks)
    first, _ = timed(succeed, bench.alpha, "run", xml)
    bare = BareQemu(bench.lab, only_qemu(bench.alpha))
    destroy = [timed(succeed, bench.alpha, "destroy", identity)[0]]
    with_leases, without = [], []
    for _ in range(bench.rounds):
        elapsed, (bare_pid, monitor) = timed(bare.start)
        without.append(elapsed)
        end_bare(bare_pid, monitor)
        with_leases.append(timed(succeed, bench.alpha, "run", xml)[0])
        destroy.append(timed(succeed, bench.alpha, "destroy", identity)[0])
        check_leases_free(bench.alpha)
    ours, bare_ms = statistics.median(with_leases), statistics.median(without)
    what = "%d disk%s" % (count, "" if count == 1 else "s")
    bench.row("start, %s: bare QEMU" % what, bare_ms, "ms", samples=without)
    bench.row("start, %s: leasehold run" % what, ours, "ms", ratio=ours / bare_ms,
              samples=with_leases)
    bench.row("start, %s: what the leases cost" % what, ours - bare_ms, "ms",
              target=30 if count == 8 else None)
    bench.row("first start, %s: leases created" % what, first, "ms", ratio=first / bare_ms)
    bench.row("destroy to leases free, %s" % what, statistics.median(destroy), "ms", target=100,
              samples=destroy)


def check_leases_free(host):
    """What destroy said is true: sanlock knows no resource any more."""
    status = subprocess.run(["sanlock", "client", "status"], env=host.environment(), timeout=10,
                            capture_output=True, text=True, check=True)
    held = [line for line in status.stdout.splitlines() if line.startswith("r ")]
    if held:
        raise AssertionError("leases are held after destroy: %r" % held)


def measure_refusal(bench):
    """Another guest that wants the disk of a running one on another host, and the same guest."""
    disk = bench.disks("busy", 1)
    running, identity = bench.lab.domain("busy", *disk)
    other, _ = bench.lab.domain("other", *disk)
    succeed(bench.alpha, "run", running)
    for xml, what in ((other, "refusal of a busy disk"), (running, "refusal of a running guest")):
        samples = []
        for _ in range(bench.rounds):
            elapsed, done = timed(bench.beta.leasehold, "run", xml)
            if done.returncode != 3 or bench.beta.qemu_pids():
                raise AssertionError("%s: exit status %d: %s"
                                     % (what, done.returncode, done.stderr))
            samples.append(elapsed)
        bench.row(what, statistics.median(samples), "ms", target=20, samples=samples)
    succeed(bench.alpha, "destroy", identity)


def measure_nothing(bench):
    """What of each figure is the starting of any program at all from here."""
    samples = []
    for _ in range(bench.rounds):
        samples.append(timed(bench.alpha.leasehold, "version")[0])
    bench.row("leasehold version", statistics.median(samples), "ms", samples=samples)


def measure_idle(bench):
    """One supervisor with nothing to do: its own memory, and how often it wakes up."""
    xml, identity = bench.lab.domain("idle", *bench.disks("idle", 1))
    succeed(bench.alpha, "run", xml)
    pids = bench.alpha.pids("leasehold-supe")
    if len(pids) != 1:
        raise AssertionError("expected one supervisor, found %r" % pids)
    time.sleep(1)  # what belongs to the start is over
    before = voluntary_switches(pids[0])
    time.sleep(bench.idle_sec)
    wakeups = voluntary_switches(pids[0]) - before
    memory = rollup(pids[0])
    bench.row("idle supervisor: Private_Dirty", memory["Private_Dirty"], "KiB", target=1024)
    bench.row("idle supervisor: Pss", memory["Pss"], "KiB")
    # io_timeout 1 renews every 2 s; one look at the renewal in that time is the budget
    bench.row("idle supervisor: wakeups", wakeups / bench.idle_sec, "/s", target=1.0)
    succeed(bench.alpha, "destroy", identity)


def voluntary_switches(pid):
    total = 0
    for thread in os.listdir("/proc/%d/task" % pid):
        with open("/proc/%d/task/%s/status" % (pid, thread)) as file:
            total += next(int(line.split()[1]) for line in file
                          if line.startswith("voluntary_ctxt_switches"))
    return total


def rollup(pid):
    """smaps_rollup in KiB by name."""
    with open("/proc/%d/smaps_rollup" % pid) as file:
        words = [line.split() for line in file.readlines()[1:]]
    return {line[0].rstrip(":"): int(line[1]) for line in words}


# ---- the report ------------------------------------------------------------------------------

def machine():
    qemu = subprocess.run(["qemu-system-x86_64", "--version"], capture_output=True, text=True)
    return {
        "kernel": platform.release(),
        "processors": os.cpu_count(),
        "load": round(os.getloadavg()[0], 2),
        "qemu": qemu.stdout.splitlines()[0] if qemu.stdout else "?",
    }


def print_table(rows):
    width = max(len(row["name"]) for row in rows)
    print("%-*s %12s  %8s  %s" % (width, "", "median", "ratio", "target"))
    for row in rows:
        ratio = "%.2f" % row["ratio"] if row["ratio"] else ""
        target = ""
        if row["target"] is not None:
            target = "<= %g %s: %s" % (row["target"], row["unit"],
                                       "met" if row["met"] else "MISSED")
        value = "%.1f %-3s" % (row["value"], row["unit"])
        print("%-*s %12s  %8s  %s" % (width, row["name"], value, ratio, target))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=15, help="of each figure (15)")
    parser.add_argument("--idle", type=float, default=20, help="seconds to watch idling (20)")
    parser.add_argument("--json", help="write the figures and their samples there too")
    options = parser.parse_args()
    testlab.requires("sanlock", "qemu-system-x86_64", "payload")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the lab is left
    with testlab.Lab("bench") as lab:
        bench = Bench(lab, options.rounds, options.idle)
        for count in (1, 8):
            measure_start(bench, count)
        measure_refusal(bench)
        measure_nothing(bench)
        measure_idle(bench)
    about = machine()
    print("%(qemu)s, kernel %(kernel)s, %(processors)d processors, load %(load)s" % about)
    print_table(bench.rows)
    if options.json:
        with open(options.json, "w") as out:
            json.dump({"machine": about, "figures": bench.rows}, out, indent=2)
    return 1 if any(row["met"] is False for row in bench.rows) else 0


if __name__ == "__main__":
    sys.exit(main())
