// SPDX-License-Identifier: MIT
#include "../comparison.hpp"
#include "../numbers.hpp"
#include "../requests.hpp"
#include "../run_directory.hpp"
#include "../threads.hpp"
#include "../trouble.hpp"
#include "verbs.hpp"

namespace espalier::tool {

int export_model(const Request& request, const Console& console) {
  need_model(request);
  const Settings& s = request.settings;
  check_output(s.out, s.overwrite, {s.model, s.adapter});
  use_threads(s.threads);
  const Placement where{s.weights == "bf16" ? Storage::bf16 : Storage::fp32, s.device == "cuda"};  // fp32 holds whatever the file has
  const auto engine = open_engine(where, s.model, no_adapters());
  if (!s.adapter.empty()) within("--adapter", "", [&] { engine->load_adapter(s.adapter); });
  if (s.dry_run) {
    console.result(console.json() ? "{\"dry_run\": true}\n" : "nothing was written: --dry-run\n");
    return 0;
  }
  const Written written = engine->save(s.out, s.layout, dtype_called_by(s.dtype), s.overwrite, nullptr);
  if (console.json()) {
    console.result(json::Value::object({{"out", s.out},
                                        {"layout", written.layout},
                                        {"parameters", written.parameters},
                                        {"file_bytes", weight_bytes(s.out)}})
                       .dump(2) +
                   "\n");
  } else {
    console.result(s.out + ": layout " + written.layout + ", " + with_commas(written.parameters) + " parameters, " +
                   bytes_text(double(weight_bytes(s.out))) + "\n");
  }
  for (const std::string& note : written.notes) console.say("note: " + note);
  console.say("next: espalier info " + s.out);
  return 0;
}

}  // namespace espalier::tool
