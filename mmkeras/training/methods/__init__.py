"""Training methods, one file each: the model, losses and inputs of a stage.

``mmkeras/training/methods/<name>.py`` has one frozen dataclass ``Method``, a
`mmkeras.training.methods._contract.TrainingMethod`. Its fields are the options of the configuration. Only ``losses`` is
required. Checkpoints, interrupts, divergence, clusters, progress and TensorBoard are common to all methods
(`mmkeras.training.stage_fit`).
"""
