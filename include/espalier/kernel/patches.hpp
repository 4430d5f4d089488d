// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/core/dtype.hpp>
#include <espalier/core/view.hpp>

namespace espalier::inline v0::kernel {

/// An image cut into patches, left to right and top to bottom.
struct PatchGrid {
  Index channels, height, width, down, across;  // down, across: of a patch
  ESPALIER_FN Index patches() const { return (height / down) * (width / across); }
  ESPALIER_FN Index numbers() const { return channels * down * across; }
};

// y(b n + p, :) = the pixels of patch p of image b, channel by channel and row by row: a convolution whose stride is its
// width is a product with this matrix.
template <class T>
struct Unfold {
  PatchGrid grid;
  const T* pixels;  // (batch, channels, height, width)
  View<T, 2> y;     // (batch · patches, channels · down · across)

  ESPALIER_FN Index width() const { return y.cols(); }
  template <class Team>
  ESPALIER_FN void operator()(Team& team, Index i) const {
    const Index n = grid.patches(), b = i / n, p = i % n, columns = grid.width / grid.across;
    const Index top = p / columns * grid.down, left = p % columns * grid.across, area = grid.down * grid.across;
    const T* const image = pixels + b * grid.channels * grid.height * grid.width;
    T* const yi = y.row(i);
    team.each(y.cols(), [&](Index j) {
      const Index c = j / area, r = j % area / grid.across, s = j % grid.across;
      yi[j] = image[(c * grid.height + top + r) * grid.width + left + s];
    });
  }
};

// y(b, 0, :) = first + position(0, :),  y(b, 1 + p, :) = x(b n + p, :) + bias + position(1 + p, :), per row.
//                                                                                       Dosovitskiy et al. 2020, eq. 1
template <class T, class W, class A>
struct PlacePatches {
  View<const T, 2> x;                // (batch · patches, width)
  View<const A, 1> bias;             // (width)
  View<const W, 2> first, position;  // (1, width), (1 + patches, width)
  View<T, 2> y;                      // (batch · (1 + patches), width)

  ESPALIER_FN Index width() const { return y.cols(); }
  template <class Team>
  ESPALIER_FN void operator()(Team& team, Index i) const {
    const Index seq = position.rows(), b = i / seq, t = i % seq;
    const W* const at = position.row(t);
    T* const yi = y.row(i);
    if (t == 0) {
      const W* const token = first.row(0);
      team.each(y.cols(), [&](Index j) { yi[j] = T(widen<A>(token[j]) + widen<A>(at[j])); });
    } else {
      const T* const patch = x.row(b * (seq - 1) + t - 1);
      const A* const shift = bias.data;
      team.each(y.cols(), [&](Index j) { yi[j] = T(widen<A>(patch[j]) + shift[j] + widen<A>(at[j])); });
    }
  }
};

}  // namespace espalier::inline v0::kernel
