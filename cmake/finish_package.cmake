# CPack runs this between copying and packing. The archive gets the list by which tools/uninstall removes it (dpkg has
# its own), and every file is dated to SOURCE_DATE_EPOCH, so that the same sources make the same bytes.
if(CPACK_GENERATOR STREQUAL "TZST")
  file(GLOB_RECURSE files LIST_DIRECTORIES false RELATIVE ${CPACK_TEMPORARY_DIRECTORY} ${CPACK_TEMPORARY_DIRECTORY}/*)
  list(APPEND files libexec/lares/manifest)
  list(SORT files)
  list(JOIN files "\n" text)
  file(WRITE ${CPACK_TEMPORARY_DIRECTORY}/libexec/lares/manifest "${text}\n")
endif()
execute_process(COMMAND find ${CPACK_TEMPORARY_DIRECTORY} -exec touch --no-dereference --date=@$ENV{SOURCE_DATE_EPOCH} {} +
                COMMAND_ERROR_IS_FATAL ANY)
