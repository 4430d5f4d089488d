# SPDX-License-Identifier: MIT
# find_package(espalier) [COMPONENTS cpu npy cuda]. Headers only, so the package files are independent of the architecture.
include(CMakePackageConfigHelpers)
set(package_dir "${CMAKE_INSTALL_DATADIR}/cmake/espalier")

set(core_file_sets FILE_SET HEADERS DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}" COMPONENT Development)
if(device_headers)
  list(APPEND core_file_sets FILE_SET device DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}" COMPONENT Development)
endif()
install(TARGETS espalier EXPORT espalier-core ${core_file_sets})
install(EXPORT espalier-core FILE espalier-core.cmake NAMESPACE espalier:: DESTINATION "${package_dir}" COMPONENT Development)
install(TARGETS espalier_cpu EXPORT espalier-cpu FILE_SET HEADERS DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}" COMPONENT Development)
install(EXPORT espalier-cpu FILE espalier-cpu.cmake NAMESPACE espalier:: DESTINATION "${package_dir}" COMPONENT Development)
if(TARGET espalier_npy)
  install(TARGETS espalier_npy EXPORT espalier-npy FILE_SET HEADERS DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}" COMPONENT Development)
  install(EXPORT espalier-npy FILE espalier-npy.cmake NAMESPACE espalier:: DESTINATION "${package_dir}" COMPONENT Development)
endif()

configure_package_config_file("${CMAKE_CURRENT_LIST_DIR}/espalier-config.cmake.in"
                              "${PROJECT_BINARY_DIR}/espalier-config.cmake" INSTALL_DESTINATION "${package_dir}")
write_basic_package_version_file("${PROJECT_BINARY_DIR}/espalier-config-version.cmake"
                                 COMPATIBILITY SameMinorVersion ARCH_INDEPENDENT)
install(FILES "${PROJECT_BINARY_DIR}/espalier-config.cmake" "${PROJECT_BINARY_DIR}/espalier-config-version.cmake"
        DESTINATION "${package_dir}" COMPONENT Development)
install(FILES "${PROJECT_SOURCE_DIR}/LICENSE" DESTINATION "${CMAKE_INSTALL_DATADIR}/doc/espalier" COMPONENT Development)

configure_file("${CMAKE_CURRENT_LIST_DIR}/espalier.pc.in" "${PROJECT_BINARY_DIR}/espalier.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/espalier.pc" DESTINATION "${CMAKE_INSTALL_DATADIR}/pkgconfig" COMPONENT Development)

if(TARGET espalier_tool)
  install(TARGETS espalier_tool RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
  if(IS_DIRECTORY "${PROJECT_SOURCE_DIR}/models/demo")
    install(DIRECTORY "${PROJECT_SOURCE_DIR}/models/demo/" DESTINATION "${CMAKE_INSTALL_DATADIR}/espalier/demo")
  endif()
endif()
