"""One torch thread, one numpy thread, rendering without a screen."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MUJOCO_GL", "egl")

try:
    import torch
except ImportError:  # the core is tested without the learn extra, too
    pass
else:
    torch.set_num_threads(1)
