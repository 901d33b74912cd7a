"""AnalogNAS-Bench: NAS-Bench-201 cells on CIFAR-10, on analog in-memory hardware."""

from __future__ import annotations

from typing import Any

from naslib_diffusion.spaces.nasbench201 import Cell, NASBench201
from naslib_diffusion.tables.nasbench201 import package_folder
from naslib_diffusion.tables.pickles import read_pickle
from naslib_diffusion.tables.table import Table, checked_values

OBJECTIVES = (
    "baseline_accuracy",
    "ptq_accuracy",
    "qat_accuracy",
    "noisy_accuracy",
    "analog_accuracy",
    "baseline_drift_60",
    "baseline_drift_3600",
    "baseline_drift_86400",
    "baseline_drift_2592000",
    "analog_drift_60",
    "analog_drift_3600",
    "analog_drift_86400",
    "analog_drift_2592000",
)
"""Accuracies in percent; `drift` ones after so many seconds on the device."""


class _Record:
    """Stands in for the two record classes of the file; has their attributes only."""

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)


_ADMITTED = {
    ("analognasbench.data", "Architecture"): _Record,
    ("analognasbench.data", "DriftMeasurement"): _Record,
}


def analog(objective: str) -> Table[Cell]:
    """Accuracy in percent on CIFAR-10 under one of `OBJECTIVES`; keys are in NASLib's coding."""
    folder = package_folder("analognasbench", "analog-nasbench", "[bench]")
    data: dict[tuple[int, ...], Any] = read_pickle(folder / "data.anb", _ADMITTED)
    name = f"analog/{objective}"
    measured = [getattr(record, objective) for record in data.values()]
    values = [value.value if isinstance(value, _Record) else value for value in measured]
    return Table(
        name,
        NASBench201(),
        [Cell.from_naslib(key) for key in data],
        checked_values(name, values),
        objective=f"{objective} (%)",
    )
