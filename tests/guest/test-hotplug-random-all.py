#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test-hotplug-random-all.py: test-hotplug-random.py with 500 steps, of a seed that it prints."""

import os
import sys
import time

os.environ.setdefault("LEASEHOLD_TEST_STEPS", "500")
os.environ.setdefault("LEASEHOLD_TEST_SEED", str(time.time_ns() % 1000000))
TEST = os.path.join(os.path.dirname(os.path.abspath(__file__)), "test-hotplug-random.py")
os.execv(sys.executable, [sys.executable, TEST])
