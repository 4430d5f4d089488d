// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/model/config_reader.hpp>
#include <espalier/nn/rotary.hpp>
#include <string>

namespace espalier::inline v0 {

/// Both spellings of the rotary embedding: transformers 4 has rope_theta and rope_scaling side by side, transformers 5 one
/// table rope_parameters. Where a file has both they have to agree. Written is the older one, which both versions read.
class RotaryConfig {
 public:
  static RotaryOptions read(const ConfigReader& config) {
    if (config.given("partial_rotary_factor")) {
      config.expect(config.number("partial_rotary_factor", 0) == 1, "partial_rotary_factor", "whole heads are rotated (1.0)");
    }
    const bool old = config.given("rope_theta") || config.given("rope_scaling");
    RotaryOptions a, b;
    if (old) {
      if (config.given("rope_scaling")) a = table(config.inner("rope_scaling"));
      a.theta = config.number("rope_theta", a.theta, 0);
    }
    if (!config.given("rope_parameters")) return a;
    b = table(config.inner("rope_parameters"));
    if (old && config.given("rope_theta") && !config.inner("rope_parameters").given("rope_theta")) b.theta = a.theta;
    if (old && !same(a, b)) {
      config.wrong("rope_parameters disagrees with rope_theta and rope_scaling; remove the one that is not meant");
    }
    return b;
  }

  static void write(json::Value& config, const RotaryOptions& options) {
    config.erase("rope_parameters");
    config.set("rope_theta", options.theta);
    json::Value scaling;
    if (options.scaling == RotaryOptions::Scaling::linear) {
      scaling = json::Value::object({{"rope_type", "linear"}, {"factor", options.factor}});
    } else if (options.scaling == RotaryOptions::Scaling::llama3) {
      scaling = json::Value::object({{"rope_type", "llama3"},
                                     {"factor", options.factor},
                                     {"low_freq_factor", options.low_frequency_factor},
                                     {"high_freq_factor", options.high_frequency_factor},
                                     {"original_max_position_embeddings", Index(options.original_length)}});
    }
    config.set("rope_scaling", scaling);
  }

 private:
  static RotaryOptions table(const ConfigReader& rope) {
    RotaryOptions o;
    o.theta = rope.number("rope_theta", o.theta, 0);
    if (rope.given("partial_rotary_factor")) {
      rope.expect(rope.number("partial_rotary_factor", 0) == 1, "partial_rotary_factor", "whole heads are rotated (1.0)");
    }
    std::string kind = rope.text("rope_type", rope.text("type", "default"));
    if (rope.given("rope_type") && rope.given("type") && rope.text("type") != kind) {
      rope.wrong("rope_type is {} but type is {}", printable(kind), printable(rope.text("type")));
    }
    if (kind == "linear") {
      o.scaling = RotaryOptions::Scaling::linear;
      o.factor = rope.number("factor", 0);
    } else if (kind == "llama3") {
      o.scaling = RotaryOptions::Scaling::llama3;
      o.factor = rope.number("factor", 0);
      o.low_frequency_factor = rope.number("low_freq_factor", 0);
      o.high_frequency_factor = rope.number("high_freq_factor", 0);
      o.original_length = double(rope.integer("original_max_position_embeddings", 1, Index{1} << 40));
      if (o.high_frequency_factor <= o.low_frequency_factor) {
        rope.wrong("high_freq_factor is {}, expected more than low_freq_factor, which is {}", o.high_frequency_factor,
                   o.low_frequency_factor);
      }
    } else if (kind != "default") {
      rope.refuse("rope_type is {}, which is not supported: default, linear and llama3 are", printable(kind));
    }
    return o;
  }
  static bool same(const RotaryOptions& a, const RotaryOptions& b) {
    if (a.theta != b.theta || a.scaling != b.scaling) return false;
    if (a.scaling == RotaryOptions::Scaling::none) return true;
    if (a.factor != b.factor) return false;
    return a.scaling == RotaryOptions::Scaling::linear ||
           (a.low_frequency_factor == b.low_frequency_factor && a.high_frequency_factor == b.high_frequency_factor &&
            a.original_length == b.original_length);
  }
};

}  // namespace espalier::inline v0
