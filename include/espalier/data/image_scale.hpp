// SPDX-License-Identifier: MIT
#pragma once
#include <cmath>
#include <string>
#include <vector>

#include <espalier/core/config.hpp>
#include <espalier/core/error.hpp>
#include <espalier/io/json_file.hpp>
#include <espalier/io/path.hpp>

namespace espalier::inline v0 {

/// What becomes of bytes before a model sees them: (factor · x − mean) / deviation, channel by channel.
struct ImageScale {
  double factor = 1.0 / 255;
  std::vector<double> mean = {0.5}, deviation = {0.5};  ///< a number for all channels, or one each

  double operator()(double x, Index channel) const {
    const auto of = [&](const std::vector<double>& v) { return v[v.size() == 1 ? 0 : std::size_t(channel)]; };
    return (factor * x - of(mean)) / of(deviation);
  }
  void check(Index channels, const std::string& source) const {
    for (const auto* v : {&mean, &deviation})
      if (v->size() != 1 && Index(v->size()) != channels)
        fail(Errc::bad_input, "{}: image_mean and image_std have {} numbers for {} channels", source, v->size(), channels);
    for (const double d : deviation)
      if (!(d > 0) || !std::isfinite(d)) fail(Errc::bad_input, "{}: image_std holds {}, expected numbers above 0", source, d);
  }
};

/// As preprocessor_config.json in a model's directory says; where there is none, as the processor of ViT does by default.
/// Images are expected to have the size of the model already.
inline ImageScale read_image_scale(const std::string& directory) {
  ImageScale scale;
  const std::string name = "preprocessor_config.json";
  if (directory.empty() || !io::exists(io::join(directory, name))) return scale;
  const std::string path = io::resolve_inside(directory, name);
  const json::Value object = json::read_file(path);
  try {
    const auto numbers = [&](const char* key, std::vector<double>& into) {
      if (!object.given(key)) return;
      const json::Value& value = object.at(key);
      into.clear();
      if (!value.is_array()) return into.push_back(value.as_double(key));
      for (const json::Value& x : value.elements(key)) into.push_back(x.as_double(key));
      if (into.empty()) fail(Errc::bad_input, "{} has no number", key);
    };
    scale.factor = object.flag("do_rescale", true) ? object.number("rescale_factor", scale.factor) : 1;
    numbers("image_mean", scale.mean), numbers("image_std", scale.deviation);
    if (!object.flag("do_normalize", true)) scale.mean = {0}, scale.deviation = {1};
  } catch (const Error& error) {
    fail(error.code(), "{}: {}", path, error.what());
  }
  return scale;
}

}  // namespace espalier::inline v0
