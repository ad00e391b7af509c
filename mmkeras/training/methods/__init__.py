"""Training methods, one file each, found by its name: what a stage of a run trains, on which loss and which inputs.

A method ``mmkeras/training/methods/<name>.py`` has one frozen dataclass ``Method``, a
`mmkeras.training.methods._contract.TrainingMethod`. Its fields are the options that a configuration can set. Only
``losses`` is required; every other method of the class has a default there. Checkpoints, interrupts, divergence,
clusters, progress and TensorBoard are common to all methods: `mmkeras.training.stage_fit`.
"""
