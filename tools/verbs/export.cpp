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
  const bool gguf = s.format == "gguf";
  if (gguf) {
    check_output_file(s.out, s.overwrite);
  } else {
    check_output(s.out, s.overwrite, {s.model, s.adapter});
  }
  use_threads(s.threads);
  const Placement where{s.weights == "bf16" ? Storage::bf16 : Storage::fp32, s.device == "cuda"};  // fp32 holds whatever the file has
  const auto engine = open_engine(where, s.model, no_adapters(), 0, task_request(s));
  if (!s.adapter.empty()) within("--adapter", "", [&] { engine->load_adapter(s.adapter); });
  if (s.dry_run) {
    console.result(console.json() ? "{\"dry_run\": true}\n" : "nothing was written: --dry-run\n");
    return 0;
  }
  const auto dtype = dtype_called_by(s.dtype);
  const Written written =
      gguf ? engine->save_gguf(s.out, s.layout, dtype, s.overwrite) : engine->save(s.out, s.layout, dtype, s.overwrite, nullptr);
  const std::uint64_t bytes = gguf ? io::File(s.out).size() : weight_bytes(s.out);
  if (console.json()) {
    console.result(json::Value::object({{"out", s.out},
                                        {"format", s.format},
                                        {"layout", written.layout},
                                        {"model_type", written.model_type},
                                        {"parameters", written.parameters},
                                        {"file_bytes", bytes}})
                       .dump(2) +
                   "\n");
  } else {
    console.result(s.out + ": " + (gguf ? "GGUF, architecture " + written.model_type + ", " : "") + "layout " + written.layout + ", " +
                   with_commas(written.parameters) + " parameters, " + bytes_text(double(bytes)) + "\n");
  }
  for (const std::string& note : written.notes) console.say("note: " + note);
  if (gguf) {
    console.say("next: llama-cli -m " + s.out);
  } else {
    console.say("next: espalier info " + s.out);
  }
  return 0;
}

}  // namespace espalier::tool
