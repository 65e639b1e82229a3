"""policy.isa: no ISA flag leaks into code that every machine runs."""
import platform
import unittest

from policy_case import BUILD, PolicyCase
import check_isa

LOOP = "void add(float * x, const float * y) { for (int i = 0; i < 1024; ++i) { x[i] += y[i]; } }\n"
WEAK = "inline __attribute__((noinline)) int shared(int x) { return x * 3; }\nint use(int x) { return shared(x); }\n"


@unittest.skipUnless(platform.machine() in ("x86_64", "AMD64"), "VEX and EVEX exist on x86 only")
class Isa(PolicyCase):
    def test_project(self):
        self.assert_clean("check_isa.py", BUILD)

    def test_clean_objects_pass(self):
        base = self.compile("base", LOOP, "-O2")
        isa = self.compile("kernel_avx2", LOOP, "-O3", "-mavx2")
        found, vex_seen = check_isa.violations_of([base, isa])
        self.assertEqual(found, [])
        self.assertGreater(vex_seen, 0)

    def test_vex_in_baseline_object_is_found(self):
        found, _ = check_isa.violations_of([self.compile("base", LOOP, "-O3", "-mavx2")])
        self.assertEqual(len(found), 1)
        self.assertIn("base.cc.o: ", found[0])
        self.assertIn("VEX or EVEX", found[0])

    def test_bmi_in_baseline_object_is_found(self):
        found, _ = check_isa.violations_of([self.compile("base", "unsigned f(unsigned x, int n) { return x << n; }\n", "-O2", "-mbmi2")])
        self.assertIn("shlx", found[0])

    def test_weak_symbol_in_isa_object_is_found(self):
        found, _ = check_isa.violations_of([self.compile("avx512", WEAK, "-O2", "-mavx512f")])
        self.assertEqual(found, ["avx512.cc.o: weak symbol _Z6sharedi"])

    def test_empty_build_is_no_success(self):
        self.assertEqual(self.run_tool("check_isa.py", self.scratch, self.scratch)[0], 1)


if __name__ == "__main__":
    unittest.main()
