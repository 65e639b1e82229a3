"""kvtuner from Python: runs the program of this package and reads its JSON.

    import kvtuner
    plan = kvtuner.read_plan("tuned/plan.json", ctx=8192)
    print(plan.effective_bits, [(layer.k, layer.v) for layer in plan.layers])
    record = kvtuner.eval_kld("model.gguf", ["tuned/plan.json", "kivi:KV4"], chunks=8)
    print(record.plans[0].kld.value, "noise floor", record.floors[0].mean.value)
"""
from ._program import KvtunerError, environment, plugin_path, program_path, run, run_json
from .plans import LayerFormat, Measured, PlanSummary, read_plan
from .records import Estimate, FloorScore, KldRecord, PlanScore, eval_kld, read_kld_record

__all__ = [
    "Estimate", "FloorScore", "KldRecord", "KvtunerError", "LayerFormat", "Measured", "PlanScore", "PlanSummary",
    "environment", "eval_kld", "plugin_path", "program_path", "read_kld_record", "read_plan", "run", "run_json",
]
