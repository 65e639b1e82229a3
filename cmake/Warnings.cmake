# Warnings for our own targets only; third-party headers are included as SYSTEM.
add_library(kvt_warnings INTERFACE)
target_compile_options(kvt_warnings INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion -Wnon-virtual-dtor -Wold-style-cast -Wunused -Wimplicit-fallthrough)
if(KVT_WERROR)
  target_compile_options(kvt_warnings INTERFACE -Werror)
endif()
