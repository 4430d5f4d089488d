// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstring>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <espalier/core/visit.hpp>
#include <espalier/io/json.hpp>
#include <espalier/io/safetensors.hpp>
#include <espalier/io/safetensors_write.hpp>
#include <espalier/io/sha256.hpp>
#include <espalier/io/staged_directory.hpp>
#include <espalier/prune/extents.hpp>
#include <espalier/train/live_compaction.hpp>

namespace espalier::inline v0 {

/// The numbers of a run on the host, by name: what a checkpoint stores beside the manifest.
struct TrainingState {
  struct Numbers {
    Dtype dtype;
    std::vector<Index> shape;
    std::vector<std::byte> bytes;

    template <class T>
    static Numbers of(const std::vector<T>& x, std::vector<Index> shape) {
      Numbers n{dtype_of<T>, std::move(shape), std::vector<std::byte>(x.size() * sizeof(T))};
      if (!x.empty()) std::memcpy(n.bytes.data(), x.data(), n.bytes.size());
      return n;
    }
    template <class T>
    std::vector<T> as() const {
      std::vector<T> x(bytes.size() / sizeof(T));
      if (!x.empty()) std::memcpy(x.data(), bytes.data(), x.size() * sizeof(T));
      return x;
    }
  };
  std::map<std::string, Numbers> numbers;

  /// Writes the file and says its name, size and hash, as they were meant to be.
  json::Value write(const io::StagedDirectory& into, std::string_view name) const {
    std::vector<TensorSpec> specs;
    for (const auto& [key, n] : numbers) specs.push_back({key, n.dtype, n.shape});
    Sha256 hash;
    std::uint64_t bytes = 0;
    io::write_file_atomically(into / name, [&](io::OutputFile& file) {
      struct Hashed {
        io::OutputFile& file;
        Sha256& hash;
        void write(std::span<const std::byte> x) { hash.update(x), file.write(x); }
        void write(std::string_view x) { hash.update(x), file.write(x); }
      } out{file, hash};
      stream_safetensors(out, specs, {},
                         [&](const TensorInfo& t, auto& sink) { sink.write(numbers.at(t.name).bytes); });
      bytes = file.written();
    });
    auto entry = json::Value::object();
    entry.set("name", name), entry.set("bytes", bytes), entry.set("sha256", hash.hex());
    return entry;
  }
  static TrainingState read(const std::string& path) {
    const SafetensorsFile file(path);
    TrainingState state;
    for (const TensorInfo& t : file.tensors()) {
      Numbers n{t.dtype, t.shape, std::vector<std::byte>(t.bytes)};
      file.read(t, n.bytes);
      state.numbers.emplace(t.name, std::move(n));
    }
    return state;
  }

  /// The stored numbers of a name, which must have this type and shape.
  const Numbers& expect(const std::string& name, Dtype dtype, const std::vector<Index>& shape) const {
    const auto at = numbers.find(name);
    if (at == numbers.end())
      fail(Errc::usage, "the checkpoint has no {}: it belongs to another kind of run", printable(name));
    if (at->second.dtype != dtype || at->second.shape != shape) {
      fail(Errc::usage,
           "the checkpoint's {} has another type or shape than this run's: start from the same model, with the "
           "same adapters and the same precision",
           printable(name));
    }
    return at->second;
  }
};

namespace detail {

/// Calls f(name, shape, type, take, put) for every piece of state: take() gives its numbers, put(numbers) sets them.
template <class Model, class Pruner, class F>
void for_each_state(Model& model, Pruner& pruner, const Extents<Model>& extents, F&& f) {
  using A = typename Model::DeviceType::Accumulate;
  auto& device = *model.run.device;
  auto& arena = model.run.arena;
  for_each_parameter(model, [&](const std::string& now, auto& p) {
    if (extents.gone(&p)) return;
    const std::string path = first_name(model, now);
    const auto window = [&](const std::string& kind, A* at) {
      f(kind + "/" + path, extents.of(p), A{}, [&, at] {
        std::vector<A> x(std::size_t(p.size()));
        device.download(at, x.data(), p.size());
        return x;
      }, [&, at](const std::vector<A>& x) { device.upload(at, x.data(), p.size()); });
    };
    window("value", p.value.data);
    for (int k = 0; k < arena.moments(); ++k) window(format("moment{}", k), arena.moment(device, k) + p.offset);
  });
  model.groups([&](auto group) {
    auto& mask = *group.mask;
    const std::string name = "mask/" + group.name();
    // Of each unit: 2 where it is alive, 1 where only backward sees it (straight-through), 0 where it is masked.
    f(name, std::vector<Index>{extents.of(mask)}, std::uint8_t{}, [&] {
      std::vector<std::uint8_t> bits(mask.alive());
      for (auto& b : bits) b = b ? 2 : mask.straight_through() ? 1 : 0;
      return bits;
    }, [&](std::vector<std::uint8_t> bits) {
      bool through = false;
      for (auto& b : bits) through = through || b == 1, b = b == 2;
      mask.set(device, bits, through);
    });
    f(name + "/origin", std::vector<Index>{extents.of(mask)}, std::int32_t{},
      [&] { return std::vector<std::int32_t>(mask.origin().begin(), mask.origin().end()); },
      [](const std::vector<std::int32_t>&) {});  // who is left has been seen to before
  });
  for_each_projection(model, [&](const std::string& path, auto& p) {
    auto& mask = p.weight_mask;
    if (!mask.present() || extents.gone(&mask)) return;
    f("weight_mask/" + first_name(model, path), extents.of(mask), std::int32_t{}, [&] {
      const auto words = mask.words(device);
      return std::vector<std::int32_t>(words.begin(), words.end());
    }, [&](const std::vector<std::int32_t>& words) {
      mask.set(device, std::vector<std::uint32_t>(words.begin(), words.end()));
    });
  });
  pruner.visit_state([&](const std::string& name, std::vector<double>& x) {
    f("pruner/" + name, std::vector<Index>{Index(x.size())}, double{}, [&] { return x; },
      [&](std::vector<double> y) { x = std::move(y); });
  });
}

}  // namespace detail

/// Everything that changes while a model is trained: adapters, moments, masks, and what the pruner remembers.
template <class Model, class Pruner>
TrainingState take_state(Model& model, Pruner& pruner) {
  TrainingState state;
  detail::for_each_state(model, pruner, {}, [&](const std::string& name, std::vector<Index> shape, auto, auto take, auto) {
    state.numbers.emplace(name, TrainingState::Numbers::of(take(), std::move(shape)));
  });
  return state;
}

/// Which units were left when the state was taken, in the numbers before any compaction. They have to be among those that
/// the model has.
template <class Model>
Plan units_left(const TrainingState& state, Model& model) {
  Plan plan;
  model.groups([&](auto group) {
    const auto& mask = *group.mask;
    const std::string name = "mask/" + group.name();
    const auto malformed = [&](const std::string& what) {
      fail(Errc::bad_input, "the checkpoint's {}/origin {}: it is damaged or belongs to another model", name, what);
    };
    const auto units = [&] {
      const auto at = state.numbers.find(name + "/origin");
      return at == state.numbers.end() || at->second.shape.size() != 1 ? mask.units() : at->second.shape[0];
    }();
    const auto origin = state.expect(name + "/origin", Dtype::i32, std::vector<Index>{units}).template as<std::int32_t>();
    if (origin.empty()) malformed("keeps no unit");
    for (std::size_t u = 0; u < origin.size(); ++u) {
      if (origin[u] < 0 || Index(origin[u]) >= mask.full()) malformed(format("names unit {} of {}", origin[u], mask.full()));
      if (u > 0 && origin[u] <= origin[u - 1]) malformed(format("names unit {} after unit {}", origin[u], origin[u - 1]));
      if (!std::binary_search(mask.origin().begin(), mask.origin().end(), int(origin[u])))
        fail(Errc::usage, "the checkpoint's {} keeps unit {}, which has left this model: start from the model it began with",
             group.name(), origin[u]);
    }
    for (const auto bit : state.expect(name, Dtype::u8, std::vector<Index>{units}).template as<std::uint8_t>())
      if (bit > 2) fail(Errc::bad_input, "the checkpoint's {} says {} of a unit, expected 0, 1 or 2: it is damaged", name, int(bit));
    PlanGroup& left = plan.groups.emplace_back();
    left.kind = group.kind, left.layer = group.layer, left.full = mask.full();
    left.kept.assign(origin.begin(), origin.end());
  });
  return plan;
}

/// Gives it back. All of it is checked before anything is changed. Units that had left by then leave the model.
template <class Model, class Pruner>
void put_state(const TrainingState& state, Model& model, Pruner& pruner) {
  const Plan left = units_left(state, model);
  const Extents<Model> extents(model, left);
  std::size_t known = 0;
  // What a pruner has not allocated yet takes the stored size.
  const auto shape_of = [&](const std::string& name, const std::vector<Index>& shape) {
    const auto at = state.numbers.find(name);
    return shape == std::vector<Index>{0} && at != state.numbers.end() ? at->second.shape : shape;
  };
  detail::for_each_state(model, pruner, extents,
                         [&]<class T>(const std::string& name, const std::vector<Index>& shape, T, auto, auto) {
                           state.expect(name, dtype_of<T>, shape_of(name, shape));
                           ++known;
                         });
  if (known != state.numbers.size()) {
    fail(Errc::usage, "the checkpoint holds {} pieces of state and this run has {}: it belongs to another kind of run",
         state.numbers.size(), known);
  }
  apply(model, left);
  compact(model);
  detail::follow(pruner);
  detail::for_each_state(model, pruner, {},
                         [&]<class T>(const std::string& name, const std::vector<Index>& shape, T, auto, auto put) {
                           put(state.expect(name, dtype_of<T>, shape_of(name, shape)).template as<T>());
                         });
}

/// SHA-256 of the frozen numbers of a model, with their names and shapes.
template <class Model>
std::string hash_of_base(Model& model) {
  Sha256 hash;
  for_each_tensor(model, [&](const std::string& path, auto& t) {
    auto view = t.view();
    std::vector<std::remove_cvref_t<decltype(*view.data)>> x(std::size_t(t.size()));
    model.run.device->download(view.data, x.data(), t.size());
    hash.update(path);
    for (const Index n : view.shape) hash.update(format(" {}", n));
    hash.update(format(" {}\n", sizeof x[0])).update(std::as_bytes(std::span(x.data(), x.size())));
  });
  return hash.hex();
}

}  // namespace espalier::inline v0
