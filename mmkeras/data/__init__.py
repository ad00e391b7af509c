"""From datasets in their own formats to batches: sources -> TFRecord shards with an index -> tf.data.

- ``sources/``: one module per dataset format.
- `convert`: worker processes write the shards, quarantine bad rows, and leave an `Index`.
- ``dataset.py``: batches for training and evaluation; ``read.py``: the raw records again, for reports.

Importing this package does not load TensorFlow; ``mmkeras.data.dataset`` and ``mmkeras.data.read`` do.
"""

from mmkeras.data.convert import convert
from mmkeras.data.index import Index, Shard, Split

__all__ = ["Index", "Shard", "Split", "convert"]
