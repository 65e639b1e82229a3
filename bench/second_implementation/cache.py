"""What a plan does to K and V, in numpy from docs/formats/plan.md and the formulas of quant/codec.h: rows in, rows as read back out."""
import json
import re

import numpy as np

SHRINK = {4: 0.95, 3: 0.9, 2: 0.8}  # of the range, with one-byte parameters


def tensors_of(path):
    """Tensors of a safetensors file by name."""
    data = path.read_bytes()
    n = int.from_bytes(data[:8], "little")
    types = {"F32": np.float32, "F16": np.float16}
    out = {}
    for name, t in json.loads(data[8 : 8 + n]).items():
        if name != "__metadata__":
            begin, end = t["data_offsets"]
            out[name] = np.frombuffer(data[8 + n + begin : 8 + n + end], types[t["dtype"]]).reshape(t["shape"]).astype(np.float32)
    return out


def f16(x):
    return x.astype(np.float16).astype(np.float32)


def byte_parameters(low, high, bits):
    """Scale and offset of one byte each."""
    n = 2**bits - 1
    low, high = np.minimum(low, 0), np.maximum(high, 0)
    raw = ((high - low) * np.float32(SHRINK.get(bits, 1)) / n).astype(np.float16).view(np.uint16).astype(np.int64)
    byte = np.minimum((raw + (127 if bits in (6, 8) else 64)) >> 7, 247)  # up for 6 and 8 bits; ties of the others differ at most
    s = (byte << 7).astype(np.uint16).view(np.float16).astype(np.float32)
    step = s * np.float32(2**bits / 256)
    with np.errstate(divide="ignore", invalid="ignore"):
        offset = np.clip(np.rint(-((low + high) / 2 - s * n / 2) / step), 0, 255)
    return s, np.where(s > 0, -offset * step, 0)


def f16_parameters(low, high, bits):
    return f16((high - low) / (2**bits - 1)), f16(low)


def rounded(x, s, z, bits):
    with np.errstate(divide="ignore", invalid="ignore"):
        q = np.where(s > 0, np.clip(np.rint((x - z) / s), 0, 2**bits - 1), 0)
    return q * s + z


def per_token(x, bits, group, scale, feedback):
    """x [n, heads, dim]; one scale and offset for `group` channels of a token."""
    n, heads, dim = x.shape
    groups = x.reshape(n, heads, dim // group, group)
    low, high = groups.min(-1, keepdims=True), groups.max(-1, keepdims=True)
    s, z = (byte_parameters if scale == "byte" else f16_parameters)(low, high, bits)
    if feedback is None:
        return rounded(groups, s, z, bits).reshape(x.shape)
    s, z = (np.repeat(p, group, -1).reshape(x.shape) for p in (s, z))
    y, out = x.copy(), np.empty_like(x)
    for i in reversed(range(dim)):
        out[..., i] = rounded(y[..., i], s[..., i], z[..., i], bits)
        error = out[..., i] - x[..., i]
        y[..., :i] -= feedback[None, :, i, :i] * error[..., None]
    return out


def per_channel(x, bits, group):
    """One scale and offset for each channel over `group` tokens; a block that is not full stays at 16 bits."""
    out = f16(x)
    for at in range(0, len(x) - len(x) % group, group):
        block = x[at : at + group]
        s, z = f16_parameters(block.min(0), block.max(0), bits)
        out[at : at + group] = rounded(block, s, z, bits)
    return out


class Side:
    """K or V of one layer."""

    def __init__(self, name, transform, tensors):
        self.name, self.transform = name, transform
        if transform:
            self.center = tensors["center"]
            heads, dim = self.center.shape
            self.matrix = tensors.get("matrix", np.broadcast_to(hadamard(dim), (heads, dim, dim)))
            self.matrix = self.matrix * tensors["scale"][:, None, :] if "scale" in tensors else self.matrix
            self.inverse = np.linalg.inv(self.matrix.astype(np.float64)).astype(np.float32)
            self.feedback = None
            if "feedback" in tensors:
                self.feedback = np.zeros((heads, dim, dim), np.float32)
                self.feedback[:, *np.tril_indices(dim, -1)] = tensors["feedback"]

    def codes(self, x):
        if self.name == "f16":
            return f16(x)
        bits, axis, group, rest = re.fullmatch(r"int(\d)\.p([tc])(\d+)(.*)", self.name).groups()
        if axis == "c":
            return per_channel(x, int(bits), int(group))
        if "sealed" in rest:
            full = len(x) - len(x) % 32
            return np.concatenate([per_token(x[:full], int(bits), int(group), "f16", None), f16(x[full:])])
        return per_token(x, int(bits), int(group), "byte" if "byte" in rest else "f16", self.feedback if self.transform else None)

    def read_back(self, x):
        if not self.transform:
            return self.codes(x)
        y = np.einsum("hij,nhj->nhi", self.matrix, x - self.center)
        return np.einsum("hij,nhj->nhi", self.inverse, self.codes(y)) + self.center


def hadamard(dim):
    block = dim & -dim
    h = np.ones((1, 1), np.float32)
    while len(h) < block:
        h = np.block([[h, h], [h, -h]])
    return np.kron(np.eye(dim // block, dtype=np.float32), h / np.sqrt(np.float32(block)))


class Cache:
    """The `cache` of Model.forward for the plan in a file."""

    def __init__(self, path):
        plan = json.loads(path.read_text())
        self.sinks = plan["sink_tokens"]
        tensors = tensors_of(path.parent / plan["calibration"]["file"]) if plan["calibration"] else {}
        self.sides = {}
        for layer in plan["layers"]:
            for side, word in (("k", "key"), ("v", "value")):
                transform = layer.get(f"{side}_transform")
                prefix = f"blk.{layer['layer']}.{word}.{transform}."
                mine = {name[len(prefix) :]: t for name, t in tensors.items() if name.startswith(prefix)}
                self.sides[layer["layer"], side] = Side(layer[side], transform, mine)

    def __call__(self, layer, k, v):
        out = []
        for side, x in (("k", k), ("v", v)):
            read = self.sides[layer, side].read_back(x)
            read[: self.sinks] = f16(x[: self.sinks])
            out.append(read)
        return out
