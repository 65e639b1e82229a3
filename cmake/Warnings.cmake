# Warnings for our own targets only; third-party headers are included as SYSTEM.
add_library(kvt_warnings INTERFACE)
target_compile_options(kvt_warnings INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion -Wnon-virtual-dtor -Wold-style-cast -Wunused -Wimplicit-fallthrough)
if(KVT_WERROR)
  target_compile_options(kvt_warnings INTERFACE -Werror)
endif()
# g++ 12 warns of overlapping copies inside std::string itself (GCC bug 105651).
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  target_compile_options(kvt_warnings INTERFACE -Wno-restrict)
endif()
if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  # clang's own F16C intrinsics are compound literals; -Wno-maybe-uninitialized of IsaFlags.cmake is known to g++ only
  target_compile_options(kvt_warnings INTERFACE -Wno-c99-extensions -Wno-unknown-warning-option)
endif()
