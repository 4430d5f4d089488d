// SPDX-License-Identifier: MIT
#pragma once
#include <espalier/model/encoder_model.hpp>
#include <espalier/model/language_model.hpp>
#include <type_traits>

namespace espalier::tool {

template <class Family>
concept EncoderFamily = requires { typename Family::Batch; };
/// The model of a family.
template <class Device, template <class> class Adapter, class Family>
using ModelOf = std::conditional_t<EncoderFamily<Family>, EncoderModel<Device, Adapter, Family>, LanguageModel<Device, Adapter, Family>>;

}  // namespace espalier::tool
