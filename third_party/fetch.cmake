# SPDX-License-Identifier: BSD-3-Clause
#
# peer_fetch_source(): pinned third-party source, never vendored. It comes from the first of these
# that has it:
#   1. a directory the user names (the cache variable of OVERRIDE)
#   2. what this build directory already extracted
#   3. the archive, or the bare git repository, in PEER_CACHE_DIR
#   4. the distribution's source package, by the machine's own package manager and mirror, or the
#      package of npm, by the machine's own npm and registry
#   5. the upstream repository at a pinned commit
# What was fetched is checked against its pin. A source that cannot be had is passed over with a
# message; one that is had but is not what was pinned stops the build.
#
# The package manager works on a state directory of its own below PEER_SOURCES_DIR: the machine's
# lists, caches and hooks are neither used nor touched, and no right beyond the user's is needed.
#
# The file works in script mode too (cmake -P): test_fetch.cmake is its test.
include_guard(GLOBAL)

if(NOT PEER_SOURCES_DIR)
    set(PEER_SOURCES_DIR "${CMAKE_BINARY_DIR}/_sources")
endif()

# peer_fetch_source(NAME
#     OUT variable        set to the directory of the source
#     OVERRIDE variable   cache variable with which the user names a directory
#     SUITE, PACKAGE      Debian suite and source package, or:
#     NPM name@version    the package of npm
#     ARCHIVE, SHA256     the package's upstream archive and its hash
#     ONLY paths...       what to extract of the archive
#     GIT_URLS urls...    upstream repositories, tried in order
#     GIT_TAG, GIT_COMMIT what to take of them; the tag must lead to the commit
#     GIT_ONLY paths...   what to extract of the repository
#     OPTIONAL)           where it cannot be had, the variable is empty
function(peer_fetch_source name)
    cmake_parse_arguments(PARSE_ARGV 1 arg "OPTIONAL"
        "OUT;OVERRIDE;SUITE;PACKAGE;NPM;ARCHIVE;SHA256;GIT_TAG;GIT_COMMIT" "ONLY;GIT_URLS;GIT_ONLY")
    set(${arg_OVERRIDE} "" CACHE PATH "Directory with the source of ${name}; empty: fetch it")
    if(${arg_OVERRIDE})
        if(NOT IS_DIRECTORY "${${arg_OVERRIDE}}")
            message(FATAL_ERROR "peer: ${arg_OVERRIDE}: no such directory: ${${arg_OVERRIDE}}")
        endif()
        set(${arg_OUT} "${${arg_OVERRIDE}}" PARENT_SCOPE)
        return()
    endif()

    set(home "${PEER_SOURCES_DIR}/${name}")
    _peer_extracted("${home}" "${arg_SHA256};${arg_GIT_COMMIT}" dir)
    if(NOT dir)
        _peer_cache_dir(cache)
        set_property(GLOBAL PROPERTY PEER_FETCH_LOG "")
        _peer_cached_archive(${name} "${cache}/${arg_ARCHIVE}" ${arg_SHA256} found)
        set(repository "${cache}/${name}-${arg_GIT_COMMIT}.git")
        if(NOT found AND arg_NPM)
            _peer_fetch_npm(${name} ${arg_NPM} ${arg_ARCHIVE} ${arg_SHA256} "${cache}" found)
        elseif(NOT found AND NOT EXISTS "${repository}")
            _peer_fetch_package(${name} ${arg_SUITE} ${arg_PACKAGE} ${arg_ARCHIVE} ${arg_SHA256}
                                "${cache}" found)
        endif()
        if(NOT found AND arg_GIT_URLS AND NOT EXISTS "${repository}")
            _peer_fetch_git(${name} "${repository}" ${arg_GIT_TAG} ${arg_GIT_COMMIT}
                            "${arg_GIT_URLS}")
        endif()
        if(found)
            _peer_extract("${home}" "${cache}/${arg_ARCHIVE}" ${arg_SHA256} "${arg_ONLY}" dir)
        elseif(EXISTS "${repository}")
            _peer_extract_git("${home}" "${repository}" ${arg_GIT_COMMIT} "${arg_GIT_ONLY}" dir)
        elseif(arg_OPTIONAL)
            set(dir "")
        else()
            _peer_fetch_failed(${name} ${arg_OVERRIDE} "${cache}" ${arg_ARCHIVE} ${arg_SHA256})
        endif()
    endif()
    set(${arg_OUT} "${dir}" PARENT_SCOPE)
endfunction()

# Removes the package manager's state (tens of megabytes); to be called after the last fetch.
function(peer_fetch_done)
    file(REMOVE_RECURSE "${PEER_SOURCES_DIR}/apt")
    set_property(GLOBAL PROPERTY PEER_APT_SUITES "")
endfunction()

# ---- Helpers ------------------------------------------------------------------------------------

# Why a source could not serve: said at once, and again if none can.
function(_peer_fetch_note name text)
    string(STRIP "${text}" text)
    message(STATUS "peer: ${name}: ${text}")
    set_property(GLOBAL APPEND_STRING PROPERTY PEER_FETCH_LOG "  ${text}\n")
endfunction()

function(_peer_fetch_failed name override cache archive sha256)
    get_property(log GLOBAL PROPERTY PEER_FETCH_LOG)
    message(FATAL_ERROR
        "peer: cannot get the source of ${name}:\n${log}"
        "Without a network, either of these helps:\n"
        "  -D${override}=DIRECTORY with the source, or\n"
        "  ${archive} (sha256 ${sha256}) put into ${cache} (-DPEER_CACHE_DIR= names another)\n")
endfunction()

# A directory that can be written: the user's cache, else one in the build directory.
function(_peer_cache_dir out)
    set(default "")
    if(NOT "$ENV{XDG_CACHE_HOME}" STREQUAL "")
        set(default "$ENV{XDG_CACHE_HOME}/peer")
    elseif(NOT "$ENV{HOME}" STREQUAL "")
        set(default "$ENV{HOME}/.cache/peer")
    endif()
    set(PEER_CACHE_DIR "${default}" CACHE PATH "Where fetched third-party source is kept")
    set(dir "${PEER_CACHE_DIR}")
    if(NOT dir STREQUAL "")
        execute_process(COMMAND ${CMAKE_COMMAND} -E make_directory "${dir}"
                        RESULT_VARIABLE failed OUTPUT_QUIET ERROR_QUIET)
        if(NOT failed)
            execute_process(COMMAND test -w "${dir}" RESULT_VARIABLE failed)
        endif()
        if(NOT failed)
            set(${out} "${dir}" PARENT_SCOPE)
            return()
        endif()
        message(STATUS "peer: cannot write to ${dir}: fetched source stays in the build directory")
    endif()
    file(MAKE_DIRECTORY "${PEER_SOURCES_DIR}/cache")
    set(${out} "${PEER_SOURCES_DIR}/cache" PARENT_SCOPE)
endfunction()

function(_peer_check_hash name file sha256)
    file(SHA256 "${file}" hash)
    if(NOT hash STREQUAL sha256)
        message(FATAL_ERROR
            "peer: ${name}: wrong hash of ${file}\n"
            "  expected sha256 ${sha256}\n"
            "  found    sha256 ${hash}\n"
            "The file is damaged or is not the pinned one. Remove it to fetch it again.")
    endif()
endfunction()

function(_peer_cached_archive name file sha256 out)
    set(${out} FALSE PARENT_SCOPE)
    if(EXISTS "${file}")
        _peer_check_hash(${name} "${file}" ${sha256})
        set(${out} TRUE PARENT_SCOPE)
    endif()
endfunction()

# First into the directory, then under its name: a reader finds the whole file or none.
function(_peer_keep file cache archive)
    string(RANDOM LENGTH 8 suffix)
    file(COPY_FILE "${file}" "${cache}/.${archive}.${suffix}")
    file(RENAME "${cache}/.${archive}.${suffix}" "${cache}/${archive}")
endfunction()

# ---- Extraction: HOME/tree holds the source, HOME/pin says of which pin ---------------------------

function(_peer_extracted home pins out)
    set(${out} "" PARENT_SCOPE)
    if(EXISTS "${home}/pin")
        file(READ "${home}/pin" pin)
        if(pin IN_LIST pins)
            file(GLOB top "${home}/tree/*")
            set(${out} "${top}" PARENT_SCOPE)
        endif()
    endif()
endfunction()

# The archive has one folder at its top, which becomes OUT. The pin is written last, so that an
# extraction that was cut short is done again.
function(_peer_extract home archive pin only out)
    file(REMOVE_RECURSE "${home}")
    file(MAKE_DIRECTORY "${home}/tree")
    set(patterns "")
    foreach(path ${only})
        list(APPEND patterns "*/${path}" "*/${path}/*")
    endforeach()
    if(patterns)
        list(PREPEND patterns PATTERNS)
    endif()
    file(ARCHIVE_EXTRACT INPUT "${archive}" DESTINATION "${home}/tree" ${patterns})
    file(GLOB top "${home}/tree/*")
    list(LENGTH top count)
    if(NOT count EQUAL 1)
        message(FATAL_ERROR "peer: ${archive}: expected one folder at the top, found ${count}")
    endif()
    file(WRITE "${home}/pin" "${pin}")
    set(${out} "${top}" PARENT_SCOPE)
endfunction()

function(_peer_extract_git home repository commit only out)
    file(MAKE_DIRECTORY "${PEER_SOURCES_DIR}")
    set(tar "${home}.tar")
    execute_process(
        COMMAND git -c core.autocrlf=false -C "${repository}" archive --format=tar
                --prefix=${commit}/ --output=${tar} ${commit}
        RESULT_VARIABLE failed ERROR_VARIABLE error)
    if(failed)
        message(FATAL_ERROR "peer: ${repository}: cannot read commit ${commit}: ${error}"
                            "Remove the directory to fetch it again.")
    endif()
    _peer_extract("${home}" "${tar}" ${commit} "${only}" dir)
    file(REMOVE "${tar}")
    set(${out} "${dir}" PARENT_SCOPE)
endfunction()

# ---- The distribution's source package ------------------------------------------------------------

# Places of the Debian archive that the machine's package manager is set up for: main of a Debian
# release itself, which leaves out its security and update suites and other vendors' archives.
function(_peer_debian_mirrors out)
    execute_process(
        COMMAND ${CMAKE_COMMAND} -E env LC_ALL=C
                apt-get indextargets --no-release-info --format "$(REPO_URI) $(RELEASE) $(COMPONENT)"
        RESULT_VARIABLE failed OUTPUT_VARIABLE targets ERROR_QUIET)
    set(mirrors "")
    if(NOT failed)
        string(REGEX MATCHALL
            "[^ \n]+ (oldstable|stable|testing|unstable|sid|bullseye|bookworm|trixie|forky) main\n"
            targets "${targets}\n")
        foreach(target ${targets})
            string(REGEX REPLACE " .*" "" uri "${target}")
            if(NOT uri MATCHES "^cdrom:")
                list(APPEND mirrors "${uri}")
            endif()
        endforeach()
        list(REMOVE_DUPLICATES mirrors)
    endif()
    set(${out} "${mirrors}" PARENT_SCOPE)
endfunction()

# A configuration that is read after the machine's own: its proxies, credentials and mirrors hold,
# its lists, caches, preferences and hooks do not.
function(_peer_apt_configure dir suite mirror keyring)
    file(REMOVE_RECURSE "${dir}")
    file(MAKE_DIRECTORY "${dir}/lists/partial" "${dir}/cache/archives/partial" "${dir}/files")
    file(WRITE "${dir}/sources.list" "deb-src [signed-by=${keyring}] ${mirror} ${suite} main\n")
    file(WRITE "${dir}/apt.conf"
        "#clear APT::Update::Pre-Invoke;\n"
        "#clear APT::Update::Post-Invoke;\n"
        "#clear APT::Update::Post-Invoke-Success;\n"
        "Dir::Etc::SourceList \"${dir}/sources.list\";\n"
        "Dir::Etc::SourceParts \"/dev/null\";\n"
        "Dir::Etc::Preferences \"/dev/null\";\n"
        "Dir::Etc::PreferencesParts \"/dev/null\";\n"
        "Dir::State::Lists \"${dir}/lists\";\n"
        "Dir::Cache \"${dir}/cache\";\n"
        "Dir::Cache::PkgCache \"\";\n"
        "Dir::Cache::SrcPkgCache \"\";\n"
        "Acquire::Languages \"none\";\n"
        "Acquire::Retries \"2\";\n"
        "Acquire::http::Timeout \"30\";\n"
        "Acquire::https::Timeout \"30\";\n")
endfunction()

# Fetches the list of the suite's source packages from the first mirror that has it, once a run.
function(_peer_apt_update name suite out)
    set(dir "${PEER_SOURCES_DIR}/apt/${suite}")
    get_property(state GLOBAL PROPERTY PEER_APT_SUITES)
    if("${suite}=ok" IN_LIST state)
        set(${out} "${dir}" PARENT_SCOPE)
        return()
    endif()
    set(${out} "" PARENT_SCOPE)
    set(keyring "")
    foreach(file debian-archive-keyring.gpg debian-archive-keyring.pgp)
        if(EXISTS "/usr/share/keyrings/${file}")
            set(keyring "/usr/share/keyrings/${file}")
            break()
        endif()
    endforeach()
    _peer_debian_mirrors(mirrors)
    if(NOT mirrors OR NOT keyring)
        _peer_fetch_note(${name}
            "no source package: this machine's apt is not set up for a Debian mirror (or has no keyring)")
        return()
    endif()
    foreach(mirror ${mirrors})
        message(STATUS "peer: ${name}: reading the source packages of Debian ${suite}")
        _peer_apt_configure("${dir}" ${suite} "${mirror}" "${keyring}")
        execute_process(
            COMMAND ${CMAKE_COMMAND} -E env LC_ALL=C apt-get -c "${dir}/apt.conf" -qq
                    --error-on=any update
            RESULT_VARIABLE failed ERROR_VARIABLE error OUTPUT_QUIET)
        if(NOT failed)
            set_property(GLOBAL APPEND PROPERTY PEER_APT_SUITES "${suite}=ok")
            set(${out} "${dir}" PARENT_SCOPE)
            return()
        endif()
        _peer_fetch_note(${name} "no source package from ${mirror}: ${error}")
    endforeach()
endfunction()

function(_peer_fetch_package name suite package archive sha256 cache out)
    set(${out} FALSE PARENT_SCOPE)
    find_program(PEER_APT_GET apt-get)
    mark_as_advanced(PEER_APT_GET)
    if(NOT PEER_APT_GET)
        _peer_fetch_note(${name} "no source package: this machine has no apt-get")
        return()
    endif()
    _peer_apt_update(${name} ${suite} dir)
    if(NOT dir)
        return()
    endif()
    execute_process(
        COMMAND ${CMAKE_COMMAND} -E env LC_ALL=C apt-get -c "${dir}/apt.conf" -qq
                --only-source --download-only --tar-only source ${package}
        WORKING_DIRECTORY "${dir}/files"
        RESULT_VARIABLE failed ERROR_VARIABLE error OUTPUT_QUIET)
    if(failed)
        _peer_fetch_note(${name} "no source package ${package} in Debian ${suite}: ${error}")
        return()
    endif()
    if(NOT EXISTS "${dir}/files/${archive}")
        _peer_fetch_note(${name} "Debian ${suite} has another version: no ${archive}")
        return()
    endif()
    _peer_check_hash(${name} "${dir}/files/${archive}" ${sha256})
    _peer_keep("${dir}/files/${archive}" "${cache}" ${archive})
    message(STATUS "peer: ${name}: ${archive} from Debian ${suite}, kept in ${cache}")
    set(${out} TRUE PARENT_SCOPE)
endfunction()

# ---- npm ------------------------------------------------------------------------------------------

# The archive alone, as it was published: nothing of it is run, and nothing installed.
function(_peer_fetch_npm name package archive sha256 cache out)
    set(${out} FALSE PARENT_SCOPE)
    find_program(PEER_NPM npm)
    mark_as_advanced(PEER_NPM)
    if(NOT PEER_NPM)
        _peer_fetch_note(${name} "no package ${package}: this machine has no npm")
        return()
    endif()
    set(dir "${PEER_SOURCES_DIR}/npm")
    file(REMOVE_RECURSE "${dir}")
    file(MAKE_DIRECTORY "${dir}")
    execute_process(
        COMMAND ${PEER_NPM} pack --silent --ignore-scripts --cache "${dir}/cache" --fetch-retries=1
                --fetch-timeout=30000 ${package}
        WORKING_DIRECTORY "${dir}"
        RESULT_VARIABLE failed ERROR_VARIABLE error OUTPUT_QUIET TIMEOUT 120)
    if(failed OR NOT EXISTS "${dir}/${archive}")
        _peer_fetch_note(${name} "no package ${package}: npm: ${failed} ${error}")
    else()
        _peer_check_hash(${name} "${dir}/${archive}" ${sha256})
        _peer_keep("${dir}/${archive}" "${cache}" ${archive})
        message(STATUS "peer: ${name}: ${archive} of npm, kept in ${cache}")
        set(${out} TRUE PARENT_SCOPE)
    endif()
    file(REMOVE_RECURSE "${dir}")
endfunction()

# ---- The upstream repository ----------------------------------------------------------------------

# A bare clone of the tag alone. git computes the hash of every object it receives, so the right
# commit means the right content.
function(_peer_fetch_git name repository tag commit urls)
    find_program(PEER_GIT git)
    mark_as_advanced(PEER_GIT)
    if(NOT PEER_GIT)
        _peer_fetch_note(${name} "no upstream repository: git is not installed")
        return()
    endif()
    foreach(url ${urls})
        message(STATUS "peer: ${name}: cloning ${tag} of ${url}")
        string(RANDOM LENGTH 8 suffix)
        set(clone "${repository}.${suffix}")
        execute_process(
            COMMAND ${CMAKE_COMMAND} -E env LC_ALL=C GIT_TERMINAL_PROMPT=0
                    ${PEER_GIT} -c advice.detachedHead=false clone --quiet --bare --depth 1
                    --branch ${tag} ${url} "${clone}"
            RESULT_VARIABLE failed ERROR_VARIABLE error OUTPUT_QUIET TIMEOUT 300)
        if(failed)
            file(REMOVE_RECURSE "${clone}")
            _peer_fetch_note(${name} "${url}: ${error}")
            continue()
        endif()
        execute_process(COMMAND ${PEER_GIT} -C "${clone}" rev-parse "HEAD^{commit}"
                        OUTPUT_VARIABLE head OUTPUT_STRIP_TRAILING_WHITESPACE)
        if(NOT head STREQUAL commit)
            file(REMOVE_RECURSE "${clone}")
            message(FATAL_ERROR
                "peer: ${name}: wrong commit at tag ${tag} of ${url}\n"
                "  expected ${commit}\n"
                "  found    ${head}")
        endif()
        file(RENAME "${clone}" "${repository}")
        return()
    endforeach()
endfunction()
