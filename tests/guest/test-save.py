#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test-save.py: a guest goes into a file on one host and comes back on the other, once; real
QEMU, two sanlock hosts, and a guest that notices a second writer of its disk.

Seen failing: when virSaveWithin waits for its thread whatever happens, neither the save nor its
cancelling returns while the storage of the file hangs. Others: test-save-steps.py.
"""

import json
import os
import struct
import subprocess
import sys
import zlib

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests/lib"))
from dbus_wire import Client, ERROR, string  # noqa: E402
from lab import TOP_BUILD, Lab, Tap, requires, wait_until  # noqa: E402
from moving import Rsh  # noqa: E402

tap = Tap()
FAULTY = os.path.join(TOP_BUILD, "tests/guest/.libs/faulty_storage.so")


def writes(lab, disk, more=3):
    before = lab.payload_seq(disk)
    return wait_until(20, lambda: lab.payload_seq(disk) > before + more)


def info(host, path):
    return json.loads(host.leasehold("--json", "save-image", "show", path).stdout)


def state(host, name):
    shown = json.loads(host.leasehold("--json", "show", name).stdout)
    return "%s %s" % (shown["state"], shown["reason"])


class Guest:
    """A payload guest on alpha, run, and saved on demand."""

    def __init__(self, lab, name, run=True):
        self.lab, self.name = lab, name
        self.alpha, self.beta = lab.hosts
        self.disk = lab.payload(name + ".img")
        self.args = lab.guest(name, self.disk)
        self.file = lab.file(name + ".save")
        if run:
            done = self.alpha.leasehold("run", *self.args)
            assert done.returncode == 0 and writes(lab, self.disk), done.stderr

    def save(self, *options):
        done = self.alpha.leasehold("save", self.name, self.file, *options)
        assert done.returncode == 0, done.stderr

    def restore(self, host, *options):
        return host.leasehold("restore", self.file, *options)

    def end(self):
        for host in self.lab.hosts:
            host.leasehold("destroy", self.name)
        return self.lab.check_payload(self.disk)

    def leftovers(self):
        return [name for name in os.listdir(self.lab.path) if name.endswith(".saving")]


def moves(lab):
    guest = Guest(lab, "moves")
    guest.save()
    ended = state(guest.alpha, "moves")
    saved = info(guest.alpha, guest.file)
    tap.ok(ended == "shut-off saved" and not guest.alpha.qemu_pids() and saved["name"] == "moves"
           and saved["state"] == "running" and saved["host"] == "alpha",
           "a saved guest has ended because of that, and the file says whose it is", ended, saved)
    epochs = {lease["path"]: lease["epoch"] for lease in saved["leases"]}
    tap.ok(epochs.get(guest.disk) == 1 and len(epochs) == 2,
           "the file has the epochs of the guest and of its disk", epochs)

    seq = lab.payload_seq(guest.disk)
    done = guest.restore(guest.beta)
    tap.ok(done.returncode == 0 and writes(lab, guest.disk) and lab.payload_seq(guest.disk) > seq,
           "the other host restores it, and it goes on", done.stderr)
    busy = guest.restore(guest.alpha)
    tap.ok(busy.returncode == 3 and "beta" in busy.stderr,
           "while it runs there, a restore here is refused", busy.returncode, busy.stderr)
    guest.beta.leasehold("destroy", "moves")
    stale = guest.restore(guest.alpha)
    tap.ok(stale.returncode == 6 and "used since by guest 'moves' on host 'beta'" in stale.stderr,
           "after it ran, a second restore is stale, and is told why", stale.returncode,
           stale.stderr)
    good, report = guest.end()
    tap.ok(good and "1 writers" in report, "the memory came back: one boot wrote all", report)


def used_since(lab):
    guest = Guest(lab, "used")
    guest.save()
    other = lab.guest("thief", guest.disk)
    done = guest.beta.leasehold("run", *other)
    tap.ok(done.returncode == 0, "the disk of a saved guest is free for another", done.stderr)
    guest.beta.leasehold("destroy", "thief")
    stale = guest.restore(guest.alpha)
    tap.ok(stale.returncode == 6 and "guest 'thief' on host 'beta'" in stale.stderr and
           guest.disk in stale.stderr, "then the guest is stale: the disk and its user are named",
           stale.returncode, stale.stderr)
    forced = guest.restore(guest.alpha, "--force")
    tap.ok(forced.returncode == 0 and "damages" in forced.stderr,
           "--force restores it, and says what that risks", forced.stderr)
    guest.end()


def states(lab):
    guest = Guest(lab, "states")
    both = guest.alpha.leasehold("save", "states", guest.file, "--running", "--paused")
    tap.ok(both.returncode == 2 and "mutually exclusive" in both.stderr, "save: both flags",
           both.stderr)
    guest.alpha.leasehold("suspend", "states")
    guest.save()
    tap.ok(info(guest.alpha, guest.file)["state"] == "paused", "a paused guest is saved paused")
    guest.restore(guest.alpha)
    tap.ok(state(guest.alpha, "states") == "paused user", "and comes back paused")
    guest.save("--running")
    guest.restore(guest.alpha)
    tap.ok(state(guest.alpha, "states").startswith("running"),
           "a paused guest that came back can be saved again, to run", state(guest.alpha, "states"))
    guest.save("--paused", "--bypass-cache")
    both = guest.restore(guest.alpha, "--running", "--paused")
    tap.ok(both.returncode == 2 and "mutually exclusive" in both.stderr, "restore: both flags")
    both = guest.alpha.leasehold("save-image", "define", guest.file, "--running", "--paused")
    tap.ok(both.returncode == 2 and "mutually exclusive" in both.stderr, "define: both flags")
    guest.alpha.leasehold("save-image", "define", guest.file, "--running")
    tap.ok(info(guest.alpha, guest.file)["state"] == "running", "define: running")
    guest.alpha.leasehold("save-image", "define", guest.file, "--paused")
    tap.ok(info(guest.alpha, guest.file)["state"] == "paused", "define: and paused again")
    guest.restore(guest.alpha, "--running", "--bypass-cache")
    tap.ok(state(guest.alpha, "states").startswith("running") and writes(lab, guest.disk),
           "restore --running of a paused one, past the page cache")
    good, report = guest.end()
    tap.ok(good, "nothing else wrote the disk", report)


def hostile(lab):
    guest = Guest(lab, "hostile")
    guest.save()
    with open(guest.file, "rb") as file:
        whole = file.read()
    room = int.from_bytes(whole[16:24], "little")

    def refused(what, content, *words):
        with open(guest.file, "wb") as file:
            file.write(content)
        done = guest.restore(guest.alpha)
        history = guest.alpha.leasehold("events", "hostile").stdout
        tap.ok(done.returncode == 1 and all(word in done.stderr for word in words) and
               "START_FAILED" not in history, "refused before anything starts: " + what,
               done.returncode, done.stderr)

    for cut in (0, 7, 63, 100, room, 2 * room, 2 * room + 1, len(whole) - 1):
        refused("cut to %d bytes" % cut, whole[:cut], "cannot be used")
    refused("one byte more", whole + b"x", "not whole")
    refused("of a later version", whole[:8] + b"\2" + whole[9:], "version 2", "knows 1")
    refused("a damaged header", whole[:90] + b"#" + whole[91:], "checksum")
    refused("another file", b"<domain/>" * 1000, "no saved guest")
    os.unlink(guest.file)
    os.mkfifo(guest.file)
    fifo = guest.restore(guest.alpha)
    tap.ok(fifo.returncode == 1 and "no plain file" in fifo.stderr, "a FIFO does not stop it",
           fifo.stderr)
    os.unlink(guest.file)

    middle = 2 * room + (len(whole) - 2 * room) // 2
    for at in (middle, len(whole) - 1):
        with open(guest.file, "wb") as file:
            file.write(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1:])
        done = guest.restore(guest.alpha)
        tap.ok(done.returncode == 1, "a damaged memory (byte %d) is noticed" % at, done.returncode,
               done.stderr)
    with open(guest.file, "wb") as file:
        file.write(whole)
    done = guest.restore(guest.alpha)
    tap.ok(done.returncode == 0 and writes(lab, guest.disk),
           "and no refused one has made the good file stale", done.stderr)
    good, report = guest.end()
    tap.ok(good, "nothing else wrote the disk", report)


def cannot(lab):
    """A save that fails leaves a guest that runs."""
    guest = Guest(lab, "cannot")
    full = lab.file("full")
    os.mkdir(full)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "none", full],
                             capture_output=True).returncode == 0
    if mounted:
        done = guest.alpha.leasehold("save", "cannot", full + "/a.save")
        tap.ok(done.returncode == 4 and "No space left" in done.stderr and not os.listdir(full),
               "a full disk: the save fails and leaves nothing", done.returncode, done.stderr)
        tap.ok(state(guest.alpha, "cannot").startswith("running") and writes(lab, guest.disk),
               "and the guest goes on", state(guest.alpha, "cannot"))
        guest.alpha.leasehold("suspend", "cannot")
        guest.alpha.leasehold("save", "cannot", full + "/a.save")
        tap.ok(state(guest.alpha, "cannot") == "paused user", "one that was paused stays paused")
        guest.alpha.leasehold("resume", "cannot")
        subprocess.run(["umount", full], check=True)
    else:
        tap.skip("a full disk", "no file system can be mounted here")
    for path in ("/dev/null", lab.path, full + "/none/a.save"):
        done = guest.alpha.leasehold("save", "cannot", path)
        tap.ok(done.returncode == 1, "not to " + path, done.returncode, done.stderr)
    guest.save()
    good, report = guest.end()
    tap.ok(good and not guest.leftovers(), "nothing else wrote the disk, and nothing is left",
           report, guest.leftovers())


def hangs(lab):
    """Storage that does not answer stops neither the guest nor what else is to be done with it."""
    for point, fault in (("make", "HANGS"), ("sync", "HANGS_SYNC")):
        guest = Guest(lab, "hangs" + point, run=False)
        done = guest.alpha.leasehold("run", *guest.args,
                                     env={"LD_PRELOAD": FAULTY, "LEASEHOLD_TEST_" + fault: ".saving"})
        assert done.returncode == 0 and writes(lab, guest.disk), done.stderr
        save = guest.alpha.popen("save", guest.name, guest.file)
        hung = wait_until(30, lambda: [name for name in os.listdir(lab.path)
                                       if name.endswith(".saving.hung") and guest.name in name])
        assert hung, "it did not come to the storage"
        cancel = guest.alpha.leasehold("job", guest.name, "--cancel")
        _, errors = save.communicate(timeout=60)
        tap.ok(cancel.returncode == 0 and save.returncode == 1 and "cancelled" in errors,
               point + " hangs: it can be cancelled", cancel.stderr, save.returncode, errors)
        tap.ok(writes(lab, guest.disk) and state(guest.alpha, guest.name) == "running None",
               point + " hangs: the guest goes on", state(guest.alpha, guest.name))
        if point == "sync":
            with open(lab.file(hung[0].replace(".hung", ".go")), "w"):
                pass
            tap.ok(wait_until(20, lambda: not guest.leftovers()),
                   "the file is removed when its storage answers after all", guest.leftovers())
        done = guest.alpha.leasehold("destroy", guest.name)
        tap.ok(done.returncode == 0 and not os.path.exists(guest.file),
               point + " hangs: it can be destroyed, and there is no file", done.stderr)


def managed(lab):
    guest = Guest(lab, "managed")
    done = guest.alpha.leasehold("managed-save", "managed")
    tap.ok(done.returncode == 0, "managed-save", done.stderr)
    text = guest.alpha.leasehold("show", "managed").stdout
    tap.ok("Saved: " in text and "/state/save/" in text and "goes on from it" in text,
           "show tells of it", text)
    shown = json.loads(guest.alpha.leasehold("--json", "show", "managed").stdout)
    tap.ok(os.path.exists(shown["managed_save"]), "and as JSON", shown)
    done = guest.alpha.leasehold("run", *guest.args)
    tap.ok(done.returncode == 0 and writes(lab, guest.disk), "the next run brings it back",
           done.stderr)
    folder = os.path.join(guest.alpha.dir, "state/save")
    tap.ok(os.listdir(folder) == [], "and the file is gone", os.listdir(folder))
    good, report = guest.end()
    tap.ok(good and "1 writers" in report, "from where it was: one boot wrote all", report)

    done = guest.alpha.leasehold("run", *guest.args)
    writes(lab, guest.disk)
    guest.alpha.leasehold("managed-save", "managed")
    guest.beta.leasehold("run", *guest.args)
    writes(lab, guest.disk)
    guest.beta.leasehold("destroy", "managed")
    stale = guest.alpha.leasehold("run", *guest.args)
    tap.ok(stale.returncode == 6 and "on host 'beta'" in stale.stderr and
           "--force-boot" in stale.stderr, "run elsewhere meanwhile: stale, with the way out",
           stale.returncode, stale.stderr)
    done = guest.alpha.leasehold("run", "--force-boot", *guest.args)
    tap.ok(done.returncode == 0 and os.listdir(folder) == [],
           "--force-boot starts it from its disks and throws the file away", done.stderr)
    guest.alpha.leasehold("managed-save", "managed", "--paused")
    done = guest.alpha.leasehold("managed-save", "managed", "--remove")
    tap.ok(done.returncode == 0 and os.listdir(folder) == [], "--remove", done.stderr)
    guest.end()


def over_dbus(lab):
    """What the command would never ask for."""
    guest = Guest(lab, "dbus")
    identity = json.loads(guest.alpha.leasehold("--json", "show", "dbus").stdout)["uuid"]
    client = Client(os.path.join(guest.alpha.run_dir, "guests", identity, "control"))
    client.authenticate()
    for path, flags, error in ((guest.file, 2 | 4, b"Error.Config"), (guest.file, 8, b"Unsupported"),
                               (guest.file, 1 << 20, b"Error.Unsupported"),
                               ("a.save", 0, b"Error.Config"), ("", 0, b"Error.Config"),
                               ("/proc/x/y", 0, b"Error."), ("/dev/null", 0, b"Error.Config")):
        kind, answer = client.call("io.leasehold.Guest1", "Save", "su",
                                   string(path) + b"\0" * (-(len(path) + 5) % 4) +
                                   struct.pack("<I", flags))
        tap.ok(kind == ERROR and error in answer, "D-Bus: Save %r %d is refused" % (path, flags),
               answer)
    kind, answer = client.call("io.leasehold.Guest1", "ManagedSave", "u", struct.pack("<I", 6))
    tap.ok(kind == ERROR and b"mutually exclusive" in answer, "D-Bus: ManagedSave: both flags",
           answer)
    client.close()
    tap.ok(state(guest.alpha, "dbus").startswith("running") and writes(lab, guest.disk) and
           not guest.leftovers(), "and the guest has not noticed", guest.leftovers())
    guest.end()


def forged(lab):
    """A file whose checksums are right, and whose words are not."""
    guest = Guest(lab, "forged")
    guest.save()
    with open(guest.file, "rb") as file:
        whole = file.read()
    length = int.from_bytes(whole[52:56], "little")
    victim = lab.file("victim")
    with open(victim, "w") as file:
        file.write("precious")

    def forge(change, *words):
        document = json.loads(whole[64:64 + length])
        change(document)
        text = json.dumps(document).encode()
        head = whole[:52] + struct.pack("<II", len(text), zlib.crc32(text))
        room = int.from_bytes(whole[16:24], "little")
        with open(guest.file, "wb") as file:
            file.write((head + struct.pack("<I", zlib.crc32(head)) + text).ljust(room, b"\0") +
                       whole[room:])
        done = guest.restore(guest.beta)
        if words:
            history = guest.beta.leasehold("events", "forged").stdout
            tap.ok(done.returncode == 1 and all(word in done.stderr for word in words) and
                   "START" not in history, "forged, and nothing starts: " + words[0],
                   done.returncode, done.stderr)
        return done

    forge(lambda d: d.update(uuid="12345678-1234-4234-8234-123456789012"), "describes guest")
    forge(lambda d: d["guest"]["command"].update(argv=["qemu-system-x86_64", "-daemonize"]),
          "daemonize")
    forge(lambda d: d["guest"].pop("command"), "neither a description nor a command line")
    forge(lambda d: d.update(guest={"version": 1, "attach": d["uuid"]}), "description is missing")
    forge(lambda d: d.update(leases=[]), "lease is missing")
    forge(lambda d: d.update(state="flying"), "neither")
    done = forge(lambda d: d["guest"].update(discard=victim, config="/nowhere", flags=255))
    tap.ok(done.returncode == 0 and os.path.exists(victim) and
           state(guest.beta, "forged").startswith("running"),
           "a file names no other file to be removed, and no configuration", done.stderr)
    good, report = guest.end()
    tap.ok(good, "nothing else wrote the disk", report)


def moved(lab):
    """Saved after a migration, and migrated after a restore: one QEMU does both."""
    guest = Guest(lab, "moved")
    rsh = Rsh(lab)
    done = guest.alpha.leasehold("migrate", "moved", "beta", "--rsh", rsh.command)
    tap.ok(done.returncode == 0 and writes(lab, guest.disk), "migrated to beta", done.stderr)
    done = wait_until(30, lambda: guest.beta.leasehold("save", "moved", guest.file).returncode == 0)
    tap.ok(done, "and saved there, once its leases are its own")
    done = guest.restore(guest.beta)
    tap.ok(done.returncode == 0 and writes(lab, guest.disk), "restored there", done.stderr)
    done = guest.beta.leasehold("migrate", "moved", "alpha", "--rsh", rsh.command)
    tap.ok(done.returncode == 0 and writes(lab, guest.disk), "and migrated back", done.stderr)
    stale = guest.restore(guest.beta, "--timeout", "0")
    tap.ok(stale.returncode in (3, 6), "its file is of no use any more", stale.returncode,
           stale.stderr)
    good, report = guest.end()
    tap.ok(good and "1 writers" in report, "one boot wrote all", report)


def described(lab):
    """A guest from a description, with a disk that came while it ran."""
    alpha, beta = lab.hosts
    xml, _ = lab.domain("described", lab.payload("described.img"))
    extra, image = lab.file("extra.img"), lab.file("described.save")
    with open(extra, "wb") as file:
        file.truncate(1 << 20)
    alpha.leasehold("run", xml)
    writes(lab, lab.file("described.img"))
    alpha.leasehold("attach-disk", "described", "--source", extra, "--target", "vdb")
    done = alpha.leasehold("save", "described", image)
    tap.ok(done.returncode == 0 and len(info(alpha, image)["leases"]) == 3,
           "a disk that was plugged in is saved with the guest", done.stderr)
    text = alpha.leasehold("save-image", "show", "--xml", image).stdout
    changed = lab.file("changed.xml")

    def define(new):
        with open(changed, "w") as file:
            file.write(new)
        return alpha.leasehold("save-image", "define", image, changed)

    done = define(text.replace(">16<", ">32<"))
    tap.ok(done.returncode == 1 and "<memory>" in done.stderr,
           "define: what the guest would notice is refused", done.stderr)
    done = define(text.replace("</name>", "</name><title>new</title>"))
    tap.ok(done.returncode == 0 and
           "<title>new" in alpha.leasehold("save-image", "show", "--xml", image).stdout,
           "define: what it does not notice is taken", done.stderr)
    other = lab.file("other.img")
    with open(other, "wb") as file:
        file.truncate(1 << 20)
    define(text.replace(extra, other))
    done = beta.leasehold("restore", image)
    tap.ok(done.returncode == 6 and extra in done.stderr,
           "another image in the place of one is not restored", done.returncode, done.stderr)
    define(text)
    done = beta.leasehold("restore", image)
    tap.ok(done.returncode == 0 and writes(lab, lab.file("described.img")),
           "the guest comes back with the disk that was plugged in", done.stderr)
    shown = json.loads(beta.leasehold("--json", "show", "described").stdout)
    tap.ok(len(shown["leases"]) == 3, "under all its leases", shown["leases"])
    done = beta.leasehold("detach-disk", "described", "vdb")
    tap.ok(done.returncode == 0, "and can let it go", done.stderr)
    beta.leasehold("destroy", "described")


def main():
    requires("sanlock", "qemu-system-x86_64", "payload")
    with Lab("save") as lab:
        lab.store()
        lab.join(lab.host("alpha", 1), lab.host("beta", 2))
        for case in (moves, used_since, states, hostile, forged, cannot, over_dbus,
                     hangs, managed, moved, described):
            with tap.case(case.__name__):
                case(lab)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
