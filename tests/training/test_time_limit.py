from __future__ import annotations

import io

import keras
import numpy as np
import pytest

from mmkeras.core.console import Console
from mmkeras.training.time_limit import TimeLimit


@pytest.mark.parametrize(("minutes", "epochs"), [(60.0, 4), (1e-7, 1)])
def test_no_epoch_begins_that_would_end_too_late(minutes: float, epochs: int):
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile(loss="mse")
    shown = io.StringIO()
    limit = TimeLimit(minutes, Console(file=shown))
    history = model.fit(np.zeros((4, 2)), np.zeros((4, 1)), epochs=4, verbose=0, callbacks=[limit])
    assert len(history.history["loss"]) == epochs
    assert ("the training ends after epoch 1" in " ".join(shown.getvalue().split())) == (epochs == 1)
