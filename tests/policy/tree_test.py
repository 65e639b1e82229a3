"""policy.tree: the tree in ARCHITECTURE.md is the tree on disk."""
import unittest

from policy_case import PolicyCase

TREE = "## Tree\n```\nsrc/\n  kvt/      all code\n    base/   no domain\n```\n"


class Tree(PolicyCase):
    def planted(self, *files):
        self.write("ARCHITECTURE.md", TREE)
        for name in files:
            self.write(name, "\n")
        return self.run_tool("check_tree.py", self.scratch)

    def test_project(self):
        self.assert_clean("check_tree.py")

    def test_equal_tree_passes(self):
        code, output = self.planted("src/kvt/base/x.h")
        self.assertEqual(code, 0, output)

    def test_new_folder_is_found(self):
        code, output = self.planted("src/kvt/base/x.h", "src/kvt/novel/x.h")
        self.assertEqual(code, 1)
        self.assertIn("src/kvt/novel/ exists, and ARCHITECTURE.md does not name it", output)

    def test_gone_folder_is_found(self):
        code, output = self.planted("src/kvt/main.cc")
        self.assertEqual(code, 1)
        self.assertIn("ARCHITECTURE.md names src/kvt/base/", output)

    def test_missing_tree_is_no_success(self):
        self.write("ARCHITECTURE.md", "no tree")
        self.assertEqual(self.run_tool("check_tree.py", self.scratch)[0], 1)


if __name__ == "__main__":
    unittest.main()
