// SPDX-License-Identifier: MIT
#pragma once
// Arrays of numpy, in and out. Needs xtensor: link espalier::npy. Its folders have moved between versions.
#if __has_include(<xtensor/io/xnpy.hpp>)
#include <xtensor/containers/xadapt.hpp>
#include <xtensor/containers/xarray.hpp>
#include <xtensor/io/xnpy.hpp>
#else
#include <xtensor/xadapt.hpp>
#include <xtensor/xarray.hpp>
#include <xtensor/xnpy.hpp>
#endif
#include <algorithm>
#include <concepts>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <espalier/core/dtype.hpp>
#include <espalier/core/error.hpp>
#include <espalier/core/view.hpp>
#include <espalier/io/file_read.hpp>
#include <espalier/io/file_write.hpp>
#include <espalier/io/npy_header.hpp>

namespace espalier::inline v0 {

namespace detail {

/// f(value of the stored type)
template <class F>
void with_npy_type(const NpyHeader& h, F&& f) {
  switch (h.kind()) {
    case 'f': return h.width == 2 ? f(Half{}) : h.width == 4 ? f(float{}) : f(double{});
    case 'i':
      return h.width == 1   ? f(std::int8_t{})
             : h.width == 2 ? f(std::int16_t{})
             : h.width == 4 ? f(std::int32_t{})
                            : f(std::int64_t{});
    default:
      return h.width == 1   ? f(std::uint8_t{})
             : h.width == 2 ? f(std::uint16_t{})
             : h.width == 4 ? f(std::uint32_t{})
                            : f(std::uint64_t{});
  }
}

/// To the type that was asked for; whole numbers must fit, and numbers with a fraction stay ones.
template <class To, class From>
To npy_number(From x, const io::File& file, std::uint64_t at) {
  if constexpr (std::integral<To> && std::integral<From>) {
    if (!std::in_range<To>(x))
      fail(Errc::bad_input, "{}: {} at position {} does not fit {} bits", file.path(), x, at, sizeof(To) * 8);
    return To(x);
  } else if constexpr (std::integral<To>) {
    fail(Errc::bad_input, "{}: numbers with a fraction where whole ones are expected", file.path());
  } else if constexpr (std::is_same_v<From, Half>) {
    return To(float(x));
  } else {
    return To(x);
  }
}

}  // namespace detail

/// The array of a .npy file as numbers of type T. Everything the header claims is checked before memory is taken, which
/// xtensor's own reader leaves to its caller.
///
///     xt::xarray<float> weights = read_npy<float>("weights.npy");
template <class T>
xt::xarray<T> read_npy(const std::string& path) {
  const io::File file(path);
  const NpyHeader header = NpyHeader::read(file);
  xt::xarray<T> array = xt::xarray<T>::from_shape(std::vector<std::size_t>(header.shape.begin(), header.shape.end()));
  T* to = array.data();
  detail::with_npy_type(header, [&]<class From>(From) {
    std::vector<From> piece(std::min<std::uint64_t>(header.elements, 1u << 18));
    for (std::uint64_t at = 0; at < header.elements; at += piece.size()) {
      const std::span part(piece.data(), std::min<std::uint64_t>(piece.size(), header.elements - at));
      file.read_at(header.data_begin + at * sizeof(From), std::as_writable_bytes(part));
      for (std::size_t i = 0; i < part.size(); ++i) to[at + i] = detail::npy_number<T>(part[i], file, at + i);
    }
  });
  return array;
}

/// Writes any xtensor expression, whole or not at all.
template <class E>
void write_npy(const std::string& path, const xt::xexpression<E>& array) {
  io::write_file_atomically(path, xt::dump_npy(array));
}
/// Writes a tensor of the host.
template <class T, int Rank>
void write_npy(const std::string& path, View<const T, Rank> view) {
  require(view.dense(), "{}: only arrays without gaps are written", path);
  const std::vector<std::size_t> shape(view.shape, view.shape + Rank);
  write_npy(path, xt::adapt(view.data, std::size_t(view.size()), xt::no_ownership(), shape));
}
template <class T, int Rank>
  requires(!std::is_const_v<T>)
void write_npy(const std::string& path, View<T, Rank> view) {
  write_npy(path, View<const T, Rank>(view));
}

/// Token ids of a .npy file: a stream (1-D), or rows that are documents of their own (2-D).
///
///     TokenFile data(read_npy_tokens("train.npy"));
struct NpyTokens {
  std::string source;
  std::vector<int> ids;
  Index columns = 0;  ///< 0: a stream
};
inline NpyTokens read_npy_tokens(const std::string& path) {
  const xt::xarray<int> array = read_npy<int>(path);
  if (array.dimension() < 1 || array.dimension() > 2) {
    fail(Errc::bad_input, "{}: {} dimensions, expected a stream of ids (n) or rows of them (n, T)", path,
         array.dimension());
  }
  return {path, std::vector<int>(array.data(), array.data() + array.size()),
          array.dimension() == 2 ? Index(array.shape()[1]) : 0};
}

}  // namespace espalier::inline v0
