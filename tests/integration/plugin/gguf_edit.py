"""Makes GGUF files out of a tiny llama model: of another architecture with the same weights, or with rows of a weight scaled."""
import struct

SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
UINT32, FLOAT32, BOOL, STRING, ARRAY = 4, 6, 7, 8, 9


class _Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def scalar(self, code):
        value, = struct.unpack_from("<" + code, self.data, self.at)
        self.at += struct.calcsize("<" + code)
        return value

    def string(self):
        n = self.scalar("Q")
        self.at += n
        return self.data[self.at - n:self.at]

    def value(self, kind):
        """Skips a value, returns its bytes."""
        start = self.at
        if kind == STRING:
            self.string()
        elif kind == ARRAY:
            inner = self.scalar("I")
            for _ in range(self.scalar("Q")):
                self.value(inner)
        else:
            self.scalar(SCALARS[kind])
        return self.data[start:self.at]


def _string(text):
    return struct.pack("<Q", len(text)) + text


def _encode(value):
    """(kind, bytes) of a Python value: bool, int, float, str, or a list of one of them."""
    if isinstance(value, list):
        kinds = [_encode(item) for item in value]
        return ARRAY, struct.pack("<IQ", kinds[0][0], len(value)) + b"".join(item for _, item in kinds)
    if isinstance(value, bool):
        return BOOL, struct.pack("<?", value)
    if isinstance(value, int):
        return UINT32, struct.pack("<I", value)
    if isinstance(value, float):
        return FLOAT32, struct.pack("<f", value)
    return STRING, _string(value.encode())


def change_architecture(source, target, architecture, changes, vectors=()):
    """Keys "llama.*" become "<architecture>.*"; `changes` {key without prefix: value} are set or added, and `vectors`, pairs of a name
    and a list of floats, become more tensors."""
    with open(source, "rb") as f:
        data = f.read()
    r = _Reader(data)
    magic, version, n_tensors, n_pairs = r.scalar("I"), r.scalar("I"), r.scalar("Q"), r.scalar("Q")
    pairs = {}
    for _ in range(n_pairs):
        key = r.string().decode()
        kind = r.scalar("I")
        pairs[key.replace("llama.", architecture + ".") if key.startswith("llama.") else key] = (kind, r.value(kind))
    alignment = struct.unpack("<I", pairs["general.alignment"][1])[0] if "general.alignment" in pairs else 32
    infos = r.at
    for _ in range(n_tensors):
        r.string()
        for _ in range(r.scalar("I")):
            r.scalar("Q")
        r.scalar("I")
        r.scalar("Q")
    tensors, weights = data[infos:r.at], data[(r.at + alignment - 1) // alignment * alignment:]
    for name, values in vectors:
        weights += b"\0" * (-len(weights) % alignment)
        tensors += _string(name.encode()) + struct.pack("<IQIQ", 1, len(values), 0, len(weights))  # one dimension, f32
        weights += struct.pack(f"<{len(values)}f", *values)
    pairs["general.architecture"] = _encode(architecture)
    pairs.update({f"{architecture}.{key}": _encode(value) for key, value in changes.items()})
    head = struct.pack("<IIQQ", magic, version, n_tensors + len(vectors), len(pairs))
    for key, (kind, value) in pairs.items():
        head += _string(key.encode()) + struct.pack("<I", kind) + value
    head += tensors
    with open(target, "wb") as f:
        f.write(head + b"\0" * (-len(head) % alignment) + weights)


def scale_rows(source, target, factors):
    """`factors` {name of a 2-d f32 tensor: {row: factor}}."""
    with open(source, "rb") as f:
        data = bytearray(f.read())
    r = _Reader(bytes(data))
    r.scalar("I"), r.scalar("I")
    n_tensors, n_pairs = r.scalar("Q"), r.scalar("Q")
    for _ in range(n_pairs):
        r.string()
        r.value(r.scalar("I"))
    tensors = {}
    for _ in range(n_tensors):
        name = r.string().decode()
        shape = [r.scalar("Q") for _ in range(r.scalar("I"))]
        tensors[name] = shape, r.scalar("I"), r.scalar("Q")
    weights = (r.at + 31) // 32 * 32
    for name, rows in factors.items():
        (width, _), kind, offset = tensors[name]
        assert kind == 0, f"{name} is not f32"
        for row, factor in rows.items():
            at = weights + offset + 4 * width * row
            values = struct.unpack_from(f"<{width}f", data, at)
            struct.pack_into(f"<{width}f", data, at, *(factor * value for value in values))
    with open(target, "wb") as f:
        f.write(data)
