# SPDX-License-Identifier: BSD-3-Clause
#
# Test of fetch.cmake: cmake -DWORK=DIRECTORY -P test_fetch.cmake
# Each case is a cmake process of its own on a cache, a build directory, a package manager and an
# upstream repository that the test made: no network, nothing of the machine's.
cmake_minimum_required(VERSION 3.22)

if(CASE)
    # The inner process: one fetch, of what the outer one set up.
    set(PEER_SOURCES_DIR "${WORK}/build")
    include(${CMAKE_CURRENT_LIST_DIR}/fetch.cmake)
    peer_fetch_source(thing OUT dir OVERRIDE THING_DIR SUITE trixie PACKAGE thing
        ARCHIVE thing_1.orig.tar.gz SHA256 ${SHA256} ONLY src
        GIT_URLS file://${WORK}/nowhere file://${WORK}/upstream GIT_TAG v1
        GIT_COMMIT ${COMMIT} GIT_ONLY src)
    peer_fetch_done()
    if(NPM)
        peer_fetch_source(packed OUT dir OVERRIDE PACKED_DIR NPM packed@1 ARCHIVE packed-1.tgz SHA256 ${SHA256}
            ONLY src OPTIONAL)
    endif()
    message(STATUS "took <${dir}>")
    return()
endif()

set(commit "0000000000000000000000000000000000000000")

# fetch(RESULT OUTPUT options...): runs the inner process with the fake package manager in PATH.
function(fetch result output)
    execute_process(
        COMMAND ${CMAKE_COMMAND} -E env "PATH=${WORK}/bin:$ENV{PATH}" ${CMAKE_COMMAND} -DCASE=1
                -DWORK=${WORK} -DPEER_CACHE_DIR=${WORK}/cache -DSHA256=${sha256} -DCOMMIT=${commit}
                ${ARGN} -P ${CMAKE_CURRENT_FUNCTION_LIST_FILE}
        RESULT_VARIABLE status OUTPUT_VARIABLE text ERROR_VARIABLE text)
    string(REGEX REPLACE "[ \n]+" " " text "${text}")
    set(${result} ${status} PARENT_SCOPE)
    set(${output} "${text}" PARENT_SCOPE)
endfunction()

function(expect_taken name text)
    set(dir "nowhere")
    if(text MATCHES "took <([^>]+)>")
        set(dir "${CMAKE_MATCH_1}")
    endif()
    if(NOT EXISTS "${dir}/src/thing.c")
        message(SEND_ERROR "${name}: no source was taken:\n${text}")
    elseif(EXISTS "${WORK}/build/apt" OR EXISTS "${dir}/doc")
        message(SEND_ERROR "${name}: more than the wanted source was left:\n${text}")
    endif()
endfunction()

function(expect_stop name status text)
    if(status EQUAL 0)
        message(SEND_ERROR "${name}: the build was not stopped:\n${text}")
    endif()
    foreach(part ${ARGN})
        string(FIND "${text}" "${part}" at)
        if(at EQUAL -1)
            message(SEND_ERROR "${name}: the message does not name '${part}':\n${text}")
        endif()
    endforeach()
endfunction()

# The package manager knows one mirror and gives out the file ARCHIVE; it fails without it.
file(REMOVE_RECURSE "${WORK}")
file(WRITE "${WORK}/bin/apt-get" "#!/bin/sh
case \"$*\" in
indextargets*) echo 'http://mirror.invalid/debian/ bookworm main'
               echo 'http://vendor.invalid/apt/ stable contrib';;
*update*)      test -f ${WORK}/archive || { echo 'E: unreachable' >&2; exit 100; };;
*source*)      cp ${WORK}/archive ./thing_1.orig.tar.gz;;
esac
echo \"$*\" >>${WORK}/calls
")
file(CHMOD "${WORK}/bin/apt-get" PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE)
file(WRITE "${WORK}/thing-1/src/thing.c" "int thing;\n")
file(WRITE "${WORK}/thing-1/doc/thing.txt" "words\n")
execute_process(COMMAND ${CMAKE_COMMAND} -E tar czf "${WORK}/good" thing-1
                WORKING_DIRECTORY "${WORK}")
file(SHA256 "${WORK}/good" sha256)

fetch(status text)
expect_stop(nothing_anywhere_is_an_error ${status} "${text}"
            "-DTHING_DIR=" "thing_1.orig.tar.gz" "${sha256}" "unreachable" "upstream")

file(WRITE "${WORK}/archive" "not what was pinned")
fetch(status text)
expect_stop(wrong_package_stops_the_build ${status} "${text}" "wrong hash" "expected" "found" "${sha256}")

configure_file("${WORK}/good" "${WORK}/archive" COPYONLY)
file(REMOVE "${WORK}/calls")
if(EXISTS /usr/share/keyrings/debian-archive-keyring.gpg)
    fetch(status text)
    expect_taken(package_serves "${text}")
    file(READ "${WORK}/calls" calls)
    if(calls MATCHES "vendor.invalid")
        message(SEND_ERROR "another vendor's archive was asked: ${calls}")
    endif()
else()
    message(STATUS "no Debian keyring: the package manager's part is left out")
    configure_file("${WORK}/good" "${WORK}/cache/thing_1.orig.tar.gz" COPYONLY)
    fetch(status text)
endif()

# From here on the package manager gives nothing, and says so if it is asked.
file(REMOVE "${WORK}/archive" "${WORK}/calls")
fetch(status text)
expect_taken(extracted_source_serves_again "${text}")
file(REMOVE_RECURSE "${WORK}/build")
fetch(status text)
expect_taken(cached_archive_serves "${text}")
if(EXISTS "${WORK}/calls")
    message(SEND_ERROR "the package manager was asked for what was there already")
endif()

file(REMOVE_RECURSE "${WORK}/build")
file(APPEND "${WORK}/cache/thing_1.orig.tar.gz" "damage")
fetch(status text)
expect_stop(wrong_cached_archive_stops_the_build ${status} "${text}"
            "wrong hash" "${sha256}" "${WORK}/cache/thing_1.orig.tar.gz")
fetch(status text -DTHING_DIR=${WORK}/thing-1)
if(NOT text MATCHES "took <${WORK}/thing-1>")
    message(SEND_ERROR "the user's directory does not come first:\n${text}")
endif()
fetch(status text -DTHING_DIR=${WORK}/missing)
expect_stop(missing_directory_is_an_error ${status} "${text}" "THING_DIR" "${WORK}/missing")

# What npm packs serves as well, once; what may be missing stops nothing, what is wrong does.
file(WRITE "${WORK}/bin/npm" "#!/bin/sh
echo npm \"$*\" >>${WORK}/calls
cp ${WORK}/packed packed-1.tgz
")
file(CHMOD "${WORK}/bin/npm" PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE)
configure_file("${WORK}/good" "${WORK}/cache/thing_1.orig.tar.gz" COPYONLY)
fetch(status text -DNPM=1)
if(NOT status EQUAL 0 OR NOT text MATCHES "took <>")
    message(SEND_ERROR "an optional source that cannot be had stops the build:\n${text}")
endif()
file(WRITE "${WORK}/packed" "not what was pinned")
fetch(status text -DNPM=1)
expect_stop(wrong_npm_package_stops_the_build ${status} "${text}" "wrong hash" "${sha256}" "packed-1.tgz")
configure_file("${WORK}/good" "${WORK}/packed" COPYONLY)
fetch(status text -DNPM=1)
expect_taken(npm_serves "${text}")
file(REMOVE "${WORK}/calls")
file(REMOVE_RECURSE "${WORK}/build")
fetch(status text -DNPM=1)
expect_taken(cached_npm_package_serves "${text}")
if(EXISTS "${WORK}/calls")
    message(SEND_ERROR "npm was asked for what was there already")
endif()
file(REMOVE_RECURSE "${WORK}/build" "${WORK}/cache")

find_program(GIT git)
if(NOT GIT)
    message(STATUS "git is not installed: the upstream repository's part is left out")
    return()
endif()
configure_file("${WORK}/thing-1/src/thing.c" "${WORK}/upstream/src/thing.c" COPYONLY)
foreach(command "init;-q" "add;src" "commit;-q;-m;thing" "tag;v1")
    execute_process(COMMAND ${GIT} -c user.name=test -c user.email=test@test.invalid
                            -c commit.gpgsign=false ${command}
                    WORKING_DIRECTORY "${WORK}/upstream" COMMAND_ERROR_IS_FATAL ANY)
endforeach()
fetch(status text)
expect_stop(moved_tag_stops_the_build ${status} "${text}" "wrong commit" "expected ${commit}")
execute_process(COMMAND ${GIT} rev-parse HEAD WORKING_DIRECTORY "${WORK}/upstream"
                OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE)
fetch(status text)
expect_taken(upstream_serves "${text}")
file(REMOVE_RECURSE "${WORK}/build" "${WORK}/upstream")
fetch(status text)
expect_taken(cached_clone_serves "${text}")
