#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""With a source that is cut off for good: see test-migrate-bridges.py."""

import os
import runpy

os.environ["TEST_MIGRATE_ALL"] = "1"
runpy.run_path(os.path.join(os.path.dirname(os.path.abspath(__file__)),
                            "test-migrate-bridges.py"), run_name="__main__")
