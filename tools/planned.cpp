// SPDX-License-Identifier: MIT
#include "planned.hpp"

#include <espalier/adapter/frozen.hpp>
#include <espalier/backend/meta.hpp>
#include <espalier/model/encoder_families.hpp>
#include <espalier/model/outline.hpp>
#include <espalier/model/stored_budget.hpp>
#include <espalier/prune/compact.hpp>
#include <espalier/prune/importance/random.hpp>
#include <espalier/prune/pruner.hpp>
#include <tuple>

#include "any_schedule.hpp"
#include "count_facts.hpp"
#include "model_of.hpp"
#include "numbers.hpp"

namespace espalier::tool {
namespace {

using Device = Meta<float>;
template <class Family>
using Shapes = ModelOf<Device, Frozen, Family>;

Layout layout_called(const std::string& name) {
  for (const Layout l : {Layout::uniform, Layout::padded, Layout::compact})
    if (name == name_of(l)) return l;
  return Layout::automatic;
}
/// How many positions a token of such a sequence attends to, on average.
template <class Family>
double seen(Index tokens) {
  return EncoderFamily<Family> || tokens == 0 ? double(tokens) : double(tokens + 1) / 2;
}
bool alike(const PrunerOptions& o) {
  if (o.granularity == Granularity::layers || o.granularity == Granularity::hidden) return true;
  return o.even && (o.uniform || (o.ranking == Ranking::local && o.exclude.empty() && !o.official));
}

}  // namespace

template <class Family>
Target target_of(const TargetRequest& t, const typename Family::Config& config, const ModelSource& source, const PrunerOptions& o) {
  Target target;
  if (!t.given()) return target;
  Device device;
  Shapes<Family> shapes(device, config);
  espalier::detail::prune_by(shapes, o.granularity);
  // Layers of different width are filled up in the file: what is computed is counted then, except where the file is meant.
  if (alike(o) || t.bytes > 0 || t.seconds > 0) target.widths = stored_widths(shapes, layout_called(t.layout), alike(o));
  target.left = t.parameters + t.macs + t.bytes;
  if (t.macs > 0 || t.seconds > 0) target.budget = MacBudget{.positions = seen<Family>(t.positions)};
  if (t.bytes > 0) target.budget = stored_bytes(shapes, source, t.dtype);
  return target;
}

template <class Family>
Planned<Family> planned(const typename Family::Config& config, const ModelSource& source, PrunerOptions options, double sparsity,
                const TargetRequest& t) {
  Device device;
  Shapes<Family> model(device, config);
  options.every = 1;
  Planned<Family> out;
  {
    // The official program prunes at multiples of ten strictly inside its schedule: what it removes is run through.
    const AnySchedule schedule =
        options.official ? AnySchedule::over(400, sparsity, 0.1, 0.1, false) : AnySchedule{0, 1, sparsity, 0, true};
    if (options.official) options.every = 10;
    Pruner pruner(model, RandomImportance{}, EMAMask{.decay = 0}, schedule, options);
    for (Index step = 0; step < (options.official ? 400 : 1); ++step) pruner.step();
    out.report = pruner.report();
  }
  compact(model);
  out.facts = facts_of(model);
  CutPlan cut(model);
  const Dtype stated = t.dtype ? *t.dtype : source.dtype_of(StoredModel<typename Family::Config>::kEmbedding).value_or(Dtype::f32);
  out.stored = outline_of(config, cut, layout_called(t.layout), stock_config(source.config), stated, source.directory).config;
  Shapes<Family> stored(device, out.stored);
  out.file_bytes = stored_bytes(stored, source, t.dtype).count(stored);
  return out;
}

namespace {
// Compiled here for every family of the lists; the linker must find them.
template <class... Family, class... Encoder>
auto compiled(Families<Family...>, Families<Encoder...>) {
  return std::tuple(&target_of<Family>..., &planned<Family>..., &target_of<Encoder>..., &planned<Encoder>...);
}
[[gnu::used]] const auto kept = compiled(LanguageFamilies{}, EncoderFamilies{});
}  // namespace

Table target_table(const PruneReport& r, const PrunerOptions& o, double left, Index macs_at, const std::optional<LatencyReached>& latency) {
  const auto whole = [](double x) { return with_commas(Index(std::llround(x))); };
  Table table;
  table.head = {"", "target", "reached", "off by", "smallest step"};
  if (latency) {
    table.rows.push_back({"latency", milliseconds(latency->asked), milliseconds(latency->reached),
                          change_text(latency->asked, latency->reached), format("within {} %", 100 * latency->tolerance)});
  }
  if (o.target.left <= 0 && o.of == SparsityOf::prunable) {
    const auto percent = [](double x) { return fixed(100 * x, 2) + "%"; };
    table.rows.push_back({"removed of prunable parameters", percent(r.asked), percent(r.reached), percent(r.reached - r.asked),
                          percent(r.step)});
  } else {
    const std::string name = macs_at > 0 ? format("{} at {} tokens", r.counts, macs_at) : r.counts;
    table.rows.push_back({name, whole(r.target), whole(left), whole(left - r.target), whole(r.smallest_step)});
  }
  return table;
}

json::Value target_json(const PruneReport& r, double left) {
  return json::Value::object({{"counts", r.counts}, {"dense", r.dense}, {"least", r.least}, {"target", r.target},
                              {"left", left}, {"step", r.smallest_step}});
}

json::Value latency_json(const LatencyFit& f) {
  return json::Value::object({{"ms", f.seconds * 1e3}, {"dense_ms", f.dense * 1e3}, {"least_ms", f.least * 1e3},
                              {"macs", f.left}, {"models_measured", f.measured}});
}

}  // namespace espalier::tool
