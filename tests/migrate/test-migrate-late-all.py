#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A stream that is cut at many more offsets: see test-migrate-late.py."""

import os
import runpy

os.environ["TEST_LATE_ALL"] = "1"
runpy.run_path(os.path.join(os.path.dirname(os.path.abspath(__file__)), "test-migrate-late.py"),
               run_name="__main__")
