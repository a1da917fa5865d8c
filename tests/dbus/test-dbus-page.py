#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test-dbus-page.py: leasehold-dbus(7) says what io.leasehold.Guest1 is: each property, method
and signal under its own name, with its signature and with words; every error code; the limits
that the code has.

Seen failing: with the comment of Suspend taken out of the XML, "method Suspend"; with a code taken
out of the page's ERRORS, "error".
"""

import os
import re
import subprocess
import sys
import xml.etree.ElementTree as tree

SRC = os.environ.get("top_srcdir", ".")
BUILD = os.environ.get("top_builddir", ".")
failed = count = 0


def check(good, what, detail=""):
    global failed, count
    count += 1
    failed += not good
    print("%s %d - %s" % ("ok" if good else "not ok", count, what))
    if not good:
        print("# %r" % detail)


def read(*path):
    with open(os.path.join(*path), encoding="utf-8") as file:
        return file.read()


def rendered():
    done = subprocess.run(["pod2text", os.path.join(BUILD, "docs/man/leasehold-dbus.full")],
                          capture_output=True, text=True, timeout=30, check=True)
    return re.sub(r"\*", "", done.stdout)


def signature(member):
    if member.tag == "property":
        return member.get("type")
    args = {"in": [], "out": []}
    for arg in member.iter("arg"):
        way = arg.get("direction", "out" if member.tag == "signal" else "in")
        args[way].append("%s %s" % (arg.get("type"), arg.get("name")))
    if member.tag == "signal":
        return "(%s)" % ", ".join(args["out"])
    return "(%s)" % ", ".join(args["in"]) + \
        (" -> (%s)" % ", ".join(args["out"]) if args["out"] else "")


def number(macro, path):
    text = re.search(r"#define %s (.+?)(?: /\*.*)?$" % macro, read(SRC, path), re.M).group(1)
    return eval(text.strip())  # "(1024 * 1024)"


page = rendered()
flat = re.sub(r"\s+", " ", page)
interface = tree.parse(os.path.join(SRC, "data/io.leasehold.Guest1.xml")).getroot().find("interface")
items = re.split(r"\n    (?=\S)", page)
for member in interface:
    if member.tag == "annotation":
        continue
    head = member.get("name") + " " + signature(member)
    item = next((re.sub(r"\s+", " ", item).strip() for item in items
                 if re.sub(r"\s+", " ", item).startswith(head + " ")), "")
    check(len(item) > len(head) + 5, "%s %s: signature and words" % (member.tag, head), item)
errors = read(SRC, "docs/man/leasehold-dbus.pod").split("=head1 ERRORS")[1]
for code in re.findall(r'\] = "(\w+)",', read(SRC, "domain_lock/codec.c").split("errorNames[]")[1]
                       .split("};")[0]):
    check("=item B<%s>" % code in errors, "error %s" % code)
for limit in ("%d connections to a guest" % number("CONTROL_MAX_OF_PROCESS", "supervisor/control.c"),
              "all together %d" % number("CONTROL_MAX_CLIENTS", "supervisor/control.c"),
              "within %d seconds" % number("CLIENT_AUTH_TIMEOUT_SEC", "supervisor/control_client.c"),
              "more than %d calls" % number("VIR_CONTROL_PENDING_MAX", "supervisor/control_stream.h"),
              "%d MiB of calls" % (number("VIR_CONTROL_UNANSWERED_MAX",
                                          "supervisor/control_stream.h") >> 20)):
    check(limit in flat, "limit: " + limit)
check(number("JOBS_WAITING_MAX", "supervisor/jobs.c") == 64 and "sixty-fifth" in flat,
      "limit: jobs that wait")
print("1..%d" % count)
sys.exit(failed > 0)
