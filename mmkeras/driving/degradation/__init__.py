"""What is left of a model when a sensor is dead, late, turned or blind; the report finds it by its name."""

from mmkeras.driving.degradation.measure import (
    SCENARIOS,
    SHOWN,
    Scenario,
    degradation,
    degradation_figure,
    print_degradation,
    record_degradation,
)

__all__ = [
    "SCENARIOS",
    "SHOWN",
    "Scenario",
    "degradation",
    "degradation_figure",
    "print_degradation",
    "record_degradation",
]
