"""Lets torchvision, and so timm, import beside a CPU-only torch.

torchvision's wheels are built for CUDA; beside a CPU torch their compiled part can't load, and
`import torchvision` fails because two operators that it decorates were never defined. Defining
their schemas is enough: nobody here calls them. On a GPU build this does nothing.
"""

from __future__ import annotations

_keep_alive: list[object] = []  # a library's definitions go when the object does


def register() -> None:
    """Define the two operator schemas; torch calls this on import (entry point `torch.backends`)."""
    import torch

    if torch.version.cuda is not None or _keep_alive:
        return
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _keep_alive.append(library)
