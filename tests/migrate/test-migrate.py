#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A guest moves between two hosts that share nothing but the storage and a remote shell, while a
third host tries in a tight loop to take its disks, to write and to read: I5, I6.

The guests are command lines with locking=off, so that nothing but leases keeps anybody out.

The loop may miss the moment in which nothing but bridges keeps the third host out; the test that
holds that moment still, and was seen failing, is test-migrate-bridges.py.
"""

import os
import sys
import time

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests/lib"))
from lab import Lab, Tap, requires, wait_until  # noqa: E402
from moving import FileHost, Rsh, Thread  # noqa: E402

requires("sanlock", "qemu-system-x86_64", "payload")
tap = Tap()


class Stranger:
    """A host that wants the disks, again and again, until it is told to stop."""

    def __init__(self, host, disks, mode):
        self.host, self.disks, self.mode = host, disks, mode
        self.stop = False
        self.tries, self.taken = 0, []
        self.thread = Thread(self.loop)

    def loop(self):
        while not self.stop:
            for disk in self.disks:
                done = self.host.leasehold("exec", "--disk", disk + self.mode, "--", "true")
                self.tries += 1
                # BUSY, or sanlock itself has no time for another call: before the program runs
                if done.returncode not in (123, 124):
                    self.taken.append("%s: status %d %s" % (disk, done.returncode, done.stderr))

    def end(self):
        self.stop = True
        self.thread.wait()


def goes_on(lab, disk, records=10):
    before = lab.payload_seq(disk)
    return wait_until(40, lambda: lab.payload_seq(disk) >= before + records)


def state(host, name):
    """("running", "") as list --all says."""
    for line in host.leasehold("show", name).stdout.splitlines():
        if line.startswith("State:"):
            return line.split(":", 1)[1].strip()
    return None


def settled(host, name):
    show = host.leasehold("show", name).stdout
    return "bridge" not in show and "running" in show


def moves(lab, rsh, alpha, beta, gamma):
    # given a running guest, and a third host that wants its disks
    disks = [lab.payload(), lab.payload("second.img")]
    guest = lab.guest("web", *disks)
    done = alpha.leasehold("run", *guest)
    tap.ok(done.returncode == 0, "the guest runs on alpha", done.stderr)
    tap.ok(goes_on(lab, disks[0]), "and writes")
    strangers = [Stranger(gamma, disks, ""), Stranger(gamma, disks, ",readonly")]

    # when it moves there and back
    for source, target in ((alpha, beta), (beta, alpha)):
        done = source.leasehold("migrate", "web", target.name, "--rsh", rsh.command)
        tap.ok(done.returncode == 0, "it moves from %s to %s" % (source.name, target.name),
               done.stdout, done.stderr)
        # then it goes on there, and has ended here
        tap.ok(goes_on(lab, disks[0]), "it goes on writing on " + target.name)
        tap.ok(state(target, "web") == "running", target.name + " says running",
               target.leasehold("show", "web").stdout)
        tap.ok(state(source, "web") == "shut-off (migrated)", source.name + " says migrated",
               source.leasehold("show", "web").stdout)
        tap.ok(not source.qemu_pids(), "no QEMU is left on " + source.name)
        tap.ok(wait_until(15, lambda t=target: settled(t, "web")),
               target.name + " holds the leases themselves", target.leasehold("show", "web").stdout)

    # and the stranger never had a disk, neither to write nor to read (I5)
    for stranger, what in zip(strangers, ("write", "read")):
        stranger.end()
        tap.ok(stranger.tries > 1 and not stranger.taken,
               "a third host was refused each time that it wanted to " + what,
               "%d tries" % stranger.tries, *stranger.taken[:5])
    alpha.leasehold("destroy", "web")
    good, report = lab.check_payload(disks[0])
    tap.ok(good, "the disk shows no two writers", report)


def stays_paused(lab, rsh, alpha, beta):
    disk = lab.payload("paused.img")
    alpha.leasehold("run", *lab.guest("still", disk))
    goes_on(lab, disk)
    alpha.leasehold("suspend", "still")
    done = alpha.leasehold("migrate", "still", "beta", "--rsh", rsh.command)
    tap.ok(done.returncode == 0, "a paused guest moves", done.stderr)
    tap.ok((state(beta, "still") or "").startswith("paused"), "and is paused there",
           beta.leasehold("show", "still").stdout)
    before = lab.payload_seq(disk)
    time.sleep(0.3)
    tap.ok(lab.payload_seq(disk) == before, "it does not write")
    done = beta.leasehold("resume", "still")
    tap.ok(done.returncode == 0 and goes_on(lab, disk), "resumed there, it does", done.stderr)
    beta.leasehold("destroy", "still")


def is_refused(lab, rsh, alpha, beta):
    disk = lab.payload("refused.img")
    alpha.leasehold("run", *lab.guest("stay", disk))
    goes_on(lab, disk)
    cases = [
        ("a remote shell that is not there", ["nohost", "--rsh", "/nonexistent"], 1,
         "no program '/nonexistent'"),
        ("a remote shell that fails", ["beta", "--rsh", "sh -c 'exit 7' x"], 4, "status 7"),
        ("a remote shell that says something else", ["beta", "--rsh", "echo Welcome"], 1,
         "Welcome beta leasehold migrate-in"),
        ("a host that is an option", ["--rsh", rsh.command, "--", "-oProxyCommand=x"], 1,
         "no name of a host"),
    ]
    for what, args, status, words in cases:
        done = alpha.leasehold("migrate", "stay", *args)
        tap.ok(done.returncode == status and words in done.stderr, what + " is said",
               "status %d: %s" % (done.returncode, done.stderr))

    # a destination that cannot have the guest's leases, each for its reason
    strangers = [
        ("a host that has not joined", lab.host("delta", 4), 4, "join"),
        ("a host with another plugin", FileHost(lab, "epsilon", 5), 1, "the plugin is 'lockfile'"),
    ]
    for what, host, status, words in strangers:
        rsh.add(host)
        done = alpha.leasehold("migrate", "stay", host.name, "--rsh", rsh.command)
        tap.ok(done.returncode == status and words in done.stderr, what + " is refused",
               "status %d: %s" % (done.returncode, done.stderr))
        tap.ok(not host.qemu_pids(), what + " starts nothing")
        host.crash()

    # the destination has another file at that path
    with open(lab.file("other.img"), "wb") as out:
        out.truncate(1024 * 1024)
    done = beta.leasehold("run", "--name", "stay", *lab.guest("stay", lab.file("other.img"))[2:])
    tap.ok(done.returncode == 3, "beta cannot run another guest of that name", done.stderr)
    os.rename(disk, disk + ".away")
    os.rename(lab.file("other.img"), disk)
    done = alpha.leasehold("migrate", "stay", "beta", "--rsh", rsh.command)
    os.rename(disk, lab.file("other.img"))
    os.rename(disk + ".away", disk)
    tap.ok(done.returncode == 1 and "no resource of it is the same" in done.stderr,
           "another image at the same path is refused by name",
           "status %d: %s" % (done.returncode, done.stderr))
    tap.ok(goes_on(lab, disk) and state(alpha, "stay") == "running",
           "after all that it runs where it was", alpha.leasehold("show", "stay").stdout)
    tap.ok(not beta.qemu_pids(), "and nothing is left on beta")
    alpha.leasehold("destroy", "stay")


def is_cancelled(lab, rsh, alpha, beta):
    disk = lab.payload("cancel.img")
    guest = lab.guest("slow", disk)
    guest[guest.index("16")] = "1024"  # at 1 MiB a second this takes a while, empty as it is
    alpha.leasehold("run", *guest)
    goes_on(lab, disk)
    for what in ("--cancel", "interrupt", "--timeout"):
        args = ["--timeout", "1"] if what == "--timeout" else []
        move = alpha.popen("migrate", "slow", "beta", "--rsh", rsh.command, "--bandwidth", "1",
                           *args)
        begun = wait_until(20, lambda: "migrating (beta): " in alpha.leasehold("job", "slow").stdout)
        tap.ok(begun, what + ": the job says how far it is", alpha.leasehold("job", "slow").stdout)
        if what == "--cancel":
            done = alpha.leasehold("migrate", "slow", "--cancel")
            tap.ok(done.returncode == 0, "--cancel says that it stays", done.stderr)
        elif what == "interrupt":
            move.send_signal(2)
        _, errors = move.communicate(timeout=60)
        tap.ok(move.returncode == (4 if what == "--timeout" else 1),
               what + ": the command says so", "status %d: %s" % (move.returncode, errors))
        tap.ok(goes_on(lab, disk), what + ": the guest goes on here",
               alpha.leasehold("show", "slow").stdout)
        tap.ok(wait_until(10, lambda: not beta.qemu_pids()), what + ": nothing is left on beta")
    # suspended on its way, it stays so
    move = alpha.popen("migrate", "slow", "beta", "--rsh", rsh.command, "--bandwidth", "1")
    begun = wait_until(20, lambda: "migrating (beta): " in alpha.leasehold("job", "slow").stdout)
    done = alpha.leasehold("suspend", "slow")
    tap.ok(begun and done.returncode == 0, "on its way it is suspended", done.stderr)
    alpha.leasehold("migrate", "slow", "--cancel")
    move.communicate(timeout=60)
    before = lab.payload_seq(disk)
    time.sleep(0.3)
    tap.ok((state(alpha, "slow") or "").startswith("paused") and
           lab.payload_seq(disk) == before, "cancelled, it stays suspended here",
           alpha.leasehold("show", "slow").stdout)
    done = alpha.leasehold("resume", "slow")
    tap.ok(done.returncode == 0 and goes_on(lab, disk), "resumed, it goes on", done.stderr)
    done = alpha.leasehold("migrate", "slow", "beta", "--rsh", rsh.command, "--compressed",
                           "--connections", "2", "--auto-converge", "--downtime", "500")
    tap.ok(done.returncode == 0 and goes_on(lab, disk),
           "compressed, over two connections, it gets there", done.stderr)
    beta.leasehold("destroy", "slow")


with Lab("migrate") as lab:
    lab.store()
    hosts = [lab.host("alpha", 1), lab.host("beta", 2), lab.host("gamma", 3)]
    lab.join(*hosts)
    shell = Rsh(lab)
    moves(lab, shell, *hosts)
    stays_paused(lab, shell, *hosts[:2])
    is_refused(lab, shell, *hosts[:2])
    is_cancelled(lab, shell, *hosts[:2])

sys.exit(tap.done())
