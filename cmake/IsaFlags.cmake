# ISA flags are per file, from this one table; never global, never -march=native.
# -ffp-contract=off: encoders must give the same bits on every ISA, so no compiler may fuse a multiply and an add.
set(KVT_ISA_FLAGS_avx2 -mavx2 -mfma -mf16c -mbmi2)
set(KVT_ISA_FLAGS_avxvnni ${KVT_ISA_FLAGS_avx2} -mavxvnni)
set(KVT_ISA_FLAGS_avx512 ${KVT_ISA_FLAGS_avx2} -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vnni -mprefer-vector-width=512)
set(KVT_ISA_FLAGS_neoni8 -march=armv8.2-a+i8mm)
