"""What kvtuner does where the machine says no: full disk, read-only folder, few file descriptors, little memory, small files.

Every stage then ends with an exit code of its own (no signal) and one clear line, leaves whole files, and goes on from them when there is room:
the result is that of an undisturbed run. Paths come from the environment, as in jobs.py.

Disks are file systems in memory, mounted in a mount namespace of this test; where none can be made, Disk is skipped.
"""
import os
import pathlib
import resource
import shutil
import subprocess
import sys
import tempfile
import unittest

import jobs

INSIDE = "KVT_TEST_IN_NAMESPACE"
# Programs and libraries below kvtuner that say it themselves: the loader, the OpenMP runtime, the C++ runtime.
LOADER = "error while loading shared libraries"
OPENMP = "libgomp: "


def reference(job):
    with tempfile.TemporaryDirectory() as folder:
        said = jobs.finish(job, folder)
        assert not said, said
        return jobs.results(folder)[0]


class Limits(unittest.TestCase):
    maxDiff = None

    def ended_in_words(self, done, what):
        """Whether it succeeded; fails unless it did or said why not in one line."""
        self.assertGreaterEqual(done.returncode, 0, (what, done.stderr[-600:]))
        if done.returncode == 0:
            return True
        last = done.stderr.strip().splitlines()[-1] if done.stderr.strip() else ""
        self.assertTrue(last.startswith("kvtuner: ") or LOADER in last or last.startswith(OPENMP), (what, done.returncode, done.stderr[-600:]))
        self.assertNotIn("internal error", last, what)
        return False

    def run_limited(self, arguments, folder, limits=()):
        def limit():
            for kind, value in limits:
                resource.setrlimit(kind, (value, value))
        return subprocess.run([jobs.PROGRAM, *arguments], env=jobs.environment(folder), stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=600, preexec_fn=limit)


class Process(Limits):
    """Limits of the process, for every job: each limit is raised until it no longer hinders."""

    def raise_until_enough(self, job, kind, values):
        expected, failures = reference(job), []
        with tempfile.TemporaryDirectory() as folder:
            for value in values:
                done = self.run_limited(jobs.JOBS[job](folder), folder, [(kind, value)])
                whole, _ = jobs.results(folder)  # fails if a file is damaged
                if self.ended_in_words(done, (job, value)):
                    break
                failures.append(done.stderr.strip().splitlines()[-1])
            self.assertEqual(jobs.finish(job, folder), "")
            whole, left = jobs.results(folder)
            self.assertEqual((jobs.differences(expected, whole), left), ([], []), job)
        self.assertTrue(failures, job)
        return failures

    def test_file_size(self):
        for job in jobs.JOBS:
            with self.subTest(job):
                words = self.raise_until_enough(job, resource.RLIMIT_FSIZE, [0, 64, 1000, 3000, 10000, 30000, 100000])
                self.assertTrue(any("File too large" in line for line in words), words)

    def test_file_descriptors(self):
        for job in jobs.JOBS:
            with self.subTest(job):
                words = self.raise_until_enough(job, resource.RLIMIT_NOFILE, [3, 4, 5, 6, 7, 8, 9, 10, 12, 16, 24, 32])
                self.assertTrue(any("Too many open files" in line or "Error 24" in line for line in words), words)

    def test_memory(self):
        for job in jobs.JOBS:
            with self.subTest(job):
                words = self.raise_until_enough(job, resource.RLIMIT_AS, [mib << 20 for mib in (20, 40, 80, 120, 160, 200, 260, 340, 500, 700, 1000)])
                for line in words:
                    self.assertRegex(line, "(?i)memory|alloc|map segment|thread creation")


class Disk(Limits):
    def setUp(self):
        if INSIDE not in os.environ:
            self.skipTest("no mount namespace can be made here")
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        self.folder = pathlib.Path(place.name)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", place.name], check=True)
        self.addCleanup(subprocess.run, ["umount", place.name], check=True)

    def remount(self, how):
        subprocess.run(["mount", "-o", f"remount,{how}", str(self.folder)], check=True)

    def test_full_disk(self):
        for job in jobs.JOBS:
            with self.subTest(job):
                self.remount("size=16k")
                expected, failures = reference(job), []
                for kib in (4, 8, 16, 32, 64, 128, 256, 512, 1024):
                    self.remount(f"size={kib}k")
                    done = self.run_limited(jobs.JOBS[job](self.folder), self.folder)
                    jobs.results(self.folder)
                    if self.ended_in_words(done, (job, kib)):
                        break
                    failures.append(done.stderr.strip().splitlines()[-1])
                self.assertTrue(any("No space left on device" in line for line in failures), (job, failures))
                self.remount("size=64m")
                self.assertEqual(jobs.finish(job, self.folder), "")
                whole, left = jobs.results(self.folder)
                self.assertEqual((jobs.differences(expected, whole), left), ([], []), job)
                for path in self.folder.iterdir():
                    shutil.rmtree(path) if path.is_dir() else path.unlink()

    def test_read_only_folder(self):
        for job in jobs.JOBS:
            with self.subTest(job):
                self.remount("ro,size=16k")
                done = self.run_limited(jobs.JOBS[job](self.folder), self.folder)
                self.assertFalse(self.ended_in_words(done, job))
                self.assertIn("Read-only file system", done.stderr)
                self.remount("rw,size=64m")
                self.assertEqual(list(self.folder.iterdir()), [])

    def test_plans_reports_and_exports(self):
        """Commands that write one file: to a full disk, to a read-only one; the file of before stays."""
        self.remount("size=64m")
        study, plan = self.folder / "from", self.folder / "plan.json"
        self.assertEqual(jobs.finish("tune", study), "")
        commands = {
            "plan make": ["plan", "make", "kivi:KV4", "-m", jobs.MODEL, "-o", plan],
            "report": ["report", study / "tuned", "-o", self.folder / "report.html"],
            "export": ["export", plan, "--to", "gguf", "-o", self.folder / "keys.json"],
        }
        for name, command in commands.items():
            with self.subTest(name):
                output = pathlib.Path(command[-1])
                arguments = [str(argument) for argument in command]
                done = self.run_limited(arguments, self.folder)
                self.assertEqual(done.returncode, 0, done.stderr)
                before = output.read_bytes()
                (self.folder / "ballast").write_bytes(b"")
                for state, words in (("ro", "Read-only file system"), ("rw", "No space left on device")):
                    self.remount(f"{state},size=64m")
                    if state == "rw":
                        with open(self.folder / "ballast", "wb", buffering=0) as ballast:
                            try:
                                while True:
                                    ballast.write(bytes(1 << 16))
                            except OSError:
                                pass
                    done = self.run_limited(arguments, self.folder)
                    self.assertFalse(self.ended_in_words(done, (name, state)))
                    self.assertIn(words, done.stderr)
                    self.assertEqual(output.read_bytes(), before)
                (self.folder / "ballast").unlink()
                self.assertEqual([path for path in jobs.files(self.folder) if jobs.is_temporary(path)], [])


if __name__ == "__main__":
    if INSIDE not in os.environ:
        for command in (["unshare", "-rm"], ["unshare", "-m"]):
            if shutil.which("unshare") and subprocess.run([*command, "mount", "-t", "tmpfs", "tmpfs", tempfile.gettempdir()], capture_output=True).returncode == 0:
                os.environ[INSIDE] = "1"
                os.execvp(command[0], [*command, sys.executable, "-B", *sys.argv])
    unittest.main()
