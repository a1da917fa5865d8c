#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""json-keys.py ITEM PATH PARENT <REPORT: compares the keys of an object of a --json report
with those that leasehold(1) lists under JSON.

ITEM is the =item up to its parenthesis ("guest"), PATH leads to the object ("guests.0"; "." is
the whole). With PARENT the keys are those of "PARENT (array of ...)" in the item, else it is
empty. Prints what differs."""

import json
import os
import re
import sys


def documented(item, parent):
    with open(os.path.join(os.environ.get("top_srcdir", "."), "docs/man/leasehold.pod"),
              encoding="utf-8") as file:
        section = file.read().split("=head1 JSON")[1].split("=head1")[0]
    items = {re.sub(r"[BC]<([^<>]*)>", r"\1", title.split(" (")[0]): text
             for title, text in re.findall(r"=item (.*?)\n\n(.*?)(?=\n=)", section, re.S)}
    text = items[item]
    if parent:
        text = re.search(rf"C<{parent}> \(array of(.*?)\)", text, re.S).group(1)
    else:
        text = re.sub(r"\(.*?\)", "", text, flags=re.S)
    return set(re.findall(r"C<(\w+)>", text))


def main():
    item, path, parent = sys.argv[1:4]
    value = json.load(sys.stdin)
    for key in filter(None, path.split(".")):
        value = value[int(key)] if key.isdigit() else value[key]
    wanted = documented(item, parent)
    if set(value) != wanted:
        print("only in the report:", sorted(set(value) - wanted),
              "only in the manual:", sorted(wanted - set(value)))


main()
