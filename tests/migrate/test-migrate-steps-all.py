#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every step at which a side of a migration can be killed: see test-migrate-steps.py."""

import os
import runpy

os.environ["TEST_MIGRATE_ALL"] = "1"
runpy.run_path(os.path.join(os.path.dirname(os.path.abspath(__file__)),
                            "test-migrate-steps.py"), run_name="__main__")
