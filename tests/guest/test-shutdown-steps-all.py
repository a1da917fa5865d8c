#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Everybody, killed and stopped, at every step: see test-shutdown-steps.py."""

import os
import runpy

os.environ["TEST_SHUTDOWN_ALL"] = "1"
runpy.run_path(os.path.join(os.path.dirname(os.path.abspath(__file__)),
                            "test-shutdown-steps.py"), run_name="__main__")
