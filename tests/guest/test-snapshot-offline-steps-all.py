#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Work on the snapshots of a guest that is off, cut at every step: see test-snapshot-offline-steps.py."""

import os
import runpy

os.environ["LEASEHOLD_TEST_ALL"] = "1"
runpy.run_path(os.path.join(os.path.dirname(os.path.abspath(__file__)),
                            "test-snapshot-offline-steps.py"), run_name="__main__")
