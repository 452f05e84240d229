# Tests of whole programs and scripts; the rooms' own are discovered by lares_tests().
#   LARES_TEST_PYTHON   an interpreter with the packages of tests/requirements.txt
#   LARES_TEST_MODELS   a folder with the models of third_party/pip-models.txt
set(LARES_TEST_PYTHON python3 CACHE FILEPATH "the interpreter for tests that talk through Python packages")
set(LARES_TEST_MODELS "" CACHE PATH "the folder of models for the tests labelled model")

foreach(part FirstAnswer Fetching NoRoom Interrupted Words Variants Screens Installing)
  add_test(NAME bootstrap/${part} COMMAND python3 -B ${CMAKE_SOURCE_DIR}/tests/bootstrap/bootstrap_test.py ${part})
  set_tests_properties(bootstrap/${part} PROPERTIES TIMEOUT 900)
endforeach()
