#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every step at which a supervisor can be killed: see test-reattach-steps.py."""

import os
import runpy

os.environ["TEST_REATTACH_ALL"] = "1"
runpy.run_path(os.path.join(os.path.dirname(os.path.abspath(__file__)),
                            "test-reattach-steps.py"), run_name="__main__")
