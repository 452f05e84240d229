# The layout of packages, and CPack's .deb and .tar.zst of it; ./dev package (tools/package) drives it. One layout for
# both: every program finds the others from where it lies itself (src/app/home.cpp: programs), so the archive can be
# unpacked anywhere. docs/packaging.md has the decisions.
#   LARES_DATE   the date on the manual pages, YYYY-MM-DD; from SOURCE_DATE_EPOCH
set(LARES_DATE "1970-01-01" CACHE STRING "the date on the manual pages")
set(share ${CMAKE_BINARY_DIR}/share)
file(MAKE_DIRECTORY ${share})

# The same bytes whoever builds it, and no path of the machine that did. GCC would name a header of another project behind a link by
# whichever of its two paths is shorter, which depends on where the build lies.
target_compile_options(lares-flags INTERFACE
  $<$<CXX_COMPILER_ID:GNU>:-fno-canonical-system-headers>
  -ffile-prefix-map=${CMAKE_SOURCE_DIR}/= -ffile-prefix-map=${LARES_LLAMA}=llama.cpp
  $<$<BOOL:${LARES_BOOST}>:-ffile-prefix-map=${LARES_BOOST}/=> -ffile-prefix-map=${CMAKE_BINARY_DIR}/=)

# Called when the targets are there.
function(lares_package)
  foreach(program ${LARES_PROGRAMS})
    if(NOT TARGET ${program})
      continue()
    endif()
    set_target_properties(${program} PROPERTIES BUILD_WITH_INSTALL_RPATH ON INSTALL_RPATH "")
    if(program STREQUAL "lares")
      install(TARGETS ${program} RUNTIME DESTINATION bin)
    else()
      install(TARGETS ${program} RUNTIME DESTINATION libexec/lares)
    endif()
  endforeach()
  set_target_properties(lares-worker PROPERTIES INSTALL_RPATH $ORIGIN/../../lib/lares)

  # What the program tells about itself: manual pages and completions.
  add_custom_command(OUTPUT ${share}/made
    COMMAND lares man lares --date ${LARES_DATE} > lares.1
    COMMAND lares man laresd --date ${LARES_DATE} > laresd.8
    COMMAND lares man lares.toml --date ${LARES_DATE} > lares.toml.5
    COMMAND lares completion bash > lares.bash
    COMMAND lares completion zsh > lares.zsh
    COMMAND lares completion fish > lares.fish
    COMMAND ${CMAKE_COMMAND} -E copy ${CMAKE_SOURCE_DIR}/CHANGELOG.md changelog
    COMMAND gzip -9nf lares.1 laresd.8 lares.toml.5 changelog
    COMMAND ${CMAKE_COMMAND} -E touch made
    DEPENDS lares ${CMAKE_SOURCE_DIR}/CHANGELOG.md
    WORKING_DIRECTORY ${share} VERBATIM)
  add_custom_target(share ALL DEPENDS ${share}/made)
endfunction()
cmake_language(DEFER CALL lares_package)

install(DIRECTORY ${LARES_ENGINE}/lib/ DESTINATION lib/lares FILES_MATCHING PATTERN "*.so" PATTERN "*.so.*")
install(CODE "
  file(GLOB libraries \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/lib/lares/*.so*\")
  foreach(library \${libraries})
    if(NOT IS_SYMLINK \${library})
      file(CHMOD \${library} PERMISSIONS OWNER_READ OWNER_WRITE GROUP_READ WORLD_READ)
      execute_process(COMMAND ${CMAKE_STRIP} --strip-unneeded \${library} COMMAND_ERROR_IS_FATAL ANY)
    endif()
  endforeach()")

# Units name the daemon by its path in /usr; tools/install writes them for other places.
set(LARES_DAEMON /usr/libexec/lares/laresd)
configure_file(packaging/systemd/lares.service.in ${share}/lares.service @ONLY)
install(FILES ${share}/lares.service packaging/systemd/lares.socket DESTINATION lib/systemd/user)
install(PROGRAMS tools/uninstall tools/install DESTINATION libexec/lares/tools)
install(FILES tools/folders.sh DESTINATION libexec/lares/tools)
install(FILES packaging/systemd/lares.service.in packaging/systemd/lares.socket DESTINATION libexec/lares/systemd)

install(FILES ${share}/lares.1.gz DESTINATION share/man/man1)
install(FILES ${share}/lares.toml.5.gz DESTINATION share/man/man5)
install(FILES ${share}/laresd.8.gz DESTINATION share/man/man8)
install(FILES ${share}/lares.bash DESTINATION share/bash-completion/completions RENAME lares)
install(FILES ${share}/lares.zsh DESTINATION share/zsh/vendor-completions RENAME _lares)
install(FILES ${share}/lares.fish DESTINATION share/fish/vendor_completions.d)
install(FILES packaging/lares.desktop DESTINATION share/applications)
install(FILES packaging/lares.svg DESTINATION share/icons/hicolor/scalable/apps)
install(FILES packaging/lares.metainfo.xml DESTINATION share/metainfo)
install(FILES ${share}/copyright ${share}/changelog.gz README.md LICENSE DESTINATION share/doc/lares)

set(CPACK_GENERATOR DEB TZST)
set(CPACK_PACKAGE_NAME lares)
set(CPACK_PACKAGE_VENDOR Lares)
set(CPACK_PACKAGE_CONTACT "The Lares authors <lares@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "answers questions with language models on this computer")
set(CPACK_PACKAGE_DESCRIPTION
"Lares runs small language models on your own computer: a command line, a
daemon that speaks the API of OpenAI's clients on this computer only, and one
sandboxed process for each model. Nothing leaves this computer. Models are
fetched apart: 'lares models add FILE' takes any GGUF file.")
set(CPACK_PACKAGE_FILE_NAME lares-${LARES_VERSION}-linux-${CMAKE_SYSTEM_PROCESSOR})
set(CPACK_PACKAGE_DIRECTORY ${CMAKE_BINARY_DIR}/packages)
set(CPACK_PACKAGE_CHECKSUM SHA256)
set(CPACK_STRIP_FILES ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
    OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(CPACK_PRE_BUILD_SCRIPTS ${CMAKE_SOURCE_DIR}/cmake/finish_package.cmake)
set(CPACK_ARCHIVE_THREADS 1)  # more would cut the archive differently on each machine
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_COMPRESSION_TYPE xz)
set(CPACK_DEBIAN_PACKAGE_SECTION utils)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_SUGGESTS libsecret-1-0)  # opened by name, for the desktop's keyring
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS ${LARES_ENGINE}/lib)
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA
    "${CMAKE_SOURCE_DIR}/packaging/debian/postinst;${CMAKE_SOURCE_DIR}/packaging/debian/prerm")
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
include(CPack)
