# At install time: copies every library that the program and the plugin link, except those of the C and C++ run time, which every
# system has, and those of llama.cpp, which are installed already. Of the built files: components may be installed into folders of their own.
file(GET_RUNTIME_DEPENDENCIES
  EXECUTABLES "${kvt_program}"
  MODULES "${kvt_plugin}"
  RESOLVED_DEPENDENCIES_VAR found
  UNRESOLVED_DEPENDENCIES_VAR lost
  PRE_EXCLUDE_REGEXES "^ld-linux" "^lib(c|m|dl|rt|pthread|resolv|gcc_s|stdc\\+\\+)\\.so" "^lib(llama|ggml|mtmd)")
if(lost)
  message(FATAL_ERROR "the loader does not find ${lost}")
endif()
foreach(library IN LISTS found)
  get_filename_component(name "${library}" NAME)
  file(REAL_PATH "${library}" real)
  file(INSTALL DESTINATION "${CMAKE_INSTALL_PREFIX}/${kvt_private}" TYPE FILE FILES "${real}" RENAME "${name}")
  # Debian keeps the licence of a library under the name of its package.
  execute_process(COMMAND dpkg-query --search "${name}" OUTPUT_VARIABLE owner ERROR_QUIET)
  string(REGEX MATCH "^[^:\n]+" package "${owner}")
  set(licence "${kvt_package_docs}/${package}/copyright")
  if(NOT package OR NOT EXISTS "${licence}")
    message(FATAL_ERROR "${library} belongs to no Debian package with a licence in ${kvt_package_docs}")
  endif()
  file(REAL_PATH "${licence}" licence)
  file(INSTALL DESTINATION "${CMAKE_INSTALL_PREFIX}/share/doc/kvtuner/licences" TYPE FILE FILES "${licence}" RENAME "${package}")
endforeach()
