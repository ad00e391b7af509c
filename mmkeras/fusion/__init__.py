"""Ways of merging modalities, one file each, found by its name.

A fusion ``mmkeras/fusion/<name>.py`` has one function

    def fuse(tokens: dict[str, Tokens], *, option: int = 1) -> Fused | None

that builds on Keras' functional graph from layers named ``fusion_...``. It takes any number of modalities in
a fixed order, gives masked tokens no influence, and keeps the width. Its keyword options are what a
configuration can set. It returns None where it leaves the modalities apart.

``GIVES: tuple[str, ...]`` says what a head gets from it beyond the modalities: ``pooled``, one vector for a sample, and
``map``, fused tokens with a grid where a modality has one. Messages to users name fusions by it.

Optional: ``extra_outputs(model)`` returns a function from a model's inputs to its outputs in training and further ones,
such as ``<output>_alone``, or None where the model has no such outputs. Losses see them (`mmkeras.layers.batch`); the
model's own graph, and so every saved and exported file, is without them.
"""
