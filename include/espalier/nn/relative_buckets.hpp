// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <cmath>
#include <espalier/core/config.hpp>

namespace espalier::inline v0 {

/// Which embedding a distance t − s has: one each, or near ones each their own and far ones in buckets whose width grows
/// with the logarithm.                                                                 He et al. 2021 (DeBERTaV3), code
///
/// half = buckets / 2; δ for |δ| ≤ half, else ±(half + ⌈(half − 1) log(|δ| / half) / log((reach − 1) / half)⌉), in float as
/// checkpoints were trained; counted from 0 and held inside.
struct RelativeBuckets {
  Index reach = 512;   ///< distances that are told apart, if there are no buckets; where the last bucket begins
  Index buckets = 256;  ///< on each side; 0: none

  Index span() const { return buckets > 0 ? buckets : reach; }
  Index count() const { return 2 * span(); }
  Index of(Index distance) const { return std::clamp<Index>(bucket(distance) + span(), 0, count() - 1); }

 private:
  Index bucket(Index distance) const {
    const Index half = buckets / 2, away = distance < 0 ? -distance : distance;
    if (buckets <= 0 || away <= half) return distance;
    const float unit = std::log(float(double(reach - 1) / double(half)));
    const Index log = Index(std::ceil(std::log(float(away) / float(half)) / unit * float(half - 1))) + half;
    return distance < 0 ? -log : log;
  }
};

}  // namespace espalier::inline v0
