#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""leasehold(1) and --help say the same: the page has exactly the commands of the table, and
each command's section exactly the options of its --help, and the same value names. Both ways,
so that neither can fall behind; the events that it names are those of the D-Bus interface. Every
page has the sections that its readers look for. The configurations that README.md and
leasehold.conf(5) show are read as they stand there."""

import json
import os
import re
import subprocess
import sys
import tempfile

TOP = os.environ.get("top_srcdir", ".")
LEASEHOLD = os.path.join(os.environ.get("top_builddir", "."), "leasehold")
PAGES = ["leasehold", "leasehold.conf", "leasehold-supervisor", "leasehold-lockfailure"]
GLOBAL = {"--config", "--json", "--quiet", "--help"}
count = failed = 0


def check(good, what, *details):
    global count, failed
    count += 1
    failed += not good
    print(f"{'ok' if good else 'not ok'} {count} - {what}")
    if not good:
        for detail in details:
            print(f"# {detail}")


def read_pod(name):
    with open(f"{TOP}/docs/man/{name}.pod", encoding="utf-8") as file:
        return file.read()


def help_of(*words):
    return subprocess.run([LEASEHOLD, *words, "--help"], capture_output=True, text=True,
                          timeout=30, check=True).stdout


def commands_of_help():
    lines = help_of().split("Commands:\n")[1].split("\n\n")[0].splitlines()
    return [re.match(r"  (\S+(?: \S+)?)  ", line).group(1) for line in lines]


def plain(text):
    """POD markup away: B<x>, I<x>, E<lt>."""
    while re.search(r"[BICFL]<[^<>]*>", text):
        text = re.sub(r"[BICFL]<([^<>]*)>", r"\1", text)
    return text.replace("E<lt>", "<").replace("E<gt>", ">")


def options_of_pod(section):
    """{"--timeout": "SEC", "--all": None}"""
    options = {}
    for item in re.findall(r"^=item (.*)$", section, re.M):
        for part in plain(item).split(", "):
            match = re.match(r"(--[a-z-]+)(?: (.+))?$", part)
            if match:
                options[match.group(1)] = match.group(2)
    return options


def options_of_help(text):
    options = {}
    for line in text.split("Options:\n")[1].splitlines():
        match = re.match(r"\s+(?:-\w, )?(--[a-z-]+)(?:=(\S+))?", line)
        if match and match.group(1) not in GLOBAL:
            options[match.group(1)] = match.group(2)
    return options


def events_of_interface():
    with open(f"{TOP}/data/io.leasehold.Guest1.xml", encoding="utf-8") as file:
        text = re.search(r"@event: ([A-Z_,\s]+)", file.read()).group(1)
    return set(re.findall(r"[A-Z_]{2,}", text))


def keys_of_example(path):
    """What the program makes of the first configuration in a document: {key: value}."""
    with open(f"{TOP}/{path}", encoding="utf-8") as file:
        lines = iter(file.read().split("\n"))
    block = []
    for line in lines:
        if block and line and not line.startswith("    "):
            break
        if block or re.match(r"    \[[a-z]+\]$", line):
            block.append(line[4:])
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
        file.write("\n".join(block))
        file.flush()
        done = subprocess.run([LEASEHOLD, "--config", file.name, "--json", "plugin", "show", "sanlock"],
                              capture_output=True, text=True, timeout=30, check=False)
    if done.returncode != 0:
        return done.stderr
    return {key["key"]: key["value"] for key in json.loads(done.stdout)["keys"] if key["value"]}


def main():
    page = read_pod("leasehold")
    commands = commands_of_help()
    parts = re.split(r"^=head2 (.+)$", page.split("=head1 COMMANDS")[1].split("=head1")[0],
                     flags=re.M)
    sections = dict(zip(parts[1::2], parts[2::2]))
    check(list(sections) == commands, "the page has the commands of --help, in their order",
          f"page: {list(sections)}", f"--help: {commands}")
    for command in commands:
        in_page = options_of_pod(sections.get(command, ""))
        in_help = options_of_help(help_of(*command.split()))
        check(in_page == in_help, f"{command}: page and --help have the same options",
              f"page: {in_page}", f"--help: {in_help}")
    in_page = set(re.findall(r"B<([A-Z_]{2,})>", sections["events"]))
    check(in_page == events_of_interface(), "events: page and D-Bus interface name the same",
          f"{in_page ^ events_of_interface()}")
    in_page = set(options_of_pod(page.split("=head1 GLOBAL OPTIONS")[1].split("=head1")[0]))
    check(in_page == GLOBAL | {"--version"}, "the global options are described", f"{in_page}")
    for name in PAGES:
        text = read_pod(name)
        wanted = ["NAME", "SYNOPSIS", "DESCRIPTION", "FILES", "EXAMPLES", "SEE ALSO"]
        if name != "leasehold.conf":
            wanted += ["EXIT STATUS", "SIGNALS"]
        missing = [title for title in wanted if f"\n=head1 {title}\n" not in text]
        check(not missing, f"{name}: has the sections that are looked for", f"{missing}")
    for path in ("README.md", "docs/man/leasehold.conf.pod"):
        keys = keys_of_example(path)
        check(isinstance(keys, dict) and keys.get("store") == "/dev/vg0/leases" and
              keys.get("host_id") == "1", f"{path}: its configuration is read as it is meant", keys)
    print(f"1..{count}")
    return failed > 0


sys.exit(main())
