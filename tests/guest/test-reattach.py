#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test-reattach.py: a guest whose supervisor was killed is taken up by another one, or refused
in words that help. What is held is asked of the store, from another host.

Seen failing: with a destroy that does not wait until the leases are free (virFreedAwait), it ends
while the lock daemon stands still, and the disk is held. With one that waits for what can be taken
(virFreedIsOwner), it gives up although another host can have the guest. With a listener that need
not live (virCallListenerLives), a command waits for one that is half dead, and fails.
"""

import json
import os
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests/lib"))
from lab import Lab, Tap, alive, process_state, requires, strike, wait_until  # noqa: E402

requires("sanlock", "qemu-system-x86_64", "payload")
tap = Tap()


# Of a process that was killed one thread may take its time to end, stuck in the kernel, and what
# the process had open is open until then.
HALF_DEAD = """
import ctypes, os, socket, sys, threading, time
os.unlink(sys.argv[1])
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen()
threading.Thread(target=time.sleep, args=(600,)).start()
print("listens", flush=True)
SYS_EXIT = 60  # of one thread; x86-64
ctypes.CDLL(None).syscall(SYS_EXIT, 0)
"""


class Guest:
    """A running guest that loses its supervisor."""

    def __init__(self, lab, name, deaf=False):
        self.lab, self.name = lab, name
        self.alpha, self.beta = lab.hosts
        self.disk = lab.payload(name + ".img")
        if deaf:
            with open(self.disk, "r+b") as image:
                image.seek(0x1f2)
                image.write(b"\1")
        self.xml, self.uuid = lab.domain(name, self.disk)
        done = self.alpha.leasehold("run", self.xml)
        assert done.returncode == 0, done.stderr
        self.qemu = self.alpha.state(self.uuid)["pid"]

    def supervisor(self):
        return self.alpha.state(self.uuid)["supervisor_pid"]

    def orphan(self):
        pid = self.supervisor()
        os.kill(pid, signal.SIGKILL)
        assert wait_until(10, lambda: self.show()["state"] == "unsupervised")
        return pid

    def show(self):
        return json.loads(self.alpha.leasehold("--json", "show", self.name).stdout)

    def attach(self, *options):
        return self.alpha.leasehold("attach", self.name, *options)

    def owners(self):
        return json.loads(self.beta.leasehold("--json", "who", self.disk).stdout)["owners"]

    def taken_up(self):
        return sum(event["event"] == "SUPERVISOR_ATTACHED" for event in self.events())

    def events(self):
        lines = self.alpha.leasehold("--json", "events", self.name).stdout.splitlines()
        return [json.loads(line) for line in lines]

    def runs(self):
        before = self.lab.payload_seq(self.disk)
        return wait_until(10, lambda: self.lab.payload_seq(self.disk) > before + 2)

    def end(self):
        self.alpha.leasehold("destroy", self.name)


def idle(lab):
    guest = Guest(lab, "idle")
    guest.orphan()
    done = guest.attach()
    shown = guest.show()
    tap.ok(done.returncode == 0 and shown["state"] == "running" and shown["pid"] == guest.qemu and
           shown["message"] is None, "an idle guest is taken up: the same QEMU, nothing differs",
           done.stderr, shown)
    tap.ok(len(shown["leases"]) == 2 and len(guest.owners()) == 1 and guest.runs(),
           "it runs, under its leases", shown["leases"], guest.owners())
    done = guest.attach()
    tap.ok(done.returncode == 3 and "has a supervisor (pid %d)" % guest.supervisor() in done.stderr,
           "a guest with a supervisor is refused by name", done.stderr)
    for command, state in (("suspend", "paused"), ("resume", "running")):
        guest.orphan()
        done = guest.alpha.leasehold(command, "idle")
        tap.ok(done.returncode == 0 and guest.show()["state"] == state,
               "%s takes an unsupervised guest up by itself" % command, done.stderr)
    names = [event["event"] for event in guest.events()]
    tap.ok(names.count("SUPERVISOR_ATTACHED") == 3, "the history says so", names)
    done = guest.alpha.leasehold("destroy", "idle")
    tap.ok(done.returncode == 0 and not alive(guest.qemu) and not guest.owners(),
           "destroy ends it, and its lease is seen free", done.stderr)
    shown = guest.show()
    tap.ok(shown["reason"] == "destroyed" and shown.get("exit_status") is None,
           "how QEMU, which was not our child, exited is not invented", shown)


def half_dead(lab):
    guest = Guest(lab, "half")
    guest.orphan()
    control = os.path.join(guest.alpha.run_dir, "guests", guest.uuid, "control")
    with subprocess.Popen([sys.executable, "-c", HALF_DEAD, control],
                          stdout=subprocess.PIPE) as listener:
        try:
            listener.stdout.readline()
            assert wait_until(10, lambda: process_state(listener.pid) == "Z")
            done = guest.alpha.leasehold("suspend", "half")
        finally:
            listener.kill()
    tap.ok(done.returncode == 0 and guest.show()["state"] == "paused",
           "a supervisor that is dead, but for a thread, is not waited for", done.stderr)
    guest.end()


def destroy_while_daemon_stands(guest, strikes=lambda destroy: None):
    """(the command, whether QEMU was dead, whether the command ended before the daemon went on,
    for how many seconds that stood still). @strikes: while the command waits."""
    daemon = guest.alpha.daemon.pid
    began = time.monotonic()
    strike(daemon, "STOP")
    destroy = guest.alpha.popen("destroy", guest.name)
    gone = wait_until(10, lambda: not alive(guest.qemu))
    early = wait_until(0.1, lambda: destroy.poll() is not None)
    strikes(destroy)
    os.kill(daemon, signal.SIGCONT)
    return destroy, gone, early, time.monotonic() - began


def revive_daemon(lab, host):
    host.kill_daemon()
    host.start_daemon()
    lab.join(host)


def destroy_orphan(lab, name, strikes=lambda destroy: None):
    """Given an orphan, and a lock daemon that stands still, so that it frees nothing, when it is
    destroyed; a daemon that stands for too long, on a busy machine, loses its lockspace.
    (the guest, the command, its messages, whether QEMU was dead and the command waited)"""
    for attempt in range(5):
        guest = Guest(lab, "%s%d" % (name, attempt))
        guest.orphan()
        destroy, gone, early, seconds = destroy_while_daemon_stands(guest, strikes)
        _, errors = destroy.communicate(timeout=90)
        if seconds < 3:
            break
        print("# the daemon stood still for %.1f s" % seconds, flush=True)
        revive_daemon(lab, guest.alpha)
    return guest, destroy, errors, gone and not early


def destroyed(lab):
    guest, destroy, errors, waited = destroy_orphan(lab, "orphan")
    # then the command ends when its leases are free for others, and not before
    tap.ok(waited and destroy.returncode == 0 and not guest.owners(),
           "destroy of a guest without supervisor ends when its disk is free", waited,
           destroy.returncode, errors, guest.owners())


def starts_on(guest, host):
    """As soon as that host has seen, at its next renewal, that the lock daemon is another one."""
    done = host.leasehold("run", "--timeout", "60", guest.xml)
    runs = done.returncode == 0 and guest.runs()
    host.leasehold("destroy", guest.name)
    return runs


def destroy_is_killed(lab):
    # when the command is killed while it waits for the leases
    guest, _, _, waited = destroy_orphan(lab, "killed", subprocess.Popen.kill)
    # then they are free all the same, and nothing is left that anybody has to clear away
    tap.ok(waited and wait_until(20, lambda: not guest.owners()) and
           guest.show()["state"] == "shut-off",
           "a destroy that is killed while it waits leaves nothing held", waited, guest.owners(),
           guest.show())
    tap.ok(starts_on(guest, guest.beta) and starts_on(guest, guest.alpha),
           "and the guest can be started on either host", guest.show())


def daemon_is_killed(lab):
    # when the lock daemon dies meanwhile, and there is a new one in time
    for attempt in range(5):
        guest = Guest(lab, "renewed%d" % attempt)
        guest.orphan()
        began = time.monotonic()
        destroy, gone, early, _ = destroy_while_daemon_stands(
            guest, lambda _: os.kill(guest.alpha.daemon.pid, signal.SIGKILL))
        revive_daemon(lab, guest.alpha)
        took = time.monotonic() - began
        _, errors = destroy.communicate(timeout=90)
        if took < 20:
            break
        print("# the new daemon took %.1f s" % took, flush=True)
    # then what the old one had in the store is nobody's any more
    tap.ok(gone and not early and destroy.returncode == 0,
           "destroy ends when the lock daemon that held its leases is succeeded", gone, early,
           destroy.returncode, errors, guest.owners())
    tap.ok(starts_on(guest, guest.beta), "and another host can have the guest", guest.show())


def ended(lab):
    guest = Guest(lab, "ended")
    guest.orphan()
    os.kill(guest.qemu, signal.SIGKILL)
    assert wait_until(10, lambda: not alive(guest.qemu))
    done = guest.attach()
    shown = guest.show()
    tap.ok(done.returncode == 1 and "nobody saw how" in done.stderr,
           "a guest that ended meanwhile cannot be taken up", done.returncode, done.stderr)
    tap.ok(shown["state"] == "shut-off" and shown["reason"] == "unknown" and
           guest.events()[-1]["event"] == "STOPPED" and not guest.owners(),
           "its end is written down as unknown, its lease is free", shown, guest.events()[-1])
    done = guest.alpha.leasehold("run", guest.xml)
    tap.ok(done.returncode == 0 and guest.runs(), "and it can be started again", done.stderr)
    guest.end()


def hangs(lab):
    guest = Guest(lab, "hangs")
    pid = guest.supervisor()
    assert strike(pid, "STOP")
    done = guest.attach()
    tap.ok(done.returncode == 3 and "kill -CONT %d" % pid in done.stderr and
           "kill -KILL %d" % pid in done.stderr,
           "a supervisor that hangs is not replaced; the ways out are named", done.stderr)
    tap.ok(alive(guest.qemu) and len(guest.owners()) == 1, "the guest is left alone")
    os.kill(pid, signal.SIGKILL)
    wait_until(10, lambda: guest.show()["state"] == "unsupervised")
    done = guest.attach()
    tap.ok(done.returncode == 0 and guest.runs(), "the way out works", done.stderr)
    guest.end()


def concurrent(lab):
    guest = Guest(lab, "race")
    guest.orphan()
    racers = [guest.alpha.popen("attach", "race") for _ in range(4)]
    results = [(racer.communicate(timeout=60), racer.returncode) for racer in racers]
    statuses = sorted(status for _, status in results)
    tap.ok(statuses == [0, 3, 3, 3], "of four at once one takes it up", results)
    guest.orphan()
    racers = [guest.alpha.popen(command, "race") for command in ("resume", "suspend", "resume")]
    results = [(racer.communicate(timeout=60), racer.returncode) for racer in racers]
    tap.ok(all(status == 0 for _, status in results),
           "commands at once all find one supervisor", results)
    guest.end()


def deadline(lab):
    guest = Guest(lab, "late", deaf=True)  # to the power button
    done = guest.alpha.leasehold("shutdown", "late", "--timeout", "6")
    start = time.monotonic()
    assert done.returncode == 0, done.stderr
    guest.orphan()
    done = guest.attach()
    shown = guest.show()
    tap.ok(done.returncode == 0 and shown["reason"] == "shutdown-requested" and
           shown["deadline"], "a shutdown that was asked for is known", done.stderr, shown)
    gone = wait_until(20, lambda: not alive(guest.qemu))
    took = time.monotonic() - start
    tap.ok(gone and 3 < took < 12, "and its deadline outlives the supervisor", took)
    wait_until(10, lambda: guest.show()["state"] == "shut-off")
    tap.ok(guest.show()["reason"] == "destroyed", "it was forced off", guest.show())


def foreground(lab):
    guest = Guest(lab, "unit")
    stay = guest.alpha.popen("run", "--foreground", "--attach", guest.xml)
    pid = guest.supervisor()
    os.kill(pid, signal.SIGKILL)
    tap.ok(wait_until(20, lambda: guest.show()["supervisor_pid"] not in (None, pid)) and
           stay.poll() is None and alive(guest.qemu),
           "run --foreground --attach stays with a guest that runs, and starts a supervisor",
           guest.show())
    stay.kill()
    stay.communicate(timeout=10)
    guest.orphan()
    before = guest.taken_up()
    stay = guest.alpha.popen("run", "--foreground", "--attach", guest.xml)
    tap.ok(wait_until(20, lambda: guest.taken_up() == before + 1) and stay.poll() is None,
           "after the command and the supervisor were killed it is found again", guest.show())
    done = guest.alpha.leasehold("run", guest.xml)
    tap.ok(done.returncode == 3, "without --attach it is refused", done.returncode, done.stderr)
    guest.alpha.leasehold("destroy", "unit")
    output, errors = stay.communicate(timeout=30)
    tap.ok(stay.returncode == 125, "an end that nobody saw has the status for that",
           stay.returncode, output, errors)


def main():
    with Lab("reattach") as lab:
        lab.store()
        lab.join(lab.host("alpha", 1), lab.host("beta", 2))
        for case in (idle, ended, half_dead, hangs, concurrent, deadline, foreground, destroyed,
                     destroy_is_killed, daemon_is_killed):
            with tap.case(case.__name__):
                case(lab)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
