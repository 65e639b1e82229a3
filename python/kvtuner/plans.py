"""What a plan holds, as `kvtuner plan show` says it."""
from dataclasses import dataclass
from typing import Any, Dict, Tuple

from ._program import Argument, run_json


@dataclass(frozen=True)
class LayerFormat:
    """Formats of one layer, and the bytes they take for the asked context."""
    layer: int
    k: str
    v: str
    k_bytes: int
    v_bytes: int


@dataclass(frozen=True)
class Measured:
    """A measurement that the plan carries; `floor` is the noise floor in the same unit."""
    metric: str
    unit: str
    value: float
    floor: float
    n: int


@dataclass(frozen=True)
class PlanSummary:
    """Sizes are exact: `bytes` is the KV buffer size that llama.cpp logs for n_seq sequences of n_ctx / n_seq tokens."""
    model: Dict[str, Any]
    mode: str
    payload_bits: float
    effective_bits: float
    n_ctx: int
    n_seq: int
    bytes: int
    bytes_f16: int
    layers: Tuple[LayerFormat, ...]
    measured: Tuple[Measured, ...]


def read_plan(path: Argument, ctx: int = 4096, parallel: int = 1) -> PlanSummary:
    """Reads a plan file. Raises KvtunerError if it is none, naming the offending value by its JSON pointer."""
    shown = run_json("plan", "show", path, "-c", ctx, "--parallel", parallel)
    return PlanSummary(
        model=shown["model"], mode=shown["mode"], payload_bits=shown["payload_bits"], effective_bits=shown["effective_bits"],
        n_ctx=shown["n_ctx"], n_seq=shown["n_seq"], bytes=shown["bytes"], bytes_f16=shown["bytes_f16"],
        layers=tuple(LayerFormat(**layer) for layer in shown["layers"]), measured=tuple(Measured(**one) for one in shown["measured"]))
