// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/model/stored_model.hpp>

namespace espalier::inline v0 {

/// What files can say of the heads of models whose configuration gives the width of a head by their number. Fewer cannot be
/// said, so that those that left keep their places, filled with zeros.
template <class Config>
struct FixedHeads {
  static bool sayable(const Config& c, const CutPlan& cut) { return cut.width("heads") == c.hidden / c.head_dim; }
  static void narrow(Config& c, CutPlan& cut, Layout layout) {
    const Index all = c.hidden / c.head_dim;
    if (layout == Layout::uniform && !sayable(c, cut)) {
      fail(Errc::usage, "layout uniform: {} of {} heads are left, and a {} says the width of a head by their number\n  hint: layout "
           "padded writes the same function with zeros in their place", cut.width("heads"), all, StoredModel<Config>::kTypes[0]);
    }
    cut.widen("heads", all);
    c.heads = c.groups = all, c.feed_forward = cut.width("channels");
  }
};

}  // namespace espalier::inline v0
