"""What holds for every test."""

import signal

# A shell that starts the run in the background has it ignore Ctrl-C, and every process that it starts: those that are
# tested for their answer to Ctrl-C would never hear it.
signal.signal(signal.SIGINT, signal.default_int_handler)
