#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The stream cut at every byte of its last 64 KiB: see test-late-offsets.py. It takes an hour;
TEST_OFFSETS_STRIDE=16 takes some minutes."""

import os
import runpy

os.environ.setdefault("TEST_OFFSETS_STRIDE", "1")
runpy.run_path(os.path.join(os.path.dirname(os.path.abspath(__file__)), "test-late-offsets.py"),
               run_name="__main__")
