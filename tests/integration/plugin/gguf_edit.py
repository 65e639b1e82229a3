"""Makes GGUF files out of a tiny llama model: of another architecture with the same weights, or with rows of a weight scaled."""
import struct

SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
UINT32, FLOAT32, BOOL, STRING, ARRAY = 4, 6, 7, 8, 9


class Reader:
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

    def head(self):
        """Skips all before the descriptions of the tensors. Returns magic, version, the number of tensors, {key: (kind, bytes of its value)}."""
        magic, version, n_tensors, n_pairs = self.scalar("I"), self.scalar("I"), self.scalar("Q"), self.scalar("Q")
        pairs = {}
        for _ in range(n_pairs):
            key = self.string().decode()
            kind = self.scalar("I")
            pairs[key] = kind, self.value(kind)
        return magic, version, n_tensors, pairs

    def tensor(self):
        """Skips the description of a tensor. Returns name, shape, kind, offset."""
        name = self.string().decode()
        shape = [self.scalar("Q") for _ in range(self.scalar("I"))]
        return name, shape, self.scalar("I"), self.scalar("Q")


def string(text):
    return struct.pack("<Q", len(text)) + text


def encode(value):
    """(kind, bytes) of a Python value: bool, int, float, str, or a list of one of them."""
    if isinstance(value, list):
        kinds = [encode(item) for item in value]
        return ARRAY, struct.pack("<IQ", kinds[0][0], len(value)) + b"".join(item for _, item in kinds)
    if isinstance(value, bool):
        return BOOL, struct.pack("<?", value)
    if isinstance(value, int):
        return UINT32, struct.pack("<I", value)
    if isinstance(value, float):
        return FLOAT32, struct.pack("<f", value)
    return STRING, string(value.encode())


def change_architecture(source, target, architecture, changes, vectors=()):
    """Keys "llama.*" become "<architecture>.*"; `changes` {key without prefix: value} are set or added, and `vectors`, pairs of a name
    and a list of floats, become more tensors."""
    with open(source, "rb") as f:
        data = f.read()
    r = Reader(data)
    magic, version, n_tensors, found = r.head()
    pairs = {key.replace("llama.", architecture + ".") if key.startswith("llama.") else key: value for key, value in found.items()}
    alignment = struct.unpack("<I", pairs["general.alignment"][1])[0] if "general.alignment" in pairs else 32
    infos = r.at
    for _ in range(n_tensors):
        r.tensor()
    tensors, weights = data[infos:r.at], data[(r.at + alignment - 1) // alignment * alignment:]
    for name, values in vectors:
        weights += b"\0" * (-len(weights) % alignment)
        tensors += string(name.encode()) + struct.pack("<IQIQ", 1, len(values), 0, len(weights))  # one dimension, f32
        weights += struct.pack(f"<{len(values)}f", *values)
    pairs["general.architecture"] = encode(architecture)
    pairs.update({f"{architecture}.{key}": encode(value) for key, value in changes.items()})
    head = struct.pack("<IIQQ", magic, version, n_tensors + len(vectors), len(pairs))
    for key, (kind, value) in pairs.items():
        head += string(key.encode()) + struct.pack("<I", kind) + value
    head += tensors
    with open(target, "wb") as f:
        f.write(head + b"\0" * (-len(head) % alignment) + weights)


def scale_rows(source, target, factors):
    """`factors` {name of a 2-d f32 tensor: {row: factor}}."""
    with open(source, "rb") as f:
        data = bytearray(f.read())
    r = Reader(bytes(data))
    n_tensors = r.head()[2]
    tensors = {name: rest for name, *rest in (r.tensor() for _ in range(n_tensors))}
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
