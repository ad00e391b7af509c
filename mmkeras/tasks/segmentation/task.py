"""A class for every pixel: outputs, masks, answers and metrics."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from mmkeras.core.errors import DataError, nearest
from mmkeras.modalities import ModalitySpec, TensorSpec
from mmkeras.modalities._moves import MOVES
from mmkeras.tasks._contract import Outputs, TaskSpec
from mmkeras.tasks._evidence import Evidence
from mmkeras.tasks._metrics import mean_of_known, ratio
from mmkeras.tasks._targets import TargetSpec
from mmkeras.tasks.segmentation.masks import NOT_ASKED, VOID, read_mask
from mmkeras.tasks.segmentation.scores import confusions, counted, decided, edges

__all__ = ["Spec"]

FLIP = 0.001
"""Share of the pixels by which two answers differ before they count as different."""


@dataclass(frozen=True)
class Spec(TaskSpec):
    """C classes, from scores ``mask`` (B, H, W, K); the highest score of a pixel decides.

    Without a prompt K is C. With one the last of K = C + 1 scores is that of pixels that the text does not name; the
    answer holds the named classes, or all of them if the sample has no text. The primary metric is the mean over the
    classes of intersection / union of all pixels of the split together; pixels without a class are ignored.
    """

    kind: ClassVar[str] = "segmentation"
    shapes_records: ClassVar[tuple[str, ...]] = ("labels", "colours", "void", "void_colours", "prompt")
    metric: ClassVar[str] = "mean_iou"
    follows: ClassVar[tuple[str, ...]] = MOVES
    reads_labels: ClassVar[bool] = False
    gated_by: ClassVar[Literal["decisions", "tolerance", "metric"]] = "metric"

    labels: tuple[str, ...]
    """The classes in the order of the scores."""
    colours: tuple[str, ...]
    """``#rrggbb`` of each label; empty where masks are numbers."""
    void: tuple[int, ...]
    """Numbers of pixels without a class."""
    void_colours: tuple[str, ...]
    """Colours of pixels without a class."""
    prompt: str
    """The modality that names what to find; empty for all classes."""
    height: int
    """Rows of the masks."""
    width: int
    """Columns of the masks."""
    resize: str
    """How masks are resized: like the picture."""
    least_share: float
    """Smallest part of the picture that counts as found where a text names it."""
    edge_reach: float
    """Distance within which an edge counts as found, as a share of the diagonal."""

    @property
    def classes(self) -> int:
        """Number of scores of a pixel."""
        return len(self.labels) + bool(self.prompt)

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """``mask`` (H, W, K) float32: scores before a softmax."""
        return (TensorSpec("mask", (self.height, self.width, self.classes), "float32"),)

    @property
    def target(self) -> TargetSpec:
        """``mask`` (H, W) uint8 as PNG: the class, 128 more where the text does not name it; 255 without a class."""
        return TargetSpec("mask", (self.height, self.width), "uint8", "png")

    def encode(self, target: Any) -> np.ndarray:
        """Return a mask at the model's size.

        Args:
            target: path or bytes of the mask, or ``{"mask": ..., "picture": ..., "asked": [labels]}``. The picture's
                path is for a check of the size. ``asked`` are the labels that the text names, if it is restricted.

        Raises:
            DataError: see `read_mask`; or an unknown label in ``asked``.
        """
        given: Mapping[str, Any] = target if isinstance(target, Mapping) else {"mask": target}
        if (raw := given.get("mask")) is None:
            raise DataError(f"Expected the path of a mask, or an object with the key mask, got {target!r:.60}")
        mask = read_mask(
            raw,
            labels=self.labels,
            colours=self.colours,
            void=self.void,
            void_colours=self.void_colours,
            size=(self.height, self.width),
            resize=self.resize,
            picture=given.get("picture"),
        )
        asked = given.get("asked")
        if asked is None or not self.prompt:
            return mask
        for label in asked:
            if label not in self.labels:
                raise DataError(f"asked: Expected labels, got {label!r}; {nearest(str(label), self.labels)}")
        named = [number for number, label in enumerate(self.labels) if label in asked]
        return np.where((mask == VOID) | np.isin(mask, named), mask, mask + NOT_ASKED).astype(np.uint8)

    def truth(self, targets: np.ndarray) -> np.ndarray:
        """Return the right answer (B, H, W) int16 of encoded targets: a score's place, or `VOID`."""
        targets = np.asarray(targets).reshape(-1, self.height, self.width)
        other = (targets >= NOT_ASKED) & (targets != VOID)
        return np.where(other, len(self.labels), targets).astype(np.int16)

    def answer(self, outputs: Outputs) -> np.ndarray:
        """Return the class of every pixel (B, H, W) int16; len(labels) where the text does not name it, -1 if unknown.

        With a prompt, a class with a smaller part of the picture than ``least_share`` is left out.
        """
        found = decided(outputs["mask"])
        if not self.prompt:
            return found
        least = self.least_share * self.height * self.width
        for mask in found:
            counts = np.bincount(mask[mask >= 0], minlength=self.classes)[: len(self.labels)]
            for number in np.flatnonzero((counts > 0) & (counts < least)):
                mask[mask == number] = len(self.labels)
        return found

    def decode(self, outputs: Outputs) -> list[dict[str, Any]]:
        """Return ``{"found": [{"label", "share"}], "mask": PNG in base64}`` per sample, the largest class first.

        A pixel of the PNG is the place of its label; 255 belongs to no named class. A sample whose scores are not all
        finite has no answer: both are None.
        """
        answers: list[dict[str, Any]] = []
        for mask in self.answer(outputs):
            if (mask < 0).any():
                answers.append({"found": None, "mask": None})
                continue
            counts = np.bincount(mask.reshape(-1), minlength=self.classes)[: len(self.labels)]
            found = [
                {"label": self.labels[number], "share": float(counts[number] / mask.size)}
                for number in np.argsort(-counts, kind="stable")
                if counts[number]
            ]
            pixels = np.where(mask < len(self.labels), mask, VOID).astype(np.uint8)
            answers.append({"found": found, "mask": base64.b64encode(self.target.to_bytes(pixels)).decode()})
        return answers

    def flips(self, reference: Outputs, candidate: Outputs) -> np.ndarray:
        """Return bool (B,): more than one of 1,000 pixels has another class, or a model's scores are not finite."""
        first, second = self.answer(reference), self.answer(candidate)
        changed = (first != second).mean(axis=(1, 2)) > FLIP
        return np.asarray(changed | (first < 0).any(axis=(1, 2)) | (second < 0).any(axis=(1, 2)))

    def evidence(self, targets: np.ndarray, outputs: Outputs) -> dict[str, np.ndarray]:
        """Return counts of pixels by true and decided class, and of edges, see `mmkeras.tasks.segmentation.scores`.

        With a prompt, ``scene`` are the counts against all classes of the picture, for samples without a text.
        """
        targets = np.asarray(targets).reshape(-1, self.height, self.width)
        truth, said = self.truth(targets), self.answer(outputs)
        reach = max(round(self.edge_reach * math.hypot(self.height, self.width)), 1)
        found = {
            "counts": confusions(truth, said, self.classes),
            "edges": edges(truth, said, self.classes, reach)[:, : len(self.labels)],
        }
        if self.prompt:
            every = np.where(targets == VOID, VOID, targets % NOT_ASKED)
            found["scene"] = confusions(every, said, self.classes)[:, : len(self.labels)]
        return found

    def sums(self, evidence: Evidence) -> dict[str, np.ndarray]:
        """Return hits, decided and true pixels of each class, edges, and answers to what is not there."""
        found = {"pixels": counted(evidence["counts"]), "edges": evidence["edges"].astype(np.float64)}
        if self.prompt:
            found["scene"] = counted(evidence["scene"])
            found["absent"] = self._absent(evidence)
        return found

    def _absent(self, evidence: Evidence) -> np.ndarray:
        """Return float (N, 2): nothing named is there, and the answer has a pixel all the same."""
        counts, own = evidence["counts"], len(self.labels)
        absent = counts[:, :own].sum(axis=(1, 2)) == 0
        # An answer that is not finite counts as a false alarm.
        alarm = absent & (counts[:, own, :own].sum(axis=1) + counts[:, own, own + 1] > 0)
        return np.stack([absent, alarm], axis=1).astype(np.float64)

    def of_sums(self, sums: Evidence) -> dict[str, np.ndarray]:
        """Return mean IoU, IoU by class, boundary F and accuracy of pixels; with a prompt also false alarms.

        Means are over the classes that the masks have. ``boundary_f`` is the mean over classes of the harmonic mean of
        the shares of decided and true edges that are found.
        """
        own = len(self.labels)
        hit, said, true = np.moveaxis(sums["pixels"], -1, 0)
        iou = np.where(true > 0, ratio(hit, said + true - hit), np.nan)[:, :own]
        near, drawn, found, there = np.moveaxis(sums["edges"], -1, 0)
        precision, recall = ratio(near, drawn), ratio(found, there)
        edge = np.where(there > 0, np.nan_to_num(ratio(2 * precision * recall, precision + recall)), np.nan)
        scores = {
            "mean_iou": mean_of_known(iou),
            "boundary_f": mean_of_known(edge),
            "pixel_accuracy": ratio(hit.sum(axis=1), true.sum(axis=1)),
        }
        if self.prompt:
            absent, alarm = np.moveaxis(sums["absent"], -1, 0)
            scores["false_alarms"] = ratio(alarm, absent)
            hit, said, true = np.moveaxis(sums["scene"], -1, 0)
            scene = np.where(true > 0, ratio(hit, said + true - hit), np.nan)
            scores["scene_iou"] = mean_of_known(scene)
        return scores | {f"iou_{label}": iou[:, number] for number, label in enumerate(self.labels)}

    def wrongness(self, evidence: Evidence) -> np.ndarray:
        """Return 1 - the mean IoU of each sample; where nothing named is there, the share of pixels in the answer."""
        iou = self.of_sums(self.sums(evidence))["mean_iou"]
        counts = evidence["counts"]
        wrong = 1.0 - ratio(np.trace(counts, axis1=1, axis2=2), counts.sum(axis=(1, 2)))
        return np.where(np.isnan(iou), np.nan_to_num(wrong), 1.0 - iou)

    def overlay(
        self, specs: Mapping[str, ModalitySpec], values: Mapping[str, Any], answer: Mapping[str, Any]
    ) -> np.ndarray:
        """Return an answer in the colours of its classes over the sample's picture, with a legend.

        Raises:
            DataError: the sample has no picture, or its scores are not finite.
        """
        from mmkeras.tasks.segmentation.picture import overlay, picture_of

        pixels = picture_of(specs, values, (self.height, self.width), self.resize)
        if pixels is None or answer["mask"] is None:
            picture = next((name for name, spec in specs.items() if spec.kind == "image"), "picture")
            what = "picture" if answer["mask"] is not None else "finite scores"
            raise DataError(f"Expected a sample with a {picture} and an answer to draw, got no {what}")
        return overlay(pixels, self.target.from_bytes(base64.b64decode(answer["mask"])), self.labels, self.colours)

    def class_metrics(self) -> dict[str, str]:
        """Return the name of each class's IoU."""
        return {label: f"iou_{label}" for label in self.labels}

    def classes_of(self, target: np.ndarray) -> list[str]:
        """Return the named classes that an encoded mask has a pixel of."""
        return [self.labels[int(number)] for number in np.unique(target) if number < len(self.labels)]
