#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test-save-kinds.py: what is saved with a guest, and compared when it comes back: images that it
only reads, images that have many writers, a TPM, a firmware's variables; and under the plugins that
keep records elsewhere, or none.

Seen failing: with the records of exclusive leases alone compared (no virRestoreCompare) a guest
comes back on a backing file that was written since.
"""

import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests/lib"))
from lab import Lab, Tap, edit, requires, wait_until  # noqa: E402

tap = Tap()
OVMF = "/usr/share/OVMF/OVMF_%s_4M.fd"


def writes(lab, disk):
    before = lab.payload_seq(disk)
    return wait_until(30, lambda: lab.payload_seq(disk) > before + 2)


class Saved:
    """A described guest; save and restore it."""

    def __init__(self, host, name, *disks, env=None):
        self.host, self.name, self.env, self.lab = host, name, env, host.lab
        self.xml, self.uuid = self.lab.domain(name, *disks)
        self.file = self.lab.file(name + ".save")

    def do(self, *args):
        return self.host.leasehold(*args, env=self.env, timeout=120)

    def run(self):
        done = self.do("run", self.xml)
        assert done.returncode == 0, done.stderr

    def save(self):
        done = self.do("save", self.name, self.file)
        assert done.returncode == 0, done.stderr

    def restore(self, *options):
        return self.do("restore", self.file, *options)

    def comes_back(self, what):
        self.save()
        done = self.restore()
        return tap.ok(done.returncode == 0, what, done.returncode, done.stderr)

    def end(self):
        self.do("destroy", self.name)


def chain(lab, alpha):
    """top.qcow2 over base.img, which another one may use in between."""
    base, top = lab.payload("base.img"), lab.file("top.qcow2")
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", base, top],
                   check=True, timeout=60)
    guest = Saved(alpha, "chain", top)
    edit(guest.xml, ("type='raw'", "type='qcow2'"))
    guest.run()
    guest.comes_back("a guest with a backing file comes back")
    guest.save()
    done = alpha.leasehold("exec", "--disk", base + ",readonly", "--", "true")
    tap.ok(done.returncode == 0 and guest.restore().returncode == 0,
           "also when somebody read that in between")
    guest.save()
    done = alpha.leasehold("exec", "--disk", base, "--", "touch", base)
    assert done.returncode == 0, done.stderr
    done = guest.restore()
    tap.ok(done.returncode == 6 and base in done.stderr and "exec touch" in done.stderr,
           "not when somebody had it for writing; the message says who", done.returncode,
           done.stderr)
    guest.end()


def shareable(lab, alpha):
    """Many writers by intent: that one wrote says nothing."""
    disk, cluster = lab.payload("own.img"), lab.file("cluster.img")
    with open(cluster, "wb") as file:
        file.truncate(1 << 20)
    guest = Saved(alpha, "member", disk, cluster)
    edit(guest.xml, ("<target dev='vdb' bus='virtio'/>",
                       "<target dev='vdb' bus='virtio'/><shareable/>"))
    guest.run()
    guest.save()
    other = lab.guest("other", cluster + ",shared")
    other[-1] = other[-1].replace(",shared", "")
    done = alpha.leasehold("run", *other)
    assert done.returncode == 0, done.stderr
    done = guest.restore()
    tap.ok(done.returncode == 0 and writes(lab, disk),
           "a shareable disk is not compared: others write it all the time", done.stderr)
    alpha.leasehold("destroy", "other")
    guest.end()


def tpm(lab, alpha):
    if not shutil.which("swtpm"):
        tap.skip("a guest with a TPM", "no swtpm")
        return
    disk, state = lab.payload("tpm.img"), lab.file("tpm")
    os.mkdir(state, 0o700)
    guest = Saved(alpha, "tpm", disk)
    edit(guest.xml, ("<devices>", "<devices><tpm model='tpm-tis'><backend type='emulator' "
                       "version='2.0'><source type='dir' path='%s'/></backend></tpm>" % state))
    guest.run()
    assert writes(lab, disk)
    tap.ok(guest.comes_back("a guest with a TPM comes back") and writes(lab, disk), "and goes on")
    guest.end()


def firmware(lab, alpha):
    if not os.path.exists(OVMF % "VARS"):
        tap.skip("a guest with UEFI", "no OVMF")
        return
    variables = lab.file("vars.fd")
    shutil.copyfile(OVMF % "VARS", variables)
    guest = Saved(alpha, "uefi", lab.payload("uefi.img"))
    edit(guest.xml, ("machine='pc'", "machine='q35'"), ("'MiB'>16", "'MiB'>128"),
           ("</type></os>", "</type><loader readonly='yes' type='pflash'>%s</loader>"
            "<nvram>%s</nvram></os>" % (OVMF % "CODE", variables)))
    guest.run()
    guest.comes_back("a guest with UEFI comes back")
    guest.save()
    done = alpha.leasehold("exec", "--disk", variables, "--", "true")
    assert done.returncode == 0, done.stderr
    done = guest.restore()
    tap.ok(done.returncode == 6 and variables in done.stderr,
           "not when its variables were used since", done.returncode, done.stderr)
    guest.end()


def configured(lab, alpha, plugin):
    locks = lab.file(plugin + "-locks")
    os.mkdir(locks)
    path = lab.file(plugin + ".conf")
    with open(path, "w") as file:
        file.write("[host]\nname = alpha\nrun_dir = %s/run\nstate_dir = %s/state\n"
                   "identity = local\n[lock]\nplugin = %s\n[lockfile]\ndir = %s\n"
                   % (alpha.dir, alpha.dir, plugin, locks))
    return {"LEASEHOLD_CONFIG": path}


def lockfile(lab, alpha):
    disk = lab.payload("lockfile.img")
    guest = Saved(alpha, "locked", disk, env=configured(lab, alpha, "lockfile"))
    guest.run()
    assert writes(lab, disk)
    tap.ok(guest.comes_back("lockfile: it comes back") and writes(lab, disk), "and goes on")
    guest.end()
    done = guest.restore()
    tap.ok(done.returncode == 6 and "guest 'locked'" in done.stderr,
           "lockfile: once, not twice", done.returncode, done.stderr)
    good, report = lab.check_payload(disk)
    tap.ok(good and "1 writers" in report, "one memory wrote the disk", report)

    guest.run()
    guest.save()
    host, guest.env = guest.env, None
    done = guest.restore()
    tap.ok(done.returncode == 6 and "plugin 'lockfile'" in done.stderr and
           "'sanlock'" in done.stderr, "another plugin knows nothing of the use of its disks",
           done.returncode, done.stderr)
    guest.env = host


def nop(lab, alpha):
    guest = Saved(alpha, "nop", lab.payload("nop.img"), env=configured(lab, alpha, "nop"))
    guest.run()
    guest.save()
    done = guest.restore()
    tap.ok(done.returncode == 6 and "no use records" in done.stderr and "--force" in done.stderr,
           "nop: nobody can tell, so only --force restores", done.returncode, done.stderr)
    done = guest.restore("--force")
    tap.ok(done.returncode == 0, "nop: which does", done.stderr)
    guest.end()


def main():
    requires("sanlock", "qemu-system-x86_64", "payload")
    with Lab("save-kinds") as lab:
        lab.store()
        alpha = lab.host("alpha", 1)
        lab.join(alpha)
        for case in (chain, shareable, tpm, firmware, lockfile, nop):
            with tap.case(case.__name__):
                case(lab, alpha)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
