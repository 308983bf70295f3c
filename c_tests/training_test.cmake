# The example of training on a tiny data set: it learns, in the memory that it states, with the same bits for one thread and for
# two; wrong files and limits are refused. Run by ctest, which sets the variables.

cmake_minimum_required(VERSION 3.20)

set(data "${work}/data")
# Where a launcher makes everything slow, two steps show that the program runs.
if(launcher)
    set(images 16)
    set(options --batch 8 --epochs 1)
else()
    set(images 256)
    set(options --batch 8 --epochs 2)
endif()

# make_data(FAULT...): the data set, or one with a fault.
function(make_data)
    file(MAKE_DIRECTORY "${data}")
    execute_process(COMMAND ${emulator} "${generator}" "${data}" ${images} ${ARGN} COMMAND_ERROR_IS_FATAL ANY)
endfunction()

# train(TO ARGUMENTS...): what the program prints about its losses; its memory in TO_memory.
function(train to)
    execute_process(COMMAND ${launcher} "${program}" "${data}" ${options} ${ARGN} OUTPUT_VARIABLE printed
        COMMAND_ERROR_IS_FATAL ANY)
    string(REGEX MATCHALL "(step|epoch|checksum)[^\n]*\n" lines "${printed}")
    if(NOT lines MATCHES "checksum of the weights: [0-9a-f]+" OR NOT printed MATCHES "memory in bytes: ([0-9]+) in one block")
        message(FATAL_ERROR "the program prints:\n${printed}")
    endif()
    set(${to}_memory "${CMAKE_MATCH_1}" PARENT_SCOPE)
    set(${to} "${lines}" PARENT_SCOPE)
endfunction()

# check_learning(LINES): the loss falls, and nearly all images are right.
function(check_learning lines)
    string(REGEX MATCHALL "step [^\n]*: loss [0-9.]+" steps "${lines}")
    list(TRANSFORM steps REPLACE ".*: loss " "")
    list(GET steps 0 first)
    list(GET steps -1 last)
    string(REGEX MATCH "epoch 2: ([0-9]+) of 128 test images right" right "${lines}")
    if(NOT first GREATER 1.5 OR NOT last LESS 0.3 OR NOT right OR CMAKE_MATCH_1 LESS 122)
        message(FATAL_ERROR "it has not learned:\n${lines}")
    endif()
endfunction()

# refuses(MESSAGE ARGUMENTS...): the program fails and says so.
function(refuses message)
    execute_process(COMMAND ${launcher} "${program}" ${ARGN} RESULT_VARIABLE result OUTPUT_VARIABLE printed
        ERROR_VARIABLE printed)
    if(NOT result MATCHES "^[12]$" OR NOT printed MATCHES "${message}")
        message(FATAL_ERROR "${ARGN}: ${result}, not \"${message}\":\n${printed}")
    endif()
endfunction()

file(REMOVE_RECURSE "${work}")
make_data()
train(one)
train(two --threads 2)
train(micro --micro-batch 2)
if(NOT launcher)
    check_learning("${one}")
    check_learning("${micro}")
endif()
if(NOT one STREQUAL two)
    message(FATAL_ERROR "one thread:\n${one}\ntwo threads:\n${two}")
endif()
if(NOT micro_memory LESS one_memory)
    message(FATAL_ERROR "micro-batches take ${micro_memory} bytes, whole batches ${one_memory}")
endif()

refuses("usage: training FOLDER")
refuses("there is no option --rate" "${data}" --rate 1)
refuses("--threads takes a number from 1 to 1024, not 0" "${data}" --threads 0)
refuses("--epochs takes a number from 1 to 1000, not nothing" "${data}" --epochs)
refuses("--micro-batch 3 does not divide --batch 8" "${data}" --batch 8 --micro-batch 3)
refuses("--batch 1024 is more than the ${images} images" "${data}" --batch 1024)
math(EXPR too_little "(${one_memory} - 1) / 1024")
refuses("${one_memory} bytes are needed, but --memory allows" "${data}" ${options} --memory "${too_little}")
refuses("cannot open .*/nowhere/train-images-idx3-ubyte: No such file" "${work}/nowhere")
math(EXPR bytes "16 + ${images} * 144")
math(EXPR short "${bytes} - 1")
math(EXPR long "${bytes} + 1")
math(EXPR last "${images} - 1")
foreach(fault IN ITEMS
        "magic|train-images-idx3-ubyte .*magic number is 0x00000804, not 0x00000803"
        "counts|train-labels-idx1-ubyte has ${last} labels, but .*train-images-idx3-ubyte has ${images} images"
        "short|train-images-idx3-ubyte has ${short} bytes.* its header promises ${bytes}"
        "long|train-images-idx3-ubyte has ${long} bytes.* its header promises ${bytes}"
        "sides|train-images-idx3-ubyte has ${images} images of 10 x 10"
        "others|train-images-idx3-ubyte have 16 x 16 pixels, those of .*t10k-images-idx3-ubyte 12 x 12"
        "empty|train-images-idx3-ubyte has 0 images"
        "label|train-labels-idx1-ubyte: label ${last} is 10, not one of 0 to 9")
    string(REGEX MATCH "^([a-z]+)[|](.*)$" line "${fault}")
    set(message "${CMAKE_MATCH_2}")
    make_data("${CMAKE_MATCH_1}")
    refuses("${message}" "${data}" ${options})
endforeach()
file(WRITE "${data}/train-images-idx3-ubyte" "abc")
refuses("train-images-idx3-ubyte is too short: it has 3 bytes" "${data}")
message(STATUS "training: loss and weights of 1 and 2 threads have the same bits; ${one_memory} bytes, ${micro_memory} in micro-batches")
