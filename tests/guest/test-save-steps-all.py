#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Saving and restoring, cut at every step: see test-save-steps.py."""

import os
import runpy

os.environ["TEST_SAVE_ALL"] = "1"
runpy.run_path(os.path.join(os.path.dirname(os.path.abspath(__file__)),
                            "test-save-steps.py"), run_name="__main__")
