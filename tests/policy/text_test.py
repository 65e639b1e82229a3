"""policy.text: ASCII, file length, absolute paths and open ends."""
import unittest

from policy_case import PolicyCase


class Text(PolicyCase):
    def planted(self, text):
        self.write("src/kvt/base/x.cc", text)
        return self.run_tool("check_text.py", self.scratch)

    def assert_found(self, text, message):
        code, output = self.planted(text)
        self.assertEqual(code, 1)
        self.assertIn(message, output)

    def test_project(self):
        self.assert_clean("check_text.py")

    def test_plain_file_passes(self):
        self.assertEqual(self.planted("// fine, also /usr/lib and ${HOME}/x\n")[0], 0)

    def test_non_ascii_is_found(self):
        self.assert_found("// ok\n// caf\u00e9\n", "src/kvt/base/x.cc:2: byte 0xc3 is not printable ASCII")

    def test_carriage_return_is_found(self):
        (self.scratch / "src").mkdir()
        (self.scratch / "src" / "y.cc").write_bytes(b"int x;\r\n")
        self.assertIn("src/y.cc:1: byte 0x0d", self.run_tool("check_text.py", self.scratch)[1])

    def test_long_file_is_found(self):
        self.assert_found("//\n" * 601, "src/kvt/base/x.cc: 601 lines, more than 600")
        self.assertEqual(self.planted("//\n" * 600)[0], 0)

    def test_open_end_is_found(self):
        self.assert_found("// TO" + "DO later\n", "something is left to do")

    def test_absolute_path_is_found(self):
        self.assert_found('open("/ho' + 'me/someone/x");\n', "absolute path of a machine")

    def test_empty_tree_is_no_success(self):
        self.assertEqual(self.run_tool("check_text.py", self.scratch)[0], 1)


if __name__ == "__main__":
    unittest.main()
