#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A migration that is cancelled more often: see test-migrate-cancel.py."""

import os
import runpy

os.environ["TEST_CANCEL_ALL"] = "1"
runpy.run_path(os.path.join(os.path.dirname(os.path.abspath(__file__)), "test-migrate-cancel.py"),
               run_name="__main__")
