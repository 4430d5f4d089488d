// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/model/encoder_families.hpp>
#include <espalier/model/encoder_model.hpp>
#include <espalier/model/families.hpp>
#include <espalier/model/language_model.hpp>
#include <string>
#include <type_traits>

#include "task.hpp"

namespace espalier::tool {

template <class Family>
concept EncoderFamily = requires { typename Family::Batch; };
/// The model of a family.
template <class Device, template <class> class Adapter, class Family>
using ModelOf = std::conditional_t<EncoderFamily<Family>, EncoderModel<Device, Adapter, Family>, LanguageModel<Device, Adapter, Family>>;

/// f(Family{}) for the family, of language models or of encoders, that a model directory belongs to.
template <class F>
auto with_any_family(const std::string& directory, const TaskRequest& task, F&& f) {
  return is_encoder(directory) ? with_encoder_family(directory, predicts_tokens(directory, task), f) : with_family(directory, f);
}

/// Refuses a task that the head in the files is not for.
template <class Files>
void require_task(const TaskRequest& task, const Files& files) {
  if constexpr (requires { files.config.labels; })
    if (files.source.fresh.empty() && task.adapter.empty()) require_task(task, files.config.labels, files.source.directory);
}

}  // namespace espalier::tool
