"""Layers of the subjects by the names that each exported format gives them."""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["LAYERS", "Layer"]


@dataclass(frozen=True)
class Layer:
    """Where a layer's weights are found. Converters add ``_1`` to names and join those of merged operations."""

    kernel: str
    """Part of the kernel's name."""
    bias: str = ""
    """Part of the name of what is added: a bias, or a batch norm that was merged into one; empty: not looked for."""

    def holds_kernel(self, name: str) -> bool:
        """Return whether a tensor of at least two dimensions is this layer's kernel."""
        return self._matches(self.kernel, name)

    def holds_bias(self, name: str) -> bool:
        """Return whether a vector is what this layer adds."""
        return bool(self.bias) and self._matches(self.bias, name)

    @staticmethod
    def _matches(part: str, name: str) -> bool:
        pattern = "/".join(re.escape(each) + "(_1)?" for each in part.split("/"))
        return re.search(f"(^|/){pattern}(/|:|$)", name.split(";")[0]) is not None


LAYERS = {
    "first convolution": Layer("stem_conv", "stem_bn"),
    "last convolution": Layer("block3a_expand_conv", "block3a_expand_bn"),
    "image projection": Layer("image_branch/image_projection"),
    "word embedding": Layer("token_embedding"),
    "text projection": Layer("text_branch/projection", "text_branch/projection"),
    "fusion value": Layer("fusion_cross_1/value"),
    "fusion key": Layer("fusion_cross_1/key"),
    "fusion feed forward": Layer("fusion_feed_forward_1_inner", "fusion_feed_forward_1_inner"),
    "fusion gate": Layer("fusion_feed_forward_1_gate"),
    "head": Layer("head_logits", "head_logits"),
    "series patches": Layer("signal_patches", "signal_patches"),
    "series summary": Layer("signal_summary", "signal_summary"),
    "row numbers": Layer("row_number_tokens"),
    "row categories": Layer("row_category_tokens"),
    "image null token": Layer("image_null_token"),
    "text null token": Layer("text_null_token"),
    "row null token": Layer("row_null_token"),
    "signal null token": Layer("signal_null_token"),
}
"""By the names that variants have."""
