"""What holds for every test."""

import os
import signal

from hypothesis import settings

# As the daemon has it, and before anything loads numpy: two threads of BLAS on small matrices wait for each other.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# A shell that starts the run in the background has it ignore Ctrl-C, and every process that it starts: those that are
# tested for their answer to Ctrl-C would never hear it.
signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes is the machine's affair. What fails on a machine elsewhere can be repeated from its output.
settings.register_profile("linekeep", deadline=None, print_blob=True)
settings.load_profile("linekeep")
