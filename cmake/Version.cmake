# KVT_GIT_HASH, KVT_COMMIT_DATE: of the checkout, "unknown" and empty outside of git. kvt_build_info: the generated header <kvt_build_info.h>.
set(KVT_LLAMA_VERSION "v0.5.0")
# KVT_GGML_VERSION: "0.25", of the ggml whose headers the plugin is compiled with.
file(STRINGS "${KVT_LLAMA_ROOT}/src/ggml/CMakeLists.txt" kvt_ggml_lines REGEX "^set\\(GGML_VERSION_(MAJOR|MINOR) [0-9]+\\)")
string(REGEX REPLACE "[^0-9;]" "" KVT_GGML_VERSION "${kvt_ggml_lines}")
list(JOIN KVT_GGML_VERSION "." KVT_GGML_VERSION)
set(KVT_DATA_FROM_BIN "../share/kvtuner")

find_package(Git QUIET)
set(KVT_GIT_HASH "unknown")
set(KVT_COMMIT_DATE "")
if(GIT_FOUND)
  execute_process(COMMAND "${GIT_EXECUTABLE}" -C "${CMAKE_CURRENT_SOURCE_DIR}" rev-parse --short=12 HEAD
                  OUTPUT_VARIABLE kvt_hash OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE kvt_git_rc)
  if(kvt_git_rc EQUAL 0)
    set(KVT_GIT_HASH "${kvt_hash}")
    execute_process(COMMAND "${GIT_EXECUTABLE}" -C "${CMAKE_CURRENT_SOURCE_DIR}" log -1 --format=%cs
                    OUTPUT_VARIABLE KVT_COMMIT_DATE OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
    # A new commit configures again, so that --version does not show an old hash.
    execute_process(COMMAND "${GIT_EXECUTABLE}" -C "${CMAKE_CURRENT_SOURCE_DIR}" rev-parse --absolute-git-dir
                    OUTPUT_VARIABLE kvt_git_dir OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
    if(EXISTS "${kvt_git_dir}/logs/HEAD")
      set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${kvt_git_dir}/logs/HEAD")
    endif()
  endif()
endif()

# A program that is not installed finds its texts in the checkout; a package says nothing of this machine's folders.
set(KVT_BUILT_WITH_DATA "${PROJECT_SOURCE_DIR}/data")
if(KVT_PACKAGE)
  set(KVT_BUILT_WITH_DATA "")
endif()
configure_file("${CMAKE_CURRENT_LIST_DIR}/kvt_build_info.h.in" "${PROJECT_BINARY_DIR}/generated/kvt_build_info.h" @ONLY)
add_library(kvt_build_info INTERFACE)
target_include_directories(kvt_build_info INTERFACE "${PROJECT_BINARY_DIR}/generated")
