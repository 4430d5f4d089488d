// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <espalier/core/config.hpp>
#include <espalier/core/error.hpp>
#include <espalier/io/file_read.hpp>
#include <espalier/io/json_write.hpp>

namespace espalier::inline v0 {

/// What a .npy file says about itself: {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }, checked against the
/// size of the file before any memory is taken.                                                        numpy.lib.format
struct NpyHeader {
  std::string descr;
  bool fortran_order = false;
  std::vector<Index> shape;
  std::uint64_t data_begin = 0;
  std::uint64_t elements = 1;
  unsigned width = 0;  ///< bytes an element

  char kind() const { return descr[1]; }  ///< 'f', 'i', 'u' or 'b'

  static NpyHeader read(const io::File& file) {
    unsigned char start[12] = {};
    const auto bytes = std::as_writable_bytes(std::span(start));
    if (file.size() < 12) refuse(file, "it is too short");
    file.read_at(0, bytes);
    if (std::string_view(reinterpret_cast<const char*>(start), 6) != "\x93NUMPY")
      refuse(file, "it does not begin with \\x93NUMPY");
    const unsigned version = start[6];
    if (version < 1 || version > 3 || start[7] != 0)
      refuse(file, format("its format version {}.{} is unknown", version, int(start[7])));
    std::uint64_t length = start[8] | std::uint64_t{start[9]} << 8, begin = 10;
    if (version > 1) length |= std::uint64_t{start[10]} << 16 | std::uint64_t{start[11]} << 24, begin = 12;
    if (length > (1u << 20) || length > file.size() - begin)
      refuse(file, format("its header of {} bytes is cut off", length));
    std::string text(length, '\0');
    file.read_at(begin, std::as_writable_bytes(std::span(text.data(), text.size())));
    NpyHeader header;
    header.data_begin = begin + length;
    Reader{text, file}.fill(header);
    header.measure(file);
    return header;
  }

 private:
  [[noreturn]] static void refuse(const io::File& file, std::string_view why) {
    fail(Errc::bad_input, "{}: not a .npy file that can be read: {}", file.path(), why);
  }

  void measure(const io::File& file) {
    static constexpr std::string_view known[] = {"<f2", "<f4", "<f8", "|i1", "<i2", "<i4",
                                                 "<i8", "|u1", "<u2", "<u4", "<u8", "|b1"};
    if (std::find(std::begin(known), std::end(known), descr) == std::end(known)) {
      fail(Errc::unsupported, "{}: numbers of type {}; convert with array.astype('<i4') or '<f4'", file.path(),
           printable(descr));
    }
    width = unsigned(descr[2] - '0');
    if (fortran_order && shape.size() > 1) {
      fail(Errc::unsupported, "{}: column-version order; save numpy.ascontiguousarray(array)", file.path());
    }
    std::uint64_t bytes = width;
    for (const Index extent : shape) {
      if (__builtin_mul_overflow(bytes, std::uint64_t(extent), &bytes)) refuse(file, "its shape does not fit 64 bits");
    }
    elements = bytes / width;
    if (bytes != file.size() - data_begin) {
      refuse(file, format("shape and type need {} bytes of data and there are {}", bytes, file.size() - data_begin));
    }
  }

  /// The dictionary of the header: a small, strict piece of Python.
  struct Reader {
    std::string_view rest;
    const io::File& file;

    void fill(NpyHeader& header) {
      unsigned seen = 0;
      expect('{');
      while (!next('}')) {
        const std::string key = text();
        const unsigned bit = key == "descr" ? 1 : key == "fortran_order" ? 2 : key == "shape" ? 4 : 0;
        if (bit == 0 || (seen & bit) != 0)
          refuse(file, format("the key {} is unknown or stands twice", printable(key)));
        seen |= bit;
        expect(':');
        if (bit == 1) header.descr = text();
        if (bit == 2) header.fortran_order = truth();
        if (bit == 4) header.shape = tuple();
        if (!next(',')) {
          expect('}');
          break;
        }
      }
      blank();
      if (!rest.empty() || seen != 7) refuse(file, "its header is not descr, fortran_order and shape");
    }
    void blank() {
      while (!rest.empty() && (rest[0] == ' ' || rest[0] == '\n')) rest.remove_prefix(1);
    }
    bool next(char c) {
      blank();
      if (rest.empty() || rest[0] != c) return false;
      rest.remove_prefix(1);
      return true;
    }
    void expect(char c) {
      if (!next(c)) refuse(file, format("its header lacks a {}", c));
    }
    std::string text() {
      const char quote = next('"') ? '"' : '\'';
      if (quote == '\'') expect('\'');
      const auto end = rest.find(quote);
      if (end == std::string_view::npos) refuse(file, "a text in its header does not end");
      const std::string x(rest.substr(0, end));
      rest.remove_prefix(end + 1);
      return x;
    }
    bool truth() {
      blank();
      for (const bool value : {true, false}) {
        const std::string_view name = value ? "True" : "False";
        if (!rest.starts_with(name)) continue;
        rest.remove_prefix(name.size());
        return value;
      }
      refuse(file, "fortran_order is neither True nor False");
    }
    std::vector<Index> tuple() {
      std::vector<Index> extents;
      expect('(');
      while (!next(')')) {
        blank();
        Index extent = -1;
        const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), extent);
        if (error != std::errc() || extent < 0 || extents.size() == 8) refuse(file, "its shape is not up to 8 numbers");
        rest.remove_prefix(std::size_t(end - rest.data()));
        extents.push_back(extent);
        if (!next(',')) {
          expect(')');
          break;
        }
      }
      return extents;
    }
  };
};

}  // namespace espalier::inline v0
