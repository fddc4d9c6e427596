"""What holds for every test."""

import os
import signal

# As the daemon has it, and before anything loads numpy: two threads of BLAS on small matrices wait for each other.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# A shell that starts the run in the background has it ignore Ctrl-C, and every process that it starts: those that are
# tested for their answer to Ctrl-C would never hear it.
signal.signal(signal.SIGINT, signal.default_int_handler)
