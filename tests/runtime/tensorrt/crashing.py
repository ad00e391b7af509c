"""Ends the process when it is imported, as TensorRT 8.6 does on its first call without a GPU."""

import os
import signal

os.kill(os.getpid(), signal.SIGKILL)
