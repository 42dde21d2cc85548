"""One torch thread, one numpy thread, rendering without a screen, and Ctrl-C that is heard."""

import os
import signal

# A shell starts background jobs with SIGINT ignored, and children inherit that: then no Ctrl-C could be tested.
signal.signal(signal.SIGINT, signal.default_int_handler)
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MUJOCO_GL", "egl")

try:
    import torch
except ImportError:  # the core is tested without the learn extra, too
    pass
else:
    torch.set_num_threads(1)
