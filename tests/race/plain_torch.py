"""The PyTorch side of the race, run in `.venv-peers`: parity, training steps and inference of one sample.

    .venv-peers/bin/python -m tests.race.plain_torch FOLDER

FOLDER has weights.npz, batch.npz and expected.npz from `tests.race.ours`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from tests.race.network import Network
from tests.race.serving import measured, peak_gigabytes, serve

__all__ = ["make"]

INPUTS = ("image", "image_present", "text_token_ids", "text_padding_mask", "text_present")
_WARM = 3


def make(folder: str) -> Mapping[str, Callable[..., Any]]:
    """Load weights and batch, and return what can be asked."""
    torch.set_num_threads(1)
    torch.set_num_interop_threads(1)
    weights = dict(np.load(Path(folder, "weights.npz")))
    batch = dict(np.load(Path(folder, "batch.npz")))
    inputs = [torch.tensor(batch[name]) for name in INPUTS]
    labels, weight = torch.tensor(batch["labels"]).long(), torch.tensor(batch["weights"])
    tokens = weights["text_branch/token_embedding/embeddings"].shape[0]
    network = Network(tokens, inputs[2].shape[1], weights["head_logits/bias"].shape[0])
    network.load_keras(weights)
    steps: dict[str, Callable[[], Any]] = {}
    engines: dict[str, Callable[[], Any]] = {}

    def parity() -> dict[str, Any]:
        expected = dict(np.load(Path(folder, "expected.npz")))
        own = copy.deepcopy(network)
        with torch.no_grad():
            outputs = own.eval()(*inputs).softmax(-1).numpy()
        logits = own.train()(*inputs)
        loss = (F.cross_entropy(logits, labels, reduction="none") * weight).mean()
        loss.backward()
        gradients = {}
        for name, found in own.gradients().items():
            theirs = expected[f"gradient/{name}"]
            gradients[name] = float(np.abs(found.numpy() - theirs).max() / np.abs(theirs).max())
        return {
            "outputs": float(np.abs(outputs - expected["outputs"]).max()),
            "loss": float(abs(loss.item() - expected["loss"])),
            "gradients": gradients,
        }

    def step(form: str, times: int) -> dict[str, float]:
        if form not in steps:
            steps[form] = _training_step(network, form, inputs, labels, weight)
            for _ in range(_WARM):
                steps[form]()
        return measured(steps[form], times)

    def infer(form: str, times: int) -> dict[str, Any]:
        if form not in engines:
            engines[form] = _engine(network, form, [each[:1] for each in inputs])
            for _ in range(10 * _WARM):
                engines[form]()
        first = engines[form]().softmax(-1).numpy()
        return {**measured(engines[form], times), "outputs": first[0].tolist()}

    def facts() -> dict[str, Any]:
        return {"torch": torch.__version__, "parameters": sum(each.numel() for each in network.parameters())}

    return {"parity": parity, "step": step, "infer": infer, "facts": facts, "memory": peak_gigabytes}


def _training_step(network: Network, form: str, inputs: list[Any], labels: Any, weight: Any) -> Callable[[], Any]:
    """Return one step: forward, loss, backward, gradients clipped to norm 1, AdamW as `mmkeras` sets it."""
    own = copy.deepcopy(network).train()
    if form != "eager":
        own = own.to(memory_format=torch.channels_last)
    decayed: list[Any] = []
    others: list[Any] = []
    for name, parameter in own.named_parameters():
        plain = parameter.ndim < 2 or any(part in name for part in ("null", "position", "token", "segment"))
        (others if plain else decayed).append(parameter)
    groups = [{"params": decayed, "weight_decay": 0.01}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=1e-5, eps=1e-7, fused=form == "fused_adamw")

    def step() -> float:
        optimizer.zero_grad(set_to_none=True)
        loss = (F.cross_entropy(own(*inputs), labels, reduction="none") * weight).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(own.parameters(), 1.0)
        optimizer.step()
        return float(loss.item())

    return step


def _engine(network: Network, form: str, inputs: list[Any]) -> Callable[[], Any]:
    """Return the inference of one sample by one of PyTorch's ways."""
    own: Any = copy.deepcopy(network).eval()
    if form == "torchscript":
        with torch.no_grad():
            own = torch.jit.optimize_for_inference(torch.jit.freeze(torch.jit.trace(own, tuple(inputs))))
    elif form == "compile":
        own = torch.compile(own)
    elif form != "eager":
        raise ValueError(f"no form {form!r}: expected eager, torchscript or compile")

    def infer() -> Any:
        with torch.inference_mode():
            return own(*inputs)

    return infer


if __name__ == "__main__":
    serve(make)
