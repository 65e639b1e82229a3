# ccache is used when present; nothing depends on it.
find_program(KVT_CCACHE ccache)
if(KVT_CCACHE)
  set(CMAKE_C_COMPILER_LAUNCHER "${KVT_CCACHE}")
  set(CMAKE_CXX_COMPILER_LAUNCHER "${KVT_CCACHE}")
endif()
