"""The plugin reads the files that are named to it and no others, and writes none: what lies beside the plan, in the working folder, at home and
in the plan library is not touched. The kernel's notices (inotify) say which files of those folders were opened.
"""
import ctypes
import os
import pathlib
import shutil
import struct
import subprocess
import tempfile
import unittest

import stock

IN_OPEN, IN_CREATE, IN_MOVED_TO, IN_MODIFY = 0x20, 0x100, 0x80, 0x2
DECOYS = ("plan.json", "kvtuner.json", "calibration.safetensors", "other.safetensors", "other.json", ".env", "config", "ggml-kvtuner.conf")


class Notices:
    """Names of the files in some folders that anybody opened or changed meanwhile."""

    def __init__(self, folders):
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.fd = self.libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self.fd < 0:
            raise unittest.SkipTest("this kernel has no inotify")
        self.folders = {self.libc.inotify_add_watch(self.fd, os.fsencode(folder), IN_OPEN | IN_CREATE | IN_MOVED_TO | IN_MODIFY): str(folder)
                        for folder in folders}
        if -1 in self.folders:
            raise OSError(ctypes.get_errno(), "inotify_add_watch")

    def take(self):
        """{(folder, name): events so far}"""
        seen = {}
        while True:
            try:
                data = os.read(self.fd, 1 << 16)
            except BlockingIOError:
                return seen
            while data:
                watch, mask, _, size = struct.unpack_from("iIII", data)
                name = os.fsdecode(data[16:16 + size].rstrip(b"\0"))
                data = data[16 + size:]
                if not mask & 0x40000000:  # folders themselves are looked into by nobody's promise
                    key = (self.folders[watch], name)
                    seen[key] = seen.get(key, 0) | mask

    def close(self):
        os.close(self.fd)


class Reads(unittest.TestCase):
    def test_only_what_is_named(self):
        plans = stock.Plans()
        with tempfile.TemporaryDirectory() as place:
            home, data, work, beside = (pathlib.Path(place) / name for name in ("home", "data", "work", "beside"))
            library = data / "kvtuner/plans"
            for folder in (home, library, work, beside):
                folder.mkdir(parents=True)
                for name in DECOYS:
                    (folder / name).write_text("{}")
            source = pathlib.Path(plans["rotated:KV4"])
            named = beside / "named.json"
            # A plan's calibration lies beside it, under the name that the plan says.
            for path in source.parent.iterdir():
                shutil.copy(path, beside / (named.name if path == source else path.name))
            side_file = source.with_suffix(".safetensors").name
            environment = stock.environment(str(named), HOME=str(home), XDG_DATA_HOME=str(data))
            notices = Notices([home, library, work, beside])
            self.addCleanup(notices.close)
            done = subprocess.run([os.path.join(stock.LLAMA, "llama-completion"), "-m", stock.MODEL, "--device", "KVT0", "-t", "1", "-c", "256", "-n", "8",
                                   "-p", "Once upon a time", "-no-cnv", "--no-warmup", "--temp", "0"], env=environment, cwd=work, stdin=subprocess.DEVNULL,
                                  capture_output=True, text=True, timeout=300)
            self.assertEqual(done.returncode, 0, done.stderr[-2000:])
            self.assertIn("Once upon a time", done.stdout)
            seen = notices.take()
            self.assertEqual(seen, {(str(beside), named.name): IN_OPEN, (str(beside), side_file): IN_OPEN})
            # The notices work: a decoy that is read is seen.
            (home / DECOYS[0]).read_text()
            self.assertEqual(notices.take(), {(str(home), DECOYS[0]): IN_OPEN})


if __name__ == "__main__":
    unittest.main()
