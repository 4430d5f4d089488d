// SPDX-License-Identifier: MIT
#include "../comparison.hpp"
#include "../numbers.hpp"
#include "../requests.hpp"
#include "../run_directory.hpp"
#include "../threads.hpp"
#include "../trouble.hpp"
#include "verbs.hpp"

namespace espalier::tool {

int merge(const Request& request, const Console& console) {
  need_model(request);
  const Settings& s = request.settings;
  if (s.adapter.empty())
    throw Trouble{Errc::usage, "-a DIR is missing: which adapter should be merged?", "",
                  "a PEFT directory, as espalier train writes it"};
  check_output(s.out, s.overwrite, {s.model, s.adapter});
  use_threads(s.threads);
  // Added in fp32 and rounded once, when it is written.
  const Placement where{s.weights == "bf16" ? Storage::bf16 : Storage::fp32, s.device == "cuda"};
  const auto engine = open_engine(where, s.model, no_adapters(), 0, task_request(s));
  within("--adapter", "", [&] { engine->load_adapter(s.adapter); });
  const Facts facts = engine->facts();
  console.say(trainable_line(facts.trainable, facts.trainable + facts.parameters));
  if (s.dry_run) {
    console.result(console.json() ? "{\"dry_run\": true}\n" : "nothing was written: --dry-run\n");
    return 0;
  }
  engine->merge();
  const Written written = engine->save(s.out, "automatic", dtype_called_by(s.dtype), s.overwrite, nullptr);
  if (console.json()) {
    console.result(
        json::Value::object({{"out", s.out}, {"parameters", written.parameters}, {"file_bytes", weight_bytes(s.out)}})
            .dump(2) +
        "\n");
  } else {
    console.result(s.out + ": " + with_commas(written.parameters) + " parameters, " +
                   bytes_text(double(weight_bytes(s.out))) + "\n");
  }
  console.say("next: espalier eval " + s.out + " -d DATA");
  return 0;
}

}  // namespace espalier::tool
