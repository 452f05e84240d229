# One imported target for each library that we stand on, so that rooms name libraries, not paths.
find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
find_package(spdlog REQUIRED)
find_package(fmt REQUIRED)
find_package(tomlplusplus REQUIRED)

# These are compiled into the one file that is their door: the names of their shared libraries change from one Debian
# to the next, and what is built on one is to run on several (docs/decisions/0013-packages.md).
add_library(log_headers INTERFACE)
target_include_directories(log_headers SYSTEM INTERFACE
  $<TARGET_PROPERTY:spdlog::spdlog_header_only,INTERFACE_INCLUDE_DIRECTORIES>
  $<TARGET_PROPERTY:fmt::fmt-header-only,INTERFACE_INCLUDE_DIRECTORIES>)
target_compile_definitions(log_headers INTERFACE SPDLOG_FMT_EXTERNAL FMT_HEADER_ONLY=1)
add_library(toml_headers INTERFACE)
target_include_directories(toml_headers SYSTEM INTERFACE
  $<TARGET_PROPERTY:tomlplusplus::tomlplusplus,INTERFACE_INCLUDE_DIRECTORIES>)

add_library(json INTERFACE)
if(NOT EXISTS ${LARES_LLAMA}/vendor/nlohmann/json.hpp)
  message(FATAL_ERROR "LARES_LLAMA='${LARES_LLAMA}' is not an unpacked llama.cpp tree; run ./dev build, which sets it")
endif()
# of that vendor folder only nlohmann: its other headers are none of ours
file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/include/json)
file(CREATE_LINK ${LARES_LLAMA}/vendor/nlohmann ${CMAKE_BINARY_DIR}/include/json/nlohmann SYMBOLIC)
target_include_directories(json SYSTEM INTERFACE ${CMAKE_BINARY_DIR}/include/json)

add_library(boost_headers INTERFACE)
if(LARES_BOOST)
  target_include_directories(boost_headers SYSTEM INTERFACE ${LARES_BOOST})
endif()
target_compile_definitions(boost_headers INTERFACE BOOST_ASIO_NO_DEPRECATED BOOST_ASIO_SEPARATE_COMPILATION
                                                   BOOST_BEAST_SEPARATE_COMPILATION)

if(NOT EXISTS ${LARES_SQLITE}/lib/libsqlite3mc.a)
  message(FATAL_ERROR "LARES_SQLITE='${LARES_SQLITE}' holds no lib/libsqlite3mc.a; run ./dev build, which builds and sets it")
endif()
add_library(sqlite3mc STATIC IMPORTED)
set_target_properties(sqlite3mc PROPERTIES IMPORTED_LOCATION ${LARES_SQLITE}/lib/libsqlite3mc.a)
target_include_directories(sqlite3mc SYSTEM INTERFACE ${LARES_SQLITE_SOURCE}/deps/sqlite3)
target_link_libraries(sqlite3mc INTERFACE Threads::Threads)

pkg_check_modules(SECCOMP REQUIRED IMPORTED_TARGET libseccomp)
pkg_check_modules(EDIT REQUIRED IMPORTED_TARGET libedit)
pkg_check_modules(CURL REQUIRED IMPORTED_TARGET libcurl>=7.85)
pkg_check_modules(SODIUM REQUIRED IMPORTED_TARGET libsodium>=1.0.18)
pkg_check_modules(CRYPTO REQUIRED IMPORTED_TARGET openssl>=3)
find_package(CLI11 REQUIRED)

# The engine: shared libraries that cmake/engine built; its CPU backends are loaded at run time.
if(LARES_ENGINE)
  foreach(name ggml-base ggml llama llama-common)
    add_library(engine::${name} SHARED IMPORTED)
    set_target_properties(engine::${name} PROPERTIES IMPORTED_LOCATION ${LARES_ENGINE}/lib/lib${name}.so)
    target_include_directories(engine::${name} SYSTEM INTERFACE
      ${LARES_LLAMA}/include ${LARES_LLAMA}/ggml/include ${LARES_LLAMA}/common ${LARES_LLAMA}/vendor)
    target_compile_definitions(engine::${name} INTERFACE GGML_BACKEND_DL GGML_SHARED LLAMA_SHARED)
  endforeach()
  target_link_libraries(engine::ggml INTERFACE engine::ggml-base)
  target_link_libraries(engine::llama INTERFACE engine::ggml)
  target_link_libraries(engine::llama-common INTERFACE engine::llama)
  if(EXISTS ${LARES_ENGINE}/lib/libllama-common-base.a)  # upstream's own build of common is in two parts
    target_link_libraries(engine::llama-common INTERFACE ${LARES_ENGINE}/lib/libllama-common-base.a)
  endif()
  set(CMAKE_BUILD_RPATH ${LARES_ENGINE}/lib)
  if(NOT EXISTS ${LARES_MEDIA}/lib/libmtmd.a)
    message(FATAL_ERROR "LARES_MEDIA='${LARES_MEDIA}' holds no lib/libmtmd.a; run ./dev build, which builds and sets it")
  endif()
  add_library(engine::mtmd STATIC IMPORTED)
  set_target_properties(engine::mtmd PROPERTIES IMPORTED_LOCATION ${LARES_MEDIA}/lib/libmtmd.a)
  target_include_directories(engine::mtmd SYSTEM INTERFACE ${LARES_MTMD} ${CMAKE_SOURCE_DIR}/cmake/media)
  target_link_libraries(engine::mtmd INTERFACE engine::llama)
endif()

# Decoders of pictures and sounds, compiled into the one file each that is their door.
foreach(name stb miniaudio)
  add_library(${name} INTERFACE)
  file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/include/${name})
  file(CREATE_LINK ${LARES_LLAMA}/vendor/${name} ${CMAKE_BINARY_DIR}/include/${name}/${name} SYMBOLIC)
  target_include_directories(${name} SYSTEM INTERFACE ${CMAKE_BINARY_DIR}/include/${name})
endforeach()

if(LARES_TESTS)
  find_package(GTest REQUIRED)
endif()
