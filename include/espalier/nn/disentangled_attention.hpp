// SPDX-License-Identifier: MIT
#pragma once
#include <cmath>
#include <espalier/kernel/attention_positions.hpp>
#include <espalier/nn/dropout.hpp>
#include <espalier/nn/group.hpp>
#include <string>

namespace espalier::inline v0 {

/// How a disentangled attention sees positions.
struct DisentangledOptions {
  Index hidden, heads, head_dim;
  bool content_to_position = true, position_to_content = true;
  bool shared = true;  ///< relative positions go through the maps of queries and keys, else through their own
};

/// What all layers of a pass share: which tokens are padding, and the relative positions that occur.
template <Backend Device>
struct RelativeContext {
  kernel::Padding sees{};
  View<const typename Device::Activation, 2> embeddings{};  // (positions, hidden), or nothing
  const int* index = nullptr;                               // of distance 0: which of them a distance is
};

/// y = out( softmax(scale (q_t·k_s + q_t·κ_r + k_s·ρ_r)) v ∘ M ),  r = index(t − s),  κ = key(e),  ρ = query(e) of relative
/// positions e; scale = 1 / √((1 + terms) d); M one bit a head.                                  He et al. 2020, eq. 4
///
/// With shared maps e are further rows of the input of query and key: what adapters learn and scores see comes from both.
template <Backend Device, template <class> class Adapter, class Names>
class DisentangledAttention {
 public:
  using T = typename Device::Activation;
  using A = typename Device::Accumulate;
  using Projection = Linear<Device, Adapter>;
  using Context = RelativeContext<Device>;
  using Positions = kernel::RelativePositions<T>;
  struct Activations {
    typename Projection::Activations q, k, v, o, pos_q, pos_k;
    View<const T, 2> Q, K, V, y;  // (tokens, heads head_dim)
    View<const T, 2> rho, kappa;  // (positions, heads head_dim), or nothing
    View<const A, 2> lse;         // (tokens, heads)
  };

  DisentangledAttention() = default;
  DisentangledAttention(Device& device, const DisentangledOptions& o, const std::string& path,
                        const typename Projection::Options& adapter)
      : units(device, o.heads), options_(o) {
    const auto map = [&](Index in, Index rows, const char* name) {
      return Projection(device, in, rows, true, path + "." + name, adapter);
    };
    const Index inner = o.heads * o.head_dim;
    query = map(o.hidden, inner, Names::query), key = map(o.hidden, inner, Names::key), value = map(o.hidden, inner, Names::value);
    out = map(inner, o.hidden, Names::out);
    if (!o.shared && o.content_to_position) position_key = map(o.hidden, inner, Names::position_key);
    if (!o.shared && o.position_to_content) position_query = map(o.hidden, inner, Names::position_query);
  }

  Index heads() const { return units.units(); }
  Index head_dim() const { return options_.head_dim; }

  View<T, 2> forward(Pass<Device>& pass, View<const T, 2> x, Activations& act, const Context& context = {}) const {
    const bool keys = context.embeddings && options_.content_to_position,
               queries = context.embeddings && options_.position_to_content;
    const auto e = keys || queries ? position_dropout.dropped(pass, context.embeddings) : context.embeddings;
    const auto both = (keys || queries) && options_.shared ? stacked(pass, x, e) : x;
    const Index n = x.rows(), more = both.rows() - n;
    const auto Q = query.forward(pass, queries ? both : x, act.q, mask()), K = key.forward(pass, keys ? both : x, act.k, mask());
    act.Q = Q.rows(0, n), act.K = K.rows(0, n), act.V = value.forward(pass, x, act.v, mask());
    act.rho = act.kappa = {};
    if (queries) act.rho = options_.shared ? Q.rows(n, more) : position_query.forward(pass, e, act.pos_q, mask());
    if (keys) act.kappa = options_.shared ? K.rows(n, more) : position_key.forward(pass, e, act.pos_k, mask());
    auto y = pass.matrix(n, Q.cols());
    auto lse = pass.template matrix<A>(n, heads());
    const kernel::Attention<T, A, kernel::Padding, Positions> kernel{
        layout(pass), scale(), act.Q, act.K, act.V, units.forward(), units.backward(), y, lse, dropping(pass, context.sees),
        positions(act, context)};
    pass.device.for_each_row(kernel.rows(), kernel);
    act.y = y, act.lse = lse;
    return out.forward(pass, y, act.o);
  }

  void backward(Pass<Device>& pass, View<const T, 2> dout, const Activations& act, View<T, 2> dx, const Context& context = {}) {
    auto scratch = pass.scratch();
    const Index n = act.y.rows(), inner = act.y.cols(), e = context.embeddings.rows();
    auto dy = scratch.zeros(n, inner);
    out.backward(scratch, dout, act.o, dy);
    // Whose maps see positions, and learn from them.
    const bool of_keys = act.kappa && learns(options_.shared ? key : position_key),
               of_queries = act.rho && learns(options_.shared ? query : position_query);
    auto dQ = scratch.matrix(n + (of_queries ? e : 0), inner), dK = scratch.matrix(n + (of_keys ? e : 0), inner),
         dV = scratch.matrix(n, inner);
    auto delta = scratch.template matrix<A>(n, heads());
    const kernel::AttentionBackward<T, A, kernel::Padding, Positions> common{
        layout(pass), scale(), act.Q, act.K, act.V, units.forward(), units.backward(), act.y, act.lse, dy, dQ.rows(0, n),
        dK.rows(0, n), dV, delta, dropping(pass, context.sees), positions(act, context)};
    const kernel::AttentionBackwardQueries<T, A, kernel::Padding, Positions> queries{common};
    const kernel::AttentionBackwardKeys<T, A, kernel::Padding, Positions> keys{common};
    pass.device.for_each_row(queries.rows(), queries);
    pass.device.for_each_row(keys.rows(), keys);
    if (of_keys || of_queries) {
      auto inside = scratch.scratch();
      const auto wanted = [&](bool there) { return there ? inside.template matrix<A>(pass.shape.batch * e, inner) : View<A, 2>{}; };
      const kernel::AttentionBackwardPositions<T, A, kernel::Padding> all{common, wanted(of_keys), wanted(of_queries)};
      pass.device.for_each_row(all.rows(), all);
      if (of_keys) pass.device.for_each_row(e, kernel::SumSequences<T, A>{all.dkey, pass.shape.batch, dK.rows(n, e)});
      if (of_queries) pass.device.for_each_row(e, kernel::SumSequences<T, A>{all.dquery, pass.shape.batch, dQ.rows(n, e)});
    }
    back(scratch, query, dQ, act.q, act.pos_q, position_query, n, dx);
    back(scratch, key, dK, act.k, act.pos_k, position_key, n, dx);
    value.backward(scratch, dV, act.v, dx, mask());
  }

  template <class Self, class F>
  static void visit(Self& self, F&& f) {
    f(Names::query, self.query);
    f(Names::key, self.key);
    f(Names::value, self.value);
    f(Names::out, self.out);
    if (!self.position_key.weight.empty()) f(Names::position_key, self.position_key);
    if (!self.position_query.weight.empty()) f(Names::position_query, self.position_query);
  }

  template <class F>
  void projections(F&& f) const {
    f(query), f(key), f(value), f(out), f(position_key), f(position_query);
  }
  Group<Device, Projection> group(Index layer) {
    const Index d = head_dim();
    Group<Device, Projection> heads{
        "heads", layer, &units, {{&query, Axis::rows, d}, {&key, Axis::rows, d}, {&value, Axis::rows, d}, {&out, Axis::columns, d}}};
    for (Projection* p : {&position_key, &position_query})
      if (!p->weight.empty()) heads.slices.push_back({p, Axis::rows, d});
    return heads;
  }

  Projection query, key, value, out;
  Projection position_key, position_query;  // empty where maps are shared
  UnitMask<Device> units;                   // heads
  Dropout<Device> dropout{}, position_dropout{};  // of probabilities, of relative positions

 private:
  static bool learns(const Projection& p) { return p.adapter.active() || p.probe; }
  /// [x; e]: relative positions are further rows.
  static View<const T, 2> stacked(Pass<Device>& pass, View<const T, 2> x, View<const T, 2> e) {
    auto all = pass.matrix(x.rows() + e.rows(), x.cols());
    pass.device.for_each(x.size(), kernel::Copy<T, T>{x.data, all.data});
    pass.device.for_each(e.size(), kernel::Copy<T, T>{e.data, all.row(x.rows())});
    return all;
  }
  /// A map's backward pass, and that of the map of positions, which are further rows of dy. Nobody asks for the gradient
  /// of positions themselves: they are frozen.
  void back(Pass<Device>& pass, Projection& map, View<const T, 2> dy, const typename Projection::Activations& act,
            const typename Projection::Activations& apart, Projection& own, Index n, View<T, 2> dx) {
    if (dy.rows() == n || !options_.shared) {
      map.backward(pass, dy.rows(0, n), act, dx, mask());
      if (dy.rows() > n) own.backward(pass, dy.rows(n, dy.rows() - n), apart, {}, mask());
      return;
    }
    auto scratch = pass.scratch();
    auto d = dx ? scratch.zeros(dy.rows(), dx.cols()) : dx;
    map.backward(scratch, dy, act, d, mask());
    if (dx) pass.device.for_each(dx.size(), kernel::Accumulate<T>{d.data, dx.data});
  }

  kernel::Padding dropping(const Pass<Device>& pass, kernel::Padding sees) const {
    if (dropout.on(pass)) sees.dropout = {dropout.p, dropout.stream, pass.state, units.origin_there(), units.full()};
    return sees;
  }
  Positions positions(const Activations& act, const Context& context) const {
    return {head_dim(), act.kappa, act.rho, context.index};
  }
  OutputMask<A> mask() const { return units.outputs(head_dim()); }
  A scale() const {
    const int terms = 1 + int(options_.content_to_position) + int(options_.position_to_content);
    return A(1 / std::sqrt(double(head_dim() * terms)));
  }
  kernel::HeadLayout layout(const Pass<Device>& pass) const {
    return {pass.shape.batch, pass.shape.seq, heads(), heads(), head_dim()};
  }

  DisentangledOptions options_{};
};

}  // namespace espalier::inline v0
