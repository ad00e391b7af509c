"""The network of easy-VQA's configuration in plain PyTorch; imports nothing but PyTorch.

Its weights are those of the Keras model, by their paths (`Network.load_keras`). Written as PyTorch users write it: maps
in NCHW (or channels_last), packed projections in attention, ``scaled_dot_product_attention``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["Network"]

Weights = Mapping[str, Any]
"""Arrays of the Keras model by the path of their variable."""


class _Conv(nn.Module):
    """A convolution with TensorFlow's padding ``same``, batch normalization and, if wanted, ReLU6."""

    def __init__(self, inputs: int, outputs: int, size: int, stride: int = 1, *, active: bool = True) -> None:
        super().__init__()
        # TensorFlow pads an even side at its end when the stride is 2.
        self.at_end = (0, 1, 0, 1) if stride == 2 else None
        self.conv = nn.Conv2d(inputs, outputs, size, stride, 0 if stride == 2 else size // 2, bias=False)
        self.norm = nn.BatchNorm2d(outputs, eps=1e-3, momentum=0.1)
        self.active = active

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.conv(x if self.at_end is None else F.pad(x, self.at_end)))
        return F.relu6(x) if self.active else x

    def load(self, weights: Weights, name: str) -> None:
        _put(self.conv.weight, weights[f"{name}_conv/kernel"].transpose(3, 2, 0, 1))
        for mine, theirs in (("weight", "gamma"), ("bias", "beta"), ("running_mean", "moving_mean")):
            _put(getattr(self.norm, mine), weights[f"{name}_bn/{theirs}"])
        _put(self.norm.running_var, weights[f"{name}_bn/moving_variance"])


class _Attention(nn.Module):
    """Multi-head attention; the projections of what is read, or of all three, are one product."""

    def __init__(self, width: int, heads: int, *, of_itself: bool) -> None:
        super().__init__()
        self.heads = heads
        self.query = None if of_itself else nn.Linear(width, width)
        self.packed = nn.Linear(width, (3 if of_itself else 2) * width)
        self.output = nn.Linear(width, width)

    def forward(self, x: Tensor, memory: Tensor, mask: Tensor) -> Tensor:
        if self.query is None:
            query, key, value = self.packed(x).chunk(3, dim=-1)
        else:
            query = self.query(x)
            key, value = self.packed(memory).chunk(2, dim=-1)
        parts = [part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in (query, key, value)]
        read = F.scaled_dot_product_attention(*parts, attn_mask=mask[:, None, None, :])
        return self.output(read.transpose(1, 2).flatten(-2))

    def load(self, weights: Weights, name: str) -> None:
        width = self.output.weight.shape[0]

        def flat(part: str) -> tuple[Any, Any]:
            return weights[f"{name}/{part}/kernel"].reshape(width, -1), weights[f"{name}/{part}/bias"].reshape(-1)

        packed = ["key", "value"] if self.query is not None else ["query", "key", "value"]
        kernels, biases = zip(*map(flat, packed), strict=True)
        _put(self.packed.weight, torch.cat([torch.tensor(each.T) for each in kernels]))
        _put(self.packed.bias, torch.cat([torch.tensor(each) for each in biases]))
        if self.query is not None:
            kernel, bias = flat("query")
            _put(self.query.weight, kernel.T)
            _put(self.query.bias, bias)
        _put(self.output.weight, weights[f"{name}/attention_output/kernel"].reshape(-1, width).T)
        _put(self.output.bias, weights[f"{name}/attention_output/bias"])


class _TextLayer(nn.Module):
    """A post-norm transformer layer of BERT."""

    def __init__(self, width: int, heads: int, inner: int) -> None:
        super().__init__()
        self.attention = _Attention(width, heads, of_itself=True)
        self.first, self.second = (nn.LayerNorm(width, eps=1e-12) for _ in range(2))
        self.inner, self.outer = nn.Linear(width, inner), nn.Linear(inner, width)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        x = self.first(x + self.attention(x, x, mask))
        return self.second(x + self.outer(F.gelu(self.inner(x), approximate="tanh")))

    def load(self, weights: Weights, name: str) -> None:
        self.attention.load(weights, f"{name}/self_attention_layer")
        _norm(self.first, weights, f"{name}/self_attention_layer_norm")
        _norm(self.second, weights, f"{name}/feedforward_layer_norm")
        _dense(self.inner, weights, f"{name}/feedforward_intermediate_dense")
        _dense(self.outer, weights, f"{name}/feedforward_output_dense")


class _FusionLayer(nn.Module):
    """A pre-norm layer: the text reads the picture, then itself, then a gated feed-forward step."""

    def __init__(self, width: int, heads: int, inner: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(width, eps=1e-3) for _ in range(3))
        self.cross = _Attention(width, heads, of_itself=False)
        self.self_attention = _Attention(width, heads, of_itself=True)
        self.inner, self.gate, self.outer = nn.Linear(width, inner), nn.Linear(width, inner), nn.Linear(inner, width)

    def forward(self, x: Tensor, mask: Tensor, memory: Tensor, memory_mask: Tensor) -> Tensor:
        x = x + self.cross(self.norms[0](x), memory, memory_mask)
        z = self.norms[1](x)
        x = x + self.self_attention(z, z, mask)
        z = self.norms[2](x)
        return x + self.outer(F.gelu(self.inner(z), approximate="tanh") * self.gate(z))

    def load(self, weights: Weights, number: int) -> None:
        for norm, part in zip(self.norms, ("cross", "self", "feed_forward"), strict=True):
            _norm(norm, weights, f"fusion_{part}_{number}_norm")
        self.cross.load(weights, f"fusion_cross_{number}")
        self.self_attention.load(weights, f"fusion_self_{number}")
        for part in ("inner", "gate", "outer"):
            _dense(getattr(self, part), weights, f"fusion_feed_forward_{number}_{part}")


class Network(nn.Module):
    """A picture uint8 (B, 64, 64, 3) and word pieces (B, 12) to logits (B, 13)."""

    def __init__(self, words: int, length: int, labels: int, width: int = 64, heads: int = 4) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(
            [
                _Conv(3, 24, 3, 2),
                _Conv(24, 16, 3), _Conv(16, 16, 1, active=False),
                _Conv(16, 96, 3, 2), _Conv(96, 24, 1, active=False),
                _Conv(24, 144, 3, 2), _Conv(144, 32, 1, active=False),
            ]
        )  # fmt: skip
        self.image_projection = nn.Linear(32, width)
        self.image_position = nn.Parameter(torch.zeros(1, 64, width))
        self.image_null, self.text_null = (nn.Parameter(torch.zeros(1, 1, width)) for _ in range(2))
        self.token, self.segment = nn.Embedding(words, width), nn.Embedding(2, width)
        self.position = nn.Parameter(torch.zeros(length, width))
        self.text_norm = nn.LayerNorm(width, eps=1e-12)
        self.text_layers = nn.ModuleList(_TextLayer(width, heads, 4 * width) for _ in range(2))
        self.text_projection = nn.Linear(width, width)
        self.fusion_dense, self.fusion_image_norm = nn.Linear(width, width), nn.LayerNorm(width, eps=1e-3)
        self.fusion_layers = nn.ModuleList(_FusionLayer(width, heads, 3 * width) for _ in range(2))
        self.fusion_norm = nn.LayerNorm(width, eps=1e-3)
        self.logits = nn.Linear(width, labels)

    def forward(
        self, image: Tensor, image_present: Tensor, token_ids: Tensor, padding_mask: Tensor, text_present: Tensor
    ) -> Tensor:
        """Return logits (B, 13); ``*_present`` (B,) is 0 where a modality is missing."""
        # === Picture ===
        x = image.permute(0, 3, 1, 2).float() / 127.5 - 1.0
        for convolution in self.convolutions:
            x = convolution(x)
        pixels = self.image_projection(x.flatten(2).transpose(1, 2)) + self.image_position
        pixels, pixel_mask = _or_null(pixels, torch.ones_like(pixels[:, :, 0]) > 0, self.image_null, image_present)

        # === Text ===
        mask = padding_mask > 0
        x = self.text_norm(self.token(token_ids) + self.position + self.segment.weight[0])
        for layer in self.text_layers:
            x = layer(x, mask)
        words, word_mask = _or_null(self.text_projection(x), mask, self.text_null, text_present)

        # === Fusion ===
        x = words * word_mask[..., None]
        memory = self.fusion_image_norm(self.fusion_dense(pixels * pixel_mask[..., None])) * pixel_mask[..., None]
        for layer in self.fusion_layers:
            x = layer(x, word_mask, memory, pixel_mask)
        return self.logits(self.fusion_norm(x)[:, 0])

    def load_keras(self, weights: Weights) -> None:
        """Take the weights of the Keras model."""
        names = ["stem", *(f"block{number}a_{part}" for number in (1, 2, 3) for part in ("expand", "project"))]
        for convolution, name in zip(self.convolutions, names, strict=True):
            convolution.load(weights, name)
        _dense(self.image_projection, weights, "image_projection")
        _put(self.image_position, weights["image_position/embedding"])
        _put(self.image_null, weights["image_null_token/token"])
        _put(self.text_null, weights["text_null_token/token"])
        for embedding, name in ((self.token, "token"), (self.segment, "segment")):
            _put(embedding.weight, weights[f"text_branch/{name}_embedding/embeddings"])
        _put(self.position, weights["text_branch/position_embedding/embeddings"])
        _norm(self.text_norm, weights, "text_branch/embeddings_layer_norm")
        for number, layer in enumerate(self.text_layers):
            layer.load(weights, f"text_branch/transformer_layer_{number}")
        _dense(self.text_projection, weights, "text_branch/projection")
        _dense(self.fusion_dense, weights, "fusion_image_dense")
        _norm(self.fusion_image_norm, weights, "fusion_image_norm")
        for number, layer in enumerate(self.fusion_layers, start=1):
            layer.load(weights, number)
        _norm(self.fusion_norm, weights, "fusion_norm")
        _dense(self.logits, weights, "head_logits")

    def gradients(self) -> dict[str, Tensor]:
        """Return some gradients by the path of the Keras variable and in its layout, one of every kind of layer."""
        first, text, fusion = self.convolutions[0], self.text_layers[0], self.fusion_layers[0]
        found: dict[str, Callable[[], Tensor]] = {
            "stem_conv/kernel": lambda: first.conv.weight.grad.permute(2, 3, 1, 0),
            "block3a_expand_conv/kernel": lambda: self.convolutions[5].conv.weight.grad.permute(2, 3, 1, 0),
            "stem_bn/gamma": lambda: first.norm.weight.grad,
            "stem_bn/beta": lambda: first.norm.bias.grad,
            "image_position/embedding": lambda: self.image_position.grad,
            "text_branch/position_embedding/embeddings": lambda: self.position.grad,
            "text_branch/transformer_layer_0/feedforward_intermediate_dense/kernel": lambda: text.inner.weight.grad.T,
            "fusion_cross_1/query/kernel": lambda: fusion.cross.query.weight.grad.T.unflatten(1, (4, -1)),
            "fusion_self_1/attention_output/kernel": lambda: fusion.self_attention.output.weight.grad.T.unflatten(
                0, (4, -1)
            ),
            "head_logits/kernel": lambda: self.logits.weight.grad.T,
        }
        return {name: read() for name, read in found.items()}


def _or_null(values: Tensor, mask: Tensor, null: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
    """Return values and mask, with the null token as the one real token where the modality is missing."""
    row = (present > 0.5)[:, None]
    first = torch.arange(mask.shape[1], device=mask.device)[None] == 0
    return torch.where(row[..., None], values, null), torch.where(row, mask, first)


def _put(target: Any, values: Any) -> None:
    values = torch.as_tensor(values).contiguous()
    if target.shape != values.shape:
        raise ValueError(f"expected {tuple(target.shape)}, got {tuple(values.shape)}")
    with torch.no_grad():
        target.copy_(values)


def _dense(layer: nn.Linear, weights: Weights, name: str) -> None:
    _put(layer.weight, weights[f"{name}/kernel"].T)
    _put(layer.bias, weights[f"{name}/bias"])


def _norm(layer: nn.LayerNorm, weights: Weights, name: str) -> None:
    _put(layer.weight, weights[f"{name}/gamma"])
    _put(layer.bias, weights[f"{name}/beta"])
