"""For all tests: one thread of torch each, as two workers share the machine and waiting threads spin.

Tests ask whether a time is there and used, not whether it is exact, so they hardly wait for a quiet machine.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("NAS_PATIENCE", "1")
