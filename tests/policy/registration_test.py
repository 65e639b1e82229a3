"""policy.registration: a source or test file that CMake does not know is found."""
import unittest

from policy_case import PolicyCase


class Registration(PolicyCase):
    def planted(self, listing):
        self.write("tests/unit/base/rng_test.cc", "")
        self.write("tests/unit/base/CMakeLists.txt", listing)
        return self.run_tool("check_registration.py", self.scratch)

    def test_project(self):
        self.assert_clean("check_registration.py")

    def test_named_file_passes(self):
        self.assertEqual(self.planted("kvt_test(base_tests SOURCES rng_test.cc)\n")[0], 0)

    def test_forgotten_file_is_found(self):
        code, output = self.planted("kvt_test(base_tests SOURCES stats_test.cc)\n")
        self.assertEqual(code, 1)
        self.assertIn("tests/unit/base/rng_test.cc: no CMakeLists.txt names it", output)

    def test_longer_name_does_not_count(self):
        self.assertEqual(self.planted("kvt_test(base_tests SOURCES big_rng_test.cc rng_test.cc.in)\n")[0], 1)

    def test_empty_tree_is_no_success(self):
        self.assertEqual(self.run_tool("check_registration.py", self.scratch)[0], 1)


if __name__ == "__main__":
    unittest.main()
