#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""bench.py: what leases cost a guest, against bare QEMU on the same machine in the same run.

Real sanlock daemons, real QEMU under TCG, the boot payload. A figure is the median of its
rounds, with the best of them beside it; what is compared is measured in turns, so that whatever
else the machine does falls on both sides. The table names the target of each figure; the exit
status is 1 if one is missed. On a machine that has other things to do too the best of the rounds
means more, and "chrt -f 5 make bench" keeps the processors for this.

What sanlock itself takes is measured by a client of its own that takes the same leases in the
same calls: that much no user of sanlock can save. For each lease it reads 1 MiB and writes three
sectors, each of them through to the disk (on a journalling file system often with a commit of
the journal). So starts and refusals are measured a second time with store and images in memory,
where the kernel can do direct I/O there: that is what the software costs, and the difference is
the storage. The hosts' runtime folders are in memory always, as /run is.

bare QEMU is started with the very arguments that Leasehold gave it, read from /proc, the
socket of its monitor at the same file descriptor, and is over the line when `cont` has
answered; Leasehold is over it when `leasehold run` has ended.
"""

import argparse
import concurrent.futures
import contextlib
import ctypes
import json
import os
import platform
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

TOP_SRC = os.environ.get("top_srcdir") or os.path.abspath(
    os.path.join(os.path.dirname(__file__), ".."))
sys.path.insert(0, os.path.join(TOP_SRC, "tests", "lib"))
import lab as testlab  # noqa: E402  (the path is known only now)
from blackout import measure_blackout  # noqa: E402

MSEC = 1000.0


class Bench:
    """The hosts alpha and beta, and the figures found so far."""

    def __init__(self, lab, run_dir, rows, storage, options):
        self.lab = lab
        self.rows = rows
        self.storage = storage
        self.rounds = options.rounds
        self.idle_sec = options.idle
        lab.store()
        self.alpha, self.beta = lab.host("alpha", 1), lab.host("beta", 2)
        for host in (self.alpha, self.beta):
            host.run_dir = os.path.join(run_dir, host.name)
            host.write_config()
        lab.join(self.alpha, self.beta)
        # which takes a renewal or two; before it a refusal has to ask sanlock
        if not testlab.wait_until(30, lambda: sees(self.beta, self.alpha)):
            raise AssertionError("beta does not see alpha")

    def row(self, name, value, unit, target=None, ratio=None, samples=None, best=None):
        """@target: the most that @value may be; None: told for information."""
        if best is None and samples:
            best = min(samples)
        self.rows.append({
            "name": name + self.storage, "value": value, "best": best, "unit": unit,
            "target": target, "ratio": ratio,
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


def run_timed(host, *args):
    """(milliseconds, exit status, errors) of a command, from its start to its end. It is started
    as BareQemu starts QEMU: subprocess does work of its own meanwhile, on the same processors."""
    environment = host.environment()
    program = shutil.which("leasehold", path=environment["PATH"])
    with tempfile.TemporaryFile("w+") as errors:
        begin = time.monotonic()
        pid = os.posix_spawn(program, ["leasehold", *args], environment, file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
            (os.POSIX_SPAWN_DUP2, errors.fileno(), 2),
        ])
        _, status = os.waitpid(pid, 0)
        elapsed = (time.monotonic() - begin) * MSEC
        errors.seek(0)
        return elapsed, os.waitstatus_to_exitcode(status), errors.read()


def succeed_timed(host, *args):
    """Milliseconds"""
    elapsed, status, errors = run_timed(host, *args)
    if status != 0:
        raise AssertionError("leasehold %s: exit status %d: %s" % (" ".join(args), status, errors))
    return elapsed


def sees(host, other):
    """Whether @host knows by now that @other is alive."""
    hosts = json.loads(succeed(host, "host", "list", "--json").stdout)["hosts"]
    return any(one["host"] == other.name and one["host_state"] == "live" for one in hosts)


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

    def start(self, paused=False):
        """Returns (pid, monitor) when the guest runs, or stands ready to run."""
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
        monitor = Monitor(self.path)
        monitor.command("qmp_capabilities")
        if not paused:
            monitor.command("cont")
        return pid, monitor


class Monitor:
    """QMP, as plain as it gets."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(30)
        self.socket.connect(path)
        self.replies = self.socket.makefile("r")
        self.answer("QMP")

    def answer(self, *kinds):
        while True:
            message = json.loads(self.replies.readline())
            if "error" in message:
                raise AssertionError("QEMU: " + message["error"]["desc"])
            for kind in kinds:
                if kind in message:
                    return message[kind]

    def command(self, name, **arguments):
        request = {"execute": name}
        if arguments:
            request["arguments"] = arguments
        self.socket.sendall(json.dumps(request).encode() + b"\n")
        return self.answer("return")

    def close(self):
        self.replies.close()
        self.socket.close()


def end_bare(pid, monitor):
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    monitor.close()


# ---- bare sanlock with the same leases --------------------------------------------------------

class BareSanlock:
    """The leases that a guest holds, taken and given back without Leasehold."""

    BATCH = 8  # what sanlock takes in one call
    FLAGS = 0x00000110  # 512-byte sectors, 1 MiB areas
    OWNER_NOWAIT = 8
    RELEASE_ALL = 1

    class Resource(ctypes.Structure):
        """struct sanlk_resource with one struct sanlk_disk, sanlock.h"""
        _fields_ = [("lockspace", ctypes.c_char * 48), ("name", ctypes.c_char * 48),
                    ("lver", ctypes.c_uint64), ("data64", ctypes.c_uint64),
                    ("data32", ctypes.c_uint32), ("unused", ctypes.c_uint32),
                    ("flags", ctypes.c_uint32), ("num_disks", ctypes.c_uint32),
                    ("path", ctypes.c_char * 1024), ("offset", ctypes.c_uint64),
                    ("pad", ctypes.c_uint32 * 2)]

    def __init__(self, host, pid):
        self.host = host
        os.environ["SANLOCK_RUN_DIR"] = host.environment()["SANLOCK_RUN_DIR"]
        self.library = ctypes.CDLL("libsanlock.so.1")
        self.resources = [self._resource(words) for words in self._held(pid)]

    def _held(self, pid):
        """[lockspace, name, path, offset, version] of each."""
        count, state = ctypes.c_int(0), ctypes.c_char_p()
        self._check(self.library.sanlock_inquire(-1, pid, 0, ctypes.byref(count),
                                                 ctypes.byref(state)))
        return [word.split(":") for word in state.value.decode().split(" ") if word]

    def _resource(self, words):
        return self.Resource(lockspace=words[0].encode(), name=words[1].encode(),
                             flags=self.FLAGS, num_disks=1, path=words[2].encode(),
                             offset=int(words[3]))

    @staticmethod
    def _check(result):
        if result < 0:
            raise AssertionError("sanlock: %d" % result)
        return result

    def _take(self, connection):
        for first in range(0, len(self.resources), self.BATCH):
            batch = self.resources[first:first + self.BATCH]
            pointers = (ctypes.POINTER(self.Resource) * len(batch))(
                *[ctypes.pointer(resource) for resource in batch])
            self._check(self.library.sanlock_acquire(connection, -1, self.OWNER_NOWAIT,
                                                     len(batch), pointers, None))

    def measure(self):
        """Milliseconds for taking them all."""
        connection = self._check(self.library.sanlock_register())
        elapsed, _ = timed(self._take, connection)
        self._check(self.library.sanlock_release(connection, -1, self.RELEASE_ALL, 0, None))
        os.close(connection)
        if not testlab.wait_until(10, lambda: not leases_held(self.host)):
            raise AssertionError("sanlock does not give up: %r" % leases_held(self.host))
        return elapsed


# ---- the figures -----------------------------------------------------------------------------

def measure_start(bench, count):
    """`leasehold run` against bare QEMU with @count disks, whose leases exist."""
    disks = bench.disks("start%d-" % count, count)
    xml, identity = bench.lab.domain("start%d" % count, *disks)
    first = succeed_timed(bench.alpha, "run", xml)
    bare = BareQemu(bench.lab, only_qemu(bench.alpha))
    sanlock = BareSanlock(bench.alpha, only_qemu(bench.alpha))
    destroy = [timed(destroy_until_free, bench.alpha, identity)[0]]
    with_leases, without, only_sanlock = [], [], []
    for _ in range(bench.rounds):
        elapsed, (bare_pid, monitor) = timed(bare.start)
        without.append(elapsed)
        end_bare(bare_pid, monitor)
        with_leases.append(succeed_timed(bench.alpha, "run", xml))
        destroy.append(timed(destroy_until_free, bench.alpha, identity)[0])
        only_sanlock.append(sanlock.measure())
    report_start(bench, "%d disk%s" % (count, "" if count == 1 else "s"),
                 {"bare": without, "ours": with_leases, "sanlock": only_sanlock},
                 target=30 if count == 8 else None)
    bench.row("first start, %d: leases created" % count, first, "ms",
              ratio=first / statistics.median(without))
    bench.row("destroy to leases free, %d" % count, statistics.median(destroy), "ms", target=100,
              samples=destroy)


def report_start(bench, what, samples, target):
    median = {name: statistics.median(values) for name, values in samples.items()}
    best = {name: min(values) for name, values in samples.items()}
    bench.row("start, %s: bare QEMU" % what, median["bare"], "ms", samples=samples["bare"])
    bench.row("start, %s: leasehold run" % what, median["ours"], "ms",
              ratio=median["ours"] / median["bare"], samples=samples["ours"])
    bench.row("start, %s: what the leases cost" % what, median["ours"] - median["bare"], "ms",
              target=target, best=best["ours"] - best["bare"])
    bench.row("start, %s: of that sanlock itself" % what, median["sanlock"], "ms",
              samples=samples["sanlock"])
    bench.row("start, %s: of that Leasehold" % what,
              median["ours"] - median["bare"] - median["sanlock"], "ms",
              best=best["ours"] - best["bare"] - best["sanlock"])


def leases_held(host):
    """sanlock's own list."""
    status = subprocess.run(["sanlock", "client", "status"], env=host.environment(), timeout=10,
                            capture_output=True, text=True, check=True)
    return [line for line in status.stdout.splitlines() if line.startswith("r ")]


def destroy_until_free(host, identity):
    """Until sanlock knows no resource any more: its last write may come after its answer."""
    succeed(host, "destroy", identity)
    if not testlab.wait_until(5, lambda: not leases_held(host)):
        raise AssertionError("leases are held after destroy: %r" % leases_held(host))


def measure_refusal(bench):
    """Another guest that wants the disk of a running one on another host, and the same guest. It
    is paused: running it would take a processor from what is measured, which it does not where
    its host is another machine."""
    disk = bench.disks("busy", 1)
    running, identity = bench.lab.domain("busy", *disk)
    other, _ = bench.lab.domain("other", *disk)
    succeed(bench.alpha, "run", "--paused", running)
    for xml, what in ((other, "refusal of a busy disk"), (running, "refusal of a running guest")):
        samples = []
        for _ in range(bench.rounds):
            elapsed, status, errors = run_timed(bench.beta, "run", xml)
            if status != 3 or bench.beta.qemu_pids():
                raise AssertionError("%s: exit status %d: %s" % (what, status, errors))
            samples.append(elapsed)
        bench.row(what, statistics.median(samples), "ms", target=20, samples=samples)
    succeed(bench.alpha, "destroy", identity)


def measure_attach(bench):
    """`attach-disk` of disks whose leases exist, against the bare QMP commands for it. Both
    guests are paused: running they would take both processors from what is measured."""
    disk, other = bench.disks("attach", 1) + bench.disks("attach-bare", 1)
    xml, identity = bench.lab.domain("attach", disk)
    succeed(bench.alpha, "run", "--paused", xml)
    bare = BareQemu(bench.lab, only_qemu(bench.alpha))
    bare.argv = [word.replace(disk, other) for word in bare.argv]
    bare_pid, monitor = bare.start(paused=True)
    with_leases, without = [], []
    for number in range(min(bench.rounds, ATTACH_MAX)):
        ours, theirs = bench.disks("plug%d-" % number, 3)[1:]
        succeed(bench.alpha, "exec", "--disk", ours, "--", "true")  # now its leases exist
        without.append(timed(attach_bare, monitor, "plug%d" % number, theirs)[0])
        with_leases.append(succeed_timed(
            bench.alpha, "attach-disk", identity, "--source", ours,
            "--target", "vd" + "bcdefghijklmnopqrstuvwxyz"[number]))
    end_bare(bare_pid, monitor)
    succeed(bench.alpha, "destroy", identity)
    ours, bare_ms = statistics.median(with_leases), statistics.median(without)
    bench.row("attach a disk: bare QMP", bare_ms, "ms", samples=without)
    bench.row("attach a disk: leasehold attach-disk", ours, "ms", ratio=ours / bare_ms,
              samples=with_leases)
    bench.row("attach a disk: what its lease costs", ours - bare_ms, "ms", target=10)


ATTACH_MAX = 15  # a "pc" has 32 slots, and the payload gives none back


def attach_bare(monitor, name, path):
    monitor.command("blockdev-add", **{
        "driver": "file", "filename": path, "node-name": name + "-file", "aio": "threads",
        "cache": {"direct": True, "no-flush": False}})
    monitor.command("blockdev-add", **{
        "driver": "raw", "file": name + "-file", "node-name": name,
        "cache": {"direct": True, "no-flush": False}})
    monitor.command("device_add", driver="virtio-blk-pci", drive=name, id=name)


def measure_nothing(bench):
    """What of each figure is the starting of any program at all from here."""
    samples = []
    for _ in range(bench.rounds):
        samples.append(succeed_timed(bench.alpha, "version"))
    bench.row("leasehold version", statistics.median(samples), "ms", samples=samples)


def measure_idle(bench):
    """One supervisor with nothing to do: its own memory, and how often it wakes up."""
    os.sync()  # pages of a program that was built just now count as dirty until they are written
    xml, identity = bench.lab.domain("idle", *bench.disks("idle", 8))
    succeed(bench.alpha, "run", xml)
    pids = bench.alpha.pids("leasehold-supe")
    if len(pids) != 1:
        raise AssertionError("expected one supervisor, found %r" % pids)
    succeed(bench.alpha, "show", identity)  # somebody has looked at it
    time.sleep(1)  # what belongs to that is over
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


# ---- storage without a disk ------------------------------------------------------------------

MEMORY = "/dev/shm"
DISK = "/var/tmp"


def memory_does_direct_io():
    """Since Linux 6.6."""
    with tempfile.NamedTemporaryFile(dir=MEMORY) as probe:
        try:
            os.close(os.open(probe.name, os.O_RDWR | os.O_DIRECT))
            return True
        except OSError:
            return False


def run_folder():
    """Where /run would be; short, because a socket's name is."""
    return tempfile.TemporaryDirectory(
        prefix="lhr.", dir=MEMORY if os.access(MEMORY, os.W_OK) else None)


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
    print("%-*s %12s %9s  %6s  %s" % (width, "", "median", "best", "ratio", "target"))
    for row in rows:
        ratio = "%.2f" % row["ratio"] if row["ratio"] else ""
        target = ""
        if row["target"] is not None:
            target = "<= %g %s: %s" % (row["target"], row["unit"],
                                       "met" if row["met"] else "MISSED")
        value = "%.1f %-3s" % (row["value"], row["unit"])
        best = "" if row["best"] is None else "%.1f" % row["best"]
        print("%-*s %12s %9s  %6s  %s" % (width, row["name"], value, best, ratio, target))


# What can be asked for by name (--only), in this order: name, function, its arguments.
ON_DISK = (("start", measure_start, 1), ("start", measure_start, 8),
           ("refusal", measure_refusal), ("attach", measure_attach), ("nothing", measure_nothing),
           ("idle", measure_idle), ("blackout", measure_blackout, 1),
           ("blackout", measure_blackout, 8), ("blackout", measure_blackout, 32))
IN_MEMORY = (("start", measure_start, 8), ("refusal", measure_refusal),
             ("attach", measure_attach))


def measure(options, name, note, measures):
    rows = []
    with run_folder() as run_dir, testlab.Lab(name) as lab:
        bench = Bench(lab, run_dir, rows, note, options)
        for what, function, *args in measures:
            if not options.only or what in options.only:
                function(bench, *args)
    return rows


def measure_all(options):
    os.environ["TEST_DIRECT_DIR"] = DISK
    return measure(options, "bench", "", ON_DISK)


def measure_in_memory(options):
    os.environ["TEST_DIRECT_DIR"] = MEMORY
    return measure(options, "bench-memory", " (in memory)", IN_MEMORY)


def in_process(function, *args):
    """Its own, because libsanlock keeps the first daemon that it was told of."""
    with concurrent.futures.ProcessPoolExecutor(max_workers=1) as executor:
        return executor.submit(function, *args).result()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=15, help="of each figure (15)")
    parser.add_argument("--idle", type=float, default=20, help="seconds to watch idling (20)")
    parser.add_argument("--json", help="write the figures and their samples there too")
    parser.add_argument("--only", action="append", choices=sorted({row[0] for row in ON_DISK}),
                        help="measure this alone; may be repeated")
    options = parser.parse_args()
    testlab.requires("sanlock", "qemu-system-x86_64", "payload")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the lab is left
    rows = in_process(measure_all, options)
    if memory_does_direct_io():
        rows += in_process(measure_in_memory, options)
    about = machine()
    print("%(qemu)s, kernel %(kernel)s, %(processors)d processors, load %(load)s" % about)
    print_table(rows)
    if options.json:
        with open(options.json, "w") as out:
            json.dump({"machine": about, "figures": rows}, out, indent=2)
    return 1 if any(row["met"] is False for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
