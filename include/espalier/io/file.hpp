// SPDX-License-Identifier: MIT
#pragma once
// Files as this library reads and writes them: regular files only, nothing half-written under its final name.
#include <espalier/io/file_read.hpp>
#include <espalier/io/file_write.hpp>
#include <espalier/io/path.hpp>
#include <espalier/io/staged_directory.hpp>
