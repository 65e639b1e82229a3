"""policy.exports: the plugin exports its two entry points only, and cannot print or end its host."""
import unittest

from policy_case import BUILD, PolicyCase
import check_exports

ENTRY = "void ggml_backend_init(void) {}\nvoid ggml_backend_score(void) {}\n"


class Exports(PolicyCase):
    def found_in(self, text):
        return check_exports.violations_of(self.compile("planted", text, "-shared", "-fPIC", language="c"))

    def test_project(self):
        self.assert_clean("check_exports.py", BUILD / "bin" / "libggml-kvtuner.so")

    def test_two_symbols_pass(self):
        self.assertEqual(self.found_in(ENTRY), [])

    def test_third_symbol_is_found(self):
        self.assertEqual(self.found_in(ENTRY + "void leaked(void) {}\n"), ["exports leaked"])

    def test_missing_symbol_is_found(self):
        self.assertEqual(self.found_in("void ggml_backend_init(void) {}\n"), ["does not export ggml_backend_score"])

    def test_abort_and_printing_are_found(self):
        text = "#include <stdio.h>\n#include <stdlib.h>\nvoid ggml_backend_init(void) { puts(\"x\"); abort(); }\nvoid ggml_backend_score(void) {}\n"
        self.assertEqual(self.found_in(text), ["imports abort", "imports puts"])

    def test_missing_library_is_no_success(self):
        self.assertNotEqual(self.run_tool("check_exports.py", self.scratch, self.scratch / "none.so")[0], 0)


if __name__ == "__main__":
    unittest.main()
