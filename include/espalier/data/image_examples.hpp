// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <espalier/core/image_batch.hpp>
#include <espalier/data/examples.hpp>
#include <espalier/data/image_scale.hpp>
#include <espalier/data/label_column.hpp>
#include <espalier/io/npy_header.hpp>

namespace espalier::inline v0 {

/// Images with a label each: bytes that are scaled on their way into a batch, or numbers that a model takes as they are.
struct ImageSet {
  using Batch = ImageBatch;
  static constexpr bool kLabelled = true;

  std::string source;
  Index images = 0, channels = 3, height = 0, width = 0;
  std::vector<std::uint8_t> bytes;  // (images, channels, height, width), or
  std::vector<float> numbers;       // the same
  ImageScale scale;                 ///< of bytes
  LabelColumn labels;

  Index size() const { return images; }
  Index pixels() const { return channels * height * width; }  ///< numbers of an image

  struct Rows {
    std::vector<float> pixels;  // (batch, channels, height, width)
    std::vector<int> classes;   // (batch)
    std::vector<double> values; // (batch, labels)
    Index batch = 0;
    Index fed() const { return batch; }
  };
  void collect(std::span<const EpochOrder::Drawn> drawn, Index, Rows& rows) const {
    rows.batch = Index(drawn.size()), rows.classes.clear(), rows.values.clear();
    rows.pixels.resize(drawn.size() * std::size_t(pixels()));
    auto to = rows.pixels.begin();
    for (const auto& d : drawn) {
      const Index first = d.which * pixels(), plane = height * width;
      if (!numbers.empty()) {
        to = std::copy_n(numbers.begin() + first, pixels(), to);
      } else {
        for (Index i = 0; i < pixels(); ++i) *to++ = float(scale(bytes[std::size_t(first + i)], i / plane));
      }
      labels.copy(d.which, rows.classes, rows.values);
    }
  }
  Batch batch(const Rows& r) const {
    return {.pixels = r.pixels, .batch = r.batch, .channels = channels, .height = height, .width = width,
            .labels = {.classes = r.classes, .values = r.values}};
  }
  ImageSet part(std::span<const Index> which) const {
    ImageSet p;
    p.source = source, p.channels = channels, p.height = height, p.width = width, p.scale = scale;
    p.images = Index(which.size()), p.labels = labels.part(which);
    for (const Index i : which) {
      const auto copy = [&](const auto& from, auto& into) {
        if (!from.empty()) into.insert(into.end(), from.begin() + i * pixels(), from.begin() + (i + 1) * pixels());
      };
      copy(bytes, p.bytes), copy(numbers, p.numbers);
    }
    return p;
  }
  std::string hash() const {
    Sha256 h;
    h.update(format("{} {} {} {} {};", images, channels, height, width, scale.factor));
    for (const auto* v : {&scale.mean, &scale.deviation}) h.update(std::as_bytes(std::span(*v)));
    h.update(std::as_bytes(std::span(bytes))).update(std::as_bytes(std::span(numbers)));
    labels.add_to(h);
    return h.hex();
  }
  /// Refuses what a model of this configuration has no place for.
  template <class Config>
  void check(const Config& config) const {
    const auto& g = config.grid;
    if (channels != g.channels || height != g.height || width != g.width) {
      fail(Errc::bad_input, "{}: images of {} x {} with {} channels; this model wants {} x {} with {} (image_size, num_channels)",
           source, height, width, channels, g.height, g.width, g.channels);
    }
    labels.check(config.labels, source);
  }
};
using ImageExamples = Examples<ImageSet>;

struct ImageOptions {
  ImageScale scale = {};
  LabelRules labels = {};
};

namespace detail {

/// All numbers of a file whose type is T.
template <class T>
std::vector<T> npy_numbers(const io::File& file, const NpyHeader& h) {
  std::vector<T> x(h.elements);
  file.read_at(h.data_begin, std::as_writable_bytes(std::span(x)));
  return x;
}
inline std::string shape_text(const NpyHeader& h) {
  std::string text;
  for (const Index n : h.shape) text += format("{}{}", text.empty() ? "" : ", ", n);
  return "(" + text + ")";
}

/// Whole numbers (images), or numbers (images) or (images, labels).
inline void read_npy_labels(const std::string& path, Index images, LabelColumn& labels) {
  const io::File file(path);
  const NpyHeader h = NpyHeader::read(file);
  const bool classes = labels.options.kind() == Problem::one_label;
  const Index count = labels.options.count;
  const bool flat = h.shape.size() == 1 && (classes || count == 1), table = h.shape.size() == 2 && !classes && h.shape[1] == count;
  if ((!flat && !table) || h.shape[0] != images) {
    fail(Errc::bad_input, "{}: labels of shape {} for {} images, expected ({}{})", path, shape_text(h), images, images,
         classes ? "" : format(", {}", count));
  }
  const auto add = [&](const auto& numbers) {
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      try {
        if constexpr (std::is_integral_v<std::decay_t<decltype(numbers[i])>>) {
          if (classes) {
            if (!std::in_range<Index>(numbers[i])) fail(Errc::bad_input, "label {} is no class", numbers[i]);
            labels.add_class(Index(numbers[i]));
            continue;
          }
        }
        labels.add_value(double(numbers[i]));
      } catch (const Error& error) {
        fail(error.code(), "{}: at position {}: {}", path, i, error.what());
      }
    }
  };
  if (h.descr == "|u1" || h.descr == "|b1") return add(npy_numbers<std::uint8_t>(file, h));
  if (h.descr == "|i1") return add(npy_numbers<std::int8_t>(file, h));
  if (h.descr == "<i4") return add(npy_numbers<std::int32_t>(file, h));
  if (h.descr == "<i8") return add(npy_numbers<std::int64_t>(file, h));
  if (classes || (h.descr != "<f4" && h.descr != "<f8")) {
    fail(Errc::bad_input, "{}: labels of type {}, expected {}", path, h.descr,
         classes ? "whole numbers: array.astype('<i8')" : "numbers: array.astype('<f4')");
  }
  h.descr == "<f4" ? add(npy_numbers<float>(file, h)) : add(npy_numbers<double>(file, h));
}

}  // namespace detail

/// Images as numpy saves them, (images, channels, height, width): bytes, which are scaled as options.scale says, or
/// float32, which are what a processor made and taken as they are. Labels are whole numbers, or numbers, one row an image.
///
///     ImageExamples train(read_images("train.npy", "train.labels.npy", image_options(model)));
inline ImageSet read_images(const std::string& path, const std::string& labels_path, const ImageOptions& options) {
  const io::File file(path);
  const NpyHeader h = NpyHeader::read(file);
  if (h.shape.size() != 4) {
    fail(Errc::bad_input, "{}: an array of shape {}, expected (images, channels, height, width){}", path, detail::shape_text(h),
         h.shape.size() == 3 ? ": one image is array[None]" : "");
  }
  ImageSet set;
  set.source = path, set.scale = options.scale, set.labels.options = options.labels.options;
  set.images = h.shape[0], set.channels = h.shape[1], set.height = h.shape[2], set.width = h.shape[3];
  if (h.elements == 0) fail(Errc::bad_input, "{}: there is no image in it: its shape is {}", path, detail::shape_text(h));
  if (h.descr == "|u1") {
    options.scale.check(set.channels, path);
    set.bytes = detail::npy_numbers<std::uint8_t>(file, h);
  } else if (h.descr == "<f4") {
    set.numbers = detail::npy_numbers<float>(file, h);
    const auto bad = std::find_if(set.numbers.begin(), set.numbers.end(), [](float x) { return !std::isfinite(x); });
    if (bad != set.numbers.end())
      fail(Errc::bad_input, "{}: image {} holds {}", path, (bad - set.numbers.begin()) / set.pixels(), double(*bad));
  } else {
    fail(Errc::unsupported, "{}: images of type {}; expected bytes, array.astype('u1'), or what a processor made, array.astype('<f4')",
         path, h.descr);
  }
  detail::read_npy_labels(labels_path, set.images, set.labels);
  return set;
}

}  // namespace espalier::inline v0
