# The library tells nothing of the machine that built it: cmake -D library=... -D "paths=..." -P no_paths.cmake
foreach(path IN LISTS paths)
    if(path MATCHES "^/?$") # no home
        continue()
    endif()
    file(STRINGS "${library}" lines REGEX "${path}/")
    if(lines)
        list(LENGTH lines count)
        list(GET lines 0 first)
        message(FATAL_ERROR "${library} holds the path ${path} in ${count} strings, the first being: ${first}")
    endif()
endforeach()
