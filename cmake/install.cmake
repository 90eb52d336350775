# What `cmake --install` puts where: program, both libraries, header, pkg-config file, man page, models.
add_custom_target(program DEPENDS earshot earshot_static earshot_shared)
install(TARGETS earshot earshot_static earshot_shared)
install(FILES ${CMAKE_SOURCE_DIR}/include/earshot.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(FILES ${CMAKE_SOURCE_DIR}/docs/earshot.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(DIRECTORY ${CMAKE_SOURCE_DIR}/models/ DESTINATION ${CMAKE_INSTALL_DATADIR}/earshot/models OPTIONAL)

# The .pc file finds its prefix from where it lies, so an installed tree can be moved.
file(RELATIVE_PATH EARSHOT_PC_TO_PREFIX /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
string(REGEX REPLACE "/$" "" EARSHOT_PC_TO_PREFIX "${EARSHOT_PC_TO_PREFIX}")
# Libs.private is flat on purpose: Requires.private would drag in every codec that a static FFmpeg
# needs, while libearshot.a is linked against the shared FFmpeg that distributions have.
set(EARSHOT_PC_PRIVATE ${AV_LDFLAGS} ${JANSSON_LDFLAGS} ${CAIRO_LDFLAGS}
    -lstemmer -ldnnl)
foreach(library ${OpenMP_C_LIB_NAMES})
  list(APPEND EARSHOT_PC_PRIVATE -l${library})
endforeach()
list(APPEND EARSHOT_PC_PRIVATE -lpthread -lm)
list(REMOVE_DUPLICATES EARSHOT_PC_PRIVATE)
string(REPLACE ";" " " EARSHOT_PC_PRIVATE "${EARSHOT_PC_PRIVATE}")
configure_file(${CMAKE_SOURCE_DIR}/cmake/earshot.pc.in ${CMAKE_BINARY_DIR}/earshot.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/earshot.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
