"""Man page and completions hold every subcommand and option that --help shows, and the shells really complete with them."""
import os
import pathlib
import pty
import re
import shutil
import subprocess
import tempfile
import time
import unittest

PROGRAM = pathlib.Path(os.environ["KVT_BUILD"]) / "bin" / "kvtuner"
ENTRY = re.compile(r"^  (\S.*?)(?:  |$)")


def kvtuner(*arguments):
    return subprocess.run([str(PROGRAM), *arguments], capture_output=True, text=True, check=True).stdout


def sections(help_text):
    """{"Options": [first column of each row], ...}"""
    found, name = {}, None
    for line in help_text.splitlines():
        if line in ("Options:", "Positionals:", "Subcommands:"):
            name = line[:-1]
        elif not line.startswith(" "):
            name = None
        elif name and (entry := ENTRY.match(line)):
            found.setdefault(name, []).append(entry[1])
    return found


def commands_of(path=()):
    """{("plan", "show"): ({"-h", "--help", ...}, {"subcommand", ...}), ...} as --help tells it."""
    parts = sections(kvtuner(*path, "--help"))
    options = {name.split("{")[0] for row in parts["Options"] for name in row.split()[0].split(",") if name.startswith("-")}
    children = {row.split()[0] for row in parts.get("Subcommands", [])}
    found = {path: (options, children)}
    for child in children:
        found.update(commands_of((*path, child)))
    return found


COMMANDS = commands_of()


class Completion(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.scratch = pathlib.Path(scratch.name)

    def script(self, shell, name):
        path = self.scratch / name
        path.write_text(kvtuner("completion", shell))
        return path

    def test_help_was_understood(self):
        self.assertGreater(len(COMMANDS), 20)
        self.assertIn("--max-kld", COMMANDS[("tune",)][0])
        self.assertIn("show", COMMANDS[("plan",)][1])

    # --- bash ---

    def bash(self, *lines):
        """What bash offers for each command line, the last word being the one to complete."""
        calls = []
        for words in lines:
            quoted = " ".join(f"'{word}'" for word in words)
            calls.append(f"COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; COMPREPLY=(); _kvtuner; echo \"${{COMPREPLY[*]}}\"")
        program = f". '{self.script('bash', 'kvtuner.bash')}'\n" + "\n".join(calls)
        done = subprocess.run(["bash", "--norc", "-c", program], capture_output=True, text=True, cwd=self.scratch, check=True)
        self.assertEqual(done.stderr, "")
        return [set(line.split()) for line in done.stdout.split("\n")[:-1]]

    def test_bash_offers_every_subcommand_and_option(self):
        paths = list(COMMANDS)
        for path, offered in zip(paths, self.bash(*[("kvtuner", *path, "-") for path in paths])):
            self.assertEqual(offered, COMMANDS[path][0], path)
        parents = [path for path in paths if COMMANDS[path][1]]
        for path, offered in zip(parents, self.bash(*[("kvtuner", *path, "") for path in parents])):
            self.assertGreaterEqual(offered, COMMANDS[path][1], path)

    def test_bash_offers_values_and_files(self):
        (self.scratch / "model.gguf").touch()
        lines = [("kvtuner", "tune", "--method", ""), ("kvtuner", "tune", "--method", "=", "kn"), ("kvtuner", "tune", "--method", "="),
                 ("kvtuner", "tune", "-m", "mo"), ("kvtuner", "tune", "--threads", ""), ("kvtuner", "serve", "--", "mo"),
                 ("kvtuner", "completion", "f"), ("kvtuner", "tune", "-o", "plan", "--no-p")]
        self.assertEqual(self.bash(*lines), [{"knapsack", "paper"}, {"knapsack"}, {"knapsack", "paper"}, {"model.gguf"}, set(),
                                             {"model.gguf"}, {"fish"}, {"--no-pruning"}])

    # --- zsh ---

    @unittest.skipUnless(shutil.which("zsh"), "no zsh: scripts/deps.sh --shells installs it")
    def test_zsh_completes(self):
        self.script("zsh", "_kvtuner")
        (self.scratch / "model.gguf").touch()
        report = self.scratch / "buffer"
        (self.scratch / ".zshrc").write_text(
            f"fpath=('{self.scratch}' $fpath)\nautoload -Uz compinit\ncompinit -u -D\nunsetopt BEEP\n"
            f"report() {{ print -r -- \"$BUFFER\" >'{report}.new'; mv '{report}.new' '{report}'; BUFFER=; }}\n"
            "zle -N report\nbindkey '^X' report\ntouch ready\n")
        child, terminal = pty.fork()
        if child == 0:
            os.chdir(self.scratch)
            os.execvpe("zsh", ["zsh", "-i"], {"ZDOTDIR": str(self.scratch), "PATH": os.environ["PATH"], "TERM": "dumb", "HOME": str(self.scratch)})
        try:
            self.wait_for(self.scratch / "ready", terminal)
            for typed, wanted in (("kvtuner plan sh", "kvtuner plan show "), ("kvtuner tune --max-k", "kvtuner tune --max-kld="),
                                  ("kvtuner tune --method kn", "kvtuner tune --method knapsack "), ("kvtuner completion f", "kvtuner completion fish "),
                                  ("kvtuner bench -m mo", "kvtuner bench -m model.gguf "), ("kvtuner docto", "kvtuner doctor ")):
                os.write(terminal, typed.encode() + b"\t\x18")
                self.wait_for(report, terminal)
                self.assertEqual(report.read_text().rstrip(), wanted.rstrip())
                report.unlink()
        finally:
            os.close(terminal)
            os.waitpid(child, 0)

    def wait_for(self, path, terminal):
        os.set_blocking(terminal, False)
        for _ in range(2400):  # two minutes, of a busy machine
            if path.exists():
                return
            try:
                os.read(terminal, 65536)  # an unread terminal would fill and stop the shell
            except BlockingIOError:
                pass
            time.sleep(0.05)
        self.fail(f"zsh did not write {path.name}")

    @unittest.skipUnless(shutil.which("zsh"), "no zsh: scripts/deps.sh --shells installs it")
    def test_zsh_has_every_option(self):
        script = self.script("zsh", "_kvtuner")
        subprocess.run(["zsh", "-n", str(script)], check=True)
        functions = dict(re.findall(r"^(_kvtuner\w*)\(\) \{\n(.*?)^\}$", script.read_text(), re.M | re.S))
        for path, (options, children) in COMMANDS.items():
            body = functions["_".join(["_kvtuner", *(name.replace("-", "_") for name in path)])]
            for name in options:
                self.assertRegex(body, rf"['{{,]{re.escape(name)}[=+]?[\[,}}]", path)
            for child in children:
                self.assertIn(f"'{child}:", body)

    # --- fish ---

    @unittest.skipUnless(shutil.which("fish"), "no fish: scripts/deps.sh --shells installs it")
    def test_fish_offers_every_subcommand_and_option(self):
        script = self.script("fish", "kvtuner.fish")
        for path, (options, children) in COMMANDS.items():
            line = " ".join(["kvtuner", *path])
            done = subprocess.run(["fish", "--no-config", "-c", f"source {script}; complete -C '{line} -'; complete -C '{line} --'; complete -C '{line} '"],
                                  capture_output=True, text=True, cwd=self.scratch, env={**os.environ, "HOME": str(self.scratch)}, check=True)
            offered = {row.split("\t")[0] for row in done.stdout.splitlines()}
            self.assertGreaterEqual({name.rstrip("=") for name in offered}, options | children, path)

    # --- man ---

    def test_man_page_has_every_option_in_its_section(self):
        page = kvtuner("man").replace("\\-", "-").replace("\\fB", "").replace("\\fR", "").replace("\\fI", "")
        parts = {"kvtuner": page.split(".SH OPTIONS\n")[1].split(".SH ")[0]}
        for part in page.split('.SS "')[1:]:
            title, body = part.split('"\n', 1)
            parts[title] = body
        for path, (options, _) in COMMANDS.items():
            names = {name for line in parts[" ".join(["kvtuner", *path])].split(".TP\n")[1:] for name in re.findall(r"(?<![\w-])--?\w[\w-]*", line.split("\n")[0])}
            self.assertGreaterEqual(names, options, path)

    @unittest.skipUnless(shutil.which("mandoc") and shutil.which("groff"), "no mandoc or no groff: scripts/deps.sh --shells installs both")
    def test_man_page_is_clean(self):
        page = self.scratch / "kvtuner.1"
        page.write_text(kvtuner("man"))
        self.assertEqual(subprocess.run(["mandoc", "-T", "lint", "-W", "warning", str(page)], capture_output=True, text=True).stdout, "")
        groff = subprocess.run(["groff", "-man", "-Tutf8", "-ww", "-z", str(page)], capture_output=True, text=True)
        self.assertEqual((groff.returncode, groff.stderr), (0, ""))


if __name__ == "__main__":
    unittest.main()
