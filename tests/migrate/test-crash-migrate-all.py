#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every cell of the crash matrix of a migration: see test-crash-migrate.py."""

import os
import runpy

os.environ["TEST_CRASH_ALL"] = "1"
runpy.run_path(os.path.join(os.path.dirname(os.path.abspath(__file__)), "test-crash-migrate.py"),
               run_name="__main__")
