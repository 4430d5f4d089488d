// SPDX-License-Identifier: MIT
#pragma once
#include <array>
#include <exception>
#include <string>

#include "parity/inputs.hpp"
#include "parity/judge.hpp"

namespace espalier::test::parity {

/// A device as the command line asks for it, as far as it can be asked.
template <class Device>
auto options_of(const Settings& settings) {
  if constexpr (requires { typename Device::System::Options; }) {
    typename Device::System::Options options;
    if constexpr (requires { options.guarded; }) options.guarded = settings.guarded;
    if constexpr (requires { options.members; }) options.members = settings.members;
    return options;
  } else {
    return settings;
  }
}
template <class Device>
Device make_device(const Settings& settings) {
  if constexpr (requires { Device(options_of<Device>(settings)); }) {
    return Device(options_of<Device>(settings));
  } else {
    return Device();
  }
}
/// Bytes of the device that are taken; 0 where it cannot be asked.
template <class Device>
Index memory_in_use(Device& device) {
  if constexpr (requires { device.system().memory().used(); }) {
    return device.system().memory().used();
  } else {
    return 0;
  }
}

/// Three runs of a case.
class Thrice {
 public:
  template <class F>
  void operator()(F&& f) {
    for (Outputs& run : runs) f(run);
  }
  std::array<Outputs, 3> runs;
};

/// body(device, thrice) makes what the case needs and calls thrice(f), where f(outputs) computes on buffers that it
/// finds as the run before has left them. Afterwards the device has all its memory back.
template <class Device, class Body>
void run_case(Judge& judge, const std::string& name, Body&& body) {
  if (!judge.wanted(name)) return;
  constexpr Precision precision = precision_of<Device>;
  try {
    Device device = make_device<Device>(judge.settings);
    Thrice thrice;
    body(device, thrice);
    if (const Index left = memory_in_use(device); left != 0)
      judge.fail(precision, name, format("{} bytes of the device are still taken", left));
    judge.settle(precision, name, thrice.runs);
  } catch (const std::exception& error) {
    judge.fail(precision, name, error.what());
  }
}

}  // namespace espalier::test::parity
