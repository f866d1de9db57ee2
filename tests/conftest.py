"""For all tests: one thread of torch each, as two workers share the machine and waiting threads spin."""

import os

from tests.environment import PATIENCE

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.update(PATIENCE)
