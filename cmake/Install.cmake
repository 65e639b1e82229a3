# cmake --install: bin/kvtuner, lib/kvtuner/libggml-kvtuner.so and libkvtuner-mpi.so (found by the program as ../lib/kvtuner), share/kvtuner
# (texts), man page and completions; component mpi: what mpirun needs; component dev: headers, static libraries and find_package(kvtuner). The libraries of llama.cpp stay where
# scripts/llama_cpp.sh built them, and program and plugin carry that folder as their RPATH; packages bring them along (Package.cmake).
set(CMAKE_INSTALL_DEFAULT_COMPONENT_NAME kvtuner)
set_target_properties(kvtuner ggml-kvtuner PROPERTIES INSTALL_RPATH "${KVT_LLAMA_BIN}")

# --- Program, plugin, texts ---
install(TARGETS kvtuner RUNTIME DESTINATION bin)
install(TARGETS ggml-kvtuner LIBRARY DESTINATION lib/kvtuner)
if(TARGET kvtuner-mpi)
  install(TARGETS kvtuner-mpi LIBRARY DESTINATION lib/kvtuner COMPONENT mpi)
endif()
install(DIRECTORY data/ DESTINATION share/kvtuner)
install(FILES LICENSE THIRD_PARTY.md README.md CHANGELOG.md CITATION.cff DESTINATION share/doc/kvtuner)
if(KVT_WRITE_TEXTS)
  install(FILES "${KVT_TEXTS_DIR}/kvtuner.1" DESTINATION share/man/man1)
  install(FILES "${KVT_TEXTS_DIR}/kvtuner.bash" DESTINATION share/bash-completion/completions RENAME kvtuner)
  install(FILES "${KVT_TEXTS_DIR}/kvtuner.fish" DESTINATION share/fish/vendor_completions.d)
  install(FILES "${KVT_TEXTS_DIR}/kvtuner.zsh" DESTINATION share/zsh/site-functions RENAME _kvtuner)
endif()

# --- find_package(kvtuner): kvtuner::base, kvtuner::quant, kvtuner::plan ---
include(CMakePackageConfigHelpers)
set(kvt_config_dir lib/cmake/kvtuner)
foreach(component base quant plan)
  set_target_properties(kvt_${component} PROPERTIES EXPORT_NAME ${component})
  install(DIRECTORY src/kvt/${component} DESTINATION include/kvt COMPONENT dev FILES_MATCHING PATTERN "*.h" PATTERN shipped_data.h EXCLUDE)
endforeach()
install(TARGETS kvt_base kvt_quant kvt_plan EXPORT kvtuner_targets ARCHIVE DESTINATION lib COMPONENT dev)
install(EXPORT kvtuner_targets NAMESPACE kvtuner:: FILE kvtunerTargets.cmake DESTINATION ${kvt_config_dir} COMPONENT dev)
configure_package_config_file(cmake/kvtunerConfig.cmake.in "${CMAKE_BINARY_DIR}/generated/kvtunerConfig.cmake" INSTALL_DESTINATION ${kvt_config_dir})
write_basic_package_version_file("${CMAKE_BINARY_DIR}/generated/kvtunerConfigVersion.cmake" COMPATIBILITY SameMinorVersion)
install(FILES "${CMAKE_BINARY_DIR}/generated/kvtunerConfig.cmake" "${CMAKE_BINARY_DIR}/generated/kvtunerConfigVersion.cmake"
        DESTINATION ${kvt_config_dir} COMPONENT dev)
