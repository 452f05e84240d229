# Tests of whole programs and scripts; the rooms' own are discovered by lares_tests().
#   LARES_TEST_PYTHON   an interpreter with the packages of tests/requirements.txt
#   LARES_TEST_MODELS   a folder with the models of third_party/pip-models.txt
set(LARES_TEST_PYTHON python3 CACHE STRING "the interpreter for tests that talk through Python packages")
set(LARES_TEST_MODELS "" CACHE PATH "the folder of models for the tests labelled model")

foreach(part FirstAnswer Fetching FetchingByNpm NoRoom Interrupted Words Variants Screens Folders Installing Purging)
  add_test(NAME bootstrap/${part} COMMAND python3 -B ${CMAKE_SOURCE_DIR}/tests/bootstrap/bootstrap_test.py ${part})
  set_tests_properties(bootstrap/${part} PROPERTIES TIMEOUT 900 LABELS bootstrap
    ENVIRONMENT "LARES_BIN=${CMAKE_BINARY_DIR}/bin")
endforeach()

# lares_script_test(NAME SCRIPT [MODEL] [ARGUMENTS...]): a Python script over the built programs, which it finds by
# LARES_BIN. MODEL: it needs LARES_TEST_MODELS too, and carries the label. Exit status 77 is "skipped", with its reason.
function(lares_script_test name script)
  cmake_parse_arguments(test "MODEL" "" "" ${ARGN})
  add_test(NAME ${name} COMMAND ${LARES_TEST_PYTHON} -B ${CMAKE_SOURCE_DIR}/${script} ${test_UNPARSED_ARGUMENTS})
  set_tests_properties(${name} PROPERTIES TIMEOUT 900 SKIP_RETURN_CODE 77
    ENVIRONMENT "LARES_BIN=${CMAKE_BINARY_DIR}/bin;LARES_TEST_MODELS=${LARES_TEST_MODELS}")
  if(test_MODEL)
    set_tests_properties(${name} PROPERTIES LABELS model)
  endif()
endfunction()

lares_script_test(cases tests/cases/run.py)
foreach(part Asking SlowAnswers SlowLoading Chatting Continuing Hostile Daemon Tables Words Speed)
  lares_script_test(cli/${part} tests/cli/command_line_test.py ${part})
endforeach()
foreach(part Requests Numbers Door Slowloris Leaving NeverReading DeathsWhileLoading DeathsInThePrompt
             DeathsInMidAnswer Starting ReadOnlyDisk Ending ClockSetBack)
  lares_script_test(system/${part} tests/system/bad_input_test.py ${part})
endforeach()
foreach(part Killed FullDisk Damage Deleted Many)
  lares_script_test(conversations/${part} tests/system/conversations_test.py ${part})
endforeach()
foreach(part GoesWell OnTheWay Hostile SmallDiskInside ByHand Outbound Rebinding Sandbox)
  lares_script_test(system/pull-${part} tests/system/pull_test.py ${part})
endforeach()
lares_script_test(cli/completion tests/cli/completion_test.py)
lares_script_test(system/surroundings tests/system/surroundings_test.py)
foreach(part Activation Refusing)
  lares_script_test(packaging/${part} tests/packaging/activation_test.py ${part})
endforeach()
lares_script_test(packaging/parts tests/packaging/packaging_test.py)
lares_script_test(real/openai-client-fake tests/real/openai_client_test.py fake)
if(LARES_ENGINE)
  foreach(part NoModels InTheFolder)
    lares_script_test(system/${part} tests/system/bad_model_test.py ${part})
  endforeach()
  foreach(part Damaged TooLarge SmallBudget Killed)
    lares_script_test(system/${part} tests/system/bad_model_test.py MODEL ${part})
  endforeach()
  lares_script_test(system/surroundings-model tests/system/surroundings_test.py MODEL model)
  lares_script_test(real/openai-client tests/real/openai_client_test.py MODEL model)
  lares_script_test(real/session tests/real/session_test.py MODEL)
  lares_script_test(real/embeddings tests/real/embeddings_test.py MODEL)
endif()
