"""Simulated drives in nuScenes format: pictures of a front camera and sweeps of three radars. No TensorFlow.

An ego vehicle follows a road among cars, trucks, pedestrians and cyclists that move by simple dynamics, past houses,
trees, poles, rails and walls. Class, colour and direction are in the picture; range and speed are in the radar, whose
returns say little about class. Night and fog blind the camera. Numbers measured on such drives are simulated: they
compare models and sensors with each other and say nothing about performance on a real road.

- ``config``: the options; ``conditions``: light and weather of each scene
- ``roads``, ``world``, ``agents``, ``dynamics``, ``scenery``: the objects and their motion
- ``mesh``, ``shapes``, ``fixture_shapes``, ``camera``, ``painting``, ``weather``, ``visibility``, ``exposure``: the
  picture
- ``radar``: the sweeps
- ``scene_rows``, ``scene_writer``, ``sample_page``, ``simulate``: the files
"""

from mmkeras.driving.simulation.config import SimulationConfig
from mmkeras.driving.simulation.simulate import simulate

__all__ = ["SimulationConfig", "simulate"]
