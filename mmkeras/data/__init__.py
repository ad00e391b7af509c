"""From datasets in their own formats to batches: sources -> TFRecord shards with an index -> tf.data.

Importing this package does not load TensorFlow; ``mmkeras.data.dataset`` and ``mmkeras.data.read`` do.
"""

from mmkeras.data.convert import convert
from mmkeras.data.index import Index, Shard, Split

__all__ = ["Index", "Shard", "Split", "convert"]
