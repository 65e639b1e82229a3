"""policy.release: one version everywhere, and what CI, hooks, image and documents call exists."""
import unittest

from policy_case import PolicyCase


class Release(PolicyCase):
    def planted(self, cited="1.2.0", changed="1.2.0", workflow="run: scripts/build.sh\n"):
        self.write("CMakeLists.txt", "project(kvtuner VERSION 1.2.0 LANGUAGES CXX)\n")
        self.write("CITATION.cff", f"cff-version: 1.2.0\nversion: {cited}\n")
        self.write("CHANGELOG.md", f"# Changelog\n\n## {changed} (not released)\n")
        self.write(".github/workflows/test.yml", workflow)
        self.write("scripts/build.sh", "#!/bin/sh\n").chmod(0o755)
        self.write("scripts/private.sh", "#!/bin/sh\n").chmod(0o644)
        return self.run_tool("check_release.py", self.scratch)

    def assert_found(self, outcome, message):
        self.assertEqual(outcome[0], 1, outcome[1])
        self.assertIn(message, outcome[1])

    def test_project(self):
        self.assert_clean("check_release.py")

    def test_equal_versions_and_real_scripts_pass(self):
        code, output = self.planted()
        self.assertEqual(code, 0, output)

    def test_another_version_is_found(self):
        self.assert_found(self.planted(cited="1.1.0"), "CITATION.cff: version 1.1.0, and CMakeLists.txt has 1.2.0")
        self.assert_found(self.planted(changed="1.1.0"), "CHANGELOG.md: no section for 1.2.0")

    def test_missing_script_is_found(self):
        self.assert_found(self.planted(workflow="run: scripts/gone.sh --all\n"), "test.yml: names scripts/gone.sh, which does not exist")
        self.assert_found(self.planted(workflow="run: ./scripts/private.sh\n"), "scripts/private.sh, which cannot be executed")


if __name__ == "__main__":
    unittest.main()
