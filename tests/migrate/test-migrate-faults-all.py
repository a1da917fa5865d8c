#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every fault at every step: see test-migrate-faults.py."""

import os
import runpy

os.environ["TEST_FAULTS_ALL"] = "1"
runpy.run_path(os.path.join(os.path.dirname(os.path.abspath(__file__)),
                            "test-migrate-faults.py"), run_name="__main__")
