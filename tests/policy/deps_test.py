"""policy.deps: includes follow the dependency table of ARCHITECTURE.md."""
import unittest

from policy_case import ROOT, PolicyCase
import check_deps

TABLE = """## Dependency table
| component | may include | third-party |
|---|---|---|
| base | - | openssl |
| plan | base | - |
| engine | base, plan | - |
| engine/llama | base, engine | llama |
| tuner/records | base | - |
"""


class Deps(PolicyCase):
    def planted(self, name, text):
        self.write("ARCHITECTURE.md", TABLE)
        self.write("src/kvt/base/result.h", "")
        self.write("src/kvt/plan/plan.h", '#include "kvt/base/result.h"\n')
        self.write("src/kvt/engine/llama/runner.h", "#include <llama.h>\n")
        self.write("src/kvt/tuner/records.h", "#include <string>\n")
        self.write(name, text)
        return self.run_tool("check_deps.py", self.scratch)

    def test_project(self):
        self.assert_clean("check_deps.py")

    def test_legal_includes_pass(self):
        code, output = self.planted("src/kvt/engine/x.cc", '#include <vector>\n#include "kvt/plan/plan.h"\n')
        self.assertEqual(code, 0, output)

    def test_upward_include_is_found(self):
        code, output = self.planted("src/kvt/base/x.cc", '#include "kvt/plan/plan.h"\n')
        self.assertEqual(code, 1)
        self.assertIn('src/kvt/base/x.cc: base may not include plan ("kvt/plan/plan.h")', output)

    def test_inner_component_is_not_its_parent(self):
        code, output = self.planted("src/kvt/engine/x.cc", '#include "kvt/engine/llama/runner.h"\n')
        self.assertEqual(code, 1)
        self.assertIn("engine may not include engine/llama", output)

    def test_foreign_header_has_one_door(self):
        code, output = self.planted("src/kvt/plan/x.cc", "#  include <llama.h>\n")
        self.assertEqual(code, 1)
        self.assertIn("plan may not include llama headers", output)

    def test_relative_include_is_found(self):
        code, output = self.planted("src/kvt/plan/x.cc", '#include "plan.h"\n')
        self.assertEqual(code, 1)
        self.assertIn('"plan.h" is neither', output)

    def test_folder_without_row_is_found(self):
        code, output = self.planted("src/kvt/novel/x.cc", "\n")
        self.assertEqual(code, 1)
        self.assertIn("src/kvt/novel/x.cc: its folder is not in the table", output)

    def test_missing_input_is_no_success(self):
        self.write("ARCHITECTURE.md", TABLE)
        self.assertEqual(self.run_tool("check_deps.py", self.scratch)[0], 1)
        self.write("ARCHITECTURE.md", "no table")
        self.assertEqual(self.run_tool("check_deps.py", self.scratch)[0], 1)

    def test_cmake_links_no_more_than_the_table(self):
        """DEPS of kvt_component may name only what the table allows."""
        table = check_deps.read_table((ROOT / "ARCHITECTURE.md").read_text())
        found = check_deps.cmake_violations_of(ROOT, table)
        self.assertEqual(found, [])


if __name__ == "__main__":
    unittest.main()
