# KVT_PACKAGE: what goes into the packages on top of Install.cmake, and CPack's settings. scripts/package.sh calls this.
#   component kvtuner   also llama.cpp's libraries and the two programs that kvtuner starts, in lib/kvtuner
#   component bundle    Debian's libraries that the program links, for packages that cannot ask for them (tarball, wheel)
set(kvt_private lib/kvtuner)
# The old kind of run path is followed for the libraries of libraries too, which the bundle needs.
target_link_options(kvtuner PRIVATE -Wl,--disable-new-dtags)
set_target_properties(kvtuner PROPERTIES INSTALL_RPATH "$ORIGIN/../${kvt_private}")
set_target_properties(ggml-kvtuner PROPERTIES INSTALL_RPATH "$ORIGIN")

# Each library once, under the name that the loader asks for: a wheel has no links.
file(GLOB kvt_linked "${KVT_LLAMA_BIN}/lib*.so.[0-9]")
foreach(library IN LISTS kvt_linked)
  file(REAL_PATH "${library}" real)
  get_filename_component(name "${library}" NAME)
  install(FILES "${real}" DESTINATION ${kvt_private} RENAME "${name}")
endforeach()
# Libraries of one name only: parts of the programs, and kernels. A hypervisor may mask AMX while CPUID shows it; ggml's kernels for
# Sapphire Rapids then die, so the next best take their place.
file(GLOB kvt_unnumbered "${KVT_LLAMA_BIN}/lib*.so")
list(FILTER kvt_unnumbered EXCLUDE REGEX sapphirerapids)
foreach(library IN LISTS kvt_unnumbered)
  if(NOT IS_SYMLINK "${library}")
    install(FILES "${library}" DESTINATION ${kvt_private})
  endif()
endforeach()
install(PROGRAMS "${KVT_LLAMA_BIN}/llama-server" "${KVT_LLAMA_BIN}/llama-completion" DESTINATION ${kvt_private})
install(FILES "${KVT_LLAMA_ROOT}/src/LICENSE" DESTINATION share/doc/kvtuner RENAME LICENSE.llama.cpp)

# --- Libraries of the program, with the licences that Debian ships beside them ---
install(CODE "set(kvt_program \"$<TARGET_FILE:kvtuner>\")\nset(kvt_plugin \"$<TARGET_FILE:ggml-kvtuner>\")" COMPONENT bundle)
install(CODE "set(kvt_private \"${kvt_private}\")\nset(kvt_package_docs \"${KVT_PACKAGE_DOCS}\")" COMPONENT bundle)
install(SCRIPT "${CMAKE_CURRENT_LIST_DIR}/Bundle.cmake" COMPONENT bundle)

# --- CPack ---
set(CPACK_PACKAGE_NAME kvtuner)
set(CPACK_PACKAGE_VENDOR kvtuner)
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "${PROJECT_DESCRIPTION}")
set(CPACK_PACKAGE_CONTACT "kvtuner authors")
set(CPACK_RESOURCE_FILE_LICENSE "${PROJECT_SOURCE_DIR}/LICENSE")
set(CPACK_STRIP_FILES ON)
set(CPACK_VERBATIM_VARIABLES ON)
set(CPACK_PACKAGE_DIRECTORY "${CMAKE_BINARY_DIR}/packages")
set(CPACK_PROJECT_CONFIG_FILE "${CMAKE_CURRENT_LIST_DIR}/PackageOptions.cmake")
set(CPACK_PACKAGE_FILE_NAME "kvtuner-${PROJECT_VERSION}-linux-${CMAKE_SYSTEM_PROCESSOR}")
set(CPACK_COMPONENTS_ALL kvtuner bundle mpi dev)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_ARCHIVE_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_KVTUNER_PACKAGE_NAME kvtuner)
set(CPACK_DEBIAN_KVTUNER_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS "${KVT_LLAMA_BIN}")
set(CPACK_DEBIAN_KVTUNER_PACKAGE_SUGGESTS "bubblewrap, kvtuner-mpi")
set(CPACK_DEBIAN_MPI_PACKAGE_NAME kvtuner-mpi)
set(CPACK_DEBIAN_MPI_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_MPI_PACKAGE_DEPENDS "kvtuner (= ${PROJECT_VERSION}), openmpi-bin")
set(CPACK_DEBIAN_DEV_PACKAGE_NAME kvtuner-dev)
set(CPACK_DEBIAN_DEV_PACKAGE_DEPENDS "libfmt-dev, nlohmann-json3-dev, libssl-dev")
include(CPack)
