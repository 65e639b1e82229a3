"""KL divergence records: what `kvtuner eval kld` measures."""
import json
import pathlib
from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Sequence, Tuple

from ._program import Argument, run_json


@dataclass(frozen=True)
class Estimate:
    """A mean with the standard error over tokens and a 95 % interval over chunks (None with fewer than 8 chunks)."""
    value: float
    error: Optional[float]
    ci_low: Optional[float]
    ci_high: Optional[float]


@dataclass(frozen=True)
class PlanScore:
    """One plan against stock f16. `kld` is in nats per token, `same_top_1` a share."""
    name: str
    plan_sha256: Optional[str]
    payload_bits: float
    effective_bits: float
    at_floor: bool
    kld: Estimate
    same_top_1: Estimate


@dataclass(frozen=True)
class FloorScore:
    """The KLD of a cache without quantization: what cannot be told from noise."""
    name: str
    what: str
    mean: Estimate


@dataclass(frozen=True)
class KldRecord:
    """The scores of one context length."""
    tool_version: str
    model: Dict[str, Any]
    n_ctx: int
    n_chunks: int
    n_tokens: int
    plans: Tuple[PlanScore, ...]
    floors: Tuple[FloorScore, ...]
    warnings: Tuple[str, ...]


def _estimate(found: Dict[str, Any]) -> Estimate:
    return Estimate(found["value"], found.get("error"), found.get("ci_low"), found.get("ci_high"))


def _record(found: Dict[str, Any]) -> KldRecord:
    if found.get("schema") != "kvtuner.eval.kld" or found.get("schema_version") != 1:
        raise ValueError(f"not a record of kvtuner eval kld, version 1: {found.get('schema')} {found.get('schema_version')}")
    plans = tuple(
        PlanScore(plan["name"], plan["plan_sha256"], plan["payload_bits"], plan["effective_bits"], plan["at_floor"],
                  _estimate(plan["kld"]["mean"]), _estimate(plan["kld"]["same_top_1"])) for plan in found["plans"])
    floors = tuple(FloorScore(floor["name"], floor["what"], _estimate(floor["mean"])) for floor in found["floors"])
    return KldRecord(found["tool_version"], found["model"], found["settings"]["n_ctx"], found["settings"]["n_chunks"],
                     found["n_tokens"], plans, floors, tuple(found["warnings"]))


def read_kld_record(path: Argument) -> List[KldRecord]:
    """Reads what `kvtuner eval kld -o FILE` wrote: one record for each context length. Raises ValueError, OSError."""
    found = json.loads(pathlib.Path(str(path)).read_text(encoding="utf-8"))
    return [_record(one) for one in (found if isinstance(found, list) else [found])]


def eval_kld(model: Argument, plans: Sequence[Argument], *, ctx: int = 512, chunks: Optional[int] = None,
             text: Optional[Argument] = None) -> KldRecord:
    """Measures plans (files or short forms) against stock f16. Raises KvtunerError."""
    arguments: List[Argument] = ["eval", "kld", "-m", model, "-c", ctx]
    for plan in plans:
        arguments += ["--plan", plan]
    if chunks is not None:
        arguments += ["--chunks", chunks]
    if text is not None:
        arguments += ["--text", text]
    return _record(run_json(*arguments))
