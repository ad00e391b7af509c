"""Simulated drives in nuScenes format: pictures of a front camera and sweeps of three radars. No TensorFlow.

An ego vehicle follows a road among cars, trucks, pedestrians and cyclists that move by simple dynamics, past houses,
trees, poles, rails and walls. Class, colour and direction show in the picture; range and speed show in the radar, whose
returns hardly depend on class. Night and fog blind the camera. Numbers measured on such drives compare models and
sensors with each other; they do not predict performance on a real road.

- ``config``: the options and the conditions of each scene
- ``roads``, ``world``, ``agents``, ``dynamics``, ``scenery``: the objects and their motion
- ``mesh``, ``shapes``, ``fixture_shapes``, ``camera``, ``canvas``, ``painting``, ``weather``, ``exposure``: the picture
- ``radar``: the sweeps
- ``scene_rows``, ``scene_writer``, ``simulate``: the files
"""

from mmkeras.driving.simulation.config import SimulationConfig
from mmkeras.driving.simulation.simulate import simulate

__all__ = ["SimulationConfig", "simulate"]
