# SPDX-License-Identifier: BSD-3-Clause
# The pages as they are installed, in PROJECT_BINARY_DIR/man: the place of the table of protocols is
# filled from protocols.def, which is read as text, so that no program has to run for it. libpeer(3) names
# the pages that lib/install makes, one a header.

set(table ${PROJECT_SOURCE_DIR}/src/protocol/protocols.def)
file(READ ${table} text)
string(REPLACE ";" "<semicolon>" text "${text}") # which would end an item of the list
string(REGEX MATCHALL "PROTOCOL\\([a-z0-9]+,([ \n]*\"[^\"]*\")+\\)" entries "${text}")
set(protocols "")
foreach(entry ${entries})
    string(REGEX REPLACE "PROTOCOL\\(([a-z0-9]+),.*" "\\1" name "${entry}")
    string(REGEX REPLACE "PROTOCOL\\([a-z0-9]+,[ \n]*\"(.*)\"\\)" "\\1" about "${entry}")
    string(REGEX REPLACE "\"[ \n]*\"" "" about "${about}")
    string(REPLACE "<semicolon>" ";" about "${about}")
    string(REPLACE ". " ".\n" about "${about}")
    string(REGEX REPLACE "`([a-z]+)`" "\\\\-\\\\-\\1" about "${about}") # a field's name: an option's
    string(APPEND protocols ".It ${name}\n${about}\n")
endforeach()
if(NOT protocols)
    message(FATAL_ERROR "no protocol was found in ${table}")
endif()
string(REGEX REPLACE "\n$" "" protocols "${protocols}")

set(library "")
file(GLOB headers CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/include/peer/*.h)
list(FILTER headers EXCLUDE REGEX "/export.h$")
list(TRANSFORM headers REPLACE "/peer.h$" "/net.h")
foreach(header ${headers})
    get_filename_component(name ${header} NAME_WE)
    list(APPEND library ".Xr peer_${name} 3 ,")
endforeach()
list(SORT library)
string(REPLACE ";" "\n" library "${library}")

file(GLOB pages CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/cli/man/*.[137])
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${table} ${pages})
foreach(page ${pages})
    get_filename_component(name ${page} NAME)
    file(READ ${page} text)
    string(REPLACE ".\\\" @PROTOCOLS@" "${protocols}" text "${text}")
    string(REPLACE ".\\\" @PAGES@" "${library}" text "${text}")
    file(GENERATE OUTPUT ${PROJECT_BINARY_DIR}/man/${name} CONTENT "${text}")
endforeach()
