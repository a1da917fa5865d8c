#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Everybody, killed and stopped, at every step: see test-power-steps.py."""

import os
import runpy

os.environ["TEST_POWER_ALL"] = "1"
runpy.run_path(os.path.join(os.path.dirname(os.path.abspath(__file__)),
                            "test-power-steps.py"), run_name="__main__")
