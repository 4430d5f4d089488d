// SPDX-License-Identifier: MIT
#include <chrono>

#include <espalier/io/file_read.hpp>
#include <espalier/io/path.hpp>

#include "../comparison.hpp"
#include "../numbers.hpp"
#include "../requests.hpp"
#include "../threads.hpp"
#include "../trouble.hpp"
#include "verbs.hpp"

namespace espalier::tool {

int eval(const Request& request, const Console& console) {
  need_model(request);
  const Settings& s = request.settings;
  if (s.data.empty())
    throw Trouble{Errc::usage, "-d FILE is missing: what should be predicted?", "", "e.g. -d val.bin"};
  use_threads(s.threads);
  within("--data", "", [&] { static_cast<void>(io::File(s.data).size()); });  // before a model is read
  const auto engine = open_engine(placement_for(s), s.model, no_adapters(), 0, task_request(s));
  if (!s.adapter.empty()) within("--adapter", "", [&] { engine->load_adapter(s.adapter); });
  const DataSet data = within("--data", "", [&] { return engine->read(s.data, s.seq_len, document_request(s)); });
  within("--data", "", [&] { engine->check(data); });
  if (data.truncated() > 0) console.say(cut_line(data));
  const auto begin = std::chrono::steady_clock::now();
  Measured m{io::base_name(s.model), engine->facts(), weight_bytes(s.model),
             engine->evaluate(data, evaluation_of(s)), 0};
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  m.latency = latencies({engine.get()}, data, s.seq_len, s.runs)[0];
  if (!std::isfinite(m.evaluation.loss))
    throw Trouble{Errc::numerical, "the loss is not finite", s.model, "the weights hold NaN or infinity"};
  const double speed = double(m.evaluation.tokens) / seconds;
  if (console.json()) {
    json::Value result = m.json();
    result.set("model", s.model), result.set(m.evaluation.metrics.empty() ? "tokens_per_second" : "labels_per_second", speed), result.set("seq_len", s.seq_len),
        result.set("runs", s.runs);
    console.result(result.dump(2) + "\n");
    return 0;
  }
  Table table = comparison({m});
  const bool tokens = m.evaluation.metrics.empty();
  if (tokens) table.rows.insert(table.rows.end() - 1, {"loss", fixed(m.evaluation.loss, 4)});
  table.rows.push_back({tokens ? "tokens per second" : "labels per second", brief(speed)});
  console.result(table.text());
  console.say(console.faint(evaluation_protocol(s, s.data, m.evaluation)));
  console.say(console.faint(latency_protocol(s, data)));
  return 0;
}

}  // namespace espalier::tool
