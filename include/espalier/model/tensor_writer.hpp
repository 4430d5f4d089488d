// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <cmath>
#include <espalier/core/visit.hpp>
#include <espalier/core/workspace.hpp>
#include <espalier/io/safetensors_write.hpp>
#include <espalier/model/cut.hpp>
#include <espalier/model/stored_model.hpp>
#include <map>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace espalier::inline v0 {

/// The tensors of a model on their way to files: cut, padded, merged with their adapters and rounded once, one at a time.
template <class Model>
class TensorWriter {
 public:
  using Device = typename Model::DeviceType;
  using A = typename Device::Accumulate;
  using Projection = typename Model::Projection;
  using Sink = TensorSink<io::OutputFile>;

  /// cuts: by projection or tensor, what is written of it. dtype(name): how a tensor is to be stored, by its name in the
  /// model's source. merge: adapters are added to their weights.
  template <class DtypeOfName>
  TensorWriter(Model& model, const CutPlan& plan, std::map<const void*, TensorCut> cuts, bool merge, DtypeOfName&& dtype)
      : device_(&model.device()), workspace_(&model.run.workspace), merge_(merge), cuts_(std::move(cuts)),
        masks_(output_masks(model)) {
    std::map<std::string, std::vector<Index>> folded;  // what files hold with more sides than two
    StoredModel<typename Model::Config>::tensors(model.config, [&](const std::string& name, const std::vector<Index>& shape) {
      if (shape.size() > 2) folded[name] = shape;
    });
    std::map<std::string, const Projection*> projections;
    for_each_projection(model, [&](const std::string& path, auto& p) {
      projections[path + ".weight"] = projections[path + ".bias"] = &p;
    });
    for_each_tensor(model, [&](const std::string& path, auto& tensor) {
      using T = std::remove_cvref_t<decltype(tensor)>;
      const std::string name = plan.name(path);
      if (name.empty()) return;
      const auto found = projections.find(path);
      Entry entry{&tensor, &TensorWriter::template emit<T>, found == projections.end() ? nullptr : found->second};
      const TensorCut* const cut = cut_of(entry);
      std::vector<Index> shape{cut == nullptr ? tensor.shape(0) : cut->rows.size(tensor.shape(0))};
      if constexpr (rank_of<T> == 2) shape.push_back(cut == nullptr ? tensor.shape(1) : cut->columns.size(tensor.shape(1)));
      if (flipped(entry, shape.size())) std::swap(shape[0], shape[1]);
      for (const Index extent : shape) require(extent > 0, "{} would be written empty; keep at least one unit of it", name);
      if (const auto more = folded.find(name); more != folded.end()) shape = more->second;
      specs_.push_back({name, dtype(detail::first_name(model, path)), shape});
      entries_.emplace(name, entry);
    });
    for_each_trained(model, [&](const std::string& path, auto& map) {
      using P = std::remove_cvref_t<decltype(map.weight)>;
      const auto add = [&](const std::string& name, const P& p, std::vector<Index> shape) {
        specs_.push_back({name, dtype(name), std::move(shape)});
        entries_.emplace(name, Entry{&p, &TensorWriter::emit_parameter<P>, nullptr});
      };
      add(path + ".weight", map.weight, {map.weight.rows, map.weight.cols});
      add(path + ".bias", map.bias, {map.bias.cols});
    });
  }

  /// In the order of the model.
  const std::vector<TensorSpec>& specs() const { return specs_; }
  void write(const TensorInfo& info, Sink& sink) const {
    const Entry& entry = entries_.at(info.name);
    (this->*entry.emit)(entry, info, sink);
  }

 private:
  struct Entry {
    const void* tensor;
    void (TensorWriter::*emit)(const Entry&, const TensorInfo&, Sink&) const;
    const Projection* projection;  // null for embeddings, norms and heads
  };

  template <class T>
  static constexpr int rank_of = std::extent_v<decltype(std::declval<T&>().view().shape)>;
  const TensorCut* cut_of(const Entry& entry) const {
    const auto found = cuts_.find(entry.projection == nullptr ? entry.tensor : entry.projection);
    return found == cuts_.end() ? nullptr : &found->second;
  }

  template <class Stored>
  void emit(const Entry& entry, const TensorInfo& info, Sink& sink) const {
    const auto& tensor = *static_cast<const Stored*>(entry.tensor);
    using T = typename Stored::Element;
    const Index rows = tensor.shape(0), columns = tensor.size() / rows;
    std::vector<T> numbers(static_cast<std::size_t>(tensor.size()));
    device_->download(tensor.view().data, numbers.data(), tensor.size());
    const auto removed = rank_of<Stored> == 2 ? removed_from(entry, columns) : Removed{};
    TensorCut cut;
    if (const TensorCut* found = cut_of(entry)) {
      cut = *found;
      if (rank_of<Stored> == 1) cut.columns = {};
    }
    if constexpr (AddsTerm<decltype(entry.projection->adapter)>) {
      const auto* const p = entry.projection;
      if (merge_ && p != nullptr && p->adapter.active() && (rank_of<Stored> == 2 || p->adapter.kInput == Axis::rows)) {
        Pass<Device> pass(*workspace_, {});
        const auto masked = masks_.find(p);
        const auto term = p->adapter.term(pass, matrix(tensor.view().data, rows, columns),
                                          masked == masks_.end() ? OutputMask<A>{} : masked->second);
        return send<A>(entry, cut, rows, columns, info, sink,
                       [&](Index first, Index n, A* out) {
                         merged(pass, term, numbers, first, n, out);
                         removed.become_zero(first, n, out);
                         for (Index i = 0; i < n * columns; ++i) out[i] *= A(cut.scale);
                       });
      }
    }
    if (cut.scale != 1)
      return send<A>(entry, cut, rows, columns, info, sink, [&](Index first, Index n, A* out) {
        for (Index i = 0; i < n * columns; ++i) out[i] = A(cut.scale) * widen<A>(numbers[std::size_t(first * columns + i)]);
        removed.become_zero(first, n, out);
      });
    send<T>(entry, cut, rows, columns, info, sink, [&](Index first, Index n, T* out) {
      std::copy_n(numbers.data() + first * columns, n * columns, out);
      removed.become_zero(first, n, out);
    });
  }

  /// Single weights that a mask has made zero.
  struct Removed {
    std::vector<std::uint32_t> words;
    Index columns = 0;
    template <class T>
    void become_zero(Index first, Index n, T* out) const {
      if (words.empty()) return;
      const Index per_row = kernel::bit_words(columns);
      for (Index i = 0; i < n; ++i)
        for (Index j = 0; j < columns; ++j)
          if (!kernel::kept(words.data() + (first + i) * per_row, j)) out[i * columns + j] = T(0.0f);
    }
  };
  Removed removed_from(const Entry& entry, Index columns) const {
    if (entry.projection == nullptr || !entry.projection->weight_mask) return {};
    return {entry.projection->weight_mask.words(*device_), columns};
  }

  /// What is trained as a whole goes out as it is.
  template <class P>
  void emit_parameter(const Entry& entry, const TensorInfo& info, Sink& sink) const {
    const auto& p = *static_cast<const P*>(entry.tensor);
    std::vector<A> numbers(static_cast<std::size_t>(p.size()));
    device_->download(p.value.data, numbers.data(), p.size());
    if (info.dtype == Dtype::f16) check_range(info.name, numbers);
    sink.write_numbers(std::span<const A>(numbers), info.dtype);
  }

  /// Whether a file holds the columns of this tensor as rows.
  static bool flipped(const Entry& entry, std::size_t rank) {
    return rank == 2 && entry.projection != nullptr && entry.projection->transposed;
  }
  /// fetch(first, n, out): rows of the tensor as they are, whichever way the file holds them.
  template <class T, class Fetch>
  void send(const Entry& entry, const TensorCut& cut, Index rows, Index columns, const TensorInfo& info, Sink& sink,
            Fetch&& fetch) const {
    if (!flipped(entry, info.shape.size())) return gather<T>(cut, rows, columns, info, sink, fetch);
    std::vector<T> upright(std::size_t(rows * columns)), across(upright.size());
    fetch(0, rows, upright.data());
    for (Index i = 0; i < rows; ++i)
      for (Index j = 0; j < columns; ++j) across[std::size_t(j * rows + i)] = upright[std::size_t(i * columns + j)];
    gather<T>({cut.columns, cut.rows}, columns, rows, info, sink,
              [&](Index first, Index n, T* out) { std::copy_n(across.data() + first * rows, n * rows, out); });
  }

  /// Rows [first, first + n) of W0 + s B U.
  template <class Term, class T>
  void merged(Pass<Device>& pass, const Term& term, const std::vector<T>& weight, Index first, Index n, A* out) const {
    auto scratch = pass.scratch();
    auto panel = scratch.template matrix<A>(n, Index(weight.size()) / term.b.rows());
    write_term(*device_, term, /*minus=*/false, first, panel);
    device_->download(panel.data, out, panel.size());
    for (Index i = 0; i < panel.size(); ++i) out[i] = widen<A>(weight[std::size_t(first * panel.cols() + i)]) + out[i];
  }

  /// Written: the rows and columns that stay, and zeros.
  template <class T, class Fetch>
  void gather(const TensorCut& cut, Index rows, Index columns, const TensorInfo& info, Sink& sink, Fetch&& fetch) const {
    const Index height = cut.rows.size(rows), width = cut.columns.size(columns);
    const Index block = cut.rows.block, least = std::max<Index>(1, (Index{1} << 18) / std::max(columns, width));
    const Index step = (least + block - 1) / block * block;
    std::vector<T> panel(std::size_t(step * columns)), out;
    Index have = -1, until = -1;  // the rows that the panel holds
    for (Index i = 0; i < height; i += step) {
      const Index n = std::min(step, height - i);
      out.assign(std::size_t(n * width), T(0.0f));
      for (Index k = 0; k < n; ++k) {
        const Index row = cut.rows.whole ? i + k : cut.rows.from[std::size_t(i + k)];
        if (row < 0) continue;
        if (row < have || row >= until) {
          have = row / block * block, until = std::min(rows, have + step);
          fetch(have, until - have, panel.data());
        }
        const T* from = panel.data() + (row - have) * columns;
        T* to = out.data() + k * width;
        if (cut.columns.whole) {
          std::copy_n(from, columns, to);
        } else {
          for (std::size_t j = 0; j < cut.columns.from.size(); ++j)
            if (cut.columns.from[j] >= 0) to[j] = from[cut.columns.from[j]];
        }
      }
      if (info.dtype == Dtype::f16) check_range(info.name, out);
      sink.write_numbers(std::span<const T>(out), info.dtype);
    }
  }

  /// Half precision ends at 65504, where weights of some models do not.
  template <class T>
  static void check_range(const std::string& name, const std::vector<T>& numbers) {
    for (const T x : numbers) {
      const double size = std::abs(widen<double>(x));
      if (size >= 65520 && std::isfinite(size)) {
        fail(Errc::numerical, "{}: {} is beyond the range of F16; save as BF16 or F32", name, widen<double>(x));
      }
    }
  }

  Device* device_;
  Workspace<Device>* workspace_;
  bool merge_;
  std::map<const void*, TensorCut> cuts_;
  std::map<const void*, OutputMask<A>> masks_;
  std::map<std::string, Entry, std::less<>> entries_;
  std::vector<TensorSpec> specs_;
};

}  // namespace espalier::inline v0
