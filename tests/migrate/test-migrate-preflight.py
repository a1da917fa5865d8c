#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a destination looks at before anything of a guest changes: each refusal says what it is
that is wrong, nothing is left on the destination, no lease has another holder or mode than before,
and the guest goes on where it is.

A host that has not joined, one with another plugin and another image at the same path are in
test-migrate.py.

Seen failing: without virIncomingCheckMemory, a guest that does not fit is taken.
"""

import json
import os
import stat
import subprocess
import sys
import uuid

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests/lib"))
from lab import Lab, Tap, requires, search_path, wait_until  # noqa: E402
from moving import Rsh  # noqa: E402

requires("sanlock", "qemu-system-x86_64", "payload")
tap = Tap()

# A QEMU of another version, as far as a migration can tell.
QEMU = """#!/usr/bin/env python3
import os, sys
args = ["pc-i440fx-0.1" if word == "pc" else word for word in sys.argv]
os.execve({qemu!r}, args, dict(os.environ, PATH={path!r}))
"""


def memory_mib():
    with open("/proc/meminfo") as text:
        for line in text:
            if line.startswith("MemTotal:"):
                return int(line.split()[1]) // 1024
    raise AssertionError("no MemTotal")


class Given:
    """A guest that runs on alpha, and is refused by others."""

    def __init__(self, lab, rsh, name, memory=0):
        """@memory: MiB of a domain of ours; of a command line nobody knows it."""
        self.lab, self.rsh, self.name = lab, rsh, name
        self.alpha, self.beta = lab.hosts[:2]
        self.disk = lab.payload(name + ".img")
        guest = lab.guest(name, self.disk)
        if memory:
            guest = [lab.domain(name, self.disk)[0]]
            with open(guest[0]) as file:
                text = file.read()
            with open(guest[0], "w") as out:
                out.write(text.replace("<memory unit='MiB'>16<", "<memory unit='MiB'>%d<" % memory))
        done = self.alpha.leasehold("run", *guest)
        tap.ok(done.returncode == 0 and self.goes_on(), name + " runs on alpha", done.stderr)

    def goes_on(self):
        before = self.lab.payload_seq(self.disk)
        return wait_until(40, lambda: self.lab.payload_seq(self.disk) > before + 3)

    def held(self):
        done = self.alpha.leasehold("--json", "store", "list", "--held")
        return sorted("%(lease)s %(hold)s %(mode)s %(host)s %(since)s" % one
                      for one in json.loads(done.stdout)["leases"])

    def is_refused(self, host, what, status, *words, meanwhile=None):
        before = self.held()
        done = self.alpha.leasehold("migrate", self.name, host.name, "--rsh", self.rsh.command)
        if meanwhile:
            meanwhile()
        tap.ok(done.returncode == status and all(word in done.stderr for word in words),
               what + " is refused for that", "status %d: %s" % (done.returncode, done.stderr))
        tap.ok(wait_until(20, lambda: not host.qemu_pids() and self.held() == before),
               what + ": no lease has changed", before, self.held())
        tap.ok(self.goes_on(), what + ": it goes on")

    def end(self):
        self.alpha.leasehold("destroy", self.name)


def another_store(lab, rsh, given):
    """Of the same name, and joined."""
    host = lab.host("delta", 2)
    path = lab.file("elsewhere")
    with open(host.config) as file:
        text = file.read()
    with open(host.config, "w") as out:
        out.write(text.replace("store = " + lab.file("store"), "store = " + path))
    done = host.leasehold("store", "create", path, "--lockspace", "test", "--io-timeout", "1",
                          "--max-leases", "100")
    assert done.returncode == 0, done.stderr
    lab.join(host)
    rsh.add(host)
    given.is_refused(host, "another store", 1, "do not use the same store")
    host.crash()


def id_out_of_range(lab, rsh, given):
    host = lab.host("epsilon", 2000)
    rsh.add(host)
    given.is_refused(host, "a host id out of range", 4, "not in lockspace", "2000", "host join")
    done = host.leasehold("host", "join")
    tap.ok(done.returncode == 1 and "2000" in done.stderr, "and cannot join", done.returncode,
           done.stderr)
    host.crash()


def not_reachable(given):
    os.rename(given.disk, given.disk + ".away")
    given.is_refused(given.beta, "an image that is not there", 1, given.disk,
                     meanwhile=lambda: os.rename(given.disk + ".away", given.disk))


def machine_unknown(lab, rsh, given):
    folder = lab.file("bin")
    os.mkdir(folder)
    real = subprocess.run(["sh", "-c", "command -v qemu-system-x86_64"], capture_output=True,
                          text=True, check=True, timeout=60,
                          env=dict(os.environ, PATH=search_path())).stdout.strip()
    with open(os.path.join(folder, "qemu-system-x86_64"), "w") as out:
        out.write(QEMU.format(qemu=real, path=search_path()))
        os.fchmod(out.fileno(), stat.S_IRWXU)
    rsh.add(given.beta, PATH=folder + ":" + search_path())
    given.is_refused(given.beta, "a machine that QEMU there does not know", 1, "unsupported machine")
    rsh.add(given.beta)


def name_taken(lab, rsh):
    """By a guest that is another one."""
    disk, other = lab.payload("name.img"), lab.payload("other.img")
    xml, _ = lab.domain("named", disk)
    done = lab.hosts[0].leasehold("run", xml)
    assert done.returncode == 0, done.stderr
    second, identity = lab.domain("named", other)
    with open(second) as file:
        text = file.read()
    with open(second, "w") as out:
        out.write(text.replace(identity, str(uuid.uuid4())))
    done = lab.hosts[1].leasehold("run", second)
    assert done.returncode == 0, done.stderr
    done = lab.hosts[0].leasehold("migrate", "named", "beta", "--rsh", rsh.command)
    tap.ok(done.returncode == 1 and "has the name 'named'" in done.stderr, "a name that is taken is refused",
           "status %d: %s" % (done.returncode, done.stderr))
    for host in lab.hosts[:2]:
        shown = host.leasehold("show", "named").stdout
        tap.ok("running" in shown, "both guests go on", shown)
        host.leasehold("destroy", "named")


def main():
    with Lab("migrate-preflight") as lab:
        lab.store()
        lab.join(lab.host("alpha", 1), lab.host("beta", 2))
        rsh = Rsh(lab)
        given = Given(lab, rsh, "web")
        another_store(lab, rsh, given)
        id_out_of_range(lab, rsh, given)
        not_reachable(given)
        machine_unknown(lab, rsh, given)
        given.end()
        name_taken(lab, rsh)
        big = Given(lab, rsh, "big", memory_mib() - 64)
        big.is_refused(big.beta, "more memory than there is", 1, "MiB of memory", "MiB left")
        big.end()
    return tap.done()


sys.exit(main())
